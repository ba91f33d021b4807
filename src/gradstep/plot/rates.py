"""Learning rates that are too small, right and too high, on a parabola."""

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradstep.optimizers import SGD
from gradstep.plot import styles
from gradstep.plot.arguments import Floats, count, finite
from gradstep.plot.objective import Objective
from gradstep.plot.runs import Path, walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LearningRates(NamedTuple):
    """What `learning_rates` drew.

    Attributes
    ----------
    iterates : list of Line2D
        Of each rate, its points on the parabola, joined.
    losses : list of Line2D
        Of each rate, the loss over the steps.
    paths : list of Path
    """

    iterates: list[Line2D]
    losses: list[Line2D]
    paths: list[Path]


def learning_rates(
    rates: Sequence[float] | None = None,
    *,
    curvature: float = 1.0,
    start: float = -1.0,
    steps: int = 12,
    ax: Sequence[Axes] | None = None,
) -> LearningRates:
    r"""Draw gradient descent on a parabola with several learning rates.

    On :math:`f(w) = \frac{L}{2} w^2` a step by the rate :math:`\eta` multiplies w by a
    constant,

    .. math:: w_{k+1} = w_k - \eta L w_k = (1 - \eta L)\, w_k

    so that descent creeps from one side if :math:`\eta < 1/L`, is there in one step if
    :math:`\eta = 1/L`, goes from side to side and yet converges if :math:`1/L < \eta <
    2/L`, and diverges if :math:`\eta > 2/L`. Titles say which it is.

    Parameters
    ----------
    rates : sequence of float, optional
        :math:`\eta`, in [0, inf), at least one; by default :math:`0.1/L`, :math:`1/L`
        and :math:`2.1/L`: too small, right, and too high.
    curvature : float, default 1
        :math:`L`, above 0.
    start : float, default -1
        :math:`w_0`, not 0.
    steps : int, default 12
        How many to take, at least 1.
    ax : sequence of matplotlib Axes, optional
        One for each rate, and one for the losses; a new figure by default.

    Returns
    -------
    LearningRates
        The lines, and the paths.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    The steps are those of `gradstep.SGD`. A loss of 0 has no place on a logarithmic
    axis: the line ends before, and its label says so.

    References
    ----------
    Nesterov, "Introductory lectures on convex optimization", 2004, section 1.2.3.

    Examples
    --------
    >>> import gradstep as gs, gradstep.plot
    >>> drawn = gs.plot.learning_rates(steps=3)
    >>> [line.axes.get_title() for line in drawn.iterates]
    ['lr = 0.1 < 1/L: slow', 'lr = 1 = 1/L: right', 'lr = 2.1 > 2/L: diverges']
    >>> drawn.paths[0].points.ravel().round(3)
    array([-1.   , -0.9  , -0.81 , -0.729])
    """
    who = "plot.learning_rates"
    L = _one(f"{who}: curvature", curvature)
    if not L > 0:
        raise ValueError(f"{who}: curvature must be above 0, got {L}")
    w0 = _one(f"{who}: start", start)
    if w0 == 0:
        raise ValueError(f"{who}: start must not be 0, which is the minimum")
    chosen = _rates(who, rates, L)
    taken = count(who, "steps", steps)
    figure, where = _axes(who, ax, len(chosen))
    found = _paths(who, chosen, L, w0, taken)
    drawn = LearningRates([], [], found)
    width = 1.3 * abs(w0)
    for k, (path, lr) in enumerate(zip(found, chosen, strict=True)):
        drawn.iterates.append(_parabola(where[k], path, k, L, width))
        where[k].set_title(verdict(lr, L), fontsize="medium")
        drawn.losses.append(_losses(where[-1], path, k))
    where[-1].set(xlabel="step", ylabel="loss", yscale="log", title="loss")
    where[-1].title.set_fontsize("medium")
    where[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    where[-1].grid(visible=True, alpha=0.3)
    styles.legend(figure, where[-1], drawn.losses)
    return drawn


def verdict(lr: float, L: float) -> str:
    """Return what theory says of a rate, by its ratio to 1/L and 2/L."""
    # 1/L is rounded, and so is what L makes of it.
    ratio = next((n for n in (1.0, 2.0) if math.isclose(lr * L, n)), lr * L)
    if ratio == 0:
        return "lr = 0: does not move"
    if ratio < 1:
        return f"lr = {lr:g} < 1/L: slow"
    if ratio == 1:
        return f"lr = {lr:g} = 1/L: right"
    if ratio < 2:
        return f"1/L < lr = {lr:g} < 2/L: from side to side"
    if ratio == 2:
        return f"lr = {lr:g} = 2/L: from side to side for ever"
    return f"lr = {lr:g} > 2/L: diverges"


def _one(name: str, value: object) -> float:
    a = finite(name, value)
    if a.ndim or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be one number, got {value!r}")
    return float(a)


def _rates(who: str, rates: Any, L: float) -> list[float]:
    if rates is None:
        return [0.1 / L, 1.0 / L, 2.1 / L]
    a = finite(f"{who}: rates", rates)
    if a.ndim != 1 or not a.size or (a < 0).any():
        raise ValueError(
            f"{who}: rates must be a sequence of numbers in [0, inf), at least one, "
            f"got {rates!r}"
        )
    found: list[float] = a.tolist()
    return found


def _axes(who: str, ax: Any, rates: int) -> "tuple[Figure | None, list[Axes]]":
    """Return the figure that was made, or None, and the axes: two rows if they can."""
    if ax is None:
        rows = 2 if rates % 2 else 1
        columns = (rates + 1) // rows
        size = (3.6 * columns, 3.0 * rows)
        figure, made = plt.subplots(rows, columns, figsize=size, layout="constrained")
        return figure, list(np.ravel(made))
    found = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(found) != rates + 1:
        raise ValueError(
            f"{who}: ax must be {rates + 1} axes, one for each rate and one for the "
            f"losses, got {len(found)}"
        )
    return None, [styles.axes(who, one, (1, 1))[1] for one in found]


def _paths(who: str, rates: list[float], L: float, w0: float, steps: int) -> list[Path]:
    goal = Objective(
        lambda w: float(0.5 * L * w[0] ** 2), lambda w: L * w, np.array([w0])
    )
    # Two rates may be the same, so they are no keys.
    return [
        walk(who, goal, {f"lr = {lr:g}": functools.partial(SGD, lr=lr)}, steps)[0]
        for lr in rates
    ]


def _parabola(ax: Axes, path: Path, k: int, L: float, width: float) -> Line2D:
    w = np.linspace(-2.2 * width, 2.2 * width, 301)
    ax.plot(w, 0.5 * L * w**2, color="0.6", linewidth=1.2, zorder=1)
    line: Line2D
    (line,) = ax.plot(path.points[:, 0], path.losses, zorder=2, **styles.look(k))
    ax.plot(
        *(path.points[0, 0], path.losses[0]),
        marker="o",
        markersize=8,
        markerfacecolor="white",
        markeredgecolor="black",
        zorder=3,
    )
    # What diverges would make the others invisible: all have the same frame.
    ax.set(xlim=(-2 * width, 2 * width), ylim=(-0.1 * L * width**2, 2 * L * width**2))
    ax.set(xlabel="w", ylabel="f(w)")
    return line


def _losses(ax: Axes, path: Path, k: int) -> Line2D:
    shown: Floats = np.where(path.losses > 0, path.losses, np.nan)
    label = path.label
    zeros = np.flatnonzero(path.losses == 0)
    if zeros.size:
        label = f"{label} (0 from step {zeros[0]} on)"
    line: Line2D
    (line,) = ax.plot(shown, label=label, **styles.look(k))
    return line
