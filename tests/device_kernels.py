"""Kernels as NVRTC compiles them, run by the interpreter of tests/ptx."""

from collections.abc import Callable, Iterable
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
import pytest
from cuda.bindings import nvrtc

from ptx import FORBIDDEN, Memory, Program

Array = Any
N, BLOCK = 2048, 512  # threads of a grid that checks, and of its blocks
Pair = tuple[str, Callable[..., Any]]

ARCHITECTURES = (75, 80, 90, 100, 120)
architectures = pytest.mark.parametrize("sm", ARCHITECTURES)
# What makes a device round as the host does; only a test of failures says otherwise.
EXACT = ("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
TYPES = {
    "f8": "double",
    "f4": "float",
    "i8": "long long",
    "u8": "unsigned long long",
    "i4": "int",
    "u4": "unsigned",
    "i2": "short",
    "u2": "unsigned short",
    "i1": "signed char",
    "u1": "unsigned char",
}
PRELUDE = """
typedef unsigned long long u64;
typedef unsigned u32;
"""


@cache
def compiled(source: str, sm: int, options: tuple[str, ...] = EXACT) -> str:
    """Return the PTX of a source."""
    text = (PRELUDE + source).encode()
    error, program = nvrtc.nvrtcCreateProgram(text, b"test.cu", 0, [], [])
    words = (*options, "--std=c++20", f"--gpu-architecture=compute_{sm}")
    (error,) = nvrtc.nvrtcCompileProgram(
        program, len(words), [w.encode() for w in words]
    )
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = bytearray(nvrtc.nvrtcGetProgramLogSize(program)[1])
        nvrtc.nvrtcGetProgramLog(program, log)
        raise RuntimeError(log.decode())
    ptx = bytearray(nvrtc.nvrtcGetPTXSize(program)[1])
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(program)
    return ptx.rstrip(b"\0").decode()


class Kernel:
    """A kernel whose struct has a pointer or a number for every value it is given.

    The body finds them by name, its thread's number in the grid in `i`.
    """

    def __init__(
        self,
        body: str,
        *,
        sm: int = 90,
        before: str = "",
        options: tuple[str, ...] = EXACT,
        forbidden: tuple[str, ...] = FORBIDDEN,
    ) -> None:
        self.body, self.before, self.sm = body, before, sm
        self.options, self.forbidden = options, forbidden
        self.program: Program | None = None

    def source(self, values: dict[str, Any]) -> str:
        fields, names = [], []
        for name, given in values.items():
            value = np.asarray(given)
            star = "*" if isinstance(given, np.ndarray) else ""
            shape = "".join(f"[{n}]" for n in value.shape) if not star else ""
            fields.append(f"{TYPES[value.dtype.str[1:]]} {star}{name}{shape};")
            names.append(f"auto& {name} = args.{name};")
        return f"""
            struct Args {{ {" ".join(fields)} }};
            {self.before}
            extern "C" __global__ void kernel(const __grid_constant__ Args args)
            {{
                u32 i = blockIdx.x * blockDim.x + threadIdx.x;
                {" ".join(names)}
                {self.body}
            }}"""

    def __call__(
        self, *, grid: int = 1, block: int, memory: Iterable[Array] = (), **values: Any
    ) -> None:
        launch = {k: values.pop(k) for k in ("order", "limit", "shared") if k in values}
        text = compiled(self.source(values), self.sm, self.options)
        self.program = Program(text, self.forbidden)
        buffers = Memory()
        for value in (*memory, *values.values()):
            if isinstance(value, np.ndarray):
                buffers.add(value)
        self.program.run(
            "kernel",
            grid=grid,
            block=block,
            argument=struct(values),
            memory=buffers,
            **launch,
        )


def struct(values: dict[str, Any]) -> bytes:
    """Return values as C lays them out, arrays by their address."""
    fields = {
        name: np.uint64(v.ctypes.data)
        if isinstance(v, np.ndarray)
        else np.asarray(v)  # a tuple of numbers is an array in the struct
        for name, v in values.items()
    }
    dtype = [(name, v.dtype, v.shape) for name, v in fields.items()]
    whole = np.zeros((), np.dtype(dtype, align=True))
    for name, v in fields.items():
        whole[name] = v
    return whole.tobytes()


def specials(dtype: Any, n: int, seed: int) -> Array:
    """Return zeros, subnormals, infinities, NaN, numbers near one, and random bits."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    bits = rng.integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)
    with np.errstate(all="ignore"):
        near = (rng.standard_normal(n) * 8).astype(dtype)
        info = np.finfo(dtype)
        some = [0, -0.0, 1, -1, 0.5, 1.5, 2.5, -3.5, np.inf, -np.inf, np.nan]
        some += [
            info.tiny,
            info.tiny / 8,
            -info.smallest_subnormal,
            info.max,
            -info.max,
        ]
        some += [2.0**31, -(2.0**31), 2.0**32, 2.0**63, 2.0**64, 1 - info.epsneg]
        chosen = rng.choice(np.array(some, dtype), n)
    return np.choose(rng.integers(0, 3, n), [bits, near, chosen])


def integers(dtype: Any, n: int, seed: int) -> Array:
    """Return random bits, small numbers, and those at the ends."""
    rng = np.random.default_rng(seed)
    dtype, info = np.dtype(dtype), np.iinfo(dtype)
    bits = rng.integers(0, 256, n * dtype.itemsize, dtype=np.uint8).view(dtype)
    small = rng.integers(0, 9, n).astype(dtype)
    ends = rng.choice(np.array([info.min, info.max, 0, 1, info.max - 1], dtype), n)
    return np.choose(rng.integers(0, 3, n), [bits, small, ends])


def same(found: Array, expected: Array) -> None:
    """Assert equal bits, of NaNs any."""
    assert found.dtype == expected.dtype
    bits = f"u{found.dtype.itemsize}"
    equal = found.view(bits) == np.ascontiguousarray(expected).view(bits)
    if found.dtype.kind == "f":
        equal |= np.isnan(found) & np.isnan(expected)
    bad = np.flatnonzero(~equal)
    assert not bad.size, (bad[0], found[bad[0]], expected[bad[0]])


def check(
    sm: int, pairs: list[Pair], out: Any, *, before: str = "", **values: Array
) -> Kernel:
    """Run expressions of C as one kernel, each beside what NumPy makes of it."""
    body = "".join(f"o[{k * N} + i] = {c};\n" for k, (c, _) in enumerate(pairs))
    found = np.zeros(len(pairs) * N, out)
    kernel = Kernel(body, sm=sm, before=before)
    kernel(grid=N // BLOCK, block=BLOCK, o=found, **values)
    with np.errstate(all="ignore"):
        for k, (text, f) in enumerate(pairs):
            expected = np.asarray(f(*_wanted(f, values))).astype(out)
            try:
                same(found[k * N : (k + 1) * N], expected)
            except AssertionError as e:
                (i, *_), names = e.args[0], list(values)
                given = [values[name][i] for name in names]
                raise AssertionError(f"{text}, {names} = {given}: {e}") from e
    return kernel


def _wanted(f: Callable[..., Any], values: dict[str, Array]) -> list[Array]:
    """Return what a function names, or as much as NumPy's takes."""
    if isinstance(f, np.ufunc):
        return list(values.values())[: f.nin]
    return [values[name] for name in signature(f).parameters if name in values]
