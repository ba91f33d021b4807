"""gradstep.minimize refuses what does not fit, and says what would."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import gradstep as gs
from gradstep import lr_scheduler as lrs
from minimizing import SGD, X0, f4, grad, loss, run

Array = Any

PAIRS = [(-0.5, 1.9), (-0.7, None), (0.1, 1.7)]


def stranger(opt: Any) -> Any:
    return lrs.ConstantLR(gs.SGD(np.ones(2), lr=0.1), 0.3, 7)


METHODS: list[tuple[Any, Any, type[Exception], str]] = [
    (
        None,
        {},
        TypeError,
        "minimize: optimizer must be callable, such as gradstep.Adam",
    ),
    (gs.Adam(np.ones(2)), {}, TypeError, "optimizer must be callable.*got Adam"),
    (
        gs.Adam,
        {"lrr": 0.1},
        TypeError,
        "unknown hyperparameter 'lrr'; did you mean 'lr'",
    ),
    (gs.Adam, {"lr": -0.1}, ValueError, r"lr must be in \[0, inf\), got -0.1"),
    (gs.Adam, {"scheduler": 3}, TypeError, "scheduler must be callable.*got int"),
    (gs.SAM, {"rho": 0.1}, TypeError, "base of SAM must be callable.*NoneType"),
    (gs.SAM, {"base": gs.SGD(np.ones(2))}, TypeError, "base of SAM.*got SGD"),
]


@pytest.mark.parametrize(("optimizer", "options", "error", "message"), METHODS)
def test_methods_are_checked_when_made(
    optimizer: Any, options: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        gs.minimize(optimizer, **options)


RUNS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (lambda _: None, {}, TypeError, "optimizer must return a gradstep opt.*NoneType"),
    (lambda w: gs.SGD(w.copy()), {}, TypeError, "of the array that it was given.*SGD"),
    (partial(gs.SGD, maximize=True), {}, ValueError, "maximize of SGD must be False"),
    (
        partial(gs.SAM, base=partial(gs.Lion, maximize=True)),
        {},
        ValueError,
        "maximize of Lion must be False.*return the negative loss",
    ),
    (gs.ScheduleFreeSGD, {"bounds": PAIRS}, ValueError, "None for ScheduleFreeSGD"),
    (
        partial(gs.SAM, base=gs.ScheduleFreeAdamW),
        {"bounds": PAIRS},
        ValueError,
        "bounds must be None for ScheduleFreeAdamW, whose average",
    ),
    (
        partial(gs.ScheduleFree, base=gs.SGD),
        {"bounds": PAIRS},
        ValueError,
        "bounds must be None for ScheduleFree, whose average",
    ),
    (gs.SGD, {"gtoll": 1}, TypeError, "unknown option 'gtoll'; did you mean 'gtol'"),
    (gs.SGD, {"momentum": 0.5}, TypeError, "'momentum'; it has maxiter, maxfev, gtol"),
    (gs.SGD, {"gtol": -1e-3}, ValueError, r"gtol must be in \[0, inf\), got -0.001"),
    (gs.SGD, {"xtol": "small"}, TypeError, "xtol must be a real number, got str"),
    (gs.SGD, {"ftol": math.nan}, ValueError, "ftol must be in .*got nan"),
    (gs.SGD, {"tol": math.inf}, ValueError, "tol must be in .*got inf"),
    (gs.SGD, {"maxiter": 1e3}, TypeError, "maxiter must be int, got float"),
    (gs.SGD, {"maxfev": -1}, ValueError, "maxfev must be in .*got -1"),
    (gs.SGD, {"eps": 0.0}, ValueError, r"eps must be in \[2.22045e-16, 1\], got 0.0"),
    (gs.SGD, {"disp": "yes"}, TypeError, "disp must be True or False, got str"),
    (gs.SGD, {"callback": 3}, TypeError, "callback must be callable.*got int"),
    (gs.SGD, {"bounds": [(0, 1)] * 2}, ValueError, "as many variables as x0, 3, got 2"),
    (gs.SGD, {"bounds": 3}, TypeError, "bounds must be scipy.optimize.Bounds.*got 3"),
    (gs.SGD, {"bounds": [(0, 1, 2)] * 3}, TypeError, r"or a pair \(lower, upper\)"),
    (
        gs.SGD,
        {"bounds": [(0, 1), (2, 1), (0, 1)]},
        ValueError,
        r"bounds must have lower <= upper, got \(2.0, 1.0\) for variable 1",
    ),
    (gs.SGD, {"bounds": [(math.nan, 1)] * 3}, ValueError, "lower <= upper, got .nan"),
    (gs.SGD, {"bounds": [(math.inf, None)] * 3}, ValueError, "hold a finite float64"),
    (
        gs.SGD,
        {"bounds": [(0.1, 0.1)] * 3, "x0": np.ones(3, f4)},
        ValueError,
        r"hold a finite float32, got \(0.1, 0.1\) for variable 0",
    ),
    (gs.SGD, {"fun": lambda x: x}, ValueError, r"fun must return a number.*\(3,\)"),
    (gs.SGD, {"fun": lambda x: (1.0, x)}, ValueError, "pass jac=True"),
    (gs.SGD, {"fun": lambda _: None}, TypeError, "must return a real number, got None"),
    (gs.SGD, {"fun": lambda _: 1j}, TypeError, "must return a real number, got 1j"),
    (gs.SGD, {"jac": lambda x: x[:2]}, ValueError, r"shape \(3,\), as x has, got \(2,"),
    (gs.SGD, {"jac": lambda x: x[None]}, ValueError, r"as x has, got \(1, 3\)"),
    (gs.SGD, {"jac": lambda _: None}, TypeError, "jac must return .* got object"),
    (gs.SGD, {"jac": lambda x: 1j * x}, TypeError, "jac must return .* got complex128"),
    (gs.SGD, {"jac": lambda x: [x, 1]}, ValueError, "jac returned no array"),
    (gs.SGD, {"x0": [1j, 1]}, TypeError, "x0 must hold real numbers, got complex128"),
    (gs.SGD, {"x0": []}, ValueError, r"x0 must have shape \(n,\), n >= 1, got \(0,\)"),
    (gs.SGD, {"x0": [1, math.nan]}, ValueError, "x0 must be finite"),
]


@pytest.mark.parametrize(("optimizer", "changes", "error", "message"), RUNS)
def test_runs_refuse_what_does_not_fit(
    optimizer: Any, changes: dict[str, Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=f"minimize: .*{message}"):
        run(gs.minimize(optimizer), **changes)


@pytest.mark.parametrize(
    ("scheduler", "error", "message"),
    [
        (lambda _: None, TypeError, "must return one of gradstep.lr_.*NoneType"),
        (
            stranger,
            ValueError,
            "must return a scheduler of the optimizer that it was given",
        ),
    ],
)
def test_schedulers_are_checked(scheduler: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"minimize: scheduler {message}"):
        run(gs.minimize(gs.SGD, scheduler=scheduler))


@pytest.mark.parametrize(
    "constraints",
    [{"type": "eq", "fun": loss}, scipy.optimize.LinearConstraint(np.eye(3), 0, 1)],
)
def test_constraints_are_refused(constraints: Any) -> None:
    for given in (constraints, [constraints]):
        with pytest.raises(ValueError, match="minimize: constraints must be empty"):
            SGD(loss, X0, jac=grad, constraints=given)
    assert SGD(loss, X0, jac=grad, constraints=[]).success


def test_a_method_called_directly_checks_what_scipy_does() -> None:
    with pytest.raises(TypeError, match=r"jac must be callable, or None.*got True"):
        SGD(loss, X0, jac=True)
    with pytest.raises(TypeError, match="fun must be callable, got float"):
        SGD(3.0, X0, jac=grad)
    with pytest.raises(ValueError, match=r"x0 must have shape \(n,\).*got \(1, 3\)"):
        SGD(loss, X0[None], jac=grad)
    assert SGD(loss, X0, jac=False).njev > 0
