"""Numbers that carry a bound of their own rounding error.

The reference of a rule, run on these, gives besides each value how far a computation in
the kernel's arithmetic may honestly be from it: so much for every term that is added,
as a first-order running error analysis (Wilkinson 1963; Higham, "Accuracy and stability
of numerical algorithms", 2nd ed., section 3.3). Cancellation, small denominators and
roots near zero widen the bound where they must, and nowhere else, so one tolerance
serves all rules.

Arrays are Tracked. A hyperparameter may be a plain float, of which a coefficient then
counts as good to a few roundings; or it is Scalar, and what rules make of it before it
meets an array (bias corrections, RAdam's rectification) is followed, too.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

# Extended precision where the machine has it: what the reference rounds itself is then
# far below the bounds.
WIDE = np.longdouble

# Unit roundoff of the double precision in which kernels compute coefficients.
DOUBLE = 2.0**-53


class Scalar(float):
    """A float, and a bound of its error in double precision.

    Results of + - * / and ** are Scalar; with functions of math it is a plain float.
    """

    error: float

    def __new__(cls, value: float, error: float = 0.0) -> "Scalar":
        self = super().__new__(cls, value)
        self.error = error
        return self

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        return _scalar(float(self) + float(other), self.error + _error(other))

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        error = abs(self) * _error(other) + abs(other) * self.error
        return _scalar(float(self) * float(other), error)

    def __truediv__(self, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        quotient = float(self) / float(other)
        error = (self.error + abs(quotient) * _error(other)) / abs(other)
        return _scalar(quotient, error)

    def __pow__(self, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        power = float(self) ** float(other)
        if float(self) == 0:
            return Scalar(power)
        # A whole power may be a product of that many factors, each with its rounding.
        roundings = abs(other) if float(other).is_integer() else 2
        error = abs(other) * self.error / abs(self) + roundings * DOUBLE
        error += abs(math.log(abs(self))) * _error(other)
        return Scalar(power, abs(power) * error)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __rtruediv__(self, other: Any) -> Any:
        return Scalar(other) / self

    def __rpow__(self, other: Any) -> Any:
        return Scalar(other) ** self

    def __neg__(self) -> "Scalar":
        return Scalar(-float(self), self.error)

    __radd__ = __add__
    __rmul__ = __mul__


def _error(x: float) -> float:
    """Plain numbers are what they are."""
    return x.error if isinstance(x, Scalar) else 0.0


def _scalar(value: float, error: float) -> Scalar:
    """The result of one operation, as Tracked.rounded."""
    return Scalar(value, error + DOUBLE * abs(value))


class Tracked(NDArrayOperatorsMixin):
    """A value, and a bound of its error in arithmetic of unit roundoff u."""

    def __init__(self, value: Any, error: Any, u: float) -> None:
        self.value = np.asarray(value, WIDE)
        self.error = np.broadcast_to(np.asarray(error, WIDE), self.value.shape)
        self.u = u

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> "Tracked":
        assert (method, kwargs) == ("__call__", {}), "plain operations only"
        return self._apply(_RULES[ufunc], inputs)

    def __array_function__(
        self, function: Any, types: Any, inputs: Any, kwargs: Any
    ) -> "Tracked":
        assert not kwargs, "plain operations only"
        return self._apply(_FUNCTIONS[function], inputs)

    def _apply(self, rule: Callable[..., "Tracked"], inputs: Any) -> "Tracked":
        with np.errstate(all="ignore"):
            return rule(*(self._lift(x) for x in inputs))

    def _lift(self, x: Any) -> "Tracked":
        if isinstance(x, Tracked):
            return x
        if isinstance(x, int):  # a formula's own number
            return Tracked(x, 0, self.u)
        # A coefficient: a few roundings in double, then one to the kernel's type. The
        # reference has made the errors of a Scalar itself, and the kernel may others.
        scalar = WIDE(x)
        error = abs(scalar) * (self.u + 4 * DOUBLE) + 2 * _error(x)
        return Tracked(scalar, error, self.u)

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
    """The slope is that of the chord to the lowest point, as it is infinite at 0."""
    root = np.sqrt(a.value)
    below = np.sqrt(np.maximum(a.value - a.error, 0))
    return a.rounded(root, _chord(a.error, root + below))


def _cbrt(a: Tracked) -> Tracked:
    """As _sqrt. No machine has an instruction for it: one ulp is allowed."""
    root = np.cbrt(a.value)
    far, near = np.cbrt(abs(a.value)), np.cbrt(abs(a.value) - a.error)
    error = _chord(a.error, far * far + far * near + near * near)
    return a.rounded(root, error + a.u * abs(root))


def _chord(rise: Any, slope: Any) -> Any:
    """Quotient, of which 0 / 0 is no error in an exact zero."""
    return np.where(rise == 0, 0, rise / slope)


def _maximum(a: Tracked, b: Tracked) -> Tracked:
    return Tracked(np.maximum(a.value, b.value), np.maximum(a.error, b.error), a.u)


def _minimum(a: Tracked, b: Tracked) -> Tracked:
    return Tracked(np.minimum(a.value, b.value), np.maximum(a.error, b.error), a.u)


def _abs(a: Tracked) -> Tracked:
    return Tracked(abs(a.value), a.error, a.u)


def _negative(a: Tracked) -> Tracked:
    return Tracked(-a.value, a.error, a.u)


def _sign(a: Tracked) -> Tracked:
    """Exact, except where an error could have changed the sign."""
    doubtful = (abs(a.value) <= a.error) & (a.error > 0)
    return Tracked(np.sign(a.value), np.where(doubtful, 2, 0), a.u)


def _comparison(ufunc: np.ufunc) -> Callable[[Tracked, Tracked], Tracked]:
    """1 where it holds, or else 0; with an error of 1 where errors could decide it."""

    def compare(a: Tracked, b: Tracked) -> Tracked:
        error = a.error + b.error
        doubtful = (abs(a.value - b.value) <= error) & (error > 0)
        holds = ufunc(a.value, b.value)
        return Tracked(np.where(holds, 1, 0), np.where(doubtful, 1, 0), a.u)

    return compare


def _where(condition: Tracked, a: Tracked, b: Tracked) -> Tracked:
    """One of two values; where the choice is in doubt, either is within the bound."""
    chosen = condition.value != 0
    value = np.where(chosen, a.value, b.value)
    error = np.where(chosen, a.error, b.error)
    either = abs(a.value - b.value) + np.maximum(a.error, b.error)
    return Tracked(value, np.where(condition.error > 0, either, error), a.u)


def _sum(a: Tracked) -> Tracked:
    """All elements, added in whatever order: each is in at most n - 1 additions."""
    additions = max(a.size - 1, 0)
    error = np.sum(a.error) + additions * a.u * np.sum(abs(a.value))
    return Tracked(np.sum(a.value), error, a.u)


_RULES = cast(
    "dict[np.ufunc, Callable[..., Tracked]]",
    {
        np.add: _add,
        np.subtract: _subtract,
        np.multiply: _multiply,
        np.divide: _divide,
        np.power: _power,
        np.sqrt: _sqrt,
        np.cbrt: _cbrt,
        np.maximum: _maximum,
        np.minimum: _minimum,
        np.absolute: _abs,
        np.negative: _negative,
        np.sign: _sign,
        np.equal: _comparison(np.equal),
        np.greater: _comparison(np.greater),
        np.less: _comparison(np.less),
    },
)

_FUNCTIONS = cast(
    "dict[Any, Callable[..., Tracked]]",
    {np.where: _where, np.sum: _sum},
)
