"""gs_reduce alone, over more than tensors of a test have: the tree of the CPU."""

import numpy as np
import pytest

from device_kernels import Array
from gradstep import _torch
from gradstep.torch import kernels
from interpreted import Interpreter, Programs
from ptx import Memory
from stand_in import Launch

OF_SUMS, THREADS, MANY = 131072, 512, 160  # as in device.h and launches.c


def table(partials: list[Array], sums: int, records: Array) -> Array:
    """Return the argument of gs_reduce, and tensors as long as it takes."""
    fields = [("record", "u8"), ("measured", "u8"), ("tensors", "u4"), ("sums", "u4")]
    fields += [("pass", "u4"), ("unused", "u4"), ("partial", "u8", MANY)]
    fields += [("n", "u8", MANY), ("number", "u4", MANY)]
    found = np.zeros((), fields)
    found["record"], found["sums"] = records.ctypes.data, sums
    found["tensors"] = len(partials)
    for k, partial in enumerate(partials):
        found["partial"][k] = partial.ctypes.data
        found["n"][k] = partial.shape[0] * OF_SUMS - 5
        found["number"][k] = len(partials) - 1 - k
    return np.frombuffer(found.tobytes(), np.uint8)


def by_tree(x: Array) -> Array:
    """Add neighbours, then neighbours of those."""
    x = x.copy()
    while len(x) > 1:
        odd = x[2 * (len(x) // 2) :]
        x = np.concatenate([x[:-1:2] + x[1::2], odd])
    return x[0]


@pytest.mark.parametrize("order", ["together", "warps", "warps reversed"])
@pytest.mark.parametrize("sums", [1, 3])
def test_a_tree(sums: int, order: str, programs: Programs) -> None:
    rng = np.random.default_rng(sums)
    partials = [rng.standard_normal((n, sums)) for n in (1, 2, 1025, 7, 1600)]
    expected = [by_tree(x) for x in partials]
    records = np.zeros((len(partials), _torch.RECORD_BYTES // 8))
    argument, memory = table(partials, sums, records), Memory()
    for array in (*partials, records):
        memory.add(array)
    measuring, at = kernels.measuring(), argument.ctypes.data
    told = Launch(measuring, "gs_reduce", len(partials), THREADS, at)
    Interpreter(programs, order).launch(told, memory)
    found = records[::-1, _torch.SUMS_AT : _torch.SUMS_AT + sums]
    assert (found == np.array(expected)).all()
