"""The page that shows the pictures: HTML that needs nothing else."""

from html import escape
from importlib.metadata import version
from pathlib import Path

from gradstep.plot.gallery.picture import Picture, Section
from gradstep.plot.gallery.saving import SHOWN_DPI

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto;
  padding: 1rem; color: #1b1f24; background: #ffffff; }
a { color: #0059a8; }
figure { margin: 1.5rem 0 2.5rem; }
img { display: block; max-width: 100%; height: auto; background: #ffffff;
  border: 1px solid #c9d1d9; border-radius: 4px; }
figcaption { margin-top: 0.5rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid #c9d1d9; }
h3 { margin-bottom: 0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9ed; background: #14181d; }
  a { color: #7ab8f5; }
  img, h2 { border-color: #3b434c; }
}
"""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Gradient descent and its relatives in pictures">
<title>Optimizers in pictures</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Optimizers in pictures</h1>
<p>Gradient descent and its relatives. Every path was taken by gradstep's own
optimizers, step by step; moving pictures rest where your system asks for reduced
motion.</p>
<nav aria-label="Sections">
<ol>
{contents}
</ol>
</nav>
</header>
<main>
"""

_FOOT = """</main>
<footer><p>Drawn by <code>gradstep.plot.gallery.write</code>, gradstep {version}.</p>
</footer>
</body>
</html>
"""


def page(sections: tuple[Section, ...], files: dict[str, list[Path]]) -> str:
    """Return the page, of pictures whose files are these."""
    contents = "\n".join(
        f'<li><a href="#{_anchor(section)}">{escape(section.heading)}</a></li>'
        for section in sections
    )
    body = "".join(_section(section, files) for section in sections)
    head = _HEAD.format(style=_STYLE, contents=contents)
    return head + body + _FOOT.format(version=escape(version("gradstep")))


def _anchor(section: Section) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in section.heading).split())


def _section(section: Section, files: dict[str, list[Path]]) -> str:
    name = _anchor(section)
    shown = "".join(
        _figure(picture, files[picture.name]) for picture in section.pictures
    )
    return (
        f'<section aria-labelledby="{name}">\n'
        f'<h2 id="{name}">{escape(section.heading)}</h2>\n{shown}</section>\n'
    )


def _figure(picture: Picture, files: list[Path]) -> str:
    found = {path.suffix: escape(path.name) for path in files}
    best = found.get(".gif") or found.get(".svg") or found[".png"]
    width, height = (round(inches * SHOWN_DPI) for inches in picture.size)
    image = (
        f'<img src="{best}" width="{width}" height="{height}" '
        f'alt="{escape(picture.alt)}" loading="lazy">'
    )
    if ".gif" in found:
        still = "(prefers-reduced-motion: reduce)"
        image = (
            f'<picture><source media="{still}" srcset="{found[".png"]}">{image}'
            "</picture>"
        )
    links = ", ".join(
        f'<a href="{name}">{suffix[1:].upper()}</a>' for suffix, name in found.items()
    )
    return (
        f"<h3>{escape(picture.title)}</h3>\n<figure>\n{image}\n"
        f"<figcaption>{escape(picture.text)} <small>({links})</small></figcaption>\n"
        "</figure>\n"
    )
