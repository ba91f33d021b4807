"""Sparse X: checked, its columns' means and norms, and rows made dense by blocks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse

from gradstep import dtypes
from gradstep.lls.arguments import name_row, nonfinite
from gradstep.lls.csr import csr_rows
from gradstep.lls.exact.tall import BYTES
from gradstep.lls.units import powers_of_two
from gradstep.structure import Array


def checked_sparse(X: Any) -> Any:
    """Return a copy in CSR as float64, without duplicates, after a look at indices."""
    rows, shape = csr_rows("solve: X", X, "sparse array", dtypes.FLOAT64)
    _refuse_nonfinite(rows.values, rows.columns, rows.starts)
    return scipy.sparse.csr_array(tuple(rows), shape=shape, copy=True)


def _refuse_nonfinite(values: Array, columns: Array, starts: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        first = int(bad[0])
        row = int(np.searchsorted(starts, first, side="right")) - 1
        place = f"{values[first]} in {name_row(row)}, column {columns[first]}"
        raise nonfinite("solve: X", place)


def columns_of(X: Any, weight: Array, centred: bool) -> tuple[Array, Array]:
    """Return means of columns, or zeros, and norms of root (X - mean)."""
    n, L = X.shape
    at, s, total = X.indices, np.repeat(weight, np.diff(X.indptr)), weight.sum()
    largest = np.zeros(L)
    np.maximum.at(largest, at, np.abs(X.data))
    unit = powers_of_two(largest)  # so that squares neither overflow nor vanish
    x, root = X.data / unit[at], np.sqrt(s)
    raw = _sums(at, np.square(root * x), L)
    if not centred:
        return np.zeros(L), unit * np.sqrt(raw)
    mean = _sums(at, s * x, L) / total
    # No difference of large sums: what is not stored is 0, and mean^2 away.
    squares = np.square(mean) * np.maximum(total - _sums(at, s, L), 0.0)
    squares += _sums(at, np.square(root * (x - mean[at])), L)
    # What is constant but for the rounding of its mean.
    noise = np.finfo(np.float64).eps * max(n, 10)
    squares[squares <= noise**2 * raw] = 0.0
    return unit * mean, unit * np.sqrt(squares)


def _sums(at: Array, values: Array, columns: int) -> Array:
    # Of no values bincount makes integers.
    return np.bincount(at, values, columns).astype(np.float64)


def dense_blocks(X: Any) -> Iterator[tuple[slice, Array]]:
    """Return consecutive rows as arrays, and which they are."""
    n, L = X.shape
    size = max(1, BYTES // (8 * max(L, 1)))
    for first in range(0, max(n, 1), size):
        rows = slice(first, min(first + size, n))
        yield rows, X[rows].toarray()
