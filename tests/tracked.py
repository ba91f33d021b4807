"""Numbers that carry a bound of their own rounding error.

The reference of a rule, run on these, gives besides each value how far a computation in
the kernel's arithmetic may honestly be from it: so much for every term that is added,
as a first-order running error analysis (Wilkinson 1963; Higham, "Accuracy and stability
of numerical algorithms", 2nd ed., section 3.3). Cancellation, small denominators and
roots near zero widen the bound where they must, and nowhere else, so one tolerance
serves all rules.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

# Extended precision where the machine has it: what the reference rounds itself is then
# far below the bounds.
WIDE = np.longdouble


class Tracked(NDArrayOperatorsMixin):
    """A value, and a bound of its error in arithmetic of unit roundoff u."""

    def __init__(self, value: Any, error: Any, u: float) -> None:
        self.value = np.asarray(value, WIDE)
        self.error = np.broadcast_to(np.asarray(error, WIDE), self.value.shape)
        self.u = u

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> "Tracked":
        assert (method, kwargs) == ("__call__", {}), "plain operations only"
        with np.errstate(all="ignore"):
            operands = [self._lift(x) for x in inputs]
            return _RULES[ufunc](*operands)

    def _lift(self, x: Any) -> "Tracked":
        if isinstance(x, Tracked):
            return x
        # A coefficient: a few roundings in double, then one to the kernel's type.
        scalar = WIDE(x)
        return Tracked(scalar, abs(scalar) * (self.u + 4 * 2.0**-53), self.u)

    def rounded(self, value: Any, error: Any) -> "Tracked":
        """The result of one operation: what came in, and one rounding more."""
        return Tracked(value, error + self.u * abs(value), self.u)


def _add(a: Tracked, b: Tracked) -> Tracked:
    return a.rounded(a.value + b.value, a.error + b.error)


def _subtract(a: Tracked, b: Tracked) -> Tracked:
    return a.rounded(a.value - b.value, a.error + b.error)


def _multiply(a: Tracked, b: Tracked) -> Tracked:
    error = abs(a.value) * b.error + abs(b.value) * a.error
    return a.rounded(a.value * b.value, error)


def _divide(a: Tracked, b: Tracked) -> Tracked:
    quotient = a.value / b.value
    return a.rounded(quotient, (a.error + abs(quotient) * b.error) / abs(b.value))


def _power(a: Tracked, b: Tracked) -> Tracked:
    assert b.value == 2, "only squares"
    return _multiply(a, a)


def _sqrt(a: Tracked) -> Tracked:
    root = np.sqrt(a.value)
    return a.rounded(root, a.error / (2 * root))


def _maximum(a: Tracked, b: Tracked) -> Tracked:
    return Tracked(np.maximum(a.value, b.value), np.maximum(a.error, b.error), a.u)


def _abs(a: Tracked) -> Tracked:
    return Tracked(abs(a.value), a.error, a.u)


def _negative(a: Tracked) -> Tracked:
    return Tracked(-a.value, a.error, a.u)


def _sign(a: Tracked) -> Tracked:
    """Exact, except where an error could have changed the sign."""
    return Tracked(np.sign(a.value), np.where(abs(a.value) <= a.error, 2, 0), a.u)


_RULES = cast(
    "dict[np.ufunc, Callable[..., Tracked]]",
    {
        np.add: _add,
        np.subtract: _subtract,
        np.multiply: _multiply,
        np.divide: _divide,
        np.power: _power,
        np.sqrt: _sqrt,
        np.maximum: _maximum,
        np.absolute: _abs,
        np.negative: _negative,
        np.sign: _sign,
    },
)
