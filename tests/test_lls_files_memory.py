"""Memory of a fit of files, where groups of rows grow."""

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gradstep import lls
from gradstep.lls.files import Rows
from training import SGD, problem

Array = Any
EXTENTS = np.cumsum([0, *range(1, 31)])  # of 1, 2, ..., 30 rows
X, y = problem(int(EXTENTS[-1]), 3)


class GrowingGroups:
    """A source whose every group of rows is larger than the one before."""

    shape, targets, dtype = X.shape, None, X.dtype
    weighted, extents = False, EXTENTS

    def __init__(self) -> None:
        self.buffers_made: list[weakref.ref[Array]] = []
        self.most_alive = 0

    def buffers(self, rows: int) -> Rows:
        buffers = Rows(np.empty((rows, 3)), np.empty(rows), None)
        self.buffers_made.append(weakref.ref(buffers.X))
        alive = sum(made() is not None for made in self.buffers_made)
        self.most_alive = max(self.most_alive, alive)
        return buffers

    def read(self, spans: Sequence[tuple[int, int]], into: Rows) -> Rows:
        ((first, last),) = spans
        into.X[: last - first] = X[first:last]
        into.y[: last - first] = y[first:last]
        return Rows(into.X[: last - first], into.y[: last - first], None)


@pytest.mark.parametrize("o", [{"optimizer": SGD, "shuffle": None, "epochs": 3}, {}])
def test_buffers_that_became_too_small_are_freed(o: Any) -> None:
    """One is trained on, one is read to; the last may be about to be replaced."""
    source = GrowingGroups()
    done = lls.fit(source, **o)
    assert done.coef.tobytes() == lls.fit(X, y, **o).coef.tobytes()
    assert len(source.buffers_made) > 30
    assert source.most_alive <= 4
    assert all(made() is None for made in source.buffers_made)
