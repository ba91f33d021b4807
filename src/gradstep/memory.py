"""Arrays that start where steps are fastest."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gradstep import _core
from gradstep.structure import Array


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    extents = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for n in extents:
        if not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"shape must hold whole numbers >= 0, got {shape!r}")
    return tuple(int(n) for n in extents)


def _dtype(dtype: npt.DTypeLike) -> np.dtype:
    d = np.dtype(dtype)
    if d.hasobject or d.names is not None or d.itemsize == 0 or not d.isnative:
        raise TypeError(f"dtype must be a plain native number type, got {d!r}")
    return d


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
    return _core.allocate(_shape(shape), _dtype(dtype), False)


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
    return _core.allocate(_shape(shape), _dtype(dtype), True)
