"""The tutorial's fit beside loops that people write in Python.

569 rows, 2 features, batches of 10, 10 epochs: 570 updates. `by rows` gathers each
batch row by row, as teaching code does, `by index` by an array of numbers; both compute
2 X'Xw - 2 X'y and make their permutation in each epoch, as ours does.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.bench.apart import Contestant, Step
from gradstep.bench.row import Row
from gradstep.bench.suites.job import Chosen, Job, job
from gradstep.datasets import wdbc
from gradstep.demo import standardised

Array = Any
Batches = Callable[[Array, Array], Iterator[tuple[Array, Array]]]

BATCH, EPOCHS, LR = 10, 10, 1e-3


def permutation(n: int) -> Array:
    """Return the same order of rows in every epoch."""
    return np.random.RandomState(0).permutation(np.arange(n))


def by_rows(X: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Yield batches that are gathered in lists."""
    order = permutation(len(X))
    X, y = X[order, :], y[order, :]
    rows: list[Array] = []
    values: list[Array] = []
    for i in range(len(X)):
        rows.append(X[i, :])
        values.append(y[i, :])
        if len(rows) == BATCH or i == len(X) - 1:
            yield np.array(rows), np.array(values)
            rows, values = [], []


def by_index(X: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Yield batches that are gathered by an array of numbers."""
    order = permutation(len(X))
    for at in range(0, len(X), BATCH):
        rows = order[at : at + BATCH]
        yield X[rows], y[rows]


def python_loop(batches: Batches) -> Step:
    """Descend by whole-array expressions."""
    X, y = map(standardised, wdbc())

    def fit() -> Array:
        w = np.zeros((X.shape[1], 1))
        for _ in range(EPOCHS):
            for a, b in batches(X, y):
                w = w - LR * (2 * a.T @ a @ w - 2 * a.T @ b)
        return w

    return fit


def in_c() -> Step:
    """Descend by `gradstep.lls.fit`."""
    X, y = map(standardised, wdbc())
    sgd = functools.partial(gs.SGD, lr=LR)
    return functools.partial(
        gs.lls.fit,
        *(X, y),
        optimizer=sgd,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=None,
        order=lambda _: permutation(len(X)),
    )


def small(chosen: Chosen) -> Job:
    """Time the tutorial's fit."""
    return job(
        [
            Contestant("gradstep", in_c),
            Contestant("by rows", functools.partial(python_loop, by_rows)),
            Contestant("by index", functools.partial(python_loop, by_index)),
        ],
        chosen.effort(25, 1.0),
        Row(
            suite="lls",
            subject="the tutorial's fit, 570 updates",
            case="569 x 2 float64",
            threads=chosen.most,
        ),
    )
