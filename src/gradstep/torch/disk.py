"""What was compiled, on disk under its key, for processes to come.

A file that is not there or damaged is no error: it is compiled again. Nor is a folder
that cannot be made or written, as on a full disk or in a home that is read-only.
"""

import contextlib
import hashlib
import os
import secrets
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
    """Return what was written under a key, unless it is damaged."""
    folder = _folder()
    if folder is None:
        return None
    try:
        held = (folder / f"{OURS}{key}.cubin").read_bytes()
    except OSError:
        return None
    data = held[32:]
    return data if held[:32] == _digest(key, data) else None


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
            beside.write_bytes(_digest(key, data) + data)
            beside.replace(folder / f"{OURS}{key}.cubin")
        finally:
            beside.unlink(missing_ok=True)
        _prune(folder)


def _prune(folder: Path) -> None:
    """Remove the oldest of our files, and what was left half written, above LIMIT."""
    found = [(path.stat(), path) for path in folder.glob(f"{OURS}*")]
    total = sum(stat.st_size for stat, _ in found)
    for stat, path in sorted(found, key=lambda pair: pair[0].st_mtime):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= stat.st_size
