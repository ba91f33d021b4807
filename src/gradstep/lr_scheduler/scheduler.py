"""A schedule at work on the hyperparameters of an optimizer."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep._core import ieee
from gradstep.hyper import HasGroups, as_text, is_real
from gradstep.lr_scheduler import functions, saved
from gradstep.lr_scheduler.base import Base, warn
from gradstep.lr_scheduler.course import Course, Move
from gradstep.lr_scheduler.lane import (
    Lane,
    Place,
    check_groups,
    groups_of,
    per_group,
    place,
)
from gradstep.lr_scheduler.neighbours import (
    Member,
    is_scheduled,
    register,
    replace,
    stood_before,
    take_over,
    writer,
)
from gradstep.lr_scheduler.saved import SavedLane
from gradstep.lr_scheduler.values import as_number, rounded, write_all
from gradstep.schedules import Schedule
from gradstep.schedules.schedule import arguments_of, as_step

PerGroup: TypeAlias = Schedule | Sequence[Schedule]


class LRScheduler(Base):
    """Any schedule of `gradstep.schedules`, on any hyperparameter of an optimizer.

    The constructor sets the value of step 0, `step` the next one's; call it after the
    optimizer's own `step`. The value is a closed form of the count of steps and of
    where the hyperparameter stood at first, unless somebody else changes it between
    the steps: see `gradstep.lr_scheduler` for what a scheduler makes of that.

    Parameters
    ----------
    optimizer : Optimizer
        Of gradstep or torch: anything with `param_groups`.
    schedule : Schedule, or sequence of Schedule
        For all groups, or one for each; or a dict of these by the names of
        hyperparameters, such as ``{"lr": ..., "momentum": ...}``.
    last_epoch : int, default -1
        One less than the step to begin at; perhaps fractional. Beyond -1 the groups
        must have noted where they stood at first, as every scheduler does
        (``"initial_lr"``). To go on with a saved scheduler, rather use
        `load_state_dict`, which also keeps what others have changed.
    hyperparameter : str, default "lr"
        What to set: any number in `param_groups`, or tensor of one; ``"beta1"`` is the
        first of betas.

    Raises
    ------
    TypeError, ValueError, KeyError
        If an argument does not fit; the message names it.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> opt = gs.SGD(np.ones(3), lr=0.8, momentum=0.9)
    >>> half = gs.schedules.Exponential(0.5)
    >>> scheduler = gs.lr_scheduler.LRScheduler(opt, half, hyperparameter="momentum")
    >>> opt.step(np.ones(3))
    >>> scheduler.step()
    >>> opt.param_groups[0]["momentum"]
    0.45
    """

    optimizer: HasGroups
    last_epoch: float

    # Whether to begin again from where the value stood before other schedulers that
    # have not taken a step, as torch's sequences do, or to build on what they set.
    _restarts: ClassVar[bool] = False

    _first_warning: str | None = None  # of the first call of `step`

    def __init__(
        self,
        optimizer: HasGroups,
        schedule: PerGroup | Mapping[str, PerGroup],
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        owner = type(self).__name__
        groups = groups_of(owner, optimizer)
        by_name: Mapping[str, PerGroup]
        if isinstance(schedule, Mapping):
            by_name = schedule
            if not schedule or hyperparameter != "lr":
                raise ValueError(
                    f"{owner}: schedule must name hyperparameters, and then be alone, "
                    f"got {schedule!r} beside hyperparameter={hyperparameter!r}"
                )
        else:
            by_name = {hyperparameter: schedule}
        lanes = [
            Lane(j, *place(owner, optimizer, j, name), each)
            for name, schedules in by_name.items()
            for j, each in enumerate(per_group(owner, name, schedules, len(groups)))
        ]
        self._begin(optimizer, lanes, last_epoch)

    @ieee
    def _begin(
        self,
        optimizer: HasGroups,
        lanes: list[Lane],
        last_epoch: float,
        *,
        parts: Sequence["LRScheduler"] = (),
        of_torch: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        """Set the first values, and note where the groups stood.

        `parts` are schedulers whose schedules this one takes over; `of_torch` is what
        the state of torch's scheduler of this name would have.
        """
        self._owner = owner = type(self).__name__
        t = _first_step(owner, last_epoch)
        groups = optimizer.param_groups
        self._groups = len(groups)
        # The learning rate comes first, if it is among them.
        lanes = sorted(lanes, key=lambda lane: lane.key != "lr")
        first = lanes[0].schedule
        self._arguments = arguments_of(first) | arguments
        self._described = saved.describe(lanes)
        self._of_torch = saved.as_torch_saves(first) if of_torch is None else of_torch
        self._courses = tuple([Course(lane) for lane in lanes])
        marks = {x.lane.place: x.mark for x in self._courses}
        self._member = Member(owner, marks, self._groups, is_fresh=True)
        self._has_warned = False
        vars(self).update(optimizer=optimizer, last_epoch=t)
        resumes = last_epoch > -1
        moves = [self._first_move(x, groups, parts, resumes) for x in self._courses]
        notes = [] if resumes else self._notes(groups)
        self._set(moves, t, groups)
        for group, name, note in notes:
            group[name] = note
        take_over(parts, owner)
        if self._restarts:
            replace(optimizer, self._member)
        register(self)

    def _first_move(
        self,
        course: Course,
        groups: list[dict[str, Any]],
        parts: Sequence["LRScheduler"],
        resumes: bool,
    ) -> Move:
        """Return what to set first, and note in the course where it begins.

        That is where the value stands, before `parts` if there are some; or, for
        schedules that overwrite others and for sequences, the origin: where it stood
        before all schedulers, unless somebody has set it since.
        """
        t, lane = self.last_epoch, course.lane
        group = groups[course.group]
        present = base = lane.read(self._owner, group)
        other, mark = writer(
            self.optimizer, self._member, lane.place, course.present(groups)
        )
        is_fresh = other is not None and other.is_fresh
        if parts:
            base = stood_before(parts, lane.place, present)
        origin = base if mark is None else mark.origin
        if resumes:
            origin = base = self._noted(lane, group)
            # Another one that has been resumed with it, and is no former self of it.
            if other and is_fresh and not parts and other.kind != self._owner:
                base = present
        elif other and is_fresh and mark and other.groups != len(groups):
            base = mark.entry  # the other one cannot step any more
        begins_again = self._restarts or not lane.schedule.chainable(t)
        if begins_again:
            base = origin
        course.mark.origin = origin
        course.mark.entry = base if parts or not begins_again else present
        move = course.begun(t, base)
        if resumes and mark is None:
            self._warn_of_other_value(course, move, present)
        if not base and not is_fresh:
            self._warn_of_zero(course, group)
        return move

    def _noted(self, lane: Lane, group: dict[str, Any]) -> float:
        """Return where a hyperparameter stood at first, which its group notes."""
        noted = lane.noted(self._owner, group)
        if noted is None:
            raise KeyError(
                f"{self._owner}: param_groups[{lane.group}] lacks 'initial_{lane.key}',"
                f" which last_epoch={self.last_epoch - 1} needs; use load_state_dict, "
                "or set it"
            )
        return noted

    def _notes(self, groups: list[dict[str, Any]]) -> list[tuple[Any, str, Any]]:
        """Return for each group and key where it stood at first."""
        notes: dict[tuple[int, str], Any] = {}
        for course in self._courses:
            group, key, part = course.lane.place
            if part is None:
                notes[group, key] = course.mark.origin
                continue
            values = groups[group][key]
            where = f"{self._owner}: {key} of param_groups[{group}]"
            parts = notes.get((group, key)) or [as_number(where, x) for x in values]
            parts = list(parts)
            parts[part] = course.mark.origin
            notes[group, key] = tuple(parts)
        return [(groups[j], f"initial_{key}", x) for (j, key), x in notes.items()]

    # -- stepping

    @ieee
    def step(self, epoch: float | None = None) -> None:
        """Set the values of the next step.

        Parameters
        ----------
        epoch : number, optional
            Go there instead: a count of steps, perhaps fractional, at least 0. The next
            `step` goes on by one from there.
        """
        if self._member.refusal:
            raise ValueError(f"{self._owner}.step: {self._member.refusal}")
        if epoch is not None:
            t = as_step(f"{self._owner}.step", epoch)
        else:
            t = self.last_epoch + 1
            if t == 1:
                self._warn_if_early()
                if self._first_warning:
                    self._warn(self._first_warning)
        self._go_to(t)

    def _go_to(self, t: float) -> None:
        """Set the values of step t: all of them, or none."""
        groups = self.optimizer.param_groups
        if len(groups) != self._groups:
            self._check_groups()
        if len(self._courses) == 1 and self._step_alone(groups, t):
            return
        moves: list[Any] = []
        closed = True  # forms, so that nothing but numbers is to be written
        for course in self._courses:
            value = groups[course.group][course.key]
            if course.part is not None:
                value = value[course.part]
            # Where nobody else has set it, the value is the level, times no factor.
            if type(value) is float and value == course.level and course.factor == 1.0:
                x = course.value(t, course.base)
                if type(x) is float and 0 <= x < math.inf:
                    moves.append(x)
                    continue
                moves.append(Move(x, course.base, 1.0, x))
            else:
                moves.append(self._next_move(course, value, t))
            closed = False
        if not closed:
            self._set(moves, t, groups)
            self._member.is_fresh = False
            return
        for course, x in zip(self._courses, moves):
            group, key = groups[course.group], course.key
            if course.part is None:
                group[key] = x
            else:
                parts = list(group[key])
                parts[course.part] = x
                group[key] = tuple(parts)
            course.mark.number = course.level = x
        self._member.is_fresh = False
        self.__dict__["last_epoch"] = t

    def _step_alone(self, groups: list[dict[str, Any]], t: float) -> bool:
        """Set the only value, if nobody else has set it: the most frequent step."""
        (course,) = self._courses
        group = groups[course.group]
        value = group[course.key]
        if type(value) is not float or value != course.level or course.factor != 1.0:
            return False
        x = course.value(t, course.base)
        if type(x) is not float or not 0 <= x < math.inf:
            x = self._checked(course.lane, x, t)
        group[course.key] = course.level = course.mark.number = x
        self._member.is_fresh = False
        self.__dict__["last_epoch"] = t
        return True

    def _next_move(self, course: Course, value: Any, t: float) -> Move:
        """Return what to set at step t where somebody may have changed the value."""
        overwrites = not course.lane.schedule.chainable(t)
        if overwrites and not self._has_warned and not course.mark.stands(value):
            self._warn_of_overwriting(course, value)
        return course.next(self._owner, value, self.last_epoch, t)

    def _set(
        self, moves: Sequence[float | Move], t: float, groups: list[dict[str, Any]]
    ) -> None:
        """Set values that have been found: all of them, or none."""
        changes, steps = [], []
        for course, step in zip(self._courses, moves, strict=True):
            move = step
            if not isinstance(move, Move):
                move = Move(move, course.base, course.factor, move)
            x = self._checked(course.lane, move.number, t)
            read_back = rounded(course.present(groups), x)
            self._checked(course.lane, read_back, t)
            changes.append((groups[course.group], course.key, course.part, x))
            steps.append((course, move, read_back))
        write_all(changes)
        for course, move, read_back in steps:
            course.moved(move, read_back, course.present(groups))
        self.__dict__["last_epoch"] = t

    def _checked(self, lane: Lane, x: Any, t: float) -> float:
        if not 0 <= float(x) < math.inf:
            raise ValueError(
                f"{self._owner}: {lane.name} of param_groups[{lane.group}] would be "
                f"{float(x)} at step {t}; nothing was set"
            )
        return float(x)

    def _check_groups(self) -> None:
        t = self.last_epoch
        anew = f"anew with 'initial_lr' in the new group and last_epoch={t - 1}"
        check_groups(
            self._owner, self.optimizer, self._groups, anew if t > 0 else "anew"
        )

    # -- warnings

    def _warn(self, message: str) -> None:
        warn(f"{self._owner}{message}")

    def _warn_if_early(self) -> None:
        states = getattr(self.optimizer, "state", None)
        if isinstance(states, Sequence) and not any(s.get("step", 1) for s in states):
            self._warn(
                ".step() before the optimizer's: it skips the first value; call it "
                "after optimizer.step()"
            )

    def _warn_of_overwriting(self, course: Course, value: Any) -> None:
        lane = course.lane
        other, _ = writer(self.optimizer, self._member, lane.place, value)
        if other is not None:
            self._has_warned = True
            remedy = "combine them by ChainedScheduler"
            if other.only_reduces:  # and is no part of combinations
                remedy = "use a chainable one, such as LinearLR"
            self._warn(
                f".step: {other.kind} has set {lane.name} of param_groups[{lane.group}]"
                f" as well, and is overwritten, since {self._owner} is not chainable; "
                f"{remedy}"
            )

    def _warn_of_zero(self, course: Course, group: dict[str, Any]) -> None:
        """Warn of a base of 0 that a scheduler has left."""
        lane, stood = course.lane, course.lane.noted(self._owner, group)
        if lane.key == "lr" and lane.schedule.chainable(self.last_epoch) and stood:
            self._warn(
                f": lr of param_groups[{lane.group}] is 0, and so is every factor of "
                f"it; set lr before the scheduler is built, it began at {stood}"
            )

    def _warn_of_other_value(self, course: Course, move: Move, present: float) -> None:
        """Warn that a value is lost that was set by hand after a scheduler's step."""
        lane, t = course.lane, self.last_epoch
        if not is_scheduled(self.optimizer, self._member, lane.place):
            return
        origin = course.mark.origin
        usual = (origin, move.number, lane.schedule.value(max(t - 1, 0), origin))
        if not any(math.isclose(present, x) for x in usual):
            self._warn(
                f": last_epoch={t - 1} sets {lane.name} of param_groups[{lane.group}] "
                f"from {present} to {move.number}, which follows from "
                f"'initial_{lane.key}'; to keep a value that was set by hand, use "
                "load_state_dict"
            )

    # -- reading

    @property
    def base_lrs(self) -> list[float]:
        """Where the learning rate of each group stood at first.

        If it is not scheduled, the first hyperparameter that is.
        """
        return [course.mark.origin for course in self._courses[: self._groups]]

    def get_last_lr(self) -> list[float]:
        """Return the present learning rate of each group.

        If it is not scheduled, the first hyperparameter that is.
        """
        return self._present()[: self._groups]

    def _present(self) -> list[float]:
        groups = self.optimizer.param_groups
        lanes = [course.lane for course in self._courses]
        return [lane.read(self._owner, groups[lane.group]) for lane in lanes]

    @ieee
    def values(self, t: npt.ArrayLike) -> list[Any]:
        """Return what `get_last_lr` would at step t, if nobody else changes it.

        Parameters
        ----------
        t : number or array_like of numbers

        Returns
        -------
        list of float, or of float64 arrays
        """
        at: Any = t if np.ndim(t) else np.asarray(t)[()]
        return [course.values(at) for course in self._courses[: self._groups]]

    def lanes(self) -> dict[Place, Schedule]:
        """Return the schedule of each place: group, key, and part of a tuple."""
        lanes = (course.lane for course in self._courses)
        return {lane.place: lane.schedule for lane in lanes}

    def __getattr__(self, name: str) -> Any:
        # Arguments: T_max, gamma. Of several groups those of the first.
        if not name.startswith("_") and name in self._arguments:
            return self._arguments[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    # -- saving

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps, and where each hyperparameter stood and stands.

        Schedules are described, to be compared: build the scheduler as it was, and load
        into it. Of the caller's functions a state has what `load_state_dict` says.
        """
        courses = self._courses
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": self.base_lrs,
            "more_bases": [x.mark.origin for x in courses[self._groups :]],
            "bases": [course.base for course in courses],
            "factors": [course.factor for course in courses],
            "written": [course.mark.number for course in courses],
            "values": self._present(),
            "schedules": copy.deepcopy(self._described),
            "attributes": [functions.attributes(x) for x in self._objects()],
        }

    @ieee
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        The optimizer's state may be loaded before or after: its learning rate stands.
        Where nobody has set the rate since this scheduler did, it is set to what it was
        when the state was taken.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` gave, or that of torch's scheduler of the same name.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it does not fit, or is of a scheduler with other arguments; nothing has
            changed then.

        Notes
        -----
        Of functions, the name is compared without the scopes it is defined in, numbers
        and strings among its defaults and captured variables, the function and the
        arguments of a `functools.partial`. The body is not. As in torch, attributes of
        callable objects are restored; all of them, or none if one of them is not a
        number, a string, an array or a list, tuple or dict of these.
        """
        where = f"{self._owner}.load_state_dict"
        state = saved.flattened(where, state_dict)
        saved.check_same(where, state, self._described, self._of_torch)
        own = [course.mark.origin for course in self._courses]
        t, lanes = saved.read(where, state, self._groups, own)
        self._check_groups()
        undo = functions.restore(
            f"{where}: attributes",
            saved.attributes(where, state, [x.lane.schedule for x in self._courses]),
            self._objects(),
        )
        try:
            self._take_over(t, lanes)
        except BaseException:
            undo()
            raise

    def _objects(self) -> list[Any]:
        lanes = (course.lane for course in self._courses)
        return [x for lane in lanes for x in functions.objects(lane.schedule)]

    def _take_over(self, t: float, lanes: Sequence[SavedLane]) -> None:
        """Go on from saved numbers."""
        groups = self.optimizer.param_groups
        changes, steps = [], []
        for course, lane in zip(self._courses, lanes, strict=True):
            resumed = course.resumed(t, lane)
            value = course.present(groups)
            is_set = course.is_left_alone(value)
            if is_set:
                at = (groups[course.group], course.key, course.part)
                changes.append((*at, resumed.value))
            steps.append((course, lane.start, resumed, is_set))
        write_all(changes)
        for course, start, resumed, is_set in steps:
            course.mark.entry = course.mark.origin = start
            course.moved(resumed.move, resumed.move.number, None)
            course.placed = resumed.value if is_set else None
        self._member.is_fresh = False
        self.__dict__["last_epoch"] = t

    def __repr__(self) -> str:
        lanes = [course.lane for course in self._courses if course.group == 0]
        shown = [f"{lane.name}: {lane.schedule}" for lane in lanes]
        return f"{self._owner}({', '.join(shown)}; last_epoch={self.last_epoch})"


def _first_step(owner: str, last_epoch: Any) -> float:
    """Return the step to begin at, which is one more than `last_epoch`."""
    # Any real number can be compared, whatever mypy knows of it.
    if not is_real(last_epoch) or not -1 <= last_epoch < 2**53 - 1:  # type: ignore[operator]
        shown = as_text(last_epoch)
        raise ValueError(
            f"{owner}: last_epoch must be an int or a fraction of at least -1, got "
            f"{shown}"
        )
    return as_step(f"{owner}: last_epoch", last_epoch + 1)
