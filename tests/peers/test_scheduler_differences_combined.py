"""Where sequences and chains part from torch's on purpose: what either gives."""

import math
from typing import Any

import pytest
from schedule_harness import (
    OURS,
    TORCHS,
    Build,
    about,
    alone,
    chain,
    named,
    rates,
    sequence,
    stepped,
    take_step,
)

HALF, QUARTER = (1 + math.sqrt(0.5)) / 2, (1 - math.sqrt(0.5)) / 2
TENTHS, HALVES = named("ExponentialLR", 0.1), named("ExponentialLR", 0.5)
RISING = named("LambdaLR", lambda t: 1 + t)
RESTARTS = named("CosineAnnealingWarmRestarts", 2)
ONE_CYCLE = named("OneCycleLR", 1.0, 9, pct_start=0.5, anneal_strategy="linear")

# One after the other.


def test_sequential_goes_back_to_the_base_for_multiplicative() -> None:
    """As for all others; torch goes on from where the one before left it."""
    build = sequence(HALVES, named("MultiplicativeLR", lambda _: 0.1), milestones=[2])
    assert rates(OURS, 4, build) == about(1, 0.5, 1, 0.1, 0.01)
    assert rates(TORCHS, 4, build) == about(1, 0.5, 0.05, 0.005, 0.0005)


def test_sequentials_one_cycle_does_not_change_the_others_base() -> None:
    """Torch's other schedulers then begin where the cycle does."""
    constant, cycle = named("ConstantLR", 0.5, 9), named("OneCycleLR", 5.0, 10)
    build = sequence(constant, cycle, milestones=[2])
    assert rates(OURS, 2, build) == about(0.5, 0.5, 0.2)
    assert rates(TORCHS, 2, build) == about(0.1, 0.1, 0.2)


@pytest.mark.parametrize(
    ("cycle", "begun", "second"),
    [
        (named("OneCycleLR", 1.0, 10), 0.95, 0.9),
        (named("CyclicLR", 0.0, 1.0, 3), 0.9, 0.9 - 0.1 / 3),
    ],
    ids=["OneCycleLR", "CyclicLR"],
)
def test_sequentials_cycle_keeps_momentum_to_itself(
    cycle: Build, begun: float, second: float
) -> None:
    """Torch has its first momentum from the start, and leaves the last one behind."""
    constant = named("ConstantLR")
    build = sequence(constant, cycle, constant, milestones=[2, 4])
    found = []
    for module in (OURS, TORCHS):
        optimizer = alone(module, momentum=0.5)
        scheduler = build(module, optimizer)
        take_step(optimizer)
        found.append([optimizer.param_groups[0]["momentum"]])
        for _ in range(5):
            scheduler.step()
            found[-1].append(optimizer.param_groups[0]["momentum"])
    assert found[0] == about(0.5, 0.5, begun, second, 0.5, 0.5)
    assert found[1] == about(begun, begun, begun, second, second, second)


CHAIN = chain(named("ConstantLR", 0.5, 1), TENTHS)
SEQUENCE = sequence(HALVES, TENTHS, milestones=[1])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(
    ("inner", "expected", "torchs"),
    [
        # Torch's each take a step of their own at the start.
        (CHAIN, (0.5, 0.1, 0.01), (0.05, 0.01, 0.001)),
        (SEQUENCE, (1, 1, 0.1), (1, 0.1, 0.01)),
    ],
    ids=["chain", "sequence"],
)
def test_sequential_takes_combinations(
    inner: Build, expected: tuple[float, ...], torchs: tuple[float, ...]
) -> None:
    """Torch's begin wrongly if they are the first, or fail once their turn has come."""
    quarter = named("ConstantLR", 0.25, 9)
    build = sequence(inner, quarter, milestones=[3])
    assert rates(OURS, 4, build) == about(*expected, 0.25, 0.25)
    assert rates(TORCHS, 4, build) == about(*torchs, 0.25, 0.25)
    build = sequence(quarter, inner, milestones=[2])
    assert rates(OURS, 4, build) == about(0.25, 0.25, *expected)
    with pytest.raises(NotImplementedError):  # torch's own, and what it lacks
        rates(TORCHS, 4, build)


