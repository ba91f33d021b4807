"""What `save` does to files on disk, and which files `load` opens."""

import errno
import fcntl
import os
import re
import resource
import secrets
import signal
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import files
from users import IS_ROOT, NOBODY, folder_of, unprivileged

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may become other users")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def optimizer(value: float = 1.0) -> gs.Optimizer:
    return gs.Adam(np.full(3, float(value)), lr=0.25)


def saved_value(path: Any) -> float:
    """Return what stands in a file that holds an `optimizer`."""
    w = np.zeros(3)
    gs.load(path, gs.Adam(w))
    assert w[0] == w[1] == w[2]
    return float(w[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(files.SUFFIX)]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what blocks by an exception."""

    def stop(*_: Any) -> None:
        raise TimeoutError("still blocked")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- what is no regular file


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        os.symlink("/dev/null", path)


def make_socket(path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as end:
        end.bind(f"{short}/s")
        os.rename(f"{short}/s", path)


SPECIAL = {
    "a folder": Path.mkdir,
    "a named pipe": os.mkfifo,
    "a socket": make_socket,
    "a character device": make_device,
}


@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_regular_file_is_neither_replaced_nor_opened(
    kind: str, through_link: bool, tmp_path: Path
) -> None:
    path = tmp_path / "it"
    SPECIAL[kind](path)
    if through_link:
        (tmp_path / "link").symlink_to("it")
    name = tmp_path / ("link" if through_link else "it")
    before = path.lstat()
    for call, action in ((gs.save, "replaced"), (gs.load, "read")):
        words = f"{call.__name__}: only regular files can be {action}, .* is {kind}: '"
        with within(5), pytest.raises(OSError, match=words) as refused:
            call(name, optimizer())
        assert refused.value.filename == str(name)
    assert os.path.samestat(path.lstat(), before)
    assert sorted(os.listdir(tmp_path)) == (["it", "link"] if through_link else ["it"])


def test_a_file_that_has_no_name_any_more_is_not_saved_to(tmp_path: Path) -> None:
    with open(tmp_path / "gone", "wb") as file:
        os.unlink(tmp_path / "gone")
        with pytest.raises(FileNotFoundError):
            gs.save(f"/proc/self/fd/{file.fileno()}", optimizer())
    assert os.listdir(tmp_path) == []


# -- links


def test_symbolic_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "latest").symlink_to("runs/last")
    (tmp_path / "runs" / "last").symlink_to("../runs/run1")
    for value in (2.0, 3.0):  # first there is no file yet
        gs.save(tmp_path / "latest", optimizer(value))
        assert os.readlink(tmp_path / "latest") == "runs/last"
        assert os.readlink(tmp_path / "runs" / "last") == "../runs/run1"
        assert saved_value(tmp_path / "runs" / "run1") == value
    assert sorted(os.listdir(tmp_path / "runs")) == ["last", "run1"]


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("no/such/run")
    with pytest.raises(OSError, match="loop") as refused:
        gs.save(tmp_path / "loop", optimizer())
    assert refused.value.errno == errno.ELOOP
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*/no/such'"):
        gs.save(tmp_path / "lost", optimizer())
    assert sorted(os.listdir(tmp_path)) == ["loop", "lost"]


def test_another_hard_link_keeps_what_it_had(tmp_path: Path) -> None:
    gs.save(tmp_path / "run", optimizer(1.0))
    os.link(tmp_path / "run", tmp_path / "snapshot")
    gs.save(tmp_path / "run", optimizer(2.0))
    assert (saved_value(tmp_path / "run"), saved_value(tmp_path / "snapshot")) == (2, 1)


# -- owner, group, permissions


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o000])
def test_a_new_file_has_the_permissions_that_umask_leaves(
    mask: int, tmp_path: Path
) -> None:
    os.umask(mask)
    gs.save(tmp_path / "run", optimizer())
    assert mode(tmp_path / "run") == 0o666 & ~mask


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o664, 0o666, 0o755])
def test_a_file_keeps_its_permissions(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.touch()
    path.chmod(bits)
    gs.save(path, optimizer())
    assert mode(path) == bits


def test_a_file_that_only_its_owner_reads_is_never_written_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "run", []
    path.touch(0o600)
    write = files.write

    def spy(file: Any, data: memoryview) -> None:
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        write(file, data)

    monkeypatch.setattr(files, "write", spy)
    gs.save(path, optimizer())
    assert set(seen) == {0o600}


@needs_root
def test_root_leaves_a_file_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.touch()
    path.chmod(0o640)
    os.chown(path, NOBODY, 12345)
    gs.save(path, optimizer())
    after = path.stat()
    assert (after.st_uid, after.st_gid, mode(path)) == (NOBODY, 12345, 0o640)


@needs_root
def test_a_group_that_cannot_be_kept_gives_its_rights_to_no_other_group() -> None:
    with folder_of() as folder:
        path = folder / "run"
        path.touch()
        os.chown(path, NOBODY, 12345)  # a group that the user is not in
        path.chmod(0o664)
        with unprivileged():
            gs.save(path, optimizer())
        assert (path.stat().st_gid, mode(path)) == (NOBODY, 0o644)


@needs_root
def test_a_user_who_may_write_a_file_of_another_becomes_its_owner() -> None:
    with folder_of(NOBODY) as folder:
        path = folder / "run"
        path.touch()
        path.chmod(0o666)
        folder.chmod(0o777)
        with unprivileged(NOBODY - 1):
            gs.save(path, optimizer(4.0))
        assert (path.stat().st_uid, mode(path)) == (NOBODY - 1, 0o666)
        assert saved_value(path) == 4


def test_a_file_that_may_not_be_written_is_not_replaced() -> None:
    with folder_of() as folder, unprivileged():
        path = folder / "run"
        gs.save(path, optimizer(1.0))
        path.chmod(0o444)
        words = r"save: the file may not be written \(mode 0444\): Permission denied"
        with pytest.raises(PermissionError, match=words):
            gs.save(path, optimizer(2.0))
        assert saved_value(path) == 1
        assert os.listdir(folder) == ["run"]
        path.chmod(0o644)
        gs.save(path, optimizer(2.0))
        assert saved_value(path) == 2


def test_a_folder_that_lets_no_file_be_created_is_named() -> None:
    with folder_of() as folder, unprivileged():
        gs.save(folder / "run", optimizer(1.0))
        folder.chmod(0o555)
        for name in ("run", "new"):
            words = (
                f"no file can be created in '{folder}': Permission denied: '.*{name}'"
            )
            with pytest.raises(PermissionError, match=words):
                gs.save(folder / name, optimizer(2.0))
        assert saved_value(folder / "run") == 1
        assert os.listdir(folder) == ["run"]


def test_a_folder_that_may_not_be_listed_is_saved_to() -> None:
    with folder_of() as folder, unprivileged():
        folder.chmod(0o300)
        for value in (1.0, 2.0):
            gs.save(folder / "run", optimizer(value))
            assert saved_value(folder / "run") == value


TAGS = {"owner": 1, "nobody": 2, "group": 4, "mask": 0x10, "others": 0x20}


def access_list(**rights: int) -> bytes:
    """Return an access list in Linux's version 2: entries of tag, rights and user."""
    entries = [
        (TAGS[who], right, NOBODY if who == "nobody" else 2**32 - 1)
        for who, right in rights.items()
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *x) for x in entries)


