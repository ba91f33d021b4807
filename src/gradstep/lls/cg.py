"""The default: gradient descent along conjugate directions, on all rows."""

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradstep import _lls
from gradstep.lls.data import Block, Data, Order
from gradstep.lls.model import Model, slices
from gradstep.lls.result import ConvergenceWarning, Fit, Progress
from gradstep.optimizers import SGD
from gradstep.structure import Array

_IN_ORDER = Order(None, 0, None)
_TINY = 1e-290  # curvatures below have lost digits


# What overflows is seen in the results.
_quietly = np.errstate(over="ignore", under="ignore", invalid="ignore")


class Conjugate:
    """Descent by p <- p - alpha d, with d_k = g_k + beta_k d_{k-1}.

    alpha is the best along d, and beta is Polak's and Ribiere's, which forgets the past
    where rounding has spoilt it. Gradients are those of all rows, afresh at each step.
    Hestenes & Stiefel, "Methods of conjugate gradients for solving linear systems",
    1952; Polak & Ribiere, 1969.
    """

    def __init__(self, data: Data, model: Model, ridge: float) -> None:
        """Take the penalty for each row."""
        self.data, self.model = data, model
        self.optimizer = SGD(model.params, lr=1.0)
        self._along = Model(
            data.features,
            data.targets,
            data.dtype,
            intercept=model.offset is not None,
            scaling=model.scaling,
        )
        self._slopes = self._loop(model, ridge)
        self._bends = self._loop(self._along, ridge)
        self._before: list[Array] = []  # the last gradient
        self.loss = math.nan
        self.rates: list[float] = []
        self.slope = self.slope0 = math.nan  # norms of gradients

    def _loop(self, model: Model, ridge: float) -> Any:
        return _lls.Loop(
            None,
            model.arrays(),
            batch=1 << 62,
            ridge=ridge,
            divide=True,
        )

    def _pass(self, loop: Any, *, with_y: bool) -> float:
        n = 0
        for block, rows in self.data.visits(0, _IN_ORDER):
            loop.set_data(block.X, block.y if with_y else None, block.weight)
            for part in slices(rows, block.row_bytes):
                loop.evaluate(part.rows)
            n += len(rows.rows)
        squares = loop.finish()
        return float(squares / n) if n else math.nan

    def begin_at(self, coef0: Any, intercept0: Any) -> None:
        """Begin at coefficients in the user's units; `slope0` is that at zero."""
        self.slope0 = self.slope = self.evaluate()
        if coef0 is not None or intercept0 is not None:
            self.model.begin_at("fit", coef0, intercept0)
            self.slope = self.evaluate()

    @property
    def lr(self) -> float:
        """Of the last step."""
        return self.rates[-1]

    @_quietly
    def evaluate(self) -> float:
        """Compute loss and gradient where the coefficients are; return its norm."""
        self.loss = self._pass(self._slopes, with_y=True)
        return math.sqrt(_inner(_slopes(self.model), _slopes(self.model)))

    @_quietly
    def step(self) -> bool:
        """Take a step from where `evaluate` was; False if none leads down."""
        g = _slopes(self.model)
        if not any(a.any() for a in g):
            return False
        d = [self._along.coef]
        if self._along.offset is not None:
            d.append(self._along.offset)
        beta = 0.0
        if self._before:
            past = _inner(self._before, self._before)
            change = [a - b for a, b in zip(g, self._before, strict=True)]
            beta = max(0.0, _inner(g, change) / past) if past > 0 else 0.0
        self._before = g
        _turn(d, g, beta)
        if not _inner(d, g) > 0:  # rounding has led it astray
            _turn(d, g, 0.0)
        self._pass(self._bends, with_y=False)
        bend, fall = _inner(d, _slopes(self._along)), _inner(d, g)
        if not (_TINY < bend < math.inf and 0 < fall < math.inf):
            raise _out_of_range()
        self.rates.append(fall / bend)
        self.optimizer.param_groups[0]["lr"] = self.lr
        self.optimizer.step(self._along.params)
        return True


def descend(
    descent: Conjugate,
    steps: Iterable[int],
    tol: float | None,
    callback: Callable[[Progress], object] | None,
) -> Fit:
    """Descend until the gradient is tol times that at zero."""
    model = descent.model
    if tol is None:
        tol = 1e-12 if model.coef.dtype == np.float64 else 1e-6
    losses: list[float] = []
    slope = descent.slope
    if not math.isfinite(slope):
        if all(_finite(found) for found, _ in descent.data.visits(0, _IN_ORDER)):
            raise _out_of_range()
        raise ValueError("fit: X or y holds NaN or infinity; remove such rows")
    first = descent.slope0 or slope
    near = slope <= tol * first
    reason = "tol" if near else "epochs"
    for k in () if near else steps:
        if not descent.step():
            reason = "tol"  # rounding is all that is left of the gradient
            break
        slope = descent.evaluate()
        losses.append(descent.loss)
        coef, intercept = model.in_units(model.coef, model.offset)
        where = Progress(k, k + 1, coef, intercept, descent.loss, descent.lr, None)
        if callback is not None and callback(where):
            reason = "callback"
            break
        if slope <= tol * first:
            reason = "tol"
            break
    if reason == "epochs" and losses:
        warnings.warn(
            f"fit: after {len(losses)} steps the gradient is {slope / first:.2g} times "
            f"that at zero, not {tol:g}; pass more epochs, ridge, or use lls.solve",
            ConvergenceWarning,
            stacklevel=3,
        )
    coef, intercept = model.in_units(model.coef, model.offset)
    return Fit(
        coef=coef,
        intercept=intercept,
        n_updates=len(losses),
        epochs=len(losses),
        reason=reason,
        loss=np.array(losses),
        lr=np.array(descent.rates),
        validation_loss=None,
        optimizer=descent.optimizer,
    )


def _finite(found: Block) -> bool:
    return all(np.isfinite(a).all() for a in (found.X[0], found.y))


def _out_of_range() -> ValueError:
    return ValueError(
        "fit: squares of X or y leave the range of their type; scale them"
    )


def _turn(d: list[Array], g: list[Array], beta: float) -> None:
    """Let d be g + beta d, in its own type."""
    for direction, a in zip(d, g, strict=True):
        direction[...] = a + beta * direction.astype(np.float64)


def _slopes(model: Model) -> list[Array]:
    found = [model.gradient.astype(np.float64)]
    if model.offset_gradient is not None:
        found.append(model.offset_gradient.astype(np.float64))
    return found


def _inner(a: list[Array], b: list[Array]) -> float:
    """Return the exactly rounded sum of all products: the same on every machine."""
    products = np.concatenate(
        [(x.astype(np.float64) * y).ravel() for x, y in zip(a, b, strict=True)]
    )
    if not np.isfinite(products).all():
        return math.nan
    try:
        return math.fsum(products)
    except OverflowError:
        return math.inf
