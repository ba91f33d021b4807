"""The reader of Parquet files: the rows of pyarrow's table, wherever they are."""

import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gradstep.lls.files import ParquetFile, Rows, Source
from gradstep.lls.files.row_groups import RowGroups
from reading import numbers, open_at, read, same, some_spans, taken
from tables import N, table, written

Array: TypeAlias = Any
TYPES = ["<f4", "<f8", "<f2", "|b1", "|i1", "<i4", "<i8", "<u2", "<u8"]


def stacked(rows: pa.Table, names: tuple[str, ...]) -> Array:
    return np.stack([rows[name].to_numpy().astype("f8") for name in names], axis=1)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_spans_are_the_slices_of_the_table(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    n, m = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 4))
    k = data.draw(st.sampled_from([None, 1, 3]))
    single = data.draw(st.booleans())
    kinds = ["<f4"] if single else TYPES
    columns = {
        f"x{j}": numbers((n,), data.draw(st.sampled_from(kinds)), j) for j in range(m)
    }
    targets = [f"y{j}" for j in range(k or 1)]
    columns |= {y: numbers((n,), data.draw(st.sampled_from(TYPES)), 7) for y in targets}
    columns["w"] = numbers((n,), data.draw(st.sampled_from(TYPES)), 8)
    columns = {
        name: columns[name] for name in data.draw(st.permutations(list(columns)))
    }
    path = tmp_path_factory.mktemp("parquet") / "t.parquet"
    written(path, pa.table(columns), data.draw(st.integers(1, 41)))
    whole = parquet.read_table(path)
    names = tuple(name for name in whole.column_names if name.startswith("x"))
    dtype = np.dtype(
        "f4" if all(columns[name].dtype == np.float32 for name in names) else "f8"
    )
    weight = data.draw(st.sampled_from([None, "w"]))
    with ParquetFile(
        path,
        target=targets[0] if k is None else targets,
        features=names,
        sample_weight=weight,
    ) as source:
        assert isinstance(source, Source)
        assert source.feature_names == names
        assert source.target_names == tuple(targets)
        assert (source.shape, source.targets, len(source)) == ((n, m), k, n)
        assert source.dtype == dtype
        for _ in range(2):
            spans = data.draw(some_spans(n))
            rows = read(source, spans)
            same(rows.X, taken(spans, stacked(whole, names), dtype))
            y = stacked(whole, tuple(targets))
            same(rows.y, taken(spans, y[:, 0] if k is None else y, dtype))
            if weight is None:
                assert rows.weight is None
            else:
                same(rows.weight, taken(spans, stacked(whole, ("w",))[:, 0], "f8"))


def test_features_are_the_columns_of_numbers(tmp_path: Path) -> None:
    rows = table(
        kind=pa.array(["u", "v"] * 10).dictionary_encode(),
        when=pa.array(range(N), pa.timestamp("s")),
        lists=pa.array([[1.0]] * N),
    )
    path = written(tmp_path / "t.parquet", rows)
    source = ParquetFile(path, target="y", sample_weight="w")
    assert source.feature_names == ("a", "b", "flag")
    assert source.target_names == ("y",)
    assert (source.shape, source.targets) == ((N, 3), None)
    assert ParquetFile(path, target="y").feature_names == ("a", "b", "w", "flag")
    several = ParquetFile(path, target=("y", "w"), features=["flag", "a"])
    assert (several.feature_names, several.targets) == (("flag", "a"), 2)
    same(read(several, [(3, 9)]).X, stacked(rows, ("flag", "a"))[3:9])


def test_the_index_of_a_pandas_table_is_no_feature(tmp_path: Path) -> None:
    index = pa.array(range(5, 5 + N))
    rows = table().append_column("__index_level_0__", index)
    about = {"pandas": '{"index_columns": ["__index_level_0__"], "columns": []}'}
    path = written(tmp_path / "t.parquet", rows.replace_schema_metadata(about))
    source = ParquetFile(path, target="y")
    assert source.feature_names == ("a", "b", "w", "flag")
    named = ParquetFile(path, target="y", features=["__index_level_0__"])
    same(read(named, [(2, 4)]).X, np.array([[7.0], [8.0]]))
    about = {"pandas": '{"index_columns": [{"kind": "range", "name": "a"}]}'}
    path = written(tmp_path / "r.parquet", table().replace_schema_metadata(about))
    assert ParquetFile(path, target="y").feature_names == ("a", "b", "w", "flag")


def test_a_name_with_a_dot_is_a_column_of_its_own(tmp_path: Path) -> None:
    dotted, plain = numbers((N,), "<f8", 8), numbers((N,), "<f8", 9)
    rows = pa.table({"a.b": dotted, "a": plain, "y": plain})
    path = written(tmp_path / "t.parquet", rows)
    source = ParquetFile(path, target="y", features=["a", "a.b"])
    same(read(source, [(5, 8)]).X, np.stack([plain, dotted], axis=1)[5:8])


