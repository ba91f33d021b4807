"""How a fit ended: in the shapes of scikit-learn, and with its warning."""

import warnings
from typing import Any

import numpy as np
from sklearn import exceptions

from gradstep import lls
from gradstep.lls.fit import Callback
from gradstep.structure import Array

# What `lls.fit` advises, and what an estimator calls it.
_WORDS = {
    "pass more epochs, ridge,": "raise max_iter or alpha,",
    "pass ridge": "pass alpha > 0",
}


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
    """Fit without the warnings of `lls.fit`, in whose place comes the one above.

    They are told by their words: filters that threads restore in the wrong order stay,
    and must not silence ours, which is a subclass.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fit: ", lls.ConvergenceWarning)
        return lls.fit(X, y, sample_weight=sample_weight, callback=callback, **options)


def warn_of(who: str, done: lls.Fit, tol: float | None, *, exact: bool) -> None:
    """Warn if a fit ended before it came as near as was asked, or as it might."""
    message = None
    if exact and done.message is not None:
        message = done.message.removeprefix("fit: ")
        for ours, theirs in _WORDS.items():
            message = message.replace(ours, theirs)
    elif not exact and tol is not None and done.reason == "epochs":
        message = (
            f"after {done.epochs} epochs the loss still falls by more than tol={tol:g} "
            "of it; raise max_iter"
        )
    if message is not None:
        # Above fit, and above what cares for its callbacks.
        warnings.warn(f"{who}: {message}", ConvergenceWarning, stacklevel=5)
