"""Classes and their authors' own code go the same way for 200 steps, in float64."""

from collections.abc import Mapping
from typing import Any

import madgrad
import pytest
from adabelief_pytorch import AdaBelief
from harness import choices
from trajectories import Pair, follow, made, numbers, rotated

import gradstep as gs

BELIEF = {"m": "exp_avg", "s": "exp_avg_var", "smax": "max_exp_avg_var"}


def start(kept: dict[str, Any]) -> Any:
    """MADGRAD's x0, which theirs without momentum finds again in each step."""
    root = kept["grad_sum_sq"] ** (1 / 3) + kept["eps"]
    return kept["x0"] if kept["momentum"] else kept["p"] + kept["s"] / root


MADGRAD = {"v": "grad_sum_sq", "s": "s", "x0": start}


def flags(*names: str) -> list[dict[str, bool]]:
    return [{k: bool(x) for k, x in found.items()} for found in choices(*names)]


@pytest.mark.parametrize(
    "amsgrad", rotated({"amsgrad": False}, {"amsgrad": True}), ids=["last", "first"]
)
@pytest.mark.parametrize(
    "given",
    [
        found
        for found in flags("weight_decouple", "fixed_decay", "rectify")
        # Refused by ours, and no more than weight_decouple=False in theirs.
        if found["weight_decouple"] or not found["fixed_decay"]
    ],
    ids=str,
)
@pytest.mark.parametrize("degenerated", [False, True])
def test_adabelief(degenerated: bool, given: Mapping[str, bool], amsgrad: Any) -> None:
    given = {**given, "degenerated_to_sgd": degenerated}
    if given["rectify"]:
        # Theirs takes no notice of amsgrad then.
        amsgrad = ({}, {})
    theirs = numbers("lr eps betas weight_decay", *amsgrad)
    ours = tuple({**o, "eps_acc": o["eps"], "eps_out": o["eps"]} for o in theirs)
    for options in ours:
        del options["eps"]
    follow(
        made(gs.AdaBelief, ours, **given),
        made(AdaBelief, theirs, **given, print_change_log=False),
        BELIEF,
        late=True,
    )


@pytest.mark.parametrize(
    "variants",
    rotated(
        {"momentum": 0.83},
        {"momentum": 0.0},
        {"momentum": 0.71, "decouple_decay": True},
        {"momentum": 0.0, "decouple_decay": True},
        {"momentum": 0.6, "eps": 0.0},
    ),
    ids=str,
)
def test_madgrad(variants: Any) -> None:
    """The cube root by pow(x, 1/3) is off by some 1e-16 ln x: no bound is wider."""
    options = numbers("lr weight_decay eps", *variants)
    follow(
        made(gs.MADGRAD, options),
        made(madgrad.MADGRAD, options),
        MADGRAD,
    )


@pytest.mark.parametrize("decoupled", [False, True])
def test_madgrad_of_the_paper(decoupled: bool) -> None:
    """Theirs at lr - eps, to which it adds eps."""
    options = numbers("lr weight_decay eps momentum", {"decouple_decay": decoupled})

    def before(pair: Pair) -> None:
        for ours, theirs in pair.groups():
            theirs["lr"] = ours["lr"] - ours["eps"]

    follow(
        made(gs.MADGRAD, options, like="paper"),
        made(madgrad.MADGRAD, options),
        MADGRAD,
        before=before,
    )


@pytest.mark.parametrize(
    "variants",
    rotated(
        {"momentum": 0.83},
        {"momentum": 0.0},
        {"momentum": 0.71, "decouple_decay": True},
    ),
    ids=str,
)
@pytest.mark.parametrize("eps", [0.0, 0.01])
def test_mirror_madgrad(eps: float, variants: Any) -> None:
    options = numbers("lr weight_decay", *variants)
    follow(
        made(gs.MirrorMADGRAD, options, eps=eps),
        made(madgrad.MirrorMADGRAD, options, eps=eps),
        {"v": "grad_sum_sq", "z": "z"},
    )
