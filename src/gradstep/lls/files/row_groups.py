"""The row groups of a Parquet file, by pyarrow, which is imported to open one."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradstep.lls.files.source import Piece, beyond_range, check_regular
from gradstep.structure import Array

# Bytes of rows that are filled column by column before the next: a cache holds them.
_CACHED = 1 << 18


class RowGroups:
    """The row groups of an open file, the last one decoded."""

    def __init__(
        self, path: str, file: Any, starts: list[int], names: list[str]
    ) -> None:
        self._path, self._names = path, names
        self._file, self._starts = file, starts
        self.kept = -1
        self._columns: list[Array] = []

    def copy(self, group: int, piece: Piece, to: list[Array]) -> None:
        """Copy rows of a group, a column to each array, but no finite number to inf."""
        columns, start = self._decoded_once(group), self._starts[group]
        row_bytes = sum(out.itemsize for out in to)
        at_once = max(1, _CACHED // row_bytes)
        with np.errstate(over="raise", under="ignore", invalid="ignore"):
            for first in range(piece.first, piece.last, at_once):
                last = min(first + at_once, piece.last)
                at = piece.at + first - piece.first
                for name, column, out in zip(self._names, columns, to, strict=True):
                    found = column[first - start : last - start]
                    self._cast(name, found, out[at:], first)

    def _cast(self, name: str, found: Array, out: Array, first: int) -> None:
        try:
            out[: len(found)] = found
        except FloatingPointError:
            where = f"ParquetFile.read: {self._path!r}, column {name!r},"
            last = first + len(found)
            raise beyond_range(where, first, last, out.dtype) from None

    def _decoded_once(self, group: int) -> list[Array]:
        if group != self.kept:
            self.kept, self._columns = -1, []  # before the next takes memory
            self._columns = self._decoded(group)
            self.kept = group
        return self._columns

    def _decoded(self, group: int) -> list[Array]:
        start, last = self._starts[group : group + 2]
        where = f"ParquetFile.read: {self._path!r}"
        with _naming(f"{where}, row group {group},"):
            table = self._file.read_row_group(group, columns=self._names)
            table.validate()
        if table.num_rows != last - start:
            raise ValueError(
                f"{where}: row group {group} has {table.num_rows} rows, expected "
                f"{last - start}; write the file anew"
            )
        found = []
        for name in self._names:
            column = table.column(name)
            if column.null_count:
                row = start + int(column.is_null().to_numpy().argmax())
                raise ValueError(
                    f"{where}: column {name!r} has no value in row {row}; fill it, or "
                    "drop rows with missing values"
                )
            found.append(column.to_numpy())
        return found


def joined(extents: list[Array]) -> Array:
    """Return the first rows of the row groups of several files, numbered through."""
    first_rows = np.cumsum([0, *(int(rows[-1]) for rows in extents)])
    parts = [
        rows[:-1] + first for rows, first in zip(extents, first_rows, strict=False)
    ]
    all_extents: Array = np.concatenate([*parts, first_rows[-1:]])
    all_extents.setflags(write=False)
    return all_extents


class RowGroupsOfFiles:
    """The row groups of several files, numbered through; one file is open at a time.

    So neither file descriptors nor decoded groups add up, however many files there are.
    """

    def __init__(
        self, paths: list[str], extents: list[Array], names: list[str]
    ) -> None:
        self._paths, self._extents, self._names = paths, extents, names
        self._first_groups = np.cumsum([0, *(len(e) - 1 for e in extents)]).tolist()
        self._first_rows = np.cumsum([0, *(int(e[-1]) for e in extents)]).tolist()
        self._k = -1
        self._open: RowGroups | None = None

    @property
    def kept(self) -> int:
        """The group that is decoded, or -1."""
        if self._open is None or self._open.kept < 0:
            return -1
        return int(self._first_groups[self._k]) + self._open.kept

    def copy(self, group: int, piece: Piece, to: list[Array]) -> None:
        """Copy rows of a group, a column to each array, but no finite number to inf."""
        k = bisect_right(self._first_groups, group) - 1
        if k != self._k or self._open is None:
            self._open = None  # before the next takes memory
            self._k, self._open = k, self._opened(k)
        row = self._first_rows[k]
        piece = Piece(piece.first - row, piece.last - row, piece.at)
        self._open.copy(group - self._first_groups[k], piece, to)

    def _opened(self, k: int) -> RowGroups:
        path, extents = self._paths[k], self._extents[k]
        file, schema, present = open_parquet(path)
        if not np.array_equal(present, extents) or not {*self._names} <= {
            *schema.names
        }:
            raise ValueError(
                f"ParquetFile.read: {path!r} has changed since it was opened first; "
                "build a new reader"
            )
        return RowGroups(path, file, extents.tolist(), self._names)


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Name the file in errors of pyarrow, which says only what it found."""
    import pyarrow as pa  # noqa: PLC0415  # is there by now

    try:
        yield
    except MemoryError:  # one of pyarrow's errors, but no fault of the file
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n", 1)[0]
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, f"{where} cannot be read: {reason}") from error
        raise ValueError(
            f"{where} is not Parquet, or damaged: {reason}; write it anew"
        ) from error


def open_parquet(path: str) -> tuple[Any, Any, Array]:
    """Return the open file, its schema, and the first rows of its row groups."""
    try:
        # Heavy, an extra, and only needed here.
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as missing:
        raise ImportError(
            "gradstep's ParquetFile needs pyarrow; pip install 'gradstep[parquet]'"
        ) from missing
    check_regular("ParquetFile: path", path, os.stat(path).st_mode)
    with _naming(f"ParquetFile: path {path!r}"):
        # As a file, since a path might be taken for a URI. Read a column at a time:
        # what is read ahead stays in memory.
        file = parquet.ParquetFile(
            pa.OSFile(path), pre_buffer=False, page_checksum_verification=True
        )
        about = file.metadata
        rows = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        if min(rows, default=0) < 0 or sum(rows) != about.num_rows:
            raise ValueError(f"{about.num_rows} rows, but {rows} in row groups")
        extents = np.cumsum([0, *rows], dtype=np.int64)
        extents.setflags(write=False)
        return file, file.schema_arrow, extents
