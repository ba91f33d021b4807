"""What `solve` is asked to do, checked."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradstep.hyper import Real
from gradstep.lls.exact.tall import Shape

METHODS = ("svd", "qr", "normal", "cg")

# How to go on where a method does not take data of a kind.
_REMEDIES = {
    "blocks": "cg reads X many times, blocks are read once; pass method='qr'",
    "sparse X": "pass method='cg', or X.toarray() if that fits into memory",
}


@dataclass(frozen=True)
class Options:
    """The arguments of `solve` that are no data."""

    method: str | None
    intercept: bool
    ridge: float
    rcond: float | None

    def threshold(self, n: int, shape: Shape) -> float:
        """Return rcond: by default what rounding of results and of X itself makes."""
        if self.rcond is not None:
            return self.rcond
        arithmetic = np.finfo(np.float64).eps * max(n, shape.columns)
        data = np.finfo(shape.dtype).eps * math.sqrt(shape.columns)
        return float(max(arithmetic, data))

    def chosen(self, kind: str, methods: tuple[str, ...]) -> "Options":
        """Return these with the method for data of a kind, the first by default."""
        method = methods[0] if self.method is None else self.method
        if method not in methods:
            raise ValueError(
                f"solve: method {method!r} does not take {kind}: {_REMEDIES[kind]}"
            )
        if method == "cg" and self.rcond is not None:
            raise ValueError(
                f"solve: rcond must be None with method='cg', which finds no rank, got "
                f"{self.rcond}"
            )
        return replace(self, method=method)


def checked(method: Any, intercept: Any, ridge: Any, rcond: Any) -> Options:
    """Return options, each of the right type and in its interval."""
    if not (method is None or (isinstance(method, str) and method in METHODS)):
        names = ", ".join(map(repr, METHODS))
        raise ValueError(f"solve: method must be {names} or None, got {method!r}")
    if not isinstance(intercept, (bool, np.bool_)):
        kind = type(intercept).__name__
        raise TypeError(f"solve: intercept must be bool, got {kind}")
    penalty = Real(None, 0.0, math.inf, open_high=True).check("solve", "ridge", ridge)
    if rcond is not None:
        rcond = Real(None, 0.0, 1.0, open_high=True).check("solve", "rcond", rcond)
    return Options(method, bool(intercept), penalty, rcond)
