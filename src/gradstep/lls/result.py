"""What a fit returns, what it reports while it runs, and what it raises."""

import math
from dataclasses import dataclass
from typing import Any

from gradstep.lls.prediction import predict
from gradstep.optimizer import Optimizer
from gradstep.structure import Array

__all__ = [
    "ConvergenceWarning",
    "DivergenceError",
    "Fit",
    "NonFiniteError",
    "Progress",
]


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
    objective : float
        `loss` plus the penalty, as in `Fit`; NaN where a fit does not report it.
    """

    epoch: int
    update: int
    coef: Array
    intercept: Any
    loss: float
    lr: float
    validation_loss: float | None
    objective: float = math.nan


@dataclass(frozen=True, repr=False, eq=False)
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
        As in `Progress`, at the end of each epoch. The loss is that of the data alone.
    validation_loss : ndarray, shape (epochs,), or None
        The mean of s |r|^2 over the validation set, without the penalty.
    optimizer : Optimizer
        As it stands after the last update.
    message : str or None
        What `fit` has warned of.
    objective : ndarray, shape (epochs,), or None
        The loss plus ridge |W|^2 / N, both at the coefficients of each batch: what
        `tol` and `ReduceLROnPlateau` watch without a validation set. None where a fit
        does not report it.
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
    objective: Array | None = None

    def predict(self, X: Any) -> Array:
        """Return X coef + intercept.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (N, L)

        Returns
        -------
        ndarray, shape (N,) or (N, K)
            float32 if both X and the coefficients are, else float64. A product by NumPy
            or SciPy, whose last bits depend on the CPU.

        Raises
        ------
        TypeError, ValueError
            If X does not fit.

        Examples
        --------
        >>> from gradstep import lls
        >>> lls.fit([[1.0], [2.0]], [2.0, 4.0]).predict([[3.0]]).round(6)
        array([6.])
        """
        return predict("Fit.predict", X, self.coef, self.intercept)

    def __repr__(self) -> str:
        loss = f"{self.loss[-1]:.6g}" if len(self.loss) else "nan"
        validation = ""
        if self.validation_loss is not None and len(self.validation_loss):
            validation = f", validation_loss={self.validation_loss[-1]:.6g}"
        return (
            f"Fit({self.coef.dtype} coef of shape {self.coef.shape}, "
            f"reason={self.reason!r}, epochs={self.epochs}, "
            f"n_updates={self.n_updates}, loss={loss}{validation})"
        )


class DivergenceError(FloatingPointError):
    """Training diverged; `coef` and `intercept` are the last good ones."""

    def __init__(self, message: str, coef: Array, intercept: Any) -> None:
        super().__init__(message)
        self.coef, self.intercept = coef, intercept

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.coef, self.intercept)


class NonFiniteError(DivergenceError, ValueError):
    """Rows hold NaN or infinity; the message names the first such value.

    It is a ValueError, as of any argument that does not fit, and a `DivergenceError`
    because a long fit may have come far before it reached that row: `coef` and
    `intercept` are those from before, or zeros of a fit without an optimizer, which has
    none until it ends. A lower learning rate does not help.
    """


class ConvergenceWarning(UserWarning):
    """A fit by the default ended before it came as near as was asked."""
