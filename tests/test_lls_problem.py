"""The gradients of a fit: of weights, intercept, penalty and scaling, by hand."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from training import HEAVY, SGD, by_hand, distance, permutations, problem, weights

f4, f8 = np.float32, np.float64
ADAPTIVE: dict[str, Any] = {
    name: partial(gs.OPTIMIZERS[name], lr=0.013) for name in gs.OPTIMIZERS
}
OPTIMIZERS = ADAPTIVE | {
    "momentum": partial(HEAVY, dampening=0.3, weight_decay=0.12),
    "nesterov": partial(HEAVY, nesterov=True),
    "velocity": partial(HEAVY, form="velocity"),
    "amsgrad": partial(gs.Adam, lr=0.02, amsgrad=True, weight_decay=0.07),
}


def same(X: Any, y: Any, epochs: int = 2, **o: Any) -> None:
    """Assert that a fit is the loop by hand."""
    rows = permutations(len(X), epochs)
    done = lls.fit(X, y, epochs=epochs, order=rows.__getitem__, **o)
    want = by_hand(X, y, rows, **o)
    near = 2e-11 if X.dtype == f8 else 3e-4
    assert done.coef.dtype == X.dtype
    assert distance(done.coef, want.coef) < near, o
    assert np.shape(done.intercept) == y.shape[1:]
    assert distance(done.intercept, want.intercept) < near, o
    assert distance(done.loss, want.loss) < near, o
    assert done.n_updates == len(want.path)
    assert (done.epochs, done.reason) == (epochs, "epochs")


@pytest.mark.parametrize("dtype", [f4, f8])
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("size", [1, 7, 30, 99])
def test_all_parts_of_the_problem_together(
    size: int, k: int | None, dtype: Any
) -> None:
    X, y = problem(30, 4, k, dtype)
    parts = product((False, True), (0.0, 0.9), (None, weights(30)), ("sum", "mean"))
    for (intercept, ridge, weight, reduction), scaled in product(parts, (False, True)):
        same(
            *(X, y),
            optimizer=SGD,
            batch_size=size,
            intercept=intercept,
            ridge=ridge,
            sample_weight=weight,
            reduction=reduction,
            standardize=scaled,
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_given_these_gradients(name: str) -> None:
    X, y = problem(40, 3, 2)
    for intercept, scaled in product((False, True), repeat=2):
        same(
            *(X, y),
            optimizer=OPTIMIZERS[name],
            batch_size=9,
            intercept=intercept,
            ridge=1.3,
            sample_weight=weights(40),
            reduction="mean",
            standardize=scaled,
        )


WHOLE = {"reduction": "mean", "ridge": 3.0, "intercept": True, "optimizer": HEAVY}


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 15, 16, 17, 33, 100, 130])
@pytest.mark.parametrize("dtype", [f4, f8])
def test_widths_and_batches_that_are_summed_in_pieces(m: int, dtype: Any) -> None:
    for size, k in product((128, 129, 256, 257, 1000, 5000), (None, 3)):
        X, y = problem(1201, m, k, dtype)
        o = WHOLE | {"batch_size": size, "optimizer": partial(HEAVY, lr=0.003)}
        same(X, y, 1, sample_weight=weights(1201), **o)
    same(X, y, 1, standardize=True, **o)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.6])
def test_columns_that_do_not_vary_are_not_divided(
    intercept: bool, ridge: float
) -> None:
    X, y = problem(60, 5)
    X[:, 1], X[:, 2], X[:, 3] = 5, 0, 0.1
    o = {"optimizer": HEAVY, "reduction": "mean", "batch_size": 7, "ridge": ridge}
    same(X, y, 4, intercept=intercept, standardize=True, **o)
    done = lls.fit(X, y, epochs=2, intercept=intercept, standardize=True, **o)
    assert done.coef[2] == 0
    if intercept:
        assert np.abs(done.coef[1:4]).max() < 1e-12


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("mean", [1e3, 1e6, 1e8])
def test_a_mean_far_from_zero_is_taken_off(mean: float, intercept: bool) -> None:
    """As far as float64 holds the deviations: to 8 of their digits at 1e8."""
    X, y = problem(60, 4)
    X[:, 1] += mean
    o = {"optimizer": HEAVY, "reduction": "mean", "batch_size": 7, "epochs": 5}
    rows = permutations(60, 5)
    o |= {"intercept": intercept, "standardize": True}
    done = lls.fit(X, y, order=rows.__getitem__, **o)
    want = by_hand(X, y, rows, **o)
    assert distance(done.coef, want.coef) < 1e-15 * mean + 1e-13
    assert distance(done.loss, want.loss) < 1e-15 * mean + 1e-13


@pytest.mark.parametrize("intercept", [False, True])
def test_a_row_of_no_weight_does_not_train_even_if_it_is_the_first(
    intercept: bool,
) -> None:
    X, y = problem(60, 4)
    weight = weights(60)
    weight[0], X[0] = 0, 1e8
    o = {"optimizer": HEAVY, "reduction": "mean", "batch_size": 7, "epochs": 3}
    o |= {"intercept": intercept, "standardize": True, "sample_weight": weight}
    rows = permutations(60, 3)
    done = lls.fit(X, y, order=rows.__getitem__, **o)
    assert distance(done.coef, by_hand(X, y, rows, **o).coef) < 1e-9


def test_a_mean_far_from_zero_is_taken_off_in_float32() -> None:
    for mean in (1e3, 1e5):
        X, y = problem(60, 4, None, f4)
        X[:, 1] += f4(mean)
        same(X, y, 5, standardize=True, **WHOLE | {"batch_size": 7})


def test_starts_are_in_the_units_of_the_data() -> None:
    X, y = problem(50, 4, 2)
    start = {"coef0": np.arange(8.0).reshape(4, 2), "intercept0": [2.5, -1.0]}
    for scaled in (False, True):
        same(X, y, standardize=scaled, batch_size=7, **WHOLE, **start)
        none = lls.fit(X, y, epochs=0, standardize=scaled, **WHOLE, **start)
        assert distance(none.coef, start["coef0"]) < 1e-15
        assert distance(none.intercept, start["intercept0"]) < 1e-14
    X, y = problem(50, 4)
    o = WHOLE | {"coef0": np.arange(4.0), "intercept0": 2.5, "batch_size": 50}
    same(X, y, standardize=True, **o)


def test_the_penalty_is_shared_among_all_rows_even_if_few_are_visited() -> None:
    X, y = problem(60, 3)
    o = {"optimizer": SGD, "batch_size": 7, "ridge": 5.0}
    rows = [np.arange(20), np.arange(45)[::-1]]
    done = lls.fit(X, y, epochs=2, order=rows.__getitem__, **o)
    assert distance(done.coef, by_hand(X, y, rows, **o).coef) < 1e-13


def test_groups_of_their_own_for_coefficients_and_intercept() -> None:
    X, y = problem(30, 4)

    def groups(params: Any) -> Any:
        w, b = params
        return gs.SGD(
            [{"params": [w]}, {"params": [b], "lr": 0.02}], lr=0.002, momentum=0.5
        )

    done = lls.fit(X, y, optimizer=groups, batch_size=30, epochs=2, intercept=True)
    w, b = np.zeros(4), np.zeros(1)
    opt = groups([w, b])
    for _ in range(2):
        r = X @ w + b - y
        opt.step([[2 * X.T @ r], [np.atleast_1d(2 * r.sum())]])
    assert distance(done.coef, w) < 1e-12
    assert distance(done.intercept, b[0]) < 1e-12
    assert done.lr.tolist() == [0.002, 0.002]
