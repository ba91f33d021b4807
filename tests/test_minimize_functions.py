"""gradstep.minimize and the user's functions: copies, differences, bounds."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.optimize import Bounds

import gradstep as gs
from minimizing import (
    SGD,
    TARGET,
    X0,
    by_hand,
    f4,
    f8,
    grad,
    loss,
    path,
    run,
    same,
)

Array = Any

SHIFTED = {"momentum": 0.7, "nesterov": True, "form": "velocity"}
ADAM = gs.minimize(gs.Adam, lr=0.3)
BOX = np.array([[-0.5, -0.7, 0.1], [1.9, math.inf, 1.7]])
PAIRS = [(-0.5, 1.9), (-0.7, None), (0.1, 1.7)]


# -- what functions are given and return


def test_nobody_writes_to_what_the_user_holds() -> None:
    x0 = X0.copy()
    seen: list[tuple[Array, bytes]] = []
    buffer = np.empty(3)

    def both(x: Array) -> tuple[float, Array]:
        seen.append((x, x.tobytes()))
        buffer[:] = grad(x)
        return loss(x), buffer

    def greedy(x: Array) -> float:
        value = loss(x)
        x[:] = math.nan
        return value

    expected = by_hand(partial(gs.Adam, lr=0.3), 9)
    found, iterates = path(ADAM, x0, fun=both, jac=True, maxiter=9, gtol=0)
    assert x0.tobytes() == X0.tobytes()
    assert all(x.tobytes() == then for x, then in seen)
    assert same(iterates, expected)
    assert found.jac.tobytes() == grad(found.x).tobytes()
    assert found.nfev == found.njev == len(seen) == 10
    assert same(path(ADAM, fun=greedy, maxiter=9, gtol=0)[1], expected)


@pytest.mark.parametrize(
    "wrap", [np.array, lambda v: [v], f8, lambda v: np.array([[v]])]
)
def test_a_loss_of_one_element_is_a_number(wrap: Any) -> None:
    found = run(SGD, fun=lambda x: wrap(loss(x)))
    assert type(found.fun) is float
    assert found.x.tobytes() == run(SGD).x.tobytes()


def test_arguments_are_passed_on() -> None:
    def fun(x: Array, scale: float, shift: float) -> float:
        return scale * loss(x - shift)

    def jac(x: Array, scale: float, shift: float) -> Array:
        return scale * grad(x - shift)

    found = run(SGD, fun=fun, jac=jac, args=(0.9, 0.4))
    assert abs(found.x - TARGET - 0.4).max() < 1e-5
    one = SGD(lambda x, a: a * loss(x), X0, args=1.0, jac=lambda x, a: a * grad(x))
    assert one.x.tobytes() == run(SGD).x.tobytes()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f4", f4), (">f4", f4), ("f8", f8), (">f8", f8), ("f2", f8), ("i4", f8)],
)
def test_only_float32_stays_short(dtype: str, expected: Any) -> None:
    x0 = np.array([2, -1, 1], dtype)
    kinds = set()

    def jac(x: Array) -> Array:
        kinds.add(x.dtype)
        return grad(x.astype(f8))

    found = run(SGD, x0, jac=jac, maxiter=3)
    assert found.x.dtype == found.jac.dtype == expected
    assert kinds == {np.dtype(expected)}
    assert run(SGD, 3.0, fun=lambda x: x @ x, jac=lambda x: 2 * x).x.shape == (1,)


# -- finite differences


@pytest.mark.parametrize("dtype", [f4, f8])
def test_differences_stand_in_for_a_gradient(dtype: Any) -> None:
    x0 = X0.astype(dtype)
    found = run(SGD, x0, jac=None, gtol=1e-4)
    assert found.success
    assert abs(found.x - TARGET).max() < 1e-4
    assert abs(found.jac - grad(found.x)).max() < 1e-5
    each = 1 + 3 + (dtype == f4)
    assert (found.nfev, found.njev) == (each * (found.nit + 1), found.nit + 1)


def test_the_step_of_differences_is_relative_beyond_one() -> None:
    seen: list[Array] = []

    def fun(x: Array) -> float:
        seen.append(x)
        return loss(x)

    run(SGD, [0.25, -3.0, 5e9], fun=fun, jac=None, maxiter=0, eps=2.0**-10)
    steps = [x - seen[0] for x in seen[1:]]
    expected = np.diag([2.0**-10, 3 * 2.0**-10, 5e9 * 2.0**-10])
    assert np.array_equal(steps, expected)


def test_a_second_gradient_by_differences_takes_the_loss_there() -> None:
    found = run(gs.minimize(gs.SGD, lr=0.05, **SHIFTED), jac=None, maxiter=4)
    # At x0 and after each step, and at three lookaheads that are not x0.
    assert (found.nfev, found.njev) == (5 * 4 + 3 * 4, 5 + 3)


# -- bounds


@pytest.mark.parametrize("bounds", [PAIRS, Bounds(BOX[0], BOX[1])])
@pytest.mark.parametrize("x0", [np.array([1.3, 0.2, 0.9]), np.array([7.0, -9.0, 0.3])])
def test_iterates_are_projected(bounds: Any, x0: Array) -> None:
    start = np.clip(x0, *BOX)
    expected = by_hand(partial(gs.Adam, lr=0.3), 12, start, BOX)
    _, seen = path(ADAM, x0, bounds=bounds, maxiter=12, gtol=0)
    assert same(seen, expected)


@pytest.mark.parametrize("jac", [grad, None])
def test_the_solution_in_a_box_ends_the_run(jac: Any) -> None:
    found = run(gs.minimize(gs.SGD, lr=0.2), jac=jac, bounds=PAIRS)
    assert found.success
    assert "projected gradient" in found.message
    solution = np.clip(TARGET, *BOX)
    assert abs(found.x - solution).max() < 1e-5
    assert found.x[1] == -0.7
    assert found.x[2] == 1.7
    assert found.jac[2] == pytest.approx(grad(solution)[2], rel=1e-6)


def test_a_gradient_that_points_out_of_the_box_counts_as_far_as_the_box() -> None:
    x0 = TARGET + np.array([1e-3, 2e-3, 0.0])  # gradients 1.4e-3 and 7.6e-3
    bounds = [(None, None), (x0[1], None), (None, x0[2] + 3e-3)]
    assert run(SGD, x0, gtol=2e-3).nit > 0
    assert run(SGD, x0, gtol=2e-3, bounds=bounds).nit == 0
    assert run(SGD, x0, gtol=1e-3, bounds=bounds).nit > 0
    slope = {"fun": lambda x: -x[2], "jac": lambda _: [0, 0, -1.0]}
    assert run(SGD, x0, gtol=4e-3, bounds=bounds, **slope).nit == 0
    assert run(SGD, x0, gtol=2e-3, bounds=bounds, **slope).nit > 0


@pytest.mark.parametrize("dtype", [f4, f8])
@pytest.mark.parametrize("jac", [grad, None])
@pytest.mark.parametrize(
    "method",
    [
        ADAM,
        gs.minimize(gs.SGD, lr=0.2, **SHIFTED),
        gs.minimize(gs.SAM, base=partial(gs.SGD, lr=0.2), rho=0.9),
    ],
    ids=["adam", "lookahead", "sam"],
)
def test_nothing_is_evaluated_outside(method: Any, jac: Any, dtype: Any) -> None:
    low = np.array([0.1, -0.7, 0.7])  # no float32 among them
    high = np.array([0.2, math.inf, 1.7])
    seen: list[Array] = []

    def within(function: Any) -> Any:
        def call(x: Array) -> Any:
            seen.append(x.astype(f8))
            return function(x)

        return call

    changes = {"fun": within(loss), "jac": jac and within(grad), "maxiter": 30}
    x0 = np.array([5, -5, 0.9], dtype)
    found = run(method, x0, bounds=Bounds(low, high), **changes)
    assert all((low <= x).all() and (x <= high).all() for x in seen)
    assert abs(np.array(seen) - high).min() < 1e-7
    assert found.x.dtype == dtype


def test_differences_fit_into_a_narrow_box() -> None:
    seen: list[Array] = []

    def fun(x: Array) -> float:
        seen.append(x)
        return loss(x)

    bounds = [(0.5, 0.5), (0.0, 2.0**-30), (-1.0, 1.0)]
    found = run(SGD, [0.5, 2.0**-31, 1.0], fun=fun, jac=None, bounds=bounds, maxiter=0)
    steps = [x - seen[0] for x in seen[1:]]
    assert np.array_equal(steps, [[0, 2.0**-31, 0], [0, 0, -(2.0**-26)]])
    assert found.jac[0] == 0


@pytest.mark.parametrize(
    "bounds", [None, [(None, None)] * 3, Bounds(-math.inf, math.inf)]
)
def test_infinite_bounds_are_none(bounds: Any) -> None:
    method = gs.minimize(gs.ScheduleFreeSGD, lr=0.1)
    found = run(method, bounds=bounds, maxiter=9)
    assert found.x.tobytes() == run(method, maxiter=9).x.tobytes()


def test_bounds_at_the_ends_of_all_floats_do_not_overflow() -> None:
    ends = Bounds(-1.7e308, 1.7e308)
    far = np.array([1.5e308, -1.5e308, 1.0])
    flat = {"fun": lambda _: 0.5, "jac": lambda _: np.array([1.7e308, 0, 0])}
    assert run(SGD, far, bounds=ends, maxiter=3, xtol=0.1, **flat).status in (0, 1)
    assert run(SGD, X0.astype(f4), bounds=ends).success
    assert run(SGD, far, bounds=ends, fun=lambda _: 0.5, jac=None).success
