"""Reading the states of schedulers, ours and torch's: all is checked before any use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from gradstep.schedules import Schedule
from gradstep.schedules.schedule import as_step
from gradstep.state import check_type, read_scalar


def flattened(where: str, saved: Any) -> dict[str, Any]:
    """Return a saved state, with what torch's combinations save in their first part."""
    check_type(f"{where}: state_dict", saved, Mapping)
    parts = saved.get("_schedulers")
    found = dict(saved)
    if isinstance(parts, Sequence) and parts and isinstance(parts[0], Mapping):
        found = flattened(where, parts[0]) | found
    for key in ("last_epoch", "base_lrs"):
        if key not in found and "_schedulers" not in saved:
            raise KeyError(f"{where}: state_dict lacks {key!r}")
    return found


def read_step(where: str, t: Any) -> float:
    """Return a saved count of steps."""
    return as_step(f"{where}: last_epoch", t)


def read_bases(where: str, saved: Any, expected: int) -> list[float]:
    """Return saved base values."""
    check_type(where, saved, Sequence)
    if len(saved) != expected:
        raise ValueError(f"{where} has {len(saved)} values, expected {expected}")
    return [read_scalar(where, x) for x in saved]


def check_same(
    where: str, saved: Mapping[str, Any], ours: list[str], arguments: Mapping[str, Any]
) -> None:
    """Refuse the state of a scheduler with other arguments.

    Ours say what they are; torch's have their arguments among the rest.
    """
    remedy = "build the scheduler as it was, or go on by this one with step(epoch)"
    if "schedules" in saved:
        if saved["schedules"] != ours:
            raise ValueError(
                f"{where}: it was saved by {saved['schedules']}, this is {ours}; "
                f"{remedy}"
            )
        return
    for name, value in arguments.items():
        theirs = saved.get(name, saved.get(f"_{name}", value))
        if isinstance(theirs, Counter):
            theirs = tuple(sorted(theirs.elements()))
        if isinstance(theirs, list):
            theirs = tuple(theirs)
        if theirs != value:
            raise ValueError(
                f"{where}: it was saved with {name} {theirs!r}, this has {value!r}; "
                f"{remedy}"
            )


def arguments_of(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule's arguments by name."""
    return {
        f.name: getattr(schedule, f.name)
        for f in fields(schedule)  # type: ignore[arg-type]  # each is a dataclass
        if f.init
    }
