"""Classes and torch.optim's go the same way, in forms that torch has not.

Each is the step of a torch optimizer all the same, whose options, gradients or states
are changed between steps as the test says.
"""

import math
from typing import Any

import pytest
import torch
from trajectories import (
    STEPS,
    Groups,
    Pair,
    begun,
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


def shrink(pair: Pair) -> None:
    """Decoupled decay, for those who have only the other."""
    for ours, theirs in pair.groups():
        theirs["weight_decay"] = 0.0
        for p in theirs["params"]:
            p.mul_(1 - ours["lr"] * ours["weight_decay"])


@pytest.mark.parametrize(
    "variants",
    rotated({}, {"momentum": 0.83}, {"momentum": 0.71, "nesterov": True}),
    ids=str,
)
def test_sgd_with_decoupled_decay(variants: Any) -> None:
    options = numbers("lr weight_decay", *variants)
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


@pytest.mark.parametrize("decoupled", [False, True])
def test_velocity_is_a_buffer_of_gradients_times_their_rates(decoupled: bool) -> None:
    """torch's momentum at lr = 1, of lr (g + weight_decay p)."""

    def before(pair: Pair) -> None:
        if decoupled:
            shrink(pair)
        for ours, theirs in pair.groups():
            theirs["lr"] = 1.0
            if not decoupled:
                theirs["weight_decay"] = ours["lr"] * ours["weight_decay"]
            for p in theirs["params"]:
                p.grad *= ours["lr"]

    options = numbers("lr weight_decay momentum")
    follow(
        made(gs.SGD, options, form="velocity", decoupled_weight_decay=decoupled),
        made(torch.optim.SGD, options, foreach=False),
        {"z": lambda kept: -kept["momentum_buffer"]},
        before=before,
    )


def test_torchs_nesterov_stands_where_ours_looks_ahead() -> None:
    """With the rates in the gradients, as above; the penalty is on p, not there."""
    options = numbers("lr weight_decay momentum", {"nesterov": True})
    pair = Pair(
        made(gs.SGD, options, form="velocity"),
        made(begun(torch.optim.SGD, momentum_buffer=0.0), options),
    )
    for pair.t in range(1, STEPS + 1):
        pair.schedule(0.05, 0.02)
        ahead = [p for group in pair.ours.lookahead() for p in group]
        noise = pair.noise()
        pair.feed(noise)
        for ours, theirs in pair.groups():
            theirs["weight_decay"] = 0.0
            for p in theirs["params"]:
                where = p + theirs["momentum"] * pair.theirs.state[p]["momentum_buffer"]
                p.grad = ours["lr"] * (p.grad + ours["weight_decay"] * where)
            theirs["lr"] = 1.0
        pair.theirs.step()
        pair.ours.step(grouped(n + slope(p) for n, p in zip(noise, ahead)))
        ahead = [p for group in pair.ours.lookahead() for p in group]
        pair.assert_same("p + mu z", ahead, pair.thetas)
        kept = [-pair.theirs.state[p]["momentum_buffer"] for p in pair.thetas]
        pair.assert_same("z", [s["z"] for s in pair.ours.state], kept)


def test_adagrad_with_eps_inside_has_a_larger_sum() -> None:
    options = numbers("lr weight_decay eps lr_decay", {}, {"maximize": True})

    def theirs(groups: Groups) -> Any:
        built = made(torch.optim.Adagrad, options, foreach=False)(groups)
        for group in built.param_groups:
            for p in group["params"]:
                built.state[p]["sum"].fill_(0.3 + group["eps"])
            group["low"], group["eps"] = group["eps"], 0.0
        return built

    follow(
        made(
            gs.Adagrad, options, eps_placement="inside", initial_accumulator_value=0.3
        ),
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
        for ours, theirs in pair.groups():
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


def test_rmsprop_with_bias_correction() -> None:
    """By lr and eps, which are smaller at first."""
    options = numbers("lr weight_decay eps alpha")

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            root = math.sqrt(1 - ours["alpha"] ** pair.t)
            theirs["lr"], theirs["eps"] = ours["lr"] * root, ours["eps"] * root

    follow(
        made(gs.RMSprop, options, bias_correction=True),
        made(torch.optim.RMSprop, options, foreach=False),
        {"v": "square_avg"},
        before=before,
    )


@pytest.mark.parametrize("variants", rotated({}, AMSGRAD))
def test_adam_with_epsilon_before_the_correction(variants: Any) -> None:
    """Larger by what bias correction divides the root by."""
    options = numbers(ADAPTIVE, *variants)

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["eps"] = ours["eps"] / left(ours, pair.t)[1]

    follow(
        made(gs.Adam, options, eps_hat=True),
        made(torch.optim.Adam, options, foreach=False),
        MOMENTS | MAX,
        before=before,
    )


@pytest.mark.parametrize("eps_hat", [False, True])
@pytest.mark.parametrize("variants", rotated({}, AMSGRAD))
def test_adamw_without_bias_correction(variants: Any, eps_hat: bool) -> None:
    """By rates and eps that undo the correction; there is one eps then."""
    options = numbers(ADAPTIVE, *variants)

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            one, root = left(ours, pair.t)
            theirs["lr"], theirs["eps"] = ours["lr"] * one / root, ours["eps"] / root
            theirs["weight_decay"] = ours["weight_decay"] * root / one

    follow(
        made(gs.AdamW, options, bias_correction=False, eps_hat=eps_hat),
        made(torch.optim.AdamW, options, foreach=False),
        MOMENTS | MAX,
        before=before,
    )


@pytest.mark.parametrize("variants", rotated({}, AMSGRAD))
def test_adamw_with_a_decay_that_lr_leaves_alone(variants: Any) -> None:
    options = numbers("lr eps betas", *({"weight_decay": 0.013} | v for v in variants))

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["weight_decay"] = ours["weight_decay"] / ours["lr"]

    follow(
        made(gs.AdamW, options, fixed_decay=True),
        made(torch.optim.AdamW, options, foreach=False),
        MOMENTS | MAX,
        before=before,
    )


def test_adamax_with_decoupled_decay() -> None:
    options = numbers(ADAPTIVE)
    follow(
        made(gs.Adamax, options, **DECOUPLED),
        made(torch.optim.Adamax, options, foreach=False),
        {"m": "exp_avg", "u": "exp_inf"},
        before=shrink,
    )


@pytest.mark.parametrize("variants", rotated({}, DECOUPLED))
def test_optaxs_nadam_is_torchs_long_after_warmup(variants: Any) -> None:
    """0.96 to a large power is 0; the product of momenta is beta1^t."""
    options = numbers(ADAPTIVE, *variants)
    follow(
        made(gs.NAdam, options, like="optax"),
        made(torch.optim.NAdam, options, foreach=False, momentum_decay=1e4),
        MOMENTS | {"mu_product": "mu_product"},
        late=True,
    )


@pytest.mark.parametrize("variants", rotated({}, DECOUPLED))
def test_optaxs_radam_adds_epsilon_to_the_corrected_root(variants: Any) -> None:
    """torch adds it before: it has to be less there."""
    options = numbers(ADAPTIVE, *variants)

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["eps"] = ours["eps"] * left(ours, pair.t)[1]

    follow(
        made(gs.RAdam, options, like="optax"),
        made(torch.optim.RAdam, options, foreach=False),
        MOMENTS,
        before=before,
    )


@pytest.mark.parametrize("variants", rotated({}, {"maximize": True}))
def test_eadam_is_adam_whose_second_moment_grows(variants: Any) -> None:
    """By eps / beta2 before each step, which the step makes eps, and none beside."""
    options = numbers(ADAPTIVE, *variants)

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["eps"] = 0.0
            for p in theirs["params"]:
                add = ours["eps"] / ours["betas"][1]
                pair.theirs.state[p]["exp_avg_sq"] += add

    follow(
        made(gs.EAdam, options),
        made(begun(torch.optim.Adam, exp_avg=0.0, exp_avg_sq=0.0), options),
        MOMENTS,
        before=before,
    )


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "flags"), [(gs.EAdam, AMSGRAD), (gs.Padam, {"partial": 0.5})]
)
def test_amsgrad_with_epsilon_before_the_correction(
    optimizer: Any, flags: Any, decoupled: bool
) -> None:
    """EAdam's, and Padam's by the whole root, are torch's with a larger epsilon."""
    options = numbers(ADAPTIVE)

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["eps"] = ours["eps"] / left(ours, pair.t)[1]

    decay = {"decoupled_weight_decay": decoupled}
    follow(
        made(optimizer, options, **flags, **decay),
        made(torch.optim.Adam, options, foreach=False, **AMSGRAD, **decay),
        MOMENTS | MAX,
        before=before,
    )


