"""What a fit tells: while it runs, at its end, and when it fails."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gradstep.optimizer import Optimizer
from gradstep.structure import Array

__all__ = ["ConvergenceWarning", "DivergenceError", "Fit", "Progress"]


@dataclass(frozen=True)
class Progress:
    """Where a fit stands.

    Attributes
    ----------
    epoch : int
        Of the last update, from 0.
    update : int
        Updates done.
    coef, intercept
        Copies, as in `Fit`.
    loss : float
        The mean over the rows of this epoch so far of the weighted squared residual,
        each at the coefficients of its batch; NaN before the first update.
    lr : float
        Of the last update, as the optimizer's first group has it: at the end of an
        epoch, before a scheduler steps.
    validation_loss : float or None
        At the end of an epoch, if there is a validation set.
    """

    epoch: int
    update: int
    coef: Array
    intercept: Any
    loss: float
    lr: float
    validation_loss: float | None


@dataclass(frozen=True)
class Fit:
    """What `fit` returns.

    Attributes
    ----------
    coef : ndarray, shape (L,) or (L, K)
        In the units of X; an average, if the optimizer is schedule-free or `average`
        was asked for.
    intercept : float or ndarray, shape (K,)
        Zero without one.
    n_updates, epochs : int
        That have been done.
    reason : str
        Why it stopped: ``"epochs"``, ``"tol"`` or ``"callback"``.
    loss, lr : ndarray, shape (epochs,)
        As in `Progress`, at the end of each epoch.
    validation_loss : ndarray, shape (epochs,), or None
    optimizer : Optimizer
        As it stands after the last update.
    message : str or None
        What `fit` has warned of.
    """

    coef: Array
    intercept: Any
    n_updates: int
    epochs: int
    reason: str
    loss: Array
    lr: Array
    validation_loss: Array | None
    optimizer: Optimizer
    message: str | None = None


class DivergenceError(FloatingPointError):
    """A fit grew past reason; `coef` and `intercept` are the last good ones."""

    def __init__(self, message: str, coef: Array, intercept: Any) -> None:
        super().__init__(message)
        self.coef, self.intercept = coef, intercept

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.coef, self.intercept)


class ConvergenceWarning(UserWarning):
    """A fit by the default ended before it came as near as was asked."""


def bar(steps: int, shown: bool) -> Iterable[int]:
    """Return range(steps), with a progress bar."""
    if not shown:
        return range(steps)
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # optional
    except ImportError as missing:
        raise ImportError(
            "fit: progress needs tqdm; pip install 'gradstep[progress]'"
        ) from missing
    found: Iterable[int] = tqdm(range(steps), desc="fit", unit="epoch")
    return found
