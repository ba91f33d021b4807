"""Steps of arrays whose states the caller keeps: no object, no memory between calls."""

from collections.abc import MutableMapping
from typing import Any

from gradstep import _core, checks
from gradstep.assembly import find_kernel, new_state
from gradstep.optimizer import OPTIMIZERS, Optimizer
from gradstep.structure import Array

__all__ = ["init", "step"]


def init(method: str | type[Optimizer], param: Array, **options: Any) -> dict[str, Any]:
    """Return the state of one array before its first step.

    Parameters
    ----------
    method : str or class
        An optimizer, such as ``"Adam"`` or `gradstep.Adam`, but no wrapper.
    param : array
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
    kind, found, kernel = _resolved("init", method, param, options)
    first = kind.initial(found)
    arrays = {name: new_state(param, first.get(name, 0.0)) for name in kernel.state}
    return {**dict.fromkeys(kernel.scalar, 0.0), **arrays}


def step(
    method: str | type[Optimizer],
    param: Array,
    grad: Array,
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
    param : array
        float32 or float64, C- or Fortran-contiguous.
    grad : array
        Of the parameter's shape and dtype; not written to.
    state : dict
        From `init`, or from the step before.
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
    kind, found, kernel = _resolved("step", method, param, options)
    if isinstance(t, bool) or not isinstance(t, int):
        raise TypeError(f"functional.step: t must be int, got {type(t).__name__}")
    if t < 1:
        raise ValueError(f"functional.step: t must be >= 1, got {t}")
    names = (*kernel.scalar, *kernel.state)
    if set(state) != set(names):
        raise KeyError(
            f"functional.step: state holds {sorted(state)}, expected {sorted(names)}"
        )
    for name in kernel.state:
        checks.output(f"functional.step: state[{name!r}]", state[name], param)
    engine = _core.Engine(kind.__name__, (param,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, tuple(state[name] for name in kernel.state))
    engine.set_group(0, *kind.group_numbers(found))
    engine.set_t(0, t - 1)
    engine.set_scalars(0, {name: state[name] for name in kernel.scalar})
    engine.bound()
    engine.step(grad)
    state.update(engine.get_scalars(0))


def _resolved(
    where: str, method: Any, param: Any, options: dict[str, Any]
) -> tuple[type[Optimizer], dict[str, Any], _core.Kernel]:
    """Return the class, all its options, and the kernel for the array."""
    kind = OPTIMIZERS.get(method, method) if isinstance(method, str) else method
    if kind not in OPTIMIZERS.values():
        known = ", ".join(OPTIMIZERS)
        raise ValueError(
            f"functional.{where}: method must be one of {known}, got {method!r}"
        )
    found = kind.checked(options)
    if found.get("restart_radius"):
        raise ValueError(
            f"functional.{where}: restart_radius must be 0, since a restart changes t; "
            f"use gradstep.{kind.__name__}"
        )
    name = f"functional.{where}: param"
    checks.parameter(f"functional.{where}", "", param)
    return kind, found, find_kernel(name, kind.rule(found), param)
