"""Where cosines and cycles part from torch's on purpose: what either gives."""

import math
from typing import Any

import numpy as np
import pytest
from schedule_harness import (
    OURS,
    TORCHS,
    about,
    alone,
    both,
    named,
    ours_only,
    rates,
    stepped,
    take_step,
    torchs_only,
)

# Cosines.


@pytest.mark.parametrize("eta_min", [0.0, 0.2])
def test_cosine_stays_at_its_minimum(eta_min: float) -> None:
    """Torch rises again, to the base at 2 T_max, as ours does if told to."""
    waves = [math.cos(math.pi * t / 8) ** 2 for t in range(10)]
    down_and_up = [eta_min + (1 - eta_min) * x for x in waves]
    ours, theirs = both(9, "CosineAnnealingLR", 4, eta_min)
    assert ours == about(*down_and_up[:4], *[eta_min] * 6)
    assert theirs == about(*down_and_up)
    periodic = ours_only(9, "CosineAnnealingLR", 4, eta_min, periodic=True)
    assert periodic == about(*down_and_up)


def test_cosine_next_to_zero() -> None:
    """Torch's 1 + cos cancels there, in its closed form as well."""
    exact = math.sin(math.pi / 6000) ** 2
    ours, theirs = both(2999, "CosineAnnealingLR", 3000)
    assert ours[-1] == pytest.approx(exact, rel=2e-15)
    closed = (1 + math.cos(math.pi * 2999 / 3000)) / 2
    for value in (theirs[-1], closed):
        assert 5e-11 < abs(value / exact - 1) < 1e-10


@pytest.mark.parametrize(("T_mult", "epoch"), [(3, 121), (10, 111)])
def test_warm_restarts_are_where_they_are(T_mult: int, epoch: int) -> None:
    """Torch's step(epoch) takes the cycle from a logarithm, whose rounding misses one.

    log(243, 3) is 4.999999999999999.
    """
    for module, found in ((OURS, 1.0), (TORCHS, 0.0)):
        optimizer = alone(module)
        scheduler = module.CosineAnnealingWarmRestarts(optimizer, 1, T_mult)
        take_step(optimizer)
        scheduler.step(epoch)
        assert scheduler.get_last_lr() == about(found)
        # Without an epoch torch counts on.
        counted = rates(module, epoch, named("CosineAnnealingWarmRestarts", 1, T_mult))
        assert counted[-1] == 1.0


# One cycle.


def test_one_cycle_stays_at_its_end() -> None:
    """Torch's cosine rises in step N, where its last is N - 1; then it raises."""
    ours = ours_only(12, "OneCycleLR", 1.0, 10)
    assert ours[9:] == about(4e-6, 4e-6, 4e-6, 4e-6)
    theirs = torchs_only(10, "OneCycleLR", 1.0, 10)
    assert theirs[:10] == about(*ours[:10])
    assert theirs[10] == pytest.approx(0.0495193679865)
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        torchs_only(11, "OneCycleLR", 1.0, 10)


def test_one_cycles_lines_stay_at_their_ends() -> None:
    """Torch's go on: the rate to below 0, the momentum to above its highest."""
    fall = 10 - 2.3
    ends = {
        OURS: ((4e-6, 4e-6), 0.95),
        TORCHS: ((4e-6, 4e-6 - (1 - 4e-6) / fall), 0.95 + 0.1 / fall),
    }
    for module, (lrs, momentum) in ends.items():
        optimizer = alone(module)
        scheduler = module.OneCycleLR(optimizer, 1.0, 11, anneal_strategy="linear")
        assert stepped(scheduler, optimizer, 11)[10:] == about(*lrs)
        assert [optimizer.param_groups[0]["momentum"]] == about(momentum)


@pytest.mark.parametrize(("pct_start", "steps"), [(0.2, 5), (0.25, 4), (0.5, 2)])
def test_one_cycle_whose_rise_has_one_step(pct_start: float, steps: int) -> None:
    """It begins where the rise ends, and in three phases is refused.

    Torch divides by the length of the rise, 0, in either case.
    """
    options = {"pct_start": pct_start}
    ours = ours_only(steps, "OneCycleLR", 1.0, steps, **options)
    assert ours[0] == 1.0
    assert ours[-2:] == about(4e-6, 4e-6)
    with pytest.raises(ZeroDivisionError):
        torchs_only(0, "OneCycleLR", 1.0, steps, **options)
    options["three_phase"] = True
    with pytest.raises(ValueError, match=r"pct_start \* total_steps above 1, got 1"):
        ours_only(0, "OneCycleLR", 1.0, steps, **options)
    with pytest.raises(ZeroDivisionError):
        torchs_only(0, "OneCycleLR", 1.0, steps, **options)


