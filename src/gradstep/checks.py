"""What may be a parameter, and what may be its gradient.

Each function returns, or raises naming the argument, the value and the remedy.

Subclasses of `numpy.ndarray` may say anything in their properties (`shape`, `flags`,
`dtype`). So every array is looked at through `base_array`, as a plain `numpy.ndarray`
of the same memory, which says what NumPy's own C code works by.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gradstep import dtypes


def _kind(a: object) -> str:
    kind = type(a)
    where = "" if kind.__module__ == "builtins" else kind.__module__ + "."
    return where + kind.__qualname__


def remedy(a: object, letter: str) -> str:
    """Return what to do about an object that NumPy can make an array of, or nothing."""
    if isinstance(a, np.ma.MaskedArray):
        return f"; pass {letter}.filled(0.0)"
    if isinstance(a, (list, tuple, int, float)) or any(
        hasattr(type(a), name) for name in ("__array__", "__array_interface__")
    ):
        return f"; pass np.asarray({letter})"
    can_share = hasattr(type(a), "__dlpack__")
    return f"; pass np.from_dlpack({letter})" if can_share else ""


def written_remedy(a: object, letter: str) -> str:
    """Return the same for arrays that are written to: a copy would be lost."""
    text = remedy(a, letter)
    if not text:
        return ""
    return f"{text.replace('pass', f'pass {letter} =')}, which is written to"


def is_array(a: object) -> bool:
    """Return whether memory is all that there is to an array: a mask, say, is more.

    By the type itself: `isinstance` believes what an object says of its class.
    """
    kind = type(a)
    return issubclass(kind, np.ndarray) and not issubclass(kind, np.ma.MaskedArray)


def base_array(
    name: str,
    a: object,
    expected: str = "a numpy.ndarray",
    *,
    letter: str = "a",
    advice: Callable[[object, str], str] = remedy,
) -> Any:
    """Return an array as a plain `numpy.ndarray`: itself, or a view of a subclass.

    Messages say what to do about anything else by `advice`, which calls it `letter`.
    """
    if not is_array(a):
        raise TypeError(f"{name} must be {expected}, got {_kind(a)}{advice(a, letter)}")
    return np.asarray(a)


def parameter(owner: str, suffix: str, array: object) -> None:
    """Check that steps can change an array in place."""
    name = f"{owner}: params{suffix}"
    a = base_array(name, array, advice=written_remedy)
    if not a.dtype.isnative:
        raise TypeError(
            f"{name} has byte order {a.dtype.str!r}; convert it with "
            "a.astype(a.dtype.newbyteorder('='))"
        )
    if not a.flags.writeable:
        raise ValueError(f"{name} is read-only; pass a writable array or a.copy()")
    if not a.flags.forc:
        raise ValueError(
            f"{name} has gaps or permuted axes (shape {a.shape}, strides {a.strides}); "
            "pass a C- or Fortran-contiguous array, such as np.ascontiguousarray(a), "
            "and copy the result back"
        )


def ordered(
    where: str,
    names: Mapping[str, int] | None,
    count: int,
    grads: Any,
    hint: str = "; pass None for a parameter that has no gradient",
) -> tuple[Any, ...]:
    """Return the gradients in the order of the parameters, as many as there are."""
    if names is not None:
        return _by_name(where, names, grads)
    is_no_sequence = isinstance(grads, (np.ndarray, str)) or hasattr(grads, "keys")
    if is_no_sequence or not hasattr(grads, "__iter__"):
        raise TypeError(
            f"{where} must be a sequence of {count} entries, as params was, got "
            f"{_kind(grads)}"
        )
    given = tuple(grads)
    if len(given) != count:
        raise ValueError(
            f"{where} has {len(given)} entries, expected {count}, as params had{hint}"
        )
    return given


def _by_name(where: str, names: Mapping[str, int], grads: Any) -> tuple[Any, ...]:
    if not hasattr(grads, "keys"):
        raise TypeError(
            f"{where} must be a mapping from name to array, as params was, got "
            f"{_kind(grads)}"
        )
    if set(grads) != names.keys():
        for name in grads:
            if name not in names:
                raise KeyError(f"{where} has {name!r}, params has not")
        lacking = next(name for name in names if name not in grads)
        raise KeyError(
            f"{where} lacks {lacking!r}; pass None for a parameter without gradient"
        )
    return tuple([grads[name] for name in names])


def complex_hint(array: str, dtype: Any) -> str:
    """Return what to do about complex numbers; an empty string for others."""
    if dtype.kind != "c":
        return ""
    part = "'float32'" if dtype.itemsize == 8 else "float"
    return (
        f"; pass {array}.view({part}), its real and imaginary parts, for parameters, "
        "gradients and states alike"
    )


def gradient(owner: str, suffix: str, parameter: Any, gradient: Any) -> Any:
    """Return the gradient as an exact array in its parameter's order of elements."""
    name = f"{owner}.step: grads{suffix}"
    if isinstance(gradient, np.generic):
        gradient = np.asarray(gradient)  # NumPy makes scalars of 0-d results
    g = base_array(name, gradient, "a numpy.ndarray or None", letter="g")
    p = np.asarray(parameter)
    if not dtypes.are_stepped_alike(g.dtype, p.dtype):
        word = dtypes.arithmetic(p.dtype)
        accepted = p.dtype.name if word is None else dtypes.name_of(word)
        # NumPy would convert the bits of this one as integers.
        is_bfloat16 = dtypes.is_same(g.dtype, dtypes.BFLOAT16)
        conversion = "of g = gradstep.from_bfloat16(g)" if is_bfloat16 else ""
        remedy = f"; pass g.astype({accepted!r}) {conversion}".rstrip()
        raise TypeError(
            f"{name} has dtype {g.dtype}, its parameter {p.dtype}"
            f"{complex_hint('g', g.dtype) or remedy}"
        )
    if g.shape != p.shape:
        raise ValueError(f"{name} has shape {g.shape}, its parameter {p.shape}")
    order: Any = "C" if p.flags.c_contiguous else "F"
    return np.array(g, dtype=g.dtype, order=order, copy=None)


