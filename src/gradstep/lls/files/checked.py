"""A `Source` that anyone may have written: what it says and returns, checked."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from gradstep import dtypes
from gradstep._core import MemoryWatch
from gradstep.checks import base_array
from gradstep.lls import arguments as check
from gradstep.lls.files.source import Rows, Source, name_row
from gradstep.structure import Array


class CheckedSource:
    """The rows of a `Source`, as they must be before C reads them.

    Its attributes are read once; each read is checked once. Messages begin with `who`,
    and call the source by the name of its class, or by `name`.
    """

    def __init__(self, who: str, source: Source, name: str = "") -> None:
        self._who, self.source = who, source
        self.name = name = name or type(source).__name__
        self._read_name, attribute = f"{who}: {name}.read", f"{who}: {name}."
        shape = source.shape
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise TypeError(f"{attribute}shape must be (N, L), got {shape!r}")
        self.n, self.features = (
            _extent(f"{attribute}shape[{i}]", extent) for i, extent in enumerate(shape)
        )
        targets = source.targets
        self.targets = (
            None if targets is None else _extent(f"{attribute}targets", targets)
        )
        self.dtype = dtypes.checked_float(f"{attribute}dtype", source.dtype)
        self.weighted = check.flag(f"{attribute}weighted", source.weighted)
        self.extents = _extents(f"{attribute}extents", source.extents, self.n)

    def buffers(self, rows: int) -> Any:
        """Return what the source takes as buffers of so many rows."""
        return self.source.buffers(rows)

    def read(
        self, spans: Sequence[tuple[int, int]], into: Any
    ) -> tuple[Rows, MemoryWatch]:
        """Return the rows of the spans, of this shape and dtype, in C order.

        The next read runs beside their use: it cannot resize them.
        """
        rows = self.source.read(spans, into)
        arrays = {name: getattr(rows, name, self) for name in ("X", "y", "weight")}
        for name, a in arrays.items():
            if a is self:
                raise TypeError(
                    f"{self._read_name} must return Rows, got {type(rows).__name__} "
                    f"without {name}"
                )
        n = sum(last - first for first, last in spans)
        where = ", ".join(f"[{first}, {last})" for first, last in spans)
        tail = () if self.targets is None else (self.targets,)
        weight = arrays["weight"]
        if (weight is not None) != self.weighted:
            raise ValueError(
                f"{self._read_name} gave {'no ' * (weight is None)}weight for {where}, "
                f"though weighted is {self.weighted}"
            )
        if weight is not None:
            weight = self._array("weight", weight, (n,), dtypes.FLOAT64, where)
            weight = check.weights(
                *(f"{self._who}: sample_weight of the file", weight, n),
                partial(self.row_name, spans),
            )
        X = self._array("X", arrays["X"], (n, self.features), self.dtype, where)
        y = self._array("y", arrays["y"], (n, *tail), self.dtype, where)
        used = [X, y] if weight is None else [X, y, weight]
        name = f"{self._who}: X, y or sample_weight of the file"
        return Rows(X, y, weight), MemoryWatch(name, used, is_pinning=True)

    def row_name(self, spans: Sequence[tuple[int, int]], row: int) -> str:
        """Return how messages name a row of those that were read from spans."""
        for first, last in spans:
            if row < last - first:
                return name_row(self.source, first + row)
            row -= last - first
        raise IndexError(row)

    def _array(
        self, name: str, array: Any, shape: tuple[int, ...], dtype: Any, where: str
    ) -> Array:
        a: Array = base_array(f"{self._read_name}: {name}", array)
        if not dtypes.is_same(a.dtype, dtype):
            raise TypeError(
                f"{self._read_name} gave {name} of dtype {a.dtype} for {where}, "
                f"expected {dtype}"
            )
        if a.ndim and len(a) != shape[0]:
            raise ValueError(
                f"{self._read_name} gave {len(a)} rows for {where} in {name}, expected "
                f"{shape[0]}"
            )
        if a.shape != shape:
            raise ValueError(
                f"{self._read_name} gave {name} of shape {a.shape} for {where}, "
                f"expected {shape}"
            )
        if not (a.flags.c_contiguous and a.flags.aligned):
            raise ValueError(
                f"{self._read_name} gave {name} with strides {a.strides} for {where}; "
                "return C-ordered, aligned arrays, such as np.ascontiguousarray(a)"
            )
        return a


def _extent(name: str, value: Any) -> int:
    n = check.whole(name, value, 0)
    if n > sys.maxsize:
        raise ValueError(f"{name} must be at most {sys.maxsize}, got {n}")
    return n


def _extents(name: str, value: Any, n: int) -> Array | None:
    """Return the first row of each part, then n, in an array of our own."""
    if value is None:
        return None
    a = base_array(name, value)
    if a.ndim != 1 or a.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must be None or a 1-d array of integers, got {a.dtype} of shape "
            f"{a.shape}"
        )
    extents: Array = np.array(a, np.int64)
    rises = len(extents) and (extents[1:] >= extents[:-1]).all()
    if not rises or extents[0] != 0 or extents[-1] != n:
        raise ValueError(
            f"{name} must rise from 0 to the number of rows, {n}, got {_shown(a)}"
        )
    return extents


def _shown(a: Array) -> str:
    return np.array2string(a, threshold=8)
