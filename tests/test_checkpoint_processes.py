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


def test_a_saver_that_is_killed_leaves_a_whole_file_and_nothing_for_long(
    tmp_path: Path,
) -> None:
    path, size, killed_halfway = tmp_path / "run", 200_000, 0
    gs.save(path, gs.SGD(np.zeros(size)))
    for k in range(12):
        with saver(path, size) as process:
            time.sleep(0.003 * k)
            process.send_signal(signal.SIGKILL)
            process.wait()
        loaded(path, size)
        names = set(os.listdir(tmp_path)) - {"run"}
        assert all(
            name.startswith(".run.") and name.endswith(files.SUFFIX) for name in names
        )
        killed_halfway += bool(names)
        assert len(names) <= 1  # that of the one before is gone
    gs.save(path, gs.SGD(np.zeros(size)))
    assert os.listdir(tmp_path) == ["run"]
    assert killed_halfway > 0
