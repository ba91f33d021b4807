"""Arithmetic and comparisons: an opcode becomes types and a function of arrays."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ptx.kinds import DTYPES, FLOATS, INTEGERS, Array, NotInterpreted, require
from ptx.rounding import add_toward_zero, fma32, fma64


class Operation(NamedTuple):
    sources: tuple[str, ...]
    result: str
    compute: Callable[..., Array]


Builder = Callable[[list[str]], Operation]


def only(words: list[str], *, kinds: tuple[str, ...], allowed: str = "") -> str:
    """Return an opcode's type; refuse a type or a modifier that is not known here."""
    kind = words[-1]
    unknown = set(words[1:-1]) - set(allowed.split())
    if kind not in kinds or unknown:
        raise NotInterpreted
    return kind


def smaller(x: Array, y: Array) -> Array:
    """Return minima: a number rather than NaN, and -0 rather than 0."""
    if x.dtype.kind != "f":
        return np.minimum(x, y)
    both = np.bitwise_or(*(a.view(f"u{a.itemsize}") for a in (x, y))).view(x.dtype)
    return np.where((x == 0) & (y == 0), both, np.fmin(x, y))


def larger(x: Array, y: Array) -> Array:
    return -smaller(-x, -y) if x.dtype.kind == "f" else np.maximum(x, y)


def quotient(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return x / y
    require(y != 0, "division by zero")
    q = x // y
    if x.dtype.kind == "i":  # NumPy rounds down, C toward zero
        q = q + ((q * y != x) & ((x < 0) != (y < 0))).astype(x.dtype)
    return q


def remainder(x: Array, y: Array) -> Array:
    return x - quotient(x, y) * y


def high(x: Array, y: Array) -> Array:
    """Return the upper half of a product of integers."""
    size = x.dtype.itemsize
    if size < 8:
        wide = f"{x.dtype.kind}{2 * size}"
        return (x.astype(wide) * y.astype(wide) >> (8 * size)).astype(x.dtype)
    a, b = x.view("u8"), y.view("u8")
    half, low = np.uint64(32), np.uint64(2**32 - 1)
    middle = (a >> half) * (b & low) + ((a & low) * (b & low) >> half)
    other = (a & low) * (b >> half) + (middle & low)
    top = (a >> half) * (b >> half) + (middle >> half) + (other >> half)
    if x.dtype.kind == "i":
        top = top - np.where(x < 0, b, 0) - np.where(y < 0, a, 0)
    return top.view(x.dtype)


def _product(word: str, kind: str) -> tuple[str, Callable[..., Array]]:
    if word == "lo":
        return kind, np.multiply
    if word == "hi":
        return kind, high
    if word != "wide":
        raise NotInterpreted
    wide = f"{kind[0]}{2 * int(kind[1:])}"
    dtype = DTYPES[wide]
    return wide, lambda x, y: x.astype(dtype) * y.astype(dtype)


def multiply(words: list[str]) -> Operation:
    if words[-1] in FLOATS:
        return _binary(np.multiply, FLOATS, "rn")(words)
    kind = only(words, kinds=INTEGERS, allowed="lo hi wide")
    result, compute = _product(words[1], kind)
    return Operation((kind, kind), result, compute)


def multiply_add(words: list[str]) -> Operation:
    kind = only(words, kinds=INTEGERS, allowed="lo hi wide")
    result, product = _product(words[1], kind)
    return Operation((kind, kind, result), result, lambda x, y, z: product(x, y) + z)


def fused(words: list[str]) -> Operation:
    kind = only(words, kinds=FLOATS, allowed="rn")
    return Operation((kind,) * 3, kind, fma32 if kind == "f32" else fma64)


def add(words: list[str]) -> Operation:
    if words[1:-1] == ["rz"] and words[-1] in FLOATS:
        return Operation((words[-1],) * 2, words[-1], add_toward_zero)
    return _binary(np.add, INTEGERS + FLOATS, "rn")(words)


def _binary(
    compute: Callable[..., Array], kinds: tuple[str, ...], allowed: str = ""
) -> Builder:
    def build(words: list[str]) -> Operation:
        kind = only(words, kinds=kinds, allowed=allowed)
        return Operation((kind, kind), kind, compute)

    return build


def _unary(
    compute: Callable[..., Array], kinds: tuple[str, ...], allowed: str = ""
) -> Builder:
    def build(words: list[str]) -> Operation:
        kind = only(words, kinds=kinds, allowed=allowed)
        if kind in FLOATS and allowed and words[1:-1] != [allowed]:
            raise NotInterpreted  # a root or quotient that says not how it rounds
        return Operation((kind,), kind, compute)

    return build


def divide(words: list[str]) -> Operation:
    if words[-1] in FLOATS and words[1:-1] != ["rn"]:
        raise NotInterpreted
    return _binary(quotient, INTEGERS + FLOATS, "rn")(words)


# Of floats, an unordered comparison holds if one is NaN, any other does not.
COMPARE = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: (x < y) | (x > y),
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "equ": lambda x, y: ~((x < y) | (x > y)),
    "neu": lambda x, y: x != y,
    "ltu": lambda x, y: ~(x >= y),
    "leu": lambda x, y: ~(x > y),
    "gtu": lambda x, y: ~(x <= y),
    "geu": lambda x, y: ~(x < y),
    "num": lambda x, y: ~(np.isnan(x) | np.isnan(y)),
    "nan": lambda x, y: np.isnan(x) | np.isnan(y),
    # Of unsigned integers: lower, lower or same, higher, higher or same.
    "lo": lambda x, y: x < y,
    "ls": lambda x, y: x <= y,
    "hi": lambda x, y: x > y,
    "hs": lambda x, y: x >= y,
}
COMBINE = {
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}


