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


@pytest.mark.parametrize("call", ["mkdir", "replace", "glob", "open"])
def test_a_disk_that_refuses(
    call: str, folder: Path, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "open" else Path, call, refuse)
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


def by_another_user(file: Path) -> None:
    os.chown(file, 12345, -1)


def writable_by_its_group(file: Path) -> None:
    file.chmod(0o620)


def writable_by_all(file: Path) -> None:
    file.chmod(0o602)


def linked_elsewhere(file: Path) -> None:
    moved = file.rename(file.with_name("elsewhere"))
    file.symlink_to(moved)


def a_dangling_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nowhere"))


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


SUSPECT = [
    *(by_another_user, writable_by_its_group, writable_by_all),
    *(linked_elsewhere, a_dangling_link, a_pipe),
]


@pytest.mark.parametrize("spoil", SUSPECT)
def test_a_file_that_others_may_have_written_is_compiled_again(
    spoil: Any, folder: Path, compiled: list[Any]
) -> None:
    if spoil is by_another_user and os.geteuid() != 0:
        pytest.skip("only root can give files away; the next test needs no root")
    first = cuda.cubin(SOURCE, 90)
    folder.chmod(0o777)
    file = only(folder)
    spoil(file)
    assert disk.read(cuda._key(SOURCE, 90)) is None
    assert cuda.cubin(SOURCE, 90) == first
    assert len(compiled) == 2
    # What stood there was replaced, not written to.
    assert not file.is_symlink()
    assert file.stat().st_uid == os.geteuid()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (folder / "nowhere").exists()
    assert cuda.cubin(SOURCE, 90) == first
    assert len(compiled) == 2


def test_a_file_is_loaded_by_the_user_who_wrote_it_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write("key", b"code")
    assert disk.read("key") == b"code"
    monkeypatch.setattr(os, "geteuid", lambda: only(folder).stat().st_uid + 1)
    assert disk.read("key") is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_files_are_private_and_found_again_under_every_umask(
    umask: int, folder: Path
) -> None:
    before = os.umask(umask)
    try:
        disk.write("key", b"code")
    finally:
        os.umask(before)
    assert only(folder).stat().st_mode & 0o022 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert disk.read("key") == b"code"


def test_a_file_of_others_in_the_place_of_ours_stays(
    folder: Path, compiled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder with the sticky bit, where theirs cannot be replaced."""
    disk.write("key", b"theirs")
    monkeypatch.setattr(os, "geteuid", lambda: only(folder).stat().st_uid + 1)

    def refuse(*_: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    disk.write("key", b"ours")
    assert disk.read("key") is None
    assert only(folder).read_bytes().endswith(b"theirs")  # and no part is left


def test_the_files_of_others_are_not_pruned(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write("theirs", bytes(68))
    monkeypatch.setattr(os, "geteuid", lambda: -1)
    monkeypatch.setattr(disk, "LIMIT", 0)
    disk._prune(folder)
    assert only(folder).name == "gradstep-theirs.cubin"
