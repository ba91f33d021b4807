"""What the columns of a matrix are like: their weighted means and their norms."""

import math
from collections.abc import Sequence

import numpy as np

from gradstep import _core, _lls
from gradstep.lls.data import Route
from gradstep.lls.units import powers_of_two
from gradstep.structure import Array

_EPS = float(np.finfo(np.float64).eps)

Matrix = tuple[Array, ...]  # (values,), or of CSR (values, columns, starts)


class Columns:
    """Weighted means of columns, and norms of the deviations from them.

    Two passes: `extend` takes all rows into means and ranges, `spread` into squares,
    which are divided by a power of two near the range first, so that they neither
    overflow nor vanish. Means of dense columns are taken about the first row of a
    weight above 0: a column that is constant has a norm of exactly 0.
    """

    def __init__(self, width: int, *, centred: bool) -> None:
        # By the dtype of values: that of y need not be the same in all chunks.
        self._rows: dict[str, _lls.System] = {}
        self._extents, self._spreads = np.zeros(1 + 2 * width), np.zeros(2 * width)
        self._width, self._centred = width, centred
        self._is_sparse = False
        self._first: Array | None = None if centred else np.zeros(width)

    def _rows_of(
        self, matrix: Matrix, weight: Array | None, watch: _core.MemoryWatch | None
    ) -> _lls.System:
        dtype = matrix[0].dtype
        if dtype.name not in self._rows:
            self._rows[dtype.name] = _lls.System(self._width, 0, dtype)
        rows = self._rows[dtype.name]
        rows.set_data(matrix, None, weight, watch)
        return rows

    def extend(
        self,
        matrix: Matrix,
        weight: Array | None,
        parts: Sequence[Route],
        watch: _core.MemoryWatch | None,
    ) -> None:
        """Take rows into means and ranges."""
        rows = self._rows_of(matrix, weight, watch)
        if self._first is None:
            self._first = self._first_row(matrix, weight)
        if self._first is not None:  # else all of these have weight 0
            for part in parts:
                rows.extents(part.rows, self._first, self._extents)

    def _first_row(self, matrix: Matrix, weight: Array | None) -> Array | None:
        if len(matrix) > 1:
            self._is_sparse = True
            return np.zeros(self._width)
        counting = np.flatnonzero(weight)[:1] if weight is not None else np.arange(1)
        rows = matrix[0][counting] if len(matrix[0]) else matrix[0]
        return rows[0].astype(np.float64) if len(rows) else None

    @property
    def weight(self) -> float:
        """The sum of all weights."""
        return float(self._extents[0])

    @property
    def centre(self) -> Array:
        """The weighted means; zeros if columns are not centred."""
        if not self._centred or self._first is None:
            return np.zeros(self._width)
        sums = self._extents[1 : 1 + self._width]
        return np.asarray(self._first + sums / (self.weight or 1.0))

    @property
    def ranges(self) -> Array:
        """The largest distances from the first row, or from 0."""
        return self._extents[1 + self._width :]

    @property
    def _unit(self) -> Array:
        return np.asarray(0.5 / powers_of_two(self.ranges))

    def spread(
        self,
        matrix: Matrix,
        weight: Array | None,
        parts: Sequence[Route],
        watch: _core.MemoryWatch | None,
    ) -> None:
        """Take rows into norms, after all of them have been taken into means."""
        rows = self._rows_of(matrix, weight, watch)
        centre, unit = self.centre, self._unit
        for part in parts:
            rows.spreads(part.rows, centre, unit, self._spreads)

    def norms(self, count: int) -> Array:
        """Return the weighted norms of the deviations, of `count` rows."""
        squares, stored = np.split(self._spreads, 2)
        unit = self._unit
        if not self._is_sparse:
            return np.asarray(np.sqrt(squares) / unit)
        missing = np.maximum(self.weight - stored, 0.0)
        norms = np.sqrt(squares + missing * np.square(self.centre * unit)) / unit
        if not self._centred:
            return np.asarray(norms)
        # What is constant but for the rounding of its mean.
        noise = max(count, 10) * _EPS * self.ranges * math.sqrt(self.weight)
        return np.where(norms <= noise, 0.0, norms)