def set_predicate(words: list[str]) -> Operation:
    kind, compare = words[-1], COMPARE[words[1]]
    if kind not in INTEGERS + FLOATS or len(words) > 4:
        raise NotInterpreted
    if len(words) == 3:
        return Operation((kind, kind), "pred", compare)
    combine = COMBINE[words[2]]
    return Operation(
        (kind, kind, "pred"), "pred", lambda x, y, c: combine(compare(x, y), c)
    )


def set_number(words: list[str]) -> Operation:
    """Build `set`: all bits, or 1.0, where a comparison holds."""
    _, word, result, kind = words
    compare, dtype = COMPARE[word], DTYPES[result]
    true = np.array([1.0 if dtype.kind == "f" else -1]).astype(dtype)
    return Operation(
        (kind, kind), result, lambda x, y: np.where(compare(x, y), true, dtype.type(0))
    )


def select(words: list[str]) -> Operation:
    kind = only(words, kinds=INTEGERS + FLOATS)
    return Operation((kind, kind, "pred"), kind, lambda x, y, c: np.where(c, x, y))


PROPERTIES = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda x: ~np.isnan(x),
    "notanumber": np.isnan,
    "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny),
    "subnormal": lambda x: (x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny),
}


def test_property(words: list[str]) -> Operation:
    _, word, kind = words
    return Operation((kind,), "pred", PROPERTIES[word])


BUILDERS: dict[str, Builder] = {
    "add": add,
    "sub": _binary(np.subtract, INTEGERS + FLOATS, "rn"),
    "mul": multiply,
    "mad": multiply_add,
    "fma": fused,
    "div": divide,
    "rem": _binary(remainder, INTEGERS),
    "rcp": _unary(lambda x: x.dtype.type(1) / x, FLOATS, "rn"),
    "sqrt": _unary(np.sqrt, FLOATS, "rn"),
    "min": _binary(smaller, INTEGERS + FLOATS),
    "max": _binary(larger, INTEGERS + FLOATS),
    "abs": _unary(np.abs, INTEGERS + FLOATS),
    "neg": _unary(np.negative, INTEGERS + FLOATS),
    # The first operand gives the sign, unlike C's.
    "copysign": _binary(lambda x, y: np.copysign(y, x), FLOATS),
    "testp": test_property,
    "setp": set_predicate,
    "set": set_number,
    "selp": select,
}
