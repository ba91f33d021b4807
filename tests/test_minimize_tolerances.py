"""Where `minimize` stops: tolerances that hold exactly, or fail by one rounding."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import gradstep as gs

# x halves in every step of |x|^2 / 2 from 1: x, gradient and last step are 2^-k, and
# the loss is 4^-k.
HALVES = {
    # Option, its value, the step after which it holds, what the message names.
    "gtol": (0.125, 3, "gradient is at most gtol=0.125"),
    "xtol": (0.125, 3, "step was at most xtol=0.125"),
    "ftol": (0.1875, 2, "loss changed relatively by at most ftol=0.1875"),
}


def run(**options: Any) -> Any:
    with np.errstate(all="raise"):
        return scipy.optimize.minimize(
            lambda x: x @ x / 2,
            np.ones(2),
            jac=lambda x: x.copy(),
            method=gs.minimize(gs.SGD, lr=0.5),
            options={"gtol": 0.0, "maxiter": 40} | options,
        )


@pytest.mark.parametrize("name", HALVES)
def test_a_tolerance_that_is_met_exactly_ends_the_run(name: str) -> None:
    value, steps, words = HALVES[name]
    result = run(**{name: value})
    assert result.success
    assert words in result.message
    assert result.nit == steps
    assert result.x.tolist() == [0.5**steps] * 2


@pytest.mark.parametrize("name", HALVES)
def test_one_rounding_above_a_tolerance_is_one_step_more(name: str) -> None:
    value, steps, _ = HALVES[name]
    assert run(**{name: math.nextafter(value, 0)}).nit == steps + 1
    assert run(**{name: math.nextafter(value, 1)}).nit == steps


def test_a_tolerance_of_0_never_holds_but_for_the_gradient() -> None:
    assert run(xtol=0.0, ftol=0.0).nit == 40
    assert run(xtol=0.0, ftol=0.0, maxiter=0).nit == 0
    flat = scipy.optimize.minimize(
        lambda _: 3.0, np.ones(2), jac=np.zeros_like, method=gs.minimize(gs.SGD)
    )
    assert flat.nit == 0


@pytest.mark.parametrize("limit", ["maxiter", "maxfev"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_count_is_reached_and_not_passed(limit: str, count: int) -> None:
    result = run(**{limit: count})
    assert not result.success
    assert (result.nit if limit == "maxiter" else result.nfev) == count
    words = {"maxiter": "of iterations has been", "maxfev": "function evaluations has"}
    assert words[limit] in result.message
