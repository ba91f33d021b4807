"""The reference agrees with schedulefree, by the authors of Schedule-Free."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import schedulefree as sf
import torch
from harness import (
    RANGES,
    STEPS,
    Peer,
    assert_close,
    assert_follows,
    begin,
    draw_gradient,
    draw_hyper,
)

import reference

SCALARS = {"weight_sum": "weight_sum", "lr_max": "lr_max"}
WEIGHTS = " r weight_lr_power"
ADAPTIVE = "lr beta1 beta2 eps weight_decay" + WEIGHTS
SECOND = {"z": "z", "v": "exp_avg_sq", **SCALARS}


def training(optimizer: Any, *args: Any, **options: Any) -> torch.optim.Optimizer:
    built = optimizer(*args, **options)
    built.train()
    return built


@pytest.mark.parametrize(
    "optimizer",
    [partial(sf.SGDScheduleFree, foreach=False), sf.SGDScheduleFreeReference],
)
def test_sgd(optimizer: Any, rng: np.random.Generator) -> None:
    peer = Peer(
        "schedulefree_sgd",
        partial(training, optimizer),
        "lr momentum weight_decay warmup_steps" + WEIGHTS,
        {"z": "z", **SCALARS},
        {"decay_at_z": 0.0},
        {"z": None},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize(
    ("optimizer", "ours"),
    [
        (sf.AdamWScheduleFree, {"eps_hat": 0.0, "decay_at_z": 0.0}),
        (sf.AdamWScheduleFreePaper, {"eps_hat": 1.0, "decay_at_z": 0.0}),
        (sf.AdamWScheduleFreeReference, {"eps_hat": 0.0, "decay_at_z": 0.0}),
        (
            partial(sf.AdamWScheduleFreeReference, decay_at_z=True),
            {"eps_hat": 0.0, "decay_at_z": 1.0},
        ),
    ],
)
def test_adamw(
    optimizer: Any, ours: dict[str, float], rng: np.random.Generator
) -> None:
    peer = Peer(
        "schedulefree_adamw",
        partial(training, optimizer, foreach=False),
        ADAPTIVE + " warmup_steps",
        SECOND,
        ours,
        {"z": None},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("silent", [0.0, 1.0])
def test_radam(silent: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "schedulefree_radam",
        partial(
            training,
            sf.RAdamScheduleFree,
            foreach=False,
            silent_sgd_phase=bool(silent),
        ),
        ADAPTIVE,
        SECOND,
        {"silent": silent, "decay_at_z": 0.0},
        {"z": None},
    )
    assert_follows(peer, rng)


def test_points_of_training_and_of_evaluation(rng: np.random.Generator) -> None:
    theta = torch.from_numpy(rng.standard_normal(9))
    optimizer = sf.SGDScheduleFree([theta], momentum=0.83, lr=0.1, foreach=False)
    optimizer.train()
    for _ in range(3):
        theta.grad = torch.from_numpy(rng.standard_normal(9))
        optimizer.step()
    y, z = theta.numpy().copy(), optimizer.state[theta]["z"].numpy()
    point = partial(reference.schedulefree_point, t=1, p=np.full(9, np.nan), z=z)
    optimizer.eval()
    x = theta.numpy().copy()
    assert_close(point(g=y, weight=1 - 1 / 0.83)["p"], x)
    assert point(g=y, weight=0.5).keys() == {"p", "z"}
    optimizer.train()
    assert_close(point(g=x, weight=1 - 0.83)["p"], theta.numpy())


def test_average_around_another_optimizer(rng: np.random.Generator) -> None:
    hyper = draw_hyper(rng, "lr momentum" + WEIGHTS)
    p = rng.standard_normal(97)
    theta = torch.from_numpy(p.copy())
    base = torch.optim.SGD([theta], lr=hyper["lr"], momentum=0.7)
    options = {k: hyper[k] for k in ("momentum", "r", "weight_lr_power")}
    optimizer = sf.ScheduleFreeWrapperReference(base, **options)
    optimizer.train()
    ours = begin(p, ("x", *SCALARS), {"x": None})

    for t in range(1, STEPS + 1):
        group = optimizer.param_groups[0]
        hyper["lr"] = group["lr"] = rng.uniform(*RANGES["lr"])
        theta.grad = torch.from_numpy(draw_gradient(rng))
        optimizer.step()
        kept = {k: x.numpy() for k, x in optimizer.state[theta].items()}
        unread = np.full(97, np.nan)
        ours |= {"p": unread, "z": kept["z"]}
        ours = reference.schedulefree_average(t=t, g=unread, **ours, **hyper)
        assert ours.keys() == {"p", "x", "z", "weight_sum", "lr_max"}
        assert_close(ours["z"], kept["z"])
        assert_close(ours["p"], theta.numpy())
        assert_close(ours["x"], kept["x"])
        assert_close(ours["weight_sum"], np.asarray(group["weight_sum"]))
        assert_close(ours["lr_max"], np.asarray(group["lr_max"]))
