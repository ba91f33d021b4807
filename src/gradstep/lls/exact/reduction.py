r"""Rows, taken in one pass, in exchange for few rows that give the same solution.

Least squares on rows M = [X, Y] depends on :math:`M^\top M` only. `triangle` keeps a
factor of it, some rows Z with :math:`Z^\top Z = M^\top M`, by QR factorisations
(TSQR: Demmel, Grigori, Hoemmen and Langou, 2012); `gram` keeps the product itself.

An intercept takes means from columns. Rows that arrive later change the means; by Chan,
Golub and LeVeque (1983), for two parts of weights s, t and means p, q,

.. math::
    \sum_i s_i (m_i - \bar m)^\top (m_i - \bar m) = \text{the same of each part} +
    \frac{s t}{s + t} (q - p)^\top (q - p) ,

that is, one more row for each part that is added.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg

from gradstep.lls.arguments import finite
from gradstep.lls.exact import blas
from gradstep.lls.exact.tall import BYTES, Block
from gradstep.structure import Array
from gradstep.threads import get_num_threads

# Bytes of a leaf, which fits into a second-level cache, and columns that are factored
# together: 50 columns take 250 ns a row, in one piece of 8 MiB 410.
LEAF_BYTES, PANEL = 1 << 20, 16


def triangle(kept: Array, rows: Array) -> Array:
    """Return rows, no more than columns, with the product of all these rows.

    Of many rows, leaves of a few are factored by a thread each, with one thread of the
    BLAS: a leaf stays in a core's cache, and what a BLAS shares out of so narrow a
    matrix takes less time than to wake its threads.
    """
    n, p = rows.shape
    leaf = max(2 * p, LEAF_BYTES // (8 * max(1, p)))
    if n < 2 * leaf:
        return _triangle([kept, rows])
    leaves = [[rows[at : at + leaf]] for at in range(0, n, leaf)]
    with blas.one_thread(), ThreadPoolExecutor(get_num_threads()) as pool:
        return _triangle([kept, *pool.map(_triangle, leaves)])


def _triangle(parts: Sequence[Array]) -> Array:
    n, p = sum(map(len, parts)), parts[0].shape[1]
    stacked = np.empty((n, p), order="F")  # as LAPACK wants it, so that nobody copies
    np.concatenate(parts, out=stacked)
    if n <= p or p == 0:
        return stacked[:n] if p else stacked[:0]
    R, _, _ = scipy.linalg.lapack.dgeqrt(min(PANEL, p), stacked, overwrite_a=True)
    return np.triu(R[:p])


def gram(kept: Array, rows: Array) -> Array:
    """Return the product, with that of more rows."""
    return np.asarray(kept + rows.T @ rows)


def centre(rows: Array, weight: Array | None) -> tuple[Array, Array]:
    """Subtract means in place; return the row taken first, and the means of the rest.

    To subtract a row first is exact where it matters: columns that are constant become
    zero, and of large columns that vary little nothing is lost.
    """
    shift = rows[0 if weight is None else weight.argmax()].copy()
    rows -= shift
    mean = rows.mean(axis=0) if weight is None else weight @ rows / weight.sum()
    rows -= mean
    return shift, mean


class Reduction:
    """Weighted rows [X, Y], reduced whenever enough of them have been gathered.

    How the rows were cut into blocks makes no difference to the result.
    """

    def __init__(
        self,
        columns: int,
        width: int,
        kept: Array,
        reduce: Callable[[Array, Array], Array],
        centred: bool,
    ) -> None:
        self.columns = columns
        self.kept, self._reduce, self._centred = kept, reduce, centred
        self.count = 0
        self.shift = np.zeros(width)
        self.mean = np.zeros(width)  # less shift
        self.weight = 0.0
        self._pending = 0
        self._allocate()

    def _allocate(self) -> None:
        # As many rows again as are kept, lest every row be reduced many times.
        width = len(self.shift)
        rows = max(BYTES // (8 * max(1, width)), 2 * len(self.kept), 1)
        self._rows, self._weights = np.empty((rows + 1, width)), np.ones(rows)
        self._capacity = rows

    def add(self, block: Block) -> None:
        """Take the rows of a block."""
        self.count += len(block.X)
        at = 0
        while at < len(block.X):
            first = self._pending
            n = min(len(block.X) - at, self._capacity - first)
            rows = self._rows[first : first + n]
            with np.errstate(over="ignore"):  # of long doubles, refused below
                rows[:, : self.columns] = block.X[at : at + n]
                rows[:, self.columns :] = block.y[at : at + n]
            finite(f"{block.name}X", rows[:, : self.columns], first_row=at)
            finite(f"{block.name}y", rows[:, self.columns :], first_row=at)
            if block.weight is not None:
                self._weights[first : first + n] = block.weight[at : at + n]
            at, self._pending = at + n, first + n
            if self._pending == self._capacity:
                self.flush()

    @np.errstate(over="ignore", invalid="ignore")  # looked for when all is summed
    def flush(self) -> None:
        """Reduce the rows that wait."""
        n, self._pending = self._pending, 0
        rows, weights = self._rows[:n], self._weights[:n]
        added = float(weights.sum())
        if added == 0:  # also if there are no rows
            return
        if self._centred:
            rows = self._centre(rows, weights, added)
        rows[:n] *= np.sqrt(weights)[:, np.newaxis]
        self.weight += added
        self.kept = self._reduce(self.kept, rows)
        if 2 * len(self.kept) > self._capacity:
            self._allocate()

    def _centre(self, rows: Array, weights: Array, added: float) -> Array:
        """Subtract the means of the rows, and add the row for their difference."""
        if self.weight == 0:
            self.shift, self.mean = centre(rows, weights)
            return rows
        rows -= self.shift
        mean = weights @ rows / added
        rows -= mean
        gap, share = mean - self.mean, added / (self.weight + added)
        self.mean = self.mean + share * gap
        with_gap = self._rows[: len(rows) + 1]
        with_gap[-1] = np.sqrt(self.weight * share) * gap
        return with_gap
