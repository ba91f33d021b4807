"""A schedule at work on the hyperparameters of an optimizer."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep.hyper import HasGroups
from gradstep.lr_scheduler.lane import Lane, Sealed, groups_of, per_group, place, put
from gradstep.lr_scheduler.saved import (
    arguments_of,
    check_same,
    flattened,
    read_bases,
    read_step,
)
from gradstep.schedules import Schedule
from gradstep.schedules.schedule import as_step

PerGroup: TypeAlias = Schedule | Sequence[Schedule]


class LRScheduler(Sealed):
    """Any schedule of `gradstep.schedules`, on any hyperparameter of an optimizer.

    The constructor sets the value of step 0, `step` the next one's; call it after the
    optimizer's own `step`. The value is found from the count of steps and from where
    the hyperparameter stood at first, never from where it stands.

    Parameters
    ----------
    optimizer : Optimizer
        Of gradstep or torch: anything with `param_groups`.
    schedule : Schedule, or sequence of Schedule
        For all groups, or one for each; or a dict of these by the names of
        hyperparameters, such as ``{"lr": ..., "momentum": ...}``.
    last_epoch : int, default -1
        One less than the step to begin at. Beyond -1 the groups must have noted where
        they stood at first, as every scheduler does (``"initial_lr"``). To go on with a
        saved scheduler, rather use `load_state_dict`.
    hyperparameter : str, default "lr"
        What to set: any number in `param_groups`; ``"beta1"`` is the first of betas.

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
            Lane(j, *place(owner, optimizer, j, name), found)
            for name, given in by_name.items()
            for j, found in enumerate(per_group(owner, name, given, len(groups)))
        ]
        self._begin(optimizer, lanes, last_epoch)

    def _begin(
        self,
        optimizer: HasGroups,
        lanes: list[Lane],
        last_epoch: int,
        **arguments: Any,
    ) -> None:
        """Set the first values, and note where the groups stood."""
        self._owner = owner = type(self).__name__
        if (
            not isinstance(last_epoch, (int, np.integer))
            or isinstance(last_epoch, bool)
            or last_epoch < -1
        ):
            raise ValueError(
                f"{owner}: last_epoch must be an int of at least -1, got {last_epoch!r}"
            )
        groups = optimizer.param_groups
        self._groups = len(groups)
        # The learning rate comes first, if it is among them.
        self._lanes = tuple(sorted(lanes, key=lambda lane: lane.key != "lr"))
        self._arguments = arguments_of(self._lanes[0].schedule) | arguments
        vars(self).update(optimizer=optimizer)
        self._set_bases(
            [self._first(lane, groups[lane.group], last_epoch) for lane in self._lanes]
        )
        before = [(groups[x.group], x.key, groups[x.group][x.key]) for x in lanes]
        self._go_to(int(last_epoch) + 1)
        for group, key, value in before:
            group.setdefault(f"initial_{key}", value)

    def _set_bases(self, bases: list[float]) -> None:
        self._bases = bases
        # Unpacked beforehand: a training loop pays for what `step` looks up.
        self._work = [
            (lane.group, lane.key, lane.part, lane.schedule.value, base)
            for lane, base in zip(self._lanes, bases, strict=True)
        ]

    def _first(self, lane: Lane, group: dict[str, Any], last_epoch: int) -> float:
        """Return where a hyperparameter stood at first, which its group notes."""
        note = f"initial_{lane.key}"
        if note not in group and last_epoch >= 0:
            raise KeyError(
                f"{self._owner}: param_groups[{lane.group}] lacks {note!r}, which "
                f"last_epoch={last_epoch} needs; use load_state_dict, or set it"
            )
        return lane.read({lane.key: group.get(note, group[lane.key])})

    # -- stepping

    def step(self, epoch: float | None = None) -> None:
        """Set the values of the next step.

        Parameters
        ----------
        epoch : number, optional
            Go there instead: a count of steps, perhaps fractional, at least 0. The next
            `step` goes on by one from there.
        """
        if epoch is not None:
            t = as_step(f"{self._owner}.step", epoch)
        else:
            t = self.last_epoch + 1
            if t == 1:
                self._warn_if_early()
        self._go_to(t)

    def _go_to(self, t: float) -> None:
        """Set the values of step t: all of them, or none."""
        groups = self.optimizer.param_groups
        if len(groups) != self._groups:
            raise ValueError(
                f"{self._owner}: the optimizer has {len(groups)} groups, and had "
                f"{self._groups}; build schedulers after add_param_group, or anew with "
                f"'initial_lr' in the new group and last_epoch={self.last_epoch - 1}"
            )
        if len(self._work) == 1:  # nothing to undo
            j, key, part, value, base = self._work[0]
            x = value(t, base)
            if type(x) is not float or not 0 <= x < math.inf:
                x = self._checked(x, t, self._lanes[0])
            put(groups[j], key, part, x)
        else:
            found: list[float] = []
            for _, _, _, value, base in self._work:
                x = value(t, base)
                if type(x) is not float or not 0 <= x < math.inf:
                    x = self._checked(x, t, self._lanes[len(found)])
                found.append(x)
            for (j, key, part, _, _), x in zip(self._work, found):
                put(groups[j], key, part, x)
        self.__dict__["last_epoch"] = t

    def _checked(self, x: Any, t: float, lane: Lane) -> float:
        if not 0 <= float(x) < math.inf:
            raise ValueError(
                f"{self._owner}: {lane.name} of param_groups[{lane.group}] would be "
                f"{float(x)} at step {t}; nothing was set"
            )
        return float(x)

    def _warn_if_early(self) -> None:
        states = getattr(self.optimizer, "state", None)
        if isinstance(states, Sequence) and not any(s.get("step", 1) for s in states):
            warnings.warn(
                f"{self._owner}.step() before the optimizer's: it skips the first "
                "value; call it after optimizer.step()",
                UserWarning,
                stacklevel=3,
            )

    # -- reading

    @property
    def base_lrs(self) -> list[float]:
        """Where the learning rate of each group stood at first.

        If it is not scheduled, the first hyperparameter that is.
        """
        return self._bases[: self._groups]

    def get_last_lr(self) -> list[float]:
        """Return the present learning rate of each group.

        If it is not scheduled, the first hyperparameter that is.
        """
        groups = self.optimizer.param_groups
        return [lane.read(groups[lane.group]) for lane in self._lanes[: self._groups]]

    def values(self, t: npt.ArrayLike) -> list[Any]:
        """Return what `get_last_lr` would at step t.

        Parameters
        ----------
        t : number or array_like of numbers

        Returns
        -------
        list of float, or of float64 arrays
        """
        at: Any = t if np.ndim(t) else np.asarray(t)[()]
        lanes = self._lanes[: self._groups]
        return [lane.schedule(at, base) for lane, base in zip(lanes, self._bases)]

    def lanes(self) -> dict[tuple[int, str, int | None], Schedule]:
        """Return the schedule of each place: group, key, and part of a tuple."""
        return {(x.group, x.key, x.part): x.schedule for x in self._lanes}

    def __getattr__(self, name: str) -> Any:
        # Arguments: T_max, gamma. Of several groups those of the first.
        if not name.startswith("_") and name in self._arguments:
            return self._arguments[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    # -- saving

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps, and where each hyperparameter stood at first.

        Of schedules only their names and arguments are saved, to be compared: build the
        scheduler as it was, and load into it.
        """
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": self._bases[: self._groups],
            "more_bases": self._bases[self._groups :],
            "schedules": self._words(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, and set the values of its step.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` gave, or that of torch's scheduler of the same name.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it does not fit, or is of a scheduler with other arguments; nothing has
            changed then.
        """
        where = f"{self._owner}.load_state_dict"
        saved = flattened(where, state_dict)
        t = read_step(where, saved["last_epoch"])
        check_same(where, saved, self._words(), self._arguments)
        more = self._bases[self._groups :]  # which torch's have not
        bases = [
            *read_bases(f"{where}: base_lrs", saved["base_lrs"], self._groups),
            *read_bases(
                f"{where}: more_bases", saved.get("more_bases", more), len(more)
            ),
        ]
        before = self._bases
        self._set_bases(bases)
        try:
            self._go_to(t)
        except BaseException:
            self._set_bases(before)
            raise

    def _words(self) -> list[str]:
        return [f"{x.name} of group {x.group}: {x.schedule}" for x in self._lanes]

    def __repr__(self) -> str:
        shown = [f"{x.name}: {x.schedule}" for x in self._lanes if x.group == 0]
        return f"{self._owner}({', '.join(shown)}; last_epoch={self.last_epoch})"
