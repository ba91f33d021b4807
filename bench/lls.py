"""Mini-batch least squares: gradstep.lls.fit beside loops that people write in Python.

usage: python bench/lls.py [--rounds N] [--repeat N]

The problem is the demonstration's: 569 rows, 2 features, batches of 10, 10 epochs, 570
updates. `tutorial` gathers each batch row by row, as teaching code does, and `numpy` by
an index; both compute 2 X'Xw - 2 X'y and make their permutation in each epoch, as
`gradstep, shuffling` does. `gradstep` and `tutorial, ordered` get their rows in an
order that was made before.

Ratios are the first row's to the others. They depend on how warm a call is: each timing
holds `repeat` calls, and the first of them follows milliseconds of other work.
"""

import argparse
import functools
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

import gradstep as gs
from gradstep import lls
from gradstep.datasets import wdbc
from gradstep.demo import standardised
from gradstep.roofline import interleaved

BATCH, EPOCHS, LR = 10, 10, 1e-3
Array = Any


def permutation(n: int) -> Array:
    """Return the same order of rows in every epoch."""
    return np.random.RandomState(0).permutation(np.arange(n))


def row_by_row(
    X: Array, y: Array, order: Array = None
) -> Iterator[tuple[Array, Array]]:
    """Yield batches that are gathered in lists."""
    order = permutation(len(X)) if order is None else order
    X, y = X[order, :], y[order, :]
    rows: list[Array] = []
    values: list[Array] = []
    for i in range(len(X)):
        rows.append(X[i, :])
        values.append(y[i, :])
        if len(rows) == BATCH or i == len(X) - 1:
            yield (
                np.array(rows).reshape(-1, X.shape[1]),
                np.array(values).reshape(-1, 1),
            )
            rows, values = [], []


def by_index(X: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Yield batches that are gathered by an index array."""
    order = permutation(len(X))
    for at in range(0, len(X), BATCH):
        rows = order[at : at + BATCH]
        yield X[rows], y[rows]


def python_loop(X: Array, y: Array, batches: Any) -> Array:
    """Descend by whole-array expressions."""
    w = np.zeros((X.shape[1], 1))
    for _ in range(EPOCHS):
        for a, b in batches(X, y):
            w = w - LR * (2 * a.T @ a @ w - 2 * a.T @ b)
    return w


def gradstep_fit(X: Array, y: Array, order: Callable[[int], Array]) -> Array:
    """Descend in C."""
    sgd = functools.partial(gs.SGD, lr=LR)
    return lls.fit(
        X, y, optimizer=sgd, batch_size=BATCH, epochs=EPOCHS, shuffle=None, order=order
    ).coef


def main() -> None:
    """Print times, and ratios within each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeat", type=int, default=10, help="calls in one timing")
    chosen = parser.parse_args()
    X, y = (standardised(a) for a in wdbc())
    rows = permutation(len(X))
    calls: dict[str, Callable[[], Array]] = {
        "gradstep": lambda: gradstep_fit(X, y, lambda _: rows),
        "gradstep, shuffling": lambda: gradstep_fit(
            X, y, lambda _: permutation(len(X))
        ),
        "tutorial": functools.partial(python_loop, X, y, row_by_row),
        "tutorial, ordered": functools.partial(
            python_loop, X, y, functools.partial(row_by_row, order=rows)
        ),
        "numpy": functools.partial(python_loop, X, y, by_index),
    }
    solutions = [call() for call in calls.values()]
    apart = max(abs(w - solutions[0]).max() for w in solutions)
    print(f"570 updates; coefficients agree to {apart:.1e}")
    times = interleaved(calls, rounds=chosen.rounds, repeat=chosen.repeat)
    for name, seconds in times.items():
        ratios = [a / b for a, b in zip(seconds, times["gradstep"], strict=True)]
        print(f"{name:>19}: {median(seconds) * 1e3:8.3f} ms, {median(ratios):6.1f} x")


if __name__ == "__main__":
    main()
