"""The steps of an optimizer from point to point."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradstep.lr_scheduler import LRScheduler, ReduceLROnPlateau
from gradstep.minimization.problem import Point, Problem
from gradstep.minimization.stopping import Options
from gradstep.optimizer import Optimizer
from gradstep.optimizers import SAM
from gradstep.optimizers.averaging import Averaging
from gradstep.structure import Array

CONVERGED, MAXITER, MAXFEV, NOT_FINITE, CALLBACK = 0, 1, 2, 3, 99

Scheduler = LRScheduler | ReduceLROnPlateau


class Descent:
    """An optimizer at work on a problem: where it stands, and the best it has seen."""

    def __init__(
        self, problem: Problem, w: Array, optimizer: Any, scheduler: Any
    ) -> None:
        self._w = w
        self._optimizer = _check_optimizer(optimizer, w)
        # SAM leaves the result, and what a step does to it, to its base.
        is_sam = isinstance(optimizer, SAM)
        self._stepped: Optimizer = optimizer.base if is_sam else optimizer
        if problem.box.bounded and isinstance(self._stepped, Averaging):
            name = type(self._stepped).__name__
            raise ValueError(
                f"minimize: bounds must be None for {name}, whose average is found "
                "from parameters that nobody else changes; use another rule"
            )
        self._scheduler = None
        if scheduler is not None:
            self._scheduler = _check_scheduler(scheduler(optimizer), optimizer)
        self.problem = problem
        self.nit = 0
        self.before: Point | None = None
        self.now = self.best = problem.at(self._result())
        self.not_finite = self.now.not_finite()
        # Rules and schedules that warm up may stand still at first.
        self.has_moved = False

    def iterate(self) -> None:
        """Take a step, and evaluate the point that it leads to."""
        self.nit += 1
        if not self._step():
            self.not_finite = "the gradient"
            return
        self.problem.box.project(self._w)
        self.before, self.now = self.now, self.problem.at(self._result())
        self.not_finite = self.now.not_finite()
        if self.not_finite:
            return
        self.has_moved |= not np.array_equal(self.before.x, self.now.x)
        if self.now.fun < self.best.fun:
            self.best = self.now
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(self.now.fun)
        elif self._scheduler is not None:
            self._scheduler.step()

    def _result(self) -> Array:
        """Return a copy of the parameters, or of their average if there is one."""
        return np.array(self._stepped.results()[0])

    def _step(self) -> bool:
        """Step by gradients at the points that the rule asks for, if they are finite.

        Rules that go by signs would pass over infinity.
        """
        optimizer: Any = self._optimizer
        if optimizer.gradient_elsewhere():
            g = self._gradient(optimizer.lookahead())
        else:
            g = self._gradient(self._w)
        if not np.isfinite(g).all():
            return False
        if not isinstance(optimizer, SAM):
            optimizer.step(g)
            return True
        optimizer.first_step(g)
        g = self._gradient(self._w)
        if not np.isfinite(g).all():
            return False
        optimizer.second_step(g)
        return True

    def _gradient(self, point: Array) -> Array:
        """Return the gradient at a point, or at the nearest one in the box."""
        at = point.copy()
        self.problem.box.project(at)
        if np.array_equal(at, self.now.x):
            return self.now.jac
        if not np.isfinite(at).all():
            return np.full_like(at, np.nan)
        return self.problem.gradient(at)


def descend(
    run: Descent, options: Options, halted: Callable[[Point], bool]
) -> tuple[int, str]:
    """Iterate until something says stop; return the status, and a message."""
    while True:
        if run.not_finite is not None:
            return NOT_FINITE, _why_not_finite(run)
        if run.nit and halted(run.now):
            return CALLBACK, "`callback` raised `StopIteration`."
        before = run.before if run.has_moved else None
        held = options.held(before, run.now, run.problem.box)
        if held is not None:
            return CONVERGED, f"Optimization terminated successfully: {held}."
        if run.nit >= options.maxiter:
            return MAXITER, "Maximum number of iterations has been exceeded."
        if options.maxfev is not None and run.problem.nfev >= options.maxfev:
            return MAXFEV, "Maximum number of function evaluations has been exceeded."
        run.iterate()


def _why_not_finite(run: Descent) -> str:
    if run.nit == 0:
        return (
            f"At x0 {run.not_finite} is not finite; start where it is, or look for an "
            "error in fun."
        )
    return (
        f"In iteration {run.nit} {run.not_finite} was not finite; lower lr, or set "
        "bounds. x is the best point before."
    )


def _check_optimizer(optimizer: Any, w: Array) -> Optimizer:
    if not isinstance(optimizer, Optimizer) or _params(optimizer) != [[id(w)]]:
        raise TypeError(
            "minimize: optimizer must return a gradstep optimizer of the array that it "
            f"was given, such as gradstep.Adam does, got {type(optimizer).__name__}"
        )
    for found in (optimizer, getattr(optimizer, "base", optimizer)):
        if found.param_groups[0]["maximize"]:
            name = type(found).__name__
            raise ValueError(
                f"minimize: maximize of {name} must be False, got True; to maximize, "
                "return the negative loss and gradient"
            )
    return optimizer


def _params(optimizer: Optimizer) -> list[list[int]]:
    return [[id(p) for p in group["params"]] for group in optimizer.param_groups]


def _check_scheduler(scheduler: Any, optimizer: Any) -> Scheduler:
    if not isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)):
        raise TypeError(
            "minimize: scheduler must return one of gradstep.lr_scheduler, such as "
            "functools.partial(gradstep.lr_scheduler.StepLR, step_size=100) does, got "
            f"{type(scheduler).__name__}"
        )
    if scheduler.optimizer not in (optimizer, getattr(optimizer, "base", optimizer)):
        raise ValueError(
            "minimize: scheduler must return a scheduler of the optimizer that it was "
            "given, got one of another"
        )
    return scheduler
