"""Fits that diverge: that they say so, and the rate up to which they do not."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import Scaling, bits, mean_square, problem, weights

X, y = problem(300, 5)
START = float((y * y).mean())


def largest(
    X: Any, s: Any = None, intercept: bool = False, mean: bool = False
) -> float:
    """2 / the greatest eigenvalue of the Hessian, of all rows at once."""
    Z = np.c_[X, np.ones(len(X))] if intercept else X
    H = 2 * (Z.T if s is None else Z.T * s) @ Z / (len(X) if mean else 1)
    return float(2 / np.linalg.eigvalsh(H)[-1])


@pytest.mark.parametrize(("n", "m"), [(50, 4), (300, 17), (2000, 3), (7, 30), (20, 1)])
def test_the_largest_stable_rate_is_by_the_greatest_eigenvalue(n: int, m: int) -> None:
    data, _ = problem(n, m)
    for mean, intercept, s in (
        (False, False, None),
        (True, False, weights(n)),
        (False, True, weights(n)),
        (True, True, None),
    ):
        o = {"reduction": "mean" if mean else "sum", "intercept": intercept}
        want = largest(data, s, intercept, mean)
        for kind in (data, data.astype("f4"), sparse.csr_matrix(data), data.tolist()):
            found = lls.max_stable_lr(kind, sample_weight=s, **o)
            assert found == pytest.approx(want, rel=3e-3)


@pytest.mark.parametrize("seed", [3, 57, 200, 227, 284, 285])
def test_eigenvalues_that_are_near_each_other_are_told_apart(seed: int) -> None:
    data = np.random.default_rng(seed).standard_normal((6, 3))
    assert lls.max_stable_lr(data) == pytest.approx(largest(data), rel=3e-3)


def test_of_batches_it_is_the_least() -> None:
    norms = (X * X).sum(axis=1)
    found = lls.max_stable_lr(X, batch_size=1, batches=5000)
    assert found == pytest.approx(1 / norms.max(), rel=3e-3)
    few = [lls.max_stable_lr(X, batch_size=1, batches=1, seed=s) for s in range(20)]
    assert len(set(few)) > 1
    assert min(few) >= found * (1 - 3e-3)
    assert (
        lls.max_stable_lr(X, batch_size=7)
        <= lls.max_stable_lr(X, batch_size=7, batches=1) * 1.003
    )
    assert lls.max_stable_lr(X, batch_size=1000) == lls.max_stable_lr(X)


def test_as_many_batches_are_tried_as_are_asked_for() -> None:
    """Though there are but 4 of 64 rows in one order of 300."""
    many = lls.max_stable_lr(X, batch_size=64, batches=500)
    assert many < lls.max_stable_lr(X, batch_size=64, batches=4)


def test_the_rate_of_nothing_is_infinite_and_of_little_it_is_not() -> None:
    assert lls.max_stable_lr(0 * X) == lls.max_stable_lr(X[:0]) == np.inf
    assert lls.max_stable_lr(0 * X, intercept=True) == pytest.approx(1 / 300)
    found = lls.max_stable_lr(1e-150 * X)
    assert found == pytest.approx(1e300 * lls.max_stable_lr(X), rel=1e-6)


def test_rates_of_numbers_beyond_their_squares_are_refused_or_zero() -> None:
    """The bound for 1e200 is some 1e-404."""
    try:
        found = lls.max_stable_lr(1e200 * X)
    except ValueError:
        return
    assert found == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_rate_of_what_is_not_finite_is_refused(bad: float) -> None:
    data = X.copy()
    data[-1, -1] = bad
    for kind in (data, sparse.csr_matrix(data), data.astype("f4")):
        with pytest.raises(ValueError, match="max_stable_lr: X must be finite"):
            lls.max_stable_lr(kind)


CASES = [
    (size, reduction, scaled)
    for size in (1, 7, 64, 300)
    for reduction in ("sum", "mean")
    for scaled in (False, True)
]


def fit_at(factor: float, size: int, reduction: Any, scaled: bool, **o: Any) -> lls.Fit:
    """By a rate that many times the largest that is stable."""
    Z = (X - Scaling(X, np.ones(300), True, scaled).mean) / Scaling(
        X, np.ones(300), True, scaled
    ).size
    stable = {"batch_size": size, "reduction": reduction, "intercept": True}
    lr = factor * lls.max_stable_lr(Z, batches=300, **stable)
    stable |= {"optimizer": partial(gs.SGD, lr=lr), "standardize": scaled}
    return lls.fit(X, y, **{"epochs": 100} | stable | o)


@pytest.mark.parametrize(("size", "reduction", "scaled"), CASES)
def test_slightly_below_the_rate_it_does_not_diverge(
    size: int, reduction: Any, scaled: bool
) -> None:
    done = fit_at(0.95, size, reduction, scaled)
    assert done.loss[-1] < START


@pytest.mark.parametrize(("size", "reduction", "scaled"), CASES)
def test_far_above_the_rate_it_diverges(
    size: int, reduction: Any, scaled: bool
) -> None:
    """Of one row at a time, random rows undo what others do up to some 3 times it."""
    factor = 3 if size >= 64 else 10
    with pytest.raises(lls.DivergenceError) as info:
        fit_at(factor, size, reduction, scaled)
    error, message = info.value, str(info.value)
    lr, limit = (
        float(re.search(pattern, message)[1])
        for pattern in (r"lr is ([0-9.e+-]+),", r"stable up to about ([0-9.e+-]+) ")
    )
    # The message takes a sample of batches.
    assert factor * 0.5 < lr / limit < factor * 1.1 if size > 7 else lr > limit
    assert np.isfinite([*error.coef, error.intercept]).all()
    assert mean_square(X, y, error.coef, error.intercept) <= START * (1 + 1e-9)


@pytest.mark.parametrize("factor", [5, 10, 40])
def test_one_epoch_is_enough_to_diverge(factor: float) -> None:
    with pytest.raises(lls.DivergenceError):
        fit_at(factor, 7, "sum", False, epochs=1, shuffle=None)


@pytest.mark.parametrize("rule", ["Adam", "Signum"])
def test_a_loss_that_grew_past_reason_at_once_is_divergence(rule: str) -> None:
    """Though it grows no further: it is 1e40 times that of the start."""
    optimizer = partial(gs.OPTIMIZERS[rule], lr=1e20)
    with pytest.raises(lls.DivergenceError):
        lls.fit(X, y, optimizer=optimizer, batch_size=7, epochs=3)


@pytest.mark.parametrize("lr", [0.01, 0.3, 1.0, 100.0])
@pytest.mark.parametrize("size", [1, 7, 64, 300])
def test_what_is_kept_is_no_worse_than_the_start(size: int, lr: float) -> None:
    data = X * [1, 10, 100, 0.1, 5]
    with pytest.raises(lls.DivergenceError) as info:
        lls.fit(data, y, optimizer=partial(gs.SGD, lr=lr), batch_size=size, epochs=5)
    with np.errstate(over="ignore"):
        assert mean_square(data, y, info.value.coef, 0) <= START * (1 + 1e-9)


def spoiled(bad: float, which: str) -> tuple[Any, Any]:
    data, target = X.copy(), y.copy()
    if which == "y":
        target[17] = bad
    else:
        data[17 if which == "X" else -1, 2] = bad
    return data, target


def inputs(folder: Path, data: Any, target: Any) -> Iterator[tuple[Any, ...]]:
    yield data, target
    yield data.astype("f4"), target.astype("f4")
    yield sparse.csr_matrix(data), target
    yield ([(data[:100], target[:100]), (data[100:], target[100:])],)
    np.save(folder / "X.npy", data)
    yield (lls.NpyFile(folder / "X.npy", target),)


@pytest.mark.parametrize("which", ["X", "y", "last row"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(tmp_path: Path, bad: float, which: str) -> None:
    for data in inputs(tmp_path, *spoiled(bad, which)):
        for o in (
            {"optimizer": partial(gs.SGD, lr=1e-3), "batch_size": 7, "epochs": 1},
            {"optimizer": partial(gs.Adam, lr=1e-3), "standardize": True},
            {},
            {"intercept": True, "standardize": False},
        ):
            with pytest.raises((ValueError, lls.DivergenceError)) as info:
                lls.fit(*data, **o)
            assert "X or y holds NaN or infinity" in str(info.value)
            if isinstance(info.value, lls.DivergenceError):
                assert np.isfinite(info.value.coef).all()


def test_a_trainer_keeps_the_last_good_coefficients() -> None:
    o = {"optimizer": partial(gs.SGD, lr=1e-3, momentum=0.5), "batch_size": 7}
    trainer = lls.Trainer(5, **o).partial_fit(X, y)
    saved = trainer.state_dict()
    trainer.optimizer.param_groups[0]["lr"] = 1e3
    with pytest.raises(lls.DivergenceError, match=r"^Trainer") as info:
        trainer.partial_fit(X, y)
    assert np.isfinite(trainer.coef).all()
    assert bits(trainer) == bits(info.value)
    # Its momentum is not good, and not to be gone on with.
    with pytest.raises(ValueError, match="an earlier call diverged"):
        trainer.partial_fit(X, y)
    trainer.load_state_dict(saved)
    trainer.partial_fit(X, y)
    assert np.isfinite(trainer.coef).all()
