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
    build, cycles = SAVED[name], name in CYCLES
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
        assert cycles or ours.base_lrs == bases
        np.testing.assert_allclose(
            [group["lr"] for group in at.param_groups], stood, rtol=1e-13
        )
        after = trace(ours, at, 200, cycles)
        np.testing.assert_allclose(after.lr, rest.lr, rtol=1e-13)
        np.testing.assert_allclose(after.momentum, rest.momentum, rtol=1e-13)
        assert ours.last_epoch == taken + 200
    assert held == state
