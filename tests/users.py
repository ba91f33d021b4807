"""Tests as a user without privileges, and folders that are this user's."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
IS_ROOT = os.geteuid() == 0


@contextmanager
def unprivileged(uid: int = NOBODY) -> Iterator[None]:
    """Go on as a user without privileges; a user who has none stays as is."""
    if not IS_ROOT:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def folder_of(uid: int = NOBODY) -> Iterator[Path]:
    """Yield a folder that belongs to the user of `unprivileged`."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        if IS_ROOT:
            os.chown(name, uid, uid)
        yield Path(name)
        os.chmod(name, 0o755)
