"""Rows as scikit-learn's validation returns them."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils.validation import validate_data

_ABSENT = object()


def validated(who: str, model: Any, X: Any, y: Any = _ABSENT, *, reset: bool) -> Any:
    """Return X, or X and y, as float32 or float64 in arrays or CSR.

    Where it is told to, scikit-learn leaves tensors as they are; those are refused.
    """
    for name, value in (("X", X), ("y", y)):
        _refuse_tensor(f"{who}: {name}", value)
    if issparse(X) and hasattr(X, "check_format"):
        try:  # C follows the indices of a product blindly
            X.check_format(full_check=True)
        except ValueError as error:
            raise ValueError(f"{who}: X is no valid sparse matrix: {error}") from None
    options: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": [np.float64, np.float32],
        "reset": reset,
    }
    if y is _ABSENT:
        return validate_data(model, X, **options)
    return validate_data(model, X, y, multi_output=True, y_numeric=True, **options)


def _refuse_tensor(name: str, value: Any) -> None:
    if not get_config()["array_api_dispatch"] or isinstance(value, np.ndarray):
        return
    if hasattr(value, "__array_namespace__") or hasattr(value, "__dlpack__"):
        kind = type(value)
        raise TypeError(
            f"{name} must be a NumPy array where array_api_dispatch is on, got "
            f"{kind.__module__}.{kind.__qualname__}; copy it to the CPU and pass "
            "numpy.asarray of it"
        )
