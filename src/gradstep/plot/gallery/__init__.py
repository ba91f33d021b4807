"""The pictures of a course on gradient descent, as files and a page.

`write` writes them; `basics`, `fitting`, `methods` and `comparison` have what they show
and say, `picture` what a picture is, `saving` the files and `page` the page. What the
sentences say is tested on the very paths that are drawn.
"""

import os
from collections.abc import Callable
from pathlib import Path

from gradstep.plot.gallery import basics, fitting
from gradstep.plot.gallery.comparison import COMPARED
from gradstep.plot.gallery.methods import ADAPTED, MOMENTA, NEWER
from gradstep.plot.gallery.page import page
from gradstep.plot.gallery.picture import Section
from gradstep.plot.gallery.saving import plain_style, save

__all__ = ["SECTIONS", "write"]

SECTIONS: tuple[Section, ...] = (
    *basics.SECTIONS,
    *fitting.SECTIONS,
    MOMENTA,
    ADAPTED,
    COMPARED,
    NEWER,
)


def write(
    folder: str | os.PathLike[str],
    *,
    progress: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write all pictures, and a page ``index.html`` that shows them.

    Pictures are PNG, and SVG where that is small; animations are GIF, and MP4 if
    matplotlib finds ffmpeg. It takes about a minute.

    Parameters
    ----------
    folder : str or path
        Made if it is not there. Files of the same names are overwritten, others are
        left alone.
    progress : callable, optional
        Called with the name of each picture before it is drawn, such as `print`.

    Returns
    -------
    list of pathlib.Path
        The files, ``index.html`` last.

    Raises
    ------
    NotADirectoryError
        If `folder` is a file.
    TypeError
        If an argument is of another type.

    Notes
    -----
    The same versions of gradstep, matplotlib and Pillow write the same bytes each time.
    The style and the backend of the user's pictures are not touched.

    Examples
    --------
    >>> import gradstep.plot
    >>> for section in gradstep.plot.gallery.SECTIONS[:3]:
    ...     print(section.heading)
    One optimum or many
    Convex or not
    Critical points
    >>> gradstep.plot.gallery.write(3)
    Traceback (most recent call last):
    ...
    TypeError: plot.gallery.write: folder must be a str or a path, got int
    """
    return write_sections(folder, SECTIONS, progress)


def write_sections(
    folder: str | os.PathLike[str],
    sections: tuple[Section, ...],
    progress: Callable[[str], object] | None,
) -> list[Path]:
    """Write these sections and a page of them."""
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(
            "plot.gallery.write: folder must be a str or a path, got "
            f"{type(folder).__name__}"
        )
    if progress is not None and not callable(progress):
        raise TypeError(
            "plot.gallery.write: progress must be callable, such as print, got "
            f"{type(progress).__name__}"
        )
    where = Path(folder)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(
            f"plot.gallery.write: folder {str(where)!r} is a file, or in one; name a "
            "folder"
        ) from None
    files: dict[str, list[Path]] = {}
    with plain_style():
        for section in sections:
            for picture in section.pictures:
                if progress is not None:
                    progress(picture.name)
                files[picture.name] = save(where, picture)
    index = where / "index.html"
    index.write_text(page(sections, files), encoding="utf-8", newline="\n")
    return [path for found in files.values() for path in found] + [index]
