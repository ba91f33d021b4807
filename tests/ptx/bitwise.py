"""Operations on bits: shifts, fields, permutations, counts."""

from collections.abc import Callable

import numpy as np

from ptx.arithmetic import Builder, Operation, only
from ptx.kinds import INTEGERS, Array, NotInterpreted

BITS = ("b16", "b32", "b64")


def width(x: Array) -> int:
    return 8 * x.dtype.itemsize


def left(x: Array, n: Array) -> Array:
    """Shift; by as many bits as there are, or more, nothing is left."""
    if n.size == 1 and n[0] < width(x):
        return x << n.astype(x.dtype)
    shifted = x << (n % width(x)).astype(x.dtype)
    return np.where(n < width(x), shifted, x.dtype.type(0))


def right(x: Array, n: Array) -> Array:
    """Shift; the sign remains of what has one."""
    if x.dtype.kind == "i":
        return x >> np.minimum(n, width(x) - 1).astype(x.dtype)
    if n.size == 1 and n[0] < width(x):
        return x >> n.astype(x.dtype)
    shifted = x >> (n % width(x)).astype(x.dtype)
    return np.where(n < width(x), shifted, x.dtype.type(0))


def ones(like: Array, n: Array) -> Array:
    """Return masks of the n lowest bits."""
    one = like.dtype.type(1)
    return np.where(
        n < width(like), left(np.full_like(n, 1, like.dtype), n) - one, ~(one - one)
    )


def funnel(words: list[str]) -> Operation:
    _, direction, mode, kind = words
    if kind != "b32" or direction not in "lr" or mode not in ("wrap", "clamp"):
        raise NotInterpreted

    def compute(low: Array, high: Array, n: Array) -> Array:
        n = (n & 31 if mode == "wrap" else np.minimum(n, 32)).astype("u8")
        both = high.astype("u8") << np.uint64(32) | low
        if direction == "r":
            return (both >> n).astype("u4")
        return ((both << n) >> np.uint64(32)).astype("u4")

    return Operation((kind, kind, "u32"), kind, compute)


def extract(words: list[str]) -> Operation:
    kind = only(words, kinds=("u32", "s32", "u64", "s64"))

    def compute(x: Array, start: Array, length: Array) -> Array:
        bits, n = x.view(f"u{x.dtype.itemsize}"), width(x)
        start, length = start & 255, length & 255
        inside = ones(bits, np.minimum(length, np.maximum(n, start) - start))
        field = right(bits, start) & inside
        if kind[0] == "s":
            last = np.minimum(start + np.maximum(length, 1) - 1, n - 1)
            negative = (right(bits, last) & 1 == 1) & (length > 0)
            field = np.where(negative, field | ~inside, field)
        return field.view(x.dtype)

    return Operation((kind, "u32", "u32"), kind, compute)


def insert(words: list[str]) -> Operation:
    kind = only(words, kinds=("b32", "b64"))

    def compute(x: Array, into: Array, start: Array, length: Array) -> Array:
        start, length = start & 255, length & 255
        field = left(ones(x, length), start)
        return (left(x, start) & field) | (into & ~field)

    return Operation((kind, kind, "u32", "u32"), kind, compute)


def permute(words: list[str]) -> Operation:
    kind = only(words, kinds=("b32",))

    def compute(a: Array, b: Array, selector: Array) -> Array:
        both = b.astype("u8") << np.uint64(32) | a
        result = np.zeros(np.broadcast_shapes(both.shape, selector.shape), "u4")
        for i in range(4):
            choice = (selector >> (4 * i) & 15).astype("u8")
            byte = (both >> (8 * (choice & 7)) & 255).astype("u4")
            sign = (byte >> 7) * np.uint32(255)  # of which eight copies
            result |= np.where(choice & 8, sign, byte) << np.uint32(8 * i)
        return result

    return Operation((kind, kind, "u32"), kind, compute)


def any_logic(words: list[str]) -> Operation:
    kind = only(words, kinds=("b32",))

    def compute(a: Array, b: Array, c: Array, table: Array) -> Array:
        result = np.zeros_like(a | b | c)
        for row in range(8):
            terms = [x if row & bit else ~x for x, bit in ((a, 4), (b, 2), (c, 1))]
            chosen = (table >> row & 1) == 1
            result |= np.where(chosen, terms[0] & terms[1] & terms[2], 0).astype("u4")
        return result

    return Operation((kind, kind, kind, "u32"), kind, compute)


def leading_zeros(x: Array) -> Array:
    shift = 1
    while shift < width(x):
        x = x | x >> x.dtype.type(shift)
        shift *= 2
    return (width(x) - np.bitwise_count(x)).astype("u4")


def find(words: list[str]) -> Operation:
    """Build `bfind`: where the highest bit is that is not the sign."""
    kind = only(words, kinds=("u32", "s32", "u64", "s64"), allowed="shiftamt")

    def compute(x: Array) -> Array:
        bits = (np.where(x < 0, ~x, x) if kind[0] == "s" else x).view(f"u{x.itemsize}")
        zeros = leading_zeros(bits)
        place = zeros if "shiftamt" in words else width(x) - 1 - zeros
        return np.where(bits == 0, np.uint32(2**32 - 1), place.astype("u4"))

    return Operation((kind,), "u32", compute)


def reverse(x: Array) -> Array:
    shift = width(x) // 2
    while shift:
        mask = x.dtype.type((2 ** width(x) - 1) // (2**shift + 1))
        n = x.dtype.type(shift)
        x = (x >> n & mask) | (x & mask) << n
        shift //= 2
    return x


def _count(compute: Callable[[Array], Array]) -> Builder:
    def build(words: list[str]) -> Operation:
        kind = only(words, kinds=("b32", "b64"))
        return Operation((kind,), "u32", lambda x: compute(x).astype("u4"))

    return build


def _logic(compute: Callable[..., Array], operands: int = 2) -> Builder:
    def build(words: list[str]) -> Operation:
        kind = only(words, kinds=(*BITS, "pred"))
        return Operation((kind,) * operands, kind, compute)

    return build


def _shift(compute: Callable[..., Array]) -> Builder:
    def build(words: list[str]) -> Operation:
        kind = only(words, kinds=INTEGERS)
        return Operation((kind, "u32"), kind, compute)

    return build


def _reversed(words: list[str]) -> Operation:
    kind = only(words, kinds=("b32", "b64"))
    return Operation((kind,), kind, reverse)


BUILDERS: dict[str, Builder] = {
    "and": _logic(np.bitwise_and),
    "or": _logic(np.bitwise_or),
    "xor": _logic(np.bitwise_xor),
    "not": _logic(np.invert, 1),
    "shl": _shift(left),
    "shr": _shift(right),
    "shf": funnel,
    "bfe": extract,
    "bfi": insert,
    "prmt": permute,
    "lop3": any_logic,
    "popc": _count(np.bitwise_count),
    "clz": _count(leading_zeros),
    "bfind": find,
    "brev": _reversed,
}
