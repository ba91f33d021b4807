"""Predictions of a linear model."""

from typing import Any

import numpy as np

from gradstep.lls import arguments as check
from gradstep.lls.data import block
from gradstep.structure import Array


def predict(who: str, X: Any, coef: Array, intercept: Any) -> Array:
    """Return X coef + intercept, for dense or sparse X, checked as that of a fit."""
    if not hasattr(X, "shape"):
        X = check.real_array(f"{who}: X", X)
    rows = block(who, X, np.zeros(X.shape[0] if X.shape else 0))
    if rows.features != len(coef):
        raise ValueError(
            f"{who}: X has {rows.features} columns, but there are {len(coef)} "
            "coefficients; pass the columns of the fit"
        )
    if rows.kind == "dense":
        products: Array = rows.X[0] @ coef
    else:
        from scipy import sparse  # noqa: PLC0415  # loaded by who made X

        shape = len(rows.y), rows.features
        products = sparse.csr_array(rows.X, shape) @ coef
    products += intercept
    return products
