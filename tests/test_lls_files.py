"""Readers of .npy files: the rows that numpy.load gives, wherever they are."""

import errno
import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep.lls.files import NpyFile, Rows, Source, column
from reading import numbers, open_at, read, same, saved, some_spans, taken

f4, f8 = np.float32, np.float64
STORED = ["<f4", "<f8", ">f4", ">f8", "<f2", "|b1", "|i1", "|u1", "<i4", ">i8", "<u8"]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spans_are_the_slices_of_what_numpy_loads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("npy")
    n, m = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 5))
    k = data.draw(st.sampled_from([None, 0, 1, 3]))
    types = [data.draw(st.sampled_from(STORED)) for _ in range(3)]
    X = numbers((n, m), types[0])
    y = numbers((n,) if k is None else (n, k), types[1])
    y = y / 2**60 if y.dtype.kind in "iu" else y
    weight = numbers((n,), types[2]) if data.draw(st.booleans()) else None
    hold = data.draw(st.booleans())
    given_y = y if hold else saved(folder / "y.npy", y)
    given_w = weight
    if weight is not None and not hold:
        given_w = saved(folder / "w.npy", weight)
    dtype = np.dtype(X.dtype if X.dtype == np.float32 else np.float64)
    path = folder / "X.npy"
    version = data.draw(st.sampled_from([(1, 0), (2, 0), (3, 0)]))
    with path.open("wb") as file:
        np.lib.format.write_array(file, X, version)
    with NpyFile(path, given_y, sample_weight=given_w) as source:
        assert isinstance(source, Source)
        assert (source.shape, source.targets, len(source)) == ((n, m), k, n)
        assert (source.dtype, source.extents) == (dtype, None)
        assert source.weighted is (weight is not None)
        for _ in range(2):
            spans = data.draw(some_spans(n))
            rows = read(source, spans)
            same(rows.X, taken(spans, X, dtype))
            same(rows.y, taken(spans, y, dtype))
            if weight is None:
                assert rows.weight is None
            else:
                same(rows.weight, taken(spans, weight, np.float64))


@pytest.mark.parametrize("dtype", ["<f4", ">i4"])
def test_bytes_that_come_in_small_counts_are_put_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    X = numbers((60, 7), dtype)
    y = numbers((60, 2), "<f8").astype("<f4" if dtype == "<f4" else "<f8")
    paths = saved(tmp_path / "X.npy", X), saved(tmp_path / "y.npy", y)
    rng, whole = np.random.default_rng(5), os.preadv
    calls = []

    def short(fd: int, parts: list[Any], start: int) -> int:
        """A preadv that gives from 1 to 40 bytes."""
        left, some = int(rng.integers(1, 41)), []
        for part in parts:
            some.append(part[:left])
            left -= len(some[-1])
        calls.append(len(parts))
        return whole(fd, [part for part in some if len(part)], start)

    monkeypatch.setattr(os, "preadv", short)
    monkeypatch.setattr(column, "_CONVERTED", 200)
    spans = [(40, 60), (0, 13), (30, 40), (5, 5), (13, 30), (2, 9)]
    with NpyFile(*paths) as source:
        rows = read(source, spans)
    same(rows.X, taken(spans, X, source.dtype))
    same(rows.y, taken(spans, y, source.dtype))
    assert max(calls) > 1  # several buffers at once


def test_neighbours_in_the_file_are_read_by_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = numbers((3000, 2), "<f8")
    calls, whole = [], os.preadv

    def counted(fd: int, parts: list[Any], start: int) -> int:
        calls.append(len(parts))
        return whole(fd, parts, start)

    with NpyFile(saved(tmp_path / "X.npy", X), X[:, 0]) as source:
        monkeypatch.setattr(os, "preadv", counted)
        read(source, [(0, 7), (7, 7), (7, 20)])
        assert calls == [1]  # one buffer, too: they are neighbours in both
        calls.clear()
        read(source, [(20, 30), (0, 7), (40, 50), (7, 20)])
        assert calls == [3, 1]
        calls.clear()
        spans = [(row, row + 1) for row in reversed(range(3000))]
        same(read(source, spans).X, X[::-1].copy())
        most = os.sysconf("SC_IOV_MAX")
        assert calls == [most, most, 3000 - 2 * most]


