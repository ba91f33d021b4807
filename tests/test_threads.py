"""How many threads, and who says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep import threads


def test_quotas_of_all_groups_around_count(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (tmp_path / "a" / "cpu.max").write_text("250000 100000\n")
    assert threads._limits(tmp_path, "/a/b", ("cpu.max",)) == [2.5]
    # In a container the path can be the host's; its root then has the files.
    (tmp_path / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    assert threads._limits(tmp_path, "/docker/0123", files) == [3.0]
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads._limits(tmp_path, "/docker/0123", files) == []


def test_a_machine_of_many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5000))
    monkeypatch.setattr(threads, "_quota", lambda: None)
    assert threads._allowed() == (threads.MOST, "affinity mask")


CHILD = """
import os, numpy as np, gradstep as gs
from gradstep import threads
gs.set_num_threads(2)
w = np.ones(1 << 20)
opt = gs.SGD(w, lr=0.5)
opt.step(w.copy())
if os.fork():
    assert os.wait()[1] == 0
    print("fine")
else:
    try:
        gs.set_num_threads(2)
    except RuntimeError as error:
        assert "forked process keeps to 1 thread, got 2" in str(error)
    else:
        os._exit(3)
    gs.set_num_threads(None)
    gs.set_num_threads(1)
    opt.step(w.copy())  # hangs if two threads try
    os._exit(0 if w[-1] == 0.25 and gs.get_num_threads() == 1 else 4)
"""


def test_a_forked_process_keeps_to_one_thread() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CHILD]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "fine\n", done.stderr


def test_none_goes_back_to_the_start() -> None:
    before = gs.get_num_threads()
    gs.set_num_threads(3)
    assert gs.get_num_threads() == 3
    gs.set_num_threads(None)
    assert gs.get_num_threads() == before


# -- where threads cannot be started

# Allows this process as many threads as sys.argv[2] says beside those that it has. Root
# has no limit on processes, so it becomes a user of whom there is nothing else.
LIMITED = """
import os, resource, sys, threading, warnings
import numpy as np, gradstep as gs
from gradstep import threads
limit, more = sys.argv[1], int(sys.argv[2])
warnings.simplefilter("always")
# Large enough for threads in a step, and too small for threads before it.
w, grad = np.ones(1 << 18), np.sin(np.arange(1 << 18))
opt = gs.Adam(w, lr=0.5)
if limit == "processes":
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(54321, 54321, 54321)
        os.setresuid(54321, 54321, 54321)
    most = len(os.listdir("/proc/self/task")) + more
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
else:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    stack = 8 << 20
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    most = pages * os.sysconf("SC_PAGE_SIZE") + int((more + 0.5) * stack)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""
REFUSED = """
try:
    gs.set_num_threads(8)
except RuntimeError as error:
    print(error)
print(gs.get_num_threads())
gs.set_num_threads(1 + more)
opt.step(grad)
print(gs.get_num_threads(), float(w[-1]).hex())
"""
SHORT = """
before = gs.get_num_threads()
with warnings.catch_warnings(record=True) as seen:
    opt.step(grad)
    for _ in range(2):  # Python looks for warnings from C where loops begin again
        pass
print(*(warning.message for warning in seen))
print(before, gs.get_num_threads(), threads.reason(), float(w[-1]).hex(), sep=";")
"""
FEW_OF_ANOTHER_THREAD = """
gs.set_num_threads(more)
opt.step(grad)  # these threads are the main thread's, and stay
other = gs.Adam(np.ones(1 << 18), lr=0.5)
thread = threading.Thread(target=other.step, args=[grad])
try:
    thread.start()
    thread.join()
    print("stepped")
except RuntimeError as error:
    print(error)
"""


def limited(
    code: str, limit: str, more: int, **env: str
) -> "subprocess.CompletedProcess[str]":
    few = {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", LIMITED + code, limit, str(more)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | few | env,
    )


def expected_element() -> str:
    w = np.ones(1 << 18)
    gs.Adam(w, lr=0.5).step(np.sin(np.arange(1 << 18)))
    return float(w[-1]).hex()


LIMITS = ["processes", "memory"]


