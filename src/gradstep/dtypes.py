"""Which dtypes are stepped, and in which arithmetic; all comparisons of dtypes.

NumPy reads None as float64 where it expects a dtype, so ``dtype == None`` is true for
float64. All other files compare by the functions here, which take nothing but dtypes
and answer with words that equal no dtype.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Dtype: TypeAlias = "np.dtype[Any]"
# C's words for the arithmetic of steps, and for reduced-precision storage.
Arithmetic: TypeAlias = Literal["f32", "f64"]
Code: TypeAlias = Literal["bf16", "f16"]

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# NumPy has no bfloat16: two bytes with a name.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])

_NAMES = {"f32": "float32", "f64": "float64"}


def is_same(a: Dtype, b: Dtype) -> bool:
    """Return whether two dtypes have the same elements, their byte order included."""
    for dtype in (a, b):
        if not isinstance(dtype, np.dtype):
            raise TypeError(f"is_same compares numpy.dtype objects, got {dtype!r}")
    return bool(a == b)


def code_of(dtype: Dtype) -> Code | None:
    """Return C's word for a reduced-precision dtype, None for all others."""
    # The names of user-defined dtypes are those of their scalars, as in ml_dtypes.
    is_bfloat16 = dtype.isbuiltin == 2 and dtype.name == "bfloat16"
    if is_same(dtype, BFLOAT16) or (is_bfloat16 and dtype.itemsize == 2):
        return "bf16" if dtype.isnative else None
    return "f16" if is_same(dtype, np.dtype(np.float16)) else None


def arithmetic(dtype: Dtype) -> Arithmetic | None:
    """Return C's word for the arithmetic in which a dtype is stepped, None if none."""
    if is_same(dtype, FLOAT64):
        return "f64"
    if is_same(dtype, FLOAT32) or code_of(dtype) is not None:
        return "f32"
    return None


def are_stepped_alike(a: Dtype, b: Dtype) -> bool:
    """Return whether two dtypes are stepped, and in the same arithmetic."""
    word = arithmetic(a)
    return word is not None and arithmetic(b) == word


def name_of(word: Arithmetic) -> str:
    """Return NumPy's name for an arithmetic."""
    return _NAMES[word]


def float32_or_float64(dtype: Dtype) -> Dtype:
    """Return the dtype for data of a dtype: float32 stays, anything else is float64."""
    return FLOAT32 if is_same(dtype, FLOAT32) else FLOAT64


def checked_float(name: str, dtype: npt.DTypeLike) -> Dtype:
    """Return float32 or float64, of whatever NumPy takes for either but None."""
    expected = f"{name} must be float32 or float64, got {dtype!r}"
    if dtype is None:
        raise TypeError(expected)
    try:
        float_dtype = np.dtype(dtype)
    except Exception as error:  # attributes of the user's objects may raise anything
        raise TypeError(expected) from error
    if not (is_same(float_dtype, FLOAT32) or is_same(float_dtype, FLOAT64)):
        raise TypeError(expected)
    return float_dtype
