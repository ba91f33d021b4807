"""What schedulers refuse on purpose, and what torch makes of it."""

from typing import Any

import pytest
from schedule_harness import (
    OURS,
    TORCHS,
    about,
    named,
    ours_only,
    rates,
    sequence,
    torchs_only,
)


@pytest.mark.parametrize(
    ("name", "arguments", "match", "torchs"),
    [
        ("StepLR", (2.5, 0.5), "step_size must be int", [1.0] * 5 + [0.5]),
        ("StepLR", (-2, 0.5), "step_size", [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        ("StepLR", (2, -0.5), "gamma", [1.0, 1.0, -0.5, -0.5, 0.25, 0.25]),
        ("MultiStepLR", ([2, 2], 0.5), "must rise", [1.0, 1.0, 0.25]),
        ("MultiStepLR", ([3, 1], 0.5), "must rise", [1.0, 0.5, 0.5, 0.25]),
        ("MultiStepLR", ([2.0], 0.5), "milestones.* must be int", [1.0, 1.0, 0.5]),
        ("MultiStepLR", ([-1, 2], 0.5), "milestones", [1.0, 1.0, 0.5]),
        ("ConstantLR", (0.5, 2.5), "total_iters must be int", [0.5] * 6),
        ("LinearLR", (0.5, 1.0, -1), "total_iters", [0.5] * 6),
        ("LinearLR", (0.5, 1.0, 2.5), "total_iters", [0.5, 0.7, 0.9, 0.9]),
        ("ExponentialLR", (-0.5,), "gamma", [1.0, -0.5, 0.25]),
        ("PolynomialLR", (2.5,), "total_iters", [1.0, 0.6, 0.2, 0.2]),
        ("CosineAnnealingLR", (2, -0.5), "eta_min", [1.0, 0.25, -0.5]),
        ("CosineAnnealingLR", (2.5,), "T_max", [1.0, 0.654508497187, 0.0954915028125]),
        ("CosineAnnealingWarmRestarts", (2, 1, -0.5), "eta_min", [1.0, 0.25, 1.0]),
        ("CyclicLR", (0.0, 1.0, 2.5), "step_size_up", [0.0, 0.4, 0.8, 0.8, 0.4, 0.0]),
        # Never at its maximum.
        ("CyclicLR", (0.0, 1.0, 2, 0), "step_size_down", [0.0, 0.5, 0.0, 0.5, 0.0]),
        # Torch does not look at the mode if there is a scale_fn.
        (
            "CyclicLR",
            (0.0, 1.0, 1, None, "square", 1.0, lambda cycle: 1 / cycle),
            "mode must be one of",
            [0.0, 1.0, 0.0, 0.5],
        ),
        ("LambdaLR", (lambda _: -1.0,), "would be -1.0 at step 0", [-1.0, -1.0]),
    ],
)
def test_refused(
    name: str, arguments: tuple[Any, ...], match: str, torchs: list[float]
) -> None:
    """Torch computes something, never what it seems to have been told."""
    with pytest.raises((TypeError, ValueError), match=match):
        ours_only(0, name, *arguments)
    assert torchs_only(len(torchs) - 1, name, *arguments) == about(*torchs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("StepLR", (0,)),
        ("PolynomialLR", (3, -1.0)),
        ("CosineAnnealingLR", (0,)),
        ("CyclicLR", (0.1, 1.0, 0)),
    ],
)
def test_refused_at_once(name: str, arguments: tuple[float, ...]) -> None:
    """Torch fails as well, but with a division, and two of them only later."""
    with pytest.raises(ValueError, match="must be"):
        ours_only(0, name, *arguments)
    with pytest.raises(ZeroDivisionError):
        torchs_only(3, name, *arguments)


@pytest.mark.parametrize(
    ("milestones", "match", "torchs"),
    [
        ([2, 2], "must rise", [1.0, 0.5, 0.1, 0.1, 0.1]),
        ([4, 2], "must rise", [1.0, 0.5, 0.1, 0.1, 0.1]),
        ([0, 2], "at least 1", [1.0, 0.7, 0.1, 0.1, 0.1]),
    ],
)
def test_sequential_refuses_milestones(
    milestones: list[int], match: str, torchs: list[float]
) -> None:
    """By which torch skips a scheduler."""
    build = sequence(
        named("ExponentialLR", 0.5),
        named("ExponentialLR", 0.7),
        named("ConstantLR", 0.1, 9),
        milestones=milestones,
    )
    with pytest.raises(ValueError, match=match):
        rates(OURS, 0, build)
    assert rates(TORCHS, 4, build) == about(*torchs)
