"""What a picture of the gallery is, and how paths become one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradstep.plot import styles
from gradstep.plot.animation import Film, moving
from gradstep.plot.objective import Bounds
from gradstep.plot.runs import Path, paths
from gradstep.plot.trajectory import Trajectories, trajectories
from gradstep.testfunctions import Surface


@dataclass(frozen=True)
class Picture:
    """A picture, and what the page says of it.

    Attributes
    ----------
    name : str
        Of its files.
    title : str
    text : str
        One or two sentences, true of the picture that is drawn.
    alt : str
        What is to be seen, for those who don't see it.
    draw : callable
        Draws on an empty figure.
    size : tuple of float
        Width and height of the figure in inches.
    vector : bool
        Whether there is an SVG: where it is small.
    film : callable, optional
        Draws on an empty figure, too, and returns what moves.
    """

    name: str
    title: str
    text: str
    alt: str
    draw: Callable[[Figure], object]
    size: tuple[float, float] = (7.2, 5.6)
    vector: bool = False
    film: Callable[[Figure], Film] | None = None


@dataclass(frozen=True)
class Section:
    """Pictures under a heading."""

    heading: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Scene:
    """Optimizers on a surface, of which there are a picture and a film."""

    surface: Surface
    optimizers: Mapping[str, Callable[[Any], Any]]
    steps: int
    start: tuple[float, float] | None = None
    bounds: Bounds | None = None

    def paths(self) -> dict[str, Path]:
        """Return the paths of the picture by their labels."""
        found = paths(self.surface, self.optimizers, self.start, steps=self.steps)
        return {path.label: path for path in found}

    def draw(self, figure: Figure) -> None:
        """Draw all of the paths."""
        self.onto(figure.subplots())

    def onto(self, ax: Axes) -> Trajectories:
        """Draw all of the paths, with the legend below the figure."""
        drawn = trajectories(
            self.surface,
            self.optimizers,
            self.start,
            steps=self.steps,
            bounds=self.bounds,
            ax=ax,
        )
        outside(ax)
        return drawn

    def film(self, figure: Figure) -> Film:
        """Draw them, and return what moves, in at most 60 frames."""
        drawn = self.onto(figure.subplots())
        return moving(drawn, self.steps, min(self.steps + 1, 60))


def outside(ax: Axes) -> None:
    """Move the legend of axes to below the figure, where it hides nothing."""
    found = ax.get_legend()
    figure = ax.get_figure(root=True)
    assert found is not None
    assert isinstance(figure, Figure)
    handles = ax.get_legend_handles_labels()[0]
    found.remove()
    styles.below(figure, handles)
