"""What the tests of readers of files share."""

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from gradstep.lls.files import Rows, Source

Array: TypeAlias = Any


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 3) -> Array:
    """Random numbers that use all bits of their type."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    bits = np.dtype(dtype).itemsize * np.prod(shape, dtype=int)
    raw = np.frombuffer(rng.bytes(bits), dtype).reshape(shape)
    return raw & 1 if dtype == "|b1" else raw


def saved(path: Path, a: Array) -> str:
    np.save(path, a)
    return str(path)


def taken(spans: list[tuple[int, int]], a: Array, dtype: Any) -> Array:
    """The rows of spans, by indexing."""
    parts = [np.asarray(a[first:last], dtype) for first, last in spans]
    return np.concatenate([np.empty((0, *a.shape[1:]), dtype), *parts])


def read(source: Source, spans: list[tuple[int, int]], room: int = 3) -> Rows:
    """Read into buffers of NaN that are larger than need be."""
    rows = sum(last - first for first, last in spans)
    into = source.buffers(rows + room)
    for a in (into.X, into.y, into.weight):
        if a is not None:
            a[...] = np.nan
    found = source.read(spans, into)
    for a, b in ((found.X, into.X), (found.y, into.y), (found.weight, into.weight)):
        assert a is b is None or (np.shares_memory(a, b) or not a.size)
        assert b is None or np.isnan(b[rows:]).all()
    return found


def same(a: Array, b: Array) -> None:
    assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def open_at(path: str) -> list[int]:
    """The descriptors of this process that are open at a path."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}") == os.path.realpath(path):
                found.append(int(fd))
        except FileNotFoundError:  # that of listdir
            pass
    return found


def some_spans(n: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    row = st.integers(0, n)
    return st.lists(st.tuples(row, row).map(lambda s: (min(s), max(s))), max_size=9)