def test_sequential_begins_at_any_step() -> None:
    """Torch then has its own count, but all schedulers at their starts."""
    for module, expected in (
        (OURS, (0.25, 0.125, 0.0625)),
        (TORCHS, (0.5, 0.25, 0.125)),
    ):
        optimizer = alone(module)
        schedulers = [
            module.LinearLR(optimizer, 0.5, 1.0, 4),
            module.ExponentialLR(optimizer, 0.5),
        ]
        sequential = module.SequentialLR(optimizer, schedulers, [3], last_epoch=4)
        assert sequential.last_epoch == 5
        assert stepped(sequential, optimizer, 2) == about(*expected)


# Several at once.


@pytest.mark.parametrize(
    ("children", "ours", "torchs"),
    [
        # Torch's LambdaLR and CosineAnnealingWarmRestarts begin each step at the base:
        # what is before them is lost, what comes after counts once.
        ([TENTHS, RISING], (1, 0.2, 0.03), (1, 2, 3)),
        ([RISING, TENTHS], (1, 0.2, 0.03), (1, 0.2, 0.3)),
        ([TENTHS, RESTARTS], (1, 0.05, 0.01), (1, 0.5, 1)),
        ([RESTARTS, TENTHS], (1, 0.05, 0.01), (1, 0.05, 0.1)),
        # So do CyclicLR and OneCycleLR in ours, too, but what comes after stays.
        (
            [named("CyclicLR", 0.2, 0.6, 2), TENTHS],
            (0.2, 0.04, 0.006),
            (0.2, 0.04, 0.06),
        ),
        (
            [ONE_CYCLE, named("StepLR", 1)],
            (0.04, (0.04 + 0.96 / 3.5) / 10, (0.04 + 0.96 * 2 / 3.5) / 100),
            (0.04, (0.04 + 0.96 / 3.5) / 10, (0.04 + 0.96 * 2 / 3.5) / 10),
        ),
        # Torch's cosine leads what stands there to eta_min, wherever it comes from;
        # ours leads the value of the one before at this step.
        (
            [named("ConstantLR", 0.5, 2), named("CosineAnnealingLR", 4, 0.1)],
            (0.5, 0.1 + 0.4 * HALF, 0.1 + 0.9 / 2, 0.1 + 0.9 * QUARTER, 0.1),
            (
                0.5,
                0.1 + 0.4 * HALF,
                0.1 + (0.1 + 0.8 * HALF) / HALF / 2,
                0.1 + (0.1 + 0.8 * HALF) * QUARTER / HALF,
                0.1,
            ),
        ),
        # Or multiplies eta_min as well, if it comes first.
        (
            [named("CosineAnnealingLR", 2, 0.2), TENTHS],
            (1, 0.06, 0.002),
            (1, 0.06, 0.02),
        ),
        # Torch's sequence forgets the others where it changes over.
        (
            [
                sequence(named("ConstantLR", 0.5, 9), HALVES, milestones=[2]),
                named("ConstantLR", 0.1, 9),
            ],
            (0.05, 0.05, 0.1, 0.05),
            (0.05, 0.05, 1.0, 0.5),
        ),
    ],
)
def test_chained(
    children: list[Build], ours: tuple[float, ...], torchs: tuple[float, ...]
) -> None:
    """The value of each is the base of the next, at every step anew.

    In torch each changes what stands there, which the last step left.
    """
    build = chain(*children)
    assert rates(OURS, len(ours) - 1, build) == about(*ours)
    assert rates(TORCHS, len(torchs) - 1, build) == about(*torchs)


def test_chained_cosine_rises_to_what_the_others_leave() -> None:
    """Torch's rise begins with a part of the base, whatever the others have made."""

    def cosine(module: Any, optimizer: Any) -> Any:
        own = {"periodic": True} if module is OURS else {}
        return module.CosineAnnealingLR(optimizer, 2, **own)

    build = chain(HALVES, cosine)
    assert rates(OURS, 4, build) == about(1, 0.25, 0, 0.0625, 0.0625)
    assert rates(TORCHS, 4, build) == about(1, 0.25, 0, 0.5, 0.5)
