"""Files of checkpoints: read through one descriptor, replaced in one rename."""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path as _Path
from typing import BinaryIO

SUFFIX = ".gradstep-tmp"

_AT_ONCE = 1 << 26  # bytes in one call of write, after which Ctrl-C is heard
_ABANDONED = 86400.0  # seconds without a write that prove a writer elsewhere dead
_NAME_MAX = 255  # bytes, where a file system does not say

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# Never wait, follow no link at the end of the path, take no terminal, leak to no child.
_QUIETLY = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
# What a file system answers that lacks an attribute, or a user that may not set it.
_UNSUPPORTED = {errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODATA}


def as_text(who: str, path: object) -> str:
    """Return a path as a string; TypeError for anything but a path."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"{who}: path must be str, bytes or os.PathLike, got "
            f"{type(path).__name__}; the path is the first argument"
        )
    return os.fsdecode(path)


# -- reading


@contextmanager
def reading(who: str, path: str) -> Iterator[BinaryIO]:
    """Open a regular file; whoever replaces it meanwhile does not disturb.

    Raises
    ------
    OSError
        If there is no such file, it may not be read, or it is not a regular one: a
        named pipe could block for ever, and opening a device may have effects.
    """
    _check_regular(who, path, os.stat(path).st_mode, "read")
    handle = os.open(path, os.O_RDONLY | _QUIETLY & ~os.O_NOFOLLOW)
    with open(handle, "rb", buffering=0) as file:
        _check_regular(who, path, os.fstat(handle).st_mode, "read")
        yield file


def size(file: BinaryIO) -> int:
    """Return the bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def read(file: BinaryIO, at: int, data: memoryview) -> int:
    """Read from a place on; return how many bytes there were, all that fit or fewer."""
    done = 0
    while done < len(data):
        count = os.preadv(file.fileno(), [data[done : done + _AT_ONCE]], at + done)
        if not count:
            break
        done += count
    return done


def _check_regular(who: str, path: str, mode: int, action: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    text = f"{who}: only regular files can be {action}, and this is {kind}"
    raise OSError(code, text, path)


# -- writing


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of the one at `path` when the block ends.

    If the block fails, or the process is killed, what stood at `path` still does. The
    new file has owner, group, permissions and the access list of the old one, as far as
    this user may set them, or those of any new file.

    Raises
    ------
    OSError
        If `path` is not a regular file, may not be written, or its folder does not let
        files be created; or from the disk.
    """
    target, before = _target(path)
    folder, name = os.path.split(target)
    try:
        handle, beside = _create_beside(folder, name, 0o600 if before else 0o666)
    except OSError as error:
        raise _create_error(error, folder, path) from None
    try:
        with open(handle, "wb", buffering=0) as file:
            _remove_stale(folder, name, file)
            yield file
            if before:
                _copy_attributes(target, before, handle)
            os.fsync(handle)
            os.replace(beside, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError):
            raise _named(error, f"save: {error.strerror or error}", path) from error
        raise
    _sync_folder(folder)


def write(file: BinaryIO, data: memoryview) -> None:
    """Write all of some bytes to an unbuffered file."""
    while data:
        data = data[file.write(data[:_AT_ONCE]) :]


def _target(path: str) -> tuple[str, os.stat_result | None]:
    """Return the file that links lead to, and its status: None if it does not exist."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.basename(path):  # else a slash at the end, or no name at all
            return os.path.realpath(path), None
        raise
    _check_regular("save", path, mode, "replaced")
    target = os.path.realpath(path)
    try:
        # Not to write to it, but to hear whether that is allowed.
        handle = os.open(target, os.O_WRONLY | _QUIETLY)
    except OSError as error:
        text = f"save: the file may not be written (mode {stat.S_IMODE(mode):04o})"
        raise _named(error, f"{text}: {error.strerror}", path) from None
    try:
        return target, os.fstat(handle)
    finally:
        os.close(handle)


def _named(error: OSError, text: str, path: str) -> OSError:
    """Return an error of the same number that names the path a caller knows."""
    return OSError(error.errno or errno.EIO, text, path)


def _create_error(error: OSError, folder: str, path: str) -> OSError:
    if not os.path.isdir(folder):
        text = f"save: there is no folder {folder!r}; create it first"
    else:
        text = f"save: no file can be created in {folder!r}: {error.strerror}"
    return _named(error, text, path)


def _create_beside(folder: str, name: str, mode: int) -> tuple[int, str]:
    """Create a temporary file for a target, locked while its writer lives."""
    while True:
        token = _node() + secrets.token_hex(8)
        path = os.path.join(folder, _prefix(folder, name) + token + SUFFIX)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _QUIETLY, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            usable = True
        except BlockingIOError:  # another saver is about to take it for stale
            usable = False
        except OSError:  # this file system has no locks
            usable = True
        if usable and os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)
        with suppress(FileNotFoundError):
            os.unlink(path)


