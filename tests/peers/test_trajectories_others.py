"""Classes and pytorch_optimizer's go the same way, where that has the formula right.

What it has not right, or in float32, is given to it as it should be; the differences
themselves are in test_trajectories_differences_others.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import pytorch_optimizer as po
import torch
from pytorch_optimizer.optimizer.utils.gradient import get_global_gradient_norm
from trajectories import (
    STEPS,
    Options,
    Pair,
    follow,
    made,
    numbers,
    renamed,
    rotated,
)

import gradstep as gs

MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
BETAS = ({"betas": (0.87, 0.79, 0.95)}, {"betas": (0.93, 0.88, 0.985)})


def norm_of(pair: Pair) -> float:
    return math.sqrt(sum((p.grad**2).sum().item() for p in pair.thetas))


@pytest.mark.parametrize("maximize", [False, True])
def test_lion(maximize: bool) -> None:
    options = numbers("lr weight_decay betas")
    follow(
        made(gs.Lion, options, maximize=maximize),
        made(po.Lion, options, maximize=maximize, foreach=False),
        {"m": "exp_avg"},
    )


@pytest.mark.parametrize("momenta", rotated({"momentum": 0.83}, {"momentum": 0.0}))
@pytest.mark.parametrize("maximize", [False, True])
def test_signum(maximize: bool, momenta: Any) -> None:
    """Without momentum, theirs has no buffer beside the gradient."""
    options = numbers("lr weight_decay", *momenta)
    follow(
        made(gs.Signum, options, maximize=maximize),
        made(po.SignSGD, options, maximize=maximize, foreach=False),
        {"m": lambda kept: kept.get("momentum_buffer", kept["p"].grad)},
    )


def decays(options: Options, *flags: Mapping[str, Any]) -> tuple[Options, Options]:
    """Ours and theirs, with the kind of decay under either's name."""
    found = tuple(o | f for o, f in zip(options, flags))
    return found, renamed(found, decoupled_weight_decay="weight_decouple")


KINDS = rotated({"decoupled_weight_decay": False}, {"decoupled_weight_decay": True})


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("partials", rotated(0.5, 0.25, 0.125))
@pytest.mark.parametrize("like", ["official", "paper"])
def test_padam(like: str, partials: tuple[float, float], kinds: Any) -> None:
    """Of the paper at rates that undo the bias correction."""
    given = numbers("lr weight_decay eps betas", *({"partial": x} for x in partials))
    ours, theirs = decays(given, *kinds)

    def before(pair: Pair) -> None:
        for one, other in pair.groups() if like == "paper" else ():
            beta1, beta2 = one["betas"]
            undone = (1 - beta1**pair.t) / math.sqrt(1 - beta2**pair.t)
            other["lr"] = one["lr"] * undone
            if one["decoupled_weight_decay"]:
                other["weight_decay"] = one["weight_decay"] / undone

    follow(
        made(gs.Padam, ours, amsgrad=False, like=like),
        made(po.PAdam, theirs, foreach=False),
        MOMENTS,
        before=before,
    )


@pytest.mark.parametrize("kinds", KINDS)
def test_adamax(kinds: Any) -> None:
    ours, theirs = decays(numbers("lr weight_decay eps betas"), *kinds)
    follow(
        made(gs.Adamax, ours),
        made(po.AdaMax, theirs, foreach=False),
        {"m": "exp_avg", "u": "exp_inf"},
    )


@pytest.mark.parametrize(
    ("like", "threshold", "below"), [("official", 5, False), ("paper", 4, True)]
)
def test_radam(like: str, threshold: int, below: bool) -> None:
    """With rho_t > 4 and >= 4 alike, since none is 4."""
    options = numbers("lr weight_decay eps betas")
    follow(
        made(gs.RAdam, options, like=like, decoupled_weight_decay=True),
        made(
            po.RAdam,
            options,
            n_sma_threshold=threshold,
            degenerated_to_sgd=below,
            foreach=False,
        ),
        MOMENTS,
    )


ADAN = MOMENTS | {"w": "exp_avg_diff", "n": "exp_avg_sq", "path": lambda _: 0.0}
ADAN |= {"prev": lambda kept: -kept["previous_grad"]}


@pytest.mark.parametrize("prox", rotated({"no_prox": False}, {"no_prox": True}))
@pytest.mark.parametrize("maximize", [False, True])
def test_adan(maximize: bool, prox: Any) -> None:
    """Clipped and negated on its behalf: its norm is float32, its first difference not
    0 when it maximizes."""
    ours = numbers("lr weight_decay eps", *(b | p for b, p in zip(BETAS, prox)))
    theirs = renamed(ours, no_prox="weight_decouple")
    clips = ({"max_grad_norm": 9.1}, {"max_grad_norm": 3.7})

    def before(pair: Pair) -> None:
        norm = norm_of(pair)
        for one, other in pair.groups():
            for p in other["params"]:
                p.grad *= min(1, one["max_grad_norm"] / (norm + one["eps"]))
                p.grad *= -1 if maximize else 1

    follow(
        made(gs.Adan, tuple(o | c for o, c in zip(ours, clips)), maximize=maximize),
        made(po.Adan, theirs, foreach=False),
        ADAN,
        before=before,
    )


