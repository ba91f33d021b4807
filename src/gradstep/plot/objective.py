"""What is to be minimised: a surface, or a function and its gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gradstep.plot.arguments import Floats, finite, numbers
from gradstep.testfunctions import Surface

Factory = Callable[[Any], Any]
Bounds = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Objective:
    """A function, its gradient, where to start, and what is known of its minima."""

    function: Callable[[Any], Any]
    gradient: Callable[[Any], Any]
    start: Floats
    minima: tuple[tuple[float, float], ...] = ()
    minimum: float | None = None


def objective(who: str, function: Any, gradient: Any, start: Any) -> Objective:
    """Return what is to be minimised, looked at where it starts."""
    if not callable(function):
        raise TypeError(
            f"{who}: function must be a Surface of gradstep.testfunctions or another "
            f"callable, got {type(function).__name__}"
        )
    if isinstance(function, Surface):
        if gradient is not None:
            raise TypeError(f"{who}: gradient must be left out, a Surface has its own")
        found = Objective(
            function,
            function.gradient,
            _start(who, function.start if start is None else start),
            function.minima,
            function.minimum,
        )
    else:
        if not callable(gradient):
            raise TypeError(
                f"{who}: gradient must be callable where function is no Surface, such "
                f"as scipy.optimize.rosen_der, got {type(gradient).__name__}"
            )
        if start is None:
            raise TypeError(f"{who}: start is missing; only a Surface has its own")
        found = Objective(function, gradient, _start(who, start))
    _check(who, found)
    return found


def _start(who: str, start: object) -> Floats:
    a = finite(f"{who}: start", start)
    if a.ndim != 1 or not a.size:
        raise ValueError(f"{who}: start must have shape (n,), n >= 1, got {a.shape}")
    return a


def _check(who: str, found: Objective) -> None:
    """Refuse functions that are none at the start, with the names of this call."""
    if isinstance(found.function, Surface) and found.start.size != 2:
        raise ValueError(
            f"{who}: start must have shape (2,) on a Surface, got {found.start.shape}"
        )
    value = numbers(f"{who}: function(start)", found.function(found.start.copy()))
    if value.size != 1:
        raise ValueError(
            f"{who}: function must return one number, got shape {value.shape}"
        )
    slope = numbers(f"{who}: gradient(start)", found.gradient(found.start.copy()))
    if slope.shape != found.start.shape:
        raise ValueError(
            f"{who}: gradient must return shape {found.start.shape}, as start has, got "
            f"{slope.shape}"
        )
    for name, a in (("function", value), ("gradient", slope)):
        if not np.isfinite(a).all():
            raise ValueError(
                f"{who}: {name} must be finite at start {found.start.tolist()}, got "
                f"{a.tolist()}; start elsewhere"
            )


def bounds_of(who: str, function: Any, bounds: Any) -> Bounds:
    """Return the ranges of x and y to draw."""
    if bounds is None:
        if not isinstance(function, Surface):
            raise TypeError(
                f"{who}: bounds is missing, such as ((-2, 2), (-1, 3)); only a Surface "
                "has its own"
            )
        return function.bounds
    a = finite(f"{who}: bounds", bounds)
    if a.shape != (2, 2):
        raise ValueError(
            f"{who}: bounds must be ((x low, x high), (y low, y high)), got shape "
            f"{a.shape}"
        )
    for name, (low, high) in zip("xy", a):
        if not low < high:
            raise ValueError(
                f"{who}: bounds of {name} must have low < high, got ({low}, {high})"
            )
    (a0, a1), (b0, b1) = a.tolist()
    return (a0, a1), (b0, b1)


def named(who: str, optimizers: Any) -> dict[str, Factory]:
    """Return factories of optimizers by their labels."""
    if isinstance(optimizers, Mapping):
        found = dict(optimizers)
    elif isinstance(optimizers, (list, tuple)):
        found = {}
        for k, factory in enumerate(optimizers):
            _check_factory(f"{who}: optimizers[{k}]", factory)
            label = described(factory)
            if label in found:
                raise ValueError(
                    f"{who}: optimizers[{k}] would be called {label!r}, as another is; "
                    "pass a dict of labels and factories"
                )
            found[label] = factory
    else:
        raise TypeError(
            f"{who}: optimizers must be a dict of labels and factories, or a list of "
            f"factories, such as [gradstep.Adam], got {type(optimizers).__name__}"
        )
    if not found:
        raise ValueError(f"{who}: optimizers is empty; pass at least one")
    for label, factory in found.items():
        if not isinstance(label, str):
            raise TypeError(f"{who}: labels of optimizers must be str, got {label!r}")
        if label.startswith("_") or not label.strip():
            raise ValueError(
                f"{who}: label {label!r} of optimizers is one that legends leave out; "
                "begin it with a letter"
            )
        _check_factory(f"{who}: optimizers[{label!r}]", factory)
    return found


def _check_factory(name: str, factory: object) -> None:
    if not callable(factory):
        raise TypeError(
            f"{name} must be callable, such as functools.partial(gradstep.SGD, lr=0.1),"
            f" got {type(factory).__name__}"
        )


def described(factory: Any) -> str:
    """Return a label: ``SGD(lr=0.1)`` of ``functools.partial(SGD, lr=0.1)``."""
    if isinstance(factory, partial):
        shown = [described(a) for a in factory.args]
        shown += [f"{k}={described(v)}" for k, v in factory.keywords.items()]
        return f"{described(factory.func)}({', '.join(shown)})"
    if callable(factory):
        return str(getattr(factory, "__name__", type(factory).__name__))
    return repr(factory)
