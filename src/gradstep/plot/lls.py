"""The fit of two features: the data, and the plane through them."""

from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

from gradstep.plot.arguments import Floats, finite, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d.art3d import (
        Line3DCollection,
        Path3DCollection,
        Poly3DCollection,
    )

# More hide each other and the plane, and make figures slow to turn.
_POINTS = 5000

# Lines across the plane in each direction, by which the eye sees how it is inclined.
_LINES = 11

# Degrees, matplotlib's own first; and the sine of the angle to the plane from which on
# it looks like a plane. From one of these views the sine is 0.5 at least.
_AZIMUTHS, _EDGE = (-60.0, 30.0, -150.0, 120.0), 0.25

# Lengths of the axes, matplotlib's own.
_BOX = (4.0, 4.0, 3.0)

# Told apart by any eye, and dark on light without colours (Okabe & Ito, 2008).
_DATA, _PLANE = "#0072B2", "#E69F00"


class Plane(NamedTuple):
    """What `lls3d` drew: the data, the plane, and the residuals if asked for."""

    scatter: "Path3DCollection"
    surface: "Poly3DCollection"
    residuals: "Line3DCollection | None"


def lls3d(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    coef: Any,
    intercept: Any = 0.0,
    *,
    names: "Sequence[str] | None" = None,
    residuals: bool = False,
    ax: "Axes | None" = None,
) -> Plane:
    r"""Draw the data and the fitted plane of linear least squares with two features.

    The points are :math:`(x_{i1}, x_{i2}, y_i)`, the plane

    .. math:: \hat y(x_1, x_2) = w_1 x_1 + w_2 x_2 + b

    over the rectangle that the features span.

    Parameters
    ----------
    X : array_like, shape (N, 2)
        At least one row. Of more than 5000 rows, 5000 are drawn, evenly spaced from the
        first to the last, and the legend says so.
    y : array_like, shape (N,) or (N, 1)
    coef : array_like, shape (2,) or (2, 1), or a fit
        :math:`w`; or what has the attributes `coef` and `intercept`, such as what
        `gradstep.lls.fit` returns.
    intercept : float, or array_like of shape (1,), default 0
        :math:`b`; left out if a fit has one.
    names : sequence of three str, optional
        Of the two features and the target, with their units.
    residuals : bool, default False
        Whether to draw the residual of each point drawn, a line to the plane.
    ax : matplotlib Axes3D, optional
        Where to draw, as it is turned; by default a new figure, turned so that the
        plane is not seen from its edge.

    Returns
    -------
    Plane
        The artists `scatter`, `surface`, and `residuals` or None.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    ``drawn.scatter.axes.view_init(elev=20, azim=40)`` looks from elsewhere.

    Examples
    --------
    >>> import gradstep as gs, gradstep.plot
    >>> from gradstep.datasets import wdbc
    >>> X, y = wdbc()
    >>> names = ("mean radius / px", "mean area / px²", "mean perimeter / px")
    >>> w = [[7.3], [-0.01]]
    >>> drawn = gs.plot.lls3d(X, y, w, names=names, residuals=True)
    >>> drawn.scatter.axes.get_zlabel()
    'mean perimeter / px'
    """
    Xa, ya = _data(X, y)
    w, b = _plane(coef, intercept)
    example = "('radius / px', 'area / px²', 'perimeter / px')"
    labels: tuple[str, ...] = ("X[:, 0]", "X[:, 1]", "y")
    if names is not None:
        labels = texts("plot.lls3d: names", names, 3, example)
    if not isinstance(residuals, (bool, np.bool_)):
        raise TypeError(
            "plot.lls3d: residuals must be True or False, got "
            f"{type(residuals).__name__}"
        )
    x1, x2 = np.meshgrid(_range(Xa[:, 0]), _range(Xa[:, 1]))
    plane = (x1, x2, _height(x1, x2, w, b))
    shown = np.unique(np.linspace(0, len(Xa) - 1, min(len(Xa), _POINTS)).astype(int))
    points = np.column_stack([Xa[shown], ya[shown]])
    feet = points.copy()
    feet[:, 2] = _height(points[:, 0], points[:, 1], w, b)
    figure, axes = _axes(ax)
    drawn = _draw(axes, points, plane, feet if residuals else None)
    drawn.scatter.set_label(_count(len(shown), len(Xa)))
    for axis, label in zip((axes.xaxis, axes.yaxis, axes.zaxis), labels):
        wrapped = fill(label, 26)
        axis.set_label_text(wrapped)
        axis.labelpad = 8 + 6 * wrapped.count("\n")  # points, beyond the ticks' labels
    _legend(figure, axes, drawn)
    if figure is not None:
        _turn(axes, w)
    return drawn


