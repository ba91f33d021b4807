"""When training has diverged, and the coefficients to go back to."""

import math
from contextlib import suppress
from typing import Any

import numpy as np

from gradstep.lls import stable
from gradstep.lls.data import Block
from gradstep.lls.model import Model
from gradstep.lls.result import DivergenceError
from gradstep.lls.validation import Validation
from gradstep.structure import Array

# The loss, as a multiple of what it would be for zeros, from which a fit has diverged.
_GROWN = 1e6
# Products of sums of weights beyond these with squares of residuals may leave the range
# of float64, or lose digits.
_LIGHT, _HEAVY = 2.0**-400, 2.0**400

Coefficients = tuple[Array, Array | None]  # and the intercept


def is_safe(weight: float) -> bool:
    """Return whether sums of s |r|^2 keep their digits with this sum of weights."""
    return _LIGHT < weight < _HEAVY


def mean_square(block: Block, rows: Array, coef: Array, intercept: Any) -> float | None:
    """Return the weighted mean of |r|^2 over some rows, of weights of any size.

    None if none of them has a weight.
    """
    if block.weight is None:
        return Validation(block, rows).loss(coef, intercept)
    largest = block.weight[rows].max(initial=0.0)
    if largest == 0:
        return None
    with np.errstate(over="ignore"):  # in rows that are not among these
        weight = block.weight / largest
    loss = Validation(block._replace(weight=weight), rows).loss(coef, intercept)
    return float(loss * len(rows) / weight[rows].sum())


class Guard:
    """Judges the loss of each portion of rows; `good` is where it was least.

    Losses are weighted means of |r|^2, so it does not matter how large weights are.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._size = 0.0  # what |y|^2 is, among the rows that were looked at
        self._whole: Block | None = None  # the last block that was looked at as a whole
        self._at_start = 0.0  # the greatest loss of the first coefficients, if needed
        self._least = math.inf
        self.good: Coefficients = model.snapshot()
        self._start = self.good

    def begin_again(self) -> None:
        """Forget the past, where other coefficients have been loaded."""
        self._least, self.good = math.inf, self._model.snapshot()

    def passes(
        self, loss: float, before: Coefficients, block: Block, rows: Array
    ) -> bool:
        """Return whether a portion's loss is within reason.

        `before` is where the portion began, `rows` are the rows of it.
        """
        if loss <= self._least:
            self._least, self.good = loss, before
        return self.is_reasonable(loss, block, rows)

    def is_reasonable(self, loss: float, block: Block, rows: Array) -> bool:
        """Return whether a loss, on rows such as these, is no sign of divergence."""
        if not math.isfinite(loss):
            return False
        if self._size == 0:
            self._size = _size(block, rows)
        if loss <= _GROWN * self._size:
            return True
        if block is not self._whole:
            self._size = max(self._size, _size(block, None))
            self._whole = block
        return loss <= _GROWN * self._size or loss <= _GROWN * self._start_loss(
            loss, block, rows
        )

    def _start_loss(self, loss: float, block: Block, rows: Array) -> float:
        """Return a bound on the loss of the first coefficients."""
        if loss > _GROWN * self._at_start:
            start = self._model.in_units(*self._start)
            if block.weight is not None:  # the sum bounds a mean by any weights
                rows = rows[block.weight[rows] > 0]
            mean = Validation(block._replace(weight=None), rows).loss(*start)
            bound = mean if block.weight is None else mean * len(rows)
            self._at_start = max(self._at_start, bound)
        return self._at_start

    def error(
        self,
        who: str,
        loss: float,
        block: Block,
        *,
        lr: float,
        updates: int,
        batch_size: int,
        mean: bool,
        ridge: float,
    ) -> DivergenceError:
        """Return what tells the cause and the remedy, and keeps what was good."""
        weights = "" if block.weight is None else " or sample_weight"
        advice = (
            f"lr is {lr:g}; lower lr, or scale X{weights}, whose squares are too large"
        )
        with suppress(ValueError), np.errstate(all="ignore"):
            largest = stable.estimate(
                *(block, self._model, batch_size), mean=mean, seed=0, ridge=ridge
            )
            advice = (
                f"lr is {lr:g}, and gradient descent is stable up to about "
                f"{largest:.2g} (lls.max_stable_lr); lower lr"
            )
        grown = "inf" if math.isnan(loss) else f"{loss:.3g}"
        return DivergenceError(
            f"{who}: the loss grew to {grown}, where {_described(block)}, after "
            f"{updates} updates: {advice}. The last good coefficients are in this "
            "error's coef and intercept",
            *self._model.in_units(*self.good),
        )


@np.errstate(over="ignore")
def _described(block: Block) -> str:
    """Return the size of y in words."""
    squares = np.einsum("ij,ij->i", block.y, block.y, dtype=np.float64)
    if block.weight is None:
        return f"y has a mean square of {squares.mean():.3g}"
    share = block.weight / (block.weight.max() or 1)
    mean = (share * squares).sum() / (share.sum() or 1)
    return f"y has a weighted mean square of {mean:.3g}"


def _size(block: Block, rows: Array | None) -> float:
    """Return the mean of |y|^2; of rows with weights, the greatest, which bounds it."""
    y = block.y if rows is None else block.y[rows]
    if not len(y):
        return 0.0
    if block.weight is None:
        return float(np.einsum("ij,ij->", y, y, dtype=np.float64)) / len(y)
    weight = block.weight if rows is None else block.weight[rows]
    squares = np.einsum("ij,ij->i", y, y, dtype=np.float64)
    return float(squares.max(initial=0.0, where=weight > 0))
