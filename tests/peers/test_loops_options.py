"""The reference agrees with loops over elements, in what torch has no option for.

The loops are written after the sources that each of them names, and otherwise than the
reference is. optax's formulas are those of its version 0.2.8.
"""

import math
from functools import partial

import numpy as np
import pytest
from harness import SIZE, assert_close, assert_loops, choices, draw_hyper, each

import reference

ADAPTIVE = "lr beta1 beta2 eps weight_decay"
MOMENTUM = "lr momentum weight_decay"

Element = dict[str, float]


def sgd(t: int, g: float, *, p: float, **hyper: float) -> Element:
    """Loshchilov and Hutter 2019, algorithm 1, without momentum."""
    g += hyper["weight_decay"] * p
    return {"p": p - hyper["lr"] * g}


@pytest.mark.parametrize("flags", choices("decoupled"), ids=str)
def test_sgd(flags: dict[str, float], rng: np.random.Generator) -> None:
    assert_loops("sgd", each(sgd), "lr weight_decay", "", rng, flags)


def heavy_ball(
    t: int, g: float, *, p: float, b: float, nesterov: bool, **hyper: float
) -> Element:
    """optax's chain of add_decayed_weights, before or after, with its trace."""
    decay = hyper["weight_decay"] * p
    if not hyper["decoupled"]:
        g, decay = g + decay, 0.0
    kept = 1 - hyper.get("dampening", 0.0)
    if t == 1:
        b, kept = 0.0, kept if hyper.get("dampen_first") else 1.0
    b = kept * g + hyper["momentum"] * b
    u = g + hyper["momentum"] * b if nesterov else b
    return {"p": p - hyper["lr"] * (u + decay), "b": b}


@pytest.mark.parametrize("flags", choices("decoupled", "dampen_first"), ids=str)
def test_sgd_momentum(flags: dict[str, float], rng: np.random.Generator) -> None:
    loop, hyper = each(partial(heavy_ball, nesterov=False)), MOMENTUM + " dampening"
    assert_loops("sgd_momentum", loop, hyper, "b", rng, flags, {"b": np.nan})


def test_dampening_the_first_step_is_an_average_from_zero(
    rng: np.random.Generator,
) -> None:
    """With tau = mu, the buffer lacks 1 - mu^t, as Adam's m does."""
    ours = {"p": np.zeros(SIZE), "b": np.full(SIZE, np.nan)}
    hyper = {"lr": 0.1, "momentum": 0.7, "dampening": 0.7, "weight_decay": 0.0}
    g = rng.standard_normal(SIZE)
    for t in range(1, 6):
        ours = reference.sgd_momentum(
            t=t, g=g, **ours, **hyper, decoupled=0.0, dampen_first=1.0
        )
        assert_close(ours["b"], (1 - 0.7**t) * g)


@pytest.mark.parametrize("flags", choices("decoupled"), ids=str)
def test_sgd_nesterov(flags: dict[str, float], rng: np.random.Generator) -> None:
    loop = each(partial(heavy_ball, nesterov=True))
    assert_loops("sgd_nesterov", loop, MOMENTUM, "b", rng, flags, {"b": np.nan})


def sgdw(t: int, g: float, *, p: float, z: float, **hyper: float) -> Element:
    """Loshchilov and Hutter 2019, algorithm 1, whose m is -z."""
    decay = hyper["weight_decay"] * p
    if not hyper["decoupled"]:
        g, decay = g + decay, 0.0
    m = hyper["momentum"] * -z + hyper["lr"] * g
    return {"p": p - m - hyper["lr"] * decay, "z": -m}


@pytest.mark.parametrize("flags", choices("decoupled"), ids=str)
def test_sgd_velocity(flags: dict[str, float], rng: np.random.Generator) -> None:
    assert_loops("sgd_velocity", each(sgdw), MOMENTUM, "z", rng, flags)


def adam(
    t: int, g: float, *, p: float, m: float, v: float, decoupled: bool, **hyper: float
) -> Element:
    """optax's adam, amsgrad and adamw; for eps_hat, Kingma and Ba's efficient order."""
    lr, decay = hyper["lr"], hyper["weight_decay"] * p
    if not decoupled:
        g, decay = g + decay, 0.0
    elif hyper["fixed"]:
        decay /= lr
    m += (1 - hyper["beta1"]) * (g - m)
    v += (1 - hyper["beta2"]) * (g * g - v)
    new = {"m": m, "v": v}
    left1 = left2 = 1.0
    if hyper["bias_correction"]:
        left1, left2 = 1 - hyper["beta1"] ** t, 1 - hyper["beta2"] ** t
    if "vmax" not in hyper:
        v /= left2
    elif hyper["max_corrected"]:
        v = new["vmax"] = max(hyper["vmax"], v / left2)
    else:
        new["vmax"] = max(hyper["vmax"], v)
        v = new["vmax"] / left2
    v += hyper["eps_root"]
    if hyper["eps_hat"]:
        u = math.sqrt(left2) / left1 * m / (math.sqrt(v * left2) + hyper["eps"])
    else:
        u = m / left1 / (math.sqrt(v) + hyper["eps"])
    return {"p": p - lr * (u + decay), **new}


@pytest.mark.parametrize(
    "flags", choices("eps_hat", "bias_correction", "max_corrected", "fixed"), ids=str
)
@pytest.mark.parametrize("rule", ["adam", "adam_amsgrad", "adamw", "adamw_amsgrad"])
def test_adam(rule: str, flags: dict[str, float], rng: np.random.Generator) -> None:
    decoupled, amsgrad = "adamw" in rule, "amsgrad" in rule
    own = {"eps_hat", "bias_correction"}
    own |= {"fixed"} if decoupled else set()
    own |= {"max_corrected"} if amsgrad else set()
    assert_loops(
        rule,
        each(partial(adam, decoupled=decoupled)),
        ADAPTIVE + " eps_root",
        "m v vmax" if amsgrad else "m v",
        rng,
        {name: flag for name, flag in flags.items() if name in own},
    )


