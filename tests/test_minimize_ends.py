"""gradstep.minimize: where a run ends, and what it returns."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from minimizing import (
    SGD,
    TARGET,
    X0,
    by_hand,
    grad,
    loss,
    path,
    run,
    same,
)

Array = Any


def first(iterates: list[Array], rule: Callable[[Array, Array], bool]) -> int:
    pairs = zip([X0, *iterates], iterates)
    return next(k for k, (a, b) in enumerate(pairs, 1) if rule(a, b))


@pytest.mark.parametrize(
    ("option", "rule"),
    [
        ("gtol", lambda _, b: abs(grad(b)).max() <= 0.03),
        ("tol", lambda _, b: abs(grad(b)).max() <= 0.03),
        ("xtol", lambda a, b: abs(b - a).max() <= 0.03),
        ("ftol", lambda a, b: abs(loss(b) - loss(a)) <= 0.03 * max(loss(a), 1)),
    ],
)
@pytest.mark.parametrize("warm_up", [False, True])
def test_the_first_iterate_that_meets_a_rule_is_returned(
    option: str, rule: Any, warm_up: bool
) -> None:
    slow = partial(lrs.LambdaLR, lr_lambda=lambda t: float(t > 2))
    method = gs.minimize(
        gs.SGD, lr=0.11, momentum=0.4, scheduler=slow if warm_up else None
    )
    _, seen = path(method, maxiter=200, gtol=0)
    still = 3 if warm_up else 0  # and standing still is no success
    expected = still + first(seen[still:], rule)
    others_off = {} if option == "tol" else {"gtol": 0}
    found = run(method, **(others_off | {option: 0.03}))
    assert (found.nit, found.status, found.success) == (expected, 0, True)
    assert found.x.tobytes() == seen[expected - 1].tobytes()
    assert found.fun == loss(found.x)
    assert f"{'gtol' if option == 'tol' else option}=0.03" in found.message


@pytest.mark.parametrize("option", ["gtol", "xtol", "ftol"])
def test_a_rule_is_met_at_equality(option: str) -> None:
    """The tolerance is what an iterate has; one double less is not enough."""
    _, seen = path(SGD, maxiter=40, gtol=0)
    # Losses below 1 are compared as they are.
    k = next(k for k, x in enumerate(seen, 1) if loss(x) < 1) + 1
    a, b = seen[k - 2 : k]
    tol = {
        "gtol": abs(grad(b)).max(),
        "xtol": abs(b - a).max(),
        "ftol": abs(loss(b) - loss(a)),
    }[option]
    assert run(SGD, **({"gtol": 0} | {option: tol})).nit == k
    assert run(SGD, **({"gtol": 0} | {option: math.nextafter(tol, 0)})).nit > k


def test_gtol_goes_before_tol() -> None:
    assert run(SGD, tol=0.5, gtol=0.01).nit == run(SGD, gtol=0.01).nit
    assert run(SGD, tol=0.5).nit < run(SGD, gtol=0.01).nit


def test_a_start_at_the_minimum_takes_no_step() -> None:
    found = run(SGD, TARGET, maxiter=0, gtol=0)
    assert (found.nit, found.nfev, found.njev, found.success) == (0, 1, 1, True)


def test_iterations_and_evaluations_are_limited() -> None:
    found = run(SGD, maxiter=4)
    assert (found.nit, found.status, found.success) == (4, 1, False)
    assert found.message == "Maximum number of iterations has been exceeded."
    found = run(SGD, maxfev=6)
    assert (found.nit, found.nfev, found.status, found.success) == (5, 6, 2, False)
    assert found.message == "Maximum number of function evaluations has been exceeded."
    assert run(SGD, maxiter=0).nit == 0
    assert run(gs.minimize(gs.Signum, lr=0.1), maxiter=None).nit == 15000


def test_a_run_that_did_not_converge_returns_its_best_iterate() -> None:
    method = gs.minimize(gs.SGD, lr=0.05, momentum=0.97)
    found, seen = path(method, maxiter=25)
    losses = [loss(x) for x in (X0, *seen)]
    assert found.fun == min(losses) < losses[-1]
    assert found.x.tobytes() == [X0, *seen][int(np.argmin(losses))].tobytes()
    assert found.jac.tobytes() == grad(found.x).tobytes()
    worse = run(gs.minimize(gs.SGD, lr=0.4), maxiter=5)
    assert worse.x.tobytes() == X0.tobytes()


def test_a_callback_sees_copies_and_may_end_the_run() -> None:
    seen: list[Any] = []

    def plain(x: Array) -> bool:
        seen.append(x.copy())
        x[:] = 17.0
        return True  # which means nothing

    def rich(intermediate_result: Any) -> None:
        seen.append(intermediate_result)
        assert intermediate_result.fun == loss(intermediate_result.x)
        intermediate_result.x += 1
        if len(seen) == 4:
            raise StopIteration

    expected = by_hand(partial(gs.SGD, lr=0.36), 6)
    found = run(gs.minimize(gs.SGD, lr=0.36), maxiter=6, callback=plain)
    assert same(seen, expected)
    seen.clear()
    found = run(gs.minimize(gs.SGD, lr=0.36), callback=rich)
    assert (found.status, found.success, found.nit) == (99, False, 4)
    assert found.message == "`callback` raised `StopIteration`."
    assert found.x.tobytes() == expected[3].tobytes()  # where it was, not the best
    assert found.fun == loss(found.x) > loss(X0)


def test_a_callback_without_a_signature_gets_the_point() -> None:
    with pytest.raises(ValueError, match="no signature"):
        inspect.signature(max)
    assert run(SGD, callback=max).success


@pytest.mark.parametrize("what", ["the loss", "the gradient"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("cls", [gs.SGD, gs.Signum, gs.Lion])
def test_what_is_not_finite_ends_the_run(what: str, bad: float, cls: Any) -> None:
    calls = {"the loss": 0, "the gradient": 0}

    def spoilt(name: str, function: Any) -> Any:
        def call(x: Array) -> Any:
            calls[name] += 1
            return function(x) * (bad if calls[name] == 4 and name == what else 1.0)

        return call

    fun, jac = spoilt("the loss", loss), spoilt("the gradient", grad)
    found = run(gs.minimize(cls, lr=0.03), fun=fun, jac=jac)
    assert (found.status, found.success, found.nit) == (3, False, 3)
    assert found.message.startswith(f"In iteration 3 {what} was not finite; lower lr")
    assert found.fun == loss(found.x) < loss(X0)
    assert found.jac.tobytes() == grad(found.x).tobytes()


SECOND = [
    # The calls are at x0, at its worst point, at x1, at its worst point.
    (gs.minimize(gs.SAM, base=partial(gs.Rprop, lr=0.03)), {2: 1, 3: 1, 4: 2}),
    # At x0, which is the first lookahead; at x1, at the second lookahead, at x2.
    (
        gs.minimize(gs.SGD, lr=0.03, momentum=0.7, nesterov=True, form="velocity"),
        {2: 1, 3: 2, 4: 2},
    ),
]


@pytest.mark.parametrize(("method", "iterations"), SECOND, ids=["sam", "lookahead"])
@pytest.mark.parametrize("call", [2, 3, 4])
def test_a_second_gradient_that_is_not_finite_ends_the_run(
    method: Any, iterations: dict[int, int], call: int
) -> None:
    calls = []

    def jac(x: Array) -> Array:
        calls.append(x)
        return grad(x) * (math.nan if len(calls) == call else 1.0)

    found = run(method, jac=jac)
    assert (found.status, found.nit, len(calls)) == (3, iterations[call], call)
    assert f"In iteration {found.nit} the gradient was not finite" in found.message
    assert np.isfinite(found.x).all()


def test_functions_are_asked_at_finite_points_of_finite_loss_only() -> None:
    seen: list[Array] = []

    def jac(x: Array) -> Array:
        seen.append(x)
        return np.array([1.0, 0, 0])

    far = {"x0": [1.5e308, 0, 0], "fun": lambda _: 0.5, "jac": jac}
    found = run(gs.minimize(gs.SAM, base=gs.SGD, rho=1.5e308), **far)
    assert (found.status, found.nit, len(seen)) == (3, 1, 1)
    found = run(SGD, fun=lambda _: math.inf, jac=jac)
    assert (found.status, found.njev, len(seen)) == (3, 0, 1)


def test_a_run_that_diverges_names_the_iteration_and_the_rate() -> None:
    with np.errstate(over="ignore"):
        found = run(gs.minimize(gs.SGD, lr=1e100), fun=lambda x: float(x[0] > 0))
    assert found.status == 3
    assert "In iteration 4 x was not finite; lower lr" in found.message
    assert np.isfinite(found.x).all()


def test_a_start_that_is_not_finite_is_told_so() -> None:
    found = run(SGD, fun=lambda _: math.nan)
    assert (found.status, found.nit, found.success) == (3, 0, False)
    assert found.message.startswith("At x0 the loss is not finite; start where it is")
    assert found.x.tobytes() == X0.tobytes()
