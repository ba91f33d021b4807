"""How schedulers are stepped, resumed and read otherwise than torch's, on purpose."""

import contextlib
import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from schedule_harness import (
    OURS,
    TORCHS,
    about,
    alone,
    named,
    ours_only,
    stepped,
    take_step,
)

# Going on.


def resumed(
    module: Any, name: str, *arguments: Any, taken: int, last_epoch: int
) -> tuple[list[float], list[float]]:
    """A run, and what a new scheduler makes of it after so many steps of the first."""
    optimizer = alone(module)
    scheduler = named(name, *arguments)(module, optimizer)
    run = stepped(scheduler, optimizer, taken)
    scheduler = named(name, *arguments, last_epoch=last_epoch)(module, optimizer)
    assert scheduler.last_epoch == last_epoch + 1
    return run, stepped(scheduler, optimizer, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "taken", "torchs"),
    [
        ("StepLR", (3, 0.5), 3, (0.25, 0.25, 0.25, 0.125, 0.125)),
        ("MultiStepLR", ([3, 5], 0.5), 3, (0.25, 0.25, 0.125, 0.125, 0.125)),
        ("ConstantLR", (0.5, 3), 3, (2, 2, 2, 2, 2)),
        # It takes any cycle for the first.
        *(
            (
                "CosineAnnealingWarmRestarts",
                (1, 2),
                taken,
                (1, 0.5, 1, (1 + math.sqrt(0.5)) / 2, 0.5),
            )
            for taken in (3, 4)
        ),
    ],
)
def test_goes_on_from_any_step(
    name: str, arguments: tuple[Any, ...], taken: int, torchs: tuple[float, ...]
) -> None:
    """`last_epoch` is one less than the step to begin at, whose value it then is.

    Torch changes the rate that it finds there, for the second time.
    """
    run = ours_only(taken + 4, name, *arguments)
    before, after = resumed(OURS, name, *arguments, taken=taken, last_epoch=taken - 1)
    assert before == run[: taken + 1]
    assert after == run[taken:]
    before, after = resumed(TORCHS, name, *arguments, taken=taken, last_epoch=taken - 1)
    assert before == about(*run[: taken + 1])
    assert after == about(*torchs)
    assert after != about(*run[taken:])


def test_goes_on_with_the_next_step() -> None:
    """From the old scheduler's last_epoch: torch's cosine then exceeds its base.

    It holds the rate of step 4 for that of step 5, the end, and adds to it.
    """
    _, ours = resumed(OURS, "CosineAnnealingLR", 5, taken=4, last_epoch=4)
    assert ours == [0.0] * 5
    _, theirs = resumed(TORCHS, "CosineAnnealingLR", 5, taken=4, last_epoch=4)
    down = math.cos(math.pi * 4 / 10) ** 2
    assert theirs[:2] == about(down, 2 * down)
    assert theirs[4:] == about(2 * math.cos(math.pi / 10) ** 2)


def test_a_new_scheduler_begins_where_the_rate_was_set_by_hand() -> None:
    """Torch's StepLR does; its LambdaLR begins at the first scheduler's base."""
    for module, lambdas in ((OURS, (0.7, 0.35)), (TORCHS, (1, 0.5))):
        optimizer = alone(module)
        stepped(module.ExponentialLR(optimizer, 0.5), optimizer, 2)
        optimizer.param_groups[0]["lr"] = 7.0
        second = module.StepLR(optimizer, 1, 0.1)
        assert stepped(second, optimizer, 1) == about(7, 0.7)
        optimizer.param_groups[0]["lr"] = 0.7
        third = module.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        assert stepped(third, optimizer, 1) == about(*lambdas)


def test_a_schedule_that_ended_at_zero_goes_on_from_what_is_set() -> None:
    """Torch's cosine adds a part of its base to that, and rises from there."""
    for module, expected in ((OURS, 0.05), (TORCHS, 0.05 + 0.25)):
        optimizer = alone(module)
        scheduler = module.CosineAnnealingLR(optimizer, 3)
        stepped(scheduler, optimizer, 3)
        assert scheduler.get_last_lr() == about(0)
        optimizer.param_groups[0]["lr"] = 0.05
        scheduler.step()
        assert scheduler.get_last_lr() == about(expected)


def test_refuses_a_group_added_later() -> None:
    """Torch's recursions take it in, LambdaLR and others raise in their next step."""
    for module in (OURS, TORCHS):
        optimizer = alone(module)
        recursion = module.ExponentialLR(optimizer, 0.5)
        formula = module.LambdaLR(optimizer, lambda t: 1 / (1 + t))
        stepped(recursion, optimizer, 1)
        more = torch.ones(1) if module is TORCHS else np.ones(1)
        optimizer.add_param_group({"params": more, "lr": 8.0})
        with pytest.raises(ValueError, match=r"group|zip"):
            formula.step()
        if module is OURS:
            with pytest.raises(ValueError, match="build schedulers after"):
                recursion.step()
            assert [group["lr"] for group in optimizer.param_groups] == [0.5, 8.0]
        else:
            recursion.step()
            assert recursion.get_last_lr() == [0.25, 4.0]


