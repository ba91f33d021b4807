"""Compiled kernels on disk: found again, never wrong, and never in the way."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gradstep.torch import cuda, disk
from on_fake_driver import OTHER, SOURCE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    kept = tmp_path / "caches" / "gradstep"
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(kept))
    return kept


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[cuda.Source]:
    """Return a list that gets what is compiled."""
    found: list[cuda.Source] = []
    compile_ = cuda._compile

    def told(source: cuda.Source, *rest: Any) -> Any:
        found.append(source)
        return compile_(source, *rest)

    monkeypatch.setattr(cuda, "_compile", told)
    return found


def only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_second_time_nothing_is_compiled(folder: Path, compiled: list[Any]) -> None:
    first = cuda.cubin(SOURCE, 90)
    assert cuda.cubin(SOURCE, 90) == first
    assert compiled == [SOURCE]
    assert only(folder).name == f"gradstep-{cuda._key(SOURCE, 90)}.cubin"
    assert folder.stat().st_mode & 0o777 == 0o700


INGREDIENTS: dict[str, Any] = {
    "text": lambda source: source._replace(text=source.text + " "),
    "name of a header": lambda source: source._replace(headers=(("a.h", "row"),)),
    "text of a header": lambda source: source._replace(headers=(("row.h", "a"),)),
    "header": lambda source: source._replace(headers=()),
    "define": lambda source: source._replace(defines=()),
    "another define": lambda source: source._replace(defines=("FACTOR=2.5f", "A")),
    "a define for two": lambda source: source._replace(defines=("FACTOR=2.5f, A",)),
}


def test_the_key_tells_every_ingredient(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [cuda._key(SOURCE, arch) for arch in (80, 90, 100)]
    keys += [cuda._key(change(SOURCE), 90) for change in INGREDIENTS.values()]
    for name, value in (
        ("FORMAT", cuda.FORMAT + 1),
        ("OPTIONS", cuda.OPTIONS[1:]),
        ("_version", lambda: (13, 99)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(cuda, name, value)
            keys.append(cuda._key(SOURCE, 90))
    assert len(set(keys)) == len(keys) == 3 + len(INGREDIENTS) + 3
    assert cuda._key(SOURCE, 90) == keys[1]


DAMAGES: dict[str, Any] = {
    "cut": lambda held: held[:-1],
    "cut to its sum": lambda held: held[:32],
    "cut within its sum": lambda held: held[:7],
    "empty": lambda _: b"",
    "a bit of the cubin": lambda held: held[:500] + bytes([held[500] ^ 1]) + held[501:],
    "a bit of the sum": lambda held: bytes([held[0] ^ 1]) + held[1:],
    "longer": lambda held: held + b"\0",
    "zeros": lambda held: bytes(len(held)),  # as after a loss of power
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_compiled_again(
    name: str, folder: Path, compiled: list[Any]
) -> None:
    first = cuda.cubin(SOURCE, 90)
    held = only(folder).read_bytes()
    only(folder).write_bytes(DAMAGES[name](held))
    assert cuda.cubin(SOURCE, 90) == first
    assert len(compiled) == 2
    assert only(folder).read_bytes() == held


def test_a_file_under_the_name_of_another(folder: Path, compiled: list[Any]) -> None:
    other = cuda.cubin(OTHER, 90)
    only(folder).rename(folder / f"gradstep-{cuda._key(SOURCE, 90)}.cubin")
    assert cuda.cubin(SOURCE, 90) != other
    assert compiled == [OTHER, SOURCE]


def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADSTEP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)


# The last refuses new files even to root, who may write in folders that are read-only.
PLACES = {"a file": "file", "below a file": "file/below", "read-only": "/proc/self"}


@pytest.mark.parametrize("what", [*PLACES, "a home of nobody"])
def test_a_folder_that_cannot_be(
    what: str, tmp_path: Path, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("of somebody")
    if what == "a home of nobody":
        nowhere(monkeypatch)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(tmp_path / PLACES[what]))
    assert cuda.cubin(SOURCE, 90) == cuda.cubin(SOURCE, 90)
    assert len(compiled) == 2
    assert only(tmp_path).read_text() == "of somebody"


@pytest.mark.parametrize("call", ["mkdir", "write_bytes", "replace", "glob"])
def test_a_disk_that_refuses(
    call: str, folder: Path, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        first = cuda.cubin(SOURCE, 90)
    assert list(folder.glob("*.part")) == []
    assert cuda.cubin(SOURCE, 90) == first
    assert len(compiled) == (1 if call == "glob" else 2)


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk._folder() == tmp_path / "caches" / "gradstep"
    nowhere(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert disk._folder() == tmp_path / ".cache" / "gradstep"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert disk._folder() == tmp_path / "xdg" / "gradstep"
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert disk._folder() is None
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", "")
    assert disk._folder() is None


def test_the_oldest_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LIMIT", 350)
    folder.mkdir(parents=True)
    theirs = folder / "thesis.tex"
    theirs.write_bytes(bytes(1000))
    (folder / "gradstep-abandoned.part").write_bytes(bytes(100))
    os.utime(folder / "gradstep-abandoned.part", (1, 1))
    for k, key in enumerate("abcde"):
        disk.write(key, bytes(68))  # and a sum of 32
        os.utime(folder / f"gradstep-{key}.cubin", (k + 2, k + 2))
    assert theirs.exists()
    assert {path.name for path in folder.glob("gradstep-*")} == {
        f"gradstep-{key}.cubin" for key in "cde"
    }


RACE = """
import sys
from gradstep.torch import cuda
from on_fake_driver import SOURCE
import os
os.read(0, 1)  # until all are told to start
for arch in (80, 86, 90):
    sys.stdout.write(cuda.cubin(SOURCE, arch).hex() + "\\n")
"""


def test_processes_at_the_same_time(folder: Path) -> None:
    here = str(Path(__file__).parent)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RACE],
            env=os.environ | {"PYTHONPATH": here},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    expected = [cuda.cubin(SOURCE, arch).hex() for arch in (80, 86, 90)]
    assert told == [expected] * 3
    assert len(list(folder.iterdir())) == 3
