"""What the comparisons with torch's schedulers share."""

import decimal
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import gradstep as gs
from schedule_oracle import defined

STEPS = 3000
LRS = (0.1, 0.037)  # of two groups
MOMENTUM = 0.9  # of all, as SGD's momentum or Adam's first beta
BETA2 = 0.98
OURS: Any = gs.lr_scheduler
TORCHS: Any = torch.optim.lr_scheduler
CYCLES = {"OneCycleLR", "CyclicLR"}  # of the momentum, too

# A scheduler of either module on an optimizer.
Build = Callable[[Any, Any], Any]
# What is right in a step, for a group.
Exact = Callable[[int, int], Decimal]


def optimizer_of(
    module: Any,
    lrs: Sequence[float] = LRS,
    kind: str = "sgd",
    momentum: float = MOMENTUM,
) -> Any:
    """Gradstep's, or torch's, which torch's schedulers need."""
    library, one = (torch.optim, torch.ones) if module is TORCHS else (gs, np.ones)
    groups = [{"params": one(1), "lr": lr} for lr in lrs]
    if kind == "sgd":
        return library.SGD(groups, momentum=momentum)
    return library.Adam(groups, betas=(momentum, BETA2))


def alone(module: Any, lr: float = 1.0, momentum: float = MOMENTUM) -> Any:
    """An optimizer with one group."""
    return optimizer_of(module, [lr], momentum=momentum)


def take_step(optimizer: Any) -> None:
    """Or the schedulers would warn that it has not taken any."""
    if isinstance(optimizer, torch.optim.Optimizer):
        optimizer.step()
    else:
        optimizer.step([np.zeros(1) for _ in optimizer.param_groups])


# Schedulers to build.


class Named(NamedTuple):
    """A scheduler and its arguments."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def __call__(self, module: Any, optimizer: Any) -> Any:
        return getattr(module, self.name)(optimizer, *self.arguments, **self.options)


def named(name: str, *arguments: Any, **options: Any) -> Named:
    return Named(name, arguments, options)


def sequence(*builds: Build, milestones: Sequence[int]) -> Build:
    def build(module: Any, optimizer: Any) -> Any:
        schedulers = [build(module, optimizer) for build in builds]
        return module.SequentialLR(optimizer, schedulers, list(milestones))

    return build


def chain(*builds: Build) -> Build:
    def build(module: Any, optimizer: Any) -> Any:
        schedulers = [build(module, optimizer) for build in builds]
        return module.ChainedScheduler(schedulers, optimizer)

    return build


def grid(**values: Sequence[Any]) -> list[Any]:
    """All combinations, with ids."""
    return [
        pytest.param(
            dict(zip(values, choice)),
            id="-".join(f"{k}={v}" for k, v in zip(values, choice)).replace(" ", ""),
        )
        for choice in product(*values.values())
    ]


# Rates, to look at.


def stepped(scheduler: Any, optimizer: Any, steps: int) -> list[float]:
    """The rates of all groups from where it stands to so many steps later."""
    take_step(optimizer)
    found = [*scheduler.get_last_lr()]
    for _ in range(steps):
        scheduler.step()
        found += scheduler.get_last_lr()
    return found


def rates(module: Any, steps: int, build: Build, lr: float = 1.0) -> list[float]:
    """Of an optimizer with one group."""
    optimizer = alone(module, lr)
    return stepped(build(module, optimizer), optimizer, steps)


def both(
    steps: int, name: str, *arguments: Any, lr: float = 1.0, **options: Any
) -> tuple[list[float], list[float]]:
    """Ours, and torch's."""
    build = named(name, *arguments, **options)
    return rates(OURS, steps, build, lr), rates(TORCHS, steps, build, lr)


def ours_only(steps: int, name: str, *arguments: Any, **options: Any) -> list[float]:
    return rates(OURS, steps, named(name, *arguments, **options))


def torchs_only(steps: int, name: str, *arguments: Any, **options: Any) -> list[float]:
    return rates(TORCHS, steps, named(name, *arguments, **options))


def about(*values: float) -> Any:
    return pytest.approx(values, rel=1e-12, abs=1e-15)


# Whole runs, to compare.


class Trace(NamedTuple):
    """Rows are steps, columns groups."""

    lr: NDArray[np.float64]
    momentum: NDArray[np.float64]
    # By torch's own formula without recursion, for those which have one.
    closed: NDArray[np.float64]