class Decay:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, t: int) -> float:
        return self.rate**t


def test_the_values_of_a_partial_are_compared() -> None:
    """Torch goes on with those of the new one."""
    for module in (OURS, TORCHS):
        old, new = (functools.partial(pow, rate) for rate in (0.5, 0.9))
        saved = module.LambdaLR(alone(module), old).state_dict()
        scheduler = module.LambdaLR(alone(module), new)
        if module is OURS:
            with pytest.raises(
                ValueError, match=r"args\[0\] is 0.5, of this one it is"
            ):
                scheduler.load_state_dict(saved)
        else:
            scheduler.load_state_dict(saved)


@pytest.mark.parametrize("saving", [OURS, TORCHS])
@pytest.mark.parametrize("name", ["LambdaLR", "CyclicLR", "SequentialLR"])
def test_attributes_of_a_callable_object_are_restored(saving: Any, name: str) -> None:
    """From our states, and from torch's, as torch restores them."""

    def build(module: Any, rate: float) -> tuple[Any, Decay]:
        fn, optimizer = Decay(rate), alone(module)
        if name == "CyclicLR":
            return module.CyclicLR(optimizer, 0.1, 0.2, scale_fn=fn), fn
        if name == "LambdaLR":
            return module.LambdaLR(optimizer, fn), fn
        parts = [module.StepLR(optimizer, 3), module.LambdaLR(optimizer, fn)]
        return module.SequentialLR(optimizer, parts, [2]), fn

    saved, _ = build(saving, 0.5)
    for module in {saving, OURS}:
        scheduler, fn = build(module, 0.9)
        scheduler.load_state_dict(saved.state_dict())
        assert fn.rate == 0.5


# Stepping.


def test_any_step_by_its_number() -> None:
    """Torch deprecates the argument, and raises after the end."""
    for module in (OURS, TORCHS):
        optimizer = alone(module)
        scheduler = module.OneCycleLR(optimizer, 1.0, 10)
        take_step(optimizer)
        if module is OURS:
            scheduler.step(9)
            assert scheduler.get_last_lr() == about(4e-6)
            scheduler.step(99)
        else:
            with pytest.warns(UserWarning, match="deprecated"):
                scheduler.step(9)
            with (
                pytest.warns(UserWarning, match="deprecated"),
                pytest.raises(ValueError, match="Tried to step 99 times"),
            ):
                scheduler.step(99)
        assert scheduler.get_last_lr() == about(4e-6)


def test_a_fraction_of_an_epoch_is_counted() -> None:
    """Torch's CosineAnnealingWarmRestarts notes the whole ones; the values agree."""
    for module, counted in ((OURS, [2.5, 3.5]), (TORCHS, [2, 3])):
        optimizer = alone(module)
        scheduler = module.CosineAnnealingWarmRestarts(optimizer, 4)
        take_step(optimizer)
        scheduler.step(2.5)
        counts = [scheduler.last_epoch]
        scheduler.step()
        assert [*counts, scheduler.last_epoch] == counted
        assert scheduler.get_last_lr() == about(math.cos(math.pi * 3.5 / 8) ** 2)


@pytest.mark.parametrize(
    ("module", "begun", "warns"),
    [(OURS, 0, True), (TORCHS, 0, True), (OURS, 1, False), (TORCHS, 1, True)],
)
def test_steps_before_the_scheduler_count(module: Any, begun: int, warns: bool) -> None:
    """So it does not warn of its own first; torch has not seen them, and does."""
    optimizer = alone(module)
    for _ in range(begun):
        take_step(optimizer)
    scheduler = module.ExponentialLR(optimizer, 0.5)
    warning = pytest.warns(UserWarning, match=r"before.*optimizer")
    with warning if warns else contextlib.nullcontext():
        scheduler.step()
    # Only once: warnings are errors.
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25]


def test_torchs_optimizers_are_left_alone() -> None:
    """Torch puts a function in the place of their `step`, and so knows of each call.

    Ours cannot warn there.
    """
    optimizer = alone(TORCHS)
    scheduler = OURS.ExponentialLR(optimizer, 0.5)
    assert "step" not in vars(optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5
    TORCHS.ExponentialLR(optimizer, 0.5)
    assert "step" in vars(optimizer)


def test_last_rates_are_the_callers() -> None:
    """Torch hands out its own list."""
    for module, then in ((OURS, 1.0), (TORCHS, 9.0)):
        scheduler = module.ExponentialLR(alone(module), 0.5)
        scheduler.get_last_lr()[0] = 9.0
        assert scheduler.get_last_lr() == [then]
