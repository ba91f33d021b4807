"""Classes and torch.optim's go the same way, in forms that torch has not.

Each is the step of a torch optimizer all the same, whose options, gradients or states
are changed between steps as the test says.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from trajectories import (
    STEPS,
    Groups,
    Pair,
    assert_within,
    follow,
    grouped,
    made,
    numbers,
    rotated,
    slope,
)

import gradstep as gs

ADAPTIVE = "lr weight_decay eps betas"
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
MAX = {"vmax": "max_exp_avg_sq"}
AMSGRAD = {"amsgrad": True}
DECOUPLED = {"decoupled_weight_decay": True}


def left(group: dict[str, Any], t: int) -> tuple[float, float]:
    """What bias correction divides m by, and the root of what it divides v by."""
    beta1, beta2 = group["betas"]
    return 1 - beta1**t, math.sqrt(1 - beta2**t)


def both(pair: Pair) -> Any:
    return zip(pair.ours.param_groups, pair.theirs.param_groups)


def begun(optimizer: Any, **states: float) -> Any:
    """A torch optimizer whose lazy states have begun, at these numbers."""

    def make(groups: Groups, **options: Any) -> Any:
        built = optimizer(groups, foreach=False, **options)
        for group in built.param_groups:
            for p in group["params"]:
                built.state[p] = {k: torch.full_like(p, x) for k, x in states.items()}
                built.state[p]["step"] = torch.zeros(())
        return built

    return make


def shrink(pair: Pair) -> None:
    """Decoupled decay, for those who have only the other."""
    for ours, theirs in both(pair):
        theirs["weight_decay"] = 0.0
        for p in theirs["params"]:
            p *= 1 - ours["lr"] * ours["weight_decay"]


@pytest.mark.parametrize("momentum", [0.0, 0.83])
def test_sgd_with_decoupled_decay(momentum: float) -> None:
    options = numbers("lr weight_decay", {"momentum": momentum}, {"nesterov": False})
    follow(
        made(gs.SGD, options, **DECOUPLED),
        made(torch.optim.SGD, options, foreach=False),
        {"b": "momentum_buffer"},
        before=shrink,
    )


def test_sgd_with_dampening_from_the_first_step_on() -> None:
    """torch's, if a buffer is there already, of zeros."""
    options = numbers("lr weight_decay momentum dampening")
    follow(
        made(gs.SGD, options, dampen_first=True),
        made(begun(torch.optim.SGD, momentum_buffer=0.0), options),
        {"b": "momentum_buffer"},
    )


def test_velocity_is_a_buffer_of_gradients_times_their_rates() -> None:
    """torch's momentum at lr = 1, of lr (g + weight_decay p)."""

    def before(pair: Pair) -> None:
        for ours, theirs in both(pair):
            theirs["lr"] = 1.0
            theirs["weight_decay"] = ours["lr"] * ours["weight_decay"]
            for p in theirs["params"]:
                p.grad *= ours["lr"]

    options = numbers("lr weight_decay momentum")
    follow(
        made(gs.SGD, options, form="velocity"),
        made(torch.optim.SGD, options, foreach=False),
        {"z": lambda kept: -kept["momentum_buffer"]},
        before=before,
    )


def test_torchs_nesterov_stands_where_ours_looks_ahead() -> None:
    """With the rates in the gradients, as above; the penalty is on p, not there."""
    options = numbers("lr weight_decay momentum")
    pair = Pair(
        made(gs.SGD, options, form="velocity", nesterov=True),
        made(begun(torch.optim.SGD, momentum_buffer=0.0), options, nesterov=True),
    )
    for pair.t in range(1, STEPS + 1):
        pair.schedule(0.05, 0.02)
        ahead = [p for group in pair.ours.lookahead() for p in group]
        noise = pair.noise()
        pair.feed(noise)
        for ours, theirs in both(pair):
            theirs["weight_decay"] = 0.0
            for p in theirs["params"]:
                where = p + theirs["momentum"] * pair.theirs.state[p]["momentum_buffer"]
                p.grad = ours["lr"] * (p.grad + ours["weight_decay"] * where)
            theirs["lr"] = 1.0
        pair.theirs.step()
        pair.ours.step(grouped(n + slope(p) for n, p in zip(noise, ahead)))
        ahead = [p for group in pair.ours.lookahead() for p in group]
        for i, theta in enumerate(pair.thetas):
            where = f"of array {i} at step {pair.t}"
            b = pair.theirs.state[theta]["momentum_buffer"].numpy()
            assert_within(ahead[i], theta.numpy(), f"p + mu z {where}")
            assert_within(pair.ours.state[i]["z"], -b, f"z {where}")


