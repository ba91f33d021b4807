"""Tall problems: factors of leaves by threads, and ridges far from the size of X."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import gradstep as gs
import rational
from gradstep import lls
from gradstep.lls.exact import blas, reduction
from training import distance, problem, weights


@pytest.fixture(params=[1, 2])
def small_leaves(request: Any, monkeypatch: Any) -> Any:
    """Leaves of 40 rows or so, of which threads take one each."""
    monkeypatch.setattr(reduction, "LEAF_BYTES", 8 * 6 * 40)
    monkeypatch.setattr(reduction, "BYTES", 8 * 6 * 400)
    before = gs.get_num_threads()
    gs.set_num_threads(request.param)
    yield
    gs.set_num_threads(before)


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("method", ["svd", "qr"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("mean", [0.0, 1e8])
def test_leaves_give_the_solution_of_all_rows(
    method: Any, intercept: bool, mean: float
) -> None:
    X, y = problem(2017, 5, 2)
    X, weight = X + mean, weights(2017)
    found = lls.solve(X, y, method=method, intercept=intercept, sample_weight=weight)
    exact = rational.solution(X, y, weight, intercept=intercept)
    want = np.array([[float(c) for c in w] for w in exact.coef]).T
    assert distance(found.coef, want) < 1e-14 * (1 if intercept else 1 + mean)
    assert found.rank == 5


@pytest.mark.usefixtures("small_leaves")
def test_leaves_change_no_bit_with_the_number_of_threads() -> None:
    X, y = problem(2017, 5)
    coefs = []
    for threads in (1, 2):
        gs.set_num_threads(threads)
        coefs.append(lls.solve(X, y).coef.tobytes())
    assert coefs[0] == coefs[1]


def test_singular_values_of_leaves_are_those_of_all_rows(monkeypatch: Any) -> None:
    X, y = problem(3000, 8)
    X[:, 3] = X[:, 2] + 1e-7 * X[:, 3]
    whole = np.linalg.svd(X, compute_uv=False)
    monkeypatch.setattr(reduction, "LEAF_BYTES", 8 * 9 * 50)
    np.testing.assert_allclose(lls.solve(X, y).singular_values, whole, rtol=1e-8)


def test_blas_threads_are_as_before() -> None:
    def of_blas() -> list[Any]:
        return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

    before = of_blas()
    with blas.one_thread():
        assert set(of_blas()) <= {1}
    assert of_blas() == before


@pytest.mark.parametrize("method", ["svd", "qr", "normal", "cg"])
@pytest.mark.parametrize(
    ("unit", "ridge"),
    [(1e-170, 1e-300), (1e-30, 5.0), (1e-9, 1.0), (1.0, 1e-9), (1.0, 1e12)],
)
def test_ridge_far_from_the_size_of_columns(
    method: Any, unit: float, ridge: float
) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((20, 2)) * unit
    y = X[:, 0] / unit + rng.standard_normal(20)
    exact = rational.solution(X, y, np.ones(20), intercept=False, ridge=ridge)
    want = np.array([float(Fraction(c)) for c in exact.coef[0]])
    for done in (
        lls.solve(X, y, ridge=ridge, method=method),
        lls.fit(X, y, ridge=ridge),
    ):
        np.testing.assert_allclose(done.coef, want, rtol=1e-13, atol=0)
