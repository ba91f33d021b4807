"""The same bits whatever computes them: == everywhere in this file."""

import ctypes
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exactness_worker
import gradstep as gs
from gradstep import _core
from support import (
    NUMPY,
    at_offset,
    floats,
    hyper_of,
    kernels,
    label,
    random_state,
    same_bits,
    side_by_side,
    step_by,
)

GOLDEN = Path(__file__).with_name("golden.json")
GOLDEN_SIZES = [1, 2, 3, 1000, 4097]

# A sum over a tensor, or over all, is not that over its part.
ELEMENTWISE = [k for k in kernels() if not k.sums]
elementwise = pytest.mark.parametrize("kernel", ELEMENTWISE, ids=label)


def test_isa_and_threads_do_not_change_a_bit() -> None:
    """50 steps of many sizes at all byte offsets, by every level and 1, 2, 5 threads.

    `exactness_worker.py compare` goes over many more sizes.
    """
    chosen = exactness_worker.configurations()
    runs = side_by_side(lambda c: exactness_worker.run(*c), chosen)
    assert [found["isa"] for found in runs] == [isa for isa, _ in chosen]
    first, *rest = (found["hashes"] for found in runs)
    made = {
        f"{kind}-{name}" for kind in exactness_worker.FITS for name in ("f32", "f64")
    } | {f"stored-{kept}" for kept in exactness_worker.STORED}
    assert set(first) == {label(k) for k in kernels()} | made
    for other in rest:
        assert other == first


def test_bits_are_those_of_the_golden_file() -> None:
    """A change here is a "numerics" line in CHANGELOG.md.

    `python tests/test_exactness.py` then writes the file anew.
    """
    assert exactness_worker.digests(GOLDEN_SIZES) == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_byte_offsets_do_not_change_a_bit(kernel: _core.Kernel) -> None:
    n, dtype = 77, NUMPY[kernel.dtype]
    results = set()
    for offset in range(64):
        p = at_offset(floats(1, n, dtype), offset)
        g = at_offset(floats(2, n, dtype), (5 * offset + 1) % 64)
        states = list(random_state(kernel, 3, n).values())
        step_by(kernel, p, g, states, hyper_of(kernel), 3)
        results.add(b"".join(a.tobytes() for a in (p, *states)))
    assert len(results) == 1


@elementwise
@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 50_000),
    cuts=st.lists(st.integers(0, 50_000), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_a_tensor_cut_in_parts_is_the_same_tensor(
    kernel: _core.Kernel, n: int, cuts: list[int], seed: int
) -> None:
    dtype = NUMPY[kernel.dtype]
    g = floats(seed, n, dtype)
    whole = [floats(seed + 1, n, dtype), *random_state(kernel, seed, n).values()]
    parts = [a.copy() for a in whole]
    for begin, end in pairwise(sorted({0, n, *(c for c in cuts if c < n)})):
        p, *states = (a[begin:end] for a in parts)
        step_by(kernel, p, g[begin:end], states, hyper_of(kernel), 3)
    step_by(kernel, whole[0], g, whole[1:], hyper_of(kernel), 3)
    assert all(same_bits(a, b) for a, b in zip(parts, whole))


@pytest.mark.parametrize("name", sorted(set(gs.OPTIMIZERS) - {"Adai"}))
def test_arrays_together_are_arrays_alone(name: str) -> None:
    """Of two types, in two groups, some without a gradient: each has its own t."""
    start = [floats(k, 9, np.float64 if k % 3 else np.float32) for k in range(6)]
    options: list[dict[str, Any]] = [{"lr": 0.1}, {"lr": 0.3}]
    if "weight_decay" in gs.OPTIMIZERS[name].options:
        options[1]["weight_decay"] = 0.2

    def grads(t: int) -> list[np.ndarray | None]:
        made = [floats(10 * t + k, 9, p.dtype) for k, p in enumerate(start)]
        return [None if t % (k + 2) == 0 else g for k, g in enumerate(made)]

    together = [p.copy() for p in start]
    groups = [options[j] | {"params": together[j::2]} for j in (0, 1)]
    optimizer = gs.OPTIMIZERS[name](groups)
    alone = [p.copy() for p in start]
    singles = [gs.OPTIMIZERS[name]([p], **options[k % 2]) for k, p in enumerate(alone)]
    for t in range(1, 9):
        optimizer.step([grads(t)[0::2], grads(t)[1::2]])
        for single, g in zip(singles, grads(t)):
            single.step([g])
    assert all(same_bits(a, b) for a, b in zip(together, alone))
    assert len({s["step"] for s in optimizer.state}) > 1


@elementwise
def test_special_values_do_not_depend_on_their_place(kernel: _core.Kernel) -> None:
    """Vector bodies, peeled heads and tails treat NaN, infinities and zeros alike."""
    dtype = NUMPY[kernel.dtype]
    tiny = float(np.finfo(dtype).smallest_subnormal)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 1.5], dtype)
    p, g = (a.ravel() for a in np.meshgrid(special, special))
    for length in (1, 7, 16, 64):
        alone, amid = [], []
        for i in range(p.size - length + 1):
            chosen = slice(i, i + length)
            alone.append(_stepped(kernel, p[chosen], g[chosen]))
            amid.append([a[chosen] for a in _stepped(kernel, p, g)])
        for a, b in zip(alone, amid):
            for x, y in zip(a, b):
                # A NaN's sign and payload are not part of the promise.
                nan = np.isnan(x)
                assert (nan == np.isnan(y)).all()
                assert x[~nan].tobytes() == y[~nan].tobytes()


