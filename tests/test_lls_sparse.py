"""Sparse rows: by rules that leave alone what a batch does not touch, and by others."""

from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep as gs
from gradstep import _core, lls
from gradstep.lls.data import Route, block
from support import hyper_of, kernels, label, random_state

Array: TypeAlias = Any
N, L = 90, 41
RULES = {
    "sgd": partial(gs.SGD, lr=0.01),
    "adagrad": partial(gs.Adagrad, lr=0.1, lr_decay=0.01),
    "inside": partial(gs.Adagrad, lr=0.1, eps=1e-3, eps_placement="inside"),
    "decay": partial(gs.SGD, lr=0.01, weight_decay=0.1),
    "momentum": partial(gs.SGD, lr=0.01, momentum=0.7),
    "adam": partial(gs.Adam, lr=0.02),
}


def problem(k: int | None = None, dtype: Any = np.float64) -> tuple[Any, Array]:
    rng = np.random.default_rng(3)
    X = sp.random_array(
        (N, L), density=0.12, rng=rng, data_sampler=rng.standard_normal
    ).tocsr()
    return X.astype(dtype), rng.standard_normal((N, k) if k else N).astype(dtype)


def disordered(X: Any) -> Any:
    """The same matrix with the values of each row in no order, some of them split."""
    rng = np.random.default_rng(4)
    data, columns, starts = [], [], [0]
    for i in range(X.shape[0]):
        row = slice(X.indptr[i], X.indptr[i + 1])
        values = np.concatenate([X.data[row] * 0.25, X.data[row] * 0.75])
        mixed = rng.permutation(len(values))
        data.append(values[mixed])
        columns.append(np.tile(X.indices[row], 2)[mixed])
        starts.append(starts[-1] + len(values))
    whole = (np.concatenate(data), np.concatenate(columns), np.array(starts, np.int32))
    return sp.csr_array(whole, X.shape)


def wide_indices(X: Any) -> Any:
    found = X.copy()
    found.indices, found.indptr = (a.astype(np.int64) for a in (X.indices, X.indptr))
    return found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("k", [None, 3])
def test_sparse_rows_give_what_dense_ones_do(
    rule: str, batch: int, k: int | None
) -> None:
    X, y = problem(k)
    weight = np.random.default_rng(5).random(N)
    o: dict[str, Any] = {
        "optimizer": RULES[rule],
        "batch_size": batch,
        "epochs": 3,
        "sample_weight": weight,
        "intercept": True,
    }
    want = lls.fit(X.toarray(), y, **o)
    for sparse in (X, disordered(X), wide_indices(X), X.tocsc(), X.tocoo()):
        done = lls.fit(sparse, y, **o)
        np.testing.assert_allclose(done.coef, want.coef, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(done.intercept, want.intercept, rtol=1e-11)
        np.testing.assert_allclose(done.loss, want.loss, rtol=1e-11)
        assert done.n_updates == want.n_updates


def trained(X: Any, y: Array, optimizer: Any, batch: int, *, average: bool) -> Array:
    trainer = lls.Trainer(
        L, optimizer=optimizer, batch_size=batch, average=average, dtype=X.dtype
    )
    for _ in range(3):
        trainer.partial_fit(X, y)
    return trainer.model.coef


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "inside"])
@pytest.mark.parametrize("batch", [1, 2, 64, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_left_alone_would_have_stayed(
    rule: str, batch: int, dtype: Any
) -> None:
    """An average is of all coefficients, so it makes each update one of all."""
    X, y = problem(dtype=dtype)
    some, every = (
        trained(X, y, RULES[rule], batch, average=average) for average in (False, True)
    )
    assert np.array_equal(some, every)
    assert np.count_nonzero(some) > L // 2


def test_an_option_that_moves_all_columns_is_seen_within_a_batch() -> None:
    X, y = problem()
    rows = np.arange(N)

    def run(*, average: bool) -> Array:
        trainer = lls.Trainer(L, optimizer=RULES["sgd"], batch_size=30, average=average)
        trainer.penalise(N)
        found = block("test", X, y)
        trainer.run(found, Route(rows[:47]))
        trainer.optimizer.param_groups[0]["weight_decay"] = 0.2
        trainer.run(found, Route(rows[47:70]))
        trainer.optimizer.param_groups[0]["weight_decay"] = 0.0
        trainer.run(found, Route(rows[70:]))
        trainer.flush()
        return trainer.model.coef

    assert np.array_equal(run(average=False), run(average=True))


RESTING = [kernel for kernel in kernels() if kernel.rests]


def test_these_rules_rest() -> None:
    assert {k.rule for k in RESTING} == {"sgd", "adagrad", "adagrad_inside"}


@pytest.mark.parametrize("kernel", RESTING, ids=label)
def test_elements_without_gradient_rest(kernel: _core.Kernel) -> None:
    dtype = {"f32": np.float32, "f64": np.float64}[kernel.dtype]
    options = hyper_of(kernel) | {"weight_decay": 0.0}
    p = np.linspace(-3, 3, 50).astype(dtype)
    states = tuple(random_state(kernel, 1, 50).values())
    before = [a.copy() for a in (p, *states)]
    engine = _core.Engine(kernel.rule, (p,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, states)
    engine.set_group(0, tuple(options[name] for name in kernel.hyper), 1.0)
    engine.bound()
    for _ in range(3):
        engine.step(np.zeros(50, dtype))
    assert all(np.array_equal(a, b) for a, b in zip((p, *states), before))


BROKEN = {
    "column": ("indices", 3, L, "is no valid sparse matrix"),
    "negative": ("indices", 3, -1, "is no valid sparse matrix"),
    "start": ("indptr", N, 10**6, "is no valid sparse matrix"),
    "decreasing": ("indptr", 4, 0, "is no valid sparse matrix"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_matrix_that_points_outside_is_refused(case: str) -> None:
    X, y = problem()
    attribute, at, value, words = BROKEN[case]
    getattr(X, attribute)[at] = value
    with pytest.raises(ValueError, match=f"^fit: X {words}"):
        lls.fit(X, y, optimizer=RULES["sgd"])
    with pytest.raises(ValueError, match=f"^max_stable_lr: X {words}"):
        lls.max_stable_lr(X)


@pytest.mark.parametrize("column", [L, -1])
@pytest.mark.parametrize("wide", [False, True])
def test_a_column_outside_is_refused_where_columns_ascend(
    column: int, wide: bool
) -> None:
    """At the end of a row, or at its beginning."""
    X, y = problem()
    X = wide_indices(X) if wide else X
    row = int(np.diff(X.indptr).argmax())
    at = X.indptr[row + 1] - 1 if column == L else X.indptr[row]
    X.indices[at] = column
    with pytest.raises(ValueError, match="point outside of it"):
        lls.fit(X, y, optimizer=RULES["sgd"])
