"""Arguments of schedules: how each is checked, once, when a schedule is made."""

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import MISSING, field
from itertools import pairwise
from typing import Any

from gradstep.hyper import Choice, Real, Whole

Check = Callable[[str, str, Any], Any]


def argument(*, check: Check, default: Any = MISSING) -> Any:
    """Declare an argument by a function that checks (owner, name, value)."""
    return field(default=default, metadata={"check": check})


def number(*, default: Any = MISSING, low: float = 0.0, high: float = math.inf) -> Any:
    """Declare a number in [low, high]; None, too, if that is the default."""
    interval = Real(None, low, high, math.isinf(high))
    return argument(check=_or_none(default, interval.check), default=default)


def count(*, default: Any = MISSING, least: int = 0) -> Any:
    """Declare a whole number; None, too, if that is the default."""

    def check(owner: str, name: str, value: object) -> int:
        n: int = Whole(None).check(owner, name, value)
        if n < least:
            raise ValueError(f"{owner}: {name} must be at least {least}, got {n}")
        return n

    return argument(check=_or_none(default, check), default=default)


def word(*others: object, default: object) -> Any:
    """Declare one of several words, the default among them; or a flag."""
    return argument(check=Choice(default, (default, *others)).check, default=default)


def function(*, default: Any = MISSING) -> Any:
    """Declare a function of one number; None, too, if that is the default."""

    def check(owner: str, name: str, value: object) -> object:
        if not callable(value):
            kind = type(value).__name__
            raise TypeError(f"{owner}: {name} must be callable, got {kind}")
        return value

    return argument(check=_or_none(default, check), default=default)


def steps() -> Any:
    """Declare whole numbers that rise; a set of them is sorted."""

    def check(owner: str, name: str, value: object) -> tuple[int, ...]:
        values: object = value
        if isinstance(value, (set, frozenset)):  # in any order
            values = tuple(value)
        counts: tuple[int, ...] = each(Whole(None).check)(owner, name, values)
        if values is not value:
            counts = tuple(sorted(counts))
        for before, after in pairwise(counts):
            if not before < after:
                raise ValueError(
                    f"{owner}: {name} must rise, got {after} after {before}; list each "
                    "step once, in order"
                )
        return counts

    return argument(check=check)


def several() -> Any:
    """Declare numbers of at least 0."""
    return argument(check=each(Real(None, 0.0, math.inf, open_high=True).check))


def each(check: Check) -> Check:
    """Return a check of sequences, each of whose entries passes a check."""

    def checked(owner: str, name: str, value: object) -> tuple[Any, ...]:
        if not isinstance(value, Iterable) or isinstance(
            value, (str, bytes, Mapping, Set)
        ):
            kind = type(value).__name__
            raise TypeError(f"{owner}: {name} must be a sequence, got {kind}")
        return tuple([check(owner, f"{name}[{i}]", x) for i, x in enumerate(value)])

    return checked


def _or_none(default: object, check: Check) -> Check:
    def checked(owner: str, name: str, value: object) -> Any:
        return None if value is default is None else check(owner, name, value)

    return checked
