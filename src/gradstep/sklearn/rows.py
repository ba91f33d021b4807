"""Rows as scikit-learn's validation returns them."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils.validation import validate_data

from gradstep.lls.csr import csr_rows, is_sparse

_ABSENT = object()


def validated(who: str, model: Any, X: Any, y: Any = _ABSENT, *, reset: bool) -> Any:
    """Return X, or X and y, as float32 or float64 in arrays or CSR.

    Where it is told to, scikit-learn leaves tensors as they are; those are refused.
    """
    for name, value in (("X", X), ("y", y)):
        _refuse_tensor(f"{who}: {name}", value)
        _refuse_no_numbers(f"{who}: {name}", value)
    if is_sparse(X):  # C follows the indices of conversions and products blindly
        rows, shape = csr_rows(f"{who}: X", X)
        kind = sparse.csr_matrix if isinstance(X, sparse.spmatrix) else sparse.csr_array
        X = kind(tuple(rows), shape=shape)
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


def _refuse_no_numbers(name: str, value: Any) -> None:
    """Refuse strings, times and structured scalars, whose bits or texts NumPy casts.

    scikit-learn itself refuses complex numbers, and takes objects that are numbers.
    """
    if isinstance(value, (list, tuple)):
        try:
            value = np.asarray(value)
        except ValueError:  # of several lengths: scikit-learn says so
            return
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind not in "fiubcO":
        raise TypeError(f"{name} must hold real numbers, got {dtype}")
