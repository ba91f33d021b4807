"""The reader of Parquet files: what it refuses, and what it says."""

import errno
import os
import pickle
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gradstep.lls.files import ParquetFile
from reading import numbers, open_at, read, same
from tables import N, table, written


def test_a_missing_value_is_refused_and_nan_is_data(tmp_path: Path) -> None:
    a = np.where(np.arange(N) % 7 == 3, np.nan, numbers((N,), "<f8"))
    rows = table(a=pa.array(a))
    source = ParquetFile(written(tmp_path / "t.parquet", rows), target="y")
    same(read(source, [(2, 11)]).X[:, 0].copy(), a[2:11])
    for name in ("a", "b", "y", "w", "flag"):
        values = rows[name].to_pylist()
        values[13] = values[15] = None
        at = rows.column_names.index(name)
        holed = rows.set_column(at, name, pa.array(values, rows.schema.field(at).type))
        path = written(tmp_path / "h.parquet", holed)
        source = ParquetFile(path, target="y", sample_weight="w")
        assert len(read(source, [(0, 12), (18, 20)]).y) == 14
        message = f"{path!r}: column {name!r} has no value in row 13; fill it"
        with pytest.raises(ValueError, match=re.escape(message)):
            read(source, [(0, 3), (12, 13)])


def test_values_beyond_float32_are_refused(tmp_path: Path) -> None:
    y = numbers((N,), "<f8")
    y[9], y[3], y[4] = -1e39, -np.inf, 1e-300
    rows = pa.table({"a": numbers((N,), "<f4"), "y": y})
    source = ParquetFile(written(tmp_path / "t.parquet", rows), target="y")
    with np.errstate(all="raise"):
        found = read(source, [(0, 9)]).y
    same(found, y[:9].astype("<f4"))
    with pytest.raises(ValueError, match=r"'y', holds a value beyond.*float32 in rows"):
        read(source, [(7, 12)])
    swapped = ParquetFile(source.path, target="a", features=["y"])
    same(read(swapped, [(7, 12)]).X, y[7:12, np.newaxis])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "z"}, ValueError, "has no column 'z'; its columns are 'name', 'a'"),
        ({"target": "name"}, TypeError, "'name' of .* real numbers, got string; cast"),
        ({"target": ["y", "y"]}, ValueError, "'y' is named twice among features, tar"),
        ({"target": "y", "features": ["a", "y"]}, ValueError, "'y' is named twice"),
        ({"target": "y", "sample_weight": "y"}, ValueError, "'y' is named twice"),
        (
            {"target": "y", "sample_weight": 3},
            TypeError,
            "sample_weight must be str or",
        ),
        ({"target": "y", "features": "a"}, TypeError, "features must be a list of str"),
        ({"target": "y", "features": []}, ValueError, "features must name at least on"),
        ({"target": []}, ValueError, "target must name at least one column, got"),
        (
            {"target": None},
            TypeError,
            "target must be str or a list of str, got NoneTy",
        ),
        ({"target": ["y", 3]}, TypeError, "target must be str or a .*, but holds 3"),
        (
            {"target": ["y", "a", "b", "flag"], "sample_weight": "w"},
            ValueError,
            "has no columns of numbers for X; cast some to float64",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    tmp_path: Path, options: Any, error: Any, message: str
) -> None:
    path = written(tmp_path / "t.parquet", table())
    with pytest.raises(error, match=f"ParquetFile: .*{message}"):
        ParquetFile(path, **options)
    assert not open_at(path)


