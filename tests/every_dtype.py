"""Every dtype that NumPy has, and arrays of it with numbers that all of them hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

import gradstep as gs

Array: TypeAlias = Any

# Integers that lists of rows may hold, too; narrow dtypes wrap them around.
NUMBERS = (1, 2, 0, 1, 1, 2, 2)


class Half(np.void):
    """A user's structured scalar, whose dtype is called half16."""


class bfloat(np.void):  # noqa: N801  # its dtype is called bfloat16, and is none
    """Two bytes that are no number."""


def _structured() -> dict[str, Any]:
    return {
        "one float32 field": np.dtype([("a", "f4")]),
        "one float64 field": np.dtype([("a", "f8")]),
        "two fields": np.dtype([("a", "f4"), ("b", "f4")]),
        "subarray field": np.dtype([("a", "f4", (2,))]),
        "nested": np.dtype([("a", [("b", "f8")])]),
        "record": np.dtype((np.record, [("a", "f8")])),
        "aligned": np.dtype([("a", "u1"), ("b", "f8")], align=True),
        "padded bfloat16": np.dtype(
            {"names": ["bfloat16"], "formats": ["u2"], "itemsize": 4}
        ),
        "bfloat16 of int16": np.dtype([("bfloat16", "i2")]),
        "bfloat16 of float16": np.dtype([("bfloat16", "f2")]),
        "bfloat16 of uint32": np.dtype([("bfloat16", "u4")]),
        "swapped bfloat16": gs.bfloat16.newbyteorder("S"),
        "named bfloat16": np.dtype((bfloat, 2)),
        "named half": np.dtype((Half, 2)),
        "bfloat16": gs.bfloat16,
    }


def dtypes() -> dict[str, Any]:
    """Return dtypes by a name: NumPy's, theirs in the other byte order, users'."""
    found = {str(np.dtype(c)): np.dtype(c) for c in np.typecodes["All"]}
    found |= {f"C type {c}": np.dtype(c) for c in "lLqQ"}
    found |= {text: np.dtype(text) for text in ("S1", "S8", "U1", "U8", "V1", "V8")}
    found |= {f"{k}8[{unit}]": np.dtype(f"{k}8[{unit}]") for k in "mM" for unit in "sD"}
    found |= _structured()
    if hasattr(np.dtypes, "StringDType"):
        found["StringDType"] = np.dtypes.StringDType()
    found["float64 with metadata"] = np.dtype("f8", metadata={"unit": "m"})
    for name in dir(ml_dtypes):
        kind = getattr(ml_dtypes, name)
        if isinstance(kind, type) and issubclass(kind, np.generic):
            found[f"ml {name}"] = np.dtype(kind)
    swapped = {
        f"swapped {name}": dtype.newbyteorder("S")
        for name, dtype in found.items()
        if dtype.kind in "iufcmMU" and dtype.itemsize > 1
    }
    return found | swapped


DTYPES = dtypes()


def filled(dtype: Any, shape: tuple[int, ...], numbers: tuple[int, ...]) -> Array:
    """Return an array of some numbers, or of bits where it holds none, in a dtype."""
    a = np.resize(np.array(numbers), shape)
    if dtype == gs.bfloat16:
        return gs.to_bfloat16(a)
    if dtype.kind in "SUT":
        return a.astype("U1").astype(dtype)
    if dtype.kind in "mM":
        return a.astype("i8").view(f"{dtype.kind}8[s]").astype(dtype)
    if dtype.kind == "O":
        return a.astype(float).astype(object)
    if dtype.kind != "V" or dtype.isbuiltin == 2:
        return a.astype(dtype)
    found = np.zeros(shape, dtype)
    if dtype.itemsize:
        bits = np.arange(found.nbytes, dtype=np.uint64) % 251 + 1
        found.reshape(-1).view(np.uint8)[:] = bits
    return found


def is_real(dtype: Any) -> bool:
    """Return whether it is one of NumPy's own dtypes of real numbers."""
    return dtype.kind in "biuf" and dtype.isbuiltin != 2


def is_integer(dtype: Any) -> bool:
    """Return whether it is one of NumPy's own dtypes of integers."""
    return dtype.kind in "iu" and dtype.isbuiltin != 2


def is_float(dtype: Any) -> bool:
    """Return whether it is float64 or float32 in native byte order."""
    return dtype in (np.float64, np.float32)


def is_steppable(dtype: Any) -> bool:
    """Return whether optimizers take parameters of this dtype."""
    bfloat16 = (gs.bfloat16, np.dtype(ml_dtypes.bfloat16))
    return dtype in (np.float64, np.float32, np.float16, *bfloat16)


def real_numbers(a: Array) -> Array | None:
    """Return the same numbers as float64, one by one; None if they are no such."""
    if a.dtype == gs.bfloat16:
        bits = a.view(np.uint16).astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32).astype(np.float64)
    is_users = a.dtype.isbuiltin == 2 and "complex" not in a.dtype.name
    if not (is_real(a.dtype) or is_users or a.dtype.kind == "O"):
        return None
    return np.array([float(x) for x in a.ravel()]).reshape(a.shape)


Call: TypeAlias = Callable[[Array], Any]
Image: TypeAlias = Callable[[], Any]


@dataclass(frozen=True)
class Role:
    """A part that an array can play in the public interface.

    `start` returns a call with the array, whose result is compared, and what a refused
    call must leave as it is. Messages match `argument`. All dtypes of which `exact` is
    true have to be accepted, and if `only` is set, no others.
    """

    argument: str
    start: Callable[[], tuple[Call, Image]]
    shape: tuple[int, ...]
    exact: Callable[[Any], bool]
    only: bool = False
    # The dtype whose result an array of another one must give.
    plain: Callable[[Any], Any] = lambda _: np.float64
    numbers: tuple[int, ...] = NUMBERS

    def failures(self) -> list[str]:
        """Return what is wrong with each dtype that is neither exact nor refused."""
        expected: dict[Any, Any] = {}
        found = [
            f"{name}: {text}"
            for name, dtype in DTYPES.items()
            if (text := self._failure(dtype, expected))
        ]
        return [*found, f"{len(found)} of {len(DTYPES)}"] if found else []

    def _failure(self, dtype: Any, expected: dict[Any, Any]) -> str:
        call, image = self.start()
        a = filled(dtype, self.shape, self.numbers)
        numbers, before = real_numbers(a), (image(), bytes_of(a))
        try:
            result = call(a)
        except (TypeError, ValueError) as error:
            if (image(), bytes_of(a)) != before:
                return f"was refused, but something changed: {error}"
            return self._refusal(dtype, str(error))
        except Exception as error:
            return f"raised {error!r}"
        if numbers is None or (self.only and not self.exact(dtype)):
            return "must be refused"
        like = np.dtype(self.plain(dtype))
        key = (str(like), numbers.tobytes())
        if key not in expected:
            expected[key] = self.start()[0](in_plain(numbers, like))
        return "" if result == expected[key] else "gives another result"

    def _refusal(self, dtype: Any, message: str) -> str:
        if not re.search(self.argument, message):
            return f"{self.argument!r} is not in {message!r}"
        return f"must be accepted: {message}" if self.exact(dtype) else ""


def in_plain(numbers: Array, dtype: Any) -> Array:
    """Return numbers in a dtype that all functions take."""
    return gs.to_bfloat16(numbers) if dtype == gs.bfloat16 else numbers.astype(dtype)


def bytes_of(a: Array) -> bytes:
    """Return the bytes of an array, those of strings of any length as text."""
    return repr(a.tolist()).encode() if a.dtype.kind in "OT" else a.tobytes()
