"""Conversions: between integers, between floats, and from one to the other."""

from collections.abc import Callable

import numpy as np

from ptx.arithmetic import Operation
from ptx.kinds import DTYPES, INTEGERS, Array, NotInterpreted
from ptx.rounding import bfloat16

TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
FLOATING = ("f16", "f32", "f64")


def convert(words: list[str]) -> Operation:
    *modifiers, result, kind = words[1:]
    if result in ("f16x2", "bf16x2"):
        return _pair(modifiers, result, kind)
    return Operation((kind,), result, _single(modifiers, result, kind))


def _single(modifiers: list[str], result: str, kind: str) -> Callable[[Array], Array]:
    dtype = DTYPES[result]
    if kind == "bf16" and result == "f32" and not modifiers:
        return lambda x: (x.astype("u4") << np.uint32(16)).view("f4")
    if result == "bf16" and kind == "f32" and modifiers == ["rn"]:
        return bfloat16
    if kind in FLOATING and result in INTEGERS:
        (rounding,) = modifiers
        nearest = TO_INTEGER[rounding]
        return lambda x: _saturated(nearest(x), result)
    if kind == result and kind in FLOATING and modifiers:
        (rounding,) = modifiers
        return TO_INTEGER[rounding]
    exact = (
        kind in INTEGERS
        if result in INTEGERS
        else kind in FLOATING and dtype.itemsize >= DTYPES[kind].itemsize
    )
    known = kind in (*INTEGERS, *FLOATING) and result in (*INTEGERS, *FLOATING)
    # NumPy may round an integer twice on its way to a half.
    twice = kind in INTEGERS and result == "f16"
    if not known or twice or modifiers != ([] if exact else ["rn"]):
        raise NotInterpreted
    return lambda x: x.astype(dtype)


def _saturated(x: Array, kind: str) -> Array:
    """Return integral floats as integers, the nearest there is to those too large."""
    dtype = DTYPES[kind]
    info, wide = np.iinfo(dtype), x.astype("f8")
    above, below = wide >= float(info.max) + (info.bits < 64), wide < float(info.min)
    inside = np.where(above | below | np.isnan(x), 0, wide).astype(dtype)
    # No number is 0, but with 64 bits on either side the highest bit alone.
    high = x.dtype.itemsize == 8 or info.bits == 64
    nothing = np.array([high << (info.bits - 1)], f"u{info.bits // 8}").view(dtype)
    return np.select(
        [above, below, np.isnan(x)],
        [dtype.type(info.max), dtype.type(info.min), nothing],
        inside,
    )


def _pair(modifiers: list[str], result: str, kind: str) -> Operation:
    """Build the conversion of two floats, the first to the upper half."""
    if modifiers != ["rn"] or kind != "f32":
        raise NotInterpreted

    def half(x: Array) -> Array:
        bits = bfloat16(x) if result == "bf16x2" else x.astype("f2").view("u2")
        return bits.astype("u4")

    return Operation(
        (kind, kind), result, lambda a, b: half(a) << np.uint32(16) | half(b)
    )


BUILDERS = {"cvt": convert}
