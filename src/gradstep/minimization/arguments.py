"""What users pass beside their functions."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstep import dtypes
from gradstep.lls.arguments import real_array
from gradstep.minimization.problem import Point
from gradstep.structure import Array


def start(x0: Any) -> Array:
    """Return a copy of x0 that an optimizer can step."""
    hint = "; pass z.view(float), of which fun makes z by x.view(complex)"
    a = np.atleast_1d(real_array("minimize: x0", x0, complex_hint=hint))
    if a.ndim != 1 or not a.size:
        raise ValueError(f"minimize: x0 must have shape (n,), n >= 1, got {a.shape}")
    dtype = dtypes.float32_or_float64(a.dtype.newbyteorder("="))
    with np.errstate(over="ignore"):  # of longer floats
        x = np.array(a, dtype)
    if not np.isfinite(x).all():
        raise ValueError("minimize: x0 must be finite, but holds NaN or infinity")
    return x


def halting(callback: Any) -> Callable[[Point], bool]:
    """Return a function that calls the callback; true if it raises StopIteration."""
    from scipy.optimize import OptimizeResult  # noqa: PLC0415  # heavy

    if callback is None:
        return lambda _: False
    check_callable("callback", callback, "print")
    try:
        names = set(inspect.signature(callback).parameters)
    except ValueError:  # some functions in C have none
        names = set()

    def halted(now: Point) -> bool:
        x = now.x.copy()
        try:
            if names == {"intermediate_result"}:  # scipy's own criterion
                callback(intermediate_result=OptimizeResult(x=x, fun=now.fun))
            else:
                callback(x)
        except StopIteration:
            return True
        return False

    return halted


def check_no_constraints(constraints: Any) -> None:
    """Refuse constraints of any kind."""
    none = isinstance(constraints, (tuple, list)) and not constraints
    if constraints is not None and not none:
        raise ValueError(
            "minimize: constraints must be empty, got "
            f"{constraints!r}; use bounds, or method='SLSQP' or 'trust-constr'"
        )


def check_callable(name: str, value: object, example: str) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        kind = type(value).__name__
        raise TypeError(
            f"minimize: {name} must be callable, such as {example}, got {kind}"
        )
