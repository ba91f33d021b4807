"""The paths of optimizers, by their own steps; nothing is drawn here."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradstep.minimization.box import Box
from gradstep.minimization.descent import Descent
from gradstep.minimization.problem import Problem
from gradstep.optimizer import Optimizer
from gradstep.plot.arguments import Floats, count
from gradstep.plot.objective import Factory, Objective, named, objective


class Path(NamedTuple):
    """Where an optimizer went.

    Attributes
    ----------
    label : str
    points : ndarray, shape (steps + 1, n)
        The start, and what the optimizer gives as its result after each step: the
        average, if that is its result.
    losses : ndarray, shape (steps + 1,)
        There.
    diverged : int or None
        The step that led to a point, a loss or a gradient that is not finite. Arrays
        end at the last point at which point and loss are.
    """

    label: str
    points: Floats
    losses: Floats
    diverged: int | None


def paths(
    function: Any,
    optimizers: Any,
    start: npt.ArrayLike | None = None,
    *,
    steps: int = 100,
    gradient: Any = None,
) -> list[Path]:
    r"""Return the paths of optimizers on a function, all from the same start.

    Each step of an optimizer is its own `step`, by the gradient where its rule wants
    it: at the parameters; for schedule-free rules at the point between them and the
    average; for SGD with ``form="velocity"`` and `nesterov` at its `lookahead`; for
    `SAM` at the parameters and at the worst point near them.

    Parameters
    ----------
    function : gradstep.testfunctions.Surface, or callable
        Takes an array of shape (n,) and returns a number.
    optimizers : dict of str and callable, or list of callable
        Each takes the parameters, an array of shape (n,), and returns a gradstep
        optimizer of them: ``functools.partial(gs.SGD, lr=0.1)``. Of a list, labels are
        made of names and arguments.
    start : array_like, shape (n,), optional
        By default that of the Surface.
    steps : int, default 100
        How many to take, at least 1.
    gradient : callable
        Of a function that is no Surface: takes an array of shape (n,) and returns one.

    Returns
    -------
    list of Path
        In the order of the optimizers.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Examples
    --------
    >>> import functools, gradstep as gs, gradstep.plot
    >>> from gradstep.testfunctions import saddle
    >>> sgd = functools.partial(gs.SGD, lr=0.25)
    >>> (path,) = gs.plot.paths(saddle, [sgd], start=(1.0, 0.5), steps=2)
    >>> path.label
    'SGD(lr=0.25)'
    >>> path.points
    array([[1.   , 0.5  ],
           [0.5  , 0.75 ],
           [0.25 , 1.125]])
    """
    who = "plot.paths"
    factories = named(who, optimizers)
    steps = count(who, "steps", steps)
    return walk(who, objective(who, function, gradient, start), factories, steps)


def walk(
    who: str, goal: Objective, factories: dict[str, Factory], steps: int
) -> list[Path]:
    """Return the paths of optimizers whose arguments have been checked."""
    return [
        _walk(f"{who}: optimizers[{label!r}]", label, goal, factory, steps)
        for label, factory in factories.items()
    ]


def _walk(name: str, label: str, goal: Objective, factory: Factory, steps: int) -> Path:
    w = goal.start.copy()
    optimizer = factory(w)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{name} must return a gradstep optimizer of the array that it was given, "
            f"such as gradstep.Adam does, got {type(optimizer).__name__}"
        )
    problem = Problem(goal.function, goal.gradient, (), Box(None, w), 2.0**-26)
    # To diverge is a lesson, not a mistake of which numpy has to warn.
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            run = Descent(problem, w, optimizer, None)
            seen = [run.now]
            while run.not_finite is None and run.nit < steps:
                run.iterate()
                # A gradient on the way may be what is not finite; then nothing moved.
                if run.now is not seen[-1]:
                    seen.append(run.now)
        except (TypeError, ValueError) as error:
            error.add_note(f"This was {name}.")
            raise
    if not (np.isfinite(seen[-1].x).all() and np.isfinite(seen[-1].fun)):
        del seen[-1]
    return Path(
        label,
        np.stack([point.x for point in seen]),
        np.array([point.fun for point in seen]),
        None if run.not_finite is None else run.nit,
    )
