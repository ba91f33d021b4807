"""The safetensors format, beside the library of that name."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors import safe_open

import gradstep as gs
from gradstep.checkpoint import container, layout
from saving import TYPES, image, make, run, same

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.arange(3, dtype=np.float64),
    "bytes": np.arange(5, dtype=np.uint8),
    "": np.zeros(0),
    "scalar": np.array(7, np.int64),
    "flags": np.array([True, False, True]),
    "half": np.ones((2, 1, 2), np.float16),
    'ä"\\\n': np.ones(1, ml_dtypes.bfloat16),
    "none": np.zeros((2, 0, 3), np.uint32),
}


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    container.write(str(tmp_path / "run"), [ARRAYS])
    with safe_open(tmp_path / "run", "np") as file:
        assert set(file.keys()) == {f"0.{name}" for name in ARRAYS}
        for name, array in ARRAYS.items():
            read = file.get_tensor(f"0.{name}")
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert read.tobytes() == array.tobytes()
    (again,) = container.read(str(tmp_path / "run"))
    assert all(again[name].tobytes() == a.tobytes() for name, a in ARRAYS.items())


@pytest.mark.parametrize("kind", TYPES)
def test_the_library_reads_an_optimizer_of_every_storage(
    kind: str, tmp_path: Path
) -> None:
    params, opt, scheduler = make("adamw", kind)
    run(params, opt, scheduler, 0)
    gs.save(tmp_path / "run", opt, scheduler)
    with safe_open(tmp_path / "run", "np") as file:
        read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    stored = [read["0.params.0"].T, read["0.params.1"]]
    assert [a.tobytes("A") for a in stored] == image(params, opt)[:2]


def test_every_array_is_aligned_to_its_elements(tmp_path: Path) -> None:
    container.write(str(tmp_path / "run"), [ARRAYS])
    data = (tmp_path / "run").read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    assert start % 8 == 0
    _, described = layout.parse(data[8:start])
    for name, entry in layout.checked(described, len(data) - start).items():
        assert entry.begin % layout.DTYPES[entry.dtype].itemsize == 0, name


def test_a_header_longer_than_the_library_reads_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LONGEST", 500)
    with pytest.raises(
        ValueError, match=r"header would have \d+ bytes, and may have 500"
    ):
        gs.save(tmp_path / "run", gs.Adam(np.ones(3)))
    assert list(tmp_path.iterdir()) == []


def packed(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entries_of(data: bytes) -> dict[str, layout.Entry]:
    """Read the entries of a file without gradstep's metadata."""
    (length,) = layout.PREFIX.unpack(data[:8])
    if length > len(data) - 8:
        raise ValueError("would have more bytes")
    _, described = layout.parse(data[8 : 8 + length])
    return layout.checked(described, len(data) - 8 - length)


