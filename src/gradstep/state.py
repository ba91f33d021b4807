"""Reading saved optimizer states: everything is checked before anything is changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def matched(
    owner: str, state_dict: Mapping[str, Any], groups: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the saved groups, and for each of our arrays its key in ``"state"``."""
    where = f"{owner}.load_state_dict"
    for key in ("state", "param_groups"):
        if not isinstance(state_dict, Mapping) or key not in state_dict:
            raise KeyError(
                f"{where}: state_dict lacks {key!r}; pass what state_dict() gave"
            )
    saved = list(state_dict["param_groups"])
    if len(saved) != len(groups):
        raise ValueError(f"{where}: got {len(saved)} groups, expected {len(groups)}")
    index: list[Any] = []
    for j, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
        index += _match_group(f"{where}: param_groups[{j}]", theirs, ours)
    return [{k: v for k, v in g.items() if k != "params"} for g in saved], index


def _match_group(
    where: str, theirs: Mapping[str, Any], ours: dict[str, Any]
) -> list[Any]:
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
    where: str, saved: Any, names: tuple[str, ...], array: Any
) -> tuple[int, dict[str, Any]]:
    """Return the step count and the state arrays of one parameter."""
    if not isinstance(saved, Mapping) or "step" not in saved:
        raise KeyError(f"{where} lacks 'step'")
    t = saved["step"]
    if isinstance(t, bool) or not isinstance(t, (int, np.integer)):
        raise TypeError(f"{where}['step'] must be int, got {type(t).__name__}")
    if not 0 <= t < 2**53:
        raise ValueError(f"{where}['step'] must be in [0, 2**53), got {t}")
    if set(saved) - {"step"} != set(names):
        raise KeyError(
            f"{where} holds {sorted(set(saved) - {'step'})}, expected {sorted(names)}"
        )
    for name in names:
        value = saved[name]
        if not isinstance(value, np.ndarray):
            kind = type(value).__name__
            raise TypeError(f"{where}[{name!r}] must be a numpy.ndarray, got {kind}")
        if value.dtype != array.dtype:
            raise TypeError(
                f"{where}[{name!r}] has dtype {value.dtype}, expected {array.dtype}"
            )
        if value.shape != array.shape:
            raise ValueError(
                f"{where}[{name!r}] has shape {value.shape}, expected {array.shape}"
            )
    return int(t), {name: saved[name] for name in names}