def _prefix(folder: str, name: str) -> str:
    """Return what names of temporary files of a target begin with."""
    try:
        most = os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        most = _NAME_MAX
    left = most - len(f"..{_node()}{'0' * 16}{SUFFIX}")
    encoded = os.fsencode(name)
    if len(encoded) > left:
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        name = encoded[: left - 17].decode(errors="ignore") + "~" + digest
    return f".{name}."


def _node() -> str:
    """Return a word for this machine since it was started: locks are valid here."""
    try:
        boot = _Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = b""
    return hashlib.sha256(boot).hexdigest()[:8]


def _remove_stale(folder: str, name: str, own: BinaryIO) -> None:
    """Remove temporary files of a target whose writers were killed."""
    prefix, itself = _prefix(folder, name), os.fstat(own.fileno())
    pattern = re.compile(
        re.escape(prefix) + "([0-9a-f]{8})[0-9a-f]{16}" + re.escape(SUFFIX), re.DOTALL
    )
    with suppress(OSError):
        for match in filter(None, map(pattern.fullmatch, os.listdir(folder))):
            with suppress(OSError):
                path, here = os.path.join(folder, match[0]), match[1] == _node()
                _remove_if_stale(path, itself, writer_was_here=here)


def _remove_if_stale(path: str, own: os.stat_result, *, writer_was_here: bool) -> None:
    """Remove this user's temporary file if its writer is dead."""
    handle = os.open(path, os.O_RDWR | _QUIETLY)
    try:
        other = os.fstat(handle)
        if not stat.S_ISREG(other.st_mode) or other.st_uid != own.st_uid:
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if its writer lives
        # Writers on other machines may hold locks that this one does not see.
        if writer_was_here or own.st_mtime - other.st_mtime > _ABANDONED:
            os.unlink(path)  # while it is locked: `_create_beside` looks for that
    finally:
        os.close(handle)


def _copy_attributes(target: str, before: os.stat_result, handle: int) -> None:
    """Give a new file the owner, group, permissions and attributes of the old one."""
    mode = stat.S_IMODE(before.st_mode) & 0o777
    try:
        os.chown(handle, before.st_uid, before.st_gid)
    except PermissionError:  # the owner's name is not ours to give
        try:
            os.chown(handle, -1, before.st_gid)
        except PermissionError:
            # The rights of a group are not those of another: it gets what all have.
            mode = mode & 0o707 | (mode & 0o007) << 3
    _copy_extended(target, handle)
    with suppress(PermissionError):
        os.chmod(handle, mode)


def _copy_extended(target: str, handle: int) -> None:
    """Copy the access list and the user's attributes."""
    access = "system.posix_acl_access"
    with _unsupported_is_fine():
        os.removexattr(handle, access)  # a folder's default, which `target` may lack
    with _unsupported_is_fine():
        for name in os.listxattr(target):
            if name == access or name.startswith("user."):
                with _unsupported_is_fine():
                    os.setxattr(handle, name, os.getxattr(target, name))


@contextmanager
def _unsupported_is_fine() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _sync_folder(folder: str) -> None:
    """Have the new name on disk, too, where the folder may be opened."""
    with _unsupported_is_fine():
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
