"""Momentum, adaptive methods, and recent ones."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradstep.optimizers import (
    MADGRAD,
    SGD,
    AdaBelief,
    Adagrad,
    Adam,
    Adan,
    RMSprop,
    ScheduleFreeAdamW,
)
from gradstep.plot import styles
from gradstep.plot.arguments import Floats
from gradstep.plot.gallery.fitting import SCHEDULE_FREE
from gradstep.plot.gallery.picture import Picture, Scene, Section
from gradstep.plot.runs import Path, paths
from gradstep.testfunctions import beale, valley

# The rate of plain descent is 1/L: the best for the steep direction, where L = 100.
MOMENTUM = Scene(
    valley,
    {
        "gradient descent": partial(SGD, lr=0.01),
        "momentum": partial(SGD, lr=0.01, momentum=0.85),
        "Nesterov": partial(SGD, lr=0.01, momentum=0.85, nesterov=True),
    },
    steps=60,
    bounds=((-11.0, 3.0), (-1.2, 1.2)),
)

ADAPTIVE = Scene(
    valley,
    {
        "SGD": partial(SGD, lr=0.01),
        "Adagrad": partial(Adagrad, lr=0.2),
        "RMSprop": partial(RMSprop, lr=0.02),
        "Adam": partial(Adam, lr=0.05),
    },
    steps=80,
    start=(-1.0, 1.0),
    bounds=((-1.15, 0.35), (-0.35, 1.15)),
)

RECENT = Scene(
    beale,
    {
        "Adam": partial(Adam, lr=0.1),
        # As in the paper; the authors' code rectifies, too.
        "AdaBelief": partial(AdaBelief, lr=0.1, rectify=False),
        "MADGRAD": partial(MADGRAD, lr=0.05),
        "Adan": partial(Adan, lr=0.1),
        "schedule-free AdamW": partial(ScheduleFreeAdamW, lr=0.3),
    },
    steps=150,
    bounds=((0.6, 3.9), (-0.7, 1.4)),
)


def slope_lengths(steps: int = 40) -> dict[str, Floats]:
    """Return the lengths of steps down an even slope, where each gradient is 1."""
    rules = {
        "Adagrad": partial(Adagrad, lr=0.1),
        "RMSprop": partial(RMSprop, lr=0.1),
        "Adam": partial(Adam, lr=0.1),
    }
    found: list[Path] = paths(
        lambda w: float(w[0]), rules, [0.0], steps=steps, gradient=np.ones_like
    )
    return {path.label: -np.diff(path.points[:, 0]) for path in found}


def draw_momentum(figure: Figure) -> None:
    """Draw the paths in the valley, and the loss over the steps."""
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    MOMENTUM.onto(above)
    for k, path in enumerate(MOMENTUM.paths().values()):
        below.plot(
            path.losses, **styles.look(k) | {"markevery": (2 * k, 8), "linewidth": 1.6}
        )
    below.set(yscale="log", xlabel="step", ylabel="loss")
    below.grid(visible=True, alpha=0.3)


def draw_adaptive(figure: Figure) -> None:
    """Draw the paths in the valley, and step lengths on an even slope."""
    left, right = figure.subplots(1, 2, width_ratios=(5, 4))
    ADAPTIVE.onto(left)
    left.set_aspect("equal")
    left.set_title("paths in the valley", fontsize="medium")
    _draw_lengths(right)


def _draw_lengths(ax: Axes) -> None:
    order = list(ADAPTIVE.optimizers)
    for label, lengths in slope_lengths().items():
        k = order.index(label)
        look = styles.look(k) | {"markevery": (k, 6)}
        ax.plot(np.arange(1, len(lengths) + 1), lengths, **look)
    ax.set(xlabel="step", ylabel="length of the step", yscale="log")
    ax.set_title("where every gradient is 1", fontsize="medium")
    ax.grid(visible=True, alpha=0.3)


MOMENTA = Section(
    "Momentum and Nesterov's momentum",
    (
        Picture(
            name="momentum",
            title="A ball in a long valley",
            text=(
                "The valley is 100 times steeper across than along, and all three "
                "methods have the rate 1/L. Gradient descent is on the floor after one "
                "step and then creeps; momentum gathers speed along the valley and "
                "swings across it, Nesterov's swings less, and both are far ahead of "
                "gradient descent after 60 steps."
            ),
            alt=(
                "Above, contours of a long valley: gradient descent has gone half of "
                "the way along its floor, momentum swings from wall to wall and "
                "reaches the minimum. Below, losses over 60 steps: that of gradient "
                "descent falls slowest."
            ),
            draw=draw_momentum,
            size=(7.2, 6.6),
        ),
    ),
)

ADAPTED = Section(
    "Adaptive learning rates",
    (
        Picture(
            name="adaptive",
            title="A rate for each parameter",
            text=(
                "Where the slope is 100 times steeper in y than in x, SGD first goes "
                "down in y, while adaptive methods divide by the size of gradients and "
                "go as fast in both. On an even slope Adagrad's steps shrink like "
                "1/√k, those of RMSprop and Adam do not vanish."
            ),
            alt=(
                "Left, paths in a valley: SGD goes straight down and turns, the "
                "adaptive methods go along the diagonal to the minimum. Right, step "
                "lengths: Adagrad's fall all the way, the others' level off."
            ),
            draw=draw_adaptive,
            size=(7.2, 4.4),
        ),
    ),
)

NEWER = Section(
    "Recent methods",
    (
        Picture(
            name="recent",
            title="AdaBelief, MADGRAD, Adan and schedule-free AdamW beside Adam",
            text=(
                "On Beale's function AdaBelief, with the rate and the moving averages "
                "of Adam, comes nearer to the minimum in 150 steps. Adan's momentum is "
                "longer and carries it past the minimum; the path of schedule-free "
                "AdamW is that of its average."
            ),
            alt=(
                "Contours of Beale's function with five paths from (1, 1): four end at "
                "or close to the minimum (3, 0.5), Adan's to the right of it."
            ),
            draw=RECENT.draw,
            film=RECENT.film,
        ),
        SCHEDULE_FREE,
    ),
)
