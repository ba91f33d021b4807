"""Schedule-free classes and their authors' code go the same way, averages included."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import schedulefree as sf
import torch
from trajectories import (
    STEPS,
    Groups,
    Make,
    Pair,
    begun,
    follow,
    made,
    numbers,
    rotated,
)

import gradstep as gs

WEIGHTS = " r weight_lr_power"
ADAPTIVE = "lr weight_decay eps betas warmup_steps" + WEIGHTS
SCALARS = {"weight_sum": "weight_sum", "lr_max": "lr_max"}
SECOND = {"z": "z", "v": "exp_avg_sq", **SCALARS}


def training(optimizer: Any, options: Any, **all_: Any) -> Make:
    def make(groups: Groups) -> Any:
        built = made(optimizer, options, **all_)(groups)
        built.train()
        return built

    return make


def assert_averages(pair: Pair) -> None:
    """Ours comes in two ways, and gives the parameters back bit for bit."""
    ours = [x for group in pair.ours.eval_params() for x in group]
    held = [p.copy() for p in pair.arrays]
    pair.ours.eval()
    assert all(np.array_equal(p, x) for p, x in zip(pair.arrays, ours))
    pair.ours.train()
    assert all(np.array_equal(p, h) for p, h in zip(pair.arrays, held))
    pair.theirs.eval()
    pair.assert_same("x", ours, pair.thetas)
    pair.theirs.train()


@pytest.mark.parametrize("optimizer", [sf.SGDScheduleFree, sf.SGDScheduleFreeReference])
def test_sgd(optimizer: Any) -> None:
    options = numbers("lr weight_decay momentum warmup_steps" + WEIGHTS)
    follow(
        made(gs.ScheduleFreeSGD, options),
        training(optimizer, options, foreach=False),
        {"z": "z", **SCALARS},
        check=assert_averages,
    )


@pytest.mark.parametrize(
    ("optimizer", "ours", "theirs"),
    [
        (sf.AdamWScheduleFree, {}, {}),
        (sf.AdamWScheduleFreePaper, {"like": "first"}, {}),
        (sf.AdamWScheduleFreeReference, {}, {}),
        (sf.AdamWScheduleFreeReference, {"decay_at": "z"}, {"decay_at_z": True}),
    ],
)
def test_adamw(optimizer: Any, ours: Any, theirs: Any) -> None:
    options = numbers(ADAPTIVE)
    follow(
        made(gs.ScheduleFreeAdamW, options, **ours),
        training(optimizer, options, foreach=False, **theirs),
        SECOND,
        check=assert_averages,
    )


@pytest.mark.parametrize(
    "silent", rotated({"silent_sgd_phase": True}, {"silent_sgd_phase": False}), ids=str
)
@pytest.mark.parametrize("power", [0.0, 1.6])
def test_radam(power: float, silent: Any) -> None:
    options = numbers("lr weight_decay eps betas r", *silent)
    follow(
        made(gs.ScheduleFreeRAdam, options, weight_lr_power=power),
        training(sf.RAdamScheduleFree, options, foreach=False, weight_lr_power=power),
        SECOND,
        check=assert_averages,
    )


def at_y(pair: Pair, gradients: list[Any]) -> None:
    gradients += pair.feed(pair.noise())


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (gs.ScheduleFreeSGD, sf.SGDScheduleFreeClosure, "momentum warmup_steps"),
        (gs.ScheduleFreeAdamW, sf.AdamWScheduleFreeClosure, "eps betas warmup_steps"),
        (gs.ScheduleFreeRAdam, sf.RAdamScheduleFreeClosure, "eps betas"),
    ],
)
def test_closures(ours: Any, theirs: Any, names: str) -> None:
    """Theirs keep the average in the parameter, and go to y for the gradient only."""
    options = numbers("lr weight_decay " + names + WEIGHTS)
    pair = Pair(made(ours, options), made(theirs, options, foreach=False))
    for pair.t in range(1, STEPS + 1):
        pair.schedule(0.05, 0.02)
        gradients: list[Any] = []
        pair.theirs.step(partial(at_y, pair, gradients))
        pair.ours.step(gradients)
        x = [x for group in pair.ours.eval_params() for x in group]
        pair.assert_same("x", x, pair.thetas)
        kept = [pair.theirs.state[theta] for theta in pair.thetas]
        for name in pair.ours.state[0].keys() - {"step", *SCALARS}:
            ours_ = [s[name] for s in pair.ours.state]
            pair.assert_same(name, ours_, [s[SECOND[name]] for s in kept])


def found_x(kept: dict[str, Any]) -> Any:
    return kept["p"] + (1 - 1 / 0.77) * (kept["z"] - kept["p"])


BASES: list[tuple[Any, Any, str, dict[str, str]]] = [
    (gs.SGD, torch.optim.SGD, "", {}),
    (
        gs.SGD,
        begun(torch.optim.SGD, momentum_buffer=0.0),
        "momentum",
        {"b": "momentum_buffer"},
    ),
    (gs.Adagrad, begun(torch.optim.Adagrad, sum=0.0), "eps lr_decay", {"sum": "sum"}),
    (
        gs.RMSprop,
        begun(torch.optim.RMSprop, square_avg=0.0),
        "eps alpha",
        {"v": "square_avg"},
    ),
    (
        gs.Adam,
        begun(torch.optim.Adam, exp_avg=0.0, exp_avg_sq=0.0),
        "eps betas",
        {"m": "exp_avg", "v": "exp_avg_sq"},
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "names", "states"), BASES)
@pytest.mark.parametrize(
    "wrapper", [sf.ScheduleFreeWrapperReference, sf.ScheduleFreeWrapper]
)
@pytest.mark.parametrize("at", ["y", "z", "yz"])
def test_wrapper(
    at: str, wrapper: Any, ours: Any, theirs: Any, names: str, states: Any
) -> None:
    """Around torch's optimizers whose states have begun, or it would not step them.

    Decay is at y, at z by the base, or at both.
    """
    options = numbers("lr " + names + " weight_decay" * ("z" in at))
    shared = {"momentum": 0.77, "r": 0.7, "weight_lr_power": 1.6}
    kept = wrapper is sf.ScheduleFreeWrapperReference
    decays = [0.11, 0.23 if kept else 0.11] if "y" in at else [0.0, 0.0]

    def make_ours(groups: Groups) -> Any:
        given = [{**g, "weight_decay_at_y": x} for g, x in zip(groups, decays)]
        return gs.ScheduleFree(given, made(ours, options), **shared)

    def make_theirs(groups: Groups) -> Any:
        built = made(theirs, options)(groups)
        made_ = wrapper(built, weight_decay_at_y=decays[0], **shared)
        for group, decay in zip(built.param_groups, decays):
            group["weight_decay_at_y"] = decay
        made_.train()
        return made_

    follow(
        make_ours,
        make_theirs,
        # The one that swaps finds x again from y and z.
        {"z": "z", **SCALARS, **states, "x": "x" if kept else found_x},
        # It swaps by bytes, in C order.
        order="F" if kept else "C",
        check=assert_averages,
    )