def test_an_error_of_the_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "X.npy", numbers((4, 2), "<f4"))
    source = NpyFile(path, np.zeros(4))

    def broken(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(OSError, match=re.escape(path)) as error:
        read(source, [(0, 4)])
    assert error.value.errno == errno.EIO


@pytest.mark.parametrize("dtype", ["<f8", ">f8"])
def test_a_file_that_became_shorter_is_an_error_not_a_signal(
    tmp_path: Path, dtype: str
) -> None:
    X = numbers((50, 3), dtype)
    path = saved(tmp_path / "X.npy", X)
    with NpyFile(path, X[:, 1]) as source:
        os.truncate(path, os.path.getsize(path) - 10 * 24 - 1)
        same(read(source, [(0, 39)]).X, X[:39].astype("<f8"))
        message = f"X, {path!r}, has become shorter .* row 39 of 50; write it anew"
        for spans in ([(39, 40)], [(3, 5), (30, 45)], [(38, 39), (39, 50), (0, 3)]):
            with pytest.raises(EOFError, match=message):
                read(source, spans)
    with pytest.raises(ValueError, match=r"must have 1328 bytes.*but has 1087"):
        NpyFile(path, X[:, 1])


def test_values_beyond_float32_are_refused(tmp_path: Path) -> None:
    X, y = numbers((9, 2), "<f4"), numbers((9,), "<f8")
    y[6], y[2], y[3], y[4] = 1e39, np.inf, np.nan, 1e-300
    path = saved(tmp_path / "X.npy", X)
    stored = saved(tmp_path / "y.npy", y)
    for given_y in (y, stored):
        source = NpyFile(path, given_y)
        with np.errstate(all="raise"):
            rows = read(source, [(0, 5), (8, 9)])
        same(rows.y, y[[0, 1, 2, 3, 4, 8]].astype("<f4"))
        with pytest.raises(
            ValueError, match=r"NpyFile.read: y.*float32 in rows \[5, 8\)"
        ):
            read(source, [(5, 8)])
    same(read(NpyFile(path, X[:, 0], sample_weight=y), [(6, 7)]).weight, y[6:7])


def test_a_closed_reader_refuses_to_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "X.npy", numbers((5, 2), "<f4"))
    stored = saved(tmp_path / "y.npy", np.zeros(5))
    with NpyFile(path, stored) as source:
        assert not source.closed
        assert len(open_at(path)) == len(open_at(stored)) == 1
    source.close()
    assert source.closed
    assert not open_at(path) + open_at(stored)
    assert repr(source).endswith("shape=(5, 2), dtype=float32, closed)")
    assert repr(NpyFile(path, np.zeros(5))) == (
        f"NpyFile({path!r}, array; shape=(5, 2), dtype=float32)"
    )
    for use in (
        lambda: source.read([], source.buffers(0)),
        source.__enter__,
        lambda: pickle.dumps(source),
    ):
        with pytest.raises(ValueError, match="the reader is closed; open the file"):
            use()


def test_to_close_during_a_read_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = numbers((9, 2), "<f8")
    path = saved(tmp_path / "X.npy", X)
    source, whole = NpyFile(path, X[:, 0]), os.preadv

    def closing(fd: int, parts: list[Any], start: int) -> int:
        thread = threading.Thread(target=source.close)
        thread.start()
        thread.join()
        # What would take the number of a descriptor that was closed too early.
        with open("/dev/zero", "rb"):
            return whole(fd, parts, start)

    monkeypatch.setattr(os, "preadv", closing)
    spans = [(4, 9), (0, 2)]
    same(read(source, spans).X, taken(spans, X, f8))
    assert source.closed
    assert not open_at(path)


def test_another_thread_may_read(tmp_path: Path) -> None:
    X, y = numbers((5000, 3), "<f4"), numbers((5000,), ">f8")
    source = NpyFile(saved(tmp_path / "X.npy", X), saved(tmp_path / "y.npy", y))
    found: list[tuple[int, Rows]] = []

    def prefetch() -> None:
        for first in range(0, 5000, 500):
            found.append((first, read(source, [(first, first + 500)])))

    threads = [threading.Thread(target=prefetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for first, rows in found:
        same(rows.X, X[first : first + 500])
        same(rows.y, y[first : first + 500].astype(f4))


def test_a_reader_is_pickled_by_its_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = numbers((7, 2), "<f4")
    saved(tmp_path / "X.npy", X)
    monkeypatch.chdir(tmp_path)
    source = NpyFile("X.npy", X[:, 1], sample_weight=np.arange(7))
    sent = pickle.dumps(source)
    monkeypatch.chdir("/")
    rows = read(pickle.loads(sent), [(2, 6)])
    same(rows.X, X[2:6])
    same(rows.y, X[2:6, 1].copy())
    same(rows.weight, np.arange(2.0, 6.0))


def test_the_arrays_of_a_reader_keep_their_shape(tmp_path: Path) -> None:
    y = np.arange(6.0)
    source = NpyFile(saved(tmp_path / "X.npy", numbers((6, 2), "<f8")), y)
    y.resize((3, 2), refcheck=False)
    same(read(source, [(1, 5)]).y, np.arange(1.0, 5.0))


LIMITED = """
import resource, sys
import numpy as np
from gradstep.lls.files import NpyFile

path, rows = sys.argv[1], int(sys.argv[2])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (56 << 20),) * 2)
for mode in (None, "r"):
    try:
        np.load(path, mmap_mode=mode)
    except (MemoryError, OSError):
        pass
    else:
        sys.exit("the limit does not hold")
with NpyFile(path, path, sample_weight=None) as source:
    into = source.buffers(40000)
    for k in range(4):
        first = (rows - 40000) * k // 3
        found = source.read([(first, first + 40000)], into)
        assert found.X[0].tolist() == found.y[0].tolist() == [k + 0.5] * 64, k
        assert not found.X[1:].any()
"""


@pytest.mark.parametrize("dtype", ["<f8", ">f8"])
def test_memory_is_that_of_the_buffers(tmp_path: Path, dtype: str) -> None:
    rows, path = 4_200_000, tmp_path / "X.npy"  # 2 GB, of which the disk holds 2 kB
    head = {"descr": dtype, "fortran_order": False, "shape": (rows, 64)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, head)
        start = file.tell()
        file.truncate(start + rows * 512)
        for k in range(4):
            file.seek(start + (rows - 40000) * k // 3 * 512)
            file.write(np.full(64, k + 0.5, dtype).tobytes())
    command = [sys.executable, "-c", LIMITED, str(path), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
