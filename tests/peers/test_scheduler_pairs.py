"""Two schedulers of one learning rate, stepped in turn, give torch's values.

Torch documents that for its chainable schedulers: each multiplies what it finds. Ours
are closed forms until another one sets the rate, so the values agree to rounding.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from schedule_harness import OURS, TORCHS, Build, chain, named

import gradstep as gs
import gradstep.torch as gst

STEPS = 30
LRS = (0.2, 0.05)

CHAINABLE: dict[str, Build] = {
    "StepLR": named("StepLR", 3, 0.7),
    "MultiStepLR": named("MultiStepLR", [2, 5, 11], 0.37),
    "ConstantLR": named("ConstantLR", 0.3, 7),
    "LinearLR": named("LinearLR", 0.2, 0.9, 9),
    "ExponentialLR": named("ExponentialLR", 0.93),
    "PolynomialLR": named("PolynomialLR", 25, 1.7),
    "CosineAnnealingLR": named("CosineAnnealingLR", 50, 0.01),
    "MultiplicativeLR": named("MultiplicativeLR", lambda i: 1 - 1 / (i + 3)),
    "ChainedScheduler": chain(
        named("ConstantLR", 0.5, 4), named("ExponentialLR", 0.95)
    ),
    "ReduceLROnPlateau": named(
        "ReduceLROnPlateau", factor=0.5, patience=2, min_lr=1e-4, eps=0.0
    ),
}
# They set their own values whatever they find, in ours as in torch.
OVERWRITING: dict[str, Build] = {
    "LambdaLR": named("LambdaLR", lambda t: 1 / (1 + 0.1 * t)),
    "CosineAnnealingWarmRestarts": named("CosineAnnealingWarmRestarts", 7, 2, 0.01),
    "OneCycleLR": named("OneCycleLR", 0.3, 50, cycle_momentum=False),
    "CyclicLR": named("CyclicLR", 0.02, 0.3, 4, 7, "triangular2", cycle_momentum=False),
}


def arrays() -> tuple[Any, Callable[[], None]]:
    groups = [{"params": np.ones(2), "lr": lr} for lr in LRS]
    optimizer = gs.SGD(groups, momentum=0.9)
    return optimizer, lambda: optimizer.step([np.zeros(2)] * 2)


def tensors(module: Any) -> tuple[Any, Callable[[], None]]:
    groups = []
    for lr in LRS:
        p = torch.nn.Parameter(torch.ones(2))
        p.grad = torch.zeros(2)
        groups.append({"params": [p], "lr": lr})
    optimizer = module.SGD(groups, momentum=0.9)

    def step() -> None:
        optimizer.step()  # looked up each time, since torch's schedulers wrap it

    return optimizer, step


OPTIMIZERS = {
    "arrays": arrays,
    "gradstep.torch": lambda: tensors(gst),
    "torch.optim": lambda: tensors(torch.optim),
}


def rates(
    module: Any,
    builds: list[Build],
    begin: Callable[[], tuple[Any, Callable[[], None]]],
    by_hand: int | None = None,
) -> list[list[float]]:
    """Of each group after each step; by hand they are set between two steps."""
    optimizer, step = begin()
    schedulers = [build(module, optimizer) for build in builds]
    rows = [[group["lr"] for group in optimizer.param_groups]]
    for k in range(STEPS):
        step()
        if k == by_hand:
            for group, lr in zip(optimizer.param_groups, (0.03, 0.5)):
                group["lr"] = lr
        for scheduler in schedulers:
            if isinstance(scheduler, module.ReduceLROnPlateau):
                scheduler.step(1.0)
            else:
                scheduler.step()
        rows.append([group["lr"] for group in optimizer.param_groups])
    return rows


optimizers = pytest.mark.parametrize("kind", OPTIMIZERS)


@optimizers
@pytest.mark.parametrize(
    "names", list(itertools.product(CHAINABLE, CHAINABLE)), ids="-".join
)
def test_chainable_schedulers_in_turn_follow_torch(
    names: tuple[str, str], kind: str
) -> None:
    builds = [CHAINABLE[name] for name in names]
    for by_hand in (None, 4):
        theirs = rates(TORCHS, builds, OPTIMIZERS["torch.optim"], by_hand)
        ours = rates(OURS, builds, OPTIMIZERS[kind], by_hand)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)


@optimizers
@pytest.mark.parametrize(
    "names",
    [
        *itertools.product(CHAINABLE, OVERWRITING),
        *itertools.product(["LambdaLR", "CosineAnnealingWarmRestarts"], CHAINABLE),
    ],
    ids="-".join,
)
def test_schedulers_that_overwrite_others_follow_torch_and_say_so(
    names: tuple[str, str], kind: str
) -> None:
    """Once; torch does not say so, and `ChainedScheduler` combines them."""
    builds = [(CHAINABLE | OVERWRITING)[name] for name in names]
    theirs = rates(TORCHS, builds, OPTIMIZERS["torch.optim"])
    with pytest.warns(UserWarning, match="is not chainable; ") as record:
        ours = rates(OURS, builds, OPTIMIZERS[kind])
    assert len(record) == 1
    # Torch's CyclicLR after another one begins at that one's base.
    first = 1 if names[1] == "CyclicLR" else 0
    np.testing.assert_allclose(ours[first:], theirs[first:], rtol=1e-12, atol=0)


@optimizers
@pytest.mark.parametrize("name", OVERWRITING)
def test_schedulers_overwrite_what_is_set_by_hand_as_torchs_do(
    name: str, kind: str
) -> None:
    builds = [OVERWRITING[name]]
    theirs = rates(TORCHS, builds, OPTIMIZERS["torch.optim"], by_hand=4)
    ours = rates(OURS, builds, OPTIMIZERS[kind], by_hand=4)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", CHAINABLE)
def test_one_of_ours_and_one_of_torchs_in_turn_follow_torch(
    name: str, order: int
) -> None:
    """On one optimizer of torch: by what stands there, they know of each other."""
    if name == "ReduceLROnPlateau":
        name = "StepLR"

    def build(module: Any, optimizer: Any) -> Any:
        del module
        return CHAINABLE[name](OURS, optimizer)

    def exponential(module: Any, optimizer: Any) -> Any:
        del module
        return TORCHS.ExponentialLR(optimizer, 0.93)

    begin = OPTIMIZERS["torch.optim"]
    mixed = rates(TORCHS, [build, exponential][::order], begin)
    both = [CHAINABLE[name], CHAINABLE["ExponentialLR"]][::order]
    np.testing.assert_allclose(mixed, rates(TORCHS, both, begin), rtol=1e-12, atol=0)


@pytest.mark.parametrize("first", CHAINABLE)
@pytest.mark.parametrize("second", CHAINABLE | OVERWRITING)
def test_a_scheduler_after_another_begins_where_torchs_does(
    first: str, second: str
) -> None:
    of_both = []
    for module, begin in ((OURS, arrays), (TORCHS, OPTIMIZERS["torch.optim"])):
        optimizer, step = begin()
        before = CHAINABLE[first](module, optimizer)
        for _ in range(4):
            step()
            before.step(*[1.0] * (first == "ReduceLROnPlateau"))
        after = (CHAINABLE | OVERWRITING)[second](module, optimizer)
        rows = []
        for _ in range(9):
            rows.append([group["lr"] for group in optimizer.param_groups])
            step()
            after.step(*[1.0] * (second == "ReduceLROnPlateau"))
        of_both.append(rows)
    # Torch's CyclicLR begins at "initial_lr", and only then at its own values.
    begun = 1 if second == "CyclicLR" else 0
    np.testing.assert_allclose(*(x[begun:] for x in of_both), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", CHAINABLE | OVERWRITING)
def test_torchs_sequence_of_ours_is_refused_in_words(name: str) -> None:
    """It counts back in its parts; ours is the one for schedulers of ours."""
    if name in ("ReduceLROnPlateau", "ChainedScheduler"):
        return
    optimizer, _ = tensors(torch.optim)
    part = (CHAINABLE | OVERWRITING)[name](OURS, optimizer)
    with pytest.raises(AttributeError, match="last_epoch cannot be set; build a new"):
        TORCHS.SequentialLR(optimizer, [part], [])
