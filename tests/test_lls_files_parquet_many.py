"""Several Parquet files as one: folders, globs and lists."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gradstep import lls
from gradstep.lls.files import ParquetFile, Source
from reading import numbers, read, same, some_spans, taken

Array: TypeAlias = Any


def columns(n: int, seed: int = 0, kind: str = "<f8") -> dict[str, Array]:
    names = ("a", "b", "y", "w")
    return {name: numbers((n,), kind, seed + j) for j, name in enumerate(names)}


def write(path: Path, table: dict[str, Array], group: int = 7) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(table), path, row_group_size=group)
    return str(path)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_spans_are_the_slices_of_all_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Of files of any lengths, empty ones among them, cut into groups anyhow."""
    folder = tmp_path_factory.mktemp("many")
    sizes = data.draw(st.lists(st.integers(0, 25), min_size=1, max_size=5))
    parts = [columns(n, 10 * k) for k, n in enumerate(sizes)]
    paths = [
        write(folder / f"{k}.parquet", part, data.draw(st.integers(1, 9)))
        for k, part in enumerate(parts)
    ]
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    n = sum(sizes)
    with ParquetFile(paths, target="y", sample_weight="w") as source:
        assert isinstance(source, Source)
        assert (source.shape, source.targets, len(source)) == ((n, 2), None, n)
        groups = [
            parquet.ParquetFile(p).metadata.row_group(j).num_rows
            for p in paths
            for j in range(parquet.ParquetFile(p).metadata.num_row_groups)
        ]
        assert source.extents.tolist() == np.cumsum([0, *groups]).tolist()
        assert source.extents.dtype == np.int64
        assert not source.extents.flags.writeable
        for _ in range(3):
            spans = data.draw(some_spans(n))
            rows = read(source, spans)
            X = np.stack([whole["a"], whole["b"]], axis=1)
            same(rows.X, taken(spans, X, "f8"))
            same(rows.y, taken(spans, whole["y"], "f8"))
            same(rows.weight, taken(spans, whole["w"], "f8"))


def test_files_come_in_the_order_of_their_paths_or_of_the_list(tmp_path: Path) -> None:
    for name in ("b", "a", "c/z", "c/y", "B"):
        write(tmp_path / f"{name}.parquet", {"x": [float(ord(name[-1]))], "y": [0.0]})

    def order(path: Any) -> str:
        source = ParquetFile(path, target="y")
        return "".join(chr(int(x)) for x in read(source, [(0, len(source))]).X[:, 0])

    folder, paths = str(tmp_path), [tmp_path / f"{c}.parquet" for c in "bBa"]
    assert order(tmp_path) == order(folder) == order(folder + os.sep) == "Babyz"
    assert order(f"{folder}/*.parquet") == "Bab"
    assert order(tmp_path / "[ab].parquet") == "ab"
    assert order(f"{folder}/**/*.parquet") == order(f"{folder}/**") == "Babyz"
    assert order(f"{folder}/*") == "Babyz"
    assert order(paths) == order(tuple(map(str, paths))) == "bBa"
    assert order([tmp_path / "c", f"{folder}/[b].parquet"]) == "yzb"
    assert order([paths[0], paths[0]]) == "bb"
    source = ParquetFile(tmp_path / "c", target="y")
    assert source.paths == tuple(f"{folder}/c/{c}.parquet" for c in "yz")
    assert repr(source) == (
        "ParquetFile(2 files, target='y'; shape=(2, 1), dtype=float64)"
    )


def test_a_name_with_brackets_is_a_file_if_there_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "part[1].parquet", columns(5))
    write(tmp_path / "part1.parquet", columns(9))
    assert len(ParquetFile(path, target="y")) == 5
    os.unlink(path)
    assert len(ParquetFile(path, target="y")) == 9


