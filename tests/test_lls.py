"""Least squares: the tutorial's numbers, a NumPy loop's, and what is refused."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import gradstep as gs
import numpy as np
import pytest
from gradstep import lls
from gradstep.datasets import wdbc

Array: TypeAlias = Any
f4, f8 = np.float32, np.float64
NAN = float("nan")

# The tutorial's cells 6 and 7: w before batches 0 and 50 of each epoch, w at the end.
TUTORIAL = """
0.         0.          0.4391737  0.41735388
0.45621431 0.43296123  0.50458588 0.46953377
0.50659246 0.46976394  0.51664408 0.46913792
0.51715596 0.46786206  0.52339741 0.46367398
0.52374047 0.4622501   0.5295512  0.45779193
0.52985556 0.456353    0.53556725 0.45194588
0.53584598 0.45050492  0.54149192 0.44617918
0.54174661 0.44473749  0.54733087 0.44049501
0.54756198 0.43905271  0.55308576 0.43489257
0.55329364 0.43344969  0.55875783 0.42937075
0.55894282 0.42792729
"""


def standardised(a: Array) -> Array:
    return (a - a.mean(axis=0)) / a.std(axis=0)


def test_the_tutorials_trace() -> None:
    X, y = map(standardised, wdbc())
    assert (X.shape, y.shape) == ((569, 2), (569, 1))
    seen: list[tuple[int, int, Array]] = []
    done = lls.fit(
        X,
        y,
        optimizer=functools.partial(gs.SGD, lr=0.001),
        batch_size=10,
        epochs=10,
        order=lambda _: np.random.RandomState(0).permutation(len(X)),
        callback=lambda at: seen.append((at.epoch, at.update, at.coef.copy())),
        callback_every=50,
    )
    # 56 batches of 10 and one of 9.
    assert [s[:2] for s in seen] == [
        (e, 57 * e + k) for e in range(10) for k in (50, 57)
    ]
    assert (done.updates, done.epochs, done.coef.shape) == (570, 10, (2, 1))
    trace = np.array([np.zeros((2, 1))] + [w for *_, w in seen]).ravel()
    want = np.array(TUTORIAL.split(), f8)
    assert trace.round(8).tolist() == want.tolist()
    assert done.coef.tolist() == seen[-1][2].tolist()


@pytest.mark.parametrize(("batch", "updates"), [(100, 10), (1, 1000), (10, 100)])
def test_update_counts(batch: int, updates: int) -> None:
    X, y = np.ones((100, 1)), np.ones(100)
    sgd = functools.partial(gs.SGD, lr=1e-3)
    done = lls.fit(X, y, optimizer=sgd, batch_size=batch, epochs=10)
    assert (done.updates, done.epochs) == (updates, 10)
    assert done.optimizer.state[0]["step"] == updates


def problem(n: int, columns: int, k: int | None, dtype: Any = f8) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + columns)
    X = rng.standard_normal((n, columns))
    y = X @ rng.standard_normal((columns, k or 1)) + rng.standard_normal((n, k or 1))
    return X.astype(dtype), (y if k else y[:, 0]).astype(dtype)


def by_hand(
    X: Array,
    y: Array,
    optimizer: Callable[[Array], gs.Optimizer],
    batch_size: int,
    rows: list[Array],
    mean: bool = False,
    coef0: Array = 0.0,
) -> tuple[Array, gs.Optimizer]:
    """Return what `fit` should, by a loop in float64 over `rows` of each epoch."""
    X, y = X.astype(f8), y.astype(f8)
    w = np.zeros(X.shape[1:] + y.shape[1:]) + coef0
    opt = optimizer(w)
    group = opt.param_groups[0]
    for epoch in rows:
        for start in range(0, len(epoch), batch_size):
            at = epoch[start : start + batch_size]
            # With Nesterov's velocity the gradient belongs to the point ahead.
            ahead = group.get("form") == "velocity" and group["nesterov"]
            here = opt.lookahead() if ahead else w
            g = 2 * X[at].T @ (X[at] @ here - y[at])
            opt.step(g / len(at) if mean else g)
    return w, opt


O = {"lr": 0.003, "weight_decay": 0.12}
OPTIMIZERS = {
    "sgd": functools.partial(gs.SGD, **O),
    "momentum": functools.partial(gs.SGD, momentum=0.8, dampening=0.3, **O),
    "nesterov": functools.partial(gs.SGD, momentum=0.8, nesterov=True, **O),
    "velocity": functools.partial(gs.SGD, momentum=0.8, form="velocity", **O),
    "ahead": functools.partial(
        gs.SGD, momentum=0.8, form="velocity", nesterov=True, **O
    ),
    "adam": functools.partial(gs.Adam, **O),
    "amsgrad": functools.partial(gs.Adam, amsgrad=True, maximize=True, **O),
    "adamw": functools.partial(gs.AdamW, **O),
    "lion": functools.partial(gs.Lion, **O),
}


def test_all_optimizers_are_here() -> None:
    assert {o.func for o in OPTIMIZERS.values()} == set(gs.OPTIMIZERS.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("dtype", [f4, f8])
def test_fit_is_the_loop(name: str, k: int | None, dtype: Any) -> None:
    optimizer = OPTIMIZERS[name]
    X, y = problem(67, 5, k, dtype)
    rows = [np.random.default_rng(e).permutation(67) for e in range(4)]
    coef0 = np.linspace(-1, 1, 5 * (k or 1)).reshape((5, k) if k else 5)
    for reduction in ("sum", "mean"):
        done = lls.fit(
            X,
            y,
            optimizer=optimizer,
            batch_size=9,  # leaves 4
            epochs=4,
            order=rows.__getitem__,
            reduction=reduction,
            coef0=coef0,
        )
        want, opt = by_hand(X, y, optimizer, 9, rows, reduction == "mean", coef0)
        scale = np.abs(want).max()
        error = np.abs(done.coef - want).max() / scale
        assert error < (1e-12 if dtype is f8 else 1e-4), (reduction, error)
        assert (done.coef.dtype, done.coef.shape) == (dtype, want.shape)
        assert done.optimizer.state[0]["step"] == opt.state[0]["step"] == 4 * 8
        # The optimizer goes on from the coefficients.
        assert done.optimizer.param_groups[0]["params"][0] is done.coef


def test_rows_may_come_back_or_not_at_all() -> None:
    X, y = problem(50, 3, 2)
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 50, size) for size in (137, 0, 1, 50)]
    sgd = functools.partial(gs.SGD, lr=0.01)
    kinds = (np.asarray, list, lambda r: r.astype("u1"), lambda r: r.astype(">i4"))
    done = lls.fit(
        X,
        y,
        optimizer=sgd,
        batch_size=7,
        epochs=4,
        order=lambda e: kinds[e](rows[e]),
    )
    want, _ = by_hand(X, y, sgd, 7, rows)
    np.testing.assert_allclose(done.coef, want, rtol=1e-12)
    assert done.updates == 20 + 0 + 1 + 8


def fit(**changes: Any) -> lls.Fit:
    """Fit a small problem, up to changes."""
    X, y = problem(20, 3, None)
    sgd = functools.partial(gs.SGD, lr=0.01)
    start: dict[str, Any] = {"optimizer": sgd, "batch_size": 6, "epochs": 3}
    arguments = {"X": X, "y": y} | start | changes
    return lls.fit(arguments.pop("X"), arguments.pop("y"), **arguments)


def test_layout_and_type_of_the_data_do_not_matter() -> None:
    X, y = problem(20, 3, 2)
    X, y = np.round(X * 8), np.round(y * 8)
    want = fit(X=X, y=y).coef.tobytes()
    wide = np.zeros((40, 6))
    wide[::2, 1:4] = X
    kept = X.copy()
    for X2 in (
        np.asfortranarray(X),
        wide[::2, 1:4],
        X.astype(int),
        X.astype("i1"),
        X.astype(">f8"),
        X.astype("f2"),
        X.tolist(),
        np.frombuffer(b"\0" + X.tobytes(), "u1")[1:].view(f8).reshape(X.shape),
    ):
        for y2 in (y, np.asfortranarray(y), y.astype("i2"), y.tolist(), y.astype(f4)):
            assert fit(X=X2, y=y2).coef.tobytes() == want
    assert fit(X=X, y=y, order=lambda _: np.arange(20)).coef.tobytes() == want
    assert X.tobytes() == kept.tobytes()


BITS = """
import hashlib, numpy as np, gradstep as gs
from gradstep import lls
h = hashlib.sha256()
for dtype in "f4", "f8":
    for columns in (1, 2, 3, 7, 8, 9, 16, 17, 33, 100):
        for k in (None, 1, 2, 9):
            rng = np.random.default_rng(columns)
            X = rng.standard_normal((61, columns)).astype(dtype)
            y = rng.standard_normal((61,) if k is None else (61, k)).astype(dtype)
            for o in gs.Adam, gs.SGD:
                order = lambda e: np.random.default_rng(e).permutation(61)
                f = dict(optimizer=o, batch_size=8, epochs=3, order=order)
                h.update(np.ascontiguousarray(lls.fit(X, y, **f).coef).tobytes())
