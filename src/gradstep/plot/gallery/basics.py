"""Optima, convexity and critical points."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gradstep.analysis import classify_critical_point
from gradstep.optimizers import SGD
from gradstep.plot import styles
from gradstep.plot.arguments import Floats
from gradstep.plot.gallery.picture import Picture, Section
from gradstep.plot.runs import Path, paths

STARTS = (-4.6, -3.6, -1.2, 0.9, 2.2, 4.4)

# The ends of the chords, the same on all three curves.
CHORD = (-2.2, 0.6)

# Hessians of x^2 + y^2, -x^2 - y^2 and x^2 - y^2.
HESSIANS = tuple(np.diag(d) for d in ([2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]))


def bowl(x: Floats) -> Floats:
    """Return x^2 / 8, which has one optimum."""
    return np.asarray(x**2 / 8)


def bumps(x: Floats) -> Floats:
    """Return x^2 / 8 + 1 - cos(2 x), which has three."""
    return np.asarray(x**2 / 8 + 1 - np.cos(2 * x))


def dent(x: Floats) -> Floats:
    """Return 1 - exp(-x^2), which has one optimum and is not convex."""
    return np.asarray(1 - np.exp(-(x**2)))


def descents(many: bool) -> list[Path]:
    """Return gradient descent from every start, on `bumps` or on `bowl`."""
    curve = bumps if many else bowl

    def value(x: Floats) -> float:
        return float(curve(x)[0])

    def slope(x: Floats) -> Floats:
        return x / 4 + 2 * np.sin(2 * x) if many else x / 4

    sgd = {"SGD": functools.partial(SGD, lr=0.1 if many else 0.8)}
    return [paths(value, sgd, [w], steps=40, gradient=slope)[0] for w in STARTS]


def draw_optima(figure: Figure) -> None:
    """Draw one optimum and many, and where descents end."""
    for many, ax in enumerate(figure.subplots(1, 2, sharex=True)):
        x = np.linspace(-5.2, 5.2, 401)
        ax.plot(x, (bumps if many else bowl)(x), color="0.55", linewidth=1.5)
        for path in descents(bool(many)):
            at, height = path.points[:, 0], path.losses
            ax.plot(at, height, color=styles.COLOURS[0], linewidth=2.2)
            ax.plot(at[0], height[0], "o", color="white", markeredgecolor="black")
            ax.plot(at[-1], height[-1], "s", color=styles.COLOURS[1], markersize=8)
        ax.set_title("many optima: multimodal" if many else "one optimum: unimodal")
        ax.set(xlabel="x", ylabel="f(x)")


def draw_convexity(figure: Figure) -> None:
    """Draw a chord on a convex, on a concave and on another curve."""
    curves: tuple[tuple[str, Callable[[Floats], Floats]], ...] = (
        ("convex: x²", lambda x: x**2),
        ("concave: \N{MINUS SIGN}x²", lambda x: -(x**2)),
        ("neither: 1 \N{MINUS SIGN} exp(\N{MINUS SIGN}x²)", dent),
    )
    ends = np.array(CHORD)
    for (title, curve), ax in zip(curves, figure.subplots(1, 3), strict=True):
        x = np.linspace(-2.6, 2.6, 301)
        ax.plot(x, curve(x), color=styles.COLOURS[0], linewidth=2)
        ax.plot(
            *(ends, curve(ends)), color=styles.COLOURS[1], marker="o", linestyle="--"
        )
        ax.set_title(title, fontsize="medium")
        ax.set(xlabel="x", ylabel="f(x)")


def draw_critical(figure: Figure) -> None:
    """Draw the three kinds of critical points, with the eigenvalues of the Hessian."""
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 21)])
    for k, hessian in enumerate(HESSIANS):
        ax: Any = figure.add_subplot(1, 3, k + 1, projection="3d")
        z = 0.5 * (hessian[0, 0] * x**2 + hessian[1, 1] * y**2)
        ax.plot_surface(
            *(x, y, z),
            rstride=1,
            cstride=1,
            cmap="cividis",
            edgecolor="0.35",
            linewidth=0.25,
            alpha=0.85,
        )
        ax.computed_zorder = False
        ax.plot(
            *([0], [0], [0]),
            marker="o",
            color="white",
            markeredgecolor="black",
            markersize=8,
            zorder=9,
        )
        kind, values = classify_critical_point(hessian)
        low, high = (f"{v:g}".replace("-", "\N{MINUS SIGN}") for v in values)
        ax.set_title(f"{kind}\neigenvalues {low}, {high}", fontsize="medium")
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[], xlabel="x", ylabel="y")
        ax.set_box_aspect((4, 4, 3), zoom=0.95)


SECTIONS = (
    Section(
        "One optimum or many",
        (
            Picture(
                name="optima",
                title="Where descent ends",
                text=(
                    "Gradient descent from six starts (circles). With one optimum all "
                    "descents end in it (squares). With several the start decides, and "
                    "only the two starts beside the middle reach the lowest."
                ),
                alt=(
                    "Left, a bowl: six descents end at its bottom. Right, a curve with "
                    "three valleys: two descents end in each, and the middle valley is "
                    "the lowest."
                ),
                draw=draw_optima,
                size=(7.2, 3.2),
                vector=True,
            ),
        ),
    ),
    Section(
        "Convex or not",
        (
            Picture(
                name="convexity",
                title="Chords of three curves",
                text=(
                    "The chord between two points of a convex function is nowhere "
                    "below it, that of a concave one nowhere above. The third curve "
                    "has one optimum and yet is neither: its chord crosses it."
                ),
                alt=(
                    "Three curves with a dashed chord each: above a parabola, below a "
                    "parabola upside down, and crossing a dent whose sides level off."
                ),
                draw=draw_convexity,
                size=(7.2, 2.9),
                vector=True,
            ),
        ),
    ),
    Section(
        "Critical points",
        (
            Picture(
                name="critical",
                title="Minimum, maximum and saddle point",
                text=(
                    "At all three points the gradient is 0. The eigenvalues of the "
                    "Hessian tell them apart: all positive, all negative, or of both "
                    "signs."
                ),
                alt=(
                    "Three surfaces: a bowl with the eigenvalues 2 and 2, a dome with "
                    "minus 2 and minus 2, and a saddle with minus 2 and 2."
                ),
                draw=draw_critical,
                size=(7.2, 3.2),
            ),
        ),
    ),
)
