"""What a reader of rows is, and the checks that all readers share."""

import operator
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import (
    Any,
    Generic,
    NamedTuple,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import numpy.typing as npt

from gradstep import dtypes
from gradstep.hyper import is_integer
from gradstep.structure import Array

__all__ = ["Rows", "Source"]

Path: TypeAlias = str | os.PathLike[str]
Opened = TypeVar("Opened")


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive rows in owned, C-ordered, writable buffers.

    Parameters
    ----------
    X : ndarray, shape (n, L), float32 or float64
    y : ndarray, shape (n,) or (n, K), of the type of X
    weight : ndarray, shape (n,), float64, or None
    """

    X: Array
    y: Array
    weight: Array | None

    def cut(self, n: int) -> "Rows":
        """Return views of the first n rows."""
        weight = None if self.weight is None else self.weight[:n]
        return Rows(self.X[:n], self.y[:n], weight)


@runtime_checkable
class Source(Protocol):
    """Rows that are read by spans, into buffers of the caller.

    Attributes
    ----------
    shape : tuple of int
        (N, L): rows and features.
    targets : int or None
        K for y of shape (N, K), None for y of shape (N,).
    dtype : dtype
        float32 or float64: of X and y.
    weighted : bool
        Whether each row has a weight.
    extents : ndarray of int64, shape (parts + 1,), or None
        The first row of each part that is cheap to read only as a whole, then N. None:
        any span is as cheap as its rows.
    """

    shape: tuple[int, int]
    targets: int | None
    dtype: np.dtype[Any]
    weighted: bool
    extents: Array | None

    def buffers(self, rows: int) -> Rows:
        """Return new buffers for so many rows; what they hold is not defined."""

    def read(self, spans: Sequence[tuple[int, int]], into: Rows) -> Rows:
        """Read the rows of each span [first, last), one span after the other.

        Parameters
        ----------
        spans : sequence of (int, int)
            With 0 <= first <= last <= N, in any order; they may be empty or overlap.
        into : Rows
            Such as `buffers` returns, with room for the rows of all spans.

        Returns
        -------
        Rows
            Views of `into`, cut to the rows that were read.

        Notes
        -----
        May be called in any thread, by one at a time. After an error, what `into` holds
        is not defined.
        """


def name_row(source: Source, row: int) -> str:
    """Return how messages name a row of a source: by its file, if it tells that."""
    named = getattr(source, "row_name", None)
    return str(named(row)) if callable(named) else f"row {row} of the file"


class Piece(NamedTuple):
    """Rows [first, last), to be read to row `at` of the buffers."""

    first: int
    last: int
    at: int


class Reader(ABC, Generic[Opened]):
    """A `Source` that is open until it is closed; a subclass gives `_fill`.

    A read holds what is open by a reference of its own. So to close during a read in
    another thread is safe: what was open is closed when that read has ended. (A lock
    would do as well, but for a child that is forked while it is held.)
    """

    shape: tuple[int, int]
    targets: int | None
    dtype: np.dtype[Any]
    weighted: bool
    extents: Array | None = None
    _opened: Opened | None = None

    @abstractmethod
    def _fill(self, opened: Opened, pieces: list[Piece], into: Rows) -> None:
        """Read the pieces to their rows of the buffers."""

    def _open_one(self, where: str) -> Opened:
        if self._opened is None:
            raise ValueError(f"{where}: the reader is closed; open the file anew")
        return self._opened

    def buffers(self, rows: int) -> Rows:
        where = f"{type(self).__name__}.buffers"
        if not is_integer(rows):
            kind = type(rows).__name__
            raise TypeError(f"{where}: rows must be int, got {kind}")
        if rows < 0:
            raise ValueError(f"{where}: rows must be >= 0, got {rows}")
        tail = () if self.targets is None else (self.targets,)
        return Rows(
            np.empty((rows, self.shape[1]), self.dtype),
            np.empty((rows, *tail), self.dtype),
            np.empty(rows) if self.weighted else None,
        )

    def read(self, spans: Sequence[tuple[int, int]], into: Rows) -> Rows:
        where = f"{type(self).__name__}.read"
        opened = self._open_one(where)
        pieces, rows = _pieces(where, spans, len(self))
        tail = () if self.targets is None else (self.targets,)
        _check_buffer(f"{where}: into.X", into.X, rows, self.shape[1:], self.dtype)
        _check_buffer(f"{where}: into.y", into.y, rows, tail, self.dtype)
        if self.weighted:
            _check_buffer(f"{where}: into.weight", into.weight, rows, (), np.float64)
        elif into.weight is not None:
            raise ValueError(
                f"{where}: into.weight must be None, since {self!r} has no weights; "
                "pass buffers(rows)"
            )
        cut = into.cut(rows)
        self._fill(opened, pieces, cut)
        return cut

    def close(self) -> None:
        """Close what is open; `read` is refused from now on. Twice does no harm."""
        self._opened = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._opened is None

    def __len__(self) -> int:
        return self.shape[0]

    def __enter__(self) -> Self:
        self._open_one(type(self).__name__)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pieces(where: str, spans: Any, n: int) -> tuple[list[Piece], int]:
    """Return what to read, in the order of the file, and how many rows it is.

    Neighbours are joined, empty spans left out.
    """
    if not isinstance(spans, Iterable):
        kind = type(spans).__name__
        raise TypeError(f"{where}: spans must be pairs of int, got {kind}")
    found: list[Piece] = []
    at = 0
    for k, span in enumerate(spans):
        try:
            first, last = (operator.index(row) for row in span)
        except (TypeError, ValueError):
            raise TypeError(
                f"{where}: spans[{k}] must be a pair of int, got {span!r}"
            ) from None
        if not 0 <= first <= last <= n:
            raise ValueError(
                f"{where}: spans[{k}] must be [first, last) with 0 <= first <= last <= "
                f"{n}, got ({first}, {last})"
            )
        if first < last and found and found[-1].last == first:
            found[-1] = found[-1]._replace(last=last)
        elif first < last:
            found.append(Piece(first, last, at))
        at += last - first
    return sorted(found), at


def _check_buffer(
    name: str, a: Any, rows: int, tail: tuple[int, ...], dtype: npt.DTypeLike
) -> None:
    remedy = "; pass what buffers(rows) returned"
    if not isinstance(a, np.ndarray):
        raise TypeError(f"{name} must be an ndarray, got {type(a).__name__}{remedy}")
    if not dtypes.is_same(a.dtype, np.dtype(dtype)):
        raise TypeError(f"{name} must be {np.dtype(dtype)}, got {a.dtype}{remedy}")
    if a.ndim != 1 + len(tail) or a.shape[1:] != tail or len(a) < rows:
        raise ValueError(
            f"{name} must have shape {(rows, *tail)}, or more rows, got {a.shape}"
            f"{remedy}"
        )
    if not (a.flags.c_contiguous and a.flags.behaved):
        raise ValueError(f"{name} must be C-ordered, aligned and writable{remedy}")


def path_of(name: str, path: object, instead: str = "") -> str:
    """Return the path of a file as str."""
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str):
        raise TypeError(
            f"{name} must be the path of a file, got {type(path).__name__}{instead}"
        )
    return path


def check_regular(name: str, path: str, mode: int) -> None:
    """Refuse directories, pipes and devices, which have no rows to go to."""
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"{name}: {path!r} is not a regular file; pass the path of one"
        )


def beyond_range(name: str, first: int, last: int, dtype: object) -> ValueError:
    """Return the error of a value that would become infinite."""
    return ValueError(
        f"{name} holds a value beyond the range of {dtype} in rows [{first}, {last}); "
        "scale it, or store X as float64"
    )