print(h.hexdigest())
"""


def test_bits_depend_neither_on_isa_nor_threads() -> None:
    levels = gs.build_config()["levels"].split()
    hashes = {
        subprocess.run(
            [sys.executable, "-c", BITS],
            env=os.environ | {"GRADSTEP_ISA": isa, "GRADSTEP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for isa, threads in zip(levels * 2, "125512", strict=False)
    }
    assert len(hashes) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", hashes.pop())


def test_callback() -> None:
    seen: list[tuple[int, int]] = []

    def at(stop: tuple[int, int] | None, mark: object = True) -> Callable[..., object]:
        def callback(progress: lls.Progress) -> object:
            seen.append((progress.epoch, progress.update))
            return mark if seen[-1] == stop else None

        return callback

    done = fit(callback=at(None))
    assert seen == [(0, 4), (1, 8), (2, 12)]
    seen.clear()
    whole = fit(callback=at(None), callback_every=3)
    assert seen == [(0, 3), (0, 4), (1, 7), (1, 8), (2, 11), (2, 12)]
    assert whole.coef.tobytes() == done.coef.tobytes()
    seen.clear()
    done = fit(callback=at((1, 7), "stop"), callback_every=3)
    assert (seen[-1], done.updates, done.epochs) == ((1, 7), 7, 2)
    X, y = problem(20, 3, None)
    sgd = functools.partial(gs.SGD, lr=0.01)
    rows = [np.arange(20), np.arange(18)]
    np.testing.assert_allclose(done.coef, by_hand(X, y, sgd, 6, rows)[0], rtol=1e-12)
    with pytest.raises(ZeroDivisionError):
        fit(callback=lambda _: 1 / 0)


def test_an_option_edited_by_the_callback_takes_effect() -> None:
    opts: list[gs.Optimizer] = []

    def optimizer(w: Array) -> gs.Optimizer:
        opts.append(gs.SGD(w, lr=0.01, momentum=0.5))
        return opts[-1]

    def halve(at: lls.Progress) -> None:
        opts[-1].lr = 0.01 / 2 ** (at.epoch + 1)

    done = fit(optimizer=optimizer, callback=halve)
    X, y = problem(20, 3, None)
    w, state = np.zeros(3), np.zeros(3)
    for epoch in range(3):
        for s in range(0, 20, 6):
            r = X[s : s + 6] @ w - y[s : s + 6]
            state = 0.5 * state + 2 * X[s : s + 6].T @ r
            w -= 0.01 / 2**epoch * state
    np.testing.assert_allclose(done.coef, w, rtol=1e-12)
    with pytest.raises(ValueError, match=r"lr must be in \[0, inf\), got nan"):
        fit(
            optimizer=optimizer,
            callback=lambda _: opts[-1].param_groups[0].update(lr=NAN),
        )


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_to_do(n: int) -> None:
    X, y = problem(n, 3, 2)
    coef0 = np.arange(6.0).reshape(3, 2)
    done = fit(X=X, y=y, coef0=coef0, epochs=3 if n == 0 else 0)
    assert (done.coef.tolist(), done.updates) == (coef0.tolist(), 0)
    assert not np.shares_memory(done.coef, coef0)
    assert fit(X=np.ones((4, 0)), y=np.ones(4)).coef.shape == (0,)
    assert fit(X=X, y=np.ones((n, 0))).coef.shape == (3, 0)
    assert lls.solve(X[:0], y[:0]).tolist() == [[0, 0]] * 3
    assert lls.solve(X, np.ones((n, 0))).shape == (3, 0)


def test_divergence() -> None:
    X, y = problem(20, 3, None)
    for dtype in (f4, f8):
        big = functools.partial(gs.SGD, lr=10.0)
        words = r"coef is not finite after epoch \d+ \(\d+ updates\); lower lr"
        with pytest.raises(FloatingPointError, match=words):
            fit(X=X.astype(dtype), y=y, optimizer=big, epochs=500)
    y[7] = NAN
    with pytest.raises(FloatingPointError, match=r"NaN and infinity in X and y"):
        fit(X=X, y=y)


@pytest.mark.parametrize("batch", [1, 500])
def test_ctrl_c(batch: int) -> None:
    X, y = problem(500, 4, None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    start = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(X=X, y=y, batch_size=batch, epochs=10**8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before)
    assert 0.09 < time.perf_counter() - start < 0.6


@pytest.mark.parametrize("k", [None, 1, 3])
def test_solve(k: int | None) -> None:
    X, y = problem(40, 5, k)
    for X2, y2, tolerance in (
        (X, y, 1e-12),
        (np.asfortranarray(X), y.tolist(), 1e-12),
        (X[:3], y[:3], 1e-12),  # fewer rows than columns
        (X.astype(f4), y.astype(f4), 1e-5),
        (np.round(X * 9).astype(int), y, 1e-12),
        (np.c_[X, X[:, :2], np.zeros(40)], y, 1e-12),  # rank 5 of 8
    ):
        want, _, rank, _ = np.linalg.lstsq(np.array(X2, f8), np.array(y2, f8), None)
        got = lls.solve(X2, y2)
        assert rank == min(5, len(X2))
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, tolerance, tolerance)
    np.testing.assert_allclose(X.T @ (y - X @ lls.solve(X, y)), 0, atol=1e-12)
    exact = lls.solve(X, y)
    sgd = functools.partial(gs.SGD, lr=0.005)
    found = lls.fit(X, y, optimizer=sgd, batch_size=40, epochs=2000)
    np.testing.assert_allclose(found.coef, exact, rtol=1e-9)
