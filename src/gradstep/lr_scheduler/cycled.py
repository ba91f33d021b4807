"""torch's schedulers that cycle the momentum, too: OneCycleLR and CyclicLR."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gradstep._core import ieee
from gradstep.hyper import Choice, HasGroups, Real, Whole
from gradstep.lr_scheduler.base import warn
from gradstep.lr_scheduler.lane import Lane, groups_of, place
from gradstep.lr_scheduler.scheduler import LRScheduler
from gradstep.schedules import Cyclic, Schedule
from gradstep.schedules.cycle import one_cycle

# One for all groups, or one for each.
Numbers: TypeAlias = float | Sequence[float]


class OneCycleLR(LRScheduler):
    r"""One cycle: up to `max_lr` and down to next to nothing, momentum the other way.

    From `max_lr` / `div_factor`, in the part `pct_start` of all steps, to `max_lr`, and
    at the last step, t = N - 1, to the first value / `final_div_factor`
    (`schedules.Phases`); in three phases back to the first value on the way. Momentum,
    or the first of betas, goes from `max_momentum` to `base_momentum` and back.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or sequence of float for each group
    total_steps : int, optional
        N, at least 1; or pass `epochs` and `steps_per_epoch`, whose product it is.
    pct_start : float, default 0.3
        In [0, 1]; with `three_phase` at most 0.5, and so that the first phase has more
        than a step.
    anneal_strategy : {"cos", "linear"}
    cycle_momentum : bool, default True
    base_momentum, max_momentum : float, or sequence of float for each group
        In [0, 1).
    div_factor, final_div_factor : float
        Above 0.
    three_phase : bool, default False
    last_epoch : int, default -1

    Notes
    -----
    The value stays where it is after the last step; torch's rises in step N and fails
    after it. A first phase of one step or less begins at its end, where torch divides
    by 0 or begins between.

    References
    ----------
    Smith & Topin, "Super-convergence", arXiv:1708.07120.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> opt = gs.SGD(np.ones(3), lr=0.8, momentum=0.9)
    >>> scheduler = gs.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10)
    >>> scheduler.values(range(0, 10, 3))[0].round(6).tolist()
    [0.04, 0.950485, 0.388742, 4e-06]
    """

    def __init__(
        self,
        optimizer: HasGroups,
        max_lr: Numbers,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Numbers = 0.85,
        max_momentum: Numbers = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        owner = type(self).__name__
        groups = len(groups_of(owner, optimizer))
        total = _total_steps(owner, total_steps, epochs, steps_per_epoch)
        three = _flag(owner, "three_phase", three_phase)
        part = _number(owner, "pct_start", pct_start, high=0.5 if three else 1.0)
        if three and not part * total > 1:
            raise ValueError(
                f"{owner}: three_phase needs pct_start * total_steps above 1, got "
                f"{part * total:g}"
            )
        div = _divisor(owner, "div_factor", div_factor)
        final = _divisor(owner, "final_div_factor", final_div_factor)

        def cycle(first: float, peak: float, last: float) -> Schedule:
            return one_cycle(
                (first, peak, last), total, part, anneal_strategy, three_phase=three
            )

        peaks = _each(owner, "max_lr", max_lr, groups)
        firsts = [_quotient(x, div) for x in peaks]
        rates = [
            cycle(first, peak, _quotient(first, final))
            for first, peak in zip(firsts, peaks, strict=True)
        ]
        momenta = _momenta(owner, base_momentum, max_momentum, groups)
        lanes = _lanes(owner, optimizer, "lr", rates)
        cycles_momentum = _flag(owner, "cycle_momentum", cycle_momentum)
        if cycles_momentum:
            cycles = [cycle(high, low, high) for low, high in momenta]
            cycled = _momentum_lanes(owner, optimizer, cycles)
            self._first_warning = _switched_on(owner, optimizer, cycled, momenta)
            lanes += cycled
        ends = [part * total - 1, 2 * part * total - 2, total - 1]
        of_torch = {
            "total_steps": total,
            "base_lrs": [x / div for x in peaks],
            "cycle_momentum": cycles_momentum,
            "_anneal_func_type": anneal_strategy,
            "_schedule_phases": ends if three else ends[::2],
        }
        self._begin(optimizer, lanes, last_epoch, of_torch=of_torch, total_steps=total)


class CyclicLR(LRScheduler):
    """Cycles between `base_lr` and `max_lr`, momentum the other way.

    By `schedules.Cyclic`, from `base_lr` to `max_lr`; momentum, or the first of betas,
    from `max_momentum` to `base_momentum`.

    Parameters
    ----------
    optimizer : Optimizer
    base_lr, max_lr : float, or sequence of float for each group
    step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode
        As of `schedules.Cyclic`.
    cycle_momentum : bool, default True
    base_momentum, max_momentum : float, or sequence of float for each group
        In [0, 1).
    last_epoch : int, default -1

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> opt = gs.SGD(np.ones(3), lr=0.8, momentum=0.9)
    >>> scheduler = gs.lr_scheduler.CyclicLR(opt, 0.1, 0.5, step_size_up=2)
    >>> scheduler.values(range(5))[0].round(6).tolist()
    [0.1, 0.3, 0.5, 0.3, 0.1]
    """

    def __init__(
        self,
        optimizer: HasGroups,
        base_lr: Numbers,
        max_lr: Numbers,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Numbers = 0.8,
        max_momentum: Numbers = 0.9,
        last_epoch: int = -1,
    ) -> None:
        owner = type(self).__name__
        groups = len(groups_of(owner, optimizer))

        def cycle(ends: tuple[float, float]) -> Schedule:
            up, down = step_size_up, step_size_down
            return Cyclic(*ends, up, down, mode, gamma, scale_fn, scale_mode)

        lows = _each(owner, "base_lr", base_lr, groups)
        highs = _each(owner, "max_lr", max_lr, groups)
        momenta = _momenta(owner, base_momentum, max_momentum, groups)
        rates = [cycle(ends) for ends in zip(lows, highs, strict=True)]
        lanes = _lanes(owner, optimizer, "lr", rates)
        up = int(step_size_up)
        size = up + (up if step_size_down is None else int(step_size_down))
        of_torch: dict[str, Any] = {
            "base_lrs": lows,
            "max_lrs": highs,
            "total_size": size,
            "step_ratio": _quotient(up, size),
            "gamma": gamma,
            "cycle_momentum": _flag(owner, "cycle_momentum", cycle_momentum),
        }
        # torch ignores one of them, and writes its own choice over the other.
        of_torch |= {"mode": mode} if scale_fn is None else {"scale_mode": scale_mode}
        if cycle_momentum:
            cycles = [cycle((high, low)) for low, high in momenta]
            cycled = _momentum_lanes(owner, optimizer, cycles)
            message = _switched_on(owner, optimizer, cycled, momenta)
            if message:
                warn(f"{owner}{message}")
            lanes += cycled
            for name, ends in (("base_momentums", 0), ("max_momentums", 1)):
                of_torch[name] = [pair[ends] for pair in momenta]
        self._begin(optimizer, lanes, last_epoch, of_torch=of_torch)


@ieee
def _quotient(a: float, b: float) -> float:
    return a / b


def _lanes(
    owner: str, optimizer: HasGroups, name: str, each: Sequence[Schedule]
) -> list[Lane]:
    """Return a lane for each group."""
    return [
        Lane(j, *place(owner, optimizer, j, name), schedule)
        for j, schedule in enumerate(each)
    ]


def _momentum_lanes(
    owner: str, optimizer: HasGroups, cycles: Sequence[Schedule]
) -> list[Lane]:
    """Return a lane for the momentum, or the first of betas, of each group."""
    lanes = []
    for j, (group, cycle) in enumerate(zip(optimizer.param_groups, cycles)):
        name = _momentum_name(owner, group)
        at = place(owner, optimizer, j, name, "pass cycle_momentum=False")
        lanes.append(Lane(j, *at, cycle))
    return lanes


def _switched_on(
    owner: str,
    optimizer: HasGroups,
    lanes: Sequence[Lane],
    momenta: Sequence[tuple[float, float]],
) -> str | None:
    """Return a warning of momentum that was 0 and that a cycle switches on."""
    for lane, ends in zip(lanes, momenta, strict=True):
        stood = lane.read(owner, optimizer.param_groups[lane.group])
        if not stood and any(ends):
            return (
                f": {lane.name} of param_groups[{lane.group}] was 0, and "
                f"cycle_momentum=True, the default, switches it on, up to {max(ends)}, "
                "as in torch; pass cycle_momentum=False to leave it at 0"
            )
    return None


def _flag(owner: str, name: str, value: object) -> bool:
    checked: bool = Choice(None, (False, True)).check(owner, name, value)
    return checked


def _number(owner: str, name: str, value: object, high: float) -> float:
    x: float = Real(None, 0.0, high, open_high=False).check(owner, name, value)
    return x


def _divisor(owner: str, name: str, value: object) -> float:
    x = _number(owner, name, value, 1e300)
    if not x:
        raise ValueError(f"{owner}: {name} must be above 0, got {value!r}")
    return x


def _each(
    owner: str, name: str, value: Any, groups: int, high: float = 1e300
) -> list[float]:
    """Return a number for each group, from one for all or one for each."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ValueError(
            f"{owner}: {name} has {len(values)} values, expected one or {groups}"
        )
    return [_number(owner, name, x, high) for x in values]


