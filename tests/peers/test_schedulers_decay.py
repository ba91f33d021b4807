"""Schedulers by factors go as torch's do, by torch's own arguments, for 3000 steps.

Most of torch's recurse from value to value, so that rounding errors add up. Wherever it
is off by more than 1e-13, the definition in 50 digits (schedule_oracle.py) has to agree
with ours; and in some steps anyway.
"""

import math
from typing import Any

import pytest
from schedule_harness import STEPS, assert_one_follows, grid


@pytest.mark.parametrize(
    "options",
    grid(step_size=[1, 7, 100, 2999, 3000, 5000], gamma=[0.0, 0.1, 0.97, 1.05]),
)
def test_step(options: dict[str, Any]) -> None:
    assert_one_follows("StepLR", options)


@pytest.mark.parametrize(
    "options",
    grid(
        milestones=[
            [],
            [0],
            [0, 1, 2],
            (3,),
            [5, 10, 100, 2999, 3000],
            range(2, 3001, 7),
            [4000],
        ],
        gamma=[0.0, 0.1, 1.5],
    ),
)
def test_multi_step(options: dict[str, Any]) -> None:
    assert_one_follows("MultiStepLR", options)


@pytest.mark.parametrize(
    "options", grid(factor=[1 / 3, 1e-3, 1.0], total_iters=[1, 5, 2999, 3000, 4000])
)
def test_constant(options: dict[str, Any]) -> None:
    assert_one_follows("ConstantLR", options)


@pytest.mark.parametrize(
    "options",
    grid(
        start_factor=[1 / 3, 1e-3, 1.0],
        end_factor=[0.0, 0.1, 1.0],
        total_iters=[1, 100, 3000, 4000],
    ),
)
def test_linear(options: dict[str, Any]) -> None:
    assert_one_follows("LinearLR", options)


@pytest.mark.parametrize(
    "options",
    grid(gamma=[0.0, 1e-3, 0.1, 0.5, 0.9, 0.99, 0.999, 0.99999, 1.0, 1.001, 1.1, 1.2]),
)
def test_exponential(options: dict[str, Any]) -> None:
    assert_one_follows("ExponentialLR", options, lrs=[0.3, 1e-8, 0.0])


@pytest.mark.parametrize(
    "options",
    grid(total_iters=[1, 2, 5, 100, 3000, 4000], power=[0.0, 0.9, 1.0, 2.0]),
)
def test_polynomial(options: dict[str, Any]) -> None:
    assert_one_follows("PolynomialLR", options)


TABLE = [1 / (1 + t % 7) for t in range(STEPS + 1)]
LAMBDAS: dict[str, Any] = {
    "constant": lambda _: 0.5,
    "zero": lambda _: 0.0,
    "inverse": lambda t: 1 / (1 + t),
    "exponential": lambda t: 0.99**t,
    "cosine": lambda t: 1 + math.cos(t),
    "warmup": lambda t: min(1.0, (t + 1) / 500),
    # Steps are of type int.
    "table": TABLE.__getitem__,
    "integer": lambda t: t // 30,
    "by_group": [lambda t: 1 / (1 + t), lambda t: 0.9**t],
}
FACTORS: dict[str, Any] = {
    "constant": lambda _: 0.99,
    "one": lambda _: 1.0,
    "zero": lambda t: float(t != 100),
    "telescoping": lambda t: t / (1 + t),
    "swinging": lambda t: 1 + math.cos(t) / 2,
    "table": TABLE.__getitem__,
    "by_group": [lambda t: 1 + 1 / t**2, lambda _: 0.9],
}


@pytest.mark.parametrize("fn", LAMBDAS.values(), ids=LAMBDAS)
def test_lambda(fn: Any) -> None:
    assert_one_follows("LambdaLR", {"lr_lambda": fn})


@pytest.mark.parametrize("fn", FACTORS.values(), ids=FACTORS)
def test_multiplicative(fn: Any) -> None:
    assert_one_follows("MultiplicativeLR", {"lr_lambda": fn})
