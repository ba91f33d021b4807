"""Reading a `state_dict`: everything is checked before anything is changed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from gradstep import _core
from gradstep.torch import tensors
from gradstep.torch.names import state_name
from gradstep.torch.official import TRANSLATIONS


def read(
    where: str, method: Any, groups: list[dict[str, Any]], given: Mapping[str, Any]
) -> tuple["defaultdict[Any, dict[str, Any]]", list[dict[str, Any]]]:
    """Return states by parameter, and groups, as ours are; nothing is shared.

    Arrays are matched by name where both sides have names, else by position. A state
    keeps its type: it is widened where its parameter is of a wider one, never narrowed.
    """
    saved = [dict(group) for group in given["param_groups"]]
    states = {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in given["state"].items()
    }
    keys = _keys(groups, saved)
    params = {
        key: p
        for j, group in enumerate(groups)
        for key, p in zip(keys[j], group["params"], strict=True)
    }
    if method.__name__ in TRANSLATIONS:
        TRANSLATIONS[method.__name__](where, states, saved, params)
    kept = {state_name(method.__name__, n) for k in _kernels(method) for n in k}
    found: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for key, state in states.items():
        if key in params:
            at = f"{where}: state[{key!r}]"
            found[params[key]] = {
                name: _value(f"{at}[{name!r}]", value, params[key], name in kept)
                for name, value in state.items()
            }
        else:
            found[key] = state
    options = {*method.options}
    return found, [_group(options, *pair) for pair in zip(groups, saved, strict=True)]


def _kernels(method: Any) -> list[tuple[str, ...]]:
    return [k.state for k in _core.kernels() if k.rule in method.rules]


def _keys(groups: list[dict[str, Any]], saved: list[dict[str, Any]]) -> list[list[Any]]:
    """Return for each group the saved keys of its parameters, in our order."""
    if len(groups) != len(saved):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, expected {len(groups)}"
        )
    found = []
    for j, (ours, theirs) in enumerate(zip(groups, saved, strict=True)):
        keys = list(theirs["params"])
        if len(keys) != len(ours["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the "
                f"size of optimizer's group: group {j} has {len(keys)} parameters, "
                f"expected {len(ours['params'])}"
            )
        if "param_names" in ours and "param_names" in theirs:
            keys = _by_name(j, ours["param_names"], theirs["param_names"], keys)
        found.append(keys)
    return found


def _by_name(j: int, ours: list[str], theirs: list[str], keys: list[Any]) -> list[Any]:
    known = dict(zip(theirs, keys, strict=True))
    lacking = [name for name in ours if name not in known]
    if lacking:
        raise KeyError(
            f"loaded state dict: group {j} lacks the parameter {lacking[0]!r}"
        )
    return [known[name] for name in ours]


def _value(where: str, value: Any, p: Any, like_parameter: bool) -> Any:
    if not torch.is_tensor(value):
        return value
    value = value.detach()
    if not like_parameter:
        return value.clone()
    if value.shape != p.shape:
        raise ValueError(
            f"{where} has shape {tuple(value.shape)}, its parameter {tuple(p.shape)}"
        )
    if value.dtype != p.dtype and not _widens(value.dtype, p.dtype):
        raise ValueError(
            f"{where} has dtype {value.dtype}, its parameter {p.dtype}, which would "
            "round it; convert the parameter, or the state by hand"
        )
    if tensors.is_distributed(p) or tensors.is_distributed(value):
        return value.to(p.dtype).clone()
    return value.to(device=p.device, dtype=p.dtype, copy=True)


def _widens(narrow: torch.dtype, wide: torch.dtype) -> bool:
    return bool(torch.promote_types(narrow, wide) == wide)


def _group(
    options: set[str], ours: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """Return a saved group over our parameters; options that it lacks stay ours."""
    own = {k: v for k, v in ours.items() if k in options}
    kept = {k: ours[k] for k in ("params", "param_names") if k in ours}
    return own | theirs | kept