def output(name: str, array: object, parameter: Any) -> None:
    """Check that results of a parameter's shape, dtype and order can be written."""
    a, like = base_array(name, array, advice=written_remedy), np.asarray(parameter)
    if not dtypes.is_same(a.dtype, like.dtype):
        hint = complex_hint("a", a.dtype)
        raise TypeError(f"{name} has dtype {a.dtype}, its parameter {like.dtype}{hint}")
    if a.shape != like.shape:
        raise ValueError(f"{name} has shape {a.shape}, its parameter {like.shape}")
    order = "C" if like.flags.c_contiguous else "F"
    if not (a.flags[f"{order}_CONTIGUOUS"] and a.flags.behaved):
        raise ValueError(
            f"{name} must be writable, aligned and in {order} order, as its parameter "
            "is; pass np.empty_like(parameter)"
        )


def is_view_of_all(a: object, of: Any) -> bool:
    """Return whether an array has the very elements of another one, in its shape."""
    if not is_array(a):
        return False
    x, y = np.asarray(a), np.asarray(of)
    if (x.shape, x.strides) != (y.shape, y.strides):
        return False
    here, there = (z.__array_interface__["data"][0] for z in (x, y))
    return bool(here == there and dtypes.is_same(x.dtype, y.dtype))


def apart(name: str, written: Sequence[Any], others: Sequence[Any]) -> None:
    """Check that arrays without gaps overlap neither each other nor others."""
    ranges = sorted(
        (start, start + a.nbytes, k < len(written))
        for k, a in enumerate(map(np.asarray, [*written, *others]))
        if a.nbytes and (start := a.__array_interface__["data"][0])
    )
    for left, right in pairwise(ranges):
        if right[0] < left[1] and (left[2] or right[2]):
            raise ValueError(
                f"{name} shares memory with a parameter, a state or itself; pass "
                "arrays of its own"
            )
