"""Reading the states of schedulers, ours and torch's: all is checked before any use."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gradstep.lr_scheduler import functions
from gradstep.lr_scheduler.functions import Difference
from gradstep.lr_scheduler.lane import Lane
from gradstep.lr_scheduler.values import as_number, is_tensor
from gradstep.schedules import Chained, Schedule, Sequential
from gradstep.schedules.schedule import arguments_of, as_step
from gradstep.state import check_type, read_scalar

_REMEDY = "build the scheduler as it was, or go on by this one with step(epoch)"

# The arguments that torch's scheduler saves by our names, for each schedule.
_OF_TORCH = {
    "Step": ("step_size", "gamma"),
    "MultiStep": ("milestones", "gamma"),
    "Constant": ("factor", "total_iters"),
    "Linear": ("start_factor", "end_factor", "total_iters"),
    "Exponential": ("gamma",),
    "Polynomial": ("total_iters", "power"),
    "CosineAnnealing": ("T_max", "eta_min"),
    "CosineAnnealingWarmRestarts": ("T_0", "T_mult", "eta_min"),
    "Lambda": (),
    "Multiplicative": (),
}
_ONLY_OF_ONE = {name for names in _OF_TORCH.values() for name in names} | {
    "total_steps",
    "max_lrs",
    "total_size",
    "step_ratio",
    "best",
    "patience",
}


class SavedLane(NamedTuple):
    """What a state says of one lane; torch's says no more than the first and last."""

    start: float
    base: float
    factor: float | None
    written: float | None
    value: float | None


def flattened(where: str, saved: Any) -> dict[str, Any]:
    """Return a saved state, with what torch's combinations save in their first part."""
    check_type(f"{where}: state_dict", saved, Mapping)
    parts = saved.get("_schedulers")
    state = dict(saved)
    if isinstance(parts, Sequence) and parts and isinstance(parts[0], Mapping):
        state = flattened(where, parts[0]) | state
    for key in ("last_epoch", "base_lrs"):
        if key not in state and "_schedulers" not in saved:
            raise KeyError(f"{where}: state_dict lacks {key!r}")
    return state


def read(
    where: str, state: Mapping[str, Any], groups: int, own: list[float]
) -> tuple[float, list[SavedLane]]:
    """Return the step and the numbers of a state, checked.

    `own` is where the lanes began that it is loaded into; the first `groups` of them
    are those that torch's states have.
    """
    lanes = len(own)
    for key in ("last_epoch", "base_lrs"):
        if key not in state:
            raise KeyError(f"{where}: state_dict lacks {key!r}")
    t = as_step(f"{where}: last_epoch", state["last_epoch"])
    starts = [
        *_numbers(where, "base_lrs", state["base_lrs"], groups),
        *_numbers(
            where, "more_bases", state.get("more_bases", own[groups:]), lanes - groups
        ),
    ]
    if "written" not in state:
        rates: list[Any] = [None] * lanes
        if "_last_lr" in state:
            rates[:groups] = _numbers(where, "_last_lr", state["_last_lr"], groups)
        return t, [
            SavedLane(start, start, None, None, rate)
            for start, rate in zip(starts, rates, strict=True)
        ]
    columns = [
        _numbers(where, name, state.get(name), lanes, finite=name != "values")
        for name in ("bases", "factors", "written", "values")
    ]
    return t, [SavedLane(*numbers) for numbers in zip(starts, *columns, strict=True)]


def _numbers(
    where: str, name: str, values: Any, expected: int, *, finite: bool = True
) -> list[float]:
    """Return saved numbers; torch saves tensors where the learning rate is one."""
    check_type(f"{where}: {name}", values, Sequence)
    if len(values) != expected:
        raise ValueError(
            f"{where}: {name} has {len(values)} values, expected {expected}"
        )
    plain = [as_number(name, x) if is_tensor(x) else x for x in values]
    read_one = read_scalar if finite else as_number
    return [read_one(f"{where}: {name}", x) for x in plain]


# -- whether a state is of this scheduler


def describe(lanes: Iterable[Lane]) -> list[dict[str, Any]]:
    """Return what a state says of the schedules, to be compared."""
    return [
        {
            "group": x.group,
            "sets": x.name,
            "text": repr(x.schedule),  # for messages
            **functions.describe(x.schedule),
        }
        for x in lanes
    ]


def attributes(
    where: str, state: Mapping[str, Any], schedules: Sequence[Schedule]
) -> Any:
    """Return the attributes of the callable objects of schedules, None for others."""
    if "attributes" in state:
        return state["attributes"]
    return [
        values
        for group, schedule in enumerate(schedules)
        for values in _attributes_of_torch(where, state, schedule, group)
    ]