def set_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip(f"the file system of {path} has no attribute {name}")


def test_attributes_and_the_access_list_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.touch()
    access = access_list(owner=6, nobody=4, group=4, mask=4, others=0)
    set_attribute(path, "user.origin", b"here")
    set_attribute(path, "system.posix_acl_access", access)
    gs.save(path, optimizer())
    assert os.getxattr(path, "user.origin") == b"here"
    assert os.getxattr(path, "system.posix_acl_access") == access
    assert mode(path) == 0o640


def test_a_folders_default_access_list_widens_no_file_that_lacks_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    path.touch()
    path.chmod(0o600)
    default = access_list(owner=6, nobody=6, group=6, mask=6, others=6)
    set_attribute(tmp_path, "system.posix_acl_default", default)
    gs.save(path, optimizer())
    assert "system.posix_acl_access" not in os.listxattr(path)
    assert mode(path) == 0o600


# -- paths


class OwnPath:
    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize(
    "name", ["run", "run.safetensors", "ä x\n'", "\udcff", "-", "~"]
)
def test_paths_of_every_kind_lead_to_one_file(name: str, tmp_path: Path) -> None:
    text = os.path.join(tmp_path, name)
    forms = [text, os.fsencode(text), Path(text), OwnPath(text)]
    forms.append(OwnPath(os.fsencode(text)))
    for value, form in enumerate(forms):
        gs.save(form, optimizer(value))
        assert {saved_value(other) for other in forms} == {value}
    assert os.listdir(tmp_path) == [name]


