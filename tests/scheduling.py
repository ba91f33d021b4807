"""What tests of schedules share: one of each, and an optimizer of two groups."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules

BASE = 0.37

# One of each, no argument neutral.
SCHEDULES: dict[str, schedules.Schedule] = {
    "constant": schedules.Constant(0.3, 7),
    "linear": schedules.Linear(0.2, 1.7, 23),
    "step": schedules.Step(11, 0.83),
    "multistep": schedules.MultiStep([3, 20, 71], 0.37),
    "exponential": schedules.Exponential(0.973),
    "exponential decay": schedules.ExponentialDecay(0.031),
    "inverse time": schedules.InverseTime(0.23),
    "polynomial": schedules.Polynomial(97, 1.7),
    "inverse sqrt": schedules.InverseSqrt(13),
    "exponential step size": schedules.ExponentialStepSize(120, 1.9),
    "lambda": schedules.Lambda(lambda t: 1 / (1 + t * t)),
    "multiplicative": schedules.Multiplicative(lambda i: 1 - 1 / (i + 3)),
    "cosine": schedules.CosineAnnealing(83, 0.011),
    "cosine periodic": schedules.CosineAnnealing(17, 0.011, periodic=True),
    "restarts": schedules.CosineAnnealingWarmRestarts(7, 3, 0.011),
    "restarts even": schedules.CosineAnnealingWarmRestarts(7, 1, 0.011),
    "phases": schedules.Phases([7.3, 31, 90], [0.1, 0.9, 0.3, 0.01]),
    "phases linear": schedules.Phases([7.3, 31, 90], [0.1, 0.9, 0.3, 0.01], "linear"),
    "cyclic": schedules.Cyclic(0.1, 0.7, 9, 14),
    "cyclic halved": schedules.Cyclic(0.1, 0.7, 9, 14, "triangular2"),
    "cyclic decayed": schedules.Cyclic(0.1, 0.7, 9, 14, "exp_range", 0.97),
    "cyclic own": schedules.Cyclic(0.1, 0.7, 9, scale_fn=lambda n: 1 / n),
    "wsd": schedules.WarmupStableDecay(9, 31, 47, "sqrt", 0.07),
    "wsd exponential": schedules.WarmupStableDecay(9, 31, 47, "exponential", 0.07),
    "wsd cosine": schedules.WarmupStableDecay(9, 31, 47, "cosine", 0.07),
    "warmup": schedules.Warmup(schedules.CosineAnnealing(83), 13),
    "warmup from": schedules.Warmup(schedules.Step(11, 0.83), 13, 0.21),
    "sequential": schedules.Sequential(
        [schedules.Linear(0.2, 1.0, 9), schedules.Step(5), schedules.Exponential(0.9)],
        [9, 50],
    ),
    "chained": schedules.Chained(
        [schedules.Constant(0.3, 7), schedules.Exponential(0.97), schedules.Step(11)]
    ),
}

Make = Callable[[gs.Optimizer], lrs.LRScheduler]


# Those that any optimizer has room for; no argument neutral.
PLAIN: dict[str, Callable[[Any], lrs.LRScheduler]] = {
    "ConstantLR": lambda o: lrs.ConstantLR(o, 0.3, 7),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.2, 0.9, 23),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.973),
    "ExponentialDecayLR": lambda o: lrs.ExponentialDecayLR(o, 0.031),
    "InverseTimeLR": lambda o: lrs.InverseTimeLR(o, 0.23),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 97, 1.7),
}


# One of each, over groups whose rates differ; no argument neutral.
EACH: dict[str, Make] = {
    "StepLR": lambda o: lrs.StepLR(o, 5, 0.7),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, iter([3, 20, 71]), 0.37),
    **PLAIN,
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 83, 0.01, periodic=True),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(
        o, 7, 3, 0.01
    ),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, [0.3, 0.1], 90),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.02, [0.3, 0.1], 9, 14, "triangular2"),
    "LambdaLR": lambda o: lrs.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.9**t]),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda i: 1 - 1 / (i + 3)),
    "WarmupStableDecayLR": lambda o: lrs.WarmupStableDecayLR(o, 9, 31, 47, "sqrt"),
    "InverseSqrtLR": lambda o: lrs.InverseSqrtLR(o, 13),
    "ExponentialStepSizeLR": lambda o: lrs.ExponentialStepSizeLR(o, 120, 1.9),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.2), lrs.OneCycleLR(o, 0.3, 50), lrs.StepLR(o, 5)], [9, 40]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.ConstantLR(o, 0.3, 7), lrs.ExponentialLR(o, 0.97)]
    ),
    "WarmupLR": lambda o: lrs.WarmupLR(o, lrs.CosineAnnealingLR(o, 83), 13),
    "LRScheduler": lambda o: lrs.LRScheduler(
        o,
        {
            "lr": [schedules.Step(5), schedules.Exponential(0.9)],
            "momentum": schedules.Linear(0.5, 1.0, 31),
            "weight_decay": schedules.InverseTime(0.3),
        },
    ),
}


each = pytest.mark.parametrize("name", EACH)


def optimizer() -> gs.Optimizer:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(5), rng.standard_normal((2, 3))]
    groups = [{"params": arrays[0]}, {"params": arrays[1], "lr": 0.05}]
    return gs.SGD(groups, lr=0.2, momentum=0.8, weight_decay=0.1)


def train(opt: gs.Optimizer, scheduler: Any, steps: int) -> None:
    for _ in range(steps):
        opt.step([np.cos(group["params"][0]) for group in opt.param_groups])
        scheduler.step()


def present(opt: gs.Optimizer) -> list[tuple[float, ...]]:
    names = ("lr", "momentum", "weight_decay")
    return [tuple(group[name] for name in names) for group in opt.param_groups]


def bits(opt: gs.Optimizer) -> bytes:
    return b"".join(group["params"][0].tobytes() for group in opt.param_groups)
