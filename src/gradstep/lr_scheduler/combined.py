"""Schedulers made of others, whose schedules they take over."""

from collections.abc import Sequence

from gradstep.hyper import HasGroups
from gradstep.lr_scheduler.lane import Lane, Place
from gradstep.lr_scheduler.scheduler import LRScheduler
from gradstep.schedules import Chained, Constant, Schedule, Sequential, Warmup

# For a hyperparameter that one of several schedulers leaves alone.
_HOLD = Constant(1.0, 0)


class SequentialLR(LRScheduler):
    """One scheduler after the other, each from its own start (`schedules.Sequential`).

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
        Of this optimizer, and new. Their schedules are taken over; step this scheduler
        only.
    milestones : sequence of int
        When the second begins, the third, and so on; one fewer, rising, from 1.
    last_epoch : int, default -1

    Notes
    -----
    It begins where the learning rate stood before its parts were built, and each part
    from there again, not from where the one before ended, also MultiplicativeLR, which
    goes on from there in torch. What others change is kept at a milestone; torch
    forgets it. Equal milestones are refused; torch skips a scheduler.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> from gradstep.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
    >>> opt = gs.SGD(np.ones(3), lr=0.8)
    >>> warm, decay = LinearLR(opt, 0.25, total_iters=3), ExponentialLR(opt, 0.5)
    >>> scheduler = SequentialLR(opt, [warm, decay], milestones=[3])
    >>> scheduler.values(range(6))[0].round(6).tolist()
    [0.2, 0.4, 0.6, 0.8, 0.4, 0.2]
    """

    _restarts = True

    def __init__(
        self,
        optimizer: HasGroups,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        owner = type(self).__name__
        lanes = [
            Lane(*at, Sequential(schedules, milestones))
            for at, schedules in _lanes_of(owner, "schedulers", schedulers, optimizer)
        ]
        self._begin(optimizer, lanes, last_epoch, parts=schedulers)


class ChainedScheduler(LRScheduler):
    """Several schedulers at once: the value of each is the base of the next.

    Factors multiply, as in torch (`schedules.Chained`).

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        Of one optimizer, and new. Their schedules are taken over; step this scheduler
        only.
    optimizer : Optimizer, optional
        Theirs.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> from gradstep.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> opt = gs.SGD(np.ones(3), lr=0.8)
    >>> both = ChainedScheduler([ConstantLR(opt, 0.5, 2), ExponentialLR(opt, 0.5)])
    >>> both.values(range(4))[0].round(6).tolist()
    [0.4, 0.2, 0.2, 0.1]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: HasGroups | None = None
    ) -> None:
        owner = type(self).__name__
        lanes = [
            Lane(*at, Chained(schedules))
            for at, schedules in _lanes_of(owner, "schedulers", schedulers, optimizer)
        ]
        self._begin(schedulers[0].optimizer, lanes, -1, parts=schedulers)


class WarmupLR(LRScheduler):
    """Warmup before any scheduler: evenly to where it begins (`schedules.Warmup`).

    Parameters
    ----------
    optimizer : Optimizer
    scheduler : LRScheduler
        Of this optimizer, and new. Its schedules are taken over; step this scheduler
        only. What it sets beside the learning rate waits for its start.
    steps : int
        At least 0.
    start_factor : float, optional
        In [0, 1]; by default 1 / (steps + 1).
    last_epoch : int, default -1

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> from gradstep.lr_scheduler import ExponentialLR, WarmupLR
    >>> opt = gs.SGD(np.ones(3), lr=0.8)
    >>> warm = WarmupLR(opt, ExponentialLR(opt, 0.5), steps=3)
    >>> warm.values(range(6))[0].round(6).tolist()
    [0.2, 0.4, 0.6, 0.8, 0.4, 0.2]
    """

    _restarts = True

    def __init__(
        self,
        optimizer: HasGroups,
        scheduler: LRScheduler,
        steps: int,
        start_factor: float | None = None,
        last_epoch: int = -1,
    ) -> None:
        owner = type(self).__name__
        places = _lanes_of(owner, "scheduler", [scheduler], optimizer)
        warmed = places[0][0][1:]  # the learning rate, if it is among them
        lanes = [
            Lane(*at, Warmup(after, steps, start_factor if at[1:] == warmed else 1.0))
            for at, (after,) in places
        ]
        self._begin(optimizer, lanes, last_epoch, parts=[scheduler])


def _lanes_of(
    owner: str, name: str, parts: Sequence[LRScheduler], optimizer: HasGroups | None
) -> list[tuple[Place, list[Schedule]]]:
    """Return what schedulers set, and the schedule of each of them for it."""
    if not isinstance(parts, Sequence) or isinstance(parts, (str, bytes)) or not parts:
        kind = type(parts).__name__
        raise TypeError(
            f"{owner}: {name} must be a list of schedulers, at least one, got {kind}"
        )
    for i, scheduler in enumerate(parts):
        which = f"{name}[{i}]" if name == "schedulers" else name
        if not isinstance(scheduler, LRScheduler):
            kind = type(scheduler).__name__
            raise TypeError(f"{owner}: {which} must be an LRScheduler, got {kind}")
        expected = parts[0].optimizer if optimizer is None else optimizer
        if scheduler.optimizer is not expected:
            raise ValueError(f"{owner}: {which} is of another optimizer")
        if scheduler.last_epoch != 0:
            raise ValueError(
                f"{owner}: {which} has taken {scheduler.last_epoch} steps; pass a new "
                "one, and load into the combination"
            )
    schedules = [scheduler.lanes() for scheduler in parts]
    places = sorted({at: None for lanes in schedules for at in lanes}, key=_rate_first)
    return [(at, [lanes.get(at, _HOLD) for lanes in schedules]) for at in places]


def _rate_first(at: Place) -> bool:
    return at[1] != "lr"
