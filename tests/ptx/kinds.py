"""Types of PTX as those of NumPy, constants, and what goes wrong."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
Where: TypeAlias = Any  # the indices of lanes, or the slice of all

ALL = slice(None)
WARP = 32

DTYPES = {
    "pred": np.dtype(bool),
    **{f"{letter}{8 * n}": np.dtype(f"u{n}") for letter in "bu" for n in (1, 2, 4, 8)},
    **{f"s{8 * n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    **{f"f{8 * n}": np.dtype(f"f{n}") for n in (2, 4, 8)},
    "bf16": np.dtype("u2"),  # NumPy has none: its bits
    "f16x2": np.dtype("u4"),
    "bf16x2": np.dtype("u4"),
}
FLOATS = ("f32", "f64")
INTEGERS = tuple(k for k, d in DTYPES.items() if d.kind in "ui" and "f" not in k)


class NotInterpreted(Exception):  # noqa: N818  # what an instruction is
    """PTX that nobody has told this interpreter the meaning of: it never guesses.

    Raised bare where only the words of an instruction are known; its text is added.
    """


class KernelError(RuntimeError):
    """What a device would do wrong, or never end to do."""


class LaneError(Exception):
    """Raised where only positions are known; the machine adds lane and text."""

    def __init__(self, why: str, position: int) -> None:
        super().__init__(why)
        self.position = position


def require(good: Array, why: str) -> None:
    """Raise for the first position that is not good."""
    good = np.atleast_1d(good)
    if not good.all():
        raise LaneError(why, int(np.flatnonzero(~good)[0]))


def unsigned(dtype: np.dtype) -> np.dtype:
    """Return the type of a value's bits."""
    return dtype if dtype.kind == "b" else np.dtype(f"u{dtype.itemsize}")


def constant(text: str, kind: str) -> Array:
    """Return an immediate operand as an array of one, which NumPy broadcasts."""
    dtype = DTYPES[kind]
    if text[:2].lower() in ("0f", "0d"):
        value = np.array([int(text[2:], 16)], "u4" if text[1] in "fF" else "u8")
        return value.view(dtype)
    if dtype.kind == "f":
        return np.array([float(text)], dtype)
    if dtype.kind == "b":
        return np.array([int(text, 0) != 0])
    bits = int(text.rstrip("U"), 0) & ((1 << (8 * dtype.itemsize)) - 1)
    return np.array([bits], unsigned(dtype)).view(dtype)


def narrowed(value: Array, kind: str) -> Array:
    """Read a register of bits, perhaps of more than needed, as a kind."""
    dtype = DTYPES[kind]
    if value.dtype == dtype:
        return value
    if value.dtype.itemsize == dtype.itemsize:
        return value.view(dtype)
    if value.dtype.itemsize < dtype.itemsize or dtype.kind == "b":
        raise NotInterpreted(f"a register of {value.dtype} read as {kind}")
    return value.astype(unsigned(dtype)).view(dtype)


def widened(value: Array, dtype: np.dtype) -> Array:
    """Return a result as the bits of a register, which may be wider."""
    if value.dtype == dtype:
        return value
    if value.dtype.itemsize > dtype.itemsize or "b" in (value.dtype.kind, dtype.kind):
        raise NotInterpreted(f"{value.dtype} written to a register of {dtype}")
    if value.dtype.kind == "f":
        value = value.view(unsigned(value.dtype))
    return value.astype(dtype)  # which extends the sign of what has one
