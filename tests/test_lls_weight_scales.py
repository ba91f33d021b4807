"""Divergence is judged by a weighted mean, so weights may be of any size."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import bits, problem

X, y = problem(120, 4)
# Rules that do not depend on the scale of gradients: the weights alone are large.
ADAM = partial(gs.Adam, lr=0.02, eps=0.0)
SIGNUM = partial(gs.Signum, lr=0.01)
KINDS = [np.asarray, sparse.csr_array]


def trainer(**o: Any) -> lls.Trainer:
    return lls.Trainer(4, **{"optimizer": ADAM, "batch_size": 8} | o)


@pytest.mark.parametrize("factor", [1e3, 1e7, 1e-3, 1e-7, 2.0**40])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_grow_or_shrink_from_call_to_call(
    kind: Any, factor: float
) -> None:
    found = trainer()
    sizes = [factor ** (k - 5) for k in range(20)]
    for size in sizes:
        if 1e-140 < size < 1e140:  # Adam squares gradients
            found.partial_fit(kind(X), y, np.full(120, size))
    assert found.n_updates > 9 * 15
    assert ((X @ found.coef - y) ** 2).mean() < 1.1 * (y**2).mean()


@pytest.mark.parametrize("exponent", [-1000, -450, -100, 100, 450, 900])
@pytest.mark.parametrize("rule", [SIGNUM, partial(gs.Lion, lr=0.01)])
def test_rules_of_signs_go_the_same_way_by_weights_of_any_size(
    rule: Any, exponent: int
) -> None:
    found, plain = trainer(optimizer=rule), trainer(optimizer=rule)
    for _ in range(3):
        found.partial_fit(X, y, np.full(120, 2.0**exponent))
        plain.partial_fit(X, y)
    if abs(exponent) < 1000:  # products with the smallest lose digits
        assert bits(found) == bits(plain)
    assert np.isfinite(found.coef).all()


@pytest.mark.parametrize("size", [1, 8, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_differ_by_1e300_within_a_call(kind: Any, size: int) -> None:
    rng = np.random.default_rng(3)
    for low, high in ((-300, 0), (0, 300), (-150, 150)):
        weight = 10.0 ** rng.uniform(low, high, 120)
        weight[::5] = 0
        found = trainer(optimizer=SIGNUM, batch_size=size)
        for _ in range(4):
            found.partial_fit(kind(X), y, weight)
        assert np.isfinite(found.coef).all()
        lls.fit(
            *(kind(X), y),
            sample_weight=weight,
            optimizer=SIGNUM,
            batch_size=size,
            epochs=3,
        )


@pytest.mark.parametrize(
    ("weight", "size", "loss_is_finite"), [(2e307, 1e-3, True), (1e300, 1e5, False)]
)
def test_sums_may_leave_the_range_of_float64(
    weight: float, size: float, loss_is_finite: bool
) -> None:
    """Those of weights, or of weighted squares, where gradients do not."""
    s = np.full(120, weight)
    o: dict[str, Any] = {"optimizer": partial(gs.Signum, lr=1e-2 * size)}
    found = trainer(batch_size=64, **o).partial_fit(X, size * y, s)
    assert np.isfinite(found.loss) == loss_is_finite
    again = trainer(batch_size=64, **o)
    again.load_state_dict(found.state_dict())
    assert again.loss == found.loss
    for each in (again, found):
        each.partial_fit(X, size * y, s)
    assert bits(again) == bits(found)
    assert np.isfinite(found.coef).all()


def test_gradients_out_of_range_name_the_weights() -> None:
    with pytest.raises(lls.DivergenceError, match="scale X or sample_weight, whose"):
        trainer(optimizer=SIGNUM).partial_fit(X, y, np.full(120, 1e308))


def test_a_heavy_row_with_a_target_of_0_makes_no_others_diverge() -> None:
    target, weight = 1e4 * y, np.ones(120)
    target[0], weight[0] = 0.0, 1e12
    for kind in KINDS:
        found = trainer(optimizer=SIGNUM, batch_size=4)
        found.partial_fit(kind(X), target, weight)
        lls.fit(
            *(kind(X), target),
            sample_weight=weight,
            optimizer=SIGNUM,
            batch_size=4,
            epochs=3,
        )


def test_a_far_start_is_no_divergence_whatever_the_weights() -> None:
    start, weight = np.full(4, 1e6), np.ones(120)
    weight[-1] = 1e9
    o: dict[str, Any] = {"coef0": start, "optimizer": SIGNUM, "batch_size": 4}
    trainer(**o).partial_fit(X, y, weight)
    trainer(**o).partial_fit(X, 0 * y, weight)


@pytest.mark.parametrize("exponent", [-900, -300, 0, 200])
@pytest.mark.parametrize("size", [1, 8, 500])
def test_divergence_is_found_by_weights_of_any_size(size: int, exponent: int) -> None:
    """A rate that is too large is so for weights of any size, if it is for 1."""
    scale = 2.0**exponent
    weight = scale * np.linspace(0.5, 2, 120)
    stable = 2 / np.linalg.eigvalsh(2 * (X.T * weight / scale) @ X)[-1]
    sgd = partial(gs.SGD, lr=40 * max(1, 120 // size) * stable / scale)
    o: dict[str, Any] = {"optimizer": sgd, "batch_size": size, "epochs": 200}
    with pytest.raises(lls.DivergenceError, match="the loss grew to") as info:
        lls.fit(X, y, sample_weight=weight, **o)
    assert np.isfinite(info.value.coef).all()


def test_divergence_in_rows_of_weight_0_is_found_too() -> None:
    """The penalty alone can diverge, where no row has a residual that counts."""
    weight = np.zeros(120)
    weight[:8] = 1
    sgd = partial(gs.SGD, lr=10.0)
    with pytest.raises(lls.DivergenceError):
        trainer(optimizer=sgd, ridge=1e4, coef0=[1.0, 2, 3, 4]).partial_fit(
            X, y, weight
        )


def test_the_last_good_coefficients_are_those_of_the_least_weighted_mean() -> None:
    """Not of the call with the least weights."""
    found = trainer(optimizer=partial(gs.SGD, lr=1e-4), batch_size=120)
    for _ in range(60):
        found.partial_fit(X, y)
    good = ((X @ found.coef - y) ** 2).mean()
    found.optimizer.param_groups[0]["lr"] = 1.0

    def work() -> None:
        for _ in range(50):
            found.partial_fit(X, y, np.full(120, 1e-2))

    with pytest.raises(lls.DivergenceError) as info:
        work()
    assert ((X @ info.value.coef - y) ** 2).mean() <= good * (1 + 1e-9)


def test_the_message_states_the_weighted_mean_of_y() -> None:
    weight = np.linspace(0.5, 2, 120)
    size = np.average(y**2, weights=weight)
    for s, words in (
        (None, f"y has a mean square of {(y**2).mean():.3g}"),
        (weight, f"y has a weighted mean square of {size:.3g}"),
    ):
        with pytest.raises(lls.DivergenceError, match=f"{words}, after"):
            lls.fit(X, y, sample_weight=s, optimizer=partial(gs.SGD, lr=5.0))
