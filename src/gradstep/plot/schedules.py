"""Learning rates over the count of steps."""

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt

from gradstep.lr_scheduler import LRScheduler
from gradstep.plot.arguments import count
from gradstep.schedules import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# More points than a picture has columns show nothing more.
_POINTS = 4000


def schedule(
    *schedules: Schedule | LRScheduler,
    steps: int,
    base: float = 1.0,
    ax: "Axes | None" = None,
) -> "list[Line2D]":
    """Draw schedules over the count of steps.

    Parameters
    ----------
    *schedules : Schedule or LRScheduler
        Of a scheduler, what it sets first: a line for each group, if they differ.
    steps : int
        How many to draw, from 0, at least 1.
    base : float, default 1
        Where schedules begin; schedulers begin where their optimizer does.
    ax : matplotlib Axes, optional
        Where to draw; new axes by default.

    Returns
    -------
    list of matplotlib Line2D
        In the order of the schedules.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.
    """
    if not schedules:
        raise TypeError("plot.schedule: pass at least one schedule or scheduler")
    last = count("plot.schedule", "steps", steps) - 1
    t = np.unique(np.linspace(0, last, min(last + 1, _POINTS)).astype(np.int64))
    curves = [curve for found in schedules for curve in _curves(found, t, base)]
    figure = None
    if ax is None:
        figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    # A value holds until the next step.
    lines = [
        ax.plot(t, y, label=fill(label, 60), drawstyle="steps-post", linewidth=1.5)[0]
        for label, y in curves
    ]
    ax.set(xlabel="step", ylabel="value", xlim=(0, max(last, 1)))
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.grid(visible=True, alpha=0.3)
    if figure is not None:  # beside the lines: labels are long
        figure.legend(handles=lines, loc="outside lower center", fontsize="small")
    else:
        ax.legend(fontsize="small")
    return lines


def _curves(
    found: Schedule | LRScheduler,
    t: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    base: float,
) -> "list[tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]]":
    """Return the label and the values of each line."""
    if isinstance(found, LRScheduler):
        values = found.values(t)
        name = type(found).__name__
        if all((y == values[0]).all() for y in values):
            return [(name, values[0])]
        return [(f"{name}, group {j}", y) for j, y in enumerate(values)]
    if isinstance(found, Schedule):
        return [(repr(found), found(t, base))]
    raise TypeError(
        f"plot.schedule: expected a schedule or scheduler, got {type(found).__name__}"
    )
