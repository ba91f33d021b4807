"""Rows of a file, a group at a time, the next of which is read meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gradstep import _rows
from gradstep.lls import arguments as check
from gradstep.lls.data import CACHED, Block, Order, Route, Visits
from gradstep.lls.files import Rows, Source
from gradstep.structure import Array

_READ = 1 << 20  # bytes of X that are read at a time, if in order
_LOOKED_AT = 4096  # rows to judge sizes by

Spans = list[tuple[int, int]]


class OnDisk:
    """A `Source`: files, or whatever else reads spans of rows."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.n: int | None = source.shape[0]
        self.features, self.targets = source.shape[1], source.targets
        self.dtype = source.dtype
        self._row_bytes = self.features * source.dtype.itemsize

    def first(self) -> Block:
        assert self.n is not None
        size = min(self.n, _LOOKED_AT)
        return self._block(self._source.read([(0, size)], self._source.buffers(size)))

    def _block(self, rows: Rows) -> Block:
        y, weight = rows.y, rows.weight
        if weight is not None:
            weight = check.weights("fit: sample_weight of the file", weight, len(y))
        y = y[:, np.newaxis] if y.ndim == 1 else y
        return Block((rows.X,), y, weight, self.features, self.targets)

    def visits(self, epoch: int, order: Order) -> Visits:
        """Yield groups of rows; a group is valid until the next one is asked for."""
        read, buffers = self._source.read, list[Rows]()
        weighs = self.n == 0
        waiting: Any = None
        with ThreadPoolExecutor(1) as reader:
            for k, (spans, rows) in enumerate(self._groups(epoch, order)):
                size = sum(last - first for first, last in spans)
                if k < 2 or len(buffers[k % 2].X) < size:
                    buffers[k % 2 : k % 2 + 1] = [self._source.buffers(size)]
                before = waiting
                waiting = reader.submit(read, spans, buffers[k % 2]), rows
                if before is not None:
                    found = self._block(before[0].result())
                    weighs |= found.weighs
                    yield found, Route(before[1])
            if waiting is not None:
                found = self._block(waiting[0].result())
                weighs |= found.weighs
                yield found, Route(waiting[1])
        if not weighs:
            raise ValueError("fit: sample_weight is zero for all rows of the file")

    def _groups(self, epoch: int, order: Order) -> Iterator[tuple[Spans, Array]]:
        """Yield what to read, and the order of its rows, counted within it."""
        assert self.n is not None
        if order.function is not None or order.shuffle == "rows":
            raise ValueError(
                "fit: a file cannot be read row by row; pass shuffle='auto', 'blocks' "
                "or None, and no order"
            )
        parts = self._source.extents
        if order.shuffle is None:
            size = max(1, _READ // max(1, self._row_bytes))
            if parts is None:
                parts = np.append(np.arange(0, self.n, size), self.n)
            for first, last in zip(parts.tolist(), parts[1:].tolist(), strict=False):
                yield [(first, last)], np.arange(last - first)
        elif order.shuffle == "auto" and self.n * self._row_bytes < CACHED:
            yield [(0, self.n)], _rows.shuffled(order.seed, epoch, self.n, 0, False)
        elif parts is None:
            for spans, rows in _rows.Groups(order.seed, epoch, self.n, self._row_bytes):
                yield [(first, last) for first, last in spans.tolist()], rows
        else:
            for k in _rows.shuffled(order.seed, epoch, len(parts) - 1, 0, False):
                first, last = parts[k : k + 2].tolist()
                key = (epoch << 32) + int(k) + 1
                size = last - first
                yield (
                    [(first, last)],
                    _rows.shuffled(order.seed, key, size, self._row_bytes, False),
                )
