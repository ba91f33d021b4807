"""Roundings that NumPy does not have: fused, toward zero, to bfloat16.

Everything is exact: a sum of two floats is a float and an error that is one too, and
so is a product. Sylvie Boldo and Guillaume Melquiond, "Emulation of FMA and correctly
rounded sums: proved algorithms using rounding to odd", IEEE Trans. Comput. 57 (2008).
"""

from fractions import Fraction

import numpy as np

from ptx.kinds import Array

# Splits a double into halves of 26 bits, whose products are exact.
SPLITTER = 2.0**27 + 1
# Neither what is rounded away nor any product of halves leaves the normal numbers.
SMALL, LARGE = 2.0**-400, 2.0**400


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    def split(x: Array) -> tuple[Array, Array]:
        t = SPLITTER * x
        high = t - (t - x)
        return high, x - high

    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def odd_sum(a: Array, b: Array) -> Array:
    """Return a + b in double, of two neighbours of the sum the one with an odd bit.

    Rounded once more to fewer bits, it gives what the sum itself would.
    """
    s, error = two_sum(a, b)
    bits = np.array(s).view("i8")
    inexact = np.isfinite(s) & (error != 0) & (bits & 1 == 0)
    return (bits + np.where(inexact, np.where((error > 0) == (s > 0), 1, -1), 0)).view(
        "f8"
    )


def fma32(a: Array, b: Array, c: Array) -> Array:
    a, b, c = (np.asarray(x).astype("f8") for x in (a, b, c))
    return odd_sum(a * b, c).astype("f4")  # 48 bits: the product is exact


def fma64(a: Array, b: Array, c: Array) -> Array:
    a, b, c = (np.array(x) for x in np.broadcast_arrays(a, b, c))
    plain = a * b + c  # right if a factor is infinite, NaN or zero
    finite = np.isfinite(a) & np.isfinite(b)
    hard = finite & (a != 0) & (b != 0)
    plain[finite & ~np.isfinite(c)] = c[finite & ~np.isfinite(c)]
    hard &= np.isfinite(c)
    easy = hard & ((c == 0) | _moderate(c)) & _moderate(a) & _moderate(b)
    plain[easy] = _fma_moderate(a[easy], b[easy], c[easy])
    for i in np.flatnonzero(hard & ~easy):
        plain[i] = _fma_one(float(a[i]), float(b[i]), float(c[i]))
    return plain


def _moderate(x: Array) -> Array:
    return (np.abs(x) > SMALL) & (np.abs(x) < LARGE)


def _fma_moderate(a: Array, b: Array, c: Array) -> Array:
    uh, ul = two_product(a, b)
    th, tl = two_sum(c, ul)
    vh, vl = two_sum(uh, th)
    return vh + odd_sum(tl, vl)


def _fma_one(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        # A quotient of integers is rounded once, also to a subnormal number.
        return exact.numerator / exact.denominator
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


def add_toward_zero(a: Array, b: Array) -> Array:
    s, error = two_sum(a, b)
    finite = np.isfinite(a) & np.isfinite(b)
    # Too far from zero, or beyond what is finite: one step back.
    far = np.where(
        np.isinf(s), finite, finite & (error != 0) & ((error > 0) != (s > 0))
    )
    return np.where(far, np.nextafter(s, np.zeros_like(s)), s)


def bfloat16(x: Array) -> Array:
    """Return the bits of the nearest bfloat16, of ties the even one."""
    bits = np.ascontiguousarray(x, "f4").view("u4").astype("u8")
    near = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("u2")
    return np.where(np.isnan(x), np.uint16(0x7FFF), near)
