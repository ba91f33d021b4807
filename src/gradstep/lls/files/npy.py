"""Rows of .npy files, read by their place without mapping the files."""

from functools import partial
from typing import Any

import numpy.typing as npt

from gradstep import dtypes
from gradstep.lls.files.column import Column, Stored, column_of
from gradstep.lls.files.source import Path, Piece, Reader, Rows, path_of

__all__ = ["NpyFile"]


class NpyFile(Reader[tuple[Column, ...]]):
    """Rows of .npy files, as `numpy.save` writes them.

    Parameters
    ----------
    X : str or path
        A file of shape (N, L) in C order. Native float32 stays float32; what else is a
        real number, in either byte order, becomes float64, as in arrays.
    y : str, path or array_like
        A file, or an array, of shape (N,) or (N, K); converted to the type of X.
    sample_weight : str, path or array_like, optional
        A file, or an array, of shape (N,); converted to float64.

    Attributes
    ----------
    shape, targets, dtype, weighted, extents
        As `Source` says; `extents` is None.

    Raises
    ------
    TypeError
        If an argument is neither path nor array, or holds no real numbers: objects,
        which would have to be unpickled, complex numbers, fields.
    ValueError
        If a file is not a .npy file of versions 1 to 3, is shorter than its header
        says, or is in Fortran order; or if shapes do not fit. `read`: if the reader is
        closed, spans or buffers do not fit, or a finite value is beyond float32.
    OSError
        If a file cannot be opened or read.
    EOFError
        In `read`: if a file has become shorter since it was opened. It is no ValueError
        since no argument is wrong.

    Notes
    -----
    Values that are stored as they are used, native float32 or float64, go from the file
    straight to the buffers of the caller, by ``preadv`` and without the GIL; spans that
    are neighbours in the file are read at once. Others are converted through 1 MiB (or
    a row, if that is longer). Nothing is mapped: memory is the caller's buffers, and a
    file that is cut short raises an error instead of a signal. What is written to a
    file after it was opened is read as it is then.

    Integers beyond 2**53 are rounded to the nearest float64, as in arrays. Values are
    not looked at: NaN is read, and so is a negative weight.

    A file in Fortran order, where rows are not together, can be copied by blocks::

        old = np.load("old.npy", mmap_mode="r")
        new = np.lib.format.open_memmap("new.npy", "w+", old.dtype, old.shape)
        for first in range(0, len(old), 65536):
            new[first : first + 65536] = old[first : first + 65536]

    Pickling takes the absolute paths along, and opens the files anew.

    Examples
    --------
    >>> import os, tempfile, numpy as np
    >>> from gradstep.lls.files import NpyFile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "X.npy")
    ...     np.save(path, np.arange(12.0).reshape(6, 2))
    ...     with NpyFile(path, y=np.arange(6)) as source:
    ...         rows = source.read([(4, 6), (0, 1)], source.buffers(3))
    >>> rows.X
    array([[ 8.,  9.],
           [10., 11.],
           [ 0.,  1.]])
    >>> rows.y
    array([4., 5., 0.])
    """

    def __init__(
        self,
        X: Path,
        y: Path | npt.ArrayLike,
        *,
        sample_weight: Path | npt.ArrayLike | None = None,
    ) -> None:
        path = path_of("NpyFile: X", X, "; pass arrays themselves instead of a reader")
        columns = [Stored("X", path), column_of("y", y)]
        if sample_weight is not None:
            columns.append(column_of("sample_weight", sample_weight))
        shape = columns[0].shape
        _check_shapes(columns)
        self.shape = shape[0], shape[1]
        self.targets = columns[1].shape[1] if len(columns[1].shape) == 2 else None
        self.dtype = dtypes.float32_or_float64(columns[0].dtype)
        self.weighted = sample_weight is not None
        self._names = path, *(c.path for c in columns[1:])
        self._opened = tuple(columns)

    def _fill(
        self, opened: tuple[Column, ...], pieces: list[Piece], into: Rows
    ) -> None:
        for column, out in zip(opened, (into.X, into.y, into.weight), strict=False):
            if out is not None:
                column.read(pieces, out)

    def row_name(self, row: int) -> str:
        """Return how messages name a row."""
        return f"row {row} of {self._names[0]!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        X, y, *weight = [
            column.given for column in self._open_one("NpyFile.__reduce__")
        ]
        again = partial(type(self), sample_weight=weight[0] if weight else None)
        return again, (X, y)

    def __repr__(self) -> str:
        names = ", ".join("array" if p is None else repr(p) for p in self._names)
        closed = ", closed" if self.closed else ""
        return f"NpyFile({names}; shape={self.shape}, dtype={self.dtype}{closed})"


def _check_shapes(columns: list[Column]) -> None:
    shape = columns[0].shape
    if len(shape) != 2:
        raise ValueError(f"NpyFile: X must have shape (N, L), got {shape}")
    for column, wanted in zip(columns[1:], ("(N,) or (N, K)", "(N,)"), strict=False):
        name, found = column.name, column.shape
        if len(found) not in ((1, 2) if column is columns[1] else (1,)):
            raise ValueError(f"NpyFile: {name} must have shape {wanted}, got {found}")
        if found[0] != shape[0]:
            raise ValueError(
                f"NpyFile: X has {shape[0]} rows, {name} has {found[0]}; pass as many"
            )