def test_adagrad_with_eps_inside_has_a_larger_sum() -> None:
    options = numbers("lr weight_decay eps lr_decay", *[{}, {"maximize": True}])

    def theirs(groups: Groups) -> Any:
        built = made(torch.optim.Adagrad, options, foreach=False)(groups)
        for group in built.param_groups:
            for p in group["params"]:
                built.state[p]["sum"].fill_(0.3 + group["eps"])
            group["low"], group["eps"] = group["eps"], 0.0
        return built

    follow(
        made(gs.Adagrad, options, eps_placement="inside", initial_accumulator_value=0.3),
        theirs,
        {"sum": lambda kept: kept["sum"] - kept["low"]},
        late=True,
    )


def test_adagrads_groups_have_initial_values_of_their_own() -> None:
    """torch takes the constructor's, whatever the groups say."""
    starts = [{"initial_accumulator_value": x} for x in (0.3, 0.7)]
    options = numbers("lr weight_decay eps lr_decay", *starts)

    def theirs(groups: Groups) -> Any:
        built = made(torch.optim.Adagrad, options, foreach=False)(groups)
        assert all((s["sum"] == 0).all() for s in built.state.values())
        for group in built.param_groups:
            for p in group["params"]:
                built.state[p]["sum"].fill_(group["initial_accumulator_value"])
        return built

    follow(made(gs.Adagrad, options), theirs, {"sum": "sum"})


@pytest.mark.parametrize("momentum", [0.0, 0.83])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_with_eps_inside(centered: bool, momentum: float) -> None:
    """Of a mean with eps in it from the start, to which (1 - alpha) eps is added."""
    flags = {"centered": centered, "momentum": momentum}
    options = numbers("lr weight_decay eps alpha", flags)
    begin = {"square_avg": 0.0, "grad_avg": 0.0, "momentum_buffer": 0.0}

    def before(pair: Pair) -> None:
        for ours, theirs in both(pair):
            theirs["eps"], eps, alpha = 0.0, ours["eps"], ours["alpha"]
            theirs["low"] = eps
            for p in theirs["params"]:
                add = eps if pair.t == 1 else 0
                pair.theirs.state[p]["square_avg"] += add + eps * (1 - alpha) / alpha

    follow(
        made(gs.RMSprop, options, eps_placement="inside"),
        made(begun(torch.optim.RMSprop, **begin), options),
        {"gbar": "grad_avg", "b": "momentum_buffer"}
        | {"v": lambda kept: kept["square_avg"] - kept["low"]},
        before=before,
    )


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_with_a_velocity(centered: bool) -> None:
    """A buffer that is rescaled where lr changes; and v may begin above 0."""
    flags = {"centered": centered, "momentum": 0.83}
    options = numbers("lr weight_decay eps alpha", flags)
    begin = {"square_avg": 0.3, "grad_avg": 0.0, "momentum_buffer": 0.0}

    def before(pair: Pair) -> None:
        for group in pair.theirs.param_groups:
            for p in group["params"]:
                b = pair.theirs.state[p]["momentum_buffer"]
                b *= group.get("last", 1.0) / group["lr"]
            group["last"] = group["lr"]

    follow(
        made(gs.RMSprop, options, form="velocity", initial_accumulator_value=0.3),
        made(begun(torch.optim.RMSprop, **begin), options),
        {"v": "square_avg", "gbar": "grad_avg"}
        | {"b": lambda kept: kept["lr"] * kept["momentum_buffer"]},
        before=before,
    )


@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop_with_bias_correction(centered: bool) -> None:
    """By lr and eps, which are smaller at first."""
    options = numbers("lr weight_decay eps alpha", {"centered": centered})

    def before(pair: Pair) -> None:
        for ours, theirs in both(pair):
            root = math.sqrt(1 - ours["alpha"] ** pair.t)
            theirs["lr"], theirs["eps"] = ours["lr"] * root, ours["eps"] * root

    follow(
        made(gs.RMSprop, options, bias_correction=True),
        made(torch.optim.RMSprop, options, foreach=False),
        {"v": "square_avg", "gbar": "grad_avg"},
        before=before,
    )
