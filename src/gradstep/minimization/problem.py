"""What the user's functions say at a point."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep import dtypes
from gradstep.minimization.box import Box
from gradstep.structure import Array


@dataclass(frozen=True)
class Point:
    """A point, the loss there, and its gradient; nobody writes to them."""

    x: Array
    fun: float
    jac: Array

    def not_finite(self) -> str | None:
        """Return what is not finite: x, the loss or its gradient."""
        if not np.isfinite(self.x).all():
            return "x"
        if not math.isfinite(self.fun):
            return "the loss"
        return None if np.isfinite(self.jac).all() else "the gradient"


class Problem:
    """A loss and its gradient, and how often they were asked for."""

    def __init__(self, fun: Any, jac: Any, args: Any, box: Box, eps: float) -> None:
        if not callable(fun):
            raise TypeError(f"minimize: fun must be callable, got {type(fun).__name__}")
        if jac is False:
            jac = None
        if jac is not None and not callable(jac):
            raise TypeError(
                "minimize: jac must be callable, or None for finite differences, got "
                f"{jac!r}; scipy.optimize.minimize takes more"
            )
        self._fun: Callable[..., Any] = fun
        self._jac: Callable[..., Any] | None = jac
        self._args = args if isinstance(args, tuple) else (args,)
        self._eps = eps
        self.box = box
        self.nfev = self.njev = 0

    def at(self, x: Array) -> Point:
        """Return the loss and the gradient; NaN for what cannot be asked for."""
        nothing = np.full_like(x, math.nan)
        if not np.isfinite(x).all():
            return Point(x, math.nan, nothing)
        loss = self.loss(x)
        if not math.isfinite(loss):
            return Point(x, loss, nothing)
        return Point(x, loss, self.gradient(x, loss))

    def loss(self, x: Array) -> float:
        """Return the loss at a finite point."""
        self.nfev += 1
        # A copy each time: users may keep it, or write to it.
        return _number(self._fun(x.copy(), *self._args))

    def gradient(self, x: Array, loss: float | None = None) -> Array:
        """Return the gradient at a finite point, a new array of its dtype."""
        self.njev += 1
        if self._jac is None:
            g = self._differences(x, loss)
        else:
            g = _vector(self._jac(x.copy(), *self._args), x)
        with np.errstate(over="ignore"):  # infinity is looked for later
            return g.astype(x.dtype)

    def _differences(self, x: Array, loss: float | None) -> Array:
        """Return forward differences, or backward ones where the box ends.

        Not those of `scipy.optimize.approx_fprime`, which knows no bounds and takes the
        loss at x once more.
        """
        at = x.astype(np.float64)
        if loss is None or not dtypes.is_same(x.dtype, dtypes.FLOAT64):
            loss = self.loss(at)  # in float32 it may differ by more than a step does
        low, high = self.box.low.astype(float), self.box.high.astype(float)
        g = np.zeros(at.size)
        for i, h in enumerate(_steps(at, low, high, self._eps)):
            if h:  # a variable that its bounds hold gets 0
                moved = at.copy()
                moved[i] = np.clip(at[i] + h, low[i], high[i])
                # Python's floats, which do not warn of infinity.
                g[i] = (self.loss(moved) - loss) / float(moved[i] - at[i])
        return g


def _steps(x: Array, low: Array, high: Array, eps: float) -> Array:
    """Return how far to go in each variable, so that no point is outside the box."""
    size = eps * np.maximum(1.0, np.abs(x))
    with np.errstate(over="ignore"):  # from end to end of all floats
        up, down = high - x, x - low
    narrow = np.where(up >= down, up, -down)
    found: Array = np.where(up >= size, size, np.where(down >= size, -size, narrow))
    return found


def _number(found: Any) -> float:
    try:
        a = np.asarray(found)
    except ValueError:  # entries of several lengths
        a = np.empty(0)
    if a.size != 1:
        kind = f"shape {a.shape}" if isinstance(found, np.ndarray) else repr(found)
        raise ValueError(
            f"minimize: fun must return a number, or an array of one, got {kind}; if "
            "it returns the gradient too, pass jac=True"
        )
    if a.dtype.kind not in "fiub" or isinstance(found, np.ma.MaskedArray):
        raise TypeError(f"minimize: fun must return a real number, got {found!r}")
    return float(a.item())


def _vector(found: Any, x: Array) -> Array:
    try:
        g = np.atleast_1d(np.asarray(found))
    except ValueError as error:
        raise ValueError(f"minimize: jac returned no array: {error}") from None
    if g.dtype.kind not in "fiub" or isinstance(found, np.ma.MaskedArray):
        kind = "a masked array" if isinstance(found, np.ma.MaskedArray) else g.dtype
        hint = "; return its z.view(float)" if g.dtype.kind == "c" else ""
        raise TypeError(
            f"minimize: jac must return an array of real numbers, got {kind}{hint}"
        )
    if g.shape != x.shape:
        raise ValueError(
            f"minimize: jac must return an array of shape {x.shape}, as x has, got "
            f"{g.shape}"
        )
    return g
