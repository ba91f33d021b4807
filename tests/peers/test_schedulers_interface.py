"""Schedulers take torch's arguments, and go on with what torch has saved."""

import copy
import inspect

import numpy as np
import pytest
from schedule_harness import (
    CYCLES,
    OURS,
    TORCHS,
    Build,
    chain,
    named,
    optimizer_of,
    sequence,
    trace,
)

from schedule_oracle import DEFINITIONS


@pytest.mark.parametrize(
    "name", [*DEFINITIONS, "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"]
)
def test_arguments_are_torchs(name: str) -> None:
    """By the same names, in the same order, with the same defaults; own ones last."""
    ours, theirs = (
        [
            (parameter.name, parameter.default)
            for parameter in inspect.signature(
                getattr(module, name)
            ).parameters.values()
            if parameter.kind is not parameter.KEYWORD_ONLY
        ]
        for module in (OURS, TORCHS)
    )
    assert ours == theirs


def scale_by_cycle(n: float) -> float:
    return 1 / n


# Of the single ones torch saves nothing but what is in ours too, however it is called.
SAVED: dict[str, Build] = {
    "StepLR": named("StepLR", step_size=40, gamma=0.9),
    "MultiStepLR": named("MultiStepLR", milestones=[137, 138, 200], gamma=0.5),
    "ConstantLR": named("ConstantLR", factor=0.3, total_iters=138),
    "LinearLR": named("LinearLR", start_factor=0.3, end_factor=0.9, total_iters=200),
    "ExponentialLR": named("ExponentialLR", gamma=0.99),
    "PolynomialLR": named("PolynomialLR", total_iters=900, power=2.0),
    "CosineAnnealingLR": named("CosineAnnealingLR", T_max=500, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": named(
        "CosineAnnealingWarmRestarts", T_0=10, T_mult=2, eta_min=1e-3
    ),
    "OneCycleLR": named(
        "OneCycleLR", max_lr=0.7, total_steps=500, final_div_factor=10.0
    ),
    "CyclicLR": named(
        "CyclicLR", base_lr=0.1, max_lr=0.7, step_size_up=30, scale_fn=scale_by_cycle
    ),
    **{
        f"CyclicLR {mode}": named(
            "CyclicLR", 0.1, 0.7, 30, 17, mode, gamma=0.99, cycle_momentum=cycles
        )
        for mode, cycles in (("triangular2", True), ("exp_range", False))
    },
    "OneCycleLR in three phases": named(
        "OneCycleLR", 0.7, 500, three_phase=True, anneal_strategy="linear"
    ),
    "LambdaLR": named("LambdaLR", lr_lambda=lambda t: 1 / (1 + t)),
    "MultiplicativeLR": named("MultiplicativeLR", lr_lambda=lambda t: t / (1 + t)),
    # The bases of combinations are in what torch saves of their parts.
    "SequentialLR": sequence(
        named("LinearLR", start_factor=0.01, total_iters=100),
        named("CosineAnnealingLR", T_max=500, eta_min=1e-3),
        milestones=[138],
    ),
    "SequentialLR of three": sequence(
        named("ConstantLR", factor=0.1, total_iters=9),
        named("StepLR", step_size=30, gamma=0.9),
        named("ExponentialLR", gamma=0.99),
        milestones=[1, 200],
    ),
    "ChainedScheduler": chain(
        named("ConstantLR", factor=0.1, total_iters=138),
        named("ExponentialLR", gamma=0.99),
    ),
    "ChainedScheduler of three": chain(
        named("PolynomialLR", total_iters=900, power=2.0),
        named("LinearLR", total_iters=200),
        named("StepLR", step_size=50, gamma=0.5),
    ),
}


@pytest.mark.parametrize("taken", [0, 1, 137, 138])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("name", SAVED)
def test_goes_on_with_torchs_state(name: str, kind: str, taken: int) -> None:
    """In a new optimizer, wherever that began, and on torch's own."""
    build = SAVED[name]
    cycles = name.split(maxsplit=1)[0] in CYCLES and name != "CyclicLR exp_range"
    optimizer = optimizer_of(TORCHS, kind=kind)
    bases = [group["lr"] for group in optimizer.param_groups]
    theirs = build(TORCHS, optimizer)
    trace(theirs, optimizer, taken, cycles)
    state, held = (copy.deepcopy(theirs.state_dict()) for _ in range(2))
    there = copy.deepcopy(optimizer)
    stood = [group["lr"] for group in optimizer.param_groups]
    rest = trace(theirs, optimizer, 200, cycles)

    for at in (optimizer_of(OURS, [0.5, 0.6], kind), there):
        ours = build(OURS, at)
        ours.load_state_dict(held)
        assert ours.last_epoch == taken
        assert name.split(maxsplit=1)[0] in CYCLES or ours.base_lrs == bases
        np.testing.assert_allclose(
            [group["lr"] for group in at.param_groups], stood, rtol=1e-13
        )
        after = trace(ours, at, 200, cycles)
        np.testing.assert_allclose(after.lr, rest.lr, rtol=1e-13)
        np.testing.assert_allclose(after.momentum, rest.momentum, rtol=1e-13)
        assert ours.last_epoch == taken + 200
    assert held == state


