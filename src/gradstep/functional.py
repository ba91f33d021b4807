"""Steps of arrays whose states the caller keeps: no object, no memory between calls."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from gradstep import _core, checks, dtypes, storage
from gradstep.assembly import find_kernel
from gradstep.declared import state_names
from gradstep.optimizer import OPTIMIZERS, Optimizer
from gradstep.state import check_type, read_count, read_scalar
from gradstep.structure import Array

__all__ = ["init", "step"]


def init(
    method: str | type[Optimizer], params: Array, **options: Any
) -> dict[str, Any]:
    """Return the state of one array before its first step.

    Parameters
    ----------
    method : str or class
        An optimizer, such as ``"Adam"`` or `gradstep.Adam`, but no wrapper.
    params : array
        float32 or float64, C- or Fortran-contiguous.
    **options
        As of the optimizer's constructor.

    Returns
    -------
    dict
        The arrays that `step` changes in place, and the numbers that it replaces, by
        name; empty if the rule keeps nothing.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> sorted(gs.functional.init("Adam", np.ones(3)))
    ['m', 'v']
    """
    kind, every_option, kernel = _resolved("init", method, params, options)
    p = np.asarray(params)
    kind.check_new(every_option)
    kind.check_starts(every_option, p.dtype)
    first = kind.initial(every_option)
    arrays = _core.allocate_like([(p, p.dtype, p.shape)] * len(kernel.state))
    states = dict(zip(kernel.state, arrays, strict=True))
    for name, value in first.items():
        if name in states:
            states[name].fill(value)
    return {**dict.fromkeys(kernel.scalar, 0.0), **states}


def step(
    method: str | type[Optimizer],
    params: Array,
    grads: Array,
    state: MutableMapping[str, Any],
    t: int,
    **options: Any,
) -> None:
    """Take step t of one array, in place.

    Bit for bit what the optimizer's own `step` does to that array alone.

    Parameters
    ----------
    method : str or class
        An optimizer, such as ``"Adam"`` or `gradstep.Adam`, but no wrapper.
    params : array
        float32 or float64, C- or Fortran-contiguous.
    grads : array
        Of the parameter's shape and dtype; not written to.
    state : dict
        From `init`, or from the step before. Where an option switches a state off, such
        as a momentum of 0, that state may be in it, and is left as it is.
    t : int
        The number of the step, from 1.
    **options
        As of the optimizer's constructor.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit; nothing has been changed then.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> state = gs.functional.init("Adam", w)
    >>> for t in range(1, 201):
    ...     gs.functional.step("Adam", w, 2 * w, state, t, lr=0.1)
    >>> bool(abs(w).max() < 1e-2)
    True
    """
    kind, every_option, kernel = _resolved("step", method, params, options)
    where = "functional.step"
    taken: dict[str, Any] = {"step": read_count(f"{where}: t", t, least=1) - 1}
    check_type(f"{where}: state", state, MutableMapping)
    names = (*kernel.scalar, *kernel.state)
    unused = {name for rule in kind.rules for name in state_names(rule)} - {*names}
    if set(state) - unused != set(names):
        raise KeyError(
            f"{where}: state holds {sorted(state)}, expected {sorted(names)}"
        )
    for name in kernel.scalar:
        taken[name] = read_scalar(f"{where}: state[{name!r}]", state[name])
    arrays = [state[name] for name in kernel.state]
    for name, a in zip(kernel.state, arrays, strict=True):
        checks.output(f"{where}: state[{name!r}]", a, params)
    checks.apart(f"{where}: state", arrays, [params])
    engine = _core.Engine("functional", (params,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, tuple(arrays))
    engine.set_group(0, *kind.group_numbers(every_option))
    engine.set_t(0, taken.pop("step"))
    engine.set_scalars(0, taken)
    engine.bound()
    engine.step(grads)
    state.update(engine.get_scalars(0))


def _resolved(
    where: str, method: Any, params: Any, options: dict[str, Any]
) -> tuple[type[Optimizer], dict[str, Any], _core.Kernel]:
    """Return the class, all its options, and the kernel for the array."""
    kind = OPTIMIZERS.get(method, method) if isinstance(method, str) else method
    if kind not in OPTIMIZERS.values():
        known = ", ".join(OPTIMIZERS)
        raise ValueError(
            f"functional.{where}: method must be one of {known}, got {method!r}"
        )
    every_option = kind.checked(options)
    if every_option.get("restart_radius"):
        raise ValueError(
            f"functional.{where}: restart_radius must be 0, since a restart changes t; "
            f"use gradstep.{kind.__name__}"
        )
    checks.parameter(f"functional.{where}", "", params)
    if name := storage.requested(every_option):
        raise ValueError(
            f"functional.{where}: {name} must be {kind.default_options[name]!r}, got "
            f"{every_option[name]!r}; parameters and states of fewer bits than float32 "
            f"are for gradstep.{kind.__name__}"
        )
    dtype = np.asarray(params).dtype
    if dtypes.code_of(dtype) is not None:
        raise ValueError(
            f"functional.{where}: params has dtype {dtype}; parameters of fewer bits "
            f"than float32 are for gradstep.{kind.__name__}: pass float32"
        )
    return (
        kind,
        every_option,
        find_kernel(f"functional.{where}: params", kind.rule(every_option), params),
    )
