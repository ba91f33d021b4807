"""Where a schedule acts: one hyperparameter of one group of an optimizer."""

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gradstep import storage
from gradstep.schedules import Schedule
from gradstep.schedules.combine import check_schedule
from gradstep.state import own_keys


@dataclass(frozen=True)
class Lane:
    """One hyperparameter of one group, and what goes over it."""

    group: int
    key: str
    part: int | None  # of a tuple, such as betas
    schedule: Schedule

    @property
    def name(self) -> str:
        return self.key if self.part is None else f"beta{self.part + 1}"

    def read(self, group: Mapping[str, Any]) -> float:
        value = group[self.key]
        return float(value if self.part is None else value[self.part])


class Sealed:
    """What is not written to: nothing would come of it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set; build a new scheduler"
            )
        super().__setattr__(name, value)


def groups_of(owner: str, optimizer: object) -> list[dict[str, Any]]:
    """Return the groups of an optimizer, or raise."""
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list):
        raise TypeError(
            f"{owner}: optimizer must have param_groups, got {type(optimizer).__name__}"
        )
    return groups


def place(owner: str, optimizer: Any, j: int, name: str) -> tuple[str, int | None]:
    """Return the key of a hyperparameter, and which part of it: beta1 is in betas."""
    group = optimizer.param_groups[j]
    betas = group.get("betas", ())
    parts = {f"beta{i + 1}": i for i in range(len(betas))}
    kind = type(optimizer).__name__
    fixed = optimizer.fixed(group) if hasattr(optimizer, "fixed") else {}
    if name in fixed:
        raise ValueError(
            f"{owner}: {name} of {kind} cannot change after a step; schedule something "
            "else, or pass cycle_momentum=False"
        )
    if name in parts:
        return "betas", parts[name]
    found = [
        k
        for k, value in own_keys(group).items()
        if _is_number(value) and k not in storage.OPTIONS
    ]
    if name in found:
        return name, None
    known = ", ".join([*found, *parts])
    if name in group:
        given = type(group[name]).__name__
        raise TypeError(
            f"{owner}: {name!r} must be a number in param_groups, got {given}; set it "
            f"to a float, or choose from {known}"
        )
    base = getattr(optimizer, "base", None)
    hint = f"; schedule its base, {type(base).__name__}" if base is not None else ""
    raise ValueError(
        f"{owner}: {kind} has no hyperparameter {name!r}; it has {known}{hint}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def put(group: dict[str, Any], key: str, part: int | None, value: float) -> None:
    """Set a hyperparameter of a group, or a part of one."""
    if part is None:
        group[key] = value
    else:
        parts = list(group[key])
        parts[part] = value
        group[key] = tuple(parts)


def per_group(owner: str, name: str, given: Any, groups: int) -> list[Schedule]:
    """Return a schedule for each group, from one for all or one for each."""
    if not isinstance(given, Iterable):
        return [check_schedule(owner, name, given)] * groups
    found = list(given)
    if len(found) != groups:
        raise ValueError(
            f"{owner}: got {len(found)} schedules of {name} for {groups} groups; pass "
            "one for all or one for each"
        )
    return [check_schedule(owner, f"{name}[{j}]", x) for j, x in enumerate(found)]
