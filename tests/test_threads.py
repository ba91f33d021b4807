"""How many threads, and who says so."""

import os
import subprocess
import sys
from pathlib import Path

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
