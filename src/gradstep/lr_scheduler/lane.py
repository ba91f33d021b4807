"""Where a schedule acts: one hyperparameter of one group of an optimizer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gradstep import storage
from gradstep.lr_scheduler.values import as_number, is_number, is_tensor, part_of
from gradstep.schedules import Schedule
from gradstep.schedules.combine import check_schedule
from gradstep.state import own_keys

# A group, a key in it, and which part of a tuple, such as betas.
Place: TypeAlias = tuple[int, str, int | None]


@dataclass(frozen=True)
class Lane:
    """One hyperparameter of one group, and the schedule that sets it."""

    group: int
    key: str
    part: int | None
    schedule: Schedule

    @property
    def place(self) -> Place:
        return self.group, self.key, self.part

    @property
    def name(self) -> str:
        return self.key if self.part is None else f"beta{self.part + 1}"

    def read(self, owner: str, group: Mapping[str, Any]) -> float:
        """Return the value in a group, or in a mapping with its key."""
        where = f"{owner}: {self.name} of param_groups[{self.group}]"
        return as_number(where, part_of(group, self.key, self.part))

    def noted(self, owner: str, group: Mapping[str, Any]) -> float | None:
        """Return where the value stood at first, if the group notes it."""
        note = f"initial_{self.key}"
        return self.read(owner, {self.key: group[note]}) if note in group else None


def groups_of(owner: str, optimizer: object) -> list[dict[str, Any]]:
    """Return the groups of an optimizer, or raise."""
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list):
        raise TypeError(
            f"{owner}: optimizer must have param_groups, got {type(optimizer).__name__}"
        )
    return groups


def check_groups(owner: str, optimizer: Any, number: int, remedy: str) -> None:
    """Refuse an optimizer that has got more groups, or fewer."""
    groups = len(optimizer.param_groups)
    if groups != number:
        raise ValueError(
            f"{owner}: the optimizer has {groups} groups, and had {number}; build "
            f"schedulers after add_param_group, or {remedy}"
        )


def place(
    owner: str, optimizer: Any, j: int, name: str, remedy: str = ""
) -> tuple[str, int | None]:
    """Return the key of a hyperparameter, and which part of it: beta1 is in betas.

    `remedy` is what else to do if it cannot be scheduled.
    """
    group = optimizer.param_groups[j]
    parts = {f"beta{i + 1}": i for i in range(len(group.get("betas", ())))}
    kind = type(optimizer).__name__
    names = [
        key
        for key, value in own_keys(group).items()
        if is_number(value) and key not in storage.OPTIONS
    ]
    fixed = _fixed(optimizer, group)
    if name in fixed:
        key = f"betas ({name})" if name in parts else name
        free = [other for other in (*names, *parts) if other not in fixed]
        remedies = [f"schedule one of {', '.join(free)}"] if free else []
        if remedy:
            remedies.insert(0, remedy)
        raise ValueError(
            f"{owner}: {key} of {kind} cannot change after a step; "
            f"{', or '.join(remedies) or f'train {kind} without a scheduler'}"
        )
    if name in parts:
        return "betas", parts[name]
    if name in names:
        return name, None
    choices = ", ".join([*names, *parts])
    if name in group:
        raise TypeError(
            f"{owner}: {name!r} must be a number in param_groups, got "
            f"{_kind_of(group[name])}; set it to a float, or choose from {choices}"
        )
    base = getattr(optimizer, "base", None)
    hint = f"; schedule its base, {type(base).__name__}" if base is not None else ""
    raise ValueError(
        f"{owner}: {kind} has no hyperparameter {name!r}; it has {choices}{hint}"
    )


def _fixed(optimizer: Any, group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what cannot change in a group after a step, by name."""
    if hasattr(optimizer, "fixed"):
        fixed: Mapping[str, Any] = optimizer.fixed(group)
        return fixed
    # Of tensors: the rule is that of the class of arrays. Rprop's lr may change.
    method: Any = getattr(optimizer, "method", None)
    if not hasattr(method, "fixed"):
        return {}
    return {name: x for name, x in method.fixed(group).items() if name != "lr"}


def _kind_of(value: Any) -> str:
    if is_tensor(value):
        return f"Tensor of shape {tuple(value.shape)} and dtype {value.dtype}"
    return type(value).__name__


def per_group(owner: str, name: str, schedules: Any, groups: int) -> list[Schedule]:
    """Return a schedule for each group, from one for all or one for each."""
    if not isinstance(schedules, Iterable):
        return [check_schedule(owner, name, schedules)] * groups
    each = list(schedules)
    if len(each) != groups:
        raise ValueError(
            f"{owner}: got {len(each)} schedules of {name} for {groups} groups; pass "
            "one for all or one for each"
        )
    return [check_schedule(owner, f"{name}[{j}]", x) for j, x in enumerate(each)]
