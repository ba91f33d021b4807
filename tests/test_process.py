"""A process: its environment, forks, signals and threads."""

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls

Array: TypeAlias = Any
f4 = np.float32


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import gradstep as gs, numpy as np, os\n" + code]
    env = os.environ | {"PYTHONHASHSEED": "0"} | env
    o = {"capture_output": True, "text": True, "timeout": 60}
    return subprocess.run(command, env=env, check=False, **o)


BITS = """
from gradstep import lls
bits = []
for m in 1, 2, 3, 7, 8, 9, 16, 17, 33, 100:
    for shape in (61,), (61, 1), (61, 2), (61, 9):
        for dtype in "f4", "f8":
            rng = np.random.default_rng(m)
            X, y = (rng.standard_normal(n).astype(dtype) for n in ((61, m), shape))
            order = lambda epoch: np.random.RandomState(epoch).permutation(61)
            for o in gs.Adam, gs.SGD:
                fit = lls.fit(X, y, optimizer=o, batch_size=8, epochs=3, order=order)
                bits += [fit.coef.tobytes()]
print(hash(tuple(bits)))
"""


def test_bits_depend_neither_on_isa_nor_on_threads() -> None:
    levels = gs.build_config()["levels"].split()
    runs = [
        python(BITS, GRADSTEP_ISA=isa, GRADSTEP_NUM_THREADS=threads)
        for isa, threads in zip(levels * 2, "125512", strict=False)
    ]
    assert not any(run.stderr for run in runs), runs
    assert len({run.stdout for run in runs}) == 1
    assert re.fullmatch(r"-?\d+\n", runs[0].stdout)


@pytest.mark.parametrize("name", ["GRADSTEP_ISA", "GRADSTEP_NUM_THREADS"])
def test_bad_environment(name: str) -> None:
    for value in ("v9", "V3", " ", "0", "-1", "2.0", "1025"):
        error = python("gs.get_num_threads()", **{name: value}).stderr.splitlines()[-1]
        assert re.match(f"ValueError: {name} must be .*got '{value}'", error), error