@pytest.mark.parametrize(
    ("max_corrected", "expected"),
    [(0.0, [1 / t for t in range(1, 6)]), (1.0, [1.0] * 5)],
)
def test_a_single_gradient_keeps_or_loses_its_maximum(
    max_corrected: float, expected: list[float]
) -> None:
    """torch's vhat is about 1, 1/2, 1/3, ... after it, and optax's is 1 for good."""
    ours = {name: np.zeros(1) for name in ("p", "m", "v", "vmax")}
    for t, v_hat in enumerate(expected, 1):
        before = ours["p"]
        ours = reference.adam_amsgrad(
            t=t,
            g=np.full(1, float(t == 1)),
            **ours,
            lr=1.0,
            beta1=0.5,
            beta2=0.999,
            eps=0.0,
            eps_root=0.0,
            weight_decay=0.0,
            eps_hat=0.0,
            bias_correction=1.0,
            max_corrected=max_corrected,
        )
        u = before - ours["p"]
        m_hat = ours["m"] / (1 - 0.5**t)
        np.testing.assert_allclose((m_hat / u) ** 2, v_hat, rtol=0.003)


def adamax(
    t: int, g: float, *, p: float, m: float, u: float, **hyper: float
) -> Element:
    """optax's adamaxw, and its adamax with add_decayed_weights before it."""
    decay = hyper["weight_decay"] * p
    if not hyper["decoupled"]:
        g, decay = g + decay, 0.0
    m = g + hyper["beta1"] * (m - g)
    u = max(abs(g) + hyper["eps"], hyper["beta2"] * u)
    step = m / (1 - hyper["beta1"] ** t) / u + decay
    return {"p": p - hyper["lr"] * step, "m": m, "u": u}


@pytest.mark.parametrize("flags", choices("decoupled"), ids=str)
def test_adamax(flags: dict[str, float], rng: np.random.Generator) -> None:
    assert_loops("adamax", each(adamax), ADAPTIVE, "m u", rng, flags)


def rmsprop(
    t: int, g: float, *, p: float, v: float, inside: bool, **hyper: float
) -> Element:
    """optax's rmsprop, whose trace is of what its learning rate has scaled."""
    g += hyper["weight_decay"] * p
    v = g * g + hyper["alpha"] * (v - g * g)
    new = {"v": v}
    left = 1 - hyper["alpha"] ** t if hyper["bias_correction"] else 1.0
    square = v / left
    if "gbar" in hyper:
        mean = new["gbar"] = g + hyper["alpha"] * (hyper["gbar"] - g)
        square = max((v * left - mean * mean) / (left * left), 0.0)
    if inside:
        d = g / math.sqrt(square + hyper["eps"])
    else:
        d = g / (math.sqrt(square) + hyper["eps"])
    if "b" not in hyper:
        return {"p": p - hyper["lr"] * d, **new}
    mu = hyper["momentum"]
    inner, outer = (-hyper["lr"], 1) if hyper["lr_inside"] else (-1, hyper["lr"])
    trace = inner * d - mu * hyper["b"]
    update = inner * d + mu * trace if hyper["nesterov"] else trace
    return {"p": p + outer * update, **new, "b": -trace}


@pytest.mark.parametrize(
    "flags", choices("bias_correction", "lr_inside", "nesterov"), ids=str
)
@pytest.mark.parametrize("inside", ["", "_inside"])
@pytest.mark.parametrize("momentum", ["", "_momentum"])
@pytest.mark.parametrize("centered", ["", "_centered"])
def test_rmsprop(
    centered: str,
    momentum: str,
    inside: str,
    flags: dict[str, float],
    rng: np.random.Generator,
) -> None:
    own = flags if momentum else {"bias_correction": flags["bias_correction"]}
    own = own | ({"initial": 1.0} if centered else {})
    assert_loops(
        f"rmsprop{centered}{momentum}{inside}",
        each(partial(rmsprop, inside=bool(inside))),
        "lr alpha eps weight_decay" + " momentum" * bool(momentum),
        "v" + " gbar" * bool(centered) + " b" * bool(momentum),
        rng,
        own,
        # From zero, the corrected variance of one gradient is but rounding errors.
        {"v": 1.0} if centered else {},
    )


@pytest.mark.parametrize("inside", ["", "_inside"])
@pytest.mark.parametrize("centered", ["", "_centered"])
def test_the_first_corrected_mean_is_of_one_gradient(
    centered: str, inside: str, rng: np.random.Generator
) -> None:
    """The square is g^2, and the variance 0, whatever alpha."""
    hyper = draw_hyper(rng, "lr alpha eps")
    g = rng.standard_normal(SIZE)
    ours = {name: np.zeros(SIZE) for name in ("p", "v", *(["gbar"] * bool(centered)))}
    rule = reference.RULES["rmsprop" + centered + inside]
    ours = rule(t=1, g=g, **ours, **hyper, weight_decay=0.0, bias_correction=1.0)

    square, eps = 0 * g if centered else g**2, hyper["eps"]
    root = np.sqrt(square + eps) if inside else np.sqrt(square) + eps
    # A rounding error in the variance is not one in its root.
    rtol = 1e-3 if centered and not inside else 1e-12
    np.testing.assert_allclose(ours["p"], -hyper["lr"] * g / root, rtol=rtol)
