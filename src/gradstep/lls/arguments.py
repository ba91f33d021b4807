"""Checks of what callers pass: messages name function, argument and remedy."""

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep import dtypes, storage
from gradstep.hyper import is_integer, is_real
from gradstep.optimizer import Optimizer
from gradstep.structure import Array


def whole(name: str, value: Any, low: int) -> int:
    """Return an int of at least `low`."""
    if not is_integer(value):
        raise TypeError(f"{name} must be int, got {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be >= {low}, got {value}")
    return int(value)


def seed(name: str, value: Any) -> int:
    """Return a key of shuffles."""
    key = whole(name, value, 0)
    if key >= 2**64:
        raise ValueError(f"{name} must be below 2**64, got {key}")
    return key


def number(name: str, value: Any, low: float) -> float:
    """Return a finite float of at least `low`."""
    if not (is_real(value) and isinstance(value, (int, float, np.number))):
        raise TypeError(f"{name} must be float, got {type(value).__name__}")
    try:  # at once: a float32 would be compared as float32
        real = float(value)
    except OverflowError:
        real = math.inf
    if not low <= real < math.inf:
        raise ValueError(f"{name} must be finite and >= {low:g}, got {value}")
    return real


def tolerance(name: str, value: Any) -> float:
    """Return a relative tolerance, in [0, 1)."""
    tol = number(name, value, 0)
    if tol >= 1:
        raise ValueError(f"{name} must be in [0, 1), as it is relative, got {tol}")
    return tol


def penalty(who: str, ridge: Any, n: int | None) -> float:
    """Return the penalty for each of n rows."""
    value = number(f"{who}: ridge", ridge, 0)
    if value and n is None:
        raise ValueError(
            f"{who}: ridge needs the number of rows, which an iterator that is read "
            "once does not tell; pass a list, or an object whose __iter__ begins anew, "
            "whose rows are counted first"
        )
    return value / n if value and n else 0.0


def flag(name: str, value: Any) -> bool:
    """Return a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return the value, if it is one of these."""
    known = value is None or isinstance(value, str)  # others may not compare
    if not (known and value in allowed):
        names = ", ".join(map(repr, allowed[:-1])) + f" or {allowed[-1]!r}"
        raise ValueError(f"{name} must be {names}, got {value!r}")
    return value


def is_callable(name: str, value: object, example: str) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        kind = type(value).__name__
        raise TypeError(f"{name} must be callable, such as {example}, got {kind}")


def is_path(value: Any) -> bool:
    """Return whether a value can only be meant as the path of a file."""
    return isinstance(value, (str, os.PathLike))


