"""The reference agrees with torch.optim's Rprop, SparseAdam, NAdam and RAdam."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from harness import Peer, assert_close, assert_follows

import reference

ADAPTIVE = "lr beta1 beta2 eps weight_decay"
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
Rprop, NAdam, RAdam = (
    partial(optimizer, foreach=False)
    for optimizer in (torch.optim.Rprop, torch.optim.NAdam, torch.optim.RAdam)
)
RECTIFIED = {"threshold": 5.0, "inclusive": 0.0, "momentum_below": 1.0, "eps_hat": 1.0}


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    # torch keeps the product of NAdam's momenta in the default type.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_rprop(rng: np.random.Generator) -> None:
    peer = Peer(
        "rprop",
        partial(Rprop, lr=0.07),
        "eta_minus eta_plus step_min step_max",
        {"prev": "prev", "step_size": "step_size"},
        starts={"step_size": 0.07},
    )
    assert_follows(peer, rng)


def test_rprop_clamps_its_first_step_size() -> None:
    theta = torch.zeros(3)
    optimizer = Rprop([theta], lr=100.0)
    theta.grad = torch.ones(3)
    optimizer.step()
    ours = reference.rprop(
        t=1,
        p=np.zeros(3),
        g=np.ones(3),
        prev=np.zeros(3),
        step_size=np.full(3, 100.0),
        eta_minus=0.5,
        eta_plus=1.2,
        step_min=1e-6,
        step_max=50.0,
    )
    assert_close(ours["p"], theta.numpy())
    assert_close(ours["p"], np.full(3, -50.0))


def test_adams_efficient_order(rng: np.random.Generator) -> None:
    """Which is torch.optim.SparseAdam's."""

    def sparse(params: Any, **options: Any) -> torch.optim.Optimizer:
        (theta,) = params
        built = torch.optim.SparseAdam(params, **options)

        def take_all(*_: Any) -> None:
            g, where = theta.grad, torch.arange(theta.numel())[None]
            theta.grad = torch.sparse_coo_tensor(
                where, g, g.shape, is_coalesced=True, check_invariants=False
            )

        built.register_step_pre_hook(take_all)
        return built

    flags = {"eps_hat": 1.0, "bias_correction": 1.0}
    ours = flags | {"eps_root": 0.0, "weight_decay": 0.0}
    peer = Peer("adam", sparse, "lr beta1 beta2 eps", MOMENTS, ours)
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_nadam(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "nadam",
        partial(NAdam, decoupled_weight_decay=bool(decoupled)),
        ADAPTIVE + " momentum_decay",
        MOMENTS | {"mu_product": "mu_product"},
        {"decoupled": decoupled, "warm": 0.5, "dozat": 0.0},
    )
    assert_follows(peer, rng)


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_radam(decoupled: float, rng: np.random.Generator) -> None:
    peer = Peer(
        "radam",
        partial(RAdam, decoupled_weight_decay=bool(decoupled)),
        ADAPTIVE,
        MOMENTS,
        {"decoupled": decoupled, **RECTIFIED},
    )
    assert_follows(peer, rng)
