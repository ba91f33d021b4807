"""Least squares end to end; then the process: environment, fork, signals, threads."""

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
from gradstep.datasets import wdbc

Array: TypeAlias = Any
f4, f8, NAN = np.float32, np.float64, float("nan")
# The tutorial's cells 6 and 7: w before batches 0 and 50 of each epoch, w at the end.
TUTORIAL = """
0. 0. 0.4391737 0.41735388 0.45621431 0.43296123 0.50458588 0.46953377 0.50659246
0.46976394 0.51664408 0.46913792 0.51715596 0.46786206 0.52339741 0.46367398 0.52374047
0.4622501 0.5295512 0.45779193 0.52985556 0.456353 0.53556725 0.45194588 0.53584598
0.45050492 0.54149192 0.44617918 0.54174661 0.44473749 0.54733087 0.44049501 0.54756198
0.43905271 0.55308576 0.43489257 0.55329364 0.43344969 0.55875783 0.42937075 0.55894282
0.42792729
"""
MEAN: dict[str, Any] = {"lr": 0.003, "weight_decay": 0.12}
HEAVY = partial(gs.SGD, momentum=0.8, **MEAN)
OPTIMIZERS = {
    name: partial(cls, **{k: v for k, v in MEAN.items() if k in cls.options})
    for name, cls in gs.OPTIMIZERS.items()
} | {
    "momentum": partial(HEAVY, dampening=0.3),
    "nesterov": partial(HEAVY, nesterov=True),
    "velocity": partial(HEAVY, form="velocity"),
    "amsgrad": partial(gs.Adam, amsgrad=True, maximize=True, **MEAN),
}


def problem(n: int, m: int, k: int | None, dtype: Any = f8) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + m)
    X, noise = rng.standard_normal((n, m)), rng.standard_normal((n, k or 1))
    y = X @ rng.standard_normal((m, k or 1)) + noise
    return X.astype(dtype), (y if k else y[:, 0]).astype(dtype)


def fit(X: Array, y: Array, **changes: Any) -> lls.Fit:
    arguments = {
        "optimizer": partial(gs.SGD, lr=0.01),
        "batch_size": 6,
        "epochs": 3,
        "shuffle": None,
    }
    return lls.fit(X, y, **{"shuffle": None} | arguments | changes)


def by_hand(X: Array, y: Array, rows: list[Array], **o: Any) -> Array:
    """Return what `fit` should, by a loop in float64 over the `rows` of each epoch."""
    X, y, size = X.astype(f8), y.astype(f8), o.get("batch_size", 6)
    w = np.zeros(X.shape[1:] + y.shape[1:]) + o.get("coef0", 0)
    opt = o.get("optimizer", partial(gs.SGD, lr=0.01))(w)
    batches = [e[i : i + size] for e in rows for i in range(0, len(e), size)]
    for at in batches:
        residual = X[at] @ w - y[at]
        scale = len(at) if o.get("reduction") == "mean" else 1
        opt.step(2 / scale * X[at].T @ residual)
    return opt.results()[0]


def test_the_tutorials_trace() -> None:
    X, y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
    seen: list[tuple[int, int, Array]] = []
    done = fit(
        *(X, y),
        optimizer=partial(gs.SGD, lr=0.001),
        batch_size=10,
        epochs=10,
        order=lambda _: np.random.RandomState(0).permutation(569),
        callback=lambda at: seen.append((at.epoch, at.update, at.coef)),
        callback_every=50,
    )
    # 56 batches of 10 and one of 9 in each epoch.
    assert [at[:2] for at in seen] == [
        (epoch, 57 * epoch + k) for epoch in range(10) for k in (50, 57)
    ]
    trace = np.array([np.zeros((2, 1))] + [w for *_, w in seen])
    assert trace.round(8).ravel().tolist() == [float(x) for x in TUTORIAL.split()]
    assert (done.updates, done.epochs, done.coef.shape) == (570, 10, (2, 1))


def test_update_counts() -> None:
    for batch, updates in ((100, 10), (1, 1000), (10, 100)):
        done = fit(np.ones((100, 1)), np.ones(100), batch_size=batch, epochs=10)
        assert (done.updates, done.epochs) == (updates, 10)
        assert done.optimizer.state[0]["step"] == updates
    for size in (np.int64(101), 2**63 - 1, 10**30):
        assert fit(np.ones((100, 1)), np.ones(100), batch_size=size).updates == 3


