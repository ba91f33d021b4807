"""The paths of optimizers over the contours of a function."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradstep.plot import contours, styles
from gradstep.plot.arguments import Floats, count
from gradstep.plot.contours import Contours
from gradstep.plot.objective import (
    Bounds,
    Objective,
    bounds_of,
    named,
    objective,
)
from gradstep.plot.runs import Path, walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (7.2, 5.8)


class Trajectories(NamedTuple):
    """What `trajectories` drew.

    Attributes
    ----------
    contours : Contours
        The `bands` and the `lines` between them.
    lines : list of Line2D
        The path of each optimizer, in their order.
    ends : list of Line2D
        A larger marker where each path ends in the picture.
    start : Line2D
    minima : Line2D or None
        Those of a Surface, if it has any.
    paths : list of Path
        All that was computed, in the picture or not.
    """

    contours: Contours
    lines: list[Line2D]
    ends: list[Line2D]
    start: Line2D
    minima: Line2D | None
    paths: list[Path]


def trajectories(
    function: Any,
    optimizers: Any,
    start: npt.ArrayLike | None = None,
    *,
    steps: int = 100,
    bounds: Any = None,
    gradient: Any = None,
    ax: Axes | None = None,
) -> Trajectories:
    r"""Draw the paths of optimizers over the contours of a function of two variables.

    The paths are those of `gradstep.plot.paths`. Levels are logarithmic above the
    minimum, of a function that is no Surface above the least value in the picture,
    where even ones would leave most of it empty,

    .. math:: z_k = f^* + h_0 (h_1 / h_0)^{k / K}

    with the greatest height :math:`h_1` and the height :math:`h_0` that a thousandth of
    the picture is below.

    Parameters
    ----------
    function : gradstep.testfunctions.Surface, or callable
        Takes an array of shape (2,) and returns a number.
    optimizers : dict of str and callable, or list of callable
        Each takes the parameters, an array of shape (2,), and returns a gradstep
        optimizer of them: ``functools.partial(gs.SGD, lr=0.1)``. Of a list, labels are
        made of names and arguments.
    start : array_like, shape (2,), optional
        By default that of the Surface.
    steps : int, default 100
        How many to take, at least 1.
    bounds : ((x low, x high), (y low, y high)), optional
        What to draw, in the units of the parameters; by default that of the Surface.
    gradient : callable
        Of a function that is no Surface: takes an array of shape (2,) and returns one.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Trajectories
        The artists, and the paths.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    A path that is outside the bounds at its end is cut at the frame by which it left
    for good, and the legend says at which step that was, or at which step it diverged:
    that the point, the loss or the gradient was not finite, or that the loss at the end
    is above that at the start. A function that is no Surface is evaluated at some
    10,000 points, one at a time.

    Examples
    --------
    >>> import functools, gradstep as gs, gradstep.plot
    >>> from gradstep.testfunctions import saddle
    >>> methods = {
    ...     "SGD": functools.partial(gs.SGD, lr=0.05),
    ...     "RMSprop": functools.partial(gs.RMSprop, lr=0.02),
    ... }
    >>> drawn = gs.plot.trajectories(saddle, methods, steps=80)
    >>> [line.get_label() for line in drawn.lines]
    ['SGD', 'RMSprop (left at step 12)']
    >>> bool(abs(drawn.paths[0].points[-1]).max() < 1e-3)  # the saddle point is at 0
    True
    """
    who = "plot.trajectories"
    found = computed(who, function, optimizers, start, steps, bounds, gradient)
    figure, axes = styles.axes(who, ax, SIZE)
    return draw(figure, axes, found)


class Computed(NamedTuple):
    """All that is drawn: what is minimised, the heights in a frame, and the paths."""

    goal: Objective
    frame: Bounds
    heights: tuple[Floats, Floats, Floats]
    paths: list[Path]


def computed(
    who: str,
    function: Any,
    optimizers: Any,
    start: Any,
    steps: object,
    bounds: Any,
    gradient: Any,
) -> Computed:
    """Return all that is drawn, of arguments that are checked."""
    factories = named(who, optimizers)
    whole = count(who, "steps", steps)
    goal = objective(who, function, gradient, start)
    if goal.start.size != 2:
        raise ValueError(
            f"{who}: start must have shape (2,), as contours have two variables, got "
            f"{goal.start.shape}"
        )
    frame = bounds_of(who, function, bounds)
    if not inside(goal.start, frame):
        raise ValueError(
            f"{who}: start {goal.start.tolist()} must be inside bounds {frame}"
        )
    heights = contours.heights(who, function, frame)
    return Computed(goal, frame, heights, walk(who, goal, factories, whole))


def draw(figure: "Figure | None", ax: Axes, found: Computed) -> Trajectories:
    """Draw contours, paths, their ends, the start and the minima."""
    goal, frame = found.goal, found.frame
    at = contours.levels(found.heights[2], goal.minimum)
    ground = contours.draw(ax, found.heights, at)
    lines, ends = [], []
    for k, path in enumerate(found.paths):
        shown, label = cut(path, frame)
        style = styles.look(k)
        (line,) = ax.plot(
            *shown.T,
            label=label,
            markevery=styles.spaced(len(shown), k),
            zorder=3,
            **style,
        )
        lines.append(line)
        ends.append(_end(ax, shown[-1:], style))
    start = _point(ax, goal.start[np.newaxis], "start", "o", 7.0, "white")
    minima = None
    if goal.minima:
        least = np.array(goal.minima)
        label = "minimum" if len(least) == 1 else "minima"
        minima = _point(ax, least, label, "*", 15.0, "none")
    (low, high), (bottom, top) = frame
    ax.set(xlim=(low, high), ylim=(bottom, top), xlabel="x", ylabel="y")
    handles = [*lines, start, *([] if minima is None else [minima])]
    styles.legend(figure, ax, handles)
    return Trajectories(ground, lines, ends, start, minima, found.paths)


def _end(ax: Axes, at: Floats, style: dict[str, Any]) -> Line2D:
    larger = style | {"markersize": 8.5, "markeredgewidth": 1.2, "linestyle": "None"}
    (end,) = ax.plot(*at.T, zorder=4, clip_on=False, **larger)
    return end


def _point(
    ax: Axes, at: Floats, label: str, marker: str, size: float, face: str
) -> Line2D:
    (drawn,) = ax.plot(
        *at.T,
        linestyle="None",
        marker=marker,
        markersize=size,
        markerfacecolor=face,
        markeredgecolor="black",
        markeredgewidth=1.3,
        label=label,
        zorder=4.5,  # where paths end in a minimum, both are to be seen
    )
    return drawn


def inside(points: Floats, frame: Bounds) -> Any:
    """Return of each point whether it is in the frame."""
    low, high = np.array(frame).T
    return ((points >= low) & (points <= high)).all(axis=-1)


def cut(path: Path, frame: Bounds) -> tuple[Floats, str]:
    """Return what of a path is drawn, and its label, which says where it ends."""
    within = inside(path.points, frame)
    if within[-1]:
        if path.diverged is None:
            return path.points, path.label
        return path.points, f"{path.label} (diverged at step {path.diverged})"
    last = int(np.flatnonzero(within)[-1])  # the start is inside
    shown = path.points[: last + 2].copy()
    shown[-1] = _crossing(shown[-2], shown[-1], frame)
    if path.diverged is not None or path.losses[-1] > path.losses[0]:
        step = last + 1 if path.diverged is None else path.diverged
        return shown, f"{path.label} (diverged at step {step})"
    return shown, f"{path.label} (left at step {last + 1})"


def _crossing(before: Floats, after: Floats, frame: Bounds) -> Floats:
    """Return where the line between two points crosses the frame."""
    low, high = np.array(frame).T
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        way = after - before
        share = np.where(way > 0, (high - before) / way, (low - before) / way)
    share = np.where(way == 0, np.inf, share)
    k = int(np.argmin(share))
    found: Floats = np.clip(before + share[k] * way, low, high)
    return found