@pytest.mark.parametrize("pct_start", [0.0, 0.2])
def test_one_cycle_whose_rise_has_less_than_a_step(pct_start: float) -> None:
    """It begins at the top; torch between there and the end, on the way down."""

    def descent(begun: float) -> Any:
        part = [(t - begun) / (3 - begun) for t in range(4)]
        return about(
            *(4e-6 + (1 - 4e-6) * math.cos(math.pi / 2 * q) ** 2 for q in part)
        )

    ours, theirs = both(3, "OneCycleLR", 1.0, 4, pct_start=pct_start)
    assert ours[0] == 1.0
    assert ours == descent(0.0)
    assert theirs[0] < 0.991
    assert theirs == descent(4 * pct_start - 1)


@pytest.mark.parametrize("pct_start", [0.0, 0.2])
def test_one_cycle_refuses_a_first_phase_of_less_than_a_step(pct_start: float) -> None:
    """Of three; torch begins in the third, as if that had begun long before."""
    options = {"anneal_strategy": "linear", "three_phase": True}
    options["pct_start"] = pct_start
    words = (
        rf"three_phase needs pct_start \* total_steps above 1, got {4 * pct_start:g}"
    )
    with pytest.raises(ValueError, match=words):
        ours_only(0, "OneCycleLR", 1.0, 4, **options)
    theirs = torchs_only(3, "OneCycleLR", 1.0, 4, **options)
    before = 2 - 2 * 4 * pct_start
    fallen = [(t + before) / (3 + before) for t in range(4)]
    assert theirs == about(*(0.04 - (0.04 - 4e-6) * part for part in fallen))


def test_one_cycle_refuses_three_phases_of_more_than_its_steps() -> None:
    """Torch's then ends on the way down from the top, far from its last value."""
    with pytest.raises(ValueError, match="pct_start"):
        ours_only(0, "OneCycleLR", 1.0, 100, pct_start=0.75, three_phase=True)
    theirs = torchs_only(99, "OneCycleLR", 1.0, 100, pct_start=0.75, three_phase=True)
    assert theirs[74] == 1.0
    assert theirs[99:] == about(0.04 + 0.96 * math.cos(math.pi / 2 * 25 / 74) ** 2)


@pytest.mark.parametrize(
    "options",
    [
        {"total_steps": np.int64(10)},
        {"total_steps": np.uint8(10)},
        {"epochs": np.int32(5), "steps_per_epoch": np.int64(2)},
        {"total_steps": 10, "pct_start": np.float32(0.25)},
        {"total_steps": 10, "pct_start": 1},
    ],
    ids=str,
)
def test_one_cycle_takes_any_number(options: dict[str, Any]) -> None:
    """For torch only an int is whole, and 1 is not a float between 0 and 1."""
    plain = {k: float(v) if "pct" in k else int(v) for k, v in options.items()}
    ours, theirs = both(9, "OneCycleLR", 1.0, **plain)
    assert ours_only(9, "OneCycleLR", 1.0, **options) == ours == about(*theirs)
    with pytest.raises(ValueError, match=r"Expected (positive|float between)"):
        torchs_only(0, "OneCycleLR", 1.0, **options)


@pytest.mark.parametrize(
    ("name", "arguments", "torchs"),
    [("OneCycleLR", (0.5, 10), 0.02), ("CyclicLR", (0.2, 0.6), 0.2)],
)
def test_cycles_leave_alone_where_the_optimizer_stood(
    name: str, arguments: tuple[Any, ...], torchs: float
) -> None:
    """Torch writes its own first value over "initial_lr", which others start from."""
    for module, base in ((OURS, 1.0), (TORCHS, torchs)):
        optimizer = alone(module)
        scheduler = named(name, *arguments)(module, optimizer)
        assert scheduler.base_lrs == [base]
        assert optimizer.param_groups[0]["initial_lr"] == base


# Cyclic.


def test_cyclic_begins_at_its_base_also_after_others() -> None:
    """Torch's begins where they did: its base_lr comes in only after the first step."""

    def build(module: Any, optimizer: Any) -> Any:
        module.ExponentialLR(optimizer, 0.5)
        return module.CyclicLR(optimizer, 0.2, 0.6, 2)

    assert rates(OURS, 3, build) == about(0.2, 0.4, 0.6, 0.4)
    assert rates(TORCHS, 3, build) == about(1.0, 0.4, 0.6, 0.4)


def test_cyclics_halves_go_on() -> None:
    """Torch's 2.0^(cycle - 1) overflows in cycle 1025, and raises."""
    arguments = (0.0, 1.0, 1, 1, "triangular2")
    ours = ours_only(2200, "CyclicLR", *arguments)
    assert ours[2047:2050] == [2.0**-1023, 0.0, 2.0**-1024]
    assert ours[2199] == 0.0
    theirs = torchs_only(2047, "CyclicLR", *arguments)
    assert theirs == ours[:2048]
    with pytest.raises(OverflowError):
        torchs_only(2048, "CyclicLR", *arguments)


def test_cyclic_does_not_drift() -> None:
    """Torch subtracts the cycles before from a quotient, which loses digits."""
    ours, theirs = both(3000, "CyclicLR", 0.0, 1.0, 1, 500)
    assert ours[3000] == (501 * 6 - 3000) / 500
    assert 1e-14 < abs(theirs[3000] / ours[3000] - 1) < 1e-11
