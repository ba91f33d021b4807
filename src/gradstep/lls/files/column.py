"""The arrays of a reader: in a .npy file, or in memory."""

import io
import math
import os
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from gradstep import dtypes
from gradstep._core import MemoryWatch
from gradstep.lls.files.source import Piece, beyond_range, check_regular, path_of
from gradstep.structure import Array

# Buffers that one preadv may fill.
_IOV_MAX = os.sysconf("SC_IOV_MAX")

# Headers of numbers have some hundred bytes; NumPy refuses those over 10000.
_HEADER = 1 << 14

# Bytes of a file that are converted at once.
_CONVERTED = 1 << 20

_HEADERS: dict[tuple[int, int], Callable[[Any], Any]] = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    # As 2.0, but UTF-8, which only names of fields need: what has fields is refused.
    (3, 0): npy_format.read_array_header_2_0,
}


class Stored:
    """An array in a .npy file, open until nobody refers to it."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.given = os.path.abspath(path)
        # Not to wait for the writer of a pipe, which is refused below.
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        where = f"NpyFile: {name}"
        check_regular(where, path, status.st_mode)
        where = f"{where}, {path!r},"
        start = memoryview(bytearray(_HEADER))
        got = _read_at(self._fd, path, [start], 0)
        self.shape, self.dtype, self._offset = _header(where, bytes(start[:got]))
        self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        expected = self._offset + self.dtype.itemsize * math.prod(self.shape)
        if status.st_size < expected:
            raise ValueError(
                f"{where} must have {expected} bytes, as its header says, but has "
                f"{status.st_size}; write it anew"
            )

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "_fd"):
            close(self._fd)

    def read(self, pieces: list[Piece], out: Array) -> None:
        """Read pieces, which are in the order of the file."""
        if self._row_bytes == 0:
            return
        if not dtypes.is_same(self.dtype, out.dtype):
            for piece in pieces:
                self._convert(piece, out)
            return
        size = self._row_bytes
        to = out.reshape(-1).view(np.uint8).data
        for run in _runs(pieces):
            parts = [to[p.at * size :][: (p.last - p.first) * size] for p in run]
            self._read_rows(run[0].first, parts)

    def _convert(self, piece: Piece, out: Array) -> None:
        at_once = max(1, _CONVERTED // self._row_bytes)
        for first in range(piece.first, piece.last, at_once):
            rows = min(at_once, piece.last - first)
            found = np.empty((rows, *self.shape[1:]), self.dtype)
            self._read_rows(first, [found.reshape(-1).view(np.uint8).data])
            at = piece.at + first - piece.first
            _cast(out[at : at + rows], found, f"{self.name}, {self.path!r},", first)

    def _read_rows(self, first: int, parts: list[memoryview]) -> None:
        start = self._offset + first * self._row_bytes
        expected = sum(len(part) for part in parts)
        got = _read_at(self._fd, self.path, parts, start)
        if got < expected:
            row = first + got // self._row_bytes
            raise EOFError(
                f"NpyFile.read: {self.name}, {self.path!r}, has become shorter since "
                f"it was opened, and ends before or in row {row} of {self.shape[0]}; "
                "write it anew and open it again"
            )


class Held:
    """An array in memory."""

    path = None

    def __init__(self, name: str, value: npt.ArrayLike) -> None:
        where = f"NpyFile: {name}"
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(
                f"{where} must not be a masked array; pass value.filled(...)"
            )
        try:
            # A view, which nobody else can reshape.
            a = np.asarray(value).view()
        except ValueError as error:
            raise ValueError(f"{where} is not an array: {error}") from None
        _check_real(where, a.dtype)
        self.name, self.given, self.shape, self.dtype = name, a, a.shape, a.dtype
        self._watch = MemoryWatch(where, [a])

    def read(self, pieces: list[Piece], out: Array) -> None:
        self._watch.check()
        for first, last, at in pieces:
            _cast(out[at : at + last - first], self.given[first:last], self.name, first)


Column: TypeAlias = Stored | Held


def column_of(name: str, value: Any) -> Column:
    """Return the column of a path or an array."""
    if isinstance(value, (str, os.PathLike)):
        return Stored(name, path_of(f"NpyFile: {name}", value))
    return Held(name, value)


def _header(where: str, start: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return the shape, the type, and where the data begin."""
    stream = io.BytesIO(start)
    try:
        version = npy_format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError("version {}.{} is not known".format(*version))
        shape, fortran, dtype = _HEADERS[version](stream)
    # The header is a literal of Python, and what parses it raises errors of many types.
    except Exception as error:
        reason = str(error).split("\n", 1)[0]
        raise ValueError(
            f"{where} is not a .npy file of numbers: {reason}; write it by np.save"
        ) from error
    _check_real(where, dtype)
    if any(not 0 <= n <= sys.maxsize for n in shape):
        raise ValueError(f"{where} has a header of shape {shape}; write it by np.save")
    if fortran and 0 not in shape and sum(n > 1 for n in shape) > 1:
        raise ValueError(
            f"{where} is in Fortran order, where rows are not together; write it anew "
            "by np.save(new, np.ascontiguousarray(np.load(old)))"
        )
    return tuple(int(n) for n in shape), dtype, stream.tell()


def _check_real(where: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiub":
        raise TypeError(
            f"{where} must hold real numbers, got {dtype}; convert them by "
            "a.astype(float)"
        )


def _runs(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Join pieces that are neighbours in the file, though not in the buffers."""
    start = 0
    for k, (one, other) in enumerate(pairwise(pieces), 1):
        if one.last != other.first:
            yield pieces[start:k]
            start = k
    if pieces:
        yield pieces[start:]


def _read_at(fd: int, path: str, parts: list[memoryview], start: int) -> int:
    """Fill parts by the bytes from `start`; return how many there were."""
    total = at = 0
    while at < len(parts):
        try:
            # Python itself calls again if a signal interrupts it.
            got = os.preadv(fd, parts[at : at + _IOV_MAX], start + total)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        if got == 0:
            break
        total += got
        while at < len(parts) and got >= len(parts[at]):
            got -= len(parts[at])
            at += 1
        if got:  # a signal or the limit of a call came between: go on from there
            parts[at] = parts[at][got:]
    return total


def _cast(out: Array, found: Array, name: str, first: int) -> None:
    """Convert to the type of `out`, but no finite number to infinity."""
    try:
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            out[...] = found
    except FloatingPointError:
        last = first + len(found)
        raise beyond_range(f"NpyFile.read: {name}", first, last, out.dtype) from None