def test_extents_are_those_of_the_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = table()
    with parquet.ParquetWriter(path, rows.schema) as writer:
        for first, last in ((0, 7), (7, 8), (8, 8), (8, 20)):
            writer.write_table(rows.slice(first, last - first))
    source = ParquetFile(path, target="y")
    assert source.extents is not None
    assert source.extents.dtype == np.int64
    starts = source.extents.tolist()
    assert starts in ([0, 7, 8, 8, 20], [0, 7, 8, 20])
    assert not source.extents.flags.writeable
    same(read(source, [(6, 9)]).y, rows["y"].to_numpy()[6:9].astype("f8"))
    empty = ParquetFile(written(tmp_path / "e.parquet", table(0)), target="y")
    assert (len(empty), empty.extents.tolist()[-1]) == (0, 0)  # type: ignore[union-attr]
    assert read(empty, [(0, 0)]).X.shape == (0, 4)


def test_a_row_group_is_decoded_once_while_it_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, whole = [], RowGroups._decoded

    def counted(self: RowGroups, group: int) -> list[Array]:
        found.append(group)
        return whole(self, group)

    monkeypatch.setattr(RowGroups, "_decoded", counted)
    rows = table()
    source = ParquetFile(written(tmp_path / "t.parquet", rows), target="y")
    y = rows["y"].to_numpy().astype("f8")
    for spans, decoded in (
        ([(0, 2), (3, 5)], [0]),
        ([(4, 6), (1, 1)], []),
        ([(12, 14), (0, 3), (17, 18), (2, 6)], [2]),  # group 0 first: it is there
        ([(5, 7), (13, 15), (6, 8)], [0, 1]),
    ):
        found.clear()
        same(read(source, spans).y, taken(spans, y, "f8"))
        assert found == decoded


def test_rows_are_filled_by_parts_that_a_cache_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstep.lls.files.row_groups._CACHED", 100)
    rows = table()
    source = ParquetFile(written(tmp_path / "t.parquet", rows), target="y")
    spans = [(3, 20), (1, 8)]
    expected = stacked(rows, source.feature_names)
    same(read(source, spans).X, taken(spans, expected, "f8"))


def test_a_whole_number_is_rounded_as_numpy_rounds_it(tmp_path: Path) -> None:
    big = np.array([2**53 + 1, -(2**53) - 3, 2**63 - 1], "<i8")
    path = written(tmp_path / "t.parquet", pa.table({"a": big, "y": big}))
    same(read(ParquetFile(path, target="y"), [(0, 3)]).y, big.astype("f8"))


def test_to_close_during_a_read_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, whole = table(), RowGroups._decoded
    path = written(tmp_path / "t.parquet", rows)
    source = ParquetFile(path, target="y")

    def closing(self: RowGroups, group: int) -> list[Array]:
        source.close()
        return whole(self, group)

    monkeypatch.setattr(RowGroups, "_decoded", closing)
    same(read(source, [(4, 14)]).y, rows["y"].to_numpy()[4:14].astype("f8"))
    assert source.closed
    assert not open_at(path)


def test_another_thread_may_read(tmp_path: Path) -> None:
    rows = table(1000)
    source = ParquetFile(written(tmp_path / "t.parquet", rows, 300), target="y")
    found: list[Rows] = []

    def prefetch() -> None:
        for first in range(0, 1000, 100):
            found.append(read(source, [(first, first + 100)]))

    thread = threading.Thread(target=prefetch)
    thread.start()
    thread.join()
    X = np.concatenate([part.X for part in found])
    same(X, stacked(rows, source.feature_names))


def test_a_reader_is_pickled_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table()
    written(tmp_path / "t.parquet", rows)
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"target": ["y"], "features": ["b", "a"]}
    sent = pickle.dumps(ParquetFile("t.parquet", sample_weight="w", **options))
    monkeypatch.chdir("/")
    source = pickle.loads(sent)
    assert (source.feature_names, source.target_names) == (("b", "a"), ("y",))
    assert (source.targets, source.weighted) == (1, True)
    same(read(source, [(2, 9)]).X, stacked(rows, ("b", "a"))[2:9])


def test_only_parquet_needs_pyarrow() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from gradstep.lls.files import NpyFile, ParquetFile\n"
        "try: ParquetFile('t.parquet', target='y')\n"
        "except ImportError as error: print(error)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = "gradstep's ParquetFile needs pyarrow; pip install 'gradstep[parquet]'"
    assert (done.stdout.strip(), done.stderr) == (expected, "")
    program = "import sys, gradstep.lls.files; print('pyarrow' in sys.modules)"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, text=True).strip() == "False"