def test_what_writers_leave_beside_data_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "part-0", columns(5))  # no name tells what it is
    write(tmp_path / ".part-0.crc", columns(6))
    write(tmp_path / "_temporary" / "part-1", columns(7))
    write(tmp_path / ".hidden" / "part-2", columns(8))
    (tmp_path / "_SUCCESS").write_text("")
    assert len(ParquetFile(tmp_path, target="y")) == 5
    assert len(ParquetFile(f"{tmp_path}/*", target="y")) == 5
    assert len(ParquetFile(f"{tmp_path}/**", target="y")) == 5
    assert len(ParquetFile(f"{tmp_path}/_temporary/*", target="y")) == 7
    assert len(ParquetFile(f"{tmp_path}/_temporary", target="y")) == 7


REFUSED: dict[str, tuple[str, str]] = {
    "empty folder": ("empty", "the folder '.*empty' has no files of data"),
    "no match": ("*.arrow", r"no file matches '.*\*.arrow'"),
    "text": ("text", "'.*notes.txt' is not Parquet, or damaged"),
    "pipe": ("pipe", "'.*fifo' is not a regular file"),
    "partitions": ("year", "'.*year=2024' is a partition, whose column is in its name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_data_set_is_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "text" / "a.parquet", columns(5))
    (tmp_path / "text" / "notes.txt").write_text("not a number in here")
    write(tmp_path / "pipe" / "a.parquet", columns(5))
    os.mkfifo(tmp_path / "pipe" / "fifo")
    write(tmp_path / "year" / "year=2024" / "a.parquet", columns(5))
    name, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        ParquetFile(tmp_path / name, target="y")


def test_lists_of_what_is_no_path_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", columns(5))
    with pytest.raises(ValueError, match=r"path must list at least one file, got \[\]"):
        ParquetFile([], target="y")
    with pytest.raises(
        TypeError, match=r"path\[1\] must be the path of a file, got int"
    ):
        ParquetFile([path, 3], target="y")  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a list of them, a folder or a glob"):
        ParquetFile({path}, target="y")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ParquetFile([path, tmp_path / "nowhere"], target="y")


def test_files_have_the_same_columns(tmp_path: Path) -> None:
    a = write(tmp_path / "a.parquet", columns(5))
    more = write(tmp_path / "more.parquet", columns(5) | {"z": np.ones(5)})
    text = write(tmp_path / "text.parquet", columns(5) | {"a": list("abcde")})
    less = write(
        tmp_path / "less.parquet", {k: v for k, v in columns(5).items() if k != "b"}
    )
    for paths, has, name, lacks in (
        ([a, more], more, "z", a),
        ([more, a], more, "z", a),
        ([a, less], a, "b", less),
        ([a, text], a, "a", text),
    ):
        words = (
            f"{has!r} has a column of numbers {name!r}, {lacks!r} has not; name feat"
        )
        with pytest.raises(ValueError, match=re.escape(words)):
            ParquetFile(paths, target="y", sample_weight="w")
    for paths, error, words in (
        ([a, less], ValueError, f"{less!r} has no column 'b'"),
        ([a, text], TypeError, f"column 'a' of {text!r} must hold real numbers"),
    ):
        with pytest.raises(error, match=re.escape(words)):
            ParquetFile(paths, target="y", features=["a", "b"])
    source = ParquetFile([a, more], target="y", features=["b", "a"])
    assert source.feature_names == ("b", "a")


def test_columns_may_stand_in_another_order_and_in_other_types(tmp_path: Path) -> None:
    first, second = columns(5, kind="<f4"), columns(6, 3, kind="<f4")
    a = write(tmp_path / "a.parquet", first)
    b = write(tmp_path / "b.parquet", dict(reversed(second.items())))
    c = write(tmp_path / "c.parquet", second | {"a": second["a"].astype("f8")})
    X = [np.stack([part["a"], part["b"]], axis=1) for part in (first, second)]
    for paths, dtype in (([a, b], "f4"), ([a, c], "f8"), ([c, a], "f8")):
        source = ParquetFile(paths, target="y", sample_weight="w")
        assert source.dtype == dtype
        rows = read(source, [(0, 11)])
        parts = X if paths[0] == a else X[::-1]
        same(rows.X, np.concatenate(parts).astype(dtype))


def test_a_reader_is_pickled_with_the_files_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(3):
        write(tmp_path / "data" / f"{k}.parquet", columns(5 + k, k))
    monkeypatch.chdir(tmp_path)
    source = ParquetFile("data", target=["y"], sample_weight="w")
    saved = pickle.dumps(source)
    write(tmp_path / "data" / "9.parquet", columns(50))
    again = pickle.loads(saved)
    assert len(again) == len(source) == 18
    assert again.paths == tuple(str(tmp_path / p) for p in source.paths)
    for name in ("X", "y", "weight"):
        spans = [(11, 18), (3, 9)]
        same(getattr(read(again, spans), name), getattr(read(source, spans), name))


def test_one_file_is_open_at_a_time(tmp_path: Path) -> None:
    """However many there are: a process may have 1024."""
    for k in range(60):
        write(tmp_path / f"{k:02}.parquet", {"x": [float(k)], "y": [0.0]})
    before = len(os.listdir("/proc/self/fd"))
    source = ParquetFile(tmp_path, target="y")
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    rows = read(source, [(k, k + 1) for k in range(59, -1, -1)])
    assert rows.X[:, 0].tolist() == list(range(59, -1, -1))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    source.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="the reader is closed"):
        read(source, [(0, 1)])


@pytest.mark.parametrize("how", ["longer", "other groups", "other columns", "gone"])
def test_a_file_that_has_changed_meanwhile_is_refused(tmp_path: Path, how: str) -> None:
    paths = [write(tmp_path / f"{k}.parquet", columns(20, k)) for k in range(2)]
    source = ParquetFile(paths, target="y")
    read(source, [(0, 40)])
    read(source, [(0, 5)])
    changed = {
        "longer": (columns(21), 7),
        "other groups": (columns(20), 5),
        "other columns": ({"a": np.ones(20), "y": np.ones(20)}, 7),
    }
    if how == "gone":
        os.unlink(paths[1])
    else:
        write(tmp_path / "1.parquet", *changed[how])
    error = FileNotFoundError if how == "gone" else ValueError
    with pytest.raises(error, match=r"1\.parquet"):
        read(source, [(22, 30)])
    read(source, [(0, 20)])  # of the other


def test_errors_of_values_name_the_file(tmp_path: Path) -> None:
    rows = columns(20)
    rows["a"] = pa.array([1.0] * 13 + [None] + [1.0] * 6)
    paths = [
        write(tmp_path / "a.parquet", columns(20)),
        write(tmp_path / "b.parquet", rows),
    ]
    source = ParquetFile(paths, target="y")
    with pytest.raises(
        ValueError, match=r"b.parquet': column 'a' has no value in row 13"
    ):
        read(source, [(30, 40)])
    assert source.row_name(0) == f"row 0 of {paths[0]!r}"
    assert source.row_name(19) == f"row 19 of {paths[0]!r}"
    assert source.row_name(20) == f"row 0 of {paths[1]!r}"
    assert source.row_name(39) == f"row 19 of {paths[1]!r}"


def test_a_fit_of_files_is_that_of_one_file(tmp_path: Path) -> None:
    parts = [columns(40, k) for k in range(4)]
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    one = write(tmp_path / "one.parquet", whole, 10)
    for k, part in enumerate(parts):
        write(tmp_path / "many" / f"{k}.parquet", part, 10)
    many = ParquetFile(tmp_path / "many", target="y")
    single = ParquetFile(one, target="y")
    assert many.extents.tolist() == single.extents.tolist()
    for o in ({}, {"ridge": 1.0, "intercept": True}):
        assert lls.fit(many, **o).coef.tobytes() == lls.fit(single, **o).coef.tobytes()


def test_threads_and_processes_read_what_was_pickled(tmp_path: Path) -> None:
    for k in range(2):
        write(tmp_path / f"{k}.parquet", columns(9, k))
    source = ParquetFile(tmp_path, target="y")
    program = (
        "import pickle, sys; s = pickle.load(sys.stdin.buffer); "
        "r = s.read([(4, 13)], s.buffers(9)); sys.stdout.buffer.write(r.X.tobytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(source),
        capture_output=True,
        check=True,
    )
    assert done.stdout == read(source, [(4, 13)]).X.tobytes()
