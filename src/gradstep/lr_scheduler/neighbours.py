"""Other schedulers of the same optimizer: who set a value, and who has not begun."""

import itertools
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gradstep.lr_scheduler.lane import Place
from gradstep.lr_scheduler.values import Mark

_SERIALS = itertools.count()


@dataclass(eq=False)
class Member:
    """A scheduler as the others of its optimizer see it."""

    kind: str
    marks: dict[Place, Mark]  # what it wrote last
    groups: int  # of the optimizer when it was built
    is_fresh: bool  # whether it has set first values, and not taken a step
    only_reduces: bool = False  # ReduceLROnPlateau
    refusal: str = ""  # why it is not to be stepped
    is_part: bool = False  # of a combination
    serial: int = field(init=False, default_factory=lambda: next(_SERIALS))


class Entry(NamedTuple):
    """A member of an optimizer, and its scheduler, which may be gone."""

    ref: weakref.ref[Any]
    member: Member


# For each optimizer its schedulers, in the order in which they were built. Not saved:
# what others did before is in the optimizer's state, as values.
_ENTRIES: weakref.WeakKeyDictionary[Any, list[Entry]] = weakref.WeakKeyDictionary()


def member_of(scheduler: Any) -> Member:
    """Return what the others see of a scheduler."""
    member: Member = scheduler._member  # noqa: SLF001  # the one place
    return member


def register(scheduler: Any) -> None:
    """Note that an optimizer has got another scheduler."""
    try:
        entries = _ENTRIES.setdefault(scheduler.optimizer, [])
    except TypeError:  # of a class that cannot be hashed or referred to weakly
        return
    # Of those that are gone, the last has left the values as they are.
    gone = [x for x in entries if x.ref() is None]
    entries[:] = [x for x in entries if x.ref() is not None or x is gone[-1]]
    entries.append(Entry(weakref.ref(scheduler), member_of(scheduler)))


def _others(optimizer: Any, member: Member) -> Iterator[tuple[Member, bool]]:
    """Yield others that are stepped by themselves, the latest first; and if alive."""
    try:
        entries = list(_ENTRIES.get(optimizer, ()))
    except TypeError:
        return
    for ref, other in reversed(entries):
        if other is not member and not other.is_part:
            yield other, ref() is not None


def writer(
    optimizer: Any, member: Member, at: Place, value: Any
) -> tuple[Member | None, Mark | None]:
    """Return who of the others set the value that stands at a place, and its mark.

    A scheduler that is gone is None.
    """
    for other, is_alive in _others(optimizer, member):
        mark = other.marks.get(at)
        if mark is not None and mark.stands(value):
            return other if is_alive else None, mark
    return None, None


def is_scheduled(optimizer: Any, member: Member, at: Place) -> bool:
    """Return whether any other scheduler has set the value at a place so far."""
    return any(at in other.marks for other, _ in _others(optimizer, member))


def take_over(parts: Sequence[Any], owner: str) -> None:
    """Note in schedulers that another one has taken over their schedules."""
    for part in parts:
        member = member_of(part)
        member.is_part = True
        member.refusal = f"{owner} has taken over its schedule; step that one only"


def replace(optimizer: Any, member: Member) -> None:
    """Note in the others that a scheduler has begun again from before them."""
    for other, _ in _others(optimizer, member):
        if not other.only_reduces and other.marks.keys() & member.marks.keys():
            other.refusal = (
                f"{member.kind}, which was built after it over the same optimizer, has "
                "begun again from where the value stood at first; step one of them "
                "only, or combine them by ChainedScheduler when they are built"
            )


def stood_before(parts: Sequence[Any], at: Place, present: float) -> float:
    """Return what stood at a place before schedulers that were built on each other.

    Where somebody has set the value after one of them, what was set.
    """
    members = sorted(map(member_of, parts), key=lambda x: x.serial, reverse=True)
    for mark in [x.marks[at] for x in members if at in x.marks]:
        if mark.number != present:
            break
        present = mark.entry
    return present
