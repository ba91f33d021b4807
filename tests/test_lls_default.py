"""A fit without an optimizer: the minimiser, as a factorisation finds it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes

from gradstep import lls
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


def dependent() -> tuple[Any, Any]:
    X, y = problem(50, 8)
    X[:, 5], X[:, 6] = X[:, 2], X[:, 1] + 2 * X[:, 0]
    return X, y


@pytest.mark.parametrize("intercept", [False, True])
def test_columns_that_depend_on_others_have_a_minimiser_too(intercept: bool) -> None:
    """Of the least size in its own units: in those of X if not standardized."""
    X, y = dependent()
    w, b = normal(X, y, intercept=intercept)
    done = lls.fit(X, y, intercept=intercept)
    least = mean_square(X, y, w, b)
    assert mean_square(X, y, done.coef, done.intercept) < least * (1 + 1e-12)
    plain = lls.fit(X, y, intercept=intercept, standardize=False)
    assert distance(plain.coef, w) < 1e-9
    exact(X, y, intercept=intercept, ridge=1.0)
    fat, short = problem(5, 12)
    done = lls.fit(fat, short, intercept=intercept, standardize=False)
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
