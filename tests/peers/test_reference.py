"""The reference agrees with torch.optim, with Lion's authors, and with itself."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from harness import (
    FLAGS,
    RANGES,
    SIZE,
    STEPS,
    as_options,
    assert_close,
    assert_loops,
    draw_gradient,
    draw_hyper,
    each,
)

import reference

SGD, Adam, AdamW = (
    partial(optimizer, foreach=False, fused=False)
    for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
)
Adagrad, Adadelta, Adamax, RMSprop = (
    partial(optimizer, foreach=False)
    for optimizer in (
        torch.optim.Adagrad,
        torch.optim.Adadelta,
        torch.optim.Adamax,
        torch.optim.RMSprop,
    )
)
MOMENTUM = "lr momentum weight_decay"
ADAPTIVE = "lr beta1 beta2 eps weight_decay"
MEAN_SQUARE = "lr alpha eps weight_decay"
BUFFER = {"b": "momentum_buffer"}
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}
MAXIMUM = MOMENTS | {"vmax": "max_exp_avg_sq"}
SQUARE = {"v": "square_avg"}
CENTERED = SQUARE | {"gbar": "grad_avg"}
# What torch does, of what our rules offer a choice of.
L2 = {"decoupled": 0.0}
UNDAMPENED = L2 | {"dampen_first": 0.0}
CORRECTED = {"eps_root": 0.0, "eps_hat": 0.0, "bias_correction": 1.0}
RAW_MAXIMUM = CORRECTED | {"max_corrected": 0.0}
SCALED = {"fixed": 0.0}
UNCORRECTED = {"bias_correction": 0.0}
OUTSIDE = UNCORRECTED | {"lr_inside": 0.0, "nesterov": 0.0}


class TorchPeer(NamedTuple):
    """A rule's counterpart in torch.optim."""

    optimizer: Callable[..., torch.optim.Optimizer]
    hyper: str
    states: dict[str, str]
    # What only our rule is told.
    ours: Mapping[str, float] = {}


PEERS = {
    "sgd": TorchPeer(SGD, "lr weight_decay", {}, L2),
    "sgd_momentum": TorchPeer(SGD, MOMENTUM + " dampening", BUFFER, UNDAMPENED),
    "sgd_nesterov": TorchPeer(partial(SGD, nesterov=True), MOMENTUM, BUFFER, L2),
    "adam": TorchPeer(Adam, ADAPTIVE, MOMENTS, CORRECTED),
    "adam_amsgrad": TorchPeer(
        partial(Adam, amsgrad=True), ADAPTIVE, MAXIMUM, RAW_MAXIMUM
    ),
    "adamw": TorchPeer(AdamW, ADAPTIVE, MOMENTS, CORRECTED | SCALED),
    "adamw_amsgrad": TorchPeer(
        partial(AdamW, amsgrad=True), ADAPTIVE, MAXIMUM, RAW_MAXIMUM | SCALED
    ),
    "adagrad": TorchPeer(Adagrad, "lr lr_decay eps weight_decay", {"sum": "sum"}),
    "adadelta": TorchPeer(
        Adadelta, "lr rho eps weight_decay", SQUARE | {"u": "acc_delta"}
    ),
    "adamax": TorchPeer(Adamax, ADAPTIVE, {"m": "exp_avg", "u": "exp_inf"}, L2),
    "rmsprop": TorchPeer(RMSprop, MEAN_SQUARE, SQUARE, UNCORRECTED),
    "rmsprop_momentum": TorchPeer(
        RMSprop, MEAN_SQUARE + " momentum", SQUARE | BUFFER, OUTSIDE
    ),
    "rmsprop_centered": TorchPeer(
        partial(RMSprop, centered=True), MEAN_SQUARE, CENTERED, UNCORRECTED
    ),
    "rmsprop_centered_momentum": TorchPeer(
        partial(RMSprop, centered=True),
        MEAN_SQUARE + " momentum",
        CENTERED | BUFFER,
        OUTSIDE,
    ),
}


def build_optimizer(
    peer: TorchPeer, theta: torch.Tensor, hyper: dict[str, float]
) -> torch.optim.Optimizer:
    return peer.optimizer([theta], **as_options(hyper))


