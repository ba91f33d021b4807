"""How parameters and states lie in memory where that is not their arithmetic's type.

Steps of bfloat16 and float16 parameters are computed in float32, and their states kept
in it. A change below half the distance of two bfloat16 numbers, 0.2 to 0.4 % of the
parameter, is lost then; where that happens to most elements, `step` issues one
`gradstep.PrecisionWarning`. What keeps it are options of every optimizer:

master : {None, "float32", "split"}
    ``"float32"``: the parameter is kept in float32 beside (4 bytes) and stepped there;
    the caller's array is that rounded to nearest, ties to even, in the same pass.
    ``"split"``: what a bfloat16 parameter lacks of float32 is kept beside (2 bytes);
    the parameter is the nearest bfloat16, ties away from zero.
rounding : {"nearest", "stochastic"}
    ``"stochastic"``: a bfloat16 parameter without a master is rounded up or down at
    random, so that the mean is right. The numbers depend on (`seed`, the step, the
    array's place in the optimizer, the element) and on nothing else.
state_dtype : {None, "bfloat16", "uint8"}
    ``"bfloat16"``: states in 2 bytes, rounded at random. ``"uint8"``: in 1 byte q, with
    a float32 scale for each 256 elements in the order of memory, in `<state>_scale`. A
    block in which nothing is negative, as in a mean square, holds ``scale (q/255)^4``;
    others, ``-scale s |s|`` with ``s = (q - 128)/127``. Rounded at random in q; above 0
    a mean square never becomes 0. One number that is not finite makes its block NaN.
seed : int
    Of the random numbers.

They cannot change once the optimizer is built. What is written to a parameter between
steps is taken over by its master; a split one keeps what it lacked, less than half the
distance of two bfloat16 numbers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradstep import _core, dtypes
from gradstep.checks import base_array
from gradstep.dtypes import BFLOAT16, FLOAT32, FLOAT64, code_of

bfloat16 = BFLOAT16

OPTIONS = ("master", "rounding", "state_dtype", "seed")
MASTER, REMAINDER, SCALE = "master", "remainder", "_scale"


class Field(NamedTuple):
    """An array that is kept beside a parameter."""

    dtype: Any
    per: int  # elements of the parameter for one of its own; 1: in its shape and order

    def shape(self, array: Any) -> tuple[int, ...]:
        """Return the shape for a parameter."""
        if self.per == 1:
            found: tuple[int, ...] = array.shape
            return found
        return (-(-array.size // self.per),)


class Layout(NamedTuple):
    """All that is kept beside one parameter, and how C is to read it."""

    fields: dict[str, Field]
    param: str | None  # the code of the parameter
    state: str | None  # and of each state

    def draws(self) -> bool:
        """Return whether steps round at random."""
        return self.param == "bf16_random" or self.state is not None

    def coding(
        self, kernel: _core.Kernel, kept: Mapping[str, Any], seed: int, number: int
    ) -> Any:
        """Return what `Engine.bind` takes; None if nothing is in code.

        The numbers by which is rounded are those of `seed` and of the place among all
        parameters.
        """
        if self.param is None and self.state is None:
            return None
        scales = tuple(kept.get(name + SCALE) for name in kernel.state)
        beside = kept.get(REMAINDER)
        key = seed, number
        return self.param, beside, kept.get(MASTER), self.state, scales, key

    def beside_results(
        self, kernel: _core.Kernel, kept: Mapping[str, Any], dtype: Any
    ) -> Any:
        """Return the same for an array of results that are found from states."""
        code = code_of(dtype)
        if code is None and self.state is None:
            return None
        scales = tuple(kept.get(name + SCALE) for name in kernel.state)
        return code, None, None, self.state, scales, None


_STATES = {
    None: (None, FLOAT32),
    "bfloat16": ("bf16_random", BFLOAT16),
    "uint8": ("blocks", np.dtype(np.uint8)),
}


def largest_state(dtype: Any, state_dtype: str | None) -> float:
    """Return the largest number of states beside a parameter of a dtype."""
    if dtypes.is_same(dtype, FLOAT64):
        return float(np.finfo(FLOAT64).max)
    # bfloat16 has the exponents of float32, and 8 bits where that has 24.
    return (2 - 2.0**-7) * 2.0**127 if state_dtype else float(np.finfo(FLOAT32).max)


def layout(
    name: str, kernel: _core.Kernel, dtype: Any, options: Mapping[str, Any]
) -> Layout:
    """Return how a parameter, which messages call `name`, and its states are kept.

    Raises
    ------
    ValueError
        If options do not go with its dtype.
    """
    code: str | None = code_of(dtype)
    _check(name, code, dtype, options)
    state_code, state_dtype = _STATES[options["state_dtype"]]
    if dtypes.is_same(dtype, FLOAT64):
        state_dtype = FLOAT64
    fields = {}
    for state in kernel.state:
        fields[state] = Field(state_dtype, 1)
        if state_code == "blocks":
            fields[state + SCALE] = Field(FLOAT32, _core.SCALED)
    if options["master"] == "float32":
        fields[MASTER] = Field(FLOAT32, 1)
    if options["master"] == "split":
        fields[REMAINDER] = Field(np.dtype(np.uint16), 1)
        code = "bf16_split"
    if options["rounding"] == "stochastic":
        code = "bf16_random"
    return Layout(fields, code, state_code)


def _check(name: str, code: str | None, dtype: Any, options: Mapping[str, Any]) -> None:
    master, rounding = options["master"], options["rounding"]
    if master is not None and code is None:
        raise ValueError(
            f"{name} has dtype {dtype}, so master must be None, got {master!r}; it is "
            "for bfloat16 and float16"
        )
    if master == "split" and code != "bf16":
        raise ValueError(
            f"{name} has dtype {dtype}; master='split' is for bfloat16: pass "
            "master='float32'"
        )
    if rounding == "stochastic" and (code != "bf16" or master is not None):
        raise ValueError(
            f"{name} has dtype {dtype} and master {master!r}; rounding='stochastic' is "
            "for bfloat16 without a master: pass rounding='nearest'"
        )
    if options["state_dtype"] is not None and dtypes.is_same(dtype, FLOAT64):
        raise ValueError(
            f"{name} has dtype float64, so state_dtype must be None, got "
            f"{options['state_dtype']!r}; it is for float32 arithmetic"
        )


def fill(found: Layout, kept: Mapping[str, Any], state: str, value: float) -> None:
    """Write one number to all elements of a state."""
    array, scale = kept[state], kept.get(state + SCALE)
    if found.state is None:
        array.fill(value)
    elif not value:
        array.fill(0)
        if scale is not None:
            scale.fill(0)
    else:
        _core.encode(found.state, np.full(array.size, value, FLOAT32), array, scale)


def exact(array: Any, kept: Mapping[str, Any]) -> Any:
    """Return a parameter as it is stepped: its master, or what its halves make."""
    beside, master = kept.get(REMAINDER), kept.get(MASTER)
    if beside is None and master is None:
        return array
    code = code_of(array.dtype) if beside is None else "bf16_split"
    assert code is not None
    found = _core.decode(code, array, beside)
    if master is not None:
        # Where it is no longer what the parameter was made from, others have written.
        flat = master.ravel("K")
        then = np.empty(array.size, np.uint16)
        _core.encode(code, flat, then, None)
        now = array.ravel("K").view(np.uint16)
        found = np.where(then == now, flat, found)
    order: Any = "C" if array.flags.c_contiguous else "F"
    return found.reshape(array.shape, order=order)


def requested(options: Mapping[str, Any]) -> str | None:
    """Return the first option that asks for anything of this, None if none does."""
    for name in ("master", "state_dtype"):
        if options[name] is not None:
            return name
    return None if options["rounding"] == "nearest" else "rounding"


def to_bfloat16(values: Any) -> Any:
    """Return numbers rounded to bfloat16, to nearest, ties to even.

    Parameters
    ----------
    values : array_like of real numbers
        Rounded to float32 first, if they are of another type.

    Returns
    -------
    numpy.ndarray
        C-ordered, of dtype ``gradstep.bfloat16``: that of two bytes with one field of
        this name. Where `ml_dtypes` is installed, ``a.view(ml_dtypes.bfloat16)`` is the
        same memory in its type; optimizers take either.

    Examples
    --------
    >>> import gradstep as gs
    >>> w = gs.to_bfloat16([1.0, 3.14159])
    >>> gs.from_bfloat16(w)
    array([1.      , 3.140625], dtype=float32)
    """
    x = _real_float32("to_bfloat16: values", values)
    found = np.empty(x.shape, np.uint16)
    _core.encode("bf16", x.reshape(-1), found, None)
    return found.view(BFLOAT16)


def from_bfloat16(array: Any) -> Any:
    """Return bfloat16 numbers as float32, which is exact.

    Parameters
    ----------
    array : numpy.ndarray
        Of dtype ``gradstep.bfloat16``, or of that of `ml_dtypes`.

    Raises
    ------
    TypeError
        If it is of another type.
    """
    a = base_array("from_bfloat16: array", array)
    if code_of(a.dtype) != "bf16":
        raise TypeError(f"from_bfloat16: array must be of bfloat16, got {a.dtype}")
    codes = np.ascontiguousarray(a).view(np.uint16)
    return _core.decode("bf16", codes.reshape(-1), None).reshape(a.shape)


def _real_float32(name: str, values: Any) -> Any:
    """Return real numbers of any type as float32 in C order."""
    if issubclass(type(values), np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; pass values.filled(...)")
    try:
        a = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    is_real = a.dtype.kind in "fiub" or code_of(a.dtype) is not None
    if not is_real:
        raise TypeError(f"{name} must hold real numbers, got {a.dtype}")
    if dtypes.is_same(a.dtype, BFLOAT16):
        return from_bfloat16(a)
    with np.errstate(over="ignore"):  # beyond float32 is beyond bfloat16, too: infinity
        return np.asarray(a, FLOAT32, order="C")