def accepts(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        read(data)
    except (ValueError, safetensors.SafetensorError):
        return False
    return True


F8 = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
U1 = {"dtype": "U8", "shape": [3], "data_offsets": [16, 19]}
HEADERS: dict[str, tuple[Any, int]] = {
    "nothing": ({}, 0),
    "two arrays": ({"a": F8, "b": U1}, 19),
    "in another order": ({"b": U1, "a": F8}, 19),
    "metadata": ({"__metadata__": {"a": "b"}, "a": F8}, 16),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "a": F8}, 16),
    "metadata that are a list": ({"__metadata__": [], "a": F8}, 16),
    "too few bytes": ({"a": F8}, 15),
    "too many bytes": ({"a": F8}, 17),
    "a gap": ({"a": F8, "b": U1 | {"data_offsets": [17, 20]}}, 20),
    "an overlap": ({"a": F8, "b": U1 | {"data_offsets": [15, 18]}}, 18),
    "a shape that does not fit": ({"a": F8 | {"shape": [3]}}, 16),
    "a shape of overflow": ({"a": F8 | {"shape": [2**62, 4, 0]}}, 16),
    "a negative extent": ({"a": F8 | {"shape": [-2]}}, 16),
    "a float extent": ({"a": F8 | {"shape": [2.0]}}, 16),
    "a bool extent": ({"a": F8 | {"shape": [True], "data_offsets": [0, 8]}}, 8),
    "a shape that is a number": ({"a": F8 | {"shape": 2}}, 16),
    "no shape": ({"a": {"dtype": "F64", "data_offsets": [0, 16]}}, 16),
    "no type": ({"a": {"shape": [2], "data_offsets": [0, 16]}}, 16),
    "no offsets": ({"a": {"dtype": "F64", "shape": [2]}}, 16),
    "an unknown type": ({"a": F8 | {"dtype": "F63"}}, 16),
    "a type that is a list": ({"a": F8 | {"dtype": ["F64"]}}, 16),
    "one offset": ({"a": F8 | {"data_offsets": [16]}}, 16),
    "three offsets": ({"a": F8 | {"data_offsets": [0, 16, 16]}}, 16),
    "offsets that go back": ({"a": F8 | {"data_offsets": [16, 0]}}, 16),
    "negative offsets": ({"a": F8 | {"data_offsets": [-16, 0]}}, 16),
    "an entry that is a list": ({"a": [F8]}, 16),
    "a list": ([F8], 16),
    "a name twice": (b'{"a":%s,"a":%s}' % ((json.dumps(F8).encode(),) * 2), 16),
    "not a number": (b'{"__metadata__":{"a":NaN}}', 0),
    "no JSON": (b'{"a":', 0),
    "UTF-16": ('{"a":1}'.encode("utf-16"), 0),
    "bytes that are no UTF-8": (b'{"__metadata__":{"a":"\xff"}}', 0),
    "nesting": (b"[" * 100_000, 0),
    "nothing at all": (b"", 0),
}


VALID = {"nothing", "two arrays", "in another order", "metadata"}


@pytest.mark.parametrize("case", HEADERS)
def test_only_valid_headers_are_accepted_and_the_library_accepts_them(
    case: str,
) -> None:
    data = packed(HEADERS[case][0], bytes(HEADERS[case][1]))
    assert accepts(entries_of, data) == (case in VALID)
    # A name that stands twice is all that the library does not mind.
    library = case in VALID or case == "a name twice"
    assert accepts(safetensors.deserialize, data) == library


def changed(original: bytes, at: int, kind: int, byte: int) -> bytes:
    """Flip a bit, cut some bytes, insert one, or write punctuation."""
    before, after = original[:at], original[at + 1 :]
    if kind == 0:
        return before + bytes([original[at] ^ 1 << byte % 8]) + after
    if kind == 1:
        return before + after[byte % 9 :]
    if kind == 2:
        return before + bytes([byte]) + original[at:]
    return before + b'{}[],:"0919 '[byte % 12 :][:1] + after


def test_no_random_change_is_read_as_anything_else(tmp_path: Path) -> None:
    """And what is accepted of a header, the library accepts."""
    path = str(tmp_path / "run")
    tree = [{"a": np.arange(5.0), "b": (1, "x"), "c": np.arange(3, dtype=np.uint8)}]
    container.write(path, tree)
    original = Path(path).read_bytes()
    rng = np.random.default_rng(0)
    read, valid = 0, 0
    for at, kind, byte in zip(
        rng.integers(0, len(original), 1_500).tolist(),
        rng.integers(0, 4, 1_500).tolist(),
        rng.integers(0, 256, 1_500).tolist(),
    ):
        data = changed(original, at, kind, byte)
        if accepts(entries_of, data):
            valid += 1
            assert accepts(safetensors.deserialize, data)
        Path(path).write_bytes(data)
        try:
            (again,) = container.read(path)
        except ValueError:
            continue
        read += 1
        assert same(again, tree[0])
    assert 0 < read < valid < 1_100