def test_decimals_are_neither_read_nor_left_out_silently(tmp_path: Path) -> None:
    price = pa.array([Decimal("1.25")] * N)
    path = written(tmp_path / "t.parquet", table(price=price))
    message = r"'price' of .* is decimal128\(3, 2\); cast it to float64, or name"
    with pytest.raises(ValueError, match=message):
        ParquetFile(path, target="y")
    with pytest.raises(TypeError, match=r"'price' of .* must hold real numbers"):
        ParquetFile(path, target="y", features=["a", "price"])
    assert ParquetFile(path, target="y", features=["a"]).shape == (N, 1)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = pa.Table.from_arrays([pa.array([0.3])] * 3, ["a", "a", "y"])
    path = written(tmp_path / "t.parquet", rows)
    with pytest.raises(ValueError, match="has several columns 'a'; rename them"):
        ParquetFile(path, target="y")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    content = Path(written(path, table())).read_bytes()
    for cut in (0, 3, 11, 200, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"t.parquet' is not Parquet, or damaged"):
            ParquetFile(path, target="y")
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:footer] + b"\xff" * 20 + content[footer + 20 :])
    with pytest.raises(ValueError, match=r"t.parquet' is not Parquet, or damaged"):
        ParquetFile(path, target="y")
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is not a regular file"):
            ParquetFile(other, target="y")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ParquetFile(tmp_path / "nowhere", target="y")
    with pytest.raises(TypeError, match="path must be the path of a file, got int"):
        ParquetFile(3, target="y")  # type: ignore[arg-type]


def test_a_file_that_is_damaged_later_is_refused(tmp_path: Path) -> None:
    # As plain bytes, so that nothing but their checksum tells.
    plain: dict[str, Any] = {"compression": "none", "use_dictionary": False}
    path = written(tmp_path / "t.parquet", table(), write_page_checksum=True, **plain)
    where = parquet.ParquetFile(path).metadata.row_group(1).column(1)
    source = ParquetFile(path, target="y")
    with open(path, "r+b") as file:
        file.seek(where.data_page_offset + where.total_compressed_size - 2)
        file.write(b"\x5a")
    message = r"t.parquet', row group 1, is not Parquet, or damaged: .*write it anew"
    assert len(read(source, [(0, 6)]).y) == 6
    for _ in range(2):  # what was not decoded is not kept
        with pytest.raises(ValueError, match=message):
            read(source, [(7, 8)])
    os.truncate(path, where.data_page_offset)
    with pytest.raises(ValueError, match=message):
        read(source, [(7, 8)])
    with pytest.raises(ValueError, match=r"row group 2, is not Parquet, or damaged"):
        read(source, [(12, 13)])
    assert len(read(source, [(0, 6)]).y) == 6


def test_other_errors_of_pyarrow_keep_their_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ParquetFile(written(tmp_path / "t.parquet", table()), target="y")

    def fail(error: Exception) -> Any:
        def read_row_group(*_: Any, **__: Any) -> None:
            raise error

        return read_row_group

    groups: Any = source._opened
    monkeypatch.setattr(groups._file, "read_row_group", fail(OSError(errno.EIO, "no")))
    with pytest.raises(OSError, match=r"t.parquet', row group 0, cannot be read") as e:
        read(source, [(0, 1)])
    assert e.value.errno == errno.EIO
    full = fail(pa.ArrowMemoryError("malloc failed"))
    monkeypatch.setattr(groups._file, "read_row_group", full)
    with pytest.raises(MemoryError, match="malloc failed"):
        read(source, [(0, 1)])
    fewer = table(5)
    monkeypatch.setattr(groups._file, "read_row_group", lambda *_, **__: fewer)
    with pytest.raises(ValueError, match="row group 0 has 5 rows, expected 6; write"):
        read(source, [(0, 1)])


def test_a_closed_reader_refuses_to_read(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", table())
    with ParquetFile(path, target=["y"]) as source:
        read(source, [(0, 4)])
        assert len(open_at(path)) == 1
        shown = f"ParquetFile({path!r}, target=['y']; shape=(20, 4), dtype=float64"
        assert repr(source) == f"{shown})"
    assert source.closed
    assert not open_at(path)
    assert repr(source) == f"{shown}, closed)"
    with pytest.raises(ValueError, match=r"ParquetFile.read: the reader is closed; op"):
        source.read([], source.buffers(0))
    with pytest.raises(ValueError, match="the reader is closed"):
        pickle.dumps(source)
