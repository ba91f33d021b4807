"""When a fit has failed, and what is kept of it."""

import math
from contextlib import suppress

import numpy as np

from gradstep.lls import stable
from gradstep.lls.data import Block
from gradstep.lls.model import Model
from gradstep.lls.result import DivergenceError
from gradstep.lls.validation import Validation
from gradstep.structure import Array

# The loss, as a multiple of what it would be for zeros, from which a fit has failed.
_GROWN = 1e6

Snapshot = tuple[Array, Array | None]


class Guard:
    """Looks at the loss of every portion of rows; `good` is where it was least."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._size = 0.0  # of y: the mean of the squares that were looked at
        self._whole: Block | None = None  # the last block of which those were all
        self._at_start: float | None = None  # the loss, if it was looked at
        self._least = math.inf
        self.good: Snapshot = model.snapshot()
        self._start = self.good

    def begin_again(self) -> None:
        """Forget what has been, where other coefficients have been loaded."""
        self._least, self.good = math.inf, self._model.snapshot()

    def passes(self, loss: float, before: Snapshot, found: Block, rows: Array) -> bool:
        """Return whether a portion's loss is within reason.

        `before` is where the portion began, `rows` are some of it.
        """
        if loss <= self._least:
            self._least, self.good = loss, before
        return self.reasonable(loss, found, rows)

    def reasonable(self, loss: float, found: Block, rows: Array) -> bool:
        """Return whether a loss, on rows such as these, is no sign of divergence."""
        if not math.isfinite(loss):
            return False
        if self._size == 0:
            self._look(found.y[rows])
        return loss <= _GROWN * self._size or loss <= _GROWN * self._scale(
            loss, found, rows
        )

    def _scale(self, loss: float, found: Block, rows: Array) -> float:
        """Return the size of a reasonable loss: that of all y, or that at the start."""
        if found is not self._whole:
            self._look(found.y)
            self._whole = found
        if loss > _GROWN * self._size and self._at_start is None:
            then = self._model.in_units(*self._start)
            self._at_start = Validation(found, rows).loss(*then)
        return max(self._size, self._at_start or 0.0)

    def _look(self, y: Array) -> None:
        """Take note of the size of some targets."""
        if len(y):
            squares = np.einsum("ij,ij->", y, y, dtype=np.float64)
            self._size = max(self._size, float(squares) / len(y))

    def error(
        self,
        who: str,
        loss: float,
        found: Block,
        *,
        lr: float,
        updates: int,
        batch_size: int,
        mean: bool,
    ) -> DivergenceError:
        """Return what tells the cause and the remedy, and keeps what was good."""
        if all(np.isfinite(a).all() for a in (found.X[0], found.y)):
            advice = f"lr is {lr:g}; lower lr, or scale X, whose squares are too large"
            with suppress(ValueError):
                most = stable.estimate(
                    found, self._model, batch_size, mean=mean, seed=0
                )
                advice = (
                    f"lr is {lr:g}, and gradient descent is stable up to about "
                    f"{most:.2g} (lls.max_stable_lr); lower lr"
                )
        else:
            advice = "X or y holds NaN or infinity; remove such rows"
        return DivergenceError(
            f"{who}: the loss grew to {loss:.3g}, where y has {self._size:.3g}, after "
            f"{updates} updates: {advice}. The last good coefficients are in this "
            "error's coef and intercept",
            *self._model.in_units(*self.good),
        )
