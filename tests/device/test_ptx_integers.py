"""What the interpreter of PTX computes with integers and their bits, beside NumPy."""

from collections.abc import Callable

import numpy as np
import pytest

from device_kernels import Array, Kernel, N, Pair, architectures, check, integers, same

INTEGER: list[Pair] = [
    ("x[i] + y[i]", lambda x, y: x + y),
    ("x[i] - y[i]", lambda x, y: x - y),
    ("x[i] * y[i]", lambda x, y: x * y),
    (
        "y[i] ? x[i] % y[i] : 0",
        lambda x, y: np.where(y == 0, 0, np.fmod(x, y | (y == 0))),
    ),
    ("x[i] & ~y[i] | x[i] ^ 5", lambda x, y: (x & ~y) | (x ^ 5)),
    ("x[i] >> (y[i] & 7)", lambda x, y: x >> (y & 7)),
    ("x[i] << (y[i] & 7)", lambda x, y: x << (y & 7)),
    ("x[i] < y[i]", lambda x, y: x < y),
    ("x[i] >= y[i]", lambda x, y: x >= y),
    ("x[i] > y[i] ? x[i] : y[i]", np.maximum),
    ("x[i] < y[i] ? x[i] : y[i]", np.minimum),
    ("x[i] / 7", lambda x: (x - np.fmod(x, 7)) // 7),
    ("x[i] % 7", lambda x: np.fmod(x, 7)),
    (
        "x[i] == y[i] || x[i] > 100 && y[i] < 50",
        lambda x, y: (x == y) | ((x > 100) & (y < 50)),
    ),
]


@architectures
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_integers(dtype: str, sm: int) -> None:
    x, y = integers(dtype, N, 1), integers(dtype, N, 2)
    if dtype[0] == "i":
        y[y == -1] = 3  # the least number by -1 is no number
    check(sm, INTEGER, dtype, x=x, y=y)


@architectures
def test_quotients_and_upper_halves(sm: int) -> None:
    x, y = integers("u8", N, 3), integers("u8", N, 4) | np.uint64(1)
    pairs: list[Pair] = [
        ("x[i] / y[i]", lambda x, y: x // y),
        ("__umul64hi(x[i], y[i])", _high),
        ("(u64)__mul64hi(x[i], y[i])", lambda x, y: _high(x.view("i8"), y.view("i8"))),
        ("__umulhi((u32)x[i], (u32)y[i])", lambda x, y: _high(x & low, y & low, 32)),
        ("(u64)(u32)x[i] * (u32)y[i]", lambda x, y: (x & low) * (y & low)),
        (
            "(u64)((long long)(int)x[i] * (int)y[i])",
            lambda x, y: _signed(x) * _signed(y),
        ),
    ]
    low = np.uint64(2**32 - 1)
    check(sm, pairs, "u8", x=x, y=y)


def _signed(x: Array) -> Array:
    return x.astype("u4").view("i4").astype("i8")


def _high(x: Array, y: Array, bits: int = 64) -> Array:
    products = [int(a) * int(b) >> bits & 2**64 - 1 for a, b in zip(x, y)]
    return np.array(products, "u8")


def each(f: Callable[[int], int]) -> Callable[[Array], Array]:
    return lambda x: np.array([f(int(v)) for v in x], "u8")


LOW = 2**32 - 1


def _signs(x: Array) -> Array:
    """Return bytes of which three are but the signs of bytes 7, 3 and 0."""
    bytes_of = x.view("u1").reshape(-1, 8).astype("u8")
    sign = (bytes_of >> 7) * 255
    return sign[:, 7] << 24 | bytes_of[:, 4] << 16 | sign[:, 3] << 8 | sign[:, 0]


def _majority(x: Array) -> Array:
    a, b, c = x & LOW, x >> 16 & LOW, x >> 32
    return (a & b) | (a & c) | (b & c)


BITS: list[Pair] = [
    ("x[i] << 7 | x[i] >> 57", lambda x: x << 7 | x >> 57),
    ("__funnelshift_l(x[i], x[i] >> 32, 9)", lambda x: (x << 9) >> 32),
    ("__funnelshift_r(x[i], x[i] >> 32, 21)", lambda x: x >> 21 & LOW),
    ("__popcll(x[i])", each(int.bit_count)),
    ("__popc(x[i])", each(lambda v: (v & LOW).bit_count())),
    ("__clzll(x[i])", each(lambda v: 64 - v.bit_length())),
    ("__clz(x[i])", each(lambda v: 32 - (v & LOW).bit_length())),
    ("__ffsll(x[i])", each(lambda v: (v & -v).bit_length())),
    ("__brevll(x[i])", each(lambda v: int(f"{v:064b}"[::-1], 2))),
    ("__brev(x[i])", each(lambda v: int(f"{v & LOW:032b}"[::-1], 2))),
    ("__byte_perm(x[i], x[i] >> 32, 0x6172)", lambda x: _permuted(x, "6172")),
    ("signs(x[i], x[i] >> 32)", _signs),
    ("x[i] >> 13 & 0x3ff", lambda x: x >> 13 & 0x3FF),
    ("field(x[i])", each(lambda v: v >> 5 & 0x7F)),
    ("signed_field(x[i])", each(lambda v: (v >> 5 & 0x7F ^ 0x40) - 0x40 & LOW)),
    ("inserted(x[i])", each(lambda v: v & LOW & ~0xFF0 | (v >> 32 & 0xFF) << 4)),
    ("majority(x[i], x[i] >> 16, x[i] >> 32)", _majority),
]
# What compilers make of C only sometimes.
NAMED = """
__device__ u32 field(u32 x) { u32 o; asm("bfe.u32 %0, %1, 5, 7;" : "=r"(o) : "r"(x));
    return o; }
__device__ u32 signs(u32 a, u32 b) { u32 o;
    asm("prmt.b32 %0, %1, %2, 0xF4B8;" : "=r"(o) : "r"(a), "r"(b)); return o; }
__device__ u32 signed_field(u32 x) { u32 o;
    asm("bfe.s32 %0, %1, 5, 7;" : "=r"(o) : "r"(x)); return o; }
__device__ u32 inserted(u64 x) { u32 o; asm("bfi.b32 %0, %1, %2, 4, 8;"
    : "=r"(o) : "r"((u32)(x >> 32)), "r"((u32)x)); return o; }
__device__ u32 majority(u32 a, u32 b, u32 c) { u32 o;
    asm("lop3.b32 %0, %1, %2, %3, 0xE8;" : "=r"(o) : "r"(a), "r"(b), "r"(c));
    return o; }
"""


@architectures
def test_bits(sm: int) -> None:
    check(sm, BITS, "u8", before=NAMED, x=integers("u8", N, 5))


def _permuted(x: Array, selector: str) -> Array:
    bytes_of = x.view("u1").reshape(-1, 8)
    chosen = [
        bytes_of[:, int(s)].astype("u8") << (8 * k)
        for k, s in enumerate(selector[::-1])
    ]
    return np.bitwise_or.reduce(chosen)


@architectures
def test_splitmix64(sm: int) -> None:
    body = """
        u64 z = seed + (i + 1) * 0x9E3779B97F4A7C15ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        o[i] = z ^ (z >> 31);
        f[i] = (o[i] >> 11) * 0x1p-53;
    """
    o, f, seed = np.zeros(N, "u8"), np.zeros(N), np.uint64(0xFEDCBA9876543210)
    Kernel(body, sm=sm)(grid=4, block=512, o=o, f=f, seed=seed)
    with np.errstate(over="ignore"):
        z = seed + np.arange(1, N + 1, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> 27)) * np.uint64(0x94D049BB133111EB)
    same(o, z ^ (z >> 31))
    same(f, (o >> 11) * 2.0**-53)
