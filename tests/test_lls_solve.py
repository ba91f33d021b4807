"""Exact least squares: every method against long double, rank, scales, bits."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep import lls
from gradstep.lls.exact import sparse
from least_squares import WAYS, Array, error, exact, problem, solve

f4, f8 = np.float32, np.float64
METHODS = ("svd", "qr", "normal", "cg")
ways = pytest.mark.parametrize(("method", "kind"), WAYS)
methods = pytest.mark.parametrize("method", METHODS)


@ways
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("ridge", [0.0, 2.3])
@pytest.mark.parametrize("intercept", [False, True])
def test_every_method_minimises(
    method: str, kind: str, k: int | None, ridge: float, intercept: bool
) -> None:
    X, y, s = problem(43, 5, k)
    o: dict[str, Any] = {"intercept": intercept, "ridge": ridge}
    for weight in (None, s):
        found = solve(kind, X, y, weight, method=method, **o)
        W, b, residual = exact(X, y, weight, **o)
        assert found.coef.shape == W.shape
        assert np.shape(found.intercept) == np.shape(found.residual) == np.shape(b)
        assert error(found.coef, W) < 3e-14
        assert error(found.residual, residual) < 1e-13
        assert error(found.intercept, b) < 1e-13
        assert (found.method, found.converged) == (method, True)
        assert found.rank == (None if method == "cg" else 5)
        if k is None:
            assert type(found.intercept) is type(found.residual) is float


def test_each_kind_of_data_has_its_default() -> None:
    X, y, _ = problem(20, 3, None)
    kinds = ("array", "blocks", "sparse")
    assert [solve(kind, X, y).method for kind in kinds] == ["svd", "qr", "cg"]
    assert lls.solve(X, y).intercept == 0.0


@ways
@pytest.mark.parametrize("n", [4, 7])
def test_a_ridge_makes_up_for_rows_that_lack(method: str, kind: str, n: int) -> None:
    X, y, s = problem(n, 7, 2)
    for intercept in (False, True):
        o: dict[str, Any] = {"intercept": intercept, "ridge": 0.37}
        found = solve(kind, X, y, s, method=method, **o)
        for mine, true in zip(
            (found.coef, found.intercept, found.residual), exact(X, y, s, **o)
        ):
            assert error(mine, true) < (1e-11 if method == "normal" else 1e-13)
        assert found.rank == (None if method == "cg" else 7)


@ways
@pytest.mark.parametrize("intercept", [False, True])
def test_float32_is_solved_in_float64(method: str, kind: str, intercept: bool) -> None:
    X, y, s = problem(50, 4, 2)
    X4, y4 = X.astype(f4), y.astype(f4)
    o: dict[str, Any] = {"method": method, "intercept": intercept}
    found = solve(kind, X4, y4, s, **o)
    want = solve(kind, X4.astype(f8), y4.astype(f8), s, **o)
    assert found.coef.dtype == f4
    assert found.coef.tobytes() == want.coef.astype(f4).tobytes()
    assert found.intercept.tobytes() == want.intercept.astype(f4).tobytes()
    assert found.residual.tobytes() == want.residual.tobytes()


@methods
def test_layout_and_type_do_not_matter_and_nothing_is_written(method: str) -> None:
    X, y, s = (np.round(8 * a) for a in problem(30, 3, 2))
    o: dict[str, Any] = {"method": method, "intercept": True}
    want = lls.solve(X, y, sample_weight=s, **o)
    kept = [a.tobytes() for a in (X, y, s)]
    for a in (X, y, s):
        a.flags.writeable = False
    wide = np.zeros((60, 7))
    wide[::2, 1:7:2] = X
    for X2 in (X.copy("F"), wide[::2, 1:7:2], X.astype("i2"), X.astype(">f8")):
        for y2, s2 in ((y.copy("F"), s.tolist()), (y.tolist(), s.astype("u1"))):
            found = lls.solve(X2, y2, sample_weight=s2, **o)
            assert found.coef.tobytes() == want.coef.tobytes()
    assert [a.tobytes() for a in (X, y, s)] == kept
    if method in ("normal", "cg"):
        given = scipy.sparse.csr_array(X)
        parts = [a.copy() for a in (given.data, given.indices, given.indptr)]
        lls.solve(given, y, sample_weight=s, **o)
        for a, b in zip(parts, (given.data, given.indices, given.indptr)):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
@pytest.mark.parametrize("method", ["cg", "normal"])
def test_every_sparse_format(form: str, method: str) -> None:
    X, y, s = problem(60, 6, 2)
    X[np.random.default_rng(3).random(X.shape) < 0.6] = 0
    for intercept in (False, True):
        W, b, _ = exact(X, y, s, intercept)
        for kind in (scipy.sparse.coo_array, scipy.sparse.coo_matrix):
            given = kind(X).asformat(form)
            o: dict[str, Any] = {"sample_weight": s, "intercept": intercept}
            found = lls.solve(given, y, method=method, **o)
            assert error(found.coef, W) < 1e-13
            assert error(found.intercept, b) < 1e-13


def test_entries_of_a_sparse_array_that_come_twice_add_up() -> None:
    X, y, s = problem(12, 3, None)
    s[2] = 0
    columns, starts = np.tile([0, 1, 2, 2, 0, 1], 12), 6 * np.arange(13)
    halves = (np.c_[X / 4, 3 * X[:, [2, 0, 1]] / 4].ravel(), columns, starts)
    twice = scipy.sparse.csr_array(tuple(a.copy() for a in halves), shape=X.shape)
    for intercept in (False, True):
        found = lls.solve(twice, y, sample_weight=s, intercept=intercept).coef
        assert error(found, exact(X, y, s, intercept)[0]) < 1e-13
    _, norms = sparse.columns_of(sparse.checked_sparse(twice), s, True)
    want = np.linalg.norm(np.sqrt(s)[:, None] * (X - s @ X / s.sum()), axis=0)
    np.testing.assert_allclose(norms, want, 1e-13)
    for a, b in zip((twice.data, twice.indices, twice.indptr), halves):
        assert a.tolist() == b.tolist()  # nothing was written


@pytest.mark.parametrize("centred", [False, True])
def test_means_and_norms_of_sparse_columns(centred: bool) -> None:
    X, _, s = problem(50, 4, None)
    X[np.random.default_rng(3).random(X.shape) < 0.3] = 0
    X[:, 3] = 5e200 * (np.arange(50) > 1)
    M = X - centred * (s @ X) / s.sum()
    mean, norms = sparse.columns_of(scipy.sparse.csr_array(X), s, centred)
    np.testing.assert_allclose(mean, centred * (s @ X) / s.sum(), 1e-13)
    want = np.linalg.norm(np.sqrt(s)[:, None] * (M * [1, 1, 1, 1e-200]), axis=0)
    np.testing.assert_allclose(norms * [1, 1, 1, 1e-200], want, 1e-13)


@methods
def test_rows_of_weight_0_have_no_influence(method: str) -> None:
    X, y, s = problem(30, 4, None)
    far = np.full((5, 4), [1e30, -1e25, 1e200, 3.0])
    X2, y2, s2 = np.r_[far, X], np.r_[np.full(5, 1e150), y], np.r_[np.zeros(5), s]
    for kind in ("array", "blocks") if method != "cg" else ("array", "sparse"):
        o: dict[str, Any] = {"method": method, "intercept": True}
        found = solve(kind, X2, y2, s2, **o)
        assert error(found.coef, exact(X, y, s, True)[0]) < 1e-13


@ways
def test_units_of_features_do_not_matter(method: str, kind: str) -> None:
    X, y, s = problem(60, 5, None)
    units = 10.0 ** np.array([-8, 8, 0, -5, 6])
    for intercept in (False, True):
        W, *_ = exact(X, y, s, intercept)
        found = solve(kind, X * units, y, s, method=method, intercept=intercept)
        np.testing.assert_allclose(found.coef * units, W.astype(f8), 1e-12)
        assert found.condition < 20


@pytest.mark.parametrize(("method", "kind"), WAYS[:-1])  # not cg on sparse X
def test_the_intercept_survives_large_means(method: str, kind: str) -> None:
    X, y, s = (np.round(64 * a) for a in problem(200, 3, None))
    W, b, residual = exact(X, y, s, True)
    mean = np.array([1e8, -3e9, 5e7])
    found = solve(kind, X + mean, y + 1e9, s, method=method, intercept=True)
    assert error(found.coef, W) < 1e-13
    assert error(found.intercept, b + 1e9 - mean @ W) < 1e-13
    assert error(found.residual, residual) < 1e-11


def test_cg_says_where_means_are_too_large_for_sparse_x() -> None:
    X, y, s = problem(200, 3, None)
    W, *_ = exact(X, y, s, True)
    for mean in (1e3, 1e9):
        far = scipy.sparse.csr_array(X + mean)
        o: dict[str, Any] = {"sample_weight": s, "intercept": True}
        if mean == 1e3:
            assert error(lls.solve(far, y, **o).coef, W) < 1e-11
        else:
            with pytest.warns(scipy.linalg.LinAlgWarning, match="did not converge"):
                assert not lls.solve(far, y, **o).converged


def ill_conditioned(condition: float, n: int = 80, m: int = 8) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    U, V = (np.linalg.qr(rng.standard_normal((size, m)))[0] for size in (n, m))
    X = U * np.geomspace(1, 1 / condition, m) @ V.T
    return X, X @ rng.standard_normal(m) + 1e-3 * rng.standard_normal(n)


@ways
def test_only_the_normal_equations_square_the_condition(method: str, kind: str) -> None:
    X, y = ill_conditioned(1e6)
    found = solve(kind, X, y, method=method)
    wrong = error(found.coef, exact(X, y)[0])
    if method == "normal":
        assert 1e-9 < wrong < 1e-3
    else:
        assert wrong < 2e-10
    if method != "cg":
        assert 1e5 < found.condition < 1e7


@pytest.mark.parametrize("name", ["load_diabetes", "load_breast_cancer"])
@pytest.mark.parametrize("method", METHODS)
def test_on_real_data(name: str, method: str) -> None:
    from sklearn import datasets

    X, y = getattr(datasets, name)(return_X_y=True)
    for ridge in (0.0, 0.83):
        W, b, residual = exact(X, y, intercept=True, ridge=ridge)
        found = lls.solve(X, y, method=method, intercept=True, ridge=ridge)
        wrong = 1e-8 if method == "normal" else 1e-10
        assert error(found.coef, W) < wrong
        assert error(found.intercept, b) < wrong
        assert error(found.residual, residual) < 1e-12


def test_singular_values_and_condition() -> None:
    X, y, s = problem(40, 4, None)
    centred = np.sqrt(s)[:, None] * (X - s @ X / s.sum())
    for o, M in (({}, np.sqrt(s)[:, None] * X), ({"intercept": True}, centred)):
        want = np.linalg.svd(M, compute_uv=False)
        for kind in ("array", "blocks"):
            found = solve(kind, X, y, s, method="svd", ridge=0.7, **o)
            np.testing.assert_allclose(found.singular_values, want, 1e-13)
        norms = np.linalg.norm(M, axis=0)
        true = np.linalg.cond(M / norms)
        for method in METHODS:
            found = lls.solve(X, y, sample_weight=s, method=method, **o)
            assert true / 3 < found.condition < 3 * true
    wide = solve("blocks", X[:3], y[:3], method="svd")
    want = np.linalg.svd(X[:3], compute_uv=False)
    np.testing.assert_allclose(wide.singular_values, want, 1e-13)


def test_a_wide_problem_needs_no_square_matrix() -> None:
    X, y, _ = problem(6, 5000, None)
    for o in ({"ridge": 0.4}, {}):
        tracemalloc.start()
        found = lls.solve(X, y, **o)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30e6  # a square matrix has 200e6
        G = X @ X.T + o.get("ridge", 0.0) * np.eye(6)
        assert error(found.coef, X.T @ np.linalg.solve(G, y)) < 1e-12


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), way=st.sampled_from(WAYS), data=st.data())
def test_a_whole_weight_is_a_row_repeated(seed: int, way: Any, data: Any) -> None:
    n, m = data.draw(st.integers(12, 40)), data.draw(st.integers(1, 5))
    X, y, _ = problem(n, m, data.draw(st.sampled_from([None, 2])), seed)
    times = np.random.default_rng(seed).integers(0, 4, n)
    times[: m + 4] += 1
    o: dict[str, Any] = {"method": way[0], "intercept": data.draw(st.booleans())}
    o["ridge"] = data.draw(st.sampled_from([0.0, 1.3]))
    once = solve(way[1], X, y, times, **o)
    often = solve(way[1], X.repeat(times, axis=0), y.repeat(times, axis=0), **o)
    assert error(once.coef, often.coef) < 1e-11
    # An intercept is what is left of a mean of y, and may be as small as it likes.
    size = abs(y).max()
    assert error(once.intercept + size, often.intercept + size) < 1e-11
    np.testing.assert_allclose(once.residual, often.residual, 1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), way=st.sampled_from(WAYS), scale=st.integers(-60, 60)
)
def test_order_of_rows_and_powers_of_two(seed: int, way: Any, scale: int) -> None:
    X, y, s = problem(31, 4, 2, seed)
    o: dict[str, Any] = {"method": way[0], "intercept": True}
    found = solve(way[1], X, y, s, **o)
    rows = np.random.default_rng(seed).permutation(31)
    other = solve(way[1], X[rows], y[rows], s[rows], **o)
    assert error(other.coef, found.coef) < 1e-11
    c = 2.0**scale
    scaled = solve(way[1], X, c * y, s, **o)
    np.testing.assert_allclose(scaled.coef, c * found.coef, 1e-11)
    scaled = solve(way[1], c * X, y, s, ridge=0.6 * c * c, **o)
    same = solve(way[1], X, y, s, ridge=0.6, **o)
    np.testing.assert_allclose(scaled.coef * c, same.coef, 1e-11)


def test_cg_takes_turns_and_says_when_they_did_not_do() -> None:
    X, y = ill_conditioned(1e6, m=40)
    found = lls.solve(X, y, method="cg")
    assert error(found.coef, exact(X, y)[0]) < 1e-9
    X, y = ill_conditioned(1e8, m=40)
    with pytest.warns(scipy.linalg.LinAlgWarning, match=r"^solve: cg did not.*ridge"):
        found = lls.solve(X, y, method="cg")
    assert not found.converged
