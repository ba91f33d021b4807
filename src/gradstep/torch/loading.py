"""Reading a `state_dict`: everything is checked before anything is changed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from gradstep import _core, dtypes, storage
from gradstep.state import MODE, TRAINED
from gradstep.storage import Field
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
    _check_modes(where, keys, states, saved)
    options = {*method.options}
    loaded = [_group(options, *pair) for pair in zip(groups, saved, strict=True)]
    of_group = {key: group for j, group in enumerate(loaded) for key in keys[j]}
    found: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for key, state in states.items():
        if key in params:
            at = f"{where}: state[{key!r}]"
            fields = _fields(method, params[key], of_group[key])
            found[params[key]] = {
                name: _value(f"{at}[{name!r}]", value, params[key], fields.get(name))
                for name, value in state.items()
            }
        else:
            found[key] = state
    return found, loaded


def _fields(method: Any, p: Any, group: dict[str, Any]) -> dict[str, Field]:
    """Return how tensors beside a parameter are kept, by any rule of a method."""
    given = {
        name: method.options[name].check(
            method.__name__, name, group.get(name, method.default_options[name])
        )
        for name in storage.OPTIONS
    }
    dtype = tensors.array_dtype(p)
    word = dtypes.arithmetic(dtype)
    if word is None:
        return {}
    found = {}
    for rule in method.rules:
        layout = storage.layout("the parameter", _core.find(rule, word), dtype, given)
        for name, field in layout.fields.items():
            found[state_name(method.__name__, name)] = field
    return found | {TRAINED: Field(dtype, 1)}


def _check_modes(
    where: str,
    keys: list[list[Any]],
    states: Mapping[Any, Any],
    saved: list[dict[str, Any]],
) -> None:
    """Check that states of schedule-free optimizers are of the mode of their group."""
    for j, group in enumerate(saved):
        is_trained = group.get(MODE, True)
        for key in keys[j]:
            state = states.get(key, {})
            if not is_trained and "z" in state and TRAINED not in state:
                raise KeyError(
                    f"{where}: param_groups[{j}] was saved after eval(), and "
                    f"state[{key!r}] lacks {TRAINED!r}, where the parameter is "
                    "trained; call eval() before states are made to load into, or "
                    "save after train()"
                )
            if is_trained and TRAINED in state:
                raise ValueError(
                    f"{where}: state[{key!r}] has {TRAINED!r}, as after eval(), and "
                    f"param_groups[{j}] has {MODE}=True; set that to False"
                )


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


def _value(where: str, value: Any, p: Any, field: Field | None) -> Any:
    if not torch.is_tensor(value):
        return value
    value = value.detach()
    if field is None:
        return value.clone()
    if field.per == 1 and value.shape != p.shape:
        raise ValueError(
            f"{where} has shape {tuple(value.shape)}, its parameter {tuple(p.shape)}"
        )
    wanted = tensors.tensor_dtype(field.dtype, p)
    if value.dtype != wanted and not _widens(value.dtype, wanted):
        raise ValueError(
            f"{where} has dtype {value.dtype}, expected {wanted} for a parameter of "
            f"{p.dtype}, which would round it; convert the parameter, or the state by "
            "hand"
        )
    if tensors.is_distributed(p) or tensors.is_distributed(value):
        return value.to(wanted).clone()
    return value.to(device=p.device, dtype=wanted, copy=True)


def _widens(narrow: torch.dtype, wide: torch.dtype) -> bool:
    if not wide.is_floating_point and not wide.is_complex:
        return False  # a code
    return bool(torch.promote_types(narrow, wide) == wide)


def _group(
    options: set[str], ours: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """Return a saved group over our parameters; options that it lacks stay ours."""
    own = {k: v for k, v in ours.items() if k in options}
    kept = {k: ours[k] for k in ("params", "param_names") if k in ours}
    return own | theirs | kept