@pytest.mark.parametrize("name", ["ISA", "NUM_THREADS", "CACHE_DIR"])
def test_an_empty_variable_is_an_unset_one(name: str) -> None:
    code = """
import os, runpy
from gradstep import threads
disk = runpy.run_path(os.path.join(os.path.dirname(gs.__file__), "torch", "disk.py"))
print(gs.isa(), gs.get_num_threads(), threads.reason(), disk["_folder"]())
"""
    unset = {key: value for key, value in os.environ.items() if "GRADSTEP" not in key}
    runs = [
        subprocess.run(
            [sys.executable, "-c", "import gradstep as gs\n" + code],
            env=unset | added,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for added in ({}, {f"GRADSTEP_{name}": ""})
    ]
    assert runs[0] == runs[1] != ""


def test_number_of_threads() -> None:
    for n in (3, np.int64(2)):  # whole numbers
        gs.set_num_threads(n)
        assert gs.get_num_threads() == n
    gs.set_num_threads(None)
    code = "for n in 2, None: gs.set_num_threads(n)\nprint(gs.get_num_threads())"
    assert python(code, GRADSTEP_NUM_THREADS="5").stdout == "5\n"


FORK = """
w = g = np.sin(np.arange(1 << 21))
gs.set_num_threads(4)
opt = gs.Adam(w.copy(), lr=0.1)
opt.step(g)  # now the threads exist
pid = os.fork()
for _ in range(3):
    opt.step(g)
bits = [opt.param_groups[0]["params"][0].tobytes(), opt.state[0]["m"].tobytes()]
if pid:
    os.waitpid(pid, 0)
print(hash(tuple(bits)), gs.get_num_threads(), flush=True)
"""


def test_a_forked_child_steps() -> None:
    out = python(FORK).stdout.split()
    assert (out[1], out[3]) == ("1", "4")
    assert out[0] == out[2]


@contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    """Expect a Ctrl-C after `seconds` to end what is going on, within half a second."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)
    assert seconds < time.perf_counter() - start < seconds + 0.5


@pytest.mark.parametrize("batch", [1, 500])
def test_ctrl_c_ends_a_fit(batch: int) -> None:
    X, y = np.random.default_rng(0).standard_normal((500, 101))[:, :100], np.ones(500)
    rows = np.resize(np.arange(500), 10**7)
    o = {"batch_size": batch, "optimizer": partial(gs.SGD, lr=1e-6)}
    with interrupted(0.1):
        lls.fit(X, y, epochs=10**8, **o)
    with interrupted(0.05):  # an epoch that is long itself
        lls.fit(X, y, epochs=1, order=lambda _: rows, **o)


def test_ctrl_c_leaves_whole_steps() -> None:
    w, grad = np.ones(1 << 20, f4), np.ones(1 << 20, f4)
    opt = gs.Adam(w)
    for k in range(10):
        with interrupted(0.003 + 0.0003 * k):
            while True:
                opt.step(grad)
    assert np.ptp(w) == np.ptp(opt.state[0]["m"]) == 0
    # As many steps as were counted.
    assert opt.state[0]["m"][0] == pytest.approx(1 - 0.9 ** opt.state[0]["step"])


def test_one_of_two_threads_in_a_step_is_refused() -> None:
    grad = np.sin(np.arange(1 << 21, dtype=f4))
    opt, opt2 = (gs.Adam(np.ones(1 << 21, f4), lr=0.1) for _ in range(2))
    refused: list[str] = []
    stop = time.monotonic() + 10

    def work() -> None:
        while not refused and time.monotonic() < stop:
            try:
                opt.step(grad)
            except RuntimeError as error:
                refused.append(str(error))

    other = threading.Thread(target=work)
    other.start()
    work()
    other.join()
    assert re.match("Adam is in the middle of a step: in another thread, ", refused[0])
    for _ in range(opt.state[0]["step"]):
        opt2.step(grad)
    assert pickle.dumps(opt) == pickle.dumps(opt2)


def test_two_optimizers_step_beside_each_other() -> None:
    """A step leaves Python to others: to count, and to step another optimizer."""
    grad = np.sin(np.arange(1 << 22, dtype=f4))
    ours, theirs = (gs.Adam(np.ones(1 << 22, f4), lr=0.1) for _ in range(2))
    done = threading.Event()

    def work() -> None:
        for _ in range(20):
            ours.step(grad)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    meanwhile = 0
    while not done.is_set():
        theirs.step(grad)
        meanwhile += 1
    thread.join()
    assert meanwhile > 2
    for opt, steps in ((ours, 20), (theirs, meanwhile)):
        expected = gs.Adam(np.ones(1 << 22, f4), lr=0.1)
        for _ in range(steps):
            expected.step(grad)
        assert pickle.dumps(opt) == pickle.dumps(expected)


MEETING: dict[str, Callable[[Any, Any], Array]] = {
    "state_dict": lambda opt, _: opt.state_dict()["state"][0]["z"],
    "load_state_dict": lambda opt, saved: opt.load_state_dict(saved) or [0],
    "lookahead": lambda opt, _: opt.lookahead(),
    "pickle": lambda opt, _: pickle.loads(pickle.dumps(opt)).state[0]["z"],
}


@pytest.mark.parametrize("call", MEETING)
def test_what_meets_a_step_is_whole_or_refused(call: str) -> None:
    w, grad = np.ones((2, 1 << 21))
    opt = gs.SGD(w, momentum=0.5, form="velocity", nesterov=True)
    saved, stop = opt.state_dict(), time.monotonic() + 0.5
    torn: list[float] = []

    def until_torn(meet: Callable[[], Array]) -> None:
        while not torn and time.monotonic() < stop:
            with suppress(RuntimeError):  # the other call may be in the way
                torn.extend(filter(None, [np.ptp(meet())]))

    thread = threading.Thread(target=until_torn, args=[lambda: opt.step(grad) or [0]])
    thread.start()
    until_torn(lambda: MEETING[call](opt, saved))
    thread.join()
    # All elements have lived the same, so they must be equal.
    assert [*torn, np.ptp(w), np.ptp(opt.state[0]["z"])] == [0, 0]