def test_adan_that_clips_by_itself() -> None:
    """To 1e-6: its norm is float32. It takes eps of the constructor for all groups."""
    options = tuple(o | {"eps": 0.01} for o in numbers("lr weight_decay", *BETAS))
    clip = {"max_grad_norm": 5.3, "eps": 0.01}
    follow(
        made(gs.Adan, options, **clip),
        made(po.Adan, options, foreach=False, **clip),
        ADAN,
        bound=1e-6,
    )


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("maximize", [False, True])
def test_adai(maximize: bool, kinds: Any) -> None:
    given = numbers(
        "lr weight_decay eps", *({"betas": x} for x in [(0.1, 0.95), (0.23, 0.985)])
    )
    ours, theirs = decays(given, *kinds)
    follow(
        made(gs.Adai, ours, maximize=maximize),
        made(po.Adai, theirs, foreach=False, maximize=maximize),
        MOMENTS | {"product": "beta1_prod"},
    )


@pytest.mark.parametrize("adapt", rotated({"adapt": True}, {"adapt": False}))
def test_lamb(adapt: Any) -> None:
    """It adds eps to the norm of the direction, too: next to none where that counts."""
    given = numbers(
        "lr weight_decay betas",
        *({"eps": 1e-15 if a["adapt"] else 0.01} | a for a in adapt),
    )
    theirs = tuple(
        {k: x for k, x in o.items() if k != "adapt"} | {"adam": not o["adapt"]}
        for o in given
    )
    follow(
        made(gs.LAMB, given, bias_correction=False),
        made(po.Lamb, theirs, weight_decouple=False, adam_debias=True, foreach=False),
        MOMENTS,
    )


@pytest.mark.parametrize("norm", ["parts", "sum"])
@pytest.mark.parametrize("form", ["buffer", "velocity"])
def test_lars(form: str, norm: str) -> None:
    """Theirs is the buffer, by parts; the rest by coefficients and gradients."""
    options = numbers("lr weight_decay momentum trust_coefficient")

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            if form == "velocity":
                theirs["lr"] = 1.0
                theirs["trust_coefficient"] = ours["lr"] * ours["trust_coefficient"]
            if norm == "sum":
                theirs["weight_decay"] = 0.0
                for p in theirs["params"]:
                    p.grad += ours["weight_decay"] * p

    follow(
        made(gs.LARS, options, form=form, norm=norm),
        made(po.LARS, options, foreach=False),
        {"b": "momentum_buffer"},
        before=before,
    )


def test_lars_without_trust_ratio_is_torchs_momentum() -> None:
    options = numbers("lr weight_decay momentum")
    follow(
        made(gs.LARS, options, form="buffer", adapt=False),
        made(torch.optim.SGD, options, foreach=False),
        {"b": "momentum_buffer"},
    )


@pytest.mark.parametrize(
    "adaptive", rotated({"adaptive": False}, {"adaptive": True}, {"adaptive": True})
)
@pytest.mark.parametrize("maximize", [False, True])
def test_sam(maximize: bool, adaptive: Any) -> None:
    """Its scale is float32: ours is given the radius that makes up for that.

    It climbs also when it is to descend, unless it is given the slope downwards.
    """
    radii = numbers("", *(a | {"rho": x} for a, x in zip(adaptive, (0.21, 0.13))))
    base = {"lr": 0.05, "momentum": 0.83, "weight_decay": 0.12, "maximize": maximize}
    pair = Pair(
        made(gs.SAM, radii, base=lambda given: gs.SGD(given, **base)),
        made(po.SAM, radii, base_optimizer=torch.optim.SGD, foreach=False, **base),
    )
    for pair.t in range(1, STEPS + 1):
        pair.schedule(0.05, 0.02)
        gradients = pair.feed(pair.noise())
        if maximize:
            for p in pair.thetas:
                p.grad *= -1
        squares = get_global_gradient_norm(
            pair.theirs.param_groups, weight_adaptive=True
        )
        exact = math.sqrt(
            sum(
                ((p * p.grad if group["adaptive"] else p.grad) ** 2).sum()
                for group in pair.theirs.param_groups
                for p in group["params"]
            )
        )
        for ours, theirs in zip(pair.ours.param_groups, pair.theirs.param_groups):
            scale = (theirs["rho"] / (squares.sqrt() + 1e-12)).item()
            ours["rho"] = scale * (exact + 1e-12)
            assert ours["rho"] == pytest.approx(theirs["rho"], rel=1e-6)
        pair.theirs.first_step()
        pair.ours.first_step(gradients)
        kept = [pair.theirs.state[theta] for theta in pair.thetas]
        pair.assert_same("p", pair.arrays, pair.thetas)
        olds = [s["old"] for s in pair.ours.state]
        pair.assert_same("old", olds, [s["old_p"] for s in kept])
        gradients = pair.feed(pair.noise())
        pair.theirs.second_step()
        pair.ours.second_step(gradients)
        pair.assert_same("p", pair.arrays, pair.thetas)
        buffers = [s["b"] for s in pair.ours.base.state]
        pair.assert_same("b", buffers, [s["momentum_buffer"] for s in kept])