@pytest.mark.parametrize(
    ("name", "m"),
    [(name, 5) for name in OPTIMIZERS] + [("SGD", m) for m in (1, 2, 3, 4, 16, 19)],
)
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("dtype", [f4, f8])
def test_fit_is_the_loop(name: str, k: int | None, dtype: Any, m: int) -> None:
    X, y = problem(67, m, k, dtype)
    rows = [np.random.default_rng(e).permutation(67) for e in range(4)]
    for reduction in ("sum", "mean"):
        o = {"optimizer": OPTIMIZERS[name], "batch_size": 9, "reduction": reduction}
        o["coef0"] = np.linspace(-1, 1, m * (k or 1)).reshape((m, k) if k else m)
        done = fit(X, y, epochs=4, order=rows.__getitem__, **o)
        want = by_hand(X, y, rows, **o)
        error = np.abs(done.coef - want).max() / np.abs(want).max()
        assert error < (1e-12 if dtype is f8 else 1e-4), (reduction, error)
        assert (done.coef.dtype, done.coef.shape) == (dtype, want.shape)
        assert done.optimizer.state[0]["step"] == 4 * 8
        assert done.optimizer.results()[0].tobytes() == done.coef.tobytes()


def test_rows_may_come_back_or_not_at_all() -> None:
    X, y = problem(50, 3, 2)
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 50, size) for size in (137, 0, 1, 50)]
    kinds = (list, np.asarray, lambda r: r.astype("u1"), lambda r: r.astype(">i4"))
    done = fit(X, y, epochs=4, order=lambda e: kinds[e](rows[e]))
    np.testing.assert_allclose(done.coef, by_hand(X, y, rows), rtol=1e-12)
    assert done.updates == 23 + 0 + 1 + 9


def test_layout_and_type_of_the_data_do_not_matter() -> None:
    X, y = (np.round(a * 8) for a in problem(20, 3, 2))
    kept, want = X.tobytes(), fit(X, y).coef.tobytes()
    wide = np.zeros((40, 6))
    wide[::2, 1:4] = X
    raw = np.frombuffer(b"+" + X.tobytes(), "u1")[1:]
    types = [X.astype(t) for t in ("i8", "i1", ">f8", "f2", "g")]
    odd = [raw.view(f8).reshape(20, 3), wide[::2, 1:4], X.copy("F"), X.tolist()]
    for X2 in types + odd:
        for y2 in (y, y.copy("F"), y.astype("i2"), y.astype(f4), y.tolist()):
            assert fit(X2, y2).coef.tobytes() == want
    assert fit(X, y, order=lambda _: np.arange(20)).coef.tobytes() == want
    assert X.tobytes() == kept


def test_callback() -> None:
    X, y = problem(20, 3, None)
    seen: list[tuple[int, int]] = []

    def callback(at: lls.Progress) -> str:
        seen.append((at.epoch, at.update))
        return "stop" if seen[-1] == (1, 7) else ""

    done = fit(X, y, callback=callback)
    assert done.coef.tobytes() == fit(X, y).coef.tobytes()
    done = fit(X, y, callback=callback, callback_every=3)
    assert (done.updates, done.epochs) == (7, 2)
    assert seen == [(0, 4), (1, 8), (2, 12), (0, 3), (0, 4), (1, 7)]
    want = by_hand(X, y, [np.arange(20), np.arange(18)])
    np.testing.assert_allclose(done.coef, want, rtol=1e-12)


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_to_do(n: int) -> None:
    X, y = problem(n, 3, 2)
    coef0 = np.arange(6.0).reshape(3, 2)
    done = fit(X, y, coef0=coef0, epochs=0 if n else 3)
    assert (done.coef.tolist(), done.updates) == (coef0.tolist(), 0)
    assert not np.shares_memory(done.coef, coef0)
    assert fit(np.ones((4, 0)), np.ones(4)).coef.shape == (0,)
    assert fit(X, np.ones((n, 0))).coef.shape == (3, 0)
    assert lls.solve(X[:0], y[:0]).tolist() == [[0, 0]] * 3
    assert lls.solve(X, np.ones((n, 0))).shape == (3, 0)


@pytest.mark.parametrize("k", [None, 1, 3])
def test_solve(k: int | None) -> None:
    X, y = problem(40, 5, k)
    for X2, y2, tolerance in (
        *((X, y, 1e-12), (X.copy("F"), y.tolist(), 1e-12)),
        (X.astype(f4), y.astype(f4), 1e-5),
        (np.round(X * 9).astype(int), y, 1e-12),
        (X[:3], y[:3], 1e-12),  # fewer rows than columns
        (np.c_[X, X[:, :2], np.zeros(40)], y, 1e-12),  # rank 5 of 8
    ):
        want, _, rank, _ = np.linalg.lstsq(np.array(X2, f8), np.array(y2, f8), None)
        assert rank == min(5, len(X2))
        np.testing.assert_allclose(lls.solve(X2, y2), want, tolerance, tolerance)
        assert lls.solve(X2, y2).dtype == (f4 if tolerance > 1e-6 else f8)