def test_paths_relative_to_the_folder_that_the_process_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gs.save("run", optimizer(2.0))
    gs.save(b"./other", optimizer(3.0))
    assert (saved_value("run"), saved_value(tmp_path / "other")) == (2, 3)


def test_a_name_as_long_as_a_name_may_be_is_saved_to(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    names = ["n" * longest, "ä" * (longest // 2), "n" * (longest - 46)]
    for value, name in enumerate(names):
        for added in (0.0, 0.5):
            gs.save(tmp_path / name, optimizer(value + added))
            assert saved_value(tmp_path / name) == value + added
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    with pytest.raises(OSError, match="too long"):
        gs.save(tmp_path / ("n" * (longest + 1)), optimizer())


@pytest.mark.parametrize("path", [None, 3, 2.0, ["run"], optimizer()])
def test_what_is_no_path_is_refused_by_its_type(path: Any) -> None:
    for call in (gs.save, gs.load):
        kind = type(path).__name__
        words = f"{call.__name__}: path must be str, bytes or os.PathLike, got {kind};"
        with pytest.raises(TypeError, match=words):
            call(path, optimizer())


def test_a_missing_folder_is_named_and_so_is_the_target(tmp_path: Path) -> None:
    path = tmp_path / "no" / "run"
    words = re.escape(f"save: there is no folder '{tmp_path}/no'; create it first")
    with pytest.raises(FileNotFoundError, match=words) as refused:
        gs.save(path, optimizer())
    assert refused.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as refused:
        gs.load(path, optimizer())
    assert refused.value.filename == str(path)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", errno.ENOENT),
        ("new/", errno.ENOENT),
        ("file/", errno.ENOTDIR),
        ("file/run", errno.ENOTDIR),
        (".", errno.EISDIR),
        ("folder/", errno.EISDIR),
    ],
)
def test_names_that_no_file_can_have_are_refused(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for call in (gs.save, gs.load):
        with pytest.raises(OSError, match=r".") as refused:
            call(name, optimizer())
        assert refused.value.errno == code
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_zero_byte_in_a_path_is_refused(tmp_path: Path) -> None:
    for call in (gs.save, gs.load):
        with pytest.raises(ValueError, match="null"):
            call(f"{tmp_path}/a\0b", optimizer())


# -- what fails halfway


@contextmanager
def limited_file_size(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_that_ends_leaves_what_was(exists: bool, tmp_path: Path) -> None:
    path = tmp_path / "run"
    if exists:
        gs.save(path, optimizer(1.0))
    large = gs.SGD(np.ones(100_000))
    for most in (0, 1, 8, 4096, 100_000):
        with limited_file_size(most), pytest.raises(OSError, match="save: ") as failed:
            gs.save(path, large)
        assert (failed.value.errno, failed.value.filename) == (errno.EFBIG, str(path))
        assert os.listdir(tmp_path) == (["run"] if exists else [])
    if exists:
        assert saved_value(path) == 1


@pytest.mark.parametrize("call", ["chown", "chmod", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_every_call_that_fails_leaves_what_was_and_names_the_target(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    gs.save(path, optimizer(1.0))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code), "some/other/name")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match=f"save: {os.strerror(code)}") as failed:
            gs.save(path, optimizer(2.0))
    assert (failed.value.errno, failed.value.filename) == (code, str(path))
    assert (saved_value(path), os.listdir(tmp_path)) == (1, ["run"])


def test_ctrl_c_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gs.save(tmp_path / "run", optimizer(1.0))

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for owner, call in ((files, "write"), (os, "fsync"), (os, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, call, interrupt)
            with pytest.raises(KeyboardInterrupt):
                gs.save(tmp_path / "run", optimizer(2.0))
        assert os.listdir(tmp_path) == ["run"]
    assert saved_value(tmp_path / "run") == 1


# -- what killed processes leave behind


def leftover(folder: Path, name: str, node: str | None = None) -> Path:
    """Return a file as a killed process leaves it."""
    token = (files._node() if node is None else node) + secrets.token_hex(8)
    path = folder / (files._prefix(str(folder), name) + token + files.SUFFIX)
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("name", ["run", "r[u]n*", "n" * 250])
def test_what_killed_processes_left_of_this_target_is_removed(
    name: str, tmp_path: Path
) -> None:
    stale = [leftover(tmp_path, name) for _ in range(3)]
    assert all(path.name.startswith(f".{name[:40]}") for path in stale)
    others = [leftover(tmp_path, "run.safetensors"), leftover(tmp_path, name + "2")]
    gs.save(tmp_path / name, optimizer())
    assert sorted(leftovers(tmp_path)) == sorted(path.name for path in others)


def test_the_file_of_a_living_writer_is_not_removed(tmp_path: Path) -> None:
    path = leftover(tmp_path, "run")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        gs.save(tmp_path / "run", optimizer())
        assert path.exists()
    gs.save(tmp_path / "run", optimizer())
    assert not path.exists()


def test_the_file_of_a_writer_elsewhere_is_removed_after_a_day(tmp_path: Path) -> None:
    path = leftover(tmp_path, "run", node="0123abcd")
    gs.save(tmp_path / "run", optimizer())
    assert path.exists()
    now = path.stat().st_mtime
    os.utime(path, (now - 90_000, now - 90_000))
    gs.save(tmp_path / "run", optimizer())
    assert not path.exists()


@needs_root
def test_files_of_other_users_and_what_is_no_file_are_not_removed(
    tmp_path: Path,
) -> None:
    path = leftover(tmp_path, "run")
    os.chown(path, NOBODY, NOBODY)
    pipe = leftover(tmp_path, "run")
    pipe.unlink()
    os.mkfifo(pipe)
    link = leftover(tmp_path, "run")
    link.unlink()
    (tmp_path / "precious").touch()
    link.symlink_to("precious")
    with within(5):
        gs.save(tmp_path / "run", optimizer())
    names = ["precious", "run", *(p.name for p in (path, pipe, link))]
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_a_saver_whose_file_was_taken_for_stale_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = fcntl.flock, []

    def take_first(handle: int, how: int) -> None:
        if not taken:
            taken.extend(leftovers(tmp_path))
            (tmp_path / taken[0]).unlink()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", take_first)
    gs.save(tmp_path / "run", optimizer(5.0))
    assert taken
    assert (saved_value(tmp_path / "run"), os.listdir(tmp_path)) == (5, ["run"])


def test_a_file_system_without_locks_is_saved_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = leftover(tmp_path, "run")
    monkeypatch.setattr(fcntl, "flock", none)
    gs.save(tmp_path / "run", optimizer(5.0))
    assert saved_value(tmp_path / "run") == 5
    assert path.exists()  # nobody can say whether its writer lives
