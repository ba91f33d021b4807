"""Reading saved optimizer states: everything is checked before anything is changed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep import _core, checks, dtypes
from gradstep.hyper import as_text, is_integer, is_real
from gradstep.storage import SCALE, Field, Layout

# Keys of a group that are not options.
STRUCTURE = ("params", "param_names")
# Of schedule-free optimizers. In `param_groups`, as in the authors' package: whether
# the parameters are trained; else they hold the average. In `state` of one that does:
# where it is trained; of tensors, None where that is to be computed from the average.
MODE = "train_mode"
TRAINED = "y"
# What schedulers keep in a group beside an option: "initial_lr", "max_momentum".
_PREFIXES = ("initial_", "base_", "max_", "min_")


def own_keys(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be options in a group: neither arrays nor schedulers' notes."""
    return {
        k: v
        for k, v in group.items()
        if k not in STRUCTURE
        and not (
            isinstance(k, str)
            and k.startswith(_PREFIXES)
            and k.split("_", 1)[1] in group
        )
    }


def matched(
    where: str, state_dict: Any, groups: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the saved groups, and for each of our arrays its key in ``"state"``."""
    check_type(f"{where}: state_dict", state_dict, Mapping)
    for key in ("state", "param_groups"):
        if key not in state_dict:
            raise KeyError(
                f"{where}: state_dict lacks {key!r}; pass what state_dict() gave"
            )
    check_type(f"{where}: state", state_dict["state"], Mapping)
    check_type(f"{where}: param_groups", state_dict["param_groups"], Sequence)
    saved = state_dict["param_groups"]
    if len(saved) != len(groups):
        raise ValueError(f"{where}: got {len(saved)} groups, expected {len(groups)}")
    keys: list[Any] = []
    for j, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
        keys += _match_group(f"{where}: param_groups[{j}]", theirs, ours)
    known = set(keys)
    if len(known) != len(keys):
        raise ValueError(
            f"{where}: 'params' of the groups hold an array twice, got {keys}"
        )
    for key in state_dict["state"]:
        if key not in known:
            raise KeyError(f"{where}: state has {key!r}, param_groups have not")
    without = [{k: v for k, v in g.items() if k not in STRUCTURE} for g in saved]
    return without, keys


def check_type(what: str, value: object, kind: type) -> None:
    """Check that a value is a mapping, or a sequence."""
    if not isinstance(value, kind):
        expected, got = kind.__name__.lower(), type(value).__name__
        raise TypeError(f"{what} must be a {expected}, got {got}")


def _match_group(where: str, theirs: Any, ours: dict[str, Any]) -> list[Any]:
    check_type(where, theirs, Mapping)
    if "params" not in theirs:
        raise KeyError(f"{where} lacks 'params'")
    keys = list(theirs["params"])
    if len(keys) != len(ours["params"]):
        raise ValueError(
            f"{where} has {len(keys)} arrays, expected {len(ours['params'])}"
        )
    if "param_names" not in theirs or "param_names" not in ours:
        return keys
    by_name = dict(zip(theirs["param_names"], keys, strict=True))
    for name in ours["param_names"]:
        if name not in by_name:
            raise KeyError(f"{where} lacks the parameter {name!r}")
    return [by_name[name] for name in ours["param_names"]]


def read_state(
    where: str,
    saved: Any,
    kernel: _core.Kernel,
    layout: Layout,
    array: Any,
    unused: Mapping[str, Field],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the step count and scalars of one parameter, and its state arrays.

    unused : what the class's other rules keep, which may be saved beside it.
    """
    if not isinstance(saved, Mapping) or "step" not in saved:
        raise KeyError(f"{where} lacks 'step'")
    t = read_count(f"{where}['step']", saved["step"])
    names, expected = set(saved) - {"step"}, {*kernel.scalar, *layout.fields}
    for name in unused.keys() & names:  # with its scales, or not at all
        whole = name.removesuffix(SCALE)
        expected |= unused.keys() & {whole, whole + SCALE}
    if names != expected:
        raise KeyError(f"{where} holds {sorted(names)}, expected {sorted(expected)}")
    taken: dict[str, Any] = {"step": t}
    for name in kernel.scalar:
        taken[name] = read_scalar(f"{where}[{name!r}]", saved[name])
    arrays = {}
    fields = {k: v for k, v in unused.items() if k in names} | layout.fields
    for name, field in fields.items():
        found = read_array(
            f"{where}[{name!r}]", saved[name], field.dtype, field.shape(array)
        )
        if layout.state == "blocks" and not _same_order(found, array):
            order = "C" if found.flags.c_contiguous else "Fortran"
            raise ValueError(
                f"{where}[{name!r}] has its elements in {order} order, the parameter "
                "has not, and scales are of 256 in the order of memory; load into a "
                f"parameter in {order} order"
            )
        arrays[name] = found
    return taken, arrays


def read_count(where: str, t: Any, least: int = 0) -> int:
    """Return a count of steps, checked."""
    if not is_integer(t):
        raise TypeError(f"{where} must be int, got {type(t).__name__}")
    if not least <= t < 2**53:
        raise ValueError(f"{where} must be in [{least}, 2**53), got {as_text(t)}")
    return int(t)


def read_scalar(where: str, value: Any) -> float:
    """Return a number that a rule keeps, checked."""
    if not is_real(value):
        raise TypeError(f"{where} must be a real number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} must be finite, got {as_text(value)}")
    return number


def _same_order(state: Any, array: Any) -> bool:
    """Return whether elements lie in memory in one order; scales have none."""
    c = state.flags.c_contiguous and array.flags.c_contiguous
    f = state.flags.f_contiguous and array.flags.f_contiguous
    return bool(c or f or state.shape != array.shape)


def read_array(where: str, value: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return a saved array, checked; nobody else writes to it."""
    # Plain, so that no subclass has a say when the state is copied.
    a = checks.base_array(where, value)
    if not dtypes.is_same(a.dtype, dtype):
        hint = checks.complex_hint("a", a.dtype)
        raise TypeError(f"{where} has dtype {a.dtype}, expected {dtype}{hint}")
    if a.shape != shape:
        raise ValueError(f"{where} has shape {a.shape}, expected {shape}")
    # A view could be of a state that is about to be overwritten.
    return a if a.base is None else a.copy("K")