@pytest.mark.parametrize("limit", LIMITS)
def test_more_threads_than_can_be_started_are_refused(limit: str) -> None:
    done = limited(REFUSED, limit, 2, GRADSTEP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    message, *numbers = done.stdout.splitlines()
    assert message.startswith(
        "set_num_threads: 8 threads cannot be started, only 3; pass fewer, or raise "
    )
    assert numbers == ["1", f"3 {expected_element()}"]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_step_whose_threads_cannot_be_started_warns_and_uses_those_that_exist(
    limit: str,
) -> None:
    done = limited(SHORT, limit, 2, GRADSTEP_NUM_THREADS="8")
    assert done.returncode == 0, done.stderr
    message, state = done.stdout.splitlines()
    assert message.startswith("8 threads cannot be started; large steps use 1 from now")
    assert state == f"8;1;threads that could be started;{expected_element()}"


def test_steps_of_another_thread_use_what_can_be_started() -> None:
    done = limited(FEW_OF_ANOTHER_THREAD, "processes", 3)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(("stepped\n", "can't start new thread\n"))


# -- limits of OpenMP


SHOWN = """
import gradstep as gs
from gradstep import threads
print(gs.get_num_threads(), threads.reason(), sep=";")
"""


def shown(code: str = SHOWN, **env: str) -> str:
    unset = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OMP_", "GRADSTEP_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=unset | env,
    ).stdout.strip()


def test_variables_of_openmp_limit_the_default() -> None:
    assert shown(OMP_NUM_THREADS="1").startswith("1;")
    n, _, source = shown().partition(";")
    most = int(n)
    assert shown(OMP_NUM_THREADS=str(most + 5)) == f"{most};{source}"
    if most > 1:
        assert shown(OMP_NUM_THREADS="1") == "1;OMP_NUM_THREADS"
        assert shown(OMP_NUM_THREADS="1,2") == "1;OMP_NUM_THREADS"
        assert shown(OMP_THREAD_LIMIT="1") == "1;OMP_THREAD_LIMIT"
    own = shown(OMP_NUM_THREADS="1", GRADSTEP_NUM_THREADS="3")
    assert own == "3;GRADSTEP_NUM_THREADS"
    set_later = SHOWN.replace("print", "gs.set_num_threads(4)\nprint")
    assert shown(set_later, OMP_NUM_THREADS="1") == "4;set_num_threads"
    back = SHOWN.replace(
        "print", "gs.set_num_threads(4); gs.set_num_threads(None)\nprint"
    )
    assert shown(back, OMP_NUM_THREADS="1").startswith("1;")


def test_info_says_that_openmp_limits_the_threads() -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one CPU is no more than any limit allows")
    command = [sys.executable, "-m", "gradstep", "info", "--json"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "GRADSTEP_NUM_THREADS": ""}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    info = json.loads(done.stdout)
    assert (info["threads"], info["threads_from"]) == (1, "OMP_NUM_THREADS")


POOLS = """
import threading, numpy as np, gradstep as gs
from gradstep import threads
from threadpoolctl import threadpool_limits
def tasks():
    return len(__import__("os").listdir("/proc/self/task"))
opt, grad = gs.SGD(np.ones(1 << 20)), np.ones(1 << 20)
default, before = gs.get_num_threads(), tasks()
with threadpool_limits(1):
    opt.step(grad)
    print(gs.get_num_threads(), tasks() - before)
    gs.set_num_threads(2)
    opt.step(grad)
    print(gs.get_num_threads(), tasks() - before)
    gs.set_num_threads(None)
    print(gs.get_num_threads(), threads.reason())
print(gs.get_num_threads() == default)
"""


def test_limits_of_threadpoolctl_hold_for_steps() -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one CPU is no more than any limit allows")
    lines = shown(POOLS).splitlines()
    assert lines == ["1 0", "2 1", "1 omp_set_num_threads", "True"]


def test_groups_of_either_version_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "0::/a\n4:cpu,cpuacct:/b\n5:memory:/c\n6:cpuset:/d\n"
    monkeypatch.setattr(Path, "read_text", lambda _: lines)
    seen = []

    def limits(root: Path, path: str, files: tuple[str, ...]) -> list[float]:
        seen.append((str(root), path, files))
        return [3.5] if path == "/b" else [7.0]

    monkeypatch.setattr(threads, "_limits", limits)
    assert threads._quota() == 3
    assert seen == [
        ("/sys/fs/cgroup", "/a", ("cpu.max",)),
        ("/sys/fs/cgroup/cpu,cpuacct", "/b", ("cpu.cfs_quota_us", "cpu.cfs_period_us")),
    ]


@pytest.mark.parametrize(
    ("limits", "expected"), [([], None), ([0.25], 1), ([1.0], 1), ([2.999, 8.0], 2)]
)
def test_a_quota_is_of_whole_cpus_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, limits: list[float], expected: int | None
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "0::/a\n")
    monkeypatch.setattr(threads, "_limits", lambda *_: limits)
    assert threads._quota() == expected
