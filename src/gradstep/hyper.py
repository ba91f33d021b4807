"""Hyperparameters: what a class declares, and what a user may pass.

An optimizer declares each option as a class attribute,

    lr: float = real(default=1e-3)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    amsgrad: bool = flag(default=False)

and from that come the constructor's signature, the checks and their messages, and the
numbers that the C rule reads by name.
"""

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

import numpy as np


class HasGroups(Protocol):
    """What an option is an attribute of."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Option(ABC):
    """One option of an optimizer: its default, and how a value is checked.

    As an attribute of an optimizer it reads and sets the value of all its groups.
    """

    default: Any
    _name: str = field(init=False, repr=False, compare=False)

    @abstractmethod
    def check(self, owner: str, name: str, value: object) -> Any:
        """Return the value in its one immutable form, or raise naming `owner`."""

    @abstractmethod
    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        """Add the hyperparameters of the C rule that this option sets."""

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __get__(self, optimizer: HasGroups | None, owner: type) -> Any:
        if optimizer is None:
            return self
        name: str = self._name
        first, *rest = (group[name] for group in optimizer.param_groups)
        if any(value != first for value in rest):
            raise AttributeError(
                f"{owner.__name__}: {name} differs between groups; read it from "
                "param_groups"
            )
        return first

    def __set__(self, optimizer: HasGroups, value: object) -> None:
        name: str = self._name
        checked = self.check(type(optimizer).__name__, name, value)
        for group in optimizer.param_groups:
            group[name] = checked


@dataclass(frozen=True)
class Real(Option):
    """One real number, or several at once, in an interval."""

    low: float
    high: float
    open_high: bool
    into: str | tuple[str, ...] | None = None

    def _interval(self) -> str:
        low = "(-inf" if math.isinf(self.low) else f"[{self.low:g}"
        high = "inf" if math.isinf(self.high) else f"{self.high:g}"
        return f"{low}, {high}{')' if self.open_high else ']'}"

    def _one(self, owner: str, name: str, value: object) -> float:
        x = value if type(value) is float else as_float(owner, name, value)
        inside = self.low <= x < self.high or (x == self.high and not self.open_high)
        if not inside or math.isinf(x):
            raise ValueError(
                f"{owner}: {name} must be in {self._interval()}, got {x!r}"
            )
        return x

    def check(self, owner: str, name: str, value: object) -> Any:
        if not isinstance(self.into, tuple):
            return self._one(owner, name, value)
        if not isinstance(value, (tuple, list)) or len(value) != len(self.into):
            names = ", ".join(self.into)
            raise TypeError(f"{owner}: {name} must be a tuple ({names}), got {value!r}")
        return tuple(
            self._one(owner, part, x) for part, x in zip(self.into, value, strict=True)
        )

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        if not isinstance(self.into, tuple):
            numbers[self.into or name] = value
        else:
            numbers.update(zip(self.into, value, strict=True))


@dataclass(frozen=True)
class Setting(Real):
    """A real number that no C rule reads."""

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        pass


@dataclass(frozen=True)
class Whole(Option):
    """A whole number, at least 0."""

    def check(self, owner: str, name: str, value: object) -> Any:
        if not is_integer(value):
            kind = type(value).__name__
            raise TypeError(f"{owner}: {name} must be int, got {kind}")
        n = int(value)
        if not 0 <= n < 2**53:
            raise ValueError(
                f"{owner}: {name} must be in [0, 2**53), got {as_text(value)}"
            )
        return n

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        numbers[name] = float(value)


@dataclass(frozen=True)
class Number(Whole):
    """A whole number that no C rule reads."""

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        pass


@dataclass(frozen=True)
class Choice(Option):
    """One of a few values; `into` names a number of the C rule that it is."""

    among: tuple[object, ...]
    into: str | None = None

    def check(self, owner: str, name: str, value: object) -> Any:
        for x in self.among:
            # NumPy's float64 is a float, but 1 is no True.
            same_kind = isinstance(value, bool) == isinstance(x, bool)
            if same_kind and isinstance(value, type(x)) and x == value:
                return x
        known = ", ".join(map(repr, self.among))
        raise ValueError(f"{owner}: {name} must be one of {known}, got {value!r}")

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        del name
        if self.into is not None:
            numbers[self.into] = float(value)


@dataclass(frozen=True)
class DtypeChoice(Choice):
    """One of a few dtypes, or None: by name, or as a dtype of NumPy or torch."""

    def check(self, owner: str, name: str, value: object) -> Any:
        return super().check(owner, name, _dtype_name(value))


def _dtype_name(value: object) -> object:
    """Return what a dtype is called; any other value as it is."""
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return str(value).removeprefix("torch.")
    if isinstance(value, (np.dtype, type)):
        try:
            dtype = np.dtype(value)
        except TypeError:
            return value
        return "bfloat16" if dtype.names == ("bfloat16",) else dtype.name
    return value


@dataclass(frozen=True)
class Like(Option):
    """Whose form of a rule: a word that stands for numbers of the C rule."""

    meaning: dict[str, dict[str, float]]

    def check(self, owner: str, name: str, value: object) -> Any:
        return Choice(self.default, tuple(self.meaning)).check(owner, name, value)

    def put(self, numbers: dict[str, float], name: str, value: Any) -> None:
        del name
        numbers.update(self.meaning[value])


def is_real(value: object) -> TypeGuard[numbers.Real]:
    """Return whether a value is a real number, which a flag or a duration is not."""
    # NumPy counts its durations among its integers.
    no_number = isinstance(value, (bool, np.timedelta64))
    return isinstance(value, numbers.Real) and not no_number


def is_integer(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer, of Python or NumPy."""
    return is_real(value) and isinstance(value, numbers.Integral)


