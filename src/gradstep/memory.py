"""Arrays that start where steps are fastest."""

import math
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gradstep import _core, dtypes
from gradstep.hyper import is_integer
from gradstep.structure import Array


def _shape(shape: int | Sequence[int], itemsize: int) -> tuple[int, ...]:
    extents = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(extents, Sequence) or isinstance(extents, str):
        raise TypeError(f"shape must be int or a sequence of int, got {shape!r}")
    if not all(is_integer(n) and int(n) >= 0 for n in extents):
        raise ValueError(f"shape must hold whole numbers >= 0, got {shape!r}")
    found = tuple(int(n) for n in extents)
    if math.prod(n for n in found if n) * itemsize > sys.maxsize:
        raise ValueError(f"shape asks for more than can be addressed, got {shape!r}")
    return found


def _dtype(dtype: npt.DTypeLike) -> np.dtype:
    d = np.dtype(dtype)
    number = d.kind in "biufc" or dtypes.code_of(d) is not None
    if not number or not d.isnative:
        raise TypeError(f"dtype must be a native number type, got {d!r}")
    return d


def _allocate(
    shape: int | Sequence[int], dtype: npt.DTypeLike, *, zeroed: bool
) -> Array:
    d = _dtype(dtype)
    return _core.allocate(_shape(shape, d.itemsize), d, zeroed)


def empty(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float64) -> Array:
    """Return an uninitialised C-ordered array on which steps run fastest.

    Arrays of 2 MiB and more start on a huge page and ask for huge pages; smaller ones
    start on a cache line. They behave as any other NumPy array.

    Parameters
    ----------
    shape : int or sequence of int
    dtype : dtype, default float64
        A plain number type in native byte order.

    Examples
    --------
    >>> import gradstep as gs
    >>> w = gs.empty((3, 2), "float32")
    >>> w.shape, w.dtype, w.ctypes.data % 64
    ((3, 2), dtype('float32'), 0)
    """
    return _allocate(shape, dtype, zeroed=False)


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float64) -> Array:
    """Return an array of zeros in the memory of `empty`, zeroed by all threads.

    Parameters
    ----------
    shape : int or sequence of int
    dtype : dtype, default float64
        A plain number type in native byte order.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.zeros(4)
    array([0., 0., 0., 0.])
    """
    return _allocate(shape, dtype, zeroed=True)
