"""The reference agrees with loops over elements, for rules that are no Adams.

The loops are written after the sources that each of them names, and otherwise than the
reference is.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from harness import assert_loops, choices, each

ADAPTIVE = "lr beta1 beta2 eps weight_decay"
SIGNS = "eta_minus eta_plus step_min step_max"

Element = dict[str, float]


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


def rprop_plus(
    t: int, g: float, *, p: float, prev: float, step_size: float, **hyper: float
) -> Element:
    """Riedmiller and Braun 1993, the three cases of section 3."""
    if g * prev > 0:
        step_size = min(step_size * hyper["eta_plus"], hyper["step_max"])
    elif g * prev < 0:
        # Its update is the one before, taken back; its derivative counts as 0 next.
        p += sign(prev) * step_size
        step_size = max(step_size * hyper["eta_minus"], hyper["step_min"])
        return {"p": p, "prev": 0.0, "step_size": step_size}
    step_size = min(max(step_size, hyper["step_min"]), hyper["step_max"])
    return {"p": p - sign(g) * step_size, "prev": g, "step_size": step_size}


def rprop_minus(
    t: int, g: float, *, p: float, prev: float, step_size: float, **hyper: float
) -> Element:
    """Igel and Huesken 2000, algorithm 2."""
    if g * prev > 0:
        step_size *= hyper["eta_plus"]
    elif g * prev < 0:
        step_size *= hyper["eta_minus"]
    step_size = min(max(step_size, hyper["step_min"]), hyper["step_max"])
    return {"p": p - sign(g) * step_size, "prev": g, "step_size": step_size}


@pytest.mark.parametrize("loop", [rprop_plus, rprop_minus])
def test_rprop(loop: Any, rng: np.random.Generator) -> None:
    assert_loops(
        loop.__name__,
        each(loop),
        SIGNS,
        "prev step_size",
        rng,
        starts={"step_size": 0.07},
    )


def test_rprop_plus_returns_to_where_it_was() -> None:
    """Also where the size of the last step had been clamped."""
    hyper = {"eta_minus": 0.5, "eta_plus": 2.0, "step_min": 0.1, "step_max": 0.25}
    state = {"p": 1.0, "prev": 0.0, "step_size": 100.0}
    state = rprop_plus(1, 1.0, **state, **hyper)
    assert state == {"p": 0.75, "prev": 1.0, "step_size": 0.25}
    state = rprop_plus(2, -1.0, **state, **hyper)
    assert state == {"p": 1.0, "prev": 0.0, "step_size": 0.125}


def length(vector: Sequence[float]) -> float:
    return math.sqrt(math.fsum(x * x for x in vector))


def lamb(t: int, gradients: list[float], elements: Any, **hyper: float) -> Any:
    """You et al. 2020, algorithm 2."""
    beta1, beta2, decay = hyper["beta1"], hyper["beta2"], hyper["weight_decay"]
    new, u = [], []
    for g, element in zip(gradients, elements, strict=True):
        p = element["p"]
        total = g if hyper["decoupled"] else g + decay * p
        m = element["m"] + (1 - beta1) * (total - element["m"])
        v = element["v"] + (1 - beta2) * (total**2 - element["v"])
        new.append({"p": p, "m": m, "v": v})
        if hyper["bias_correction"]:
            m, v = m / (1 - beta1**t), v / (1 - beta2**t)
        r = m / (math.sqrt(v) + hyper["eps"])
        u.append(r + decay * p if hyper["decoupled"] else r)
    trust = length([x["p"] for x in elements]) / length(u) if hyper["adapt"] else 1
    return [
        x | {"p": x["p"] - hyper["lr"] * trust * r} for x, r in zip(new, u, strict=True)
    ]


@pytest.mark.parametrize(
    "flags", choices("decoupled", "bias_correction", "adapt"), ids=str
)
def test_lamb(flags: dict[str, float], rng: np.random.Generator) -> None:
    assert_loops("lamb", lamb, ADAPTIVE, "m v", rng, flags)


def lars(t: int, gradients: list[float], elements: Any, **hyper: float) -> Any:
    """You, Gitman, Ginsburg 2017, algorithm 1; or optax's lars."""
    decay = hyper["weight_decay"]
    size = length([x["p"] for x in elements])
    total = [g + decay * x["p"] for g, x in zip(gradients, elements, strict=True)]
    slope = length(gradients) + decay * size
    if hyper["norm_of_sum"]:
        slope = length(total)
    local = hyper["trust_coefficient"] * size / (slope + hyper["eps"])
    if not hyper["adapt"]:
        local = 1
    inside, outside = (hyper["lr"], 1) if hyper["lr_inside"] else (1, hyper["lr"])
    new = []
    for d, x in zip(total, elements, strict=True):
        b = hyper["momentum"] * x["b"] + inside * local * d
        new.append({"p": x["p"] - outside * b, "b": b})
    return new