def as_float(owner: str, name: str, value: object) -> float:
    """Return a real number, which messages call `name`; infinity beyond all floats."""
    if not is_real(value):
        kind = type(value).__name__
        raise TypeError(f"{owner}: {name} must be a real number, got {kind}")
    try:
        return float(value)
    except OverflowError:  # an int beyond all floats
        return math.inf


def as_text(number: object) -> str:
    """Return the repr of a number; of an int that fills a line, its number of bits."""
    if isinstance(number, int) and number.bit_length() > 200:
        sign = "-" if number < 0 else ""
        return f"{sign}2**{number.bit_length() - 1} or more"
    return repr(number)


def real(
    *,
    default: float,
    low: float = 0.0,
    high: float = math.inf,
    below: float | None = None,
    into: str | None = None,
    kw_only: bool = True,
) -> Any:
    """Declare a number in [low, high], or in [low, below); `into` is its name in C.

    `kw_only` is for type checkers: False for `lr`, which may be passed by position.
    """
    del kw_only
    return _interval(default, low, high, below, into)


def pair(
    *,
    default: tuple[float, ...],
    into: tuple[str, ...],
    low: float = 0.0,
    high: float = math.inf,
    below: float | None = None,
) -> Any:
    """Declare a tuple of numbers, each in the interval; `into` names them in C."""
    return _interval(default, low, high, below, into)


def _interval(
    default: object,
    low: float,
    high: float,
    below: float | None,
    into: str | tuple[str, ...] | None,
) -> Real:
    top = high if below is None else below
    return Real(default, low, top, below is not None or math.isinf(top), into)


def setting(
    *,
    default: float,
    low: float = 0.0,
    high: float = math.inf,
    kw_only: bool = True,
) -> Any:
    """Declare a number that Python uses, and no C rule; `kw_only` is as in `real`."""
    del kw_only
    return Setting(default, low, high, math.isinf(high))


def whole(*, default: int) -> Any:
    """Declare a whole number, at least 0."""
    return Whole(default)


def number(*, default: int) -> Any:
    """Declare a whole number, at least 0, that Python uses, and no C rule."""
    return Number(default)


def flag(*, default: bool, into: str | None = None) -> Any:
    """Declare a boolean, which C reads as 0 or 1 if `into` names it there."""
    return Choice(default, (False, True), into)


def choice(*others: object, default: object) -> Any:
    """Declare one of several words or numbers, the default among them."""
    return Choice(default, (default, *others))


def dtype_choice(*others: str, default: str | None) -> Any:
    """Declare one of several dtypes by name, the default among them."""
    return DtypeChoice(default, (default, *others))


def forms(*, default: str, **meaning: dict[str, float]) -> Any:
    """Declare whose form of a rule to take, and the numbers of each."""
    return Like(default, meaning)
