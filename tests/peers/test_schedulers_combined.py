"""Schedulers one after the other, and several at once, go as torch's do."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from schedule_harness import (
    LRS,
    STEPS,
    Named,
    assert_follows,
    chain,
    named,
    sequence,
)

from schedule_oracle import defined

LAMBDA = named("LambdaLR", lr_lambda=lambda t: 1 / (1 + t))
LAMBDAS = named("LambdaLR", lr_lambda=[lambda t: 1 / (1 + t), lambda t: 0.9**t])
CYCLIC = named(
    "CyclicLR", base_lr=0.01, max_lr=0.3, step_size_up=40, cycle_momentum=False
)
ONE_CYCLE = named("OneCycleLR", max_lr=0.3, total_steps=STEPS + 1, cycle_momentum=False)

# Milestones on either side of the children's own ends.
SEQUENCES: dict[str, tuple[list[Named], list[int]]] = {
    "one": ([named("ExponentialLR", gamma=0.99)], []),
    "warmup-exponential": (
        [named("LinearLR", total_iters=5), named("ExponentialLR", gamma=0.999)],
        [5],
    ),
    "warmup-cosine": (
        [
            named("LinearLR", start_factor=0.01, total_iters=100),
            named("CosineAnnealingLR", T_max=2900, eta_min=1e-3),
        ],
        [100],
    ),
    "cut-off-warmup": (
        [
            named("LinearLR", start_factor=0.1, total_iters=10),
            named("StepLR", step_size=300, gamma=0.5),
        ],
        [4],
    ),
    "constant-polynomial": (
        [
            named("ConstantLR", factor=0.5, total_iters=3),
            named("PolynomialLR", total_iters=2000, power=2.0),
        ],
        [7],
    ),
    "after-zero": (
        [
            named("PolynomialLR", total_iters=10),
            named("MultiStepLR", milestones=[0, 5, 500], gamma=0.5),
        ],
        [20],
    ),
    "restarts-lambda": (
        [named("CosineAnnealingWarmRestarts", T_0=3, T_mult=2), LAMBDA],
        [50],
    ),
    "lambda-restarts": (
        [
            LAMBDAS,
            named("CosineAnnealingWarmRestarts", T_0=10, T_mult=3, eta_min=1e-3),
        ],
        [1],
    ),
    "multiplicative-first": (
        [
            named("MultiplicativeLR", lr_lambda=lambda _: 0.9),
            named("LinearLR", total_iters=100),
        ],
        [30],
    ),
    "exponential-cyclic": ([named("ExponentialLR", gamma=0.9), CYCLIC], [25]),
    "four": (
        [
            named("ConstantLR", factor=0.1, total_iters=1000),
            named("LinearLR", start_factor=0.1, total_iters=50),
            named("CosineAnnealingLR", T_max=1500),
            named("ConstantLR", factor=0.01, total_iters=5000),
        ],
        [50, 100, 1600],
    ),
    "again": (
        [named("ExponentialLR", gamma=0.99)] * 2
        + [named("StepLR", step_size=1, gamma=0.9)] * 2,
        [1, 2, 3],
    ),
    "never": (
        [
            named("StepLR", step_size=500, gamma=0.3),
            named("ExponentialLR", gamma=0.5),
        ],
        [5000],
    ),
    "last": (
        [
            named("StepLR", step_size=500, gamma=0.3),
            named("ExponentialLR", gamma=0.5),
        ],
        [STEPS],
    ),
}


@pytest.mark.parametrize(
    ("children", "milestones"), SEQUENCES.values(), ids=list(SEQUENCES)
)
def test_sequential(children: Sequence[Named], milestones: list[int]) -> None:
    def lr(t: int, group: int) -> Decimal:
        begun = sum(m <= t for m in milestones)
        child = children[begun]
        t -= milestones[begun - 1] if begun else 0
        return defined(child.name, child.options, t, Decimal(LRS[group]), group)

    names = [child.name for child in children]
    assert_follows(names, sequence(*children, milestones=milestones), lr)


CHAINS: dict[str, list[Named]] = {
    "one": [named("StepLR", step_size=10, gamma=0.9)],
    "constant-exponential": [
        named("ConstantLR", factor=0.1, total_iters=20),
        named("ExponentialLR", gamma=0.99),
    ],
    "linear-exponential": [
        named("LinearLR", total_iters=20),
        named("ExponentialLR", gamma=0.99),
    ],
    "exponential-linear": [
        named("ExponentialLR", gamma=0.99),
        named("LinearLR", total_iters=20),
    ],
    "step-multistep": [
        named("StepLR", step_size=10, gamma=0.9),
        named("MultiStepLR", milestones=[5, 10, 700], gamma=2.0),
    ],
    "polynomial-step": [
        named("PolynomialLR", total_iters=2500, power=2.0),
        named("StepLR", step_size=100, gamma=1.1),
    ],
    "multiplicative-constant": [
        named("MultiplicativeLR", lr_lambda=lambda t: t / (1 + t)),
        named("ConstantLR", factor=0.5, total_iters=5),
    ],
    "linear-cosine": [
        named("LinearLR", total_iters=50),
        named("CosineAnnealingLR", T_max=3000),
    ],
    "cosine-step": [
        named("CosineAnnealingLR", T_max=3000),
        named("StepLR", step_size=1000, gamma=0.3),
    ],
    "same-twice": [named("ExponentialLR", gamma=0.995)] * 2,
    "six": [
        named("ConstantLR", factor=0.1, total_iters=20),
        named("LinearLR", total_iters=200),
        named("ExponentialLR", gamma=0.999),
        named("StepLR", step_size=700, gamma=0.5),
        named("MultiStepLR", milestones=[1, 2, 3], gamma=0.9),
        named("PolynomialLR", total_iters=4000, power=0.5),
    ],
    # Which overwrite what stands there, and so count only as the first...
    "lambda-constant": [LAMBDA, named("ConstantLR", factor=1.0)],
    # ... or, if they do not look at the base, as the last.
    "exponential-one_cycle": [named("ExponentialLR", gamma=0.9), ONE_CYCLE],
}


@pytest.mark.parametrize("children", CHAINS.values(), ids=CHAINS)
def test_chained(children: Sequence[Named]) -> None:
    def lr(t: int, group: int) -> Decimal:
        base = Decimal(LRS[group])
        for child in children:
            base = defined(child.name, child.options, t, base, group)
        return base

    assert_follows([child.name for child in children], chain(*children), lr)
