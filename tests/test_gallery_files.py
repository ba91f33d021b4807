"""The gallery: its files and its page."""

import dataclasses
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend
from matplotlib.figure import Figure

from gradstep.plot import gallery
from gradstep.plot.gallery import basics, saving
from gradstep.plot.gallery.comparison import SCENES
from gradstep.plot.gallery.picture import Picture, Section
from gradstep.plot.styles import COLOURS


def small(draw: Any, **more: Any) -> Picture:
    texts = {"name": "it", "title": "A < B", "text": "It's & so.", "alt": 'A "line"'}
    return Picture(**texts, draw=draw, size=(4.0, 3.4), **more)


FILM = dataclasses.replace(SCENES["saddle"], steps=12)
REDUCED = (
    Section("Convex or not", basics.SECTIONS[1].pictures),
    Section(
        "A saddle",
        (small(FILM.draw, film=FILM.film),),
    ),
)


class Page(HTMLParser):
    """What a page has: images, links, headings, names, and tags that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, Any]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(found)
        self.links += [found[k] for k in ("href", "src", "srcset") if k in found]
        if "id" in found:
            self.ids.append(found["id"])
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Iterator[tuple[Path, list[Path]]]:
    folder = tmp_path_factory.mktemp("gallery") / "new" / "folder"
    yield folder, gallery.write_sections(folder, REDUCED, None)
    plt.close("all")


def test_files_are_those_that_are_named(written: Any) -> None:
    folder, files = written
    assert sorted(folder.iterdir()) == sorted(files)
    names = {path.name for path in files} - {"it.mp4"}  # that needs ffmpeg
    assert names == {
        *("convexity.png", "convexity.svg", "it.png", "it.gif", "index.html"),
    }
    with Image.open(folder / "it.png") as still:
        assert still.size == (600, 510)
    with Image.open(folder / "it.gif") as film:
        assert (film.size, getattr(film, "n_frames", 1)) == ((400, 340), 13)


def test_the_same_bytes_are_written_again_whatever_the_users_style(
    written: Any, tmp_path: Path
) -> None:
    _, files = written
    with mpl.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "red"}):
        again = gallery.write_sections(tmp_path, REDUCED, None)
        assert mpl.rcParams["lines.linewidth"] == 9.0
    assert [path.name for path in again] == [path.name for path in files]
    for one, other in zip(files, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert not plt.get_fignums()
    assert mpl.get_backend().lower() == "agg"


def test_colours_of_paths_are_kept_in_films(written: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    colours = [list(bytes.fromhex(colour[1:])) for colour in COLOURS]
    noise[100, : len(colours)] = colours  # too few points for a palette to notice
    saving._save_gif(tmp_path / "noise.gif", [Image.fromarray(noise)] * 2)
    with Image.open(tmp_path / "noise.gif") as film:
        found = np.asarray(film.convert("RGB"))
    assert found[100, : len(colours)].tolist() == colours
    with Image.open(written[0] / "it.gif") as film:
        film.seek(film.n_frames - 1)  # type: ignore[attr-defined]
        pixels = np.asarray(film.convert("RGB")).reshape(-1, 3)
    for colour in colours[:3]:
        assert (pixels == colour).all(axis=1).any()


def test_the_page_stands_alone_and_is_for_everyone(written: Any) -> None:
    folder, _ = written
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert {"header", "nav", "main", "footer", "figcaption"} <= set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (folder / link).is_file()  # nothing from elsewhere
    assert [image["src"] for image in page.images] == ["convexity.svg", "it.gif"]
    assert page.images[1]["alt"] == 'A "line"'
    assert all(len(image["alt"]) > 5 for image in page.images)
    assert page.headings == [1, 2, 3, 2, 3]
    assert "A &lt; B" in text
    assert "It&#x27;s &amp; so." in text


def test_every_picture_has_a_name_of_its_own_and_says_something() -> None:
    pictures = [p for section in gallery.SECTIONS for p in section.pictures]
    names = [picture.name for picture in pictures]
    assert len(names) == len(set(names)) >= 20
    for picture in pictures:
        assert picture.text.endswith(".")
        assert picture.alt.endswith(".")
        assert picture.title
        assert picture.size[0] == 7.2
        assert (picture.size[0] * 100) % 2 == 0  # as MP4 demands


def test_an_mp4_is_written_where_ffmpeg_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What stands for it keeps its arguments, and counts the bytes of frames.
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "open(sys.argv[-1], 'w').write("
        "f'{len(sys.stdin.buffer.read())} {sys.argv[1:-1]}')\n"
    )
    ffmpeg.chmod(0o755)
    monkeypatch.setitem(mpl.rcParams, "animation.ffmpeg_path", str(ffmpeg))
    files = gallery.write_sections(tmp_path / "out", REDUCED[1:], None)
    assert [path.suffix for path in files] == [".png", ".gif", ".mp4", ".html"]
    told = files[2].read_text()
    assert told.split()[0] == str((13 + 24) * 400 * 340 * 3)
    for part in ("'400x340'", "'yuv420p'", "'+bitexact'"):
        assert part in told
    monkeypatch.setitem(mpl.rcParams, "animation.ffmpeg_path", "no-such-program")
    files = gallery.write_sections(tmp_path / "out2", REDUCED[1:], None)
    assert [path.suffix for path in files] == [".png", ".gif", ".html"]


@pytest.mark.parametrize("name", [p.name for s in gallery.SECTIONS for p in s.pictures])
def test_every_picture_can_be_drawn(name: str) -> None:
    (picture,) = (p for s in gallery.SECTIONS for p in s.pictures if p.name == name)
    figure = Figure(figsize=picture.size, layout="constrained")
    picture.draw(figure)
    assert figure.axes
    assert not plt.get_fignums()


def test_progress_is_told_and_other_files_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    monkeypatch.setattr(gallery, "SECTIONS", REDUCED[:1])
    told: list[str] = []
    files = gallery.write(str(tmp_path), progress=told.append)
    assert told == ["convexity"]
    assert files[-1] == tmp_path / "index.html"
    assert (tmp_path / "mine.txt").read_text() == "kept"
    assert capsys.readouterr().out == ""


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    for folder in (file, file / "below"):
        with pytest.raises(
            NotADirectoryError, match=r"^plot.gallery.write: folder '.*' is a file, or"
        ):
            gallery.write(folder)
    assert file.read_text() == "kept"
    with pytest.raises(TypeError, match=r"^plot.gallery.write: folder must be .* int"):
        gallery.write(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"progress must be callable, .* got str"):
        gallery.write(tmp_path / "new", progress="x")  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
