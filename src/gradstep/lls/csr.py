"""Sparse matrices of SciPy as compressed sparse rows that C can follow.

SciPy's compiled code follows indices blindly, as ours does, and users can write to the
arrays of a matrix after its constructor has looked at them, in callbacks and in other
threads. So indices are copied and the copies are checked before anything is done with
them; SciPy converts only matrices that are built from those.
"""

import sys
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gradstep import _rows, dtypes
from gradstep.checks import base_array
from gradstep.lls import arguments as check
from gradstep.structure import Array

_Entries = tuple[Array, Array, Array]  # values, and the row and the column of each


class CsrRows(NamedTuple):
    """Values, the column of each, and the first value of each row; as C reads them."""

    values: Array
    columns: Array
    starts: Array


def is_sparse(X: object) -> bool:
    """Return whether X is a sparse array or matrix of SciPy, or of a subclass."""
    scipy_sparse = sys.modules.get("scipy.sparse")  # whoever has one has imported it
    return scipy_sparse is not None and bool(scipy_sparse.issparse(X))


def csr_rows(
    name: str,
    X: Any,
    word: str = "sparse matrix",
    dtype: "np.dtype[Any] | None" = None,
) -> tuple[CsrRows, tuple[int, int]]:
    """Return the rows of a sparse matrix, columns ascending in each, and its shape.

    Values are of a dtype, by default float32 if they are, else float64. Those of a CSR
    matrix which are so already, no column twice in a row, are not copied.

    Raises
    ------
    TypeError, ValueError
        If it has no two dimensions, holds no real numbers, or its indices are not those
        of a matrix of its shape.
    """
    invalid = f"{name} is no valid {word}: "
    shape = tuple(X.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must have shape (N, L), got {shape}")
    N, L = (check.whole(f"{invalid}an extent of its shape", n, 0) for n in shape)
    return _Matrix(name, invalid, (N, L), dtype).rows(X), (N, L)


class _Matrix:
    """Conversions of one matrix; messages begin with `invalid`."""

    def __init__(
        self,
        name: str,
        invalid: str,
        shape: tuple[int, int],
        dtype: "np.dtype[Any] | None",
    ) -> None:
        self._name, self._invalid, self._shape = name, invalid, shape
        self._dtype = dtype

    def rows(self, X: Any) -> CsrRows:
        """Return the rows, whatever the format."""
        readers: dict[str, Callable[[Any], CsrRows]] = {
            "csr": self._from_csr,
            "csc": self._from_csc,
            "bsr": self._from_bsr,
            "coo": lambda X: self._from_entries(self._coo_entries(X)),
            "dia": lambda X: self._from_entries(self._dia_entries(X)),
            "lil": lambda X: self._from_entries(self._listed(self._lil_entries, X)),
            "dok": lambda X: self._from_entries(self._listed(self._dok_entries, X)),
        }
        if X.format not in readers:
            raise TypeError(
                f"{self._name} has the unknown format {X.format!r}; pass X.tocsr()"
            )
        rows = readers[X.format](X)
        if self._check_indices(rows.columns, rows.starts, self._shape[1]):
            stored = int(rows.starts[-1])  # behind them, arrays may have room
            return CsrRows(rows.values[:stored], rows.columns[:stored], rows.starts)
        # Columns in no order, or twice; copy=True: values may be the user's.
        matrix = _scipy_sparse().csr_array(rows, shape=self._shape, copy=True)
        matrix.sum_duplicates()
        return CsrRows(matrix.data, matrix.indices, matrix.indptr)

    # -- arrays

    def _array(self, what: str, value: Any, axes: int) -> Array:
        a: Array = base_array(f"{self._invalid}{what}", value)
        if a.ndim != axes:
            raise ValueError(
                f"{self._invalid}{what} must have {axes} axes, got shape {a.shape}"
            )
        return a

    def _values(self, value: Any, axes: int = 1) -> Array:
        """Return the values in their final dtype."""
        a = self._array("its data", value, axes)
        if a.dtype.kind not in "fiub":
            raise TypeError(f"{self._name} must hold real numbers, got {a.dtype}")
        dtype = (
            dtypes.float32_or_float64(a.dtype) if self._dtype is None else self._dtype
        )
        return check.narrowed(self._name, a, dtype)

    def _indices(self, what: str, value: Any) -> Array:
        """Return indices in an array of our own, int32 if that is enough for theirs."""
        a = self._array(what, value, 1)
        if a.dtype.kind != "i":
            raise ValueError(
                f"{self._invalid}{what} must be signed integers, got {a.dtype}"
            )
        return np.array(a, np.int32 if a.dtype.itemsize <= 4 else np.int64)

    def _compressed(self, X: Any, stored: int, majors: int) -> tuple[Array, Array]:
        """Return indices and indptr, of one integer type and of lengths that fit."""
        indices = self._indices("indices", X.indices)
        indptr = self._indices("indptr", X.indptr)
        if len(indptr) != majors + 1:
            raise ValueError(
                f"{self._invalid}indptr must have {majors + 1} entries for its shape "
                f"{self._shape}, got {len(indptr)}"
            )
        if len(indices) != stored:
            raise ValueError(
                f"{self._invalid}indices must be as many as its data, {stored}, got "
                f"{len(indices)}"
            )
        wider = indices.dtype if indices.itemsize > indptr.itemsize else indptr.dtype
        return check.plain(indices, wider), check.plain(indptr, wider)

    def _check_indices(self, indices: Array, indptr: Array, extent: int) -> bool:
        """Check that indices are below an extent; return whether they ascend."""
        is_valid, ascends = _rows.csr_check(indptr, indices, extent)
        if is_valid:
            return bool(ascends)
        stored = len(indices)
        if indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > stored:
            raise ValueError(
                f"{self._invalid}indptr points outside of it: it must rise from 0 to "
                f"at most {stored}, the number of indices; build the matrix anew"
            )
        raise self._outside(indices, extent)

    def _outside(self, indices: Array, extent: int) -> ValueError:
        return ValueError(
            f"{self._invalid}indices point outside of it: they must be in [0, "
            f"{extent}), got {indices.min()} to {indices.max()}; build the matrix anew"
        )

    # -- formats

    def _from_csr(self, X: Any) -> CsrRows:
        values = self._values(X.data)
        return CsrRows(values, *self._compressed(X, len(values), self._shape[0]))

    def _from_csc(self, X: Any) -> CsrRows:
        N, L = self._shape
        values = self._values(X.data)
        rows, starts = self._compressed(X, len(values), L)
        self._check_indices(rows, starts, N)
        parts = values, rows, starts
        return _converted(_scipy_sparse().csc_array(parts, shape=self._shape))

    def _from_bsr(self, X: Any) -> CsrRows:
        N, L = self._shape
        values = self._values(X.data, 3)
        _, high, wide = values.shape
        if not (high and wide) or N % high or L % wide:
            raise ValueError(
                f"{self._invalid}blocks of shape {(high, wide)} do not fill its shape "
                f"{self._shape}"
            )
        columns, starts = self._compressed(X, len(values), N // high)
        self._check_indices(columns, starts, L // wide)
        parts = values, columns, starts
        return _converted(_scipy_sparse().bsr_array(parts, shape=self._shape))

    def _from_entries(self, entries: _Entries) -> CsrRows:
        values, rows, columns = entries
        if not len(values) == len(rows) == len(columns):
            raise ValueError(
                f"{self._invalid}indices must be as many as its data, {len(values)}, "
                f"got {len(rows)} of rows and {len(columns)} of columns"
            )
        for a, extent in zip((rows, columns), self._shape, strict=True):
            if len(a) and not (a.min() >= 0 and a.max() < extent):
                raise self._outside(a, extent)
        parts = values, (rows, columns)
        return _converted(_scipy_sparse().coo_array(parts, shape=self._shape))

    def _coo_entries(self, X: Any) -> _Entries:
        if len(X.coords) != 2:
            raise ValueError(
                f"{self._invalid}indices must be those of rows and columns, got "
                f"{len(X.coords)} arrays"
            )
        rows, columns = (self._indices("indices", a) for a in X.coords)
        return self._values(X.data), rows, columns

    def _dia_entries(self, X: Any) -> _Entries:
        N, L = self._shape
        values = self._values(X.data, 2)[:, :L]
        offsets = self._indices("offsets", X.offsets).astype(np.int64)
        if len(offsets) != len(values):
            raise ValueError(
                f"{self._invalid}offsets must be one for each row of its data, "
                f"{len(values)}, got {len(offsets)}"
            )
        is_within = (offsets > -N) & (offsets < L)
        values, offsets = values[is_within], offsets[is_within]
        columns = np.broadcast_to(np.arange(values.shape[1]), values.shape)
        rows = columns - offsets[:, np.newaxis]
        # Zeros are no entries, as where SciPy converts.
        is_stored = (rows >= 0) & (rows < N) & (values != 0)
        return values[is_stored], rows[is_stored], columns[is_stored]

    # -- formats of Python's lists and dicts

    def _listed(self, read: Callable[[Any], _Entries], X: Any) -> _Entries:
        try:
            return read(X)
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            if str(error).startswith(self._name):
                raise
            raise ValueError(
                f"{self._invalid}its indices or data cannot be read: {error}"
            ) from error

    def _lil_entries(self, X: Any) -> _Entries:
        lists = self._array("its rows", X.rows, 1), self._array("its data", X.data, 1)
        columns, values = ([[*row] for row in rows] for rows in lists)
        lengths = [len(row) for row in columns]
        if lengths != [len(row) for row in values] or len(lengths) != self._shape[0]:
            raise ValueError(
                f"{self._invalid}indices must be as many as its data, in each of "
                f"{self._shape[0]} rows"
            )
        return (
            self._values(np.array([*chain.from_iterable(values)], X.dtype)),
            np.repeat(np.arange(len(lengths)), lengths),
            self._listed_indices(chain.from_iterable(columns)),
        )

    def _dok_entries(self, X: Any) -> _Entries:
        keys, values = [*X.keys()], np.array([*X.values()], X.dtype)
        rows, columns = zip(*keys, strict=True) if keys else ((), ())
        return (
            self._values(values),
            self._listed_indices(rows),
            self._listed_indices(columns),
        )

    def _listed_indices(self, indices: Iterable[Any]) -> Array:
        a = np.array([*indices])
        return self._indices("indices", a if a.size else a.astype(np.int64))


def _scipy_sparse() -> Any:
    from scipy import sparse  # noqa: PLC0415  # X is of it, so it is loaded

    return sparse


def _converted(X: Any) -> CsrRows:
    """Return the rows of a matrix that was built from checked arrays."""
    rows = X.tocsr()
    return CsrRows(rows.data, rows.indices, rows.indptr)