def momenta(groups: Sequence[Mapping[str, Any]]) -> list[float]:
    if "momentum" in groups[0]:
        return [group["momentum"] for group in groups]
    assert all(group["betas"][1:] == (BETA2,) for group in groups)
    return [group["betas"][0] for group in groups]


def trace(scheduler: Any, optimizer: Any, steps: int, cycles: bool = False) -> Trace:
    """From where it stands; the momentum is noted if it cycles, or else it stays."""
    take_step(optimizer)
    groups = optimizer.param_groups
    closed_form = getattr(scheduler, "_get_closed_form_lr", None)
    lr, closed, momentum, last = [], [], [], []
    for t in range(steps + 1):
        if t:
            scheduler.step()
        lr.append([group["lr"] for group in groups])
        last.append(scheduler.get_last_lr())
        if closed_form:
            closed.append(closed_form())
        if cycles:
            momentum.append(momenta(groups))
    assert lr == last
    assert cycles or momenta(groups) == [MOMENTUM] * len(groups)
    return Trace(np.array(lr), np.array(momentum), np.array(closed))


def assert_agree(
    names: Sequence[str],
    exact: Exact,
    ours: NDArray[np.float64],
    *theirs: tuple[NDArray[np.float64], float],
) -> None:
    """Within 1e-13 of torch; where it is further off, ours has to be what is exact.

    Exact is what is within 2e-15, or 9 units in the last place. Torch's values come
    with how far they may drift, if that is more than 1e-13 of the largest.
    """
    asked = np.zeros(ours.shape, bool)
    for values, drift in theirs:
        assert ours.shape == values.shape
        gap = abs(ours - values)
        assert (gap <= max(1e-13, drift) * abs(values).max(axis=0)).all()
        asked |= gap > 1e-13 * abs(values)
    # And some anyway, most of them where digits may cancel: next to zero.
    asked[:9] = asked[9::271] = True
    least = np.argsort(np.where(ours, abs(ours), np.inf), axis=0)[:9]
    np.put_along_axis(asked, least, True, axis=0)
    with decimal.localcontext(prec=50):
        for t, group in np.argwhere(asked).tolist():
            right = exact(t, group)
            allowed = Decimal("2e-15")
            if "MultiplicativeLR" in names:
                # The caller's factors are multiplied one by one, each time rounded.
                allowed += t * Decimal(2) ** -53
            # Of numbers below the normal ones only the spacing is left: 5e-324.
            allowed = allowed * abs(right) + Decimal("5e-324")
            assert abs(Decimal(ours[t, group]) - right) <= allowed, (t, group, right)


def assert_follows(
    names: Sequence[str],
    build: Build,
    lr: Exact,
    momentum: Exact | None = None,
    steps: int = STEPS,
    kind: str = "sgd",
    lrs: Sequence[float] = LRS,
    drift: float = 0.0,
    closed_drift: float = 0.0,
) -> None:
    """Ours goes as torch's, with the same bits on torch's optimizer, for a while."""
    cycles = momentum is not None
    few = min(steps, 99)
    optimizers = [optimizer_of(module, lrs, kind) for module in (OURS, TORCHS, TORCHS)]
    ours, moved, theirs = (
        trace(build(module, optimizer), optimizer, length, cycles)
        for module, optimizer, length in zip(
            (OURS, OURS, TORCHS), optimizers, (steps, few, steps)
        )
    )
    assert np.array_equal(ours.lr[: few + 1], moved.lr)
    assert np.array_equal(ours.momentum[: few + 1], moved.momentum)
    if momentum is not None:
        assert_agree(names, momentum, ours.momentum, (theirs.momentum, drift))
    found = [(theirs.lr, drift)]
    if theirs.closed.size:
        found.append((theirs.closed, closed_drift))
    assert_agree(names, lr, ours.lr, *found)


def assert_one_follows(
    name: str,
    options: dict[str, Any],
    own: Mapping[str, Any] = {},
    lrs: Sequence[float] = LRS,
    **how: Any,
) -> None:
    """`own` is only for ours; how to compare is as of `assert_follows`."""

    def build(module: Any, optimizer: Any) -> Any:
        more = own if module is OURS else {}
        return getattr(module, name)(optimizer, **options, **more)

    def lr(t: int, group: int) -> Decimal:
        return defined(name, {**options, **own}, t, Decimal(lrs[group]), group)

    def momentum(t: int, group: int) -> Decimal:
        return defined(name, options, t, None, group)

    cycles = name in CYCLES and options.get("cycle_momentum", True)
    assert_follows([name], build, lr, momentum if cycles else None, lrs=lrs, **how)
