"""Schedulers step by step beside their definitions in 50 digits, at every boundary.

What torch's schedulers give, by its own code, is compared in tests/peers.
"""

import decimal
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from schedule_oracle import defined

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*cycle_momentum=True, the def:UserWarning"),
]

LRS = (0.1, 0.037)  # of two groups
STEPS = 40
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 1}),
    ("StepLR", {"step_size": 7, "gamma": 0.83}),
    ("MultiStepLR", {"milestones": [1, 2, 9], "gamma": 0.37}),
    ("MultiStepLR", {"milestones": [0, 5]}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 1}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 0}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 1.7, "total_iters": 23}),
    ("LinearLR", {"start_factor": 0.2, "total_iters": 1}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 9, "power": 1.7}),
    ("PolynomialLR", {"total_iters": 1, "power": 2.0}),
    ("PolynomialLR", {"total_iters": 9, "power": 0.0}),
    ("CosineAnnealingLR", {"T_max": STEPS, "eta_min": 0.011}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.011, "periodic": True}),
    ("CosineAnnealingLR", {"T_max": 1, "periodic": True}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.011}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1}),
    ("OneCycleLR", {"max_lr": 0.7, "total_steps": STEPS + 1}),
    ("OneCycleLR", {"max_lr": 0.7, "epochs": 6, "steps_per_epoch": 7}),
    (
        "OneCycleLR",
        {
            "max_lr": [0.7, 0.2],
            "total_steps": STEPS + 1,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "base_momentum": 0.6,
            "max_momentum": 0.83,
            "div_factor": 7.0,
            "final_div_factor": 90.0,
            "three_phase": True,
        },
    ),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 6}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 1}),
    *(
        (
            "CyclicLR",
            {
                "base_lr": [0.1, 0.02],
                "max_lr": 0.7,
                "step_size_up": 4,
                "step_size_down": 9,
                "base_momentum": 0.55,
                "max_momentum": 0.83,
                **mode,
            },
        )
        for mode in (
            {"gamma": 0.97},  # which only exp_range reads
            {"mode": "triangular2"},
            {"mode": "exp_range", "gamma": 0.97},
            {"scale_fn": lambda cycle: 1 / (cycle + 0.5)},
            {"scale_fn": lambda t: 1 / (t + 0.5), "scale_mode": "iterations"},
            {"cycle_momentum": False},
        )
    ),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: 0.9 + t]}),
    ("MultiplicativeLR", {"lr_lambda": lambda i: 1 - 1 / (i + 3)}),
]


def groups_after_each_step(name: str, options: Any) -> Iterator[Any]:
    groups = [{"params": np.ones(1), "lr": lr} for lr in LRS]
    opt = gs.SGD(groups, momentum=0.9)
    scheduler: Any = getattr(lrs, name)(opt, **options)
    yield opt.param_groups
    for _ in range(STEPS):
        scheduler.step()
        yield opt.param_groups


@pytest.mark.parametrize(("name", "options"), CASES)
def test_each_step_has_the_value_of_the_definition(name: str, options: Any) -> None:
    cycles = name in ("OneCycleLR", "CyclicLR") and options.get("cycle_momentum", True)
    with decimal.localcontext(prec=50):
        for t, groups in enumerate(groups_after_each_step(name, options)):
            for j, group in enumerate(groups):
                lr = defined(name, options, t, Decimal(LRS[j]), j)
                assert math.isclose(group["lr"], lr, rel_tol=1e-13, abs_tol=1e-17), t
                momentum = defined(name, options, t, None, j) if cycles else 0.9
                assert math.isclose(group["momentum"], momentum, rel_tol=1e-13), t


@pytest.mark.parametrize(
    ("decay", "shape"),
    {
        "linear": lambda q: 1 - q,
        "sqrt": lambda q: 1 - math.sqrt(q),
        "square": lambda q: 1 - q * q,
        "cosine": lambda q: (1 + math.cos(math.pi * q)) / 2,
    }.items(),
)
@pytest.mark.parametrize(
    ("warmup", "stable", "steps"), [(3, 4, 5), (0, 0, 7), (2, 1, 1)]
)
def test_warmup_stable_decay_step_by_step(
    decay: str, shape: Any, warmup: int, stable: int, steps: int
) -> None:
    schedule = gs.schedules.WarmupStableDecay(warmup, stable, steps, decay, 0.25)
    expected = [(k + 1) / (warmup + 1) for k in range(warmup)] + [1.0] * stable
    expected += [0.25 + 0.75 * shape(k / steps) for k in range(steps)] + [0.25] * 3
    values = [0.8 * schedule(t, base=1.25) for t in range(len(expected))]
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_a_decay_of_no_steps_is_at_its_end_at_once() -> None:
    schedule = gs.schedules.WarmupStableDecay(1, 2, 0, min_factor=0.25)
    assert [schedule(t, base=0.8) for t in range(5)] == [0.4, 0.8, 0.8, 0.2, 0.2]
