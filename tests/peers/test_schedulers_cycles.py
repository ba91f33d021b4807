"""Cosines and cycles go as torch's do, as in test_schedulers_decay.py.

Of torch's formulas some cancel, besides.
"""

from typing import Any

import numpy as np
import pytest
from schedule_harness import (
    OURS,
    STEPS,
    TORCHS,
    assert_one_follows,
    grid,
    optimizer_of,
    take_step,
)


def cosines_drift(T_max: int) -> float:
    """How far torch's recursion goes astray, more than its closed form does.

    It multiplies by quotients of 1 + cos, of which the smallest is pi^2 / (2 T_max^2),
    and adds 1 - cos(pi / T_max) after it: either carries an error of about 2^-52, and
    the following values all keep it. They also keep what an error of the angle
    (t pi / T_max, rounded) does to the smallest, pi / T_max from its zero.
    """
    return (T_max**2 + 2 * STEPS) * 2.0**-52


# To T_max; after it, see test_scheduler_differences_cycles.py.
@pytest.mark.parametrize(
    "options",
    grid(
        T_max=[1, 2, 3, 10, 99, 1000, 3000, 4000],
        eta_min=[0.0, 1e-3, 0.05, 0.1],  # on both sides of the second group's lr
    ),
)
def test_cosine(options: dict[str, Any]) -> None:
    T_max = options["T_max"]
    how = {"steps": min(T_max, STEPS), "drift": cosines_drift(T_max)}
    assert_one_follows("CosineAnnealingLR", options, **how)


@pytest.mark.parametrize(
    "options", grid(T_max=[1, 2, 3, 10, 99, 1000], eta_min=[0.0, 1e-3, 0.05])
)
def test_periodic_cosine(options: dict[str, Any]) -> None:
    T_max = options["T_max"]
    assert_one_follows(
        "CosineAnnealingLR",
        options,
        own={"periodic": True},
        drift=cosines_drift(T_max),
        # The angle rises to 3000 pi / T_max, in torch rounded to as many 2^-53.
        closed_drift=STEPS / T_max * 2.0**-50,
    )


@pytest.mark.parametrize(
    "options",
    grid(T_0=[1, 7, 100, 3500], T_mult=[1, 2, 3], eta_min=[0.0, 1e-3, 0.05]),
)
def test_warm_restarts(options: dict[str, Any]) -> None:
    assert_one_follows("CosineAnnealingWarmRestarts", options)


@pytest.mark.parametrize("T_mult", [1, 2, 4])
def test_warm_restarts_at_fractional_epochs(T_mult: int) -> None:
    """As torch's example has them: step(epoch + i / iters)."""
    options = {"T_0": 3, "T_mult": T_mult, "eta_min": 1e-3}
    schedulers = []
    for module in (OURS, TORCHS):
        optimizer = optimizer_of(module)
        schedulers.append(module.CosineAnnealingWarmRestarts(optimizer, **options))
        take_step(optimizer)
    # And on from there, a whole step at a time.
    for epoch in [(i / 8,) for i in range(900)] + [()] * 100:
        for scheduler in schedulers:
            scheduler.step(*epoch)
        ours, theirs = (scheduler.get_last_lr() for scheduler in schedulers)
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


# With a first phase of more than one step, and to the last, t = N - 1; the rest is in
# test_scheduler_differences_cycles.py.
SIZES = {"total_steps": [4, 10, 97, 2000], "anneal_strategy": ["cos", "linear"]}


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize(
    "options",
    [
        *grid(pct_start=[0.3, 0.37, 0.5, 1.0], **SIZES),
        *grid(pct_start=[0.3, 0.37, 0.5], three_phase=[True], **SIZES),
    ],
)
def test_one_cycle(options: dict[str, Any], kind: str) -> None:
    steps = options["total_steps"] - 1
    assert_one_follows("OneCycleLR", options | {"max_lr": 0.7}, steps=steps, kind=kind)


