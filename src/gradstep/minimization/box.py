"""Box bounds, and what they do to points and gradients."""

from typing import Any

import numpy as np

from gradstep.lls.arguments import real_array
from gradstep.structure import Array


class Box:
    """Lower and upper bounds of each variable, of the dtype and shape of `x`."""

    def __init__(self, bounds: Any, x: Array) -> None:
        low, high = _ends(bounds)
        try:
            low, high = (np.broadcast_to(end, x.shape) for end in (low, high))
        except ValueError:
            raise ValueError(
                f"minimize: bounds must be of as many variables as x0, {x.size}, got "
                f"{max(np.size(low), np.size(high))}"
            ) from None
        _check("have lower <= upper", low <= high, low, high)
        self.low = _rounded(low, x.dtype, np.inf)
        self.high = _rounded(high, x.dtype, -np.inf)
        inside = self.low <= self.high
        inside &= (self.low < np.inf) & (self.high > -np.inf)
        _check(f"hold a finite {x.dtype}", inside, low, high)
        self.bounded = bool((np.isfinite(low) | np.isfinite(high)).any())

    def project(self, x: Array) -> None:
        """Move a point to the nearest one in the box, in place."""
        if self.bounded:
            np.clip(x, self.low, self.high, out=x)

    def projected(self, x: Array, gradient: Array) -> Array:
        """Return ``x - clip(x - gradient)``, without its rounding."""
        if not self.bounded:
            return gradient
        with np.errstate(over="ignore"):  # from end to end of all floats
            found: Array = np.clip(gradient, x - self.high, x - self.low)
        return found


def _ends(bounds: Any) -> tuple[Any, Any]:
    """Return the lower and the upper bounds, as float64."""
    if bounds is None:
        return -np.inf, np.inf
    try:
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            return _real(bounds.lb), _real(bounds.ub)
        pairs = [(low, high) for low, high in bounds]
        return (
            _real([-np.inf if low is None else low for low, _ in pairs]),
            _real([np.inf if high is None else high for _, high in pairs]),
        )
    except (TypeError, ValueError):
        raise TypeError(
            "minimize: bounds must be scipy.optimize.Bounds, or a pair (lower, upper) "
            f"of numbers or None for each variable, got {bounds!r}"
        ) from None


def _real(ends: Any) -> Array:
    """Return real numbers as float64; NumPy alone would read strings, too."""
    return real_array("bounds", ends).astype(np.float64)


def _check(rule: str, right: Array, low: Array, high: Array) -> None:
    if not right.all():
        i = int(np.argmin(right))
        raise ValueError(
            f"minimize: bounds must {rule}, got ({low[i]}, {high[i]}) for variable {i}"
        )


def _rounded(end: Array, dtype: Any, inward: float) -> Array:
    """Return bounds in the dtype of x, none of them outside of what was asked for."""
    with np.errstate(over="ignore"):  # beyond all float32
        near = end.astype(dtype)
    outside = near < end if inward > 0 else near > end
    found: Array = np.where(outside, np.nextafter(near, dtype.type(inward)), near)
    return found