BOTH: dict[str, tuple[Any, ...]] = {
    "X 1-d": ({"X": np.ones(20)}, ValueError, r"X must have shape \(N, L\), got \(20,"),
    "X complex": ({"X": np.ones((20, 3), "c8")}, TypeError, "X .*complex64"),
    "X ragged": ({"X": [[1.0], [1.0, 2.0]]}, ValueError, r"\bX\b"),
    "X masked": ({"X": np.ma.masked_all((20, 3))}, TypeError, "X .*[Mm]ask"),
    "y length": ({"y": np.ones(5)}, ValueError, "X has 20 rows, y has 5"),
    "y 3-d": ({"y": np.ones((20, 1, 1))}, ValueError, r"\(N, K\), got \(20, 1, 1\)"),
    "y str": ({"y": ["1"] * 20}, TypeError, "y must hold real numbers"),
    "y masked": ({"y": np.ma.masked_all(20)}, TypeError, "y .*[Mm]ask"),
}
AHEAD = partial(HEAVY, form="velocity", nesterov=True)
FAR = FloatingPointError, r"not finite after epoch \d+ \(\d+ updates\); lower lr.*X"
FIT: dict[str, tuple[Any, ...]] = {
    "batch 0": ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
    "epochs": ({"epochs": -1}, ValueError, "epochs must be >= 0, got -1"),
    "reduction": ({"reduction": "avg"}, ValueError, "'sum' or 'mean', got 'avg'"),
    "callback": ({"callback": 3}, TypeError, "callback .*3|callback .*int"),
    "coef0": ({"coef0": np.ones((3, 1))}, ValueError, r"coef0 .*\(3, 1\).*\(3,\)"),
    "coef0 c": ({"coef0": np.ones(3, "c8")}, TypeError, "coef0 .*complex64"),
    "coef0 str": ({"coef0": ["1"] * 3}, TypeError, "coef0 must hold real numbers"),
    "coef0 nan": ({"coef0": [1, NAN, 2]}, (ValueError, FloatingPointError), "coef0"),
    "order 20": ({"order": lambda _: [0, 20]}, ValueError, r"rows in \[0, 20\), .*20"),
    "order -1": ({"order": lambda _: [0, -1]}, ValueError, r"rows in \[0, 20\), .*-1"),
    "order []": ({"order": np.arange(20)}, TypeError, "order must .*ndarray"),
    "optimizer": ({"optimizer": None}, TypeError, "optimizer must .*partial"),
    # `fit` does not know of the point ahead where the gradient would belong.
    "ahead": ({"optimizer": AHEAD}, ValueError, "lookahead.*use .*nesterov"),
    "other": ({"optimizer": lambda w: gs.SGD(w.copy())}, TypeError, "optimizer must"),
    "lr nan": ({"optimizer": partial(gs.SGD, lr=NAN)}, ValueError, "SGD: lr .*nan"),
    "lr 10": ({"optimizer": partial(gs.SGD, lr=10.0), "epochs": 500}, *FAR),
    "y nan": ({"y": np.full(20, NAN)}, *FAR),
}


@pytest.mark.parametrize("case", BOTH | FIT)
def test_bad_input(case: str) -> None:
    X, y = problem(20, 3, None)
    changes, exc, words = (BOTH | FIT)[case]
    with pytest.raises(exc, match=words) as info:
        fit(**{"X": X, "y": y} | changes)
    assert case == "lr nan" or str(info.value).startswith("fit: ")
    if case in BOTH:
        with pytest.raises(exc, match="^solve: .*" + words):
            lls.solve(**{"X": X, "y": y} | changes)


def test_solve_names_what_is_not_finite() -> None:
    X, y = problem(20, 3, None)
    for X2, y2, name in ((X, y * NAN, "y"), (X * np.inf, y, "X")):
        with pytest.raises(ValueError, match=f"^solve: {name} "):
            lls.solve(X2, y2)


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
    for value in ("v9", "V3", "", "0", "-1", "2.0", "1025"):
        error = python("gs.get_num_threads()", **{name: value}).stderr.splitlines()[-1]
        assert re.match(f"ValueError: {name} must be .*got '{value}'", error), error


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
    X, y = problem(500, 100, None)
    rows = np.resize(np.arange(500), 10**7)
    o = {"batch_size": batch, "optimizer": partial(gs.SGD, lr=1e-6)}
    with interrupted(0.1):
        fit(X, y, epochs=10**8, **o)
    with interrupted(0.05):  # an epoch that is long itself
        fit(X, y, epochs=1, order=lambda _: rows, **o)


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


def test_an_optimizer_that_does_more_than_its_rule_is_refused() -> None:
    X, y = problem(20, 3, None)
    sgd = partial(gs.SGD, lr=1e-3)
    for optimizer in (
        partial(gs.SAM, base=sgd),
        partial(gs.ScheduleFree, base=sgd),
        partial(gs.Adan, restart_radius=0.5),
    ):
        with pytest.raises(ValueError, match="does more in a step than fit can"):
            fit(X, y, optimizer=optimizer)
