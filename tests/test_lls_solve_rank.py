"""Exact least squares without full rank, without data, beyond the range of floats."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep import lls
from gradstep.lls.exact import options, tall
from least_squares import WAYS, Array, error, exact, problem, solve

FACTORS = [way for way in WAYS if way[0] in ("svd", "qr")]
OUT_OF_RANGE = (FloatingPointError, np.linalg.LinAlgError)
RANK = pytest.warns(
    scipy.linalg.LinAlgWarning,
    match=r"^solve: X has rank \d of \d columns.*ridge > 0.*method='svd'",
)


def dependent(n: int, units: Array = 1.0) -> tuple[Array, Array, Array]:
    """Six columns of rank 4, the last constant; weights."""
    X, y, s = problem(n, 3, 2)
    X = np.c_[X[:, 0], X @ [[1.0], [-2.0], [0.5]], X[:, 1:], X[:, :1], np.full(n, 0.1)]
    return X * units, y, s


@pytest.mark.parametrize("kind", ["array", "blocks"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("n", [3, 4, 40])
def test_svd_gives_the_least_norm(kind: str, intercept: bool, n: int) -> None:
    X, y, s = dependent(n)
    found = solve(kind, X, y, s, method="svd", intercept=intercept)
    root, mean, ymean = np.sqrt(s)[:, None], 0.0, np.zeros(2)
    if intercept:
        mean, ymean = s @ X / s.sum(), s @ y / s.sum()
    # Of a product, since NumPy's cut of singular values goes by units.
    W = np.linalg.pinv(root * (X - mean), 1e-12) @ (root * (y - ymean))
    assert error(found.coef, W) < 1e-11
    assert error(found.intercept + mean @ W if intercept else ymean, ymean) < 1e-11
    assert found.rank == min(n, 4) - intercept
    assert found.condition == np.inf
    assert len(found.singular_values) == min(n, 6)


def test_svd_gives_the_least_norm_in_the_units_of_x() -> None:
    units = 10.0 ** np.array([-6, 6, 3, -3, 5, 0])
    X, y, _ = dependent(40, units)
    found = lls.solve(X, y)
    assert found.rank == 4
    # The same directions by orthogonal rows: W = X^T (X X^T)^+ y in long double.
    basis = (X / units)[:, [0, 2, 3, 5]]  # X = basis @ M
    M = np.zeros((4, 6))
    M[[0, 1, 2, 3, 0], [0, 2, 3, 5, 4]] = 1.0
    M[:3, 1] = [1.0, -2.0, 0.5]
    M *= units
    Z, *_ = exact(basis, y)
    rows = np.sqrt(np.square(M).sum(axis=1))  # M M^T is far from 1 without these
    scaled = M / rows[:, None]
    W = scaled.T @ np.linalg.solve(scaled @ scaled.T, (Z / rows[:, None]).astype(float))
    assert error(found.coef, W) < 1e-8
    assert np.linalg.norm(found.coef) < np.linalg.norm(W) * (1 + 1e-8)


@pytest.mark.parametrize("kind", ["array", "blocks"])
def test_qr_gives_zeros_and_warns(kind: str) -> None:
    X, y, s = dependent(40)
    least = lls.solve(X, y, sample_weight=s, intercept=True)
    with RANK as seen:
        found = solve(kind, X, y, s, method="qr", intercept=True)
    assert seen[0].filename.endswith(("least_squares.py", "test_lls_solve_rank.py"))
    assert (found.rank, found.condition) == (3, np.inf)
    assert ((found.coef == 0).sum(axis=0) == 3).all()
    np.testing.assert_allclose(found.residual, least.residual, 1e-12)


@pytest.mark.parametrize("kind", ["array", "blocks", "sparse"])
def test_normal_refuses_dependent_columns(kind: str) -> None:
    words = r"^solve: the columns of X depend.*pass ridge > 0, or method='svd'"
    for n in (2, 4, 40, 1000):
        X, y, s = dependent(n)
        with pytest.raises(np.linalg.LinAlgError, match=words):
            solve(kind, X, y, s, method="normal")
        found = solve(kind, X, y, s, method="normal", ridge=0.3)
        assert error(found.coef, exact(X, y, s, ridge=0.3)[0]) < 1e-10
    X, y, _ = problem(50, 2, None)
    X[:, 1] = X[:, 0] * (1 + 1e-9 * X[:, 1])  # of rank 2, but beyond its digits
    with pytest.raises(np.linalg.LinAlgError, match=words):
        solve(kind, X, y, method="normal")
    assert lls.solve(X, y).rank == 2
    X[:, 1] = X[:, 0] + 1e-5 * np.sin(np.arange(50))
    assert solve(kind, X, y, method="normal").rank == 2
    with pytest.raises(np.linalg.LinAlgError, match=words):
        solve(kind, X, y, method="normal", rcond=1e-4)


@pytest.mark.parametrize("kind", ["array", "sparse"])
def test_cg_gives_one_of_the_solutions(kind: str) -> None:
    X, y, s = dependent(40)
    least = lls.solve(X, y, sample_weight=s, intercept=True)
    found = solve(kind, X, y, s, method="cg", intercept=True)
    np.testing.assert_allclose(found.residual, least.residual, 1e-11)
    assert (found.rank, found.converged) == (None, True)
    assert found.coef[5].tolist() == [0, 0]  # the constant


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_rank_is_that_of_exact_arithmetic_in_any_units(seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    n, m, more = (data.draw(st.integers(1, high)) for high in (30, 6, 3))
    A = rng.standard_normal((n, m))
    X = np.c_[A, A @ rng.standard_normal((m, more))] * 10.0 ** rng.integers(
        -8, 9, m + more
    )
    intercept = data.draw(st.booleans())
    for method, kind in FACTORS:
        o = {"method": method, "intercept": intercept}
        y = rng.standard_normal(n)
        if method == "qr":
            with RANK:
                found = solve(kind, X, y, **o)
        else:
            found = solve(kind, X, y, **o)
        assert found.rank == min(m, n - intercept)


def test_rcond_draws_the_line() -> None:
    X, y, _ = problem(40, 3, None)
    X[:, 2] = X[:, 0] + 1e-5 * X[:, 2]
    assert lls.solve(X, y).rank == lls.solve(X, y, method="qr").rank == 3
    assert lls.solve(X, y, rcond=1e-4).rank == 2
    with RANK:
        assert lls.solve(X, y, method="qr", rcond=1e-4).rank == 2
    shape = tall.Shape(9, None, np.dtype(np.float64), False)
    default = options.checked("svd", False, 0.0, None)
    assert default.threshold(1000, shape) == 1000 * 2.0**-52
    assert default.threshold(5, shape) == 9 * 2.0**-52
    single = shape._replace(dtype=np.dtype(np.float32))
    assert default.threshold(5, single) == 3 * 2.0**-23
    # What rounding to float32 adds is no third direction.
    X[:, 2] = X[:, 0] + X[:, 1]
    assert lls.solve(X.astype(np.float32), y).rank == 2
    assert lls.solve(X.astype(np.float32), y, rcond=1e-12).rank == 3


@pytest.mark.parametrize(("method", "kind"), WAYS)
@pytest.mark.parametrize("ridge", [0.0, 0.4])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.filterwarnings("ignore:solve. X has rank 0")
def test_nothing_to_learn_from(
    method: str, kind: str, ridge: float, intercept: bool
) -> None:
    o: dict[str, Any] = {"method": method, "ridge": ridge, "intercept": intercept}
    X, y, s = problem(6, 3, 2)
    if method != "normal" or ridge:
        found = solve(kind, X[:0], y[:0], s[:0], **o)
        assert found.coef.tolist() == [[0, 0]] * 3
        assert np.array([found.intercept, found.residual]).tolist() == [[0, 0]] * 2
        assert found.rank in (3 if ridge else 0, None)
    found = solve(kind, X, y[:, :0], s, **o)
    assert (found.coef.shape, found.intercept.shape) == ((3, 0), (0,))
    found = solve(kind, X[:, :0], y, s, **o)
    mean = s @ y / s.sum() if intercept else np.zeros(2)
    assert (found.coef.shape, found.rank in (0, None)) == ((0, 2), True)
    np.testing.assert_allclose(found.intercept, mean, 1e-13)
    np.testing.assert_allclose(found.residual, s @ np.square(y - mean), 1e-13)


@pytest.mark.parametrize(("method", "kind"), WAYS)
def test_beyond_the_range_of_floats(method: str, kind: str) -> None:
    X, y, _ = problem(20, 3, None)
    o: dict[str, Any] = {"method": method, "intercept": True}
    want = solve(kind, X, y, **o).coef
    words = "^solve: .*overflow.*power of two"
    for c in (2.0**600, 2.0**-600, 2.0**-530):
        if method != "normal":  # which alone squares X
            np.testing.assert_allclose(c * solve(kind, c * X, y, **o).coef, want, 1e-12)
            continue
        with pytest.raises(OUT_OF_RANGE, match=r"^solve: "):
            solve(kind, c * X, y, **o)
    small = solve(kind, X, 2.0**-600 * y, **o).coef
    np.testing.assert_allclose(2.0**600 * small, want, 1e-12)
    for X2, y2 in ((X, 2.0**600 * y), (2.0**-600 * X, 2.0**480 * y)):
        with pytest.raises(OUT_OF_RANGE, match=r"^solve: "):
            solve(kind, X2, y2, **o)
    with pytest.raises(FloatingPointError, match=words):
        solve(kind, X.astype(np.float32), 1e39 * y, **o)
    with pytest.raises(FloatingPointError, match=words):
        solve(kind, X, y, np.full(20, 1e308), **o)
