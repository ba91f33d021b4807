"""What the interpreter of PTX computes with floats, beside NumPy: bit for bit."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from device_kernels import (
    Array,
    Kernel,
    N,
    Pair,
    architectures,
    check,
    integers,
    same,
    specials,
)


def minimum(x: Array, y: Array) -> Array:
    least = np.fmin(x, y)
    least[(x == 0) & (y == 0) & (np.signbit(x) | np.signbit(y))] = -0.0
    return least


def _classes(x: Array, y: Array) -> Array:
    return np.where(np.isnan(x), 7, np.where(np.isinf(y), 8, 9))


ARITHMETIC: list[Pair] = [
    ("x[i] + y[i]", lambda x, y: x + y),
    ("x[i] - y[i]", lambda x, y: x - y),
    ("x[i] * y[i]", lambda x, y: x * y),
    ("x[i] / y[i]", lambda x, y: x / y),
    ("1 / x[i]", lambda x: x.dtype.type(1) / x),
    ("x[i] * y[i] + x[i]", lambda x, y: x * y + x),
    ("sqrt(x[i])", np.sqrt),
    ("-x[i]", lambda x: -x),
    ("fabs(x[i])", np.abs),
    ("fmin(x[i], y[i])", minimum),
    ("fmax(x[i], y[i])", lambda x, y: -minimum(-x, -y)),
    ("copysign(x[i], y[i])", np.copysign),
    ("x[i] < y[i]", lambda x, y: x < y),
    ("x[i] <= y[i]", lambda x, y: x <= y),
    ("x[i] == y[i]", lambda x, y: x == y),
    ("x[i] != y[i]", lambda x, y: x != y),
    ("!(x[i] < y[i])", lambda x, y: ~(x < y)),
    ("!(x[i] >= y[i])", lambda x, y: ~(x >= y)),
    ("isnan(x[i]) ? 7 : isinf(y[i]) ? 8 : 9", _classes),
    (
        "x[i] > 0 && y[i] < 1 || x[i] != x[i]",
        lambda x, y: (x > 0) & (y < 1) | np.isnan(x),
    ),
]


@architectures
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats(dtype: str, sm: int) -> None:
    x, y = specials(dtype, N, 1), specials(dtype, N, 2)
    kernel = check(sm, ARITHMETIC, dtype, x=x, y=y)
    bits = 8 * int(dtype[1])
    assert not [opcode for opcode in kernel.program.used if "fma" in opcode]
    assert kernel.program.used[f"div.rn.f{bits}"]


@architectures
def test_functions_of_doubles(sm: int) -> None:
    pairs: list[Pair] = [
        ("floor(x[i])", np.floor),
        ("ceil(x[i])", np.ceil),
        ("trunc(x[i])", np.trunc),
        ("rint(x[i])", np.rint),
        ("round(x[i])", _round),
        ("fmod(x[i], y[i])", np.fmod),
        ("fmod(x[i], 3.7)", lambda x: np.fmod(x, 3.7)),
    ]
    check(sm, pairs, "f8", x=specials("f8", N, 3), y=specials("f8", N, 4))


def _round(x: Array) -> Array:
    """Round halves away from zero, as C does."""
    whole = np.trunc(x)
    away = np.abs(x - whole) >= 0.5
    return np.where(away, whole + np.copysign(1, x), np.copysign(whole, x))


def fma(a: float, b: float, c: float) -> float:
    if not np.isfinite([a, b, c]).all():
        return a * b + c if not np.isfinite([a, b]).all() else c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c if a * b == 0 and (a == 0 or b == 0) else 0.0
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


@architectures
def test_a_fused_product_and_sum_is_rounded_once(sm: int) -> None:
    rng = np.random.default_rng(5)
    x, y, z = (specials("f8", N, seed) for seed in (6, 7, 8))
    # Sums that nearly cancel, and sums just beside a tie.
    near, far = slice(N // 4), slice(N // 4, N // 2)
    x[: N // 2], y[: N // 2] = rng.standard_normal((2, N // 2))
    z[near] = -(x[near] * y[near])
    z[far] = np.ldexp(1.0, rng.integers(40, 60, N // 4))
    found = np.zeros(N)
    kernel = Kernel("o[i] = fma(x[i], y[i], z[i]);", sm=sm)
    kernel(grid=4, block=512, o=found, x=x, y=y, z=z)
    with np.errstate(all="ignore"):
        expected = np.array([fma(*v) for v in zip(x, y, z)])
    same(found, expected)
    assert (found[near] != x[near] * y[near] + z[near]).any()


def toward_zero(x: Array, y: Array) -> Array:
    """Return sums that are never further from zero than they ought to be."""
    sums = x + y
    for i in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
        exact = abs(Fraction(float(x[i])) + Fraction(float(y[i])))
        if np.isinf(sums[i]) or abs(Fraction(float(sums[i]))) > exact:
            sums[i] = np.nextafter(sums[i], x.dtype.type(0))
    return sums


@architectures
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_rounded_toward_zero(dtype: str, sm: int) -> None:
    name = {"f4": "__fadd_rz", "f8": "__dadd_rz"}[dtype]
    x, y = specials(dtype, N, 19), specials(dtype, N, 20)
    x[:9] = y[:9] = np.finfo(dtype).max
    check(sm, [(f"{name}(x[i], y[i])", toward_zero)], dtype, x=x, y=y)


def saturated(
    dtype: str, nearest: Callable[[Any], Any], real: str
) -> Callable[[Array], Array]:
    """Return the conversion that gives the nearest integer there is."""
    info = np.iinfo(dtype)
    # What NaN becomes: the highest bit, or zero where all is of 32 bits.
    nan = 1 << (info.bits - 1) if info.bits == 64 or real == "f8" else 0
    nan = nan - (1 << info.bits) if nan > info.max else nan

    def one(v: float) -> int:
        if np.isnan(v):
            return nan
        if np.isinf(v):
            return info.max if v > 0 else info.min
        return min(max(int(nearest(v)), info.min), info.max)

    return lambda x: np.array([one(float(v)) for v in x], dtype)


@architectures
@pytest.mark.parametrize("real", ["f4", "f8"])
def test_floats_become_integers_and_integers_floats(real: str, sm: int) -> None:
    x = specials(real, N, 9)
    name = {"f4": "float", "f8": "double"}[real]
    shorts = {"i4": "int", "u4": "uint", "i8": "ll", "u8": "ull"}
    ways = {"rn": np.rint, "rz": np.trunc, "rd": np.floor, "ru": np.ceil}
    for dtype, short in shorts.items():
        pairs: list[Pair] = [
            (f"__{name}2{short}_{way}(x[i])", saturated(dtype, nearest, real))
            for way, nearest in ways.items()
        ]
        check(sm, pairs, dtype, x=x)
        y = integers(dtype, N, 10)
        check(sm, [(f"({name})y[i]", lambda y: y.astype(real))], real, y=y)


@architectures
def test_small_integers_and_floats_of_other_widths(sm: int) -> None:
    x, y = specials("f4", N, 11), specials("f8", N, 12)
    z, w = integers("i1", N, 13), integers("u2", N, 14)
    pairs: list[Pair] = [
        ("x[i]", lambda x: x.astype("f8")),
        ("(float)y[i]", lambda y: y.astype("f4")),
        ("z[i] * w[i]", lambda z, w: z.astype("i4") * w),
        ("(float)z[i] + (float)w[i]", lambda z, w: z + w.astype("f4")),
        ("(unsigned char)z[i] >> 2", lambda z: z.view("u1") >> 2),
        ("(short)w[i]", lambda w: w.view("i2")),
    ]
    check(sm, pairs, "f8", x=x, y=y, z=z, w=w)


@architectures
def test_halves(sm: int) -> None:
    body = """
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h[i]) : "f"(x[i]));
        asm("cvt.f32.f16 %0, %1;" : "=f"(back[i]) : "h"(h[i]));
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two[i]) : "f"(x[i]), "f"(y[i]));
    """
    if sm >= 80:
        body += """
            asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b[i]) : "f"(x[i]));
            asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(c[i]) : "f"(x[i]), "f"(y[i]));
        """
    x, y = specials("f4", N, 15), specials("f4", N, 16)
    x[::2] = (x[::2].view("u4") & 0xFFFF8000).view("f4")  # ties of bfloat16
    h, b, back = np.zeros(N, "u2"), np.zeros(N, "u2"), np.zeros(N, "f4")
    two, c = np.zeros((2, N), "u4")
    Kernel(body, sm=sm)(grid=4, block=512, x=x, y=y, h=h, b=b, back=back, two=two, c=c)
    with np.errstate(all="ignore"):
        half = x.astype("f2")
        same(h.view("f2"), half)
        same(back, half.astype("f4"))
        same(two.view("f2")[1::2], half)
        same(two.view("f2")[::2], y.astype("f2"))
    if sm >= 80:
        nearest = [_bfloat16(v) for v in x]
        same(_wide(b), _wide(np.array(nearest, "u2")))
        same(c.view("u2")[1::2], b)


def _wide(bits: Array) -> Array:
    return (bits.astype("u4") << 16).view("f4")


def _bfloat16(x: np.float32) -> int:
    """Return the nearest of the two neighbours, by their distance."""
    bits = int(x.view("u4"))
    if not np.isfinite(x):
        return bits >> 16 | (0x40 if np.isnan(x) else 0)
    low = bits >> 16
    beyond = bits & 0xFFFF
    return low + (beyond > 0x8000 or (beyond == 0x8000 and low % 2))


@architectures
def test_a_union_shows_the_bits_of_a_float(sm: int) -> None:
    before = "union Bits { float f; u32 u; unsigned short h[2]; unsigned char c[4]; };"
    body = """
        Bits b; b.f = x[i]; b.u ^= 0x80000000u; o[i] = b.f;
        u[i] = b.h[1] * 256 + b.c[0];
        union { double d; u64 u; struct { u32 low, high; } s; } w;
        w.d = y[i]; w.s.high |= 0x80000000u; d[i] = w.d; q[i] = w.u + w.s.low;
    """
    x, y = specials("f4", N, 17), specials("f8", N, 18)
    o, d = np.zeros_like(x), np.zeros_like(y)
    u, q = np.zeros(N, "u4"), np.zeros(N, "u8")
    Kernel(body, sm=sm, before=before)(grid=4, block=512, x=x, y=y, o=o, d=d, u=u, q=q)
    bits, wide = x.view("u4") ^ np.uint32(2**31), y.view("u8") | np.uint64(2**63)
    assert (o.view("u4") == bits).all()
    assert (d.view("u8") == wide).all()
    assert (u == (bits >> 16) * 256 + (bits & 255)).all()
    assert (q == wide + (wide & np.uint64(2**32 - 1))).all()
