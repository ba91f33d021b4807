"""What was compiled, on disk under its key, for processes to come.

A file that is not there or damaged is no error: it is compiled again. Nor is a folder
that cannot be made or written, as on a full disk or in a home that is read-only.

What is loaded runs on the GPU with the rights of this user, and anybody can compute a
checksum. So in a folder that others may write to, only files are read that are this
user's own and that nobody else may write to.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path

# Bytes, of some thousands of cubins; the oldest go first.
LIMIT = 256 << 20
# How names start, so that in a folder of somebody else nothing of theirs is removed.
OURS = "gradstep-"


def _folder() -> Path | None:
    """Return where cubins are kept, if there is any place that is the user's own."""
    own = os.environ.get("GRADSTEP_CACHE_DIR")
    if own:
        return Path(own)
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # "~" is left where nobody knows a home; a relative path must not be heeded.
    return Path(caches, "gradstep") if os.path.isabs(caches) else None


def read(key: str) -> bytes | None:
    """Return what was written under a key, unless it is damaged or may be of others."""
    folder = _folder()
    if folder is None:
        return None
    try:
        contents = _own_contents(folder / f"{OURS}{key}.cubin")
    except OSError:
        return None
    data = contents[32:]
    return data if contents[:32] == _digest(key, data) else None


def _own_contents(path: Path) -> bytes:
    """Return what a file of this user holds; OSError if it may be somebody else's.

    It is judged once it is open, so that nobody can exchange it in between. A symbolic
    link is not followed, and a pipe not waited for.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if not is_own or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{path} may have been written by others")
        return file.read()


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()


def write(key: str, data: bytes) -> None:
    """Keep a cubin; whoever reads it meanwhile finds all of it or nothing."""
    folder = _folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = folder / f"{OURS}{secrets.token_hex(16)}.part"
        try:
            _create(beside, _digest(key, data) + data)
            beside.replace(folder / f"{OURS}{key}.cubin")
        finally:
            beside.unlink(missing_ok=True)
        _prune(folder)


def _create(path: Path, contents: bytes) -> None:
    """Write a new file that this user alone may write to, whatever the umask is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(contents)


def _prune(folder: Path) -> None:
    """Remove the oldest of our files, and what was left half written, above LIMIT."""
    files = [(path.lstat(), path) for path in folder.glob(f"{OURS}*")]
    own = [(status, path) for status, path in files if status.st_uid == os.geteuid()]
    total = sum(status.st_size for status, _ in own)
    for status, path in sorted(own, key=lambda pair: pair[0].st_mtime):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= status.st_size
