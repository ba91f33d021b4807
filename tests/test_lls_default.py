"""A fit without an optimizer: the minimiser, as a factorisation finds it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from gradstep import lls
from gradstep.sklearn import LLSRegressor
from training import bits, distance, mean_square, normal, problem, weights

LOADERS = {"diabetes": load_diabetes, "breast cancer": load_breast_cancer}


def exact(X: Any, y: Any, near: float = 1e-7, **o: Any) -> lls.Fit:
    """Assert that a fit is the minimiser, and return it."""
    done = lls.fit(X, y, **o)
    dense = X.toarray() if sparse.issparse(X) else X
    o = {k: v for k, v in o.items() if k in ("sample_weight", "ridge", "intercept")}
    w, b = normal(dense, y, **o)
    assert done.reason == "tol"
    assert done.coef.dtype == X.dtype
    assert distance(done.coef, w) < near
    if o.get("intercept"):
        assert distance(done.intercept, b) < near
    return done


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", LOADERS)
def test_known_data(name: str, intercept: bool) -> None:
    X, y = LOADERS[name](return_X_y=True)
    y = y.astype(np.float64)
    exact(X, y, intercept=intercept)
    exact(X, y, intercept=intercept, ridge=2.5)
    exact(X, y, intercept=intercept, sample_weight=weights(len(X)))
    exact(X, np.c_[y, X[:, 0] ** 2, 3 * y], intercept=intercept)


def test_many_rows() -> None:
    X, y = problem(100_000, 20)
    done = exact(X, y, 1e-10)
    assert done.epochs < 40
    weight = weights(100_000)
    exact(X, y, 1e-10, intercept=True, ridge=50.0, sample_weight=weight)


@pytest.mark.parametrize("intercept", [False, True])
def test_float32_comes_as_near_as_its_digits(intercept: bool) -> None:
    X, y = problem(500, 9, None, np.float32)
    exact(X, y, 1e-5, intercept=intercept, ridge=2.0)
    X[:, 2] += np.float32(1e4)
    exact(X, y, 1e-4, intercept=intercept)


@pytest.mark.parametrize("intercept", [False, True])
def test_sparse_rows(intercept: bool) -> None:
    rng = np.random.default_rng(0)
    X = sparse.random(2000, 30, 0.1, "csr", rng=rng)
    y = X @ np.arange(30.0) + rng.standard_normal(2000) + 1
    exact(X, y, 1e-9, intercept=intercept)
    exact(X, y, 1e-9, intercept=intercept, ridge=3.0, sample_weight=weights(2000))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("mean", [1e3, 1e6])
def test_means_and_sizes_far_apart(mean: float, intercept: bool) -> None:
    X, y = problem(50, 4)
    X[:, 2] += mean
    exact(X, y, intercept=intercept)
    X = problem(50, 4)[0] * [1e-4, 1, 1e4, 1]
    exact(X, y, intercept=intercept)


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e-100, 1e100, 1e200])
def test_units_beyond_those_of_squares(scale: float) -> None:
    """Squares of these leave the range of float64: the answer does not."""
    X, y = problem(50, 4)
    want = normal(X, y)[0]
    try:
        found = lls.fit(X * scale, y).coef
    except ValueError as error:
        # Refused: then for what it is.
        assert "NaN" not in str(error)  # noqa: PT017
    else:
        assert distance(found * scale, want) < 1e-9


def straight(n: int = 200, dtype: str = "f8") -> tuple[Any, Any]:
    """Two columns, and targets of coefficients 1 and 2 with some noise."""
    rng = np.random.default_rng(8)
    X = rng.standard_normal((n, 2)).astype(dtype)
    return X, X @ [1.0, 2.0] + 0.1 * rng.standard_normal(n)


@pytest.mark.parametrize("mean", [1e5, 1.7e9, -1e12])
@pytest.mark.parametrize("target_dtype", ["f4", "f8"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_mean_of_targets_costs_no_digits(
    dtype: str, target_dtype: str, mean: float
) -> None:
    X, y = straight(dtype=dtype)
    y = (y + mean).astype(target_dtype)
    want = lls.solve(X.astype("f8"), y.astype("f8"), intercept=True)
    done = lls.fit(X, y, intercept=True)
    assert distance(done.coef, want.coef) < 4 * np.finfo(dtype).eps
    assert distance(done.intercept, want.intercept) < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("target_dtype", ["i8", "f8"])
def test_nanoseconds_since_1970_are_fitted(target_dtype: str) -> None:
    X, y = straight()
    y = (1e3 * y + 1.7e18).astype(target_dtype)
    want = lls.solve(X, y, intercept=True)
    done = lls.fit(X, y, intercept=True)
    assert distance(done.coef, want.coef) < 1e-14


def test_targets_do_not_depend_on_one_another() -> None:
    X, y = straight()
    both = lls.fit(X, np.c_[1e9 * y + 1e15, y], intercept=True)
    for k, t in enumerate((1e9 * y + 1e15, y)):
        alone = lls.fit(X, t, intercept=True)
        assert both.coef[:, k].tobytes() == alone.coef.tobytes()
        assert both.intercept[k] == alone.intercept


@pytest.mark.parametrize(("dtype", "apart"), [("f4", 0.1), ("f8", 1e-5)])
def test_nearly_equal_columns_take_few_steps(dtype: str, apart: float) -> None:
    rng = np.random.default_rng(9)
    x = rng.standard_normal(500)
    X = np.c_[x, x + apart * rng.standard_normal(500)].astype(dtype)
    y = (X @ [1.0, 2.0] + rng.standard_normal(500)).astype(dtype)
    done = lls.fit(X, y, intercept=True)
    want = lls.solve(X.astype("f8"), y.astype("f8"), intercept=True)
    assert (done.reason, done.epochs < 10) == ("tol", True)
    assert distance(done.coef, want.coef) < 1e-7


def test_large_column_beside_a_column_of_ones() -> None:
    x = np.arange(100.0) + 4e9
    X = np.c_[x, np.ones(100)]
    done = lls.fit(X, 7 * x + 3)
    assert abs(done.coef[0] - 7) < 1e-6
    np.testing.assert_allclose(X @ done.coef, 7 * x + 3, rtol=1e-15)


@pytest.mark.parametrize("unit", [1e-170, 1e-100, 1e150])
@pytest.mark.parametrize("target_unit", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("intercept", [False, True])
def test_units_cost_no_digits(unit: float, target_unit: float, intercept: bool) -> None:
    X, y = straight()
    want = lls.solve(X, y, intercept=intercept)
    units = np.array([unit, 1.0])
    done = lls.fit(X * units, y * target_unit, intercept=intercept)
    np.testing.assert_allclose(
        done.coef / target_unit * units, want.coef, rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_coefficients_beyond_their_type_are_refused(dtype: str) -> None:
    X, y = straight(dtype=dtype)
    unit = np.finfo(dtype).max ** 0.6
    with pytest.raises(FloatingPointError, match=r"coef overflows float.*multiply X"):
        lls.fit(X / unit, y * unit)
    with pytest.raises(FloatingPointError, match=r"coef is too small .* divide X"):
        lls.fit(X * unit, y / unit)


@pytest.mark.parametrize("power", [-300, 0, 300])
def test_a_power_of_two_of_all_weights_changes_no_bit(power: int) -> None:
    X, y = straight()
    weight = weights(len(X))
    done = lls.fit(X, y, sample_weight=weight, intercept=True)
    scaled = lls.fit(X, y, sample_weight=weight * 2.0 ** (2 * power), intercept=True)
    assert bits(scaled) == bits(done)


def one_hot(n: int) -> Any:
    """Two categories, whose columns add up to 1, beside a large and a small column."""
    rng = np.random.default_rng(11)
    codes = [np.eye(k)[rng.integers(0, k, n)] for k in (3, 5)]
    return np.c_[*codes, 1e3 * rng.standard_normal(n), 1e-3 * rng.standard_normal(n)]


@pytest.mark.parametrize("n", [6, 300])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_of_several_solutions_the_shortest_is_returned(
    form: Any, intercept: bool, weighted: bool, n: int
) -> None:
    X = one_hot(n)
    y = X @ np.arange(1.0, 11) + np.random.default_rng(12).standard_normal(n)
    weight = weights(n) if weighted else None
    linear = LinearRegression(fit_intercept=intercept, tol=1e-14)
    linear.fit(X, y, sample_weight=weight)
    model = LLSRegressor(fit_intercept=intercept).fit(form(X), y, weight)
    assert distance(model.coef_, linear.coef_) < 1e-8
    np.testing.assert_allclose(model.intercept_, linear.intercept_, atol=1e-7)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_columns_that_depend_up_to_rounding_count_as_dependent(dtype: str) -> None:
    X = one_hot(500)[:, :8]
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(dtype)
    y = (X @ np.arange(8.0) + np.random.default_rng(1).standard_normal(500)).astype(
        dtype
    )
    want = lls.solve(X, y, intercept=True)
    assert want.rank == 6
    done = lls.fit(X, y, intercept=True)
    assert distance(done.coef, want.coef) < 16 * np.finfo(dtype).eps


def test_start_does_not_lengthen_the_solution() -> None:
    X = one_hot(300)
    y = X @ np.arange(1.0, 11)
    done = lls.fit(X, y, coef0=np.full(10, 3.0))
    assert distance(done.coef, lls.fit(X, y).coef) < 1e-9


def test_a_large_condition_is_named() -> None:
    rng = np.random.default_rng(13)
    x = rng.standard_normal(100)
    X = np.c_[x, x + 1e-14 * rng.standard_normal(100)]
    y = x + rng.standard_normal(100)
    with pytest.warns(lls.ConvergenceWarning, match=r"condition of X is about \de\+14"):
        done = lls.fit(X, y)
    assert "pass ridge" in done.message
    with pytest.warns(ConvergenceWarning, match=r"^LLSRegressor.fit: .* alpha > 0"):
        LLSRegressor().fit(X, y)


def test_ridge_does_not_need_the_number_of_rows_beforehand() -> None:
    X, y = straight()
    chunks = [(X[:70], y[:70]), (X[70:], y[70:])]
    whole = lls.fit(X, y, ridge=3.0, intercept=True)
    assert bits(lls.fit(chunks, ridge=3.0, intercept=True)) == bits(whole)


def dependent() -> tuple[Any, Any]:
    X, y = problem(50, 8)
    X[:, 5], X[:, 6] = X[:, 2], X[:, 1] + 2 * X[:, 0]
    return X, y


@pytest.mark.parametrize("intercept", [False, True])
def test_columns_that_depend_on_others_have_a_minimiser_too(intercept: bool) -> None:
    X, y = dependent()
    w, b = normal(X, y, intercept=intercept)
    done = lls.fit(X, y, intercept=intercept)
    least = mean_square(X, y, w, b)
    assert mean_square(X, y, done.coef, done.intercept) < least * (1 + 1e-12)
    assert distance(done.coef, w) < 1e-9
    exact(X, y, intercept=intercept, ridge=1.0)
    fat, short = problem(5, 12)
    done = lls.fit(fat, short, intercept=intercept)
    assert mean_square(fat, short, done.coef, done.intercept) < 1e-20
    if not intercept:
        assert distance(done.coef, normal(fat, short)[0]) < 1e-9


@pytest.mark.parametrize("intercept", [False, True])
def test_columns_that_do_not_vary(intercept: bool) -> None:
    X, y = problem(50, 4)
    for value in (3.0, 0.0):
        X[:, 2] = value
        exact(X, y, intercept=intercept)
    for target in (np.zeros(50), np.full(50, 3.0)):
        w, b = normal(X, target, intercept=intercept)
        done = lls.fit(X, target, intercept=intercept)
        np.testing.assert_allclose(done.coef, w, atol=1e-12)
        np.testing.assert_allclose(done.intercept, b, atol=1e-12)


def test_a_start_does_not_change_the_minimiser() -> None:
    X, y = problem(50, 4)
    exact(X, y, coef0=np.full(4, 1e3), intercept0=-4, intercept=True)
    w, b = normal(X, y, intercept=True)
    again = lls.fit(X, y, coef0=w, intercept0=b, intercept=True)
    assert distance(again.coef, w) < 1e-12


def test_too_few_steps_are_said() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.warns(lls.ConvergenceWarning, match="after 3 steps .* epochs"):
        done = lls.fit(X, y.astype(float), epochs=3)
    assert (done.epochs, done.reason) == (3, "epochs")
    assert len(done.loss) == 3
    loose = lls.fit(X, y.astype(float), tol=1e-3, intercept=True)
    assert loose.epochs < lls.fit(X, y.astype(float), intercept=True).epochs


def test_the_remedy_that_the_warning_names_exists() -> None:
    X, y = problem(50, 4)
    with pytest.warns(lls.ConvergenceWarning) as caught:
        lls.fit(X, y, epochs=1)
    if "lls.solve" in str(caught[0].message):
        assert hasattr(lls, "solve")


@pytest.mark.parametrize(
    "option",
    [
        {"batch_size": 5},
        {"scheduler": lambda _: None},
        {"average": True},
        {"average": 3},
        {"validation": 0.2},
        {"order": lambda _: [0]},
    ],
)
def test_what_needs_an_optimizer_says_so(option: dict[str, Any]) -> None:
    X, y = problem(50, 4)
    with pytest.raises(ValueError, match=f"fit: {next(iter(option))} needs an opti"):
        lls.fit(X, y, **option)


@pytest.mark.parametrize("standardize", [None, False])
def test_chunks_that_can_be_read_once_are_refused(standardize: bool | None) -> None:
    X, y = problem(50, 4)
    chunks = iter([(X[:20], y[:20]), (X[20:], y[20:])])
    with pytest.raises(ValueError, match="fit: X is an iterator"):
        lls.fit(chunks, standardize=standardize)


def test_chunks_are_the_array_that_they_are_cut_from() -> None:
    X, y = problem(900, 4)
    whole = lls.fit(X, y, intercept=True)
    for cuts in ([0, 20, 700, 900], [0, 256, 900], [0, 899, 899, 900]):
        chunks = [(X[i:j], y[i:j]) for i, j in pairwise(cuts)]
        assert bits(lls.fit(chunks, intercept=True)) == bits(whole)
