"""How a fit ended: in the shapes of scikit-learn, and with its warning."""

import warnings
from typing import Any

import numpy as np
from sklearn import exceptions

from gradstep import lls
from gradstep.lls.fit import Callback
from gradstep.structure import Array


# scikit-learn has no types, so what it has is Any.
class ConvergenceWarning(
    lls.ConvergenceWarning,
    exceptions.ConvergenceWarning,  # type: ignore[misc]
):
    """A fit ended before it came as near as was asked: scikit-learn's and ours."""


def linear(coef: Array, intercept: Any) -> dict[str, Any]:
    """Return `coef_` and `intercept_` of what `lls` found: a row for each target."""
    if coef.ndim == 2:
        coef = np.ascontiguousarray(coef.T)
    return {"coef_": coef, "intercept_": intercept}


def start(who: str, model: Any, y: Array) -> dict[str, Any]:
    """Return `coef0` and `intercept0` of `lls`, where an estimator stands."""
    if model.coef_.shape[:-1] != y.shape[1:]:
        raise ValueError(
            f"{who}: y must have the targets of coef_ of shape {model.coef_.shape}, "
            f"got shape {y.shape}; to begin anew, fit sklearn.base.clone of this"
        )
    offset = model.intercept_ if model.fit_intercept else None
    return {"coef0": model.coef_.T, "intercept0": offset}


def quietly(
    X: Any, y: Array, sample_weight: Any, callback: Callback, options: dict[str, Any]
) -> lls.Fit:
    """Fit without the warning of `lls.fit`, in whose place comes the one above.

    It is told by its words: filters that threads restore in the wrong order stay, and
    must not silence ours, which is a subclass.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit: after", lls.ConvergenceWarning)
        return lls.fit(X, y, sample_weight=sample_weight, callback=callback, **options)


def warn_of(who: str, done: lls.Fit, tol: float | None, *, exact: bool) -> None:
    """Warn if there was something to wait for, and it did not come."""
    if done.reason != "epochs" or (tol is None and not exact):
        return
    if exact:
        what = "the gradient is not yet tol times what it was; raise max_iter or alpha"
    else:
        what = f"the loss still falls by more than tol={tol:g} of it; raise max_iter"
    warnings.warn(
        f"{who}: after {done.epochs} {'steps' if exact else 'epochs'} {what}",
        ConvergenceWarning,
        stacklevel=4,  # above fit, and above what cares for its callbacks
    )
