"""Schedules made of others."""

from bisect import bisect_right
from collections.abc import Sequence

from gradstep import _pinned
from gradstep.schedules.arguments import argument, count, each, number, steps
from gradstep.schedules.schedule import Schedule


def check_schedule(owner: str, name: str, value: object) -> Schedule:
    """Return a schedule, or raise."""
    if not isinstance(value, Schedule):
        raise TypeError(
            f"{owner}: {name} must be a schedule of gradstep.schedules, got {value!r}"
        )
    return value


def _check_schedules(owner: str, name: str, value: object) -> tuple[Schedule, ...]:
    found: tuple[Schedule, ...] = each(check_schedule)(owner, name, value)
    if not found:
        raise ValueError(f"{owner}: {name} is empty; pass at least one schedule")
    return found


class Sequential(Schedule):
    """One schedule after the other: each begins anew, from the base, at its milestone.

    Parameters
    ----------
    schedules : sequence of Schedule
    milestones : sequence of int
        One fewer than `schedules`: the step at which the second begins, the third, and
        so on. They rise, from at least 1.

    Examples
    --------
    >>> import gradstep as gs
    >>> from gradstep.schedules import Linear, Step
    >>> both = gs.schedules.Sequential([Linear(0.5, 1.0, 2), Step(2, 0.1)], [2])
    >>> both(range(6), base=0.8).round(6).tolist()
    [0.4, 0.6, 0.8, 0.8, 0.08, 0.08]
    """

    schedules: Sequence[Schedule] = argument(check=_check_schedules)
    milestones: Sequence[int] = steps()

    def _check_together(self, owner: str) -> None:
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"{owner}: milestones must be one fewer than the {len(self.schedules)} "
                f"schedules, got {len(self.milestones)}"
            )
        if self.milestones and self.milestones[0] == 0:
            raise ValueError(
                f"{owner}: milestones must be at least 1, got 0; leave out the first "
                "schedule"
            )

    def value(self, t: float, base: float) -> float:
        i = bisect_right(self.milestones, t)
        return self.schedules[i].value(t - self.milestones[i - 1] if i else t, base)

    def chainable(self, t: float) -> bool:
        i = bisect_right(self.milestones, t)
        return self.schedules[i].chainable(t - self.milestones[i - 1] if i else t)


class Chained(Schedule):
    """Schedules of schedules: the value of each is the base of the next.

    Factors multiply. One that does not look at the base (`Phases`, `Cyclic`) forgets
    those before it.

    Parameters
    ----------
    schedules : sequence of Schedule

    Examples
    --------
    >>> import gradstep as gs
    >>> from gradstep.schedules import Constant, Exponential
    >>> both = gs.schedules.Chained([Constant(0.5, 2), Exponential(0.5)])
    >>> both(range(4), base=0.8).round(6).tolist()
    [0.4, 0.2, 0.2, 0.1]
    """

    schedules: Sequence[Schedule] = argument(check=_check_schedules)

    def value(self, t: float, base: float) -> float:
        for schedule in self.schedules:
            base = schedule.value(t, base)
        return base

    def chainable(self, t: float) -> bool:
        return all(schedule.chainable(t) for schedule in self.schedules)


class Warmup(Schedule):
    r"""Warmup: evenly to where a schedule begins, which follows then.

    .. math::
        \eta_t = f(0) \left( a + (1 - a) \frac{t}{W} \right) \quad (t < W),
        \qquad f(t - W) \quad (t \ge W)

    Parameters
    ----------
    schedule : Schedule
        :math:`f`.
    steps : int
        :math:`W`, at least 0.
    start_factor : float, optional
        :math:`a`, in [0, 1]; by default :math:`1 / (W + 1)`, one of the even parts,
        since a step with a learning rate of 0 is wasted.

    Examples
    --------
    >>> import gradstep as gs
    >>> warm = gs.schedules.Warmup(gs.schedules.Exponential(0.5), steps=3)
    >>> warm(range(6), base=0.8).round(6).tolist()
    [0.2, 0.4, 0.6, 0.8, 0.4, 0.2]
    """

    schedule: Schedule = argument(check=check_schedule)
    steps: int = count()
    start_factor: float | None = number(default=None, high=1.0)

    def value(self, t: float, base: float) -> float:
        W = self.steps
        if t >= W:
            return self.schedule.value(t - W, base)
        a = self.start_factor
        factor = (t + 1) / (W + 1) if a is None else _pinned.line(a, 1.0, t, W)
        return self.schedule.value(0, base) * factor

    def chainable(self, t: float) -> bool:
        return t < self.steps or self.schedule.chainable(t - self.steps)
