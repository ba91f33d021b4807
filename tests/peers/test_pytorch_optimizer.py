"""The reference agrees with pytorch_optimizer, where that agrees with the authors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_optimizer as po
import torch
from harness import SIZE, Peer, assert_close, assert_follows

import reference

ADAPTIVE = "lr beta1 beta2 eps weight_decay"
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgdw(nesterov: bool, decoupled: float, rng: np.random.Generator) -> None:
    dampening, flags = "", {"decoupled": decoupled}
    if not nesterov:
        dampening, flags = " dampening", flags | {"dampen_first": 0.0}
    peer = Peer(
        "sgd_nesterov" if nesterov else "sgd_momentum",
        partial(po.SGDW, nesterov=nesterov, weight_decouple=bool(decoupled)),
        "lr momentum weight_decay" + dampening,
        {"b": "momentum_buffer"},
        flags,
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_adamax(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "adamax",
        partial(po.AdaMax, weight_decouple=bool(decoupled)),
        ADAPTIVE,
        {"m": "exp_avg", "u": "exp_inf"},
        {"decoupled": decoupled},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
@pytest.mark.parametrize(
    ("name", "partial_"), [("half", 1 / 2), ("quarter", 1 / 4), ("eighth", 1 / 8)]
)
def test_padam(
    name: str, partial_: float, decoupled: float, rng: np.random.Generator
) -> None:
    peer = Peer(
        "padam_" + name,
        partial(po.PAdam, partial=partial_, weight_decouple=bool(decoupled)),
        ADAPTIVE,
        MOMENTS,
        {"decoupled": decoupled, "bias_correction": 1.0},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("momentum_below", [0.0, 1.0])
@pytest.mark.parametrize("threshold", [5, 6])
def test_radam(threshold: int, momentum_below: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "radam",
        partial(
            po.RAdam,
            n_sma_threshold=threshold,
            degenerated_to_sgd=bool(momentum_below),
        ),
        ADAPTIVE,
        MOMENTS,
        {
            "decoupled": 1.0,
            "threshold": threshold,
            "inclusive": 1.0,
            "momentum_below": momentum_below,
            "eps_hat": 1.0,
        },
    )
    assert_follows(peer, rng)


def negated(
    optimizer: Callable[..., torch.optim.Optimizer], *args: Any, **options: Any
) -> torch.optim.Optimizer:
    """Adan, with the gradient it keeps as what it is rather than negated.

    The length of the path is our caller's alone, and stays 0 here.
    """
    built = optimizer(*args, **options)

    def negate(*_: Any) -> None:
        for state in built.state.values():
            state |= {"prev": -state["previous_grad"], "path": 0.0}

    built.register_step_post_hook(negate)
    return built


@pytest.mark.parametrize("prox", [0.0, 1.0])
def test_adan(prox: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "adan",
        partial(negated, po.Adan, weight_decouple=not prox),
        ADAPTIVE + " beta3",
        {k: k for k in ("prev", "path")}
        | {"m": "exp_avg", "w": "exp_avg_diff", "n": "exp_avg_sq"},
        {"prox": prox, "paper": 0.0},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_adai(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "adai",
        partial(po.Adai, weight_decouple=bool(decoupled)),
        "lr beta0 beta2 eps weight_decay",
        MOMENTS | {"product": "beta1_prod"},
        {"decoupled": decoupled},
        {"product": np.nan},
    )
    assert_follows(peer, rng)


def test_lamb_without_trust_ratio(rng: np.random.Generator) -> None:
    # Its decay is in the direction if it is not called decoupled.
    peer = Peer(
        "lamb",
        partial(po.Lamb, weight_decouple=False, adam_debias=True, adam=True),
        ADAPTIVE,
        MOMENTS,
        {"decoupled": 1.0, "bias_correction": 0.0, "adapt": 0.0},
    )
    assert_follows(peer, rng)


def test_lamb_without_epsilon(rng: np.random.Generator) -> None:
    # It adds epsilon to the norm of the direction, too, which is a sum of 97 here.
    peer = Peer(
        "lamb",
        partial(po.Lamb, weight_decouple=False, adam_debias=True, eps=1e-15),
        "lr beta1 beta2 weight_decay",
        MOMENTS,
        {"decoupled": 1.0, "bias_correction": 0.0, "adapt": 1.0, "eps": 1e-15},
    )
    assert_follows(peer, rng)


def matrix(
    optimizer: Callable[..., torch.optim.Optimizer], params: Any, **options: Any
) -> torch.optim.Optimizer:
    """LARS, which leaves vectors without a trust ratio, on a row of their numbers."""
    (theta,) = params
    row = theta[None, :]
    built = optimizer([row], **options)

    def take(*_: Any) -> None:
        row.grad = theta.grad[None, :]

    def give(*_: Any) -> None:
        built.state[theta] = {k: x[0] for k, x in built.state[row].items()}

    built.register_step_pre_hook(take)
    built.register_step_post_hook(give)
    return built


def test_lars(rng: np.random.Generator) -> None:
    peer = Peer(
        "lars",
        partial(matrix, po.LARS),
        "lr momentum weight_decay trust_coefficient",
        {"b": "momentum_buffer"},
        {"eps": 0.0, "norm_of_sum": 0.0, "lr_inside": 0.0, "adapt": 1.0},
    )
    assert_follows(peer, rng)


def test_lars_of_vectors_has_no_trust_ratio(rng: np.random.Generator) -> None:
    # It has no decay then, either.
    peer = Peer(
        "lars",
        po.LARS,
        "lr momentum",
        {"b": "momentum_buffer"},
        {
            "eps": 0.0,
            "weight_decay": 0.0,
            "trust_coefficient": 0.3,
            "norm_of_sum": 0.0,
            "lr_inside": 0.0,
            "adapt": 0.0,
        },
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam(adaptive: bool, rng: np.random.Generator) -> None:
    p, g = rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    theta = torch.from_numpy(p.copy())
    optimizer = po.SAM([theta], torch.optim.SGD, rho=0.3, adaptive=adaptive, lr=0.1)
    theta.grad = torch.from_numpy(g)
    optimizer.first_step()
    # Its norm is float32 whatever the arrays are, so that it is divided out here.
    rho = 0.3
    climbed = theta.numpy() - p
    norm = np.linalg.norm(p * g if adaptive else g)
    theirs = np.linalg.norm(climbed / p if adaptive else climbed)
    np.testing.assert_allclose(theirs, rho, rtol=1e-6)

    rule = reference.sam_climb_adaptive if adaptive else reference.sam_climb
    ours = rule(t=1, p=p, g=g, old=np.full(SIZE, np.nan), rho=rho)
    assert ours.keys() == {"p", "old"}
    assert_close((ours["p"] - p) / rho, climbed / theirs)
    assert_close(ours["p"] - p, rho * (p**2 * g if adaptive else g) / (norm + 1e-12))
    assert_close(ours["old"], optimizer.state[theta]["old_p"].numpy())


def test_sam_of_a_vanishing_gradient_has_a_finite_scale() -> None:
    """rho / (|g| + 1e-12)."""
    for size in (0.0, 1e-12):
        g = np.full(SIZE, size / np.sqrt(SIZE))
        theta = torch.zeros(SIZE, dtype=torch.float64)
        optimizer = po.SAM([theta], torch.optim.SGD, rho=0.3, lr=0.1)
        theta.grad = torch.from_numpy(g)
        optimizer.first_step()
        unread = np.full(SIZE, np.nan)
        ours = reference.sam_climb(t=1, p=np.zeros(SIZE), g=g, old=unread, rho=0.3)
        np.testing.assert_allclose(ours["p"], theta.numpy(), rtol=1e-6)
        np.testing.assert_allclose(ours["p"], 0.3 * g / (size + 1e-12), rtol=1e-9)
