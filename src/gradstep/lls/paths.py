"""Files that are passed by their paths: their first bytes tell the reader."""

import errno
import glob
import os
from typing import Any

from gradstep.lls import arguments as check
from gradstep.lls.files import NpyFile, ParquetFile, Source

_NPY, _PARQUET = b"\x93NUMPY", b"PAR1"


def opened(who: str, X: Any, y: Any, sample_weight: Any) -> Source | None:
    """Return the reader of the files that X names, or None where X is no path.

    A .npy file goes with y, and sample_weight, in others or in arrays; Parquet, which
    may be a folder, a list or a glob, with the names of their columns.
    """
    if isinstance(X, (list, tuple)) and X and all(map(check.is_path, X)):
        if _is_npy(X[0]):
            raise TypeError(
                f"{who}: X is a list of .npy files; pass one file, or an iterable of "
                "(X, y) chunks that loads them one by one"
            )
    elif not check.is_path(X):
        return None
    elif _is_npy(X):
        if y is None:
            raise TypeError(
                f"{who}: y is missing for the file {os.fspath(X)!r}; pass the path of "
                "a .npy file, or an array"
            )
        return NpyFile(X, y, sample_weight=sample_weight)
    elif not os.path.lexists(X) and not glob.has_magic(os.fspath(X)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(X))
    elif not _is_parquet(X):
        raise ValueError(
            f"{who}: X, {os.fspath(X)!r}, is neither a .npy nor a Parquet file; load "
            "it, and pass arrays or chunks"
        )
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        _check_column(f"{who}: {name}", value)
    if y is None:
        raise TypeError(
            f"{who}: y is missing for Parquet files; pass the name of the target "
            "column, or lls.ParquetFile(path, target=...) as X"
        )
    return ParquetFile(X, target=y, sample_weight=sample_weight)


def _check_column(name: str, value: Any) -> None:
    """Refuse what cannot name columns; `ParquetFile` checks the rest."""
    names = value if isinstance(value, (list, tuple)) else [value]
    if value is not None and not all(isinstance(each, str) for each in names):
        raise TypeError(
            f"{name} must name a column where X is a Parquet file, got "
            f"{type(value).__name__}"
        )


def _starts_with(path: Any, magic: bytes) -> bool:
    # Its reader refuses what is no regular file, without waiting for a pipe's writer.
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _is_npy(path: Any) -> bool:
    return _starts_with(path, _NPY) or os.fspath(path).endswith(".npy")


def _is_parquet(path: Any) -> bool:
    """Also of folders, globs, and what is no regular file, which its reader refuses."""
    return not os.path.isfile(path) or _starts_with(path, _PARQUET)
