"""Codes for numbers in fewer bits, from their definitions and in NumPy alone."""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Codes: TypeAlias = NDArray[np.uint16]
Words: TypeAlias = NDArray[np.uint32]
Numbers: TypeAlias = NDArray[np.uint64]
Floats: TypeAlias = NDArray[np.float32]
Wide: TypeAlias = NDArray[np.float64]
Signed: TypeAlias = NDArray[np.int64]

IntOrNumbers = TypeVar("IntOrNumbers", int, Numbers)

BLOCK = 256
SMALLEST_NORMAL = np.float32(2.0**-126)
NAN = 0x7FC0
MASK32 = 2**32 - 1
MASK64 = 2**64 - 1


def _magnitudes() -> Wide:
    """Values of the codes 0 to 0x7f80, the last of which is 2^128, not infinity.

    f 2^-133 where the exponent's bits e are zero, else (128 + f) 2^(e - 134).
    """
    code = np.arange(0x7F81)
    exponent, fraction = code >> 7, code & 127
    normal = np.ldexp(128.0 + fraction, exponent - 134)
    return np.where(exponent == 0, np.ldexp(1.0 * fraction, -133), normal)


MAGNITUDES = _magnitudes()


def _bits(x: Floats) -> Signed:
    """Bits of each number, as an integer from 0 to 2^32 - 1."""
    return np.asarray(x, np.float32).view(np.uint32).astype(np.int64)


def _floats(bits: Signed) -> Floats:
    """Numbers which have these bits."""
    return bits.astype(np.uint32).view(np.float32)


def _nearest(x: Floats, away: bool) -> Signed:
    """Code of the nearest bfloat16; ties go away from zero, or else to the even code.

    All differences are exact in float64.
    """
    nan = np.isnan(x)
    size = np.abs(np.where(nan, np.float32(0), x)).astype(np.float64)
    below = np.searchsorted(MAGNITUDES, size, side="right") - 1
    above = np.minimum(below + 1, 0x7F80)
    size = np.minimum(size, MAGNITUDES[-1])
    down, up = size - MAGNITUDES[below], MAGNITUDES[above] - size
    tie_up = np.logical_or(away, below % 2 == 1)
    code = np.where((up < down) | ((up == down) & tie_up), above, below)
    return np.where(nan, NAN, code + 0x8000 * np.signbit(x))


def bfloat16_nearest(x: Floats) -> Codes:
    """Round to the nearest bfloat16, ties to even, as IEEE 754 does."""
    return _nearest(x, away=False).astype(np.uint16)


def bfloat16_values(codes: Codes) -> Floats:
    """Read bfloat16 codes, each the upper half of a float32."""
    return _floats(codes.astype(np.int64) * 2**16)


def float16_nearest(x: Floats) -> Codes:
    """Round to the nearest float16, ties to even, as IEEE 754 does."""
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float16).view(np.uint16)


def float16_values(codes: Codes) -> Floats:
    """Read float16 codes."""
    with np.errstate(invalid="ignore"):
        return codes.view(np.float16).astype(np.float32)


def split(x: Floats) -> tuple[Codes, Codes]:
    """Split a float32 into its nearest bfloat16, ties away from zero, and the rest.

    The rest is the difference of the bits, in two's complement.
    """
    bits = np.where(np.isnan(x), NAN * 2**16, _bits(x))
    high = _nearest(x, away=True)
    low = (bits - high * 2**16) % 2**16
    return high.astype(np.uint16), low.astype(np.uint16)


def joined(high: Codes, low: Codes) -> Floats:
    """Join again what `split` has split."""
    rest = low.astype(np.int64)
    rest = np.where(rest < 2**15, rest, rest - 2**16)
    return _floats((high.astype(np.int64) * 2**16 + rest) % 2**32)


def _mix(x: IntOrNumbers) -> IntOrNumbers:
    """Output function of splitmix64."""
    x = x ^ (x >> 30)
    x = (x * 0xBF58476D1CE4E5B9) & MASK64
    x = x ^ (x >> 27)
    x = (x * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def noise(key: int, at: Numbers) -> Words:
    """Draw 32 random bits for each number, by hashing it with the key."""
    at = np.asarray(at, np.uint64)
    keys = _mix((at >> 32) + np.uint64(key % 2**64))
    first, second = keys & MASK32, keys >> 32
    x = ((at & MASK32) + first) & MASK32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK32
    x = (x + second) & MASK32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK32
    return (x ^ (x >> 16)).astype(np.uint32)


def _numbers(start: int, count: int) -> Numbers:
    """Numbers of `count` elements from `start` on, modulo 2^64."""
    return np.arange(count, dtype=np.uint64) + np.uint64(start % 2**64)


def bfloat16_random(x: Floats, key: int, start: int = 0) -> Codes:
    """Round to one of the two bfloat16 around x, at random and right in the mean."""
    high, low = np.divmod(_bits(x), 2**16)
    drawn = noise(key, _numbers(start, len(x))).astype(np.int64) // 2**16
    code = high + (low + drawn >= 2**16)
    return np.where(np.isnan(x), NAN, code).astype(np.uint16)


def array_key(seed: int, tensor: int, array: int, t: int) -> int:
    """Key of one array in step t: array 0 is the parameter, 1 + k is state k."""
    step = _mix((_mix((seed + 0x9E3779B97F4A7C15) % 2**64) + t) % 2**64)
    return _mix((step + tensor * 7 + array) % 2**64)


def _block(x: Floats, u: Floats) -> tuple[Bytes, np.float32]:
    """Code one block, with u uniform in [0, 1)."""
    nothing = np.zeros(len(x), np.uint8)
    if not np.isfinite(x).all():
        return nothing, np.float32(np.nan)
    m = np.max(np.abs(x))
    if m < SMALLEST_NORMAL:
        return nothing, np.float32(0)
    inverse = np.float32(1) / m
    if (x < 0).any():
        q = np.sqrt(np.abs(x) * inverse) * np.float32(127)
        n = np.minimum((q + u).astype(np.int64), 127)
        return np.where(x < 0, 128 - n, 128 + n).astype(np.uint8), -m
    q = np.sqrt(np.sqrt(x * inverse)) * np.float32(255)
    code = np.clip((q + u).astype(np.int64), x > 0, 255)
    return code.astype(np.uint8), m


def blocks(x: Floats, key: int, start: int = 0) -> tuple[Bytes, Floats]:
    """Code blocks of 256 elements, the first from x[0] on, rounding at random.

    A scale is the largest magnitude in its block, negated where any x < 0. Element i
    draws the noise of number start + i.
    """
    drawn = noise(key, _numbers(start, len(x))) >> 8
    u = drawn.astype(np.float32) * np.float32(2.0**-24)
    codes = np.zeros(len(x), np.uint8)
    scales = np.zeros(-(-len(x) // BLOCK), np.float32)
    for i in range(len(scales)):
        here = slice(i * BLOCK, (i + 1) * BLOCK)
        codes[here], scales[i] = _block(x[here], u[here])
    return codes, scales


def block_values(codes: Bytes, scales: Floats) -> Floats:
    """Read what `blocks` has written: m s^4, or m s |s| where the scale is -m."""
    scale = np.repeat(scales, BLOCK)[: len(codes)]
    code = codes.astype(np.float32)
    fourth_root = code * np.float32(1 / 255)
    square = fourth_root * fourth_root
    root = (code - np.float32(128)) * np.float32(1 / 127)
    with np.errstate(over="ignore", invalid="ignore"):
        unsigned = scale * (square * square)
        signed = -scale * (root * np.abs(root))
    return np.where(scale < 0, signed, unsigned)
