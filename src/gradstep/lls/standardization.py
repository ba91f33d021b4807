"""The `standardize` argument of a trainer: means and deviations, given or measured."""

from typing import Any

import numpy as np

from gradstep.lls import arguments as check
from gradstep.lls.model import Scaling
from gradstep.structure import Array


def scaling_of(
    name: str, standardize: Any, features: int, has_intercept: bool
) -> tuple[Scaling | None, bool]:
    """Return a scaling of features, and whether it has yet to be measured."""
    if isinstance(standardize, (tuple, list)) and len(standardize) == 2:
        mean, deviation = standardize
        inverse = _inverse(f"{name}[1]", deviation, features)
        return Scaling(
            _mean(f"{name}[0]", mean, features, has_intercept), inverse
        ), False
    if not isinstance(standardize, (bool, np.bool_)):
        raise TypeError(
            f"{name} must be True, False or (mean, deviation), got {standardize!r}"
        )
    if not standardize:
        return None, False
    return Scaling(
        np.zeros(features) if has_intercept else None, np.ones(features)
    ), True


def _inverse(name: str, deviation: Any, features: int) -> Array:
    values = _column_values(name, deviation, features)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1 / values
    is_bad = ~(np.isfinite(inverse) & (inverse > 0))
    if is_bad.any():
        j = int(is_bad.argmax())
        raise ValueError(
            f"{name} must be above 0, with a finite inverse, got {values[j]} for "
            f"column {j}; pass 1 for columns that do not vary"
        )
    return inverse


def _mean(name: str, mean: Any, features: int, has_intercept: bool) -> Array | None:
    if mean is None:
        return None
    if not has_intercept:
        raise ValueError(
            f"{name}, a mean to subtract, needs intercept=True; pass (None, deviation)"
        )
    return check.finite(name, _column_values(name, mean, features))


def _column_values(name: str, values: Any, features: int) -> Array:
    """Return a copy, one float64 for each column."""
    a = np.array(check.real_array(name, values), np.float64)
    if a.shape != (features,):
        raise ValueError(f"{name} must have shape ({features},), got {a.shape}")
    return a


def overwrite(scaling: Scaling, values: Scaling) -> None:
    """Write other values to the arrays of a scaling, which C reads."""
    scaling.inverse[...] = values.inverse
    if scaling.mean is not None:
        scaling.mean[...] = values.mean


def copied(scaling: Scaling) -> Scaling:
    """Return copies of the arrays."""
    mean = None if scaling.mean is None else scaling.mean.copy()
    return Scaling(mean, scaling.inverse.copy())


def identity(like: Scaling) -> Scaling:
    """Return a scaling of the same arrays that changes nothing."""
    mean = None if like.mean is None else np.zeros_like(like.mean)
    return Scaling(mean, np.ones_like(like.inverse))
