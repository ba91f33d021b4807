"""Arguments of pictures, checked before anything is drawn."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from gradstep.hyper import is_integer

Floats = npt.NDArray[np.float64]


def numbers(name: str, value: object) -> Floats:
    """Return real numbers of any type as float64."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; pass value.filled(np.nan)")
    try:
        a = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    if a.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must hold real numbers, got {type(value).__name__} of {a.dtype}"
        )
    return a.astype(np.float64, copy=False)


def finite(name: str, value: object) -> Floats:
    """Return real numbers as float64, none of them NaN or infinite."""
    a = numbers(name, value)
    bad = np.argwhere(~np.isfinite(a))
    if len(bad):
        at = tuple(bad[0].tolist())
        where = str(list(at)) if at else ""
        raise ValueError(f"{name}{where} must be finite, got {a[at]}")
    return a


def count(who: str, name: str, value: object, least: int = 1) -> int:
    """Return a whole number of at least so many."""
    if not is_integer(value) or int(value) < least:
        raise ValueError(
            f"{who}: {name} must be an int of at least {least}, got {value!r}"
        )
    return int(value)


def texts(name: str, value: object, count: int, example: str) -> tuple[str, ...]:
    """Return as many strings as there are things to name."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(
            f"{name} must be a sequence of {count} str, such as {example}, got "
            f"{value!r}"
        )
    found = tuple(value)
    for i, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{i}] must be str, got {type(text).__name__}")
    if len(found) != count:
        raise ValueError(
            f"{name} has {len(found)} entries, expected {count}, such as {example}"
        )
    return found
