"""The paths of optimizers, step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from gradstep.plot import styles
from gradstep.plot.arguments import count
from gradstep.plot.trajectory import SIZE, Trajectories, computed, draw

# More frames make files larger and show nothing more.
_FRAMES = 100


def animate(
    function: Any,
    optimizers: Any,
    start: npt.ArrayLike | None = None,
    *,
    steps: int = 100,
    frames: int | None = None,
    bounds: Any = None,
    gradient: Any = None,
    ax: Axes | None = None,
) -> FuncAnimation:
    """Return an animation of what `trajectories` draws, as the steps are taken.

    Parameters
    ----------
    function, optimizers, start, steps, bounds, gradient, ax
        As in `gradstep.plot.trajectories`.
    frames : int, optional
        How many pictures, evenly spaced over the steps, at least 2; by default one for
        each step and the start, at most 100.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep it as long as it is shown. ``.save("x.gif", writer="pillow")`` writes it,
        and ``.save("x.mp4")`` where ffmpeg is installed.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    The legend says from the first frame on which path leaves, and when.

    Examples
    --------
    >>> import functools, gradstep as gs, gradstep.plot, pathlib, tempfile
    >>> from gradstep.testfunctions import saddle
    >>> methods = [functools.partial(gs.SGD, lr=0.05), gs.Adam]
    >>> film = gs.plot.animate(saddle, methods, steps=20, frames=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film.save(f"{folder}/saddle.gif", writer="pillow")
    ...     pathlib.Path(f"{folder}/saddle.gif").read_bytes()[:6]
    b'GIF89a'
    """
    who = "plot.animate"
    chosen = None if frames is None else count(who, "frames", frames, 2)
    found = computed(who, function, optimizers, start, steps, bounds, gradient)
    figure, axes = styles.axes(who, ax, SIZE)
    film = moving(draw(figure, axes, found), steps, chosen)
    if figure is not None:
        # The layout stays as it is: found anew for each frame, it takes most time.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    whole = axes.get_figure(root=True)
    assert whole is not None
    return FuncAnimation(
        whole,
        film.show,
        frames=film.steps,
        interval=60,
        repeat_delay=1500,
        cache_frame_data=False,
    )


class Film(NamedTuple):
    """What moves in a picture of paths, and what shows the first so many steps."""

    artists: list[Artist]
    steps: list[int]
    show: Callable[[int], list[Artist]]


def moving(drawn: Trajectories, steps: int, frames: int | None = None) -> Film:
    """Return what moves in a picture that shows the ends of paths."""
    ax = drawn.start.axes
    assert isinstance(ax, Axes)
    clock = ax.text(
        *(0.985, 0.97),
        "step 0",
        transform=ax.transAxes,
        horizontalalignment="right",
        verticalalignment="top",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0},
        zorder=5,
    )
    at = np.linspace(0, steps, frames or min(steps + 1, _FRAMES))
    artists: list[Artist] = [*drawn.lines, *drawn.ends, drawn.start, clock]
    if drawn.minima is not None:
        artists.append(drawn.minima)  # stays, but above what moves
    shown = [np.array(line.get_xydata()) for line in drawn.lines]

    def show(step: int) -> list[Artist]:
        for k, (points, line, end) in enumerate(
            zip(shown, drawn.lines, drawn.ends, strict=True)
        ):
            past = points[: step + 1]
            line.set_data(*past.T)
            every = styles.spaced(len(points), k)
            line.set_markevery([i for i in every if i < len(past)])
            end.set_data(*past[-1:].T)
        clock.set_text(f"step {step}")
        return artists

    return Film(artists, np.unique(np.round(at).astype(int)).tolist(), show)