@pytest.mark.parametrize("flags", choices("norm_of_sum", "lr_inside", "adapt"), ids=str)
def test_lars(flags: dict[str, float], rng: np.random.Generator) -> None:
    hyper = "lr momentum weight_decay trust_coefficient eps"
    assert_loops("lars", lars, hyper, "b", rng, flags)


def schedulefree(t: int, g: float, **given: float) -> Element:
    """schedulefree's AdamWScheduleFreeReference, which keeps x, at its repository's
    head, which has an inner momentum; x is found by y here."""
    h = {"beta1": given.get("momentum", 0.0)} | given
    beta, lr = h["beta1"], h["lr"]
    x = (h["p"] - (1 - beta) * h["z"]) / beta
    decay = h["weight_decay"] * h["z" if h["decay_at_z"] else "p"]
    if t <= h.get("warmup_steps", 0):
        lr *= t / h["warmup_steps"]
    new = {}
    if "m" in h:
        inner = h["inner_momentum"]
        new["m"] = inner * h["m"] + (1 - inner) * g
    if "v" in h:
        left = 1 - h["beta2"] ** t
        new["v"] = h["beta2"] * h["v"] + (1 - h["beta2"]) * g * g
        root = math.sqrt(new["v"] / left) + h["eps"]
        if h.get("eps_hat"):
            lr *= math.sqrt(left)
            root = math.sqrt(new["v"]) + h["eps"]
        if "silent" in h:
            most = 2 / (1 - h["beta2"]) - 1
            size = most - 2 * t * (1 - left) / left
            if size > 4:
                r = (size - 4) / (most - 4) * (size - 2) / (most - 2) * most / size
                lr *= math.sqrt(r)
            else:
                lr, root = (0.0 if h["silent"] else lr), 1.0
        g = (new["m"] / (1 - inner**t) if "m" in h else g) / root
    z = h["z"] - lr * (g + decay)
    top = max(lr, h["lr_max"])
    weight = t ** h["r"] * top ** h["weight_lr_power"]
    total = h["weight_sum"] + weight
    if total:
        x += weight / total * (z - x)
    y = x + (1 - beta) * (z - x)
    return {"p": y, "z": z, **new, "weight_sum": total, "lr_max": top}


@pytest.mark.parametrize("flags", choices("decay_at_z", "eps_hat"), ids=str)
@pytest.mark.parametrize("inner", ["", " m"])
def test_schedulefree_adamw(
    inner: str, flags: dict[str, float], rng: np.random.Generator
) -> None:
    assert_loops(
        "schedulefree_adamw" + ("_inner" if inner else ""),
        each(schedulefree),
        ADAPTIVE
        + " warmup_steps r weight_lr_power"
        + (" inner_momentum" * bool(inner)),
        "z v weight_sum lr_max" + inner,
        rng,
        flags,
        {"z": None},
    )


@pytest.mark.parametrize("flags", choices("decay_at_z", "silent"), ids=str)
def test_schedulefree_radam(flags: dict[str, float], rng: np.random.Generator) -> None:
    hyper, states = ADAPTIVE + " r weight_lr_power", "z v weight_sum lr_max"
    loop = each(schedulefree)
    assert_loops("schedulefree_radam", loop, hyper, states, rng, flags, {"z": None})


@pytest.mark.parametrize("flags", choices("decay_at_z"), ids=str)
def test_schedulefree_sgd(flags: dict[str, float], rng: np.random.Generator) -> None:
    hyper = "lr momentum weight_decay warmup_steps r weight_lr_power"
    loop, states = each(schedulefree), "z weight_sum lr_max"
    assert_loops("schedulefree_sgd", loop, hyper, states, rng, flags, {"z": None})
