"""Rows of a file, a group at a time, the next of which is read meanwhile."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from gradstep import _rows
from gradstep._core import MemoryWatch
from gradstep.lls.data import CACHED, Block, Order, Route, Visits
from gradstep.lls.files import Rows, Source
from gradstep.lls.files.checked import CheckedSource
from gradstep.structure import Array

_READ = 1 << 20  # bytes of X that are read at a time, if in order
_LOOKED_AT = 4096  # rows to judge sizes by

Spans = list[tuple[int, int]]


class OnDisk:
    """A `Source`: files, or whatever else reads spans of rows."""

    def __init__(self, source: Source, name: str = "") -> None:
        """Take a source, which messages call by the name of its class or this one."""
        self.source = checked = CheckedSource("fit", source, name)
        self.n: int | None = checked.n
        self.features, self.targets = checked.features, checked.targets
        self.dtype = checked.dtype
        self._row_bytes = self.features * checked.dtype.itemsize

    def first(self) -> Block:
        assert self.n is not None
        size = min(self.n, _LOOKED_AT)
        spans = [(0, size)]
        return self._block(self.source.read(spans, self.source.buffers(size)), spans)

    def _block(self, checked_rows: tuple[Rows, MemoryWatch], spans: Spans) -> Block:
        rows, watch = checked_rows
        y = rows.y[:, np.newaxis] if rows.y.ndim == 1 else rows.y
        return Block(
            *((rows.X,), y, rows.weight, self.features, self.targets, watch),
            row_name=partial(self.source.row_name, spans),
        )

    def visits(self, epoch: int, order: Order) -> Visits:
        """Yield groups of rows; a group is valid until the next one is asked for."""
        # Two, one of which is read to while the rows of the other are used.
        buffers, capacities = [None, None], [-1, -1]
        weighs = self.n == 0
        waiting: Any = None
        with ThreadPoolExecutor(1) as reader:
            for k, (spans, rows) in enumerate(self._groups(epoch, order)):
                size = sum(last - first for first, last in spans)
                if capacities[k % 2] < size:
                    buffers[k % 2] = self.source.buffers(size)
                    capacities[k % 2] = size
                before = waiting
                into = buffers[k % 2]
                waiting = reader.submit(self.source.read, spans, into), rows, spans
                if before is not None:
                    found = self._block(before[0].result(), before[2])
                    weighs |= found.weighs
                    yield found, Route(before[1])
            if waiting is not None:
                found = self._block(waiting[0].result(), waiting[2])
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
        parts = self.source.extents
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
