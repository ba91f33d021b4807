"""The reference agrees with the authors of AdaBelief and MADGRAD."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from adabelief_pytorch import AdaBelief
from harness import Peer, assert_follows, choices
from madgrad import MADGRAD, MirrorMADGRAD

import reference

VARIANCE = {"m": "exp_avg", "s": "exp_avg_var"}


def quiet(*args: Any, **options: Any) -> torch.optim.Optimizer:
    return AdaBelief(*args, **options, print_change_log=False)


@pytest.fixture
def _one_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their code has one value for our two."""
    for name in ("adabelief", "adabelief_amsgrad"):
        rule = reference.RULES[name]

        def both(*, rule: Any = rule, eps: float, **rest: Any) -> Any:
            return rule(eps=eps, eps_acc=eps, **rest)

        monkeypatch.setitem(reference.RULES, name, both)


@pytest.mark.usefixtures("_one_epsilon")
@pytest.mark.parametrize(
    ("amsgrad", "flags"),
    [
        (amsgrad, flags)
        for amsgrad in (False, True)
        for flags in choices("decoupled", "fixed", "rectify", "degenerated")
        if not (amsgrad and flags["rectify"])  # see test_differences.py
    ],
    ids=str,
)
def test_adabelief(
    flags: dict[str, float], amsgrad: bool, rng: np.random.Generator
) -> None:
    peer = Peer(
        "adabelief_amsgrad" if amsgrad else "adabelief",
        partial(
            quiet,
            amsgrad=amsgrad,
            weight_decouple=bool(flags["decoupled"]),
            fixed_decay=bool(flags["fixed"]),
            rectify=bool(flags["rectify"]),
            degenerated_to_sgd=bool(flags["degenerated"]),
        ),
        "lr beta1 beta2 eps weight_decay",
        VARIANCE | ({"smax": "max_exp_avg_var"} if amsgrad else {}),
        flags,
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_madgrad(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "madgrad",
        partial(MADGRAD, decouple_decay=bool(decoupled)),
        "lr momentum eps weight_decay",
        {"v": "grad_sum_sq", "s": "s", "x0": "x0"},
        {"decoupled": decoupled, "eps_in_lr": 1.0},
        {"x0": None},
    )
    assert_follows(peer, rng)


def test_madgrad_moving(rng: np.random.Generator) -> None:
    peer = Peer(
        "madgrad_moving",
        partial(MADGRAD, momentum=0.0, decouple_decay=True),
        "lr eps weight_decay",
        {"v": "grad_sum_sq", "s": "s", "x0": None},
        {"eps_in_lr": 1.0},
        {"x0": None},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_mirror_madgrad(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "mirror_madgrad",
        partial(MirrorMADGRAD, decouple_decay=bool(decoupled)),
        "lr momentum eps weight_decay",
        {"v": "grad_sum_sq", "z": "z"},
        {"decoupled": decoupled, "eps_in_lr": 1.0},
        {"z": None},
    )
    assert_follows(peer, rng)
