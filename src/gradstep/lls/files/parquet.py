"""Rows of columns of a Parquet file, or of several."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradstep.lls.files.parquet_paths import parquet_paths
from gradstep.lls.files.row_groups import (
    RowGroups,
    RowGroupsOfFiles,
    joined,
    open_parquet,
)
from gradstep.lls.files.source import Path, Piece, Reader, Rows

__all__ = ["ParquetFile"]


class ParquetFile(Reader[RowGroups | RowGroupsOfFiles]):
    """Rows of columns of a Parquet file, in the order of the file, or of several.

    Parameters
    ----------
    path : str or path, or a list of these
        A file; a folder, all files in it sorted by path, but those that begin with "."
        or "_"; a glob such as ``"data/*.parquet"``, sorted; or a list of such, in its
        order. Several files have the same columns, and are as one with all their rows.
    target : str or list of str
        The column of y, of shape (N,); or the columns of y, of shape (N, K), even if
        the list has one name.
    features : list of str, optional
        The columns of X, in order. By default all columns of numbers in the order of
        the file, but the target, the weight and the index of a pandas table.
    sample_weight : str, optional
        The column of weights.

    Attributes
    ----------
    shape, targets, dtype, weighted, extents
        As `Source` says; X and y are float32 if all features are, else float64.
        `extents` are the first rows of the row groups, then N.
    feature_names, target_names : tuple of str
    paths : tuple of str
        The files.

    Raises
    ------
    ImportError
        If there is no pyarrow.
    TypeError
        If an argument is of another type, or a column holds no real numbers.
    ValueError
        If a column is not in the file, or is named twice; if a column of decimals is
        neither named nor excluded; if the file is not a Parquet file; if there is no
        file; if files differ in their columns of numbers, and no `features` are named;
        or if a folder is partitioned by names such as "year=2024". `read`: if a
        value is missing, a finite value is beyond float32, the file is damaged, the
        reader is closed, or spans or buffers do not fit.
    OSError
        If the file cannot be opened or read.

    Notes
    -----
    Numbers are integers, floats of 16 to 64 bits and booleans. Integers beyond 2**53
    are rounded to the nearest float64, as in arrays. A missing value is refused, as
    soon as its row group is read; NaN is data, and so is a negative weight.

    A row group is decoded as a whole, its named columns only, and the last one is kept:
    spans in one group, in one call or several, decode it once. So memory is the
    caller's buffers, the last group, and what pyarrow needs to decode the next. Of
    several files one is open at a time; one that has changed meanwhile is refused.

    Checksums of pages are verified where the file has them (``write_table`` of pyarrow
    writes them if ``write_page_checksum=True``).

    Pickling takes the absolute paths along, and opens the files anew.

    Examples
    --------
    >>> import os, tempfile, pyarrow as pa, pyarrow.parquet
    >>> from gradstep.lls.files import ParquetFile
    >>> table = pa.table({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6], "y": [7.0, 8.0, 9.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "table.parquet")
    ...     pa.parquet.write_table(table, path, row_group_size=2)
    ...     with ParquetFile(path, target="y") as source:
    ...         rows = source.read([(1, 3)], source.buffers(2))
    >>> source.feature_names, source.extents
    (('a', 'b'), array([0, 2, 3]))
    >>> rows.X
    array([[2., 5.],
           [3., 6.]])
    >>> rows.y
    array([8., 9.])
    """

    def __init__(
        self,
        path: Path | Sequence[Path],
        *,
        target: str | Sequence[str],
        features: Sequence[str] | None = None,
        sample_weight: str | None = None,
    ) -> None:
        paths, is_single = parquet_paths(path)
        targets = [target] if isinstance(target, str) else _names("target", target)
        others = targets + ([] if sample_weight is None else _one_name(sample_weight))
        chosen = None if features is None else _names("features", features)
        scans = [_Scan(each, chosen, others, is_single=is_single) for each in paths]
        for scan in scans[1:]:
            scan.check_same_features(scans[0])
        names, extents = scans[0].features, [scan.extents for scan in scans]
        self.path = paths[0] if is_single else path
        self.paths = tuple(paths)
        self.feature_names, self.target_names = tuple(names), tuple(targets)
        self.extents = joined(extents)
        self._starts = self.extents.tolist()
        self.shape = self._starts[-1], len(names)
        self.targets = None if isinstance(target, str) else len(targets)
        single = all(scan.is_float32 for scan in scans)
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.weighted = sample_weight is not None
        self._given: dict[str, Any] = {
            "target": target if isinstance(target, str) else targets,
            "features": names,
            "sample_weight": sample_weight,
        }
        absolute = [os.path.abspath(each) for each in paths]
        self._absolute = absolute[0] if is_single else absolute
        self._last_rows = np.cumsum([int(rows[-1]) for rows in extents]).tolist()
        self._opened: RowGroups | RowGroupsOfFiles = (
            RowGroups(paths[0], scans[0].file, self._starts, [*names, *others])
            if is_single
            else RowGroupsOfFiles(paths, extents, [*names, *others])
        )

    def row_name(self, row: int) -> str:
        """Return how messages name a row."""
        k = bisect_right(self._last_rows, row)
        first = self._last_rows[k - 1] if k else 0
        return f"row {row - first} of {self.paths[k]!r}"

    def _fill(
        self, opened: RowGroups | RowGroupsOfFiles, pieces: list[Piece], into: Rows
    ) -> None:
        targets = [into.y] if into.y.ndim == 1 else list(into.y.T)
        weight = [] if into.weight is None else [into.weight]
        to = [*into.X.T, *targets, *weight]
        parts = _by_group(self._starts, pieces)
        # What is decoded comes first, before another group takes its place.
        for group, piece in sorted(parts, key=lambda p: (p[0] != opened.kept, p)):
            opened.copy(group, piece, to)

    def __reduce__(self) -> tuple[Any, ...]:
        self._open_one("ParquetFile.__reduce__")
        return partial(type(self), **self._given), (self._absolute,)

    def __repr__(self) -> str:
        target = self._given["target"]
        is_single = isinstance(self._absolute, str)
        name = repr(self.path) if is_single else f"{len(self.paths)} files"
        closed = ", closed" if self.closed else ""
        return (
            f"ParquetFile({name}, target={target!r}; shape={self.shape}, "
            f"dtype={self.dtype}{closed})"
        )


class _Scan:
    """What a file has of the columns that are read."""

    def __init__(
        self,
        path: str,
        chosen: list[str] | None,
        others: list[str],
        *,
        is_single: bool,
    ) -> None:
        self.path = path
        file, schema, self.extents = open_parquet(path)
        self.file = file if is_single else None  # many would be too many to be open
        columns = _Columns(path, schema)
        self.features = columns.numbers_but(others) if chosen is None else chosen
        columns.check([*self.features, *others])
        self.is_float32 = all(
            schema.field(name).type == "float32" for name in self.features
        )

    def check_same_features(self, first: "_Scan") -> None:
        """Refuse a file with other columns of numbers, if these are the features."""
        differing = sorted({*self.features} ^ {*first.features})
        if differing:
            has, lacks = self.path, first.path
            if differing[0] in first.features:
                has, lacks = lacks, has
            raise ValueError(
                f"ParquetFile: {has!r} has a column of numbers {differing[0]!r}, "
                f"{lacks!r} has not; name features"
            )


class _Columns:
    """The columns of a file, and what may be read of them."""

    def __init__(self, path: str, schema: Any) -> None:
        self._path, self._schema = path, schema

    def numbers_but(self, others: list[str]) -> list[str]:
        """Return the names of all columns of numbers but some."""
        left_out = {*others, *_index_of_pandas(self._schema)}
        names = []
        for field in self._schema:
            kind = str(field.type)
            if field.name in left_out:
                continue
            # A number too, but none that a float holds: to leave it out needs a word.
            if kind.startswith("decimal"):
                raise ValueError(
                    f"ParquetFile: column {field.name!r} of {self._path!r} is {kind}; "
                    "cast it to float64, or name features without it"
                )
            if _is_real(field.type):
                names.append(field.name)
        if not names:
            raise ValueError(
                f"ParquetFile: {self._path!r} has no columns of numbers for X; cast "
                "some to float64"
            )
        return names

    def check(self, names: list[str]) -> None:
        """Check the names of all columns to read."""
        there = list(self._schema.names)
        for name in names:
            if name not in there:
                raise ValueError(
                    f"ParquetFile: {self._path!r} has no column {name!r}; its columns "
                    f"are {', '.join(map(repr, there))}"
                )
            if there.count(name) > 1:
                raise ValueError(
                    f"ParquetFile: {self._path!r} has several columns {name!r}; rename "
                    "them"
                )
            if names.count(name) > 1:
                raise ValueError(
                    f"ParquetFile: column {name!r} is named twice among features, "
                    "target and sample_weight; name it once"
                )
            kind = self._schema.field(name).type
            if not _is_real(kind):
                raise TypeError(
                    f"ParquetFile: column {name!r} of {self._path!r} must hold real "
                    f"numbers, got {kind}; cast it to float64 or leave it out"
                )


def _is_real(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415  # is there by now

    found = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(found)


def _index_of_pandas(schema: Any) -> set[str]:
    """Return the columns that are no columns, but the index, of a pandas table."""
    about = schema.pandas_metadata or {}
    # An index that is a range is a dict, and no column.
    return {name for name in about.get("index_columns", ()) if isinstance(name, str)}


def _one_name(name: object) -> list[str]:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise TypeError(f"ParquetFile: sample_weight must be str or None, got {kind}")
    return [name]


def _names(what: str, names: Any) -> list[str]:
    kinds = "str or a list of str" if what == "target" else "a list of str or None"
    if not isinstance(names, (list, tuple)):
        kind = type(names).__name__
        raise TypeError(f"ParquetFile: {what} must be {kinds}, got {kind}")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"ParquetFile: {what} must be {kinds}, but holds {name!r}")
    if not names:
        raise ValueError(f"ParquetFile: {what} must name at least one column, got []")
    return list(names)


def _by_group(starts: list[int], pieces: list[Piece]) -> Iterator[tuple[int, Piece]]:
    """Cut pieces where row groups begin; give each with its group."""
    for first, last, at in pieces:
        row = first
        while row < last:
            group = bisect_right(starts, row) - 1
            end = min(last, starts[group + 1])
            yield group, Piece(row, end, at + row - first)
            row = end
