"""How many threads a large step is spread over."""

import os
from pathlib import Path

import numpy as np

from gradstep import _core

MOST = 1024  # threads; more is a mistake


def _quota() -> int | None:
    """Whole CPUs that the control group allows, or None if it sets no limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    root = Path("/sys/fs/cgroup")
    for line in lines:
        _, controllers, path = line.split(":", 2)
        try:
            if controllers == "":
                limit, period = (root / path[1:] / "cpu.max").read_text().split()
            elif "cpu" in controllers.split(","):
                at = root / controllers / path[1:]
                limit = (at / "cpu.cfs_quota_us").read_text().strip()
                period = (at / "cpu.cfs_period_us").read_text().strip()
            else:
                continue
        except (OSError, ValueError):
            continue
        if limit not in ("max", "-1"):
            return max(1, int(limit) // int(period))
    return None


def _allowed() -> tuple[int, str]:
    """CPUs that this process may use, and what says so."""
    if hasattr(os, "sched_getaffinity"):
        n, why = len(os.sched_getaffinity(0)), "affinity mask"
    else:
        n, why = os.cpu_count() or 1, "CPU count"
    quota = _quota()
    if quota is not None and quota < n:
        return quota, "cgroup quota"
    return n, why


def _from_environment() -> tuple[int, str]:
    text = os.environ.get("GRADSTEP_NUM_THREADS")
    if text is None:
        return _allowed()
    try:
        n = int(text)
    except ValueError:
        n = 0
    if not 1 <= n <= MOST:
        raise ValueError(
            f"GRADSTEP_NUM_THREADS must be a whole number in [1, {MOST}], got {text!r}"
        )
    return n, "GRADSTEP_NUM_THREADS"


_why = ""


def set_num_threads(n: int | None) -> None:
    """Spread large steps over `n` threads from now on, in the whole process.

    The results do not depend on it, bit for bit.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to what the process started with:
        ``GRADSTEP_NUM_THREADS`` if set, else the CPUs that the affinity mask and the
        control group's quota allow.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number, or is below 1 or above 1024.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.set_num_threads(2)
    >>> gs.get_num_threads()
    2
    >>> gs.set_num_threads(None)
    """
    global _why  # noqa: PLW0603  # one process, one setting
    if n is None:
        n, _why = _from_environment()
    elif isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"set_num_threads: n must be int or None, got {n!r}")
    else:
        _why = "set_num_threads"
    if not 1 <= n <= MOST:
        raise ValueError(f"set_num_threads: n must be in [1, {MOST}], got {n}")
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """Return how many threads large steps are spread over; 1 in a forked child."""
    return _core.get_num_threads()


def reason() -> str:
    """Return what set the number of threads."""
    return _why


set_num_threads(None)
