"""One schedule at work on one hyperparameter, which others may change as well.

While nobody else writes to it, the value of step t is that of the schedule, from the
base that stood there at first: a closed form, with the same bits wherever a run is
interrupted. Where the value that a step finds is not the one it wrote last, somebody
else has changed it, the user or another scheduler, and the step builds on that:

    x' = c + (x - c) (f(t') - c) / (f(t) - c)

where f is the schedule and c its fixed point: 0, or ``eta_min`` of a cosine. That is
torch's recursion. The factor (x - c) / (f(t) - c) is kept, so that the steps after it
are closed forms again, and rounding does not accumulate.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from gradstep.lr_scheduler.lane import Lane
from gradstep.lr_scheduler.saved import SavedLane
from gradstep.lr_scheduler.values import Mark, as_number, part_of


class Move(NamedTuple):
    """What a step is going to set, and how it has been found."""

    number: float
    base: float
    factor: float
    level: float


class Resumed(NamedTuple):
    """What a state makes of a course: what was written last, and what stood there."""

    move: Move
    value: float


class Course:
    """A lane, where it began, and the factor by which others have changed it."""

    __slots__ = (
        "base",
        "factor",
        "group",
        "key",
        "lane",
        "level",
        "mark",
        "part",
        "placed",
        "value",
    )

    base: float
    factor: float
    level: float  # of the schedule, without the factor, at the present step
    mark: Mark
    placed: float | None  # what a state has brought, if it is not what was written

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        # A training loop pays for what `step` looks up.
        self.group, self.key, self.part = lane.place
        self.value = lane.schedule.value
        self.mark = Mark(math.nan, math.nan)

    def present(self, groups: list[dict[str, Any]]) -> Any:
        """Return what stands there, a number or a tensor."""
        return part_of(groups[self.group], self.key, self.part)

    def moved(self, move: Move, number: float, value: Any) -> None:
        """Note that a number was written, and what it is read back as, and from."""
        self.base, self.factor, self.level = move.base, move.factor, float(move.level)
        self.mark.update(number, value)
        self.placed = None

    def is_left_alone(self, value: Any) -> bool:
        """Return whether nobody has set a value since the scheduler did."""
        if self.placed is not None and not self.mark.stands(value):
            return Mark(self.placed, self.placed).stands(value)
        return self.mark.stands(value)

    def begun(self, t: float, base: float) -> Move:
        """Return the first value, at step t."""
        level = self.value(t, base)
        return Move(level, base, 1.0, level)

    def next(self, owner: str, value: Any, before: float, t: float) -> Move:
        """Return what to set at step t, where `value` stands, the step before over."""
        schedule, base = self.lane.schedule, self.base
        level = self.value(t, base)
        if not schedule.chainable(t):
            return Move(level, base, 1.0, level)
        if not self.mark.stands(value):
            x = self._usable(owner, value)
            return self._from(x, before, t, level)
        if level == self.level:
            return Move(self.mark.number, base, self.factor, level)
        return Move(self.scaled(level, self.factor), base, self.factor, level)

    def scaled(self, level: float, factor: float) -> float:
        """Return a value of the schedule with the factor of others."""
        if factor == 1.0:
            return level
        c = self.lane.schedule.fixed_point
        return c + factor * (level - c)

    def values(self, t: Any) -> Any:
        """Return the values of one step or of an array of steps, with the factor."""
        schedule = self.lane.schedule
        levels = schedule(t, self.base)
        if self.factor == 1.0:
            return levels

        def one(level: float, at: float) -> float:
            chainable = schedule.chainable(at)
            return self.scaled(level, self.factor) if chainable else level

        if not np.ndim(t):
            return one(levels, t)
        pairs = zip(np.ravel(levels).tolist(), np.ravel(t).tolist(), strict=True)
        return np.array([one(*pair) for pair in pairs]).reshape(np.shape(t))

    def resumed(self, t: float, lane: SavedLane) -> Resumed:
        """Return where a state leads to: one of ours, or of torch's."""
        chainable = self.lane.schedule.chainable(t)
        if lane.factor is not None and lane.written is not None:
            level = self.value(t, lane.base) if chainable else lane.written
            value = lane.written if lane.value is None else lane.value
            return Resumed(Move(lane.written, lane.base, lane.factor, level), value)
        level = self.value(t, lane.base)
        if lane.value is None:
            return Resumed(Move(level, lane.base, 1.0, level), level)
        rate, factor = lane.value, 1.0
        if chainable and not math.isclose(rate, level, rel_tol=1e-9):
            differing = self.factor_of(rate, level)
            if differing is None:
                rate = level
            else:
                factor = differing
        return Resumed(Move(rate, lane.base, factor, level), rate)

    def _usable(self, owner: str, value: Any) -> float:
        where = f"{owner}.step: {self.lane.name} of param_groups[{self.group}]"
        x = as_number(where, value)
        if not 0 <= x < math.inf:
            raise ValueError(
                f"{where} is {x}; set it to a number in [0, inf), nothing was changed"
            )
        return x

    def _from(self, x: float, before: float, t: float, level: float) -> Move:
        """Go on from x, which somebody else has set since the step before."""
        c, base, old_level = self.lane.schedule.fixed_point, self.base, self.level
        if c and t < before:
            return self._back(x, level)
        if abs(base - c) < c:  # a distance of few digits, if of any
            base = 2 * c
            old_level, level = self.value(before, base), self.value(t, base)
        factor = self.factor_of(x, old_level)
        if factor is None and not c:
            return self._anew(x, before, t)
        if factor is None:  # at the end of a cosine, where it stays
            base, factor = self.base, self.factor
        if level == old_level:
            return Move(x, base, factor, level)
        return Move(self.scaled(level, factor), base, factor, level)

    def factor_of(self, x: float, level: float) -> float | None:
        """Return by which factor x differs from the schedule, if there is one."""
        c = self.lane.schedule.fixed_point
        factor = (x - c) / (level - c) if level != c else math.inf
        return factor if math.isfinite(factor) else None

    def _back(self, x: float, level: float) -> Move:
        """Go back along a cosine in proportion; its distances would be amplified."""
        number = x / self.level * level if self.level else level
        factor = self.factor_of(number, level)
        return Move(number, self.base, 1.0 if factor is None else factor, level)

    def _anew(self, x: float, before: float, t: float) -> Move:
        """Go on from x where the schedule stands at 0: x becomes the base."""
        base = x
        if self.base == 0:
            part = self.value(before, 1.0)
            base = x / part if part > 0 and math.isfinite(x / part) else x
        level = self.value(t, base)
        stays = level == self.value(before, base)
        return Move(x if stays else level, base, 1.0, level)