@pytest.mark.parametrize(
    "options",
    [
        {"max_lr": 0.7, "total_steps": 600, "pct_start": 0.9},
        {"max_lr": 0.7, "epochs": 20, "steps_per_epoch": 30},
        {"max_lr": 0.7, "total_steps": 600, "cycle_momentum": False},
        {"max_lr": 0.7, "total_steps": 600, "div_factor": 1.0},
        {"max_lr": 0.7, "total_steps": 600, "div_factor": 0.5},
        {"max_lr": 0.7, "total_steps": 600, "final_div_factor": 1.0},
        {"max_lr": 0.7, "total_steps": 600, "final_div_factor": 0.1},
        {"max_lr": 0.7, "total_steps": 600, "final_div_factor": 1e12},
        {"max_lr": [0.7, 0.03], "total_steps": 600},
        {
            "max_lr": [0.7, 0.03],
            "total_steps": 600,
            "base_momentum": [0.0, 0.85],
            "max_momentum": [0.95, 0.85],
            "three_phase": True,
        },
        {
            "max_lr": 0.7,
            "total_steps": 600,
            "base_momentum": 0.95,
            "max_momentum": 0.5,
            "anneal_strategy": "linear",
        },
    ],
    ids=str,
)
def test_one_cycles_other_arguments(options: dict[str, Any]) -> None:
    assert_one_follows("OneCycleLR", options, steps=599)


@pytest.mark.parametrize(
    "sizes", [(1, None), (7, 3), (1, 500), (500, 1), (2000, None)], ids=str
)
@pytest.mark.parametrize(
    "options",
    [
        {"mode": "triangular"},
        {"mode": "triangular2"},
        {"mode": "exp_range", "gamma": 0.999},
        {"scale_fn": lambda n: 1 / n, "scale_mode": "cycle"},
        {"scale_fn": lambda n: 0.2 + 0.3 * (n % 3), "scale_mode": "cycle"},
        {"scale_fn": lambda t: 1 / (1 + t / 99), "scale_mode": "iterations"},
    ],
    ids=["triangular", "triangular2", "exp", "own", "own_mode", "own_t"],
)
@pytest.mark.parametrize(
    ("kind", "base_lr", "max_lr"), [("adam", 0.0, 0.1), ("sgd", 0.1, 0.02)]
)
def test_cyclic(
    kind: str,
    base_lr: float,
    max_lr: float,
    options: dict[str, Any],
    sizes: tuple[int, int | None],
) -> None:
    up, down = sizes[0], sizes[1] or sizes[0]
    options = options | {"base_lr": base_lr, "max_lr": max_lr}
    options |= {"step_size_up": up, "step_size_down": sizes[1]}
    # Torch's 1025th cycle of triangular2 is in test_scheduler_differences_cycles.py.
    steps = min(STEPS, 1024 * (up + down) - 1)
    # Torch takes the place in the cycle from t / (up + down), of which it subtracts the
    # cycles before, and divides it by the part of the rise or fall.
    drift = (STEPS / (up + down) + 1) * 2.0**-52 * (up + down) / min(up, down)
    assert_one_follows("CyclicLR", options, steps=steps, kind=kind, drift=drift)


@pytest.mark.parametrize(
    "options",
    [
        {"base_lr": 0.1, "max_lr": 0.5, "cycle_momentum": False},
        {"base_lr": [0.1, 0.01], "max_lr": 0.5},
        {"base_lr": [0.1, 0.01], "max_lr": [0.5, 0.02], "mode": "triangular2"},
        {
            "base_lr": 0.1,
            "max_lr": [0.5, 0.02],
            "base_momentum": [0.8, 0.0],
            "max_momentum": [0.9, 0.3],
        },
        {"base_lr": 0.1, "max_lr": 0.5, "base_momentum": 0.9, "max_momentum": 0.5},
    ],
    ids=str,
)
def test_cyclics_other_arguments(options: dict[str, Any]) -> None:
    assert_one_follows("CyclicLR", {**options, "step_size_up": 13})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # The fall begins at 437.9, which no digits of the end must pay for.
        (
            "OneCycleLR",
            {"max_lr": 0.3, "total_steps": 1463, "final_div_factor": 1e12},
        ),
        # 0.9 - 0.9 * (1999 / 2000) would lose three digits.
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 0.5, "base_momentum": 0.0, "max_momentum": 0.9},
        ),
    ],
)
def test_exact_next_to_zero(name: str, options: dict[str, Any]) -> None:
    steps = options.get("total_steps", 4000) - 1
    assert_one_follows(name, options, steps=steps, drift=1e-12)
