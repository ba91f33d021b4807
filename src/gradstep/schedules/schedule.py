"""What a schedule is: arguments that are checked once, and a value for each step."""

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, dataclass_transform, overload

import numpy as np
import numpy.typing as npt

from gradstep._core import ieee
from gradstep.hyper import Real, as_text, is_real
from gradstep.schedules.arguments import (
    argument,
    count,
    function,
    number,
    several,
    steps,
    word,
)


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(argument, number, count, word, function, steps, several, field),
)
class Schedule(ABC):
    """A value for each step: a pure function of its number t and of a base value.

    Schedules are immutable, comparable, and find the value of any step at once, without
    the steps before it. Called with an array they give an array, by the same arithmetic
    on each element. It is IEEE arithmetic in a fixed order, with `exp`, powers, sine
    and cosine of our own (`csrc/host_math.h`), so a schedule gives the same doubles on
    every machine.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(frozen=True, repr=False)(cls)

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for found in fields(self):  # type: ignore[arg-type]  # made in __init_subclass__
            if "check" in found.metadata:
                value = found.metadata["check"](
                    owner, found.name, getattr(self, found.name)
                )
                object.__setattr__(self, found.name, value)
        self._check_together(owner)

    def _check_together(self, owner: str) -> None:  # noqa: B027  # few have to
        """Raise if arguments, each valid, do not go together."""

    def __repr__(self) -> str:
        values = [(f, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]
        shown = [
            f"{f.name}={_shown(x)}" for f, x in values if f.repr and x != f.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def value(self, t: float, base: float) -> float:
        """Return the value of step t >= 0, unchecked."""

    def chainable(self, t: float) -> bool:
        """Return whether a scheduler at step t builds on a value that others set.

        True by default: the scheduler scales the value it finds. False for schedules
        that set their own value whatever they find, those that torch's documentation
        calls not chainable. See `gradstep.lr_scheduler`.
        """
        del t
        return True

    @property
    def fixed_point(self) -> float:
        """The value that stays the same when a scheduler scales the schedule: 0.

        What is scaled is the distance from it.
        """
        return 0.0

    @overload
    def __call__(self, t: float, base: float = 1.0) -> float: ...
    @overload
    def __call__(
        self, t: npt.NDArray[Any] | list[Any] | range, base: float = 1.0
    ) -> npt.NDArray[np.float64]: ...

    @ieee
    def __call__(self, t: Any, base: float = 1.0) -> Any:
        """Return the value of step t.

        Parameters
        ----------
        t : number or array_like of numbers
            How many steps have been taken, at least 0; it may be fractional, such as
            epochs.
        base : float, default 1
            What is scheduled: the learning rate to begin with, for instance.
        """
        owner = type(self).__name__
        base = Real(None, 0.0, math.inf, open_high=True).check(owner, "base", base)
        if isinstance(t, numbers.Real):
            return self._finite(as_step(owner, t), base)
        ts = np.asarray(t)
        if ts.dtype.kind not in "iuf":
            raise TypeError(f"{owner}: t must be numbers, got {t!r}")
        found = [self._finite(as_step(owner, x), base) for x in ts.ravel().tolist()]
        return np.array(found, np.float64).reshape(ts.shape)

    def _finite(self, t: float, base: float) -> float:
        x = float(self.value(t, base))
        if not math.isfinite(x):
            raise ValueError(f"{self!r}: the value of step {t} is {x}")
        return x


def _shown(value: object) -> str:
    """Return the text of an argument, the same in every process."""
    if callable(value) and not isinstance(value, Schedule):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value)


def as_step(where: str, t: Any) -> float:
    """Return a count of steps, an int if it is whole, or raise."""
    if not is_real(t):
        raise TypeError(f"{where}: t must be numbers, got {t!r}")
    if not (t >= 0 and t < 2**53):  # type: ignore[operator]  # any Real can
        raise ValueError(f"{where}: t must be >= 0 and below 2**53, got {as_text(t)}")
    x = float(t)
    return int(x) if x.is_integer() else x


def arguments_of(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule's arguments by name."""
    return {
        f.name: getattr(schedule, f.name)
        for f in fields(schedule)  # type: ignore[arg-type]  # each is a dataclass
        if f.init
    }