@pytest.mark.parametrize("name", PEERS)
def test_rule_equals_torch(name: str, rng: np.random.Generator) -> None:
    peer = PEERS[name]
    hyper = draw_hyper(rng, peer.hyper)
    p = rng.standard_normal(SIZE)
    theta = torch.from_numpy(p.copy())
    optimizer = build_optimizer(peer, theta, hyper)
    # The first step has to ignore the momentum buffer; all other states start at zero.
    start = np.nan if peer.states == BUFFER else 0.0
    ours = {"p": p} | {state: np.full(SIZE, start) for state in peer.states}

    for t in range(1, STEPS + 1):
        g = draw_gradient(rng)
        # A schedule tells apart the forms which keep lr inside and outside a state.
        hyper["lr"] = optimizer.param_groups[0]["lr"] = rng.uniform(*RANGES["lr"])
        theta.grad = torch.from_numpy(g)
        optimizer.step()
        ours = reference.RULES[name](t=t, g=g, **ours, **hyper, **peer.ours)

        theirs = {s: optimizer.state[theta][key] for s, key in peer.states.items()}
        assert ours.keys() == {"p", *theirs}
        assert_close(ours["p"], theta.numpy())
        for state, value in theirs.items():
            assert_close(ours[state], value.numpy())


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
def test_velocity_is_momentum_scaled_by_constant_lr(
    decoupled: float, rng: np.random.Generator
) -> None:
    hyper = draw_hyper(rng, MOMENTUM) | {"decoupled": decoupled}
    undampened = {"dampening": 0.0, "dampen_first": 0.0}
    p = rng.standard_normal(SIZE)
    polyak: reference.Step = {"p": p, "b": np.full(SIZE, np.nan)}
    velocity: reference.Step = {"p": p, "z": np.zeros(SIZE)}

    for t in range(1, STEPS + 1):
        g = draw_gradient(rng)
        polyak = reference.sgd_momentum(t=t, g=g, **polyak, **hyper, **undampened)
        velocity = reference.sgd_velocity(t=t, g=g, **velocity, **hyper)

        assert_close(velocity["p"], polyak["p"])
        assert_close(velocity["z"], -hyper["lr"] * polyak["b"])


def test_torch_nesterov_iterates_are_lookahead_points(
    rng: np.random.Generator,
) -> None:
    # The gradient has to depend on the point, or looking ahead would change nothing.
    root = rng.standard_normal((SIZE, SIZE)) / np.sqrt(SIZE)
    hessian = root @ root.T
    hyper = draw_hyper(rng, MOMENTUM) | {"weight_decay": 0.0}
    momentum = hyper["momentum"]
    w = rng.standard_normal(SIZE)
    phi = torch.from_numpy(w.copy())
    optimizer = build_optimizer(PEERS["sgd_nesterov"], phi, hyper)
    base: reference.Step = {"p": w, "z": np.zeros(SIZE)}
    unwritten = np.full(SIZE, np.nan)

    def look_ahead(t: int) -> Any:
        ahead = reference.sgd_lookahead(
            t=t, p=unwritten, g=base["p"], z=base["z"], momentum=momentum
        )
        assert ahead.keys() == {"p", "z"}
        np.testing.assert_array_equal(ahead["z"], base["z"])
        return ahead["p"]

    for t in range(1, STEPS + 1):
        phi.grad = torch.from_numpy(hessian @ phi.numpy())
        optimizer.step()
        g = hessian @ look_ahead(t)
        base = reference.sgd_velocity(t=t, g=g, **base, **hyper, **L2)

        assert_close(look_ahead(t), phi.numpy())


def scalar_lion(
    w: float,
    m: float,
    g: float,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
) -> tuple[float, float]:
    """One element of google/automl's lion/lion_pytorch.py, as torch has no Lion."""
    w *= 1 - lr * weight_decay
    update = m * beta1 + g * (1 - beta1)
    w -= lr * ((update > 0) - (update < 0))
    return w, m * beta2 + g * (1 - beta2)


