"""Arguments, and what functions return, as float64."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep.hyper import Real
from gradstep.lls import arguments

Floats: TypeAlias = npt.NDArray[np.float64]
Function: TypeAlias = Callable[[Floats], Any]

RTOL = Real(None, 0.0, 1.0, open_high=True)


def floats(name: str, value: npt.ArrayLike) -> Floats:
    """Return finite real numbers as float64."""
    return arguments.finite(name, arguments.real_array(name, value)).astype(np.float64)


def number(owner: str, found: Any) -> Any:
    """Return the one real number that a function has returned, in its own type."""
    a = arguments.real_array(f"{owner}: what fun returns", found)
    if a.size != 1:
        raise ValueError(f"{owner}: fun must return one number, got shape {a.shape}")
    return a.reshape(())[()]


def value_at(owner: str, fun: Function, x: Floats) -> float:
    """Return a function's value, which must be finite."""
    value = float(number(owner, fun(x.copy())))
    if not np.isfinite(value):
        raise ValueError(f"{owner}: fun must be finite, got {value} at {x.tolist()}")
    return value