def _attributes_of_torch(
    where: str, state: Any, schedule: Schedule, group: int
) -> list[Any]:
    """Return what torch's state has of the callable objects of a schedule."""
    check_type(where, state, Mapping)
    if isinstance(schedule, (Sequential, Chained)):
        states = state.get("_schedulers", [{}] * len(schedule.schedules))
        return [
            values
            for i, (part, inner) in enumerate(zip(schedule.schedules, states))
            for values in _attributes_of_torch(
                f"{where}: _schedulers[{i}]", inner, part, group
            )
        ]
    targets = list(functions.objects(schedule))
    per_group = state.get("lr_lambdas", [state.get("_scale_fn_custom")] * (group + 1))
    check_type(f"{where}: lr_lambdas", per_group, Sequence)
    values = per_group[group] if group < len(per_group) else None
    fn = next((x for x in arguments_of(schedule).values() if callable(x)), None)
    return [values if values and x is fn else None for x in targets]


def check_same(
    where: str,
    state: Mapping[str, Any],
    ours: list[dict[str, Any]],
    expected: Mapping[str, Any] | None,
) -> None:
    """Refuse the state of a scheduler with other arguments.

    `expected` is what torch's would have saved, if that is known.
    """
    differing, texts = None, ""
    if "schedules" in state:
        theirs = state["schedules"]
        plain = [_without_text(theirs), _without_text(ours)]
        differing = functions.difference("schedules", *plain)
        texts = f" ({_texts(theirs)}, not {_texts(ours)})"
    elif expected is not None:
        differing = _difference_from_torch("", state, expected)
    if differing:
        raise ValueError(f"{where}: {another(*differing)}{texts}; {_REMEDY}")


def another(path: str, theirs: Any, ours: Any) -> str:
    """Return what a message says of a state that another scheduler has saved."""
    return (
        f"it was saved by another scheduler, whose {path} is {theirs!r}, of this one "
        f"it is {ours!r}"
    )


def _without_text(description: Any) -> Any:
    if not isinstance(description, list):
        return description
    return [
        {k: x for k, x in lane.items() if k != "text"}
        if isinstance(lane, Mapping)
        else lane
        for lane in description
    ]


def _texts(description: Any) -> str:
    """Return the schedules of a state as they are written, each once."""
    lanes = description if isinstance(description, list) else []
    texts = [lane.get("text", "") for lane in lanes if isinstance(lane, Mapping)]
    return ", ".join(dict.fromkeys(map(str, texts)))


def as_torch_saves(schedule: Schedule) -> dict[str, Any] | None:
    """Return what the state of torch's scheduler has, or None where that is unknown."""
    if isinstance(schedule, Sequential):
        parts = [as_torch_saves(part) for part in schedule.schedules]
        return {"_milestones": list(schedule.milestones), "_schedulers": parts}
    if isinstance(schedule, Chained):
        return {"_schedulers": [as_torch_saves(part) for part in schedule.schedules]}
    names = _OF_TORCH.get(type(schedule).__name__)
    if names is None:
        return None
    arguments = arguments_of(schedule)
    return {name: arguments[name] for name in names}


def _difference_from_torch(
    path: str, state: Mapping[str, Any], expected: Mapping[str, Any]
) -> Difference | None:
    """Return where torch's state differs from what is expected, if it has the key."""
    for name, ours in expected.items():
        theirs = state.get(name, ours)
        if name == "_schedulers":
            differing = _difference_of_parts(path, theirs, ours)
        else:
            differing = functions.difference(
                f"{path}{name}", _as_list(theirs), _as_list(ours)
            )
        if differing:
            return differing
    for name in sorted(_ONLY_OF_ONE & state.keys() - expected.keys()):
        if "_schedulers" not in expected:
            return f"{path}{name}", state[name], None
    return None


def _difference_of_parts(path: str, theirs: Any, ours: list[Any]) -> Difference | None:
    if theirs is ours:
        return None
    if not isinstance(theirs, Sequence) or len(theirs) != len(ours):
        return f"{path}_schedulers", theirs, ours
    for i, (state, expected) in enumerate(zip(theirs, ours, strict=True)):
        if expected is not None and isinstance(state, Mapping):
            inner = f"{path}_schedulers[{i}]."
            differing = _difference_from_torch(inner, state, expected)
            if differing:
                return differing
    return None


def _as_list(x: Any) -> Any:
    """Return a sequence as a list, torch's milestones one by one, ends of phases."""
    if isinstance(x, Counter):
        return sorted(x.elements())
    if isinstance(x, Mapping) and "end_step" in x:
        return x["end_step"]
    if isinstance(x, (list, tuple)):
        return [_as_list(part) for part in x]
    return x