def _momenta(
    owner: str, base: Numbers, most: Numbers, groups: int
) -> list[tuple[float, float]]:
    below_1 = 1 - 2**-53
    lows = _each(owner, "base_momentum", base, groups, below_1)
    highs = _each(owner, "max_momentum", most, groups, below_1)
    return list(zip(lows, highs, strict=True))


def _momentum_name(owner: str, group: dict[str, Any]) -> str:
    if "betas" in group:
        return "beta1"
    if "momentum" in group:
        return "momentum"
    raise ValueError(
        f"{owner}: the optimizer has neither momentum nor betas; pass "
        "cycle_momentum=False"
    )


def _total_steps(
    owner: str, total: int | None, epochs: int | None, steps: int | None
) -> int:
    parts = {"epochs": epochs, "steps_per_epoch": steps}
    if total is None and None in parts.values():
        raise ValueError(
            f"{owner}: total_steps is missing; pass it, or epochs and steps_per_epoch"
        )
    whole = Whole(None)
    counts = {
        name: whole.check(owner, name, n)
        for name, n in {"total_steps": total, **parts}.items()
        if n is not None
    }
    product: int = counts.get("epochs", 1) * counts.get("steps_per_epoch", 1)
    result: int = counts.get("total_steps", product)
    if result < 1 or (None not in parts.values() and product != result):
        raise ValueError(
            f"{owner}: total_steps must be at least 1, and epochs * steps_per_epoch if "
            f"both are given, got {counts}"
        )
    return result
