"""A warning where steps of bfloat16 or float16 parameters are lost in rounding.

Such a parameter without a master, rounded to nearest, does not move by a step below
half the distance to the next number. A sample of its elements is compared with what it
was before: after 8 steps, 16, 32 and so on, which costs nothing in the long run.
"""

import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from gradstep import dtypes

# Arrays that are looked at, and elements of each.
ARRAYS, ELEMENTS = 16, 256
# Steps before the first look. Some rules leave elements as they are, too: Rprop where a
# gradient changes its sign, rectified ones in their first 5 steps.
_FIRST = 8


class PrecisionWarning(UserWarning):
    """Most steps of a bfloat16 or float16 parameter are lost in rounding.

    Issued once per optimizer, by `step`, where more than half of the elements of a
    sample whose gradient is not 0 have not changed in 8 steps or more. `master` or
    `rounding` keeps such steps: see `gradstep.storage`. To go on without a warning::

        warnings.filterwarnings("ignore", category=gradstep.PrecisionWarning)
    """


class Look(NamedTuple):
    """What sampled elements have done, of those whose gradient is not 0."""

    moved: int
    stayed: int
    squares: float  # sum of those of the gradients
    lr: float  # the largest of their groups

    def with_sample(self, gradient: Any, changed: Any, lr: float) -> "Look":
        """Return this with elements of one more array."""
        has_grad = (gradient != 0) & np.isfinite(gradient)
        squares = np.square(gradient[has_grad], dtype=np.float64).sum()
        return Look(
            self.moved + int(np.count_nonzero(changed & has_grad)),
            self.stayed + int(np.count_nonzero(~changed & has_grad)),
            self.squares + float(squares),
            max(self.lr, lr),
        )


NOTHING = Look(0, 0, 0.0, 0.0)


class PrecisionCheck:
    """Decides when to look at parameters that round to nearest, and when to warn.

    codes : the words for the storage dtypes of those parameters.
    """

    def __init__(self, owner: str, codes: Collection[str | None]) -> None:
        self._owner = owner
        self._dtype_name = "bfloat16" if "bf16" in codes else "float16"
        self._steps = 0
        self._since = 0  # steps that had been taken at the last look
        self._lr = self._most_lr = self._most_gradient = 0.0
        self._is_done = False
        self.samples: Any = None  # of the parameters, as they were at the last look

    def begin(self, samples: Any, lr: float, *, steps: int) -> None:
        """Note what parameters are after so many steps, to compare with."""
        self._steps, self._since = max(self._steps, steps), steps
        self.samples, self._lr, self._most_lr = samples, lr, lr

    def is_due(self) -> bool:
        """Count the coming step; return whether to begin, or to look at it."""
        if self._is_done:
            return False
        self._steps += 1
        n = self._steps
        return n == 1 or (n >= _FIRST and n & (n - 1) == 0)

    def judge(self, look: Look) -> None:
        """Warn, once, if steps are lost that should not be so small.

        Left alone are a rate of 0, one that has risen, as in a warm-up, or has fallen
        below half of what it was, and gradients that have become small, as near a
        minimum.
        """
        count = look.moved + look.stayed
        gradient = (look.squares / max(count, 1)) ** 0.5
        has_risen = look.lr > self._lr
        steps, self._since = self._steps - self._since, self._steps
        self._lr, self._most_lr = look.lr, max(look.lr, self._most_lr)
        self._most_gradient = max(gradient, self._most_gradient)
        if (
            has_risen
            or look.lr < self._most_lr / 2
            or gradient < self._most_gradient / 10
            or 2 * look.stayed <= count
        ):
            return
        self._is_done, self.samples = True, None
        percent = 100 * look.stayed // count
        remedies = "master='float32', 'split' or rounding='stochastic'"
        if self._dtype_name == "float16":
            remedies = "master='float32' (rounding='stochastic' is for bfloat16)"
        warnings.warn(
            f"{self._owner}: {percent} % of the elements of {self._dtype_name} "
            f"parameters whose gradient is not 0 have not changed in {steps} steps at "
            f"lr {look.lr:g}: rounding to nearest loses small steps; pass {remedies}",
            PrecisionWarning,
            stacklevel=_user_stacklevel(),
        )


class Samples:
    """Elements of arrays that are rounded to nearest, as they are now.

    arrays : by their number among all parameters, those to sample.
    """

    def __init__(self, arrays: Mapping[int, Any]) -> None:
        self._arrays = dict(list(arrays.items())[:: -(-len(arrays) // ARRAYS)])
        self._at = {i: _spread(p.shape, p.size) for i, p in self._arrays.items()}
        self._bits = {i: self._bits_of(i) for i in self._arrays}

    def look(self, grads: Sequence[Any], lrs: Sequence[float]) -> Look:
        """Return what they have done, by the gradient and the rate of each array."""
        look = NOTHING
        for i, p in self._arrays.items():
            if grads[i] is not None and lrs[i]:
                g = np.asarray(grads[i]).reshape(p.shape)[self._at[i]]
                changed = self._bits[i] != self._bits_of(i)
                look = look.with_sample(_values(g), changed, lrs[i])
        return look

    def _bits_of(self, i: int) -> Any:
        return np.atleast_1d(np.asarray(self._arrays[i])[self._at[i]]).view(np.uint16)


def _spread(shape: tuple[int, ...], size: int) -> tuple[Any, ...]:
    """Return the places of some elements, as indices for each axis."""
    places = np.arange(0, size, -(-size // ELEMENTS))
    return np.unravel_index(places, shape) if shape else ()


def _values(x: Any) -> Any:
    """Return numbers of any storage dtype as float32 or float64."""
    x = np.atleast_1d(x)
    if dtypes.code_of(x.dtype) == "bf16":
        return (x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return x.astype(dtypes.float32_or_float64(x.dtype))


def _user_stacklevel() -> int:
    """Return the level, for the caller, of the first frame of a user's code."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001
    # torch wraps step() in functions of its own.
    while frame.f_back and _package(frame) in ("gradstep", "torch"):
        level, frame = level + 1, frame.f_back
    return level


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
