"""Ctrl-C ends a fit at once, and between two updates."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import bits

SGD = partial(gs.SGD, lr=1e-9)


def latency(work: Callable[[], object], seconds: float) -> float:
    """How long after a Ctrl-C, `seconds` from now, this work ends."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before)
    return time.perf_counter() - start - seconds


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """400 MB of numbers, and sparse rows of as many."""
    X = np.ones((1_000_000, 50))
    X[:, 3:] = np.linspace(0.5, 1, 47)
    rows = sparse.csr_matrix(
        (
            np.ones(20_000_000),
            np.tile(np.arange(20, dtype="i4"), 1_000_000),
            np.arange(0, 20_000_001, 20),
        ),
        (1_000_000, 100),
    )
    return {"dense": X, "sparse": rows, "y": np.linspace(-1, 1, 1_000_000)}


HOW: dict[str, dict[str, Any]] = {
    "one batch": {"optimizer": SGD, "batch_size": 10**6, "shuffle": None},
    "in any order": {"optimizer": SGD, "batch_size": 10**6, "shuffle": "rows"},
    "standardized": {"optimizer": SGD, "batch_size": 10**6, "standardize": True},
    "small batches": {"optimizer": SGD, "batch_size": 10},
    "default": {"tol": 0.0},
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_ctrl_c_ends_a_fit_within_a_tenth_of_a_second(
    data: dict[str, Any], kind: str, how: str
) -> None:
    o = {"epochs": 10_000} | HOW[how]

    def work() -> None:
        while True:  # the default may be done
            lls.fit(data[kind], data["y"], **o)

    # Others use this machine too: the best of three.
    assert min(latency(work, wait) for wait in (0.05, 0.11, 0.16)) < 0.1


def test_ctrl_c_ends_the_search_for_a_rate(data: dict[str, Any]) -> None:
    def work() -> None:
        while True:
            lls.max_stable_lr(data["dense"], batch_size=500_000)

    assert min(latency(work, wait) for wait in (0.05, 0.11, 0.16)) < 0.1


@pytest.mark.parametrize("size", [10, 1000, 40_000])
def test_ctrl_c_leaves_coefficients_at_a_whole_update(
    data: dict[str, Any], size: int
) -> None:
    X, y = data["dense"], data["y"]
    o = {"optimizer": partial(gs.SGD, lr=1e-9, momentum=0.7), "batch_size": size}
    trainer = lls.Trainer(50, intercept=True, average=True, **o)
    latency(lambda: [trainer.partial_fit(X, y) for _ in range(1000)], 0.11)
    state = trainer.state_dict()
    done = trainer.n_updates
    assert done == state["optimizer"]["state"][0]["step"] > 0
    again = lls.Trainer(50, intercept=True, average=True, **o)
    each = 10**6 // size
    for _ in range(done // each):
        again.partial_fit(X, y)
    rest = slice(0, done % each * size)
    again.partial_fit(X[rest], y[rest])
    assert again.n_updates == done
    assert bits(again) == bits(trainer)
