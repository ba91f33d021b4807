"""How many threads a large step is spread over."""

import os
from pathlib import Path

from gradstep import _core
from gradstep.hyper import is_integer

MOST = 1024  # threads; more is a mistake


def _quota() -> int | None:
    """Return the whole CPUs that control groups allow, or None if they set no limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits += _limits(Path("/sys/fs/cgroup"), path, ("cpu.max",))
        elif "cpu" in controllers.split(","):
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            limits += _limits(Path("/sys/fs/cgroup", controllers), path, files)
    return max(1, int(min(limits))) if limits else None


def _limits(root: Path, path: str, files: tuple[str, ...]) -> list[float]:
    """Return the CPUs that a group and each of those around it allow.

    In a container the path may be that of the host; what is not there sets no limit.
    """
    found = []
    for folder in (Path(path), *Path(path).parents):
        try:
            here = root / folder.relative_to("/")
            text = " ".join((here / f).read_text() for f in files)
            limit, period = text.split()
        except (OSError, ValueError):
            continue
        if limit not in ("max", "-1"):
            found.append(int(limit) / int(period))
    return found


def _allowed() -> tuple[int, str]:
    """Return the CPUs that this process may use, and what says so."""
    if hasattr(os, "sched_getaffinity"):
        n, why = len(os.sched_getaffinity(0)), "affinity mask"
    else:
        n, why = os.cpu_count() or 1, "CPU count"
    quota = _quota()
    if quota is not None and quota < n:
        return quota, "cgroup quota"
    return min(n, MOST), why


def _from_environment() -> tuple[int, str]:
    text = os.environ.get("GRADSTEP_NUM_THREADS")
    if not text:  # empty means unset, as for OpenMP
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


def _openmp_source(limit: int) -> str:
    """Return what set OpenMP's limit on the threads of this one."""
    if limit != _openmp_at_import:
        return "omp_set_num_threads"
    for name in ("OMP_THREAD_LIMIT", "OMP_NUM_THREADS"):
        # Of nested regions, "4,2", the first is meant.
        if os.environ.get(name, "").split(",")[0].strip() == str(limit):
            return name
    return "OpenMP"


_openmp_at_import = _core.openmp_threads()
_requested, _source = 1, ""


def set_num_threads(n: int | None) -> None:
    """Spread large steps over `n` threads from now on, in the whole process.

    The results do not depend on it, bit for bit.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to what the process started with:
        ``GRADSTEP_NUM_THREADS`` if set, else the CPUs that the affinity mask and the
        control group's quota allow, or fewer where OpenMP allows fewer:
        ``OMP_NUM_THREADS``, which joblib sets for its processes, ``OMP_THREAD_LIMIT``,
        and what `threadpoolctl.threadpool_limits` sets for the thread that calls it.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number, or is below 1 or above 1024.
    RuntimeError
        If `n` > 1 in a forked process: OpenMP's threads do not survive a fork, and the
        next parallel region would hang. Or if so many threads cannot be started.

    Warns
    -----
    RuntimeWarning
        From a step, if threads cannot be started that could before: large steps use
        those that exist from then on.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.set_num_threads(2)
    >>> gs.get_num_threads()
    2
    >>> gs.set_num_threads(None)
    """
    global _requested, _source  # one process, one setting
    if n is None:
        requested, source = _from_environment()
    elif not is_integer(n):
        raise TypeError(f"set_num_threads: n must be int or None, got {n!r}")
    else:
        requested, source = int(n), "set_num_threads"
    if not 1 <= requested <= MOST:
        raise ValueError(f"set_num_threads: n must be in [1, {MOST}], got {n}")
    as_limit = source not in ("set_num_threads", "GRADSTEP_NUM_THREADS")
    if n is not None:
        _check_startable(requested)
    if _core.set_num_threads(requested, as_limit):
        _requested, _source = requested, source
    elif n is None:
        _requested, _source = 1, "forked process"
    else:
        raise RuntimeError(
            f"set_num_threads: a forked process keeps to 1 thread, got {n}; start it "
            "by spawn or forkserver to use more"
        )


def _check_startable(n: int) -> None:
    """Refuse more threads than can be started: OpenMP would end the process."""
    startable = _core.startable_threads(n)
    if startable < n:
        raise RuntimeError(
            f"set_num_threads: {n} threads cannot be started, only {startable}; pass "
            "fewer, or raise RLIMIT_NPROC (ulimit -u), the control group's pids.max or "
            "the memory limit"
        )


def get_num_threads() -> int:
    """Return how many threads large steps are spread over; 1 in a forked process.

    Of the thread that calls, where OpenMP's limits are those of a thread.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def reason() -> str:
    """Return what set the number of threads."""
    n = _core.get_num_threads()
    if n == _requested or _source == "forked process":
        return _source
    limit = _core.openmp_threads()
    return _openmp_source(limit) if n == limit else "threads that could be started"


set_num_threads(None)
