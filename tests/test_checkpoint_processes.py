"""Several processes and threads that save and load one file, and die meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import files

# Saves states that are all of one number, 0 and up, until it is ended.
SAVER = """
import itertools, sys, numpy as np, gradstep as gs
path, size = sys.argv[1], int(sys.argv[2])
w = np.zeros(size)
opt = gs.SGD(w)
print("ready", flush=True)
for value in itertools.count(1):
    w[:] = value
    gs.save(path, opt)
"""


@contextmanager
def saver(path: Path, size: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", SAVER, str(path), str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def loaded(path: Path, size: int) -> float:
    """Return the one number that a loaded state consists of."""
    w = np.zeros(size)
    gs.load(path, gs.SGD(w))
    assert np.ptp(w) == 0
    return float(w[0])


def test_a_load_beside_a_saver_is_of_the_old_file_or_the_new(tmp_path: Path) -> None:
    path, size, values = tmp_path / "run", 50, []
    gs.save(path, gs.SGD(np.zeros(size)))
    end = time.monotonic() + 2
    with saver(path, size):
        while time.monotonic() < end:
            values.append(loaded(path, size))
    assert values == sorted(values)
    assert len(set(values)) > 5


def test_savers_of_one_path_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, size = tmp_path / "run", 50
    gs.save(path, gs.SGD(np.zeros(size)))
    end = time.monotonic() + 1

    def save(value: float) -> None:
        opt = gs.SGD(np.full(size, value))
        while time.monotonic() < end:
            gs.save(path, opt)

    threads = [threading.Thread(target=save, args=[float(k)]) for k in range(1, 5)]
    with saver(path, size):
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            loaded(path, size)
        for thread in threads:
            thread.join()
    gs.save(path, gs.SGD(np.zeros(size)))
    assert os.listdir(tmp_path) == ["run"]


# Ends itself by SIGKILL where a save calls a function for the nth time.
KILLED = """
import os, signal, sys, numpy as np, gradstep as gs
from gradstep.checkpoint import files
path, name, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner = files if name == "write" else os
call = getattr(owner, name)
def counted(*arguments):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*arguments)
setattr(owner, name, counted)
gs.save(path, gs.SGD(np.full(200, 2.0)))
"""


@pytest.mark.parametrize(
    ("name", "calls", "is_new", "leaves_one"),
    [
        ("write", 1, False, True),
        ("write", 2, False, True),
        ("fsync", 1, False, True),
        ("replace", 1, False, True),
        ("fsync", 2, True, False),  # of the folder
    ],
)
def test_a_saver_killed_at_any_call_leaves_a_whole_file_and_nothing_for_long(
    name: str, calls: int, is_new: bool, leaves_one: bool, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    gs.save(path, gs.SGD(np.full(200, 1.0)))
    command = [sys.executable, "-c", KILLED, str(path), name, str(calls)]
    done = subprocess.run(command, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert loaded(path, 200) == (2 if is_new else 1)
    leftovers = set(os.listdir(tmp_path)) - {"run"}
    assert len(leftovers) == leaves_one
    for leftover in leftovers:
        assert leftover.startswith(".run.")
        assert leftover.endswith(files.SUFFIX)
    gs.save(path, gs.SGD(np.full(200, 3.0)))
    assert os.listdir(tmp_path) == ["run"]


def test_savers_killed_at_any_time_leave_a_whole_file(tmp_path: Path) -> None:
    path, size = tmp_path / "run", 200_000
    gs.save(path, gs.SGD(np.zeros(size)))
    for k in range(4):
        with saver(path, size) as process:
            time.sleep(0.005 * k)
            process.send_signal(signal.SIGKILL)
            process.wait()
        loaded(path, size)
        assert len(os.listdir(tmp_path)) <= 2  # what the one before left is gone
