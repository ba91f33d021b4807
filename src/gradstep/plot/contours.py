"""Contours of a function of two variables."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

from gradstep.plot import styles
from gradstep.plot.arguments import Floats
from gradstep.plot.objective import Bounds
from gradstep.testfunctions import Surface

# Points along each side: of a Surface, and of functions that take one at a time.
_FINE, _COARSE = 241, 101

_LEVELS = 18

# Where the greatest height is so many times the middle one, even levels would leave
# most of the picture empty.
_STEEP = 4.0

# The lowest of logarithmic levels has this part of the picture below it.
_LOWEST = 0.001


class Contours(NamedTuple):
    """What was drawn of a function: its bands between levels, and the lines on them."""

    bands: QuadContourSet
    lines: QuadContourSet


def heights(who: str, function: Any, bounds: Bounds) -> tuple[Floats, Floats, Floats]:
    """Return x, y and the values of a function on a grid, NaN where it has none."""
    n = _FINE if isinstance(function, Surface) else _COARSE
    x, y = np.meshgrid(*(np.linspace(low, high, n) for low, high in bounds))
    with np.errstate(all="ignore"):  # outside of its domain a function may have none
        if isinstance(function, Surface):
            z = np.asarray(function(np.stack([x, y])))
        else:
            points = np.stack([x, y], axis=-1).reshape(-1, 2)
            z = np.array([float(function(p.copy())) for p in points]).reshape(n, n)
    z = np.where(np.isfinite(z), z, np.nan)
    if np.isnan(z).all():
        raise ValueError(
            f"{who}: function is finite nowhere in bounds {bounds}; choose others"
        )
    if np.nanmin(z) == np.nanmax(z):
        raise ValueError(
            f"{who}: function is {z[np.isfinite(z)][0]} everywhere in bounds {bounds}, "
            "so there is nothing to see"
        )
    return x, y, z


def levels(z: Floats, minimum: float | None) -> Floats:
    """Return levels that show structure: logarithmic above the least in steep land."""
    heights = z[np.isfinite(z)]
    low = float(heights.min()) if minimum is None else minimum
    above = heights - low
    if above.max() > _STEEP * np.median(above):
        least = float(np.quantile(above[above > 0], _LOWEST))
        return low + np.geomspace(least, above.max(), _LEVELS)
    return np.linspace(heights.min(), heights.max(), _LEVELS)


def draw(ax: Axes, grid: tuple[Floats, Floats, Floats], at: Floats) -> Contours:
    """Draw bands and lines at these levels."""
    x, y, z = (np.ma.masked_invalid(a) for a in grid)
    colours = styles.GROUND(np.linspace(0.0, 1.0, len(at)))
    bands = ax.contourf(x, y, z, levels=at, colors=colours, extend="min", zorder=0)
    lines = ax.contour(
        x, y, z, levels=at, colors="#5d7186", linewidths=0.5, linestyles="-", zorder=1
    )
    return Contours(bands, lines)
