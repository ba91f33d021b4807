"""All the tutorial's methods on one surface after another."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gradstep.optimizers import SGD, Adagrad, Adam, RMSprop
from gradstep.plot import styles
from gradstep.plot.gallery.picture import Picture, Scene, Section
from gradstep.plot.trajectory import cut
from gradstep.testfunctions import (
    beale,
    himmelblau,
    rastrigin,
    rosenbrock,
    saddle,
    valley,
)


def methods(
    sgd: float, adagrad: float, rmsprop: float, adam: float
) -> dict[str, Callable[[Any], Any]]:
    """Return the six methods with these rates; those with momentum have SGD's."""
    return {
        "SGD": partial(SGD, lr=sgd),
        "momentum": partial(SGD, lr=sgd, momentum=0.9),
        "Nesterov": partial(SGD, lr=sgd, momentum=0.9, nesterov=True),
        "Adagrad": partial(Adagrad, lr=adagrad),
        "RMSprop": partial(RMSprop, lr=rmsprop),
        "Adam": partial(Adam, lr=adam),
    }


SCENES = {
    "beale": Scene(
        beale,
        methods(0.01, 0.5, 0.03, 0.1),
        steps=120,
        bounds=((0.6, 3.6), (-1.2, 1.4)),
    ),
    "himmelblau": Scene(
        himmelblau, methods(0.01, 0.3, 0.05, 0.2), steps=100, start=(-0.3, -0.9)
    ),
    "valley": Scene(
        valley, methods(0.01, 0.8, 0.2, 0.4), steps=100, bounds=((-11, 4), (-1.2, 1.2))
    ),
    "saddle": Scene(saddle, methods(0.05, 0.05, 0.02, 0.05), steps=80),
    "rastrigin": Scene(
        rastrigin,
        {
            "SGD": partial(SGD, lr=0.001),
            "momentum 0.99": partial(SGD, lr=0.0005, momentum=0.99),
            "RMSprop": partial(RMSprop, lr=0.05),
            "Adam": partial(Adam, lr=0.1),
        },
        steps=500,
        start=(2.45, 1.6),
        bounds=((-0.8, 3.0), (-0.6, 2.8)),
    ),
    "rosenbrock": Scene(
        rosenbrock,
        methods(0.001, 0.4, 0.02, 0.1),
        steps=300,
        bounds=((-1.6, 1.4), (-0.4, 1.8)),
    ),
}


def draw_relief(figure: Figure) -> None:
    """Draw the saddle and the paths on it in three dimensions."""
    scene = SCENES["saddle"]
    (low, high), (bottom, top) = saddle.bounds
    grid = np.stack(
        np.meshgrid(np.linspace(low, high, 31), np.linspace(bottom, top, 31))
    )
    ax: Any = figure.add_subplot(projection="3d")
    ax.computed_zorder = False
    ax.plot_surface(
        *(*grid, saddle(grid)),
        rstride=1,
        cstride=1,
        cmap=styles.GROUND,
        edgecolor="#5d7186",
        linewidth=0.25,
        alpha=0.9,
        zorder=1,
    )
    lines = []
    for k, path in enumerate(scene.paths().values()):
        points, label = cut(path, saddle.bounds)
        style = styles.look(k) | {"markevery": styles.spaced(len(points), k)}
        at = (*points.T, np.asarray(saddle(points.T)))
        lines += ax.plot(*at, label=label, zorder=3, **style)
        end = {"markersize": 8.5, "markeredgewidth": 1.2, "linestyle": "None"}
        ax.plot(*(a[-1:] for a in at), zorder=4, **style | {"markevery": None} | end)
    ax.view_init(elev=35, azim=20)
    ax.set(xlabel="x", ylabel="y", zlabel="x² \N{MINUS SIGN} y²")
    ax.set_box_aspect((4, 4, 3), zoom=0.9)
    styles.below(figure, lines)


def _picture(name: str, title: str, text: str, alt: str) -> Picture:
    scene = SCENES[name]
    return Picture(
        name=name, title=title, text=text, alt=alt, draw=scene.draw, film=scene.film
    )


COMPARED = Section(
    "Comparison of the methods",
    (
        _picture(
            "beale",
            "Beale's function",
            "Momentum and Nesterov's momentum overshoot: they run past the bend, below "
            "all others, and turn back, like a ball that rolls downhill. SGD, with "
            "the same rate and no momentum, is still the farthest from the minimum "
            "after 120 steps.",
            "Contours of Beale's function with six paths from (1, 1) to the minimum at "
            "(3, 0.5); those with momentum sweep far below the others.",
        ),
        _picture(
            "himmelblau",
            "Himmelblau's function",
            "Four minima of the same height. From one and the same start SGD and both "
            "momenta end in the one at the lower left, Adagrad, RMSprop and Adam in "
            "the one at the upper left.",
            "Contours with four minima; from a start near the middle three paths go to "
            "the lower left and three to the upper left.",
        ),
        _picture(
            "valley",
            "A long valley",
            "SGD comes to the floor at once and is the farthest from the minimum after "
            "100 steps; momentum and Nesterov's momentum pass the minimum and come "
            "back.",
            "Contours of a long narrow valley; all six paths go along its floor to the "
            "right, SGD's ends far before the minimum.",
        ),
        _picture(
            "saddle",
            "A saddle point",
            "The start is on the ridge but for 0.00000001. SGD slides into the saddle "
            "point and sticks there, since the gradient across is so small; RMSprop "
            "divides by that size and has left the frame after 12 steps. The momenta "
            "leave, too, but not before 60.",
            "Contours of a saddle: SGD goes straight to the saddle point in the middle "
            "and stays; the paths of the other methods turn off and leave or go "
            "towards the upper edge.",
        ),
        Picture(
            name="relief",
            title="The same saddle in three dimensions",
            text=(
                "Seen from the side: SGD stands in the middle, where the surface is "
                "level, and all others have gone down."
            ),
            alt=(
                "A saddle surface with the six paths on it; SGD's ends in the middle, "
                "the others run down one side."
            ),
            draw=draw_relief,
        ),
        _picture(
            "rastrigin",
            "Rastrigin's function",
            "A grid of local minima. SGD, RMSprop and Adam end in the one next to the "
            "start; a momentum of 0.99 rolls over two ridges and ends lower, but none "
            "of them finds the global minimum.",
            "Contours with a grid of round hollows; three paths are short and end in "
            "the hollow beside the start, one crosses two ridges to the left.",
        ),
        _picture(
            "rosenbrock",
            "Rosenbrock's function",
            "The way into the bent valley is quick, the way along it slow: after 300 "
            "steps the two momenta are nearest to the minimum, and SGD has gone the "
            "least of the way.",
            "Contours of a bent valley with six paths from its upper left end; the two "
            "with momentum come close to the minimum at (1, 1).",
        ),
    ),
)
