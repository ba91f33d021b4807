"""Some rows of a reader, as a reader of these alone; and the two sides of a split."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gradstep import _rows
from gradstep.lls.files.checked import CheckedSource
from gradstep.lls.files.source import Rows, name_row
from gradstep.structure import Array

# Rows are held out by blocks, so that each side reads as few spans as it can. There are
# at least so many blocks, if there are rows, so a fraction is met to half of 1 / 256.
_BLOCKS = 256
_BLOCK_BYTES = 1 << 20  # of X, at most, where any span is cheap to read


class Subset:
    """The rows of some spans of a `Source`, numbered from 0 in their order.

    A source again, whose reads are as unchecked as those that it makes of them.
    """

    def __init__(self, source: CheckedSource, spans: Array) -> None:
        """Take (n, 2) bounds [first, last) of spans, ascending and apart."""
        self._source, self._spans = source.source, spans.tolist()
        starts = np.cumsum([0, *(spans[:, 1] - spans[:, 0])])
        self._starts = starts.tolist()
        self.shape = self._starts[-1], source.features
        self.targets, self.dtype = source.targets, source.dtype
        self.weighted = source.weighted
        self.extents: Array | None = None
        if source.extents is not None:
            # How many of these rows stand before each part of the source.
            k = np.searchsorted(spans[:, 0], source.extents, side="right") - 1
            inside = np.minimum(source.extents, spans[k, 1]) - spans[k, 0]
            self.extents = np.unique(np.where(k < 0, 0, starts[k] + inside))

    def buffers(self, rows: int) -> Rows:
        """Return new buffers for so many rows."""
        return self._source.buffers(rows)

    def read(self, spans: Sequence[tuple[int, int]], into: Rows) -> Rows:
        """Read the rows of each span, one span after the other."""
        parts = [part for first, last in spans for part in self._parts(first, last)]
        return self._source.read(parts, into)

    def _parts(self, row: int, last: int) -> list[tuple[int, int]]:
        """Return the spans of the source that hold the rows [row, last)."""
        parts = []
        while row < last:
            k = bisect_right(self._starts, row) - 1
            end = min(last, self._starts[k + 1])
            shift = self._spans[k][0] - self._starts[k]
            parts.append((row + shift, end + shift))
            row = end
        return parts

    def row_name(self, row: int) -> str:
        """Return how messages name a row."""
        ((first, _),) = self._parts(row, row + 1)
        return name_row(self._source, first)


def split(
    source: CheckedSource, fraction: float, seed: int
) -> tuple[Subset, Subset] | None:
    """Return the rows that are left and those held out, or None if a side were empty.

    Blocks of consecutive rows are held out, in an order that depends on the seed alone,
    until their rows are as near as can be to the fraction. Blocks are the parts of the
    source, row groups say; parts are cut where they are few.
    """
    bounds = _bounds(source)
    sizes = np.diff(bounds)
    if len(sizes) < 2:
        return None
    # No epoch has this number, so no order of rows is that of the blocks.
    order = _rows.shuffled(seed, 2**64 - 1, len(sizes), 0, False)
    rows = np.cumsum(sizes[order])
    count = int(np.abs(rows - fraction * source.n).argmin()) + 1
    if not 0 < count < len(sizes):
        return None
    left, out = np.sort(order[count:]), np.sort(order[:count])
    return Subset(source, _spans(bounds, left)), Subset(source, _spans(bounds, out))


def _bounds(source: CheckedSource) -> Array:
    """Return where blocks begin, then N; none is empty."""
    n, columns = source.n, source.features
    size = max(1, n // _BLOCKS)
    if source.extents is None:
        rows_of_block = max(1, _BLOCK_BYTES // max(1, columns * source.dtype.itemsize))
        return np.append(np.arange(0, n, min(size, rows_of_block)), n)
    parts = np.unique(source.extents)
    if len(parts) > _BLOCKS // 4:
        return parts
    cut = [np.arange(first, last, size) for first, last in pairwise(parts)]
    return np.concatenate([*cut, parts[-1:]])


def _spans(bounds: Array, blocks: Array) -> Array:
    """Return the bounds of ascending blocks, neighbours joined."""
    firsts, lasts = bounds[blocks], bounds[blocks + 1]
    apart = np.flatnonzero(firsts[1:] != lasts[:-1])
    first = np.concatenate([firsts[:1], firsts[apart + 1]])
    last = np.concatenate([lasts[apart], lasts[-1:]])
    return np.stack([first, last], axis=1)