def _stepped(kernel: _core.Kernel, p: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    p = p.copy()
    states = [np.ones_like(p) for _ in kernel.state]
    step_by(kernel, p, g.copy(), states, hyper_of(kernel), 2)
    return [p, *states]


@contextmanager
def _mxcsr(bits: int) -> Iterator[None]:
    """Run with these bits of x86's control register set, as fast-math libraries do."""
    libm = ctypes.CDLL("libm.so.6")
    environment = (ctypes.c_uint32 * 8)()  # glibc's fenv_t: x87's 28 bytes, then MXCSR
    assert libm.fegetenv(environment) == 0
    before = environment[7]
    environment[7] = before | bits
    assert libm.fesetenv(environment) == 0
    try:
        yield
        assert libm.fegetenv(environment) == 0
        after = environment[7]
    finally:
        environment[7] = before
        libm.fesetenv(environment)
    assert after & bits == bits, "the kernel must leave the register as it found it"


FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO = 0x8040
ROUND_UP = 0x4000


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets bits of x86's MXCSR")
@pytest.mark.parametrize("bits", [FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO, ROUND_UP])
@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_the_callers_floating_point_mode_is_not_ours(
    kernel: _core.Kernel, bits: int
) -> None:
    n, dtype = 40_000, NUMPY[kernel.dtype]
    small = float(np.finfo(dtype).smallest_normal)
    start = [floats(1, n, dtype) * small, *random_state(kernel, 3, n).values()]
    g = floats(2, n, dtype) * small
    expected, got = ([a.copy() for a in start] for _ in range(2))
    step_by(kernel, expected[0], g, expected[1:], hyper_of(kernel), 3)
    with _mxcsr(bits):
        step_by(kernel, got[0], g, got[1:], hyper_of(kernel), 3)
    assert all(same_bits(a, b) for a, b in zip(expected, got))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets bits of x86's MXCSR")
@pytest.mark.parametrize("bits", [FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO, ROUND_UP])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nor_is_it_the_trainers(dtype: type, bits: int) -> None:
    expected = exactness_worker.fit_digest(dtype)
    with _mxcsr(bits):
        got = exactness_worker.fit_digest(dtype)
    assert got == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets bits of x86's MXCSR")
@pytest.mark.parametrize("bits", [FLUSH_TO_ZERO_AND_DENORMALS_ARE_ZERO, ROUND_UP])
@pytest.mark.parametrize("kept", exactness_worker.STORED)
def test_nor_that_of_steps_in_code(kept: str, bits: int) -> None:
    expected = exactness_worker.stored_digest(kept)
    with _mxcsr(bits):
        got = exactness_worker.stored_digest(kept)
    assert got == expected


if __name__ == "__main__":
    found = exactness_worker.digests(GOLDEN_SIZES)
    GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
