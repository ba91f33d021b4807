"""A call of `Trainer.partial_fit` that fails leaves the trainer as it was."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from gradstep.lls import trainer as module
from gradstep.lls.guard import Guard
from training import HEAVY, problem, weights

X, y = problem(700, 4)
S = weights(700)
OPTIMIZERS: dict[str, Any] = {
    "momentum": HEAVY,
    "Adam": partial(gs.Adam, lr=0.02),
    "AMSGrad": partial(gs.Adam, lr=0.02, amsgrad=True),
    "Adagrad": partial(gs.Adagrad, lr=0.1),
    "NAdam": partial(gs.NAdam, lr=0.02),
    "MADGRAD": partial(gs.MADGRAD, lr=0.02),
    "ScheduleFreeAdamW": partial(gs.ScheduleFreeAdamW, lr=0.02),
    "LAMB": partial(gs.LAMB, lr=0.02),
}
OPTIONS: list[dict[str, Any]] = [
    {"average": 30, "intercept": True, "ridge": 0.7},
    {"average": True, "standardize": True},
    {"intercept": True, "standardize": True, "coef0": [1.0, 2.0, 3.0, 4.0]},
]


def image(trainer: lls.Trainer) -> Any:
    """All that a later call depends on."""
    model, guard = trainer.model, vars(trainer._guard)
    arrays = [model.coef, model.offset, model.total, *(model.scaling or ())]
    return (
        pickle.dumps(trainer.state_dict()),
        (trainer.loss, trainer.objective, trainer.n_updates, trainer.waiting),
        [None if a is None else a.tobytes() for a in arrays],
        {k: v for k, v in guard.items() if isinstance(v, float)},
        [None if a is None else a.tobytes() for a in guard["good"]],
    )


@contextmanager
def failing_after(
    portions: int, error: BaseException, patch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Raise when so many portions of 256 rows, and their updates, are done."""
    passes, calls = Guard.passes, iter(range(99))

    def judge(self: Guard, *rest: Any) -> bool:
        if next(calls) == portions:
            raise error
        return passes(self, *rest)

    with patch.context() as context:
        context.setattr(module, "_SLICE", 1)
        context.setattr(Guard, "passes", judge)
        with pytest.raises(type(error)):
            yield


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), RuntimeWarning()]
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_call_that_is_cut_short_changes_nothing(
    name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in OPTIONS:
        for kind in (np.asarray, sparse.csr_array):
            o = {"batch_size": 7, "reduction": "mean"} | more
            o |= {"optimizer": OPTIMIZERS[name]}
            trainer, other = lls.Trainer(4, **o), lls.Trainer(4, **o)
            for rows in (slice(0, 40), slice(40, 90)):
                before = image(trainer)
                for portions in (0, 1, 2):
                    with failing_after(portions, error, monkeypatch):
                        trainer.partial_fit(kind(X), 9 * y, S)
                    assert image(trainer) == before
                for each in (trainer, other):
                    each.partial_fit(kind(X[rows]), y[rows], S[rows])
                assert image(trainer) == image(other)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("row", [3, 699])
def test_rows_that_are_not_finite_change_nothing(row: int, kind: Any) -> None:
    bad = X.copy()
    bad[row, 1] = np.nan
    o: dict[str, Any] = {"batch_size": 7, "reduction": "mean", "optimizer": HEAVY}
    for more in OPTIONS:
        trainer, other = (lls.Trainer(4, **o | more).partial_fit(X, y) for _ in "ab")
        with pytest.raises(
            ValueError, match=f"X is nan in row {row}, column 1"
        ) as info:
            trainer.partial_fit(kind(bad), y)
        assert image(trainer) == image(other)
        assert info.value.coef.tobytes() == trainer.coef.tobytes()
        assert image(trainer.partial_fit(X, y)) == image(other.partial_fit(X, y))


def test_options_that_are_refused_change_nothing() -> None:
    o: dict[str, Any] = {"batch_size": 7, "optimizer": HEAVY, "reduction": "mean"}
    trainer, other = (lls.Trainer(4, **o).partial_fit(X, y) for _ in "ab")
    before = image(trainer)
    group = trainer.optimizer.param_groups[0]
    for name, bad in (("lr", "fast"), ("momentum", -1.0), ("dampening", 0.5j)):
        good, group[name] = group[name], bad
        with pytest.raises((TypeError, ValueError), match=name):
            trainer.partial_fit(X, y)
        group[name] = good
        assert image(trainer) == before
    assert image(trainer.partial_fit(X, y)) == image(other.partial_fit(X, y))


def test_options_that_the_user_changed_stay_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Momentum that is switched on before a call that fails begins at the next."""
    o: dict[str, Any] = {"batch_size": 7, "reduction": "mean"}
    o |= {"optimizer": partial(gs.SGD, lr=0.02)}
    trainer, other = (lls.Trainer(4, **o).partial_fit(X, y) for _ in "ab")
    for each in (trainer, other):
        each.optimizer.param_groups[0].update(momentum=0.8, lr=0.01)
    with failing_after(1, KeyboardInterrupt(), monkeypatch):
        trainer.partial_fit(X, 9 * y)
    assert trainer.optimizer.momentum == 0.8
    assert image(trainer.partial_fit(X, y)) == image(other.partial_fit(X, y))


def test_ctrl_c_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, target = np.ones((400_000, 50)), np.linspace(-1, 1, 400_000)
    o: dict[str, Any] = {"batch_size": 64, "reduction": "mean", "average": True}
    trainer = lls.Trainer(50, optimizer=partial(gs.Adam, lr=1e-3), **o)
    trainer.partial_fit(wide[:99], target[:99])
    before = image(trainer)
    updates, judge = trainer.n_updates, trainer._judge

    def interrupt_under_way(*args: Any) -> None:
        judge(*args)
        if trainer.n_updates > updates + 1000:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer, "_judge", interrupt_under_way)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer.partial_fit(wide, target)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert image(trainer) == before


def test_a_call_that_diverged_keeps_the_last_good_coefficients() -> None:
    trainer = lls.Trainer(4, optimizer=HEAVY, batch_size=7).partial_fit(X / 9, y)
    with pytest.raises(lls.DivergenceError, match="the loss grew to") as info:
        trainer.partial_fit(1e4 * X, y)
    assert info.value.coef.tobytes() == trainer.coef.tobytes()
    with pytest.raises(ValueError, match="an earlier call diverged"):
        trainer.partial_fit(X, y)


# In a process of its own, since it takes memory away from all of Python.
PROGRAM = """
import pickle, sys
import numpy as np, gradstep as gs, _testcapi
from functools import partial
from gradstep import lls

X = np.linspace(-1, 1, 120).reshape(30, 4)
y, s = X @ [1, 2, 3, 4], np.linspace(0, 1, 30)

def image(t):
    return pickle.dumps(t.state_dict()), t.loss, t.coef.tobytes()

for o in ({"average": 2, "intercept": True}, {"standardize": True, "ridge": 1.0}):
    failures, last = 0, 0
    for n in range(3000):
        t = lls.Trainer(4, optimizer=partial(gs.Adam, lr=.1), batch_size=7, **o)
        other = lls.Trainer(4, optimizer=partial(gs.Adam, lr=.1), batch_size=7, **o)
        before, raised = image(t), False
        _testcapi.set_nomemory(n, n + 1)
        try:
            t.partial_fit(X, y, s)
        except (MemoryError, SystemError):  # NumPy raises the latter
            raised = True
        finally:
            _testcapi.remove_mem_hooks()
        if not raised:
            if n - last > 100:
                break
            continue
        failures, last = failures + 1, n
        assert image(t) == before, (o, n)
        assert image(t.partial_fit(X, y, s)) == image(other.partial_fit(X, y, s)), n
    print(failures)
"""


def test_memory_that_cannot_be_had_changes_nothing() -> None:
    if "CI" not in os.environ:
        pytest.importorskip("_testcapi", reason="not every Python is built with it")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert min(map(int, done.stdout.split())) > 20


def test_the_loss_is_read_while_another_thread_is_in_a_call() -> None:
    """It is that of a moment ago, between two looks at signals, never half of a sum."""
    n = 300_000
    X, y = np.ones((n, 30)), 1.0 + np.arange(n) // 8  # whose squares have exact sums
    still = lls.Trainer(30, optimizer=partial(gs.SGD, lr=0.0), batch_size=8)
    still.partial_fit(X[:8], y[:8])
    thread = threading.Thread(target=lambda: still.partial_fit(X, y))
    losses, updates, refusals = [], [0], set()
    thread.start()
    while thread.is_alive():
        losses += [still.loss, still.objective]
        updates.append(still.n_updates)
        try:
            assert still.coef.tolist() == [0] * 30
        except RuntimeError as error:
            refusals.add(str(error))
        time.sleep(0)
    thread.join()
    looks = [8, *range(2_000_000 // 30, n, 2_000_000 // 30), n]
    whole = [at // 8 * 8 for at in looks]  # rows of full batches
    means = {float(y[:rows] @ y[:rows] / rows) for rows in whole}
    assert {x for x in losses if not np.isnan(x)} <= means
    assert updates == sorted(updates)
    assert {*updates} <= {0, 1, *(1 + rows // 8 for rows in whole[1:])}
    assert len(losses) > 20
    (refusal,) = refusals
    assert "solution: another thread is in a call of this trainer" in refusal
    assert (still.loss, still.n_updates) == (y @ y / n, 37_501)
