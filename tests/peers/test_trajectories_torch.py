"""Classes and torch.optim's go the same way for 200 steps, in float64.

torch is told to loop over tensors; its other paths round otherwise.
"""

import math
from typing import Any

import pytest
import torch
from trajectories import Pair, States, follow, made, numbers, rotated

import gradstep as gs

ADAPTIVE = "lr weight_decay eps betas"
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
MAX = {"vmax": "max_exp_avg_sq"}
UP = {"maximize": True}
AMSGRAD = {"amsgrad": True}
DECOUPLED = {"decoupled_weight_decay": True}

CASES: list[tuple[str, str, list[dict[str, Any]], States]] = [
    (
        "SGD",
        "lr weight_decay",
        [
            {},
            {"momentum": 0.83},
            {"momentum": 0.71, "dampening": 0.34},
            {"momentum": 0.9, "nesterov": True},
            UP,
            {"momentum": 0.65, "dampening": -0.2} | UP,
            {"momentum": 0.78, "nesterov": True} | UP,
        ],
        {"b": "momentum_buffer"},
    ),
    ("Adagrad", "lr weight_decay eps lr_decay", [{}, UP], {"sum": "sum"}),
    (
        "Adadelta",
        "lr weight_decay eps rho",
        [{}, UP],
        {"v": "square_avg", "u": "acc_delta"},
    ),
    (
        "RMSprop",
        "lr weight_decay eps alpha",
        [
            {"momentum": momentum, "centered": centered, "maximize": maximize}
            for momentum in (0.0, 0.83)
            for centered in (False, True)
            for maximize in (False, True)
        ],
        {"v": "square_avg", "gbar": "grad_avg", "b": "momentum_buffer"},
    ),
    ("Adam", ADAPTIVE, [{}, AMSGRAD, UP, AMSGRAD | UP], MOMENTS | MAX),
    ("AdamW", ADAPTIVE, [{}, AMSGRAD, UP, AMSGRAD | UP], MOMENTS | MAX),
    ("Adamax", ADAPTIVE, [{}, UP], {"m": "exp_avg", "u": "exp_inf"}),
    (
        "NAdam",
        ADAPTIVE + " momentum_decay",
        [{}, DECOUPLED, UP, DECOUPLED | UP],
        MOMENTS | {"mu_product": "mu_product"},
    ),
    ("RAdam", ADAPTIVE, [{}, DECOUPLED, UP, DECOUPLED | UP], MOMENTS),
]


@pytest.mark.parametrize(
    ("name", "names", "variants", "states"),
    [
        pytest.param(name, names, pair, states, id=f"{name}-{i}")
        for name, names, variants, states in CASES
        for i, pair in enumerate(rotated(*variants))
    ],
)
def test_torch(name: str, names: str, variants: Any, states: States) -> None:
    options = numbers(names, *variants)
    # torch takes one initial value for all groups.
    shared = {"initial_accumulator_value": 0.3} if name == "Adagrad" else {}
    follow(
        made(getattr(gs, name), options, **shared),
        made(getattr(torch.optim, name), options, foreach=False, **shared),
        states,
        late=True,
    )


@pytest.mark.parametrize(
    ("name", "names", "variants", "states"),
    [
        pytest.param(name, names, (variants[-1], variants[1]), states, id=name)
        for name, names, variants, states in CASES
        if name in {"SGD", "RMSprop"} or "betas" in names
    ],
)
def test_momenta_may_change_too(
    name: str, names: str, variants: Any, states: States
) -> None:
    """As with torch's cyclic schedules of learning rates."""

    def before(pair: Pair) -> None:
        for groups in pair.groups():
            for group in groups:
                momentum = 0.7 + 0.2 * math.cos(pair.t / 9)
                if "betas" in group:
                    group["betas"] = momentum, 0.95 + 0.04 * momentum
                elif group["momentum"]:
                    group["momentum"] = momentum

    options = numbers(names, *variants)
    follow(
        made(getattr(gs, name), options),
        made(getattr(torch.optim, name), options, foreach=False),
        states,
        before=before,
        late=True,
    )


def test_adamw_is_torchs_adam_with_decoupled_decay() -> None:
    options = numbers(ADAPTIVE, AMSGRAD, {})
    theirs = made(torch.optim.Adam, options, foreach=False, **DECOUPLED)
    follow(made(gs.AdamW, options), theirs, MOMENTS | MAX, late=True)


@pytest.mark.parametrize("ups", rotated({}, UP))
def test_rprop(ups: Any) -> None:
    """No schedule: its lr is the first size of steps, and no more."""
    options = numbers("etas step_sizes", {"lr": 0.07} | ups[0], {"lr": 0.11} | ups[1])
    follow(
        made(gs.Rprop, options),
        made(torch.optim.Rprop, options, foreach=False),
        {"prev": "prev", "step_size": "step_size"},
        lr=None,
        late=True,
    )


@pytest.mark.parametrize("lr", [1e-9, 100.0])
def test_rprop_clamps_its_first_size(lr: float) -> None:
    options = numbers("etas step_sizes", {"lr": lr})
    follow(
        made(gs.Rprop, options),
        made(torch.optim.Rprop, options, foreach=False),
        {"prev": "prev", "step_size": "step_size"},
        lr=None,
    )
