"""An epoch of least squares beside scikit-learn's and beside reading the data.

usage: python bench/lls_epochs.py [--rounds N] [--threads N]

Rows: gradstep.lls.fit, one epoch by momentum SGD in batches of 256, for sparse rows by
plain SGD in batches of 1 and 256, orders made within; SGDRegressor, an epoch, shuffled,
without penalty, at a constant rate; X.sum(); and np.take of 256 rows at a time, in the
order of shuffle="rows", into a buffer that stays in cache: no more than reading them.

Ratios are medians of those within each round of one interleaved run.
"""

import argparse
import functools
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.linear_model import SGDRegressor

import gradstep as gs
from gradstep import _rows, lls
from gradstep.roofline import interleaved

Array = Any


def epoch(X: Any, y: Array, batch: int, momentum: float, shuffle: str | None) -> None:
    """Go through the data once."""
    sgd = functools.partial(gs.SGD, lr=1e-6, momentum=momentum)
    lls.fit(X, y, optimizer=sgd, batch_size=batch, epochs=1, shuffle=shuffle)


def peer(X: Any, y: Array) -> None:
    """Go through the data once, a row at a time."""
    sgd = SGDRegressor(
        max_iter=1, tol=None, penalty=None, learning_rate="constant", eta0=1e-6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sgd.fit(X, y)


def reading(X: Array, rows: Array) -> None:
    """Copy the rows to where they stay in cache."""
    buffer = np.empty((256, X.shape[1]), X.dtype)
    for at in range(0, len(rows), 256):
        part = rows[at : at + 256]
        np.take(X, part, axis=0, out=buffer[: len(part)], mode="clip")


def dense(n: int, columns: int, dtype: type) -> dict[str, Callable[[], None]]:
    """Return what is timed on a dense matrix."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, columns), dtype=dtype)
    y = X @ rng.standard_normal(columns, dtype=dtype)
    rows = _rows.shuffled(0, 0, n, columns * X.itemsize, False)
    fit = functools.partial(epoch, X, y, 256, 0.9)
    return {
        "SGDRegressor": lambda: peer(X, y),
        "X.sum()": X.sum,
        "reading rows": lambda: reading(X, rows),
        "in order": lambda: fit(None),
        "blocks": lambda: fit("blocks"),
        "rows": lambda: fit("rows"),
    }


def sparse(n: int, columns: int, stored: int) -> dict[str, Callable[[], None]]:
    """Return what is timed on rows of so many values."""
    rng = np.random.default_rng(0)
    indices = rng.integers(0, columns - stored + 1, (n, stored), dtype=np.int32)
    indices.sort(axis=1)
    indices += np.arange(stored, dtype=np.int32)  # none twice in a row
    starts = np.arange(0, n * stored + 1, stored, dtype=np.int32)
    X = scipy.sparse.csr_array(
        (rng.standard_normal(n * stored), indices.ravel(), starts), (n, columns)
    )
    y = rng.standard_normal(n)
    return {
        "SGDRegressor": lambda: peer(X, y),
        "batch 1, blocks": lambda: epoch(X, y, 1, 0.0, "blocks"),
        "batch 1, rows": lambda: epoch(X, y, 1, 0.0, "rows"),
        "batch 256, blocks": lambda: epoch(X, y, 256, 0.0, "blocks"),
    }


CASES: dict[str, Callable[[], dict[str, Callable[[], None]]]] = {
    "1,000,000 x 100 float64": lambda: dense(1_000_000, 100, np.float64),
    "1,000,000 x 100 float32": lambda: dense(1_000_000, 100, np.float32),
    "100,000 x 10 float64": lambda: dense(100_000, 10, np.float64),
    "100,000 x 10 float32": lambda: dense(100_000, 10, np.float32),
    "CSR 200,000 x 100,000 of 50": lambda: sparse(200_000, 100_000, 50),
}


def main() -> None:
    """Print times, and ratios within each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    gs.set_num_threads(chosen.threads)
    print(f"{gs.get_num_threads()} threads")
    for name, make in CASES.items():
        if chosen.only not in name:
            continue
        times = interleaved(make(), rounds=chosen.rounds)
        bases = [b for b in ("SGDRegressor", "X.sum()", "reading rows") if b in times]
        print(name)
        for what, seconds in times.items():
            ratios = (
                median(a / b for a, b in zip(seconds, times[base], strict=True))
                for base in bases
            )
            text = "".join(
                f"{ratio:8.3f} x {base}" for ratio, base in zip(ratios, bases)
            )
            print(f"{what:>18}: {median(seconds) * 1e3:9.2f} ms{text}")


if __name__ == "__main__":
    main()