def real_array(name: str, value: npt.ArrayLike, *, complex_hint: str = "") -> Array:
    """Return an array of real numbers, the same one if it is one.

    complex_hint : what the message adds for complex numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; pass value.filled(...)")
    if is_path(value):
        raise TypeError(
            f"{name} must hold real numbers, got {str(value)!r}; for a .npy file pass "
            "np.load(path), or call lls.fit with the path"
        )
    try:
        a = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    if a.dtype.kind not in "fiub":
        hint = complex_hint if a.dtype.kind == "c" else ""
        raise TypeError(f"{name} must hold real numbers, got {a.dtype}{hint}")
    return a


def finite(name: str, a: Array, *, first_row: int = 0) -> Array:
    """Refuse an array with NaN or infinity; its rows are numbered from `first_row`."""
    is_finite = np.isfinite(a)
    if not is_finite.all():
        a, is_finite = np.atleast_1d(a, is_finite)
        at = np.unravel_index(int(is_finite.argmin()), a.shape)
        place = f"index {at[0]}" if a.ndim == 1 else name_row(first_row + int(at[0]))
        if a.ndim == 2 and a.shape[1] > 1:
            place += f", column {at[1]}"
        remedy = _REMEDY if a.ndim == 2 else ""
        raise nonfinite(name, f"{a[at]} in {place}", remedy)
    return a


_REMEDY = "; remove such rows, or fill in their values"


def nonfinite(name: str, place: str, remedy: str = _REMEDY) -> ValueError:
    """Return the error for an array that holds NaN or infinity in a place."""
    return ValueError(
        f"{name} must be finite, but holds NaN or infinity: {place}{remedy}"
    )


def plain(a: Array, dtype: Any) -> Array:
    """Return an array that C can read, the same one if it is so already."""
    return a if _is_plain(a, dtype) else np.require(a, dtype, ["C", "A"])


def _is_plain(a: Array, dtype: Any) -> bool:
    is_same = dtypes.is_same(a.dtype, np.dtype(dtype))
    return is_same and a.flags.c_contiguous and a.flags.aligned


def narrowed(name: str, a: Array, dtype: Any) -> Array:
    """Return `plain`, and refuse numbers that the type cannot hold."""
    if _is_plain(a, dtype):
        return a
    with np.errstate(over="ignore"):
        converted = plain(a, dtype)
    if not np.array_equal(np.isfinite(converted), np.isfinite(a)):
        is_single = dtypes.is_same(np.dtype(dtype), dtypes.FLOAT32)
        remedy = ", the dtype of X; scale it, or pass X as float64"
        raise ValueError(
            f"{name} holds a value beyond the range of {np.dtype(dtype)}"
            f"{remedy if is_single else '; scale it'}"
        )
    return converted


def name_row(row: int) -> str:
    """Return how messages name a row of arrays."""
    return f"row {row}"


def weights(
    name: str,
    value: npt.ArrayLike,
    n: int,
    row_name: Callable[[int], str] = name_row,
) -> Array:
    """Return one weight for each row as float64: finite, none negative."""
    given = real_array(name, value)
    if given.shape != (n,):
        raise ValueError(
            f"{name} must have shape ({n},), one weight for each row of X, got "
            f"{given.shape}"
        )
    with np.errstate(over="ignore"):
        s = plain(given, np.float64)
    bad = ~(np.isfinite(s) & (s >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{name} must be finite and at least 0, got {s[row]} for "
            f"{row_name(row)}; leave rows out by a weight of 0"
        )
    return s


def row_numbers(name: str, rows: npt.ArrayLike, n: int, fit: Any) -> Array:
    """Return int64 rows, all in [0, n) by `fit`, in an array of our own."""
    try:
        a = np.asarray(rows)
    except ValueError as error:
        raise ValueError(f"{name} must return an array: {error}") from None
    if a.shape == (0,):
        return np.empty(0, np.int64)  # whatever type NumPy gave to []
    if a.ndim != 1 or a.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must return a 1-d array of integers, got {a.dtype} of shape "
            f"{a.shape}"
        )
    rows = np.array(a, np.int64)  # a copy, which nobody can change after the check
    if not fit(rows, n):
        raise ValueError(
            f"{name} must return rows in [0, {n}), got {a.min()} to {a.max()}"
        )
    return rows


def own_optimizer(who: str, make: Any, params: Any) -> Optimizer:
    """Return the optimizer that is made of these parameters, and of them alone."""
    is_callable(f"{who}: optimizer", make, "functools.partial(gradstep.SGD, lr=1e-3)")
    found = make(params)
    wanted = [id(p) for p in (params if isinstance(params, list) else [params])]
    if (
        not isinstance(found, Optimizer)
        or [id(p) for g in found.param_groups for p in g["params"]] != wanted
    ):
        what = "array" if len(wanted) == 1 else "coefficients and intercept"
        raise TypeError(
            f"{who}: optimizer must return a gradstep optimizer of the {what} that it "
            "was given, such as functools.partial(gradstep.SGD, lr=1e-3)"
        )
    only_steps(who, found)
    return found


def only_steps(who: str, optimizer: Optimizer) -> None:
    """Refuse an optimizer that does what the loop in C cannot."""
    if not optimizer.engine_is_step():
        raise ValueError(
            f"{who}: {type(optimizer).__name__} does more in a step than fit can; pass "
            "a rule itself, and Adan without restart_radius"
        )
    for group in optimizer.param_groups:
        if name := storage.requested(group):
            raise ValueError(
                f"{who}: coefficients and states are stepped in the dtype of X; leave "
                f"out {name}, got {group[name]!r}"
            )
    if optimizer.gradient_elsewhere():
        raise ValueError(
            f"{who}: the optimizer wants gradients at its lookahead(), fit takes them "
            "at the coefficients; use SGD(nesterov=True, form='buffer')"
        )
