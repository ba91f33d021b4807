"""ReduceLROnPlateau goes as torch's does, to the bit: it hardly calculates."""

from typing import Any

import numpy as np
import pytest
from schedule_harness import OURS, TORCHS, alone, grid, optimizer_of


def metrics(rng: np.random.Generator, kind: str) -> list[float]:
    """A loss, above 0 or on both sides of it, and some that are none."""
    t = np.arange(400)
    loss = 0.97**t + 0.3 * 0.99 ** (t // 40 * 40) + 0.01 * rng.random(400)
    if kind == "any":
        loss = loss - 0.2
    loss[rng.random(400) < 0.02] = np.nan
    loss[rng.random(400) < 0.02] = np.inf
    loss[:2] = np.nan
    return loss.tolist()


@pytest.mark.parametrize(
    "options",
    grid(
        patience=[0, 1, 10],
        cooldown=[0, 5],
        threshold=[0.0, 1e-4, 0.1],
        threshold_mode=["rel", "abs"],
        mode=["min", "max"],
    ),
)
@pytest.mark.parametrize(
    "more",
    [
        {"factor": 0.9, "min_lr": [1e-3, 0.03]},
        {"factor": 0.7, "min_lr": 0.02, "eps": 1e-3},
        {"factor": 0.0},
    ],
    ids=str,
)
def test_plateau(options: dict[str, Any], more: dict[str, Any]) -> None:
    """And in the same state, on gradstep's optimizer and on torch's."""
    rng = np.random.default_rng([options["patience"], options["cooldown"]])
    # A threshold relative to a negative number is in
    # test_scheduler_differences_plateau.py.
    kind = "positive" if options["threshold_mode"] == "rel" else "any"
    optimizers = [optimizer_of(OURS), optimizer_of(TORCHS), optimizer_of(TORCHS)]
    *ours, theirs = (
        module.ReduceLROnPlateau(optimizer, **options, **more)
        for module, optimizer in zip((OURS, OURS, TORCHS), optimizers)
    )
    reductions = 0
    for metric in metrics(rng, kind):
        before = theirs.get_last_lr()
        theirs.step(metric)
        lrs = theirs.get_last_lr()
        reductions += lrs != before
        for scheduler in ours:
            scheduler.step(metric)
            assert scheduler.get_last_lr() == lrs
            assert scheduler.best == theirs.best
            assert scheduler.num_bad_epochs == theirs.num_bad_epochs
            assert scheduler.cooldown_counter == theirs.cooldown_counter
    for optimizer in optimizers:
        assert [group["lr"] for group in optimizer.param_groups] == lrs
    assert reductions


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    ("mode", "metrics", "reduced"),
    [
        # A quarter is not enough, more is.
        ("min", [1.0, 0.75, 0.75], [False, True, True]),
        ("min", [1.0, 0.75 - 2**-53, 0.75], [False, False, True]),
        ("max", [1.0, 1.25, 1.25], [False, True, True]),
        ("max", [1.0, 1.25 + 2**-52, 1.25], [False, False, True]),
    ],
)
def test_plateau_at_its_threshold(
    mode: str, metrics: list[float], reduced: list[bool], threshold_mode: str
) -> None:
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 0.25}
    for module in (OURS, TORCHS):
        optimizer = alone(module)
        scheduler = module.ReduceLROnPlateau(optimizer, patience=0, **options)
        found = []
        for metric in metrics:
            [before] = scheduler.get_last_lr()
            scheduler.step(metric)
            found.append(optimizer.param_groups[0]["lr"] < before)
        assert found == reduced


@pytest.mark.parametrize("taken", [0, 1, 90, 201])
def test_goes_on_with_torchs_state(taken: int) -> None:
    """The rates are in the state of the optimizer."""
    losses = metrics(np.random.default_rng(taken), "any")
    options = {"patience": 3, "cooldown": 4, "factor": 0.9, "min_lr": [0.01, 0.0]}
    optimizer = optimizer_of(TORCHS)
    theirs = TORCHS.ReduceLROnPlateau(optimizer, threshold_mode="abs", **options)
    for loss in losses[:taken]:
        theirs.step(loss)
    at = optimizer_of(OURS, [group["lr"] for group in optimizer.param_groups])
    ours = OURS.ReduceLROnPlateau(at, threshold_mode="abs", **options)
    ours.load_state_dict(theirs.state_dict())
    for loss in losses[taken:]:
        ours.step(loss)
        theirs.step(loss)
        assert ours.get_last_lr() == theirs.get_last_lr()
        assert ours.last_epoch == theirs.last_epoch
    assert theirs.get_last_lr()[0] == 0.01