# An argument that is another one than torch's state has.
OTHERS: dict[str, tuple[Build, Build, str]] = {
    "step size": (named("StepLR", 3, 0.5), named("StepLR", 4, 0.5), "step_size is 4"),
    "another class": (
        named("ExponentialLR", 0.5),
        named("StepLR", 3, 0.5),
        "step_size is 3, of this one it is None",
    ),
    "milestones": (
        named("MultiStepLR", [3, 5]),
        named("MultiStepLR", [3, 6]),
        r"milestones\[1\] is 6",
    ),
    "a milestone twice": (
        named("MultiStepLR", [3, 5]),
        named("MultiStepLR", [3, 3, 5]),
        r"milestones is \[3, 3, 5\]",
    ),
    "cycle length": (
        named("CyclicLR", 0.1, 0.2, 30),
        named("CyclicLR", 0.1, 0.2, 40),
        "total_size is 80",
    ),
    "cycle's rise": (
        named("CyclicLR", 0.1, 0.2, 30, 10),
        named("CyclicLR", 0.1, 0.2, 20, 20),
        "step_ratio is 0.5",
    ),
    "cycle's peak": (
        named("CyclicLR", 0.1, 0.2),
        named("CyclicLR", 0.1, [0.2, 0.3]),
        r"max_lrs\[1\] is 0.3",
    ),
    "cycle's base": (
        named("CyclicLR", 0.1, 0.2),
        named("CyclicLR", 0.05, 0.2),
        r"base_lrs\[0\] is 0.05",
    ),
    "cycle's mode": (
        named("CyclicLR", 0.1, 0.2),
        named("CyclicLR", 0.1, 0.2, mode="exp_range"),
        "mode is 'exp_range'",
    ),
    "cycle's momentum": (
        named("CyclicLR", 0.1, 0.2),
        named("CyclicLR", 0.1, 0.2, base_momentum=0.7),
        r"base_momentums\[0\] is 0.7",
    ),
    "one cycle's length": (
        named("OneCycleLR", 0.2, 30),
        named("OneCycleLR", 0.2, 40),
        "total_steps is 40",
    ),
    "one cycle's peak": (
        named("OneCycleLR", 0.2, 30),
        named("OneCycleLR", 0.3, 30),
        r"base_lrs\[0\] is 0.012",
    ),
    "one cycle's rise": (
        named("OneCycleLR", 0.2, 30),
        named("OneCycleLR", 0.2, 30, pct_start=0.4),
        r"_schedule_phases\[0\] is 11",
    ),
    "one cycle's line": (
        named("OneCycleLR", 0.2, 30),
        named("OneCycleLR", 0.2, 30, anneal_strategy="linear"),
        "_anneal_func_type is 'linear'",
    ),
    "part of a sequence": (
        sequence(named("LinearLR"), named("StepLR", 3), milestones=[5]),
        sequence(named("LinearLR"), named("StepLR", 4), milestones=[5]),
        r"_schedulers\[1\].step_size is 4",
    ),
    "milestone of a sequence": (
        sequence(named("LinearLR"), named("StepLR", 3), milestones=[5]),
        sequence(named("LinearLR"), named("StepLR", 3), milestones=[6]),
        r"_milestones\[0\] is 6",
    ),
    "part of a chain": (
        chain(named("LinearLR"), named("StepLR", 3)),
        chain(named("LinearLR", 0.5), named("StepLR", 3)),
        r"_schedulers\[0\].start_factor is 0.5",
    ),
    "length of a chain": (
        chain(named("LinearLR"), named("StepLR", 3)),
        chain(named("LinearLR")),
        "_schedulers is",
    ),
}


@pytest.mark.parametrize(("ours", "theirs", "words"), OTHERS.values(), ids=OTHERS)
def test_torchs_state_with_other_arguments_is_refused(
    ours: Build, theirs: Build, words: str
) -> None:
    at = optimizer_of(OURS)
    scheduler = ours(OURS, at)
    before = scheduler.state_dict()
    state = theirs(TORCHS, optimizer_of(TORCHS)).state_dict()
    with pytest.raises(ValueError, match=f"another scheduler, whose .*{words}"):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before


def test_goes_on_with_what_torchs_state_has_of_changes_by_hand() -> None:
    """And of other schedulers: the rate, which its closed form does not explain."""
    optimizer = optimizer_of(TORCHS)
    theirs = TORCHS.ExponentialLR(optimizer, 0.9)
    trace(theirs, optimizer, 3)
    for group in optimizer.param_groups:
        group["lr"] *= 0.3
    theirs.step()
    ours = OURS.ExponentialLR(optimizer_of(OURS), 0.9)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    for _ in range(5):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-13)
        ours.step()
        theirs.step()
