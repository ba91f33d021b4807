"""What a call of a trainer changes, to be put back if the call fails."""

import math
from typing import Any, NamedTuple

import numpy as np

from gradstep.lls.guard import Coefficients
from gradstep.lls.model import Scaling
from gradstep.optimizer import Optimizer
from gradstep.structure import Array


class OptimizerSnapshot:
    """Copies of the states and step counts of an optimizer, but not of its parameters.

    Changes that users have made in `param_groups` are taken over first, as by a step,
    so that the states are those of the options. It costs some microseconds, and as much
    memory as the states.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        with optimizer.engine:
            optimizer.engine.settle()
            self._states: list[dict[str, Any]] = [
                {
                    name: value.copy("K") if isinstance(value, np.ndarray) else value
                    for name, value in state.items()
                }
                for state in optimizer.state
            ]

    def restore(self) -> None:
        """Put states and counts back."""
        engine = self._optimizer.engine
        with engine:
            for i, state in enumerate(self._optimizer.state):
                saved = dict(self._states[i])
                engine.set_t(i, saved.pop("step"))
                scalars: dict[str, Any] = {}
                for name, value in saved.items():
                    if isinstance(value, np.ndarray):
                        np.copyto(state[name], value)
                    else:
                        scalars[name] = value
                engine.set_scalars(i, scalars)


class Totals(NamedTuple):
    """Updates done; and sums over the rows of this epoch or call, or of the last."""

    updates: int = 0
    rows: int = 0
    squares: float = 0.0  # of s |r|^2
    penalties: float = 0.0  # of ridge |W|^2 / N

    def mean(self, total: float) -> float:
        """Return a sum for each row, NaN before any."""
        return total / self.rows if self.rows else math.nan


class Snapshot(NamedTuple):
    """All that a call of `partial_fit` changes."""

    optimizer: OptimizerSnapshot
    coefficients: Coefficients
    total: Array | None
    averaged: int
    totals: Totals
    guard: dict[str, Any]
    scaling: Scaling | None  # if it has yet to be measured
