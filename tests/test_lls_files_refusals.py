"""Readers of .npy files: what they refuse, and what they say."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep.lls import files as lls_files
from gradstep.lls.files import NpyFile, Rows
from reading import numbers, open_at, read, same, saved

HEADER = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}"


def forged(path: Path, descr: str, fortran: bool, shape: str, size: int = 0) -> str:
    text = HEADER.format(descr, fortran, shape).encode()
    length = len(text).to_bytes(2, "little")
    path.write_bytes(b"\x93NUMPY\x01\x00" + length + text + bytes(size))
    return str(path)


@pytest.mark.parametrize(
    ("descr", "fortran", "shape", "error", "message"),
    [
        ("'|O'", False, "(2, 2)", TypeError, "must hold real numbers, got object"),
        ("'<c16'", False, "(2, 2)", TypeError, "real numbers, got complex128"),
        ("'<M8[s]'", False, "(2, 2)", TypeError, r"got datetime64\[s\]"),
        ("'<U3'", False, "(2, 2)", TypeError, "got <U3"),
        ("[('a', '<f8')]", False, "(2, 2)", TypeError, r"got \[\('a', '<f8'\)\]"),
        ("'<f8'", True, "(2, 3)", ValueError, "Fortran order.*np.ascontiguousarray"),
        ("'<f8'", False, "()", ValueError, r"X must have shape \(N, L\), got \(\)"),
        ("'<f8'", False, "(4,)", ValueError, r"must have shape \(N, L\), got \(4,\)"),
        ("'<f8'", False, "(1, 2, 3)", ValueError, r"\(N, L\), got \(1, 2, 3\)"),
        ("'<f8'", False, "(1 << 40, 1)", ValueError, "not a .npy file of numbers"),
        ("'<f8'", False, "(1099511627776, 1)", ValueError, "must have 8796093022"),
        ("'<f8'", False, "(10, -1)", ValueError, r"header of shape \(10, -1\)"),
        ("'<f8'", False, f"({2**64}, 0)", ValueError, "header of shape"),
        ("'<f8'", False, "(2, 2", ValueError, "not a .npy file of numbers.*np.save"),
        ("'<f8'", 3, "(2, 2)", ValueError, "fortran_order is not a valid bool"),
        ("'<q9'", False, "(2, 2)", ValueError, "not a .npy file of numbers"),
    ],
)
def test_headers_that_are_refused(
    tmp_path: Path, descr: str, fortran: Any, shape: str, error: Any, message: str
) -> None:
    path = forged(tmp_path / "X.npy", descr, fortran, shape, 200)
    with pytest.raises(error, match=message) as found:
        NpyFile(path, [0.0, 1.0])
    assert str(found.value).startswith("NpyFile: X")


@pytest.mark.parametrize("shape", ["(6, 1)", "(1, 6)", "(0, 6)"])
def test_an_order_of_one_column_or_row_is_either(tmp_path: Path, shape: str) -> None:
    path = forged(tmp_path / "X.npy", "'<f4'", True, shape, 24)
    with NpyFile(path, np.zeros(eval(shape)[0])) as source:
        assert source.shape == eval(shape)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_refused_or_read_as_numpy_does(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("npy") / "X.npy"
    np.save(path, np.arange(6.0).reshape(3, 2))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.sampled_from([None, 9, 60, 127]))])
    try:
        source = NpyFile(path, np.arange(3))
    except (TypeError, ValueError) as error:
        assert str(error).startswith("NpyFile: ")  # noqa: PT017
    else:
        found = np.load(path)
        same(read(source, [(0, 3)]).X, found.astype(source.dtype))


def test_a_file_that_is_no_npy_file_is_refused(tmp_path: Path) -> None:
    other, pipe = tmp_path / "other.npy", tmp_path / "pipe"
    y = np.zeros(3)
    for content in (b"", b"PK\x03\x04" + bytes(99), b"\x93NUMPY\x04\x00" + bytes(99)):
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"other.npy', is not a .npy file"):
            NpyFile(other, y)
    other.write_bytes(b"\x93NUMPY\x02\x00" + b"\xff" * 4)  # a header of 4 GiB
    with pytest.raises(ValueError, match="expected 4294967295 bytes got 0"):
        NpyFile(other, y)
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, "/dev/zero"):
        with pytest.raises(ValueError, match="is not a regular file"):
            NpyFile(path, y)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        NpyFile(tmp_path / "nowhere.npy", y)


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        (np.zeros(4), {}, ValueError, "X has 5 rows, y has 4; pass as many"),
        (np.zeros((5, 1, 1)), {}, ValueError, r"y must have shape \(N,\) or \(N, K\)"),
        (1.0, {}, ValueError, r"y must have shape \(N,\) or \(N, K\), got \(\)"),
        (np.zeros(5, complex), {}, TypeError, "y must hold real numbers, got complex"),
        (np.ma.zeros(5), {}, TypeError, r"y must not be a masked array; pass value.f"),
        ([[1.0], [2.0, 3.0]], {}, ValueError, "y is not an array"),
        (None, {}, TypeError, "y must hold real numbers, got object"),
        (b"y.npy", {}, TypeError, "y must hold real numbers, got |S5"),
        (
            np.zeros(5),
            {"sample_weight": np.ones(6)},
            ValueError,
            "X has 5 rows, sample_weight has 6",
        ),
        (
            np.zeros(5),
            {"sample_weight": np.ones((5, 1))},
            ValueError,
            r"sample_weight must have shape \(N,\), got \(5, 1\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, y: Any, options: Any, error: Any, message: str
) -> None:
    path = saved(tmp_path / "X.npy", numbers((5, 2), "<f4"))
    with pytest.raises(error, match=f"NpyFile: {message}"):
        NpyFile(path, y, **options)
    assert not open_at(path)


@pytest.mark.parametrize(
    ("spans", "error", "message"),
    [
        (
            [(0, 3), (-1, 2)],
            ValueError,
            r"spans\[1\] must be \[first, last\) with 0 <=",
        ),
        ([(3, 2)], ValueError, r"0 <= first <= last <= 5, got \(3, 2\)"),
        ([(4, 6)], ValueError, r"last <= 5, got \(4, 6\)"),
        ([(6, 6)], ValueError, r"last <= 5, got \(6, 6\)"),
        ([(0, 1.0)], TypeError, r"spans\[0\] must be a pair of int, got \(0, 1.0\)"),
        ([(0, 1, 2)], TypeError, r"a pair of int, got \(0, 1, 2\)"),
        ([3], TypeError, r"spans\[0\] must be a pair of int, got 3"),
        (7, TypeError, "spans must be pairs of int, got int"),
        ([(0, 5), (0, 5)], ValueError, r"into.X must have shape \(10, 2\), or more"),
    ],
)
def test_spans_that_do_not_fit_are_refused(
    tmp_path: Path, spans: Any, error: Any, message: str
) -> None:
    source = NpyFile(saved(tmp_path / "X.npy", numbers((5, 2), "<f4")), np.zeros(5))
    into = source.buffers(9)
    for a in (into.X, into.y):
        a[...] = 0.3
    with pytest.raises(error, match=f"NpyFile.read: .*{message}"):
        source.read(spans, into)
    assert (np.float32(0.3) == into.X).all()
    assert (into.y == np.float32(0.3)).all()


def test_spans_may_be_an_array(tmp_path: Path) -> None:
    X = numbers((5, 2), "<f4")
    source = NpyFile(saved(tmp_path / "X.npy", X), X)
    spans = np.array([[3, 5], [0, 1]])
    same(source.read(spans, source.buffers(3)).X, X[[3, 4, 0]])


f4, f8 = np.float32, np.float64


@pytest.mark.parametrize(
    ("X", "y", "weight", "error", "message"),
    [
        (
            np.empty((5, 2), f8),
            np.empty(5, f4),
            np.empty(5),
            TypeError,
            "into.X must b",
        ),
        (np.empty((5, 2), ">f4"), np.empty(5, f4), np.empty(5), TypeError, "got >f4"),
        (np.empty((5, 3), f4), np.empty(5, f4), np.empty(5), ValueError, r"\(5, 2\)"),
        (np.empty((4, 2), f4), np.empty(5, f4), np.empty(5), ValueError, "or more"),
        (np.empty((5, 2), f4).T, np.empty(5, f4), np.empty(5), ValueError, r"\(2, 5\)"),
        (np.empty((5, 4), f4)[:, ::2], np.empty(5, f4), np.empty(5), ValueError, "C-"),
        (np.empty((5, 2), f4), np.empty((5, 1), f4), np.empty(5), ValueError, "into.y"),
        (np.empty((5, 2), f4), np.empty(5), np.empty(5), TypeError, "into.y must be f"),
        (np.empty((5, 2), f4), np.empty(4, f4), np.empty(5), ValueError, "into.y"),
        (np.empty((5, 2), f4), np.empty(5, f4), None, TypeError, "got NoneType"),
        (np.empty((5, 2), f4), np.empty(5, f4), np.empty(4), ValueError, "into.weight"),
        (np.empty((5, 2), f4), np.empty(5, f4), np.empty(5, f4), TypeError, "float64"),
        (np.empty((5, 2), f4), [0.0] * 5, np.empty(5), TypeError, "an ndarray, got li"),
    ],
)
def test_buffers_that_do_not_fit_are_refused(
    tmp_path: Path, X: Any, y: Any, weight: Any, error: Any, message: str
) -> None:
    path = saved(tmp_path / "X.npy", numbers((5, 2), "<f4"))
    source = NpyFile(path, np.zeros(5), sample_weight=np.ones(5))
    with pytest.raises(error, match=message) as found:
        source.read([(0, 5)], Rows(X, y, weight))
    assert str(found.value).endswith("buffers(rows) returned") or "C-" in message
    plain = NpyFile(path, np.zeros(5))
    with pytest.raises(ValueError, match=r"into.weight must be None"):
        plain.read([(0, 5)], source.buffers(5))
    read_only = source.buffers(5)
    read_only.y.flags.writeable = False
    with pytest.raises(ValueError, match=r"into.y must be C-ordered, aligned and writ"):
        source.read([(0, 5)], read_only)
    with pytest.raises(ValueError, match=r"NpyFile.buffers: rows must be >= 0, got -1"):
        source.buffers(-1)
    with pytest.raises(
        TypeError, match=r"NpyFile.buffers: rows must be int, got float"
    ):
        source.buffers(2.0)  # type: ignore[arg-type]


def test_names_that_are_public_are_there() -> None:
    assert lls_files.__all__ == ["NpyFile", "ParquetFile", "Rows", "Source"]
    assert all(hasattr(lls_files, name) for name in lls_files.__all__)
    for path in (3, None, np.zeros((5, 2)), b"X.npy"):
        with pytest.raises(TypeError, match="NpyFile: X must be the path of a file"):
            NpyFile(path, np.zeros(5))  # type: ignore[arg-type]