def _data(X: object, y: object) -> tuple[Floats, Floats]:
    """Return the features (N, 2) and the target (N,)."""
    Xa, ya = finite("plot.lls3d: X", X), finite("plot.lls3d: y", y)
    if Xa.ndim != 2 or Xa.shape[1] != 2 or not len(Xa):
        raise ValueError(
            "plot.lls3d: X must have shape (N, 2), N at least 1, got "
            f"{Xa.shape}; choose two features, as X[:, [0, 3]]"
        )
    if ya.shape not in ((len(Xa),), (len(Xa), 1)):
        raise ValueError(
            f"plot.lls3d: y must have shape ({len(Xa)},) or ({len(Xa)}, 1), as X has "
            f"{len(Xa)} rows, got {ya.shape}"
        )
    return Xa, ya.reshape(-1)


def _plane(coef: Any, intercept: Any) -> tuple[Floats, float]:
    """Return the two slopes and the height at 0."""
    if hasattr(coef, "coef"):
        fit, coef = coef, coef.coef
        if hasattr(fit, "intercept"):
            if not np.array_equal(intercept, 0.0):
                raise TypeError(
                    f"plot.lls3d: intercept is {intercept!r}, but "
                    f"{type(fit).__name__} has one of its own; pass one of the two"
                )
            intercept = fit.intercept
    w = finite("plot.lls3d: coef", coef)
    if w.shape not in ((2,), (2, 1)):
        raise ValueError(
            f"plot.lls3d: coef must have shape (2,) or (2, 1), got {w.shape}; of "
            "several targets draw one, as y[:, k] and coef[:, k]"
        )
    b = finite("plot.lls3d: intercept", intercept)
    if b.shape not in ((), (1,)):
        raise ValueError(
            f"plot.lls3d: intercept must be one number, got shape {b.shape}"
        )
    return w.reshape(2), float(b.reshape(()))


def _range(x: Floats) -> Floats:
    """Return points from the least to the greatest, some way around if they are one."""
    low, high = float(x.min()), float(x.max())
    if low == high:
        around = 0.05 * abs(low) or 0.5
        low, high = low - around, high + around
    return np.linspace(low, high, _LINES)


def _height(x1: Floats, x2: Floats, w: Floats, b: float) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        height: Floats = w[0] * x1 + w[1] * x2 + b
    if not np.isfinite(height).all():
        raise ValueError(
            f"plot.lls3d: coef {w.tolist()} gives a plane that is not finite over X; "
            "scale the features"
        )
    return height


def _axes(ax: Any) -> tuple[Any, Any]:
    """Return the figure that was made, or None, and the axes."""
    if ax is None:
        figure = plt.figure(figsize=(6, 5.5), layout="constrained")
        axes: Any = figure.add_subplot(projection="3d")
        axes.set_box_aspect(_BOX, zoom=0.84)  # or labels are cut off
        # By its own reckoning all points lie behind the plane, or all before it.
        axes.computed_zorder = False
        return figure, axes
    if getattr(ax, "name", None) != "3d":
        raise TypeError(
            "plot.lls3d: ax must be 3-D axes, such as figure.add_subplot("
            f"projection='3d'), got {type(ax).__name__}"
        )
    return None, ax


def _draw(
    ax: Any, points: Floats, plane: tuple[Floats, ...], feet: Floats | None
) -> Plane:
    surface = ax.plot_surface(
        *plane,
        rstride=1,
        cstride=1,
        color=_PLANE,
        edgecolor="0.4",
        linewidth=0.3,
        alpha=0.4,
        shade=False,
        zorder=1,
        label="X @ coef + intercept",
    )
    sticks = None
    if feet is not None:
        from mpl_toolkits.mplot3d.art3d import Line3DCollection  # noqa: PLC0415

        sticks = Line3DCollection(
            np.stack([points, feet], axis=1), colors="0.25", linewidths=0.6, zorder=2
        )
        sticks.set_label("residual")
        ax.add_collection3d(sticks)
    scatter = ax.scatter(*points.T, s=10, color=_DATA, linewidth=0, zorder=3)
    return Plane(scatter, surface, sticks)


def _count(shown: int, total: int) -> str:
    return "y" if shown == total else f"y, {shown} of {total} rows"


def _legend(figure: Any, ax: Any, drawn: Plane) -> None:
    """Name the artists, below the axes if the figure is ours."""
    handles = [artist for artist in drawn if artist is not None]
    if figure is None:
        ax.legend(handles=handles, fontsize="small")
        return
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        fontsize="small",
    )


def _turn(ax: Any, w: Floats) -> None:
    """Turn the axes so that the plane is not seen from its edge."""
    spans = np.ptp([ax.get_xlim(), ax.get_ylim(), ax.get_zlim()], axis=1)
    # The plane's normal where each axis has the length that it has on paper.
    normal = np.array([-w[0], -w[1], 1.0]) * spans / _BOX
    normal /= np.linalg.norm(normal)
    up = np.radians(ax.elev)
    for azim in _AZIMUTHS:
        around = np.radians(azim)
        toward = [np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)]
        if abs(normal @ toward) > _EDGE:
            ax.view_init(elev=ax.elev, azim=azim)
            return
