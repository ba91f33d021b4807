"""Pictures to files, with the same bytes each time."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.animation import writers
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from gradstep.plot.animation import Film
from gradstep.plot.gallery.picture import Picture
from gradstep.plot.styles import COLOURS

# Dots per inch: of pictures, so that they are sharp on dense screens, and of films,
# which are as large as the page shows them.
_DPI, SHOWN_DPI = 150, 100

# Frames in a second, and how many of them the last picture stays.
_FPS, _HELD = 12, 24


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw by matplotlib's own style, whatever the user has set, and restore that."""
    kept = {
        "animation.ffmpeg_path": mpl.rcParams["animation.ffmpeg_path"],
        "svg.hashsalt": "gradstep",  # names inside of SVG are random otherwise
    }
    with style.context(["default", kept]):
        yield


def save(folder: Path, picture: Picture) -> list[Path]:
    """Write a picture, and its film if it has one; return the files."""
    figure, _ = _figure(picture)
    picture.draw(figure)
    files = [folder / f"{picture.name}.png"]
    figure.savefig(files[0], dpi=_DPI, metadata={"Software": None})
    if picture.vector:
        files.append(folder / f"{picture.name}.svg")
        figure.savefig(files[-1], metadata={"Date": None, "Creator": None})
    if picture.film is None:
        return files
    figure, canvas = _figure(picture)
    frames = _frames(figure, canvas, picture.film(figure))
    files.append(folder / f"{picture.name}.gif")
    _save_gif(files[-1], frames)
    if writers.is_available("ffmpeg"):
        files.append(folder / f"{picture.name}.mp4")
        _save_mp4(files[-1], frames)
    return files


def _figure(picture: Picture) -> tuple[Figure, Any]:
    """Return a figure that pyplot, and so the user's backend, knows nothing of."""
    figure = Figure(figsize=picture.size, dpi=SHOWN_DPI, layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _frames(figure: Figure, canvas: Any, film: Film) -> list[Image.Image]:
    """Return the pictures of a film, drawing anew only what moves.

    `FuncAnimation.save` draws all of each frame, of which letters take most of the
    time: ten times as much as this.
    """
    for artist in film.artists:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    found = []
    for step in film.steps:
        canvas.restore_region(still)
        for artist in sorted(film.show(step), key=lambda artist: artist.get_zorder()):
            artist.draw(canvas.get_renderer())
        found.append(Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()))
    return [frame.convert("RGB") for frame in found]


def _save_gif(path: Path, frames: list[Image.Image]) -> None:
    palette = _palette(frames[-1])
    first, *others = (
        frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    )
    each = round(1000 / _FPS)
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=[each] * len(others) + [_HELD * each],
        loop=0,
    )


def _palette(frame: Image.Image) -> Image.Image:
    """Return colours for all frames: what stands still takes no bytes then.

    Those of lines are among them, which cover too little to be found, but tell paths
    apart.
    """
    lines = [round(255 * x) for name in COLOURS for x in to_rgb(name)]
    found = frame.quantize(256 - len(COLOURS), dither=Image.Dither.NONE).getpalette()
    assert found is not None
    palette = Image.new("P", (1, 1))
    palette.putpalette(found[: 3 * (256 - len(COLOURS))] + lines)
    return palette


def _save_mp4(path: Path, frames: list[Image.Image]) -> None:
    width, height = frames[0].size
    command = [mpl.rcParams["animation.ffmpeg_path"], "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", str(_FPS), "-i", "-", "-c:v", "h264", "-pix_fmt", "yuv420p"]
    # For the same bytes each time: no version of ffmpeg in the file, and one thread.
    command += ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    shown = frames + [frames[-1]] * _HELD
    subprocess.run(
        [*command, str(path)],
        input=b"".join(frame.tobytes() for frame in shown),
        check=True,
    )