def test_lion_equals_its_authors_code(rng: np.random.Generator) -> None:
    hyper = draw_hyper(rng, "lr beta1 beta2 weight_decay")
    ours: reference.Step = {"p": rng.standard_normal(SIZE), "m": np.zeros(SIZE)}
    theirs = list(zip(ours["p"].tolist(), ours["m"].tolist(), strict=True))

    for t in range(1, STEPS + 1):
        g = draw_gradient(rng)
        g[0] = 0.0  # sign(0) has to be 0
        ours = reference.lion(t=t, g=g, **ours, **hyper)
        theirs = [
            scalar_lion(w, m, g_i, **hyper)
            for (w, m), g_i in zip(theirs, g.tolist(), strict=True)
        ]

        assert ours.keys() == {"p", "m"}
        p, m = np.transpose(theirs)
        assert_close(ours["p"], p)
        assert_close(ours["m"], m)


def scalar_adagrad_inside(
    t: int,
    g: float,
    *,
    p: float,
    sum: float,  # noqa: A002
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
) -> dict[str, float]:
    """One element, as torch has no epsilon inside the root."""
    g += weight_decay * p
    sum += g * g  # noqa: A001
    p -= lr / (1 + lr_decay * (t - 1)) * g / math.sqrt(sum + eps)
    return {"p": p, "sum": sum}


def test_adagrad_inside_equals_scalar_loop(rng: np.random.Generator) -> None:
    assert_loops(
        "adagrad_inside",
        each(scalar_adagrad_inside),
        "lr lr_decay eps weight_decay",
        "sum",
        rng,
    )


@pytest.mark.parametrize("bias_correction", [0.0, 1.0])
@pytest.mark.parametrize("suffix", ["", "_inside"])
@pytest.mark.parametrize("name", ["rmsprop_centered", "rmsprop_centered_momentum"])
def test_negative_variance_counts_as_zero(
    name: str, suffix: str, bias_correction: float, rng: np.random.Generator
) -> None:
    g = draw_gradient(rng)
    hyper = draw_hyper(rng, "lr alpha eps")
    states = {"p": np.zeros(SIZE), "v": g**2 / 2, "gbar": g}
    if name.endswith("momentum"):
        states["b"] = np.zeros(SIZE)
        hyper |= draw_hyper(rng, "momentum")
        hyper |= OUTSIDE
    rule = reference.RULES[name + suffix]
    hyper["bias_correction"] = bias_correction
    after = rule(t=2, g=g, **states, **hyper, weight_decay=0.0)

    root = np.sqrt(hyper["eps"]) if suffix else hyper["eps"]
    assert_close(after["p"], -hyper["lr"] * g / root)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("traffic", "p"),
        ("traffic_state1", "pa"),
        ("traffic_state2", "pab"),
        ("traffic_state3", "pabc"),
        ("traffic_state4", "pabcd"),
    ],
)
def test_traffic_reaches_every_array(
    name: str, arrays: str, rng: np.random.Generator
) -> None:
    hyper = draw_hyper(rng, "stir")
    g = draw_gradient(rng)
    before = {array: rng.standard_normal(SIZE) for array in arrays}
    after = reference.RULES[name](t=1, g=g, **before, **hyper)

    assert after.keys() == before.keys()
    for array in arrays:
        assert_close(after[array] - before[array], hyper["stir"] * g)


@pytest.mark.parametrize("flag", [0.0, 1.0])
@pytest.mark.parametrize("name", reference.RULES)
def test_rule_is_pure(name: str, flag: float, rng: np.random.Generator) -> None:
    rule = reference.RULES[name]
    names = reference.needed(rule)
    known = {*RANGES, "warmup_steps"}
    hyper = draw_hyper(rng, " ".join(name for name in names if name in known))
    hyper |= {name: flag for name in names if name in FLAGS}
    states = [name for name in names if name not in {"t", "g", *hyper}]
    # Not negative, as one of them may be a second moment, nor 1, as a product.
    given = {name: rng.random(SIZE) for name in ["g", *states]}
    for array in given.values():
        array.setflags(write=False)
    given |= {name: 0.5 for name in states if name in reference.SCALARS}

    for t in (1, 2):
        after = rule(t=t, **given, **hyper)
        assert after.keys() == set(states)
        for state, value in after.items():
            scalar = state in reference.SCALARS
            assert type(value) is float if scalar else value.shape == (SIZE,)
