"""What pictures of paths share: how lines are told apart, axes and legends."""

from typing import TYPE_CHECKING, Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

# Told apart by any eye (Okabe & Ito, 2008), and dark enough on light ground: their
# yellow is left out.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#E69F00",
    "#56B4E9",
)
MARKERS = "osD^vP*X"
DASHES = ("-", (0, (6, 1.5)), (0, (2, 1)), (0, (6, 1.5, 1.5, 1.5)))

# From deep to high, pale enough for any line on it.
GROUND = LinearSegmentedColormap.from_list("ground", ["#93a8bd", "#dfe7ee", "#fbfcfd"])

# Up to so many points of a path have a marker each; longer ones so many in all.
_MARKED, _SOME = 40, 8

# Letters in a row of a legend below axes, for each inch of the figure.
_WIDTH = 11.5


def look(k: int) -> dict[str, Any]:
    """Return how the k-th line looks; no two of the first 56 look the same."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": DASHES[k % len(DASHES)],
        "linewidth": 1.8,
        "markersize": 4.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def spaced(points: int, k: int) -> list[int]:
    """Return which points of the k-th path have markers, not those of the others."""
    if points <= _MARKED:
        return list(range(points))
    every = points // _SOME
    return list(range((k * every) // _SOME, points, every))


def axes(
    who: str, ax: object, size: tuple[float, float]
) -> "tuple[Figure | None, Axes]":
    """Return the figure that was made, or None, and the axes."""
    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")
    if not isinstance(ax, Axes) or ax.name == "3d":
        raise TypeError(
            f"{who}: ax must be 2-D axes, such as of plt.subplots(), got "
            f"{type(ax).__name__}"
        )
    return None, ax


def legend(figure: "Figure | None", ax: Axes, handles: "Sequence[Artist]") -> None:
    """Name the lines, below the axes if the figure is ours: there it hides nothing."""
    if figure is None:
        ax.legend(handles=list(handles), fontsize="small")
        return
    below(figure, handles)


def below(figure: "Figure", handles: "Sequence[Artist]") -> None:
    """Put a legend below all axes, as wide as the figure allows."""
    widest = max(len(str(handle.get_label())) for handle in handles) + 7
    columns = max(1, int(_WIDTH * figure.get_figwidth() / widest))
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        fontsize="small",
    )