@pytest.mark.parametrize("adapt", rotated({"adapt": True}, {"adapt": False}))
@pytest.mark.parametrize("decoupled", [False, True])
def test_lamb_goes_in_adams_directions(decoupled: bool, adapt: Any) -> None:
    """Which a step at lr = 1 tells; and gradients are clipped together."""
    options = numbers(ADAPTIVE)
    clips = ({"max_grad_norm": 3.1}, {"max_grad_norm": 1.7})
    ours = tuple(o | c | a for o, c, a in zip(options, clips, adapt))
    old: dict[Any, Any] = {}

    def before(pair: Pair) -> None:
        norm = math.sqrt(sum((p.grad**2).sum() for p in pair.thetas))
        for ours, theirs in pair.groups():
            theirs["lr"] = 1.0
            for p in theirs["params"]:
                p.grad *= min(1, ours["max_grad_norm"] / norm)
                old[p] = p.clone()

    def after(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            for p in theirs["params"]:
                u = old[p] - p
                trust = old[p].norm() / u.norm() if ours["adapt"] else 1
                p.copy_(old[p] - ours["lr"] * trust * u)

    decay = {"decoupled_weight_decay": decoupled}
    follow(
        made(gs.LAMB, ours, **decay),
        made(torch.optim.Adam, options, foreach=False, **decay),
        MOMENTS,
        before=before,
        after=after,
    )
