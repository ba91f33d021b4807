"""What schedules refuse, when they are made or asked."""

import math
from typing import Any

import pytest

from gradstep import schedules
from scheduling import SCHEDULES

BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (
        schedules.Step,
        {"step_size": 0},
        ValueError,
        "Step: step_size must be at least 1",
    ),
    (schedules.Step, {"step_size": 2.0}, TypeError, "step_size must be int, got float"),
    (schedules.Step, {"step_size": True}, TypeError, "step_size must be int, got bool"),
    (schedules.Step, {"step_size": 2, "gamma": -1.0}, ValueError, r"gamma must be in"),
    (schedules.Exponential, {"gamma": math.nan}, ValueError, "gamma must be in.*nan"),
    (schedules.Exponential, {"gamma": "0.9"}, TypeError, "gamma must be a real number"),
    (schedules.ExponentialDecay, {"k": math.inf}, ValueError, "k must be in"),
    (schedules.InverseTime, {"k": -0.1}, ValueError, "InverseTime: k must be in"),
    (schedules.Constant, {"total_iters": -1}, ValueError, "total_iters must be in"),
    (schedules.Linear, {"start_factor": -0.1}, ValueError, "start_factor must be in"),
    (
        schedules.MultiStep,
        {"milestones": [3, 3]},
        ValueError,
        "must rise, got 3 after 3",
    ),
    (
        schedules.MultiStep,
        {"milestones": [3, 2]},
        ValueError,
        "must rise, got 2 after 3",
    ),
    (schedules.MultiStep, {"milestones": [-3]}, ValueError, r"milestones\[0\] must be"),
    (
        schedules.MultiStep,
        {"milestones": 3},
        TypeError,
        "milestones must be a sequence",
    ),
    (
        schedules.MultiStep,
        {"milestones": [1.5]},
        TypeError,
        r"milestones\[0\] must be int",
    ),
    (schedules.Polynomial, {"power": -1.0}, ValueError, "power must be in"),
    (schedules.InverseSqrt, {"warmup_steps": 0}, ValueError, "at least 1, got 0"),
    (schedules.ExponentialStepSize, {"T": 0}, ValueError, "T must be at least 1"),
    (
        schedules.ExponentialStepSize,
        {"T": 9, "beta": 0.5},
        ValueError,
        "beta must be in",
    ),
    (schedules.Lambda, {"fn": 3.0}, TypeError, "fn must be callable, got float"),
    (schedules.Multiplicative, {"fn": None}, TypeError, "fn must be callable"),
    (schedules.CosineAnnealing, {"T_max": 0}, ValueError, "T_max must be at least 1"),
    (schedules.CosineAnnealing, {"T_max": 9, "eta_min": -1.0}, ValueError, "eta_min"),
    (
        schedules.CosineAnnealing,
        {"T_max": 9, "periodic": 1},
        ValueError,
        "periodic must",
    ),
    (schedules.CosineAnnealingWarmRestarts, {"T_0": 0}, ValueError, "T_0 must be at"),
    (
        schedules.CosineAnnealingWarmRestarts,
        {"T_0": 3, "T_mult": 0},
        ValueError,
        "T_mult must be at least 1",
    ),
    (schedules.Cyclic, {"first": -1.0, "peak": 1.0}, ValueError, "first must be in"),
    (schedules.Cyclic, {"first": 0.1, "peak": 1.0, "mode": "x"}, ValueError, "one of"),
    (
        schedules.Cyclic,
        {"first": 0.1, "peak": 1.0, "step_size_down": 0},
        ValueError,
        "step_size_down must be at least 1",
    ),
    (
        schedules.Phases,
        {"ends": [3], "values": [1.0]},
        ValueError,
        "one more than the 1",
    ),
    (
        schedules.Phases,
        {"ends": [3, 2], "values": [1.0, 2.0, 3.0]},
        ValueError,
        "ends must not fall",
    ),
    (
        schedules.WarmupStableDecay,
        {
            "warmup_steps": 1,
            "stable_steps": 1,
            "decay_steps": 1,
            "decay": "exponential",
        },
        ValueError,
        "min_factor must be above 0",
    ),
    (
        schedules.WarmupStableDecay,
        {"warmup_steps": 1, "stable_steps": 1, "decay_steps": 1, "min_factor": 1.5},
        ValueError,
        r"min_factor must be in \[0, 1\]",
    ),
    (schedules.Sequential, {"schedules": [], "milestones": []}, ValueError, "is empty"),
    (
        schedules.Sequential,
        {"schedules": [SCHEDULES["step"]] * 2, "milestones": []},
        ValueError,
        "one fewer than the 2",
    ),
    (
        schedules.Sequential,
        {"schedules": [SCHEDULES["step"]] * 2, "milestones": [0]},
        ValueError,
        "milestones must be at least 1",
    ),
    (
        schedules.Sequential,
        {"schedules": [SCHEDULES["step"]] * 3, "milestones": [4, 4]},
        ValueError,
        "must rise",
    ),
    (
        schedules.Chained,
        {"schedules": [0.5]},
        TypeError,
        r"schedules\[0\] must be a sch",
    ),
    (schedules.Warmup, {"schedule": abs, "steps": 3}, TypeError, "must be a schedule"),
    (
        schedules.Warmup,
        {"schedule": SCHEDULES["step"], "steps": 3, "start_factor": 2.0},
        ValueError,
        "start_factor must be in",
    ),
]


@pytest.mark.parametrize(("kind", "options", "error", "words"), BAD)
def test_bad_arguments_are_named(
    kind: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        kind(**options)
    assert str(caught.value).startswith(f"{kind.__name__}: ")


@pytest.mark.parametrize("t", [-1, -0.5, math.nan, math.inf, [3, -1]])
def test_steps_before_the_first_are_refused(t: Any) -> None:
    with pytest.raises(ValueError, match="t must be >= 0"):
        SCHEDULES["step"](t)


@pytest.mark.parametrize("t", ["3", None, True, [True], [None]])
def test_steps_are_numbers(t: Any) -> None:
    with pytest.raises(TypeError, match="t must be numbers"):
        SCHEDULES["step"](t)


@pytest.mark.parametrize("base", [-0.1, math.nan, math.inf])
def test_a_base_out_of_range_is_refused(base: float) -> None:
    with pytest.raises(ValueError, match="Step: base must be in"):
        SCHEDULES["step"](3, base)
    with pytest.raises(TypeError, match="base must be a real number"):
        SCHEDULES["phases"]([3], "0.1")  # type: ignore[call-overload]


def test_a_value_out_of_the_range_of_floats_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Exponential\(gamma=2.0\).*step 2000 is inf"):
        schedules.Exponential(2.0)(2000, 0.1)
    with pytest.raises(ValueError, match="step 7 is nan"):
        schedules.Lambda(lambda _: math.nan)(7)


def test_every_schedule_is_tried_here() -> None:
    kinds = {getattr(schedules, name) for name in schedules.__all__}
    tried = {type(schedule) for schedule in SCHEDULES.values()}
    assert tried == kinds - {schedules.Schedule}
    assert {kind for kind, *_ in BAD} | {schedules.Schedule} == kinds
