"""Where ReduceLROnPlateau parts from torch's on purpose: what either gives."""

from typing import Any

import pytest
from schedule_harness import OURS, TORCHS, about, alone


def plateau(module: Any, metrics: list[float], **options: Any) -> list[float]:
    scheduler = module.ReduceLROnPlateau(alone(module), patience=1, **options)
    found = []
    for metric in metrics:
        scheduler.step(metric)
        found += scheduler.get_last_lr()
    return found


@pytest.mark.parametrize(
    ("mode", "metrics"),
    [
        ("min", [-1.0, -1.0, -1.0, -1.0, -1.0]),
        ("max", [-1.0, -1.0, -1.0, -1.0, -1.0]),
        # Even getting worse, by less than the threshold.
        ("min", [-1.0, -0.99999, -0.99998, -0.99997, -0.99996]),
        ("max", [-1.0, -1.00001, -1.00002, -1.00003, -1.00004]),
    ],
)
def test_plateau_relative_to_a_negative_number(mode: str, metrics: list[float]) -> None:
    """For torch every metric is better, since its threshold is on the wrong side."""
    assert plateau(OURS, metrics, mode=mode) == about(1, 1, 0.1, 0.1, 0.01)
    assert plateau(TORCHS, metrics, mode=mode) == [1.0] * 5


@pytest.mark.parametrize("threshold", [1.0, 1.5])
def test_plateau_relative_by_a_whole_and_more(threshold: float) -> None:
    """At first torch compares with inf times 1 - threshold: NaN, or -inf."""
    falling = [1.0, -1.0, -4.0, -11.0, -30.0]
    assert plateau(OURS, falling, threshold=threshold) == [1.0] * 5
    theirs = plateau(TORCHS, falling, threshold=threshold)
    assert theirs == about(1, 0.1, 0.1, 0.01, 0.01)


@pytest.mark.parametrize(
    ("options", "torchs"),
    [
        ({"factor": -0.5}, [1.0, 1.0, 0.0]),
        ({"threshold": -0.5}, [1.0, 1.0, 1.0]),
        ({"cooldown": -1}, [1.0, 1.0, 0.1]),
        ({"eps": -1.0}, [1.0, 1.0, 0.1]),
    ],
)
def test_plateau_refuses(options: dict[str, Any], torchs: list[float]) -> None:
    """Torch computes something."""
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be in"):
        plateau(OURS, [1.0], **options)
    assert plateau(TORCHS, [1.0, 1.0, 1.0], **options) == about(*torchs)
