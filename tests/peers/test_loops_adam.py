"""The reference agrees with loops over elements, for Adam's relatives.

The loops are written after the sources that each of them names, and otherwise than the
reference is.
"""

import math

import numpy as np
import pytest
from harness import assert_loops, choices, each

ADAPTIVE = "lr beta1 beta2 eps weight_decay"
BOTH = [0.0, 1.0]

Element = dict[str, float]


def nadam(
    t: int, g: float, *, p: float, m: float, v: float, mu_product: float, **hyper: float
) -> Element:
    """Dozat 2016, algorithm 2; or optax's nadam, without the schedule of momenta."""
    lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
    now, after = (
        beta1 - beta1 * hyper["warm"] * math.exp(s * math.log(0.96))
        for s in (t * hyper["momentum_decay"], (t + 1) * hyper["momentum_decay"])
    )
    if hyper["decoupled"]:
        p -= lr * hyper["weight_decay"] * p
    else:
        g += hyper["weight_decay"] * p
    kept = now if hyper["dozat"] else beta1
    m = g + kept * (m - g)
    v = g * g + beta2 * (v - g * g)
    mu_product *= now
    g_hat = g / (1 - mu_product)
    m_hat = m / (1 - mu_product * after)
    v_hat = v / (1 - beta2**t)
    if hyper["dozat"]:
        v_hat *= beta2
    mean = (1 - now) * g_hat + after * m_hat
    p -= lr * mean / (math.sqrt(v_hat) + hyper["eps"])
    return {"p": p, "m": m, "v": v, "mu_product": mu_product}


@pytest.mark.parametrize("flags", choices("decoupled", "dozat"), ids=str)
def test_nadam(flags: dict[str, float], rng: np.random.Generator) -> None:
    hyper = ADAPTIVE + " momentum_decay warm"
    assert_loops("nadam", each(nadam), hyper, "m v mu_product", rng, flags)


@pytest.mark.parametrize("dozat", BOTH)
def test_nadam_without_warmup(dozat: float, rng: np.random.Generator) -> None:
    """optax's nadam has beta_1^t in the place of the product."""

    def loop(t: int, g: float, *, mu_product: float, **rest: float) -> Element:
        assert mu_product == pytest.approx(rest["beta1"] ** (t - 1), rel=1e-14)
        return nadam(t, g, mu_product=mu_product, **rest)

    flags = {"decoupled": 1.0, "dozat": dozat, "warm": 0.0}
    hyper = ADAPTIVE + " momentum_decay"
    assert_loops("nadam", each(loop), hyper, "m v mu_product", rng, flags)


def radam(t: int, g: float, *, p: float, m: float, v: float, **hyper: float) -> Element:
    """Liu et al. 2020, algorithm 2, with what others made of it as switches."""
    lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
    decay, eps = hyper["weight_decay"], hyper["eps"]
    if not hyper["decoupled"]:
        g += decay * p
    m += (1 - beta1) * (g - m)
    v += (1 - beta2) * (g * g - v)
    m_hat = m / (1 - beta1**t)
    most = 2 / (1 - beta2) - 1
    length = most - 2 * t * beta2**t / (1 - beta2**t)
    if length > hyper["threshold"]:
        r = (length - 4) / (most - 4) * (length - 2) / (most - 2) * most / length
        root = math.sqrt(v / (1 - beta2**t))
        if hyper["eps_hat"]:
            root = math.sqrt(v)
            r *= 1 - beta2**t
        step = lr * math.sqrt(r) * m_hat / (root + eps)
    elif hyper["momentum_below"]:
        step = lr * m_hat
    else:
        return {"p": p, "m": m, "v": v}
    if hyper["decoupled"]:
        p -= lr * decay * p
    return {"p": p - step, "m": m, "v": v}


@pytest.mark.parametrize(
    "flags", choices("decoupled", "inclusive", "momentum_below", "eps_hat"), ids=str
)
def test_radam(flags: dict[str, float], rng: np.random.Generator) -> None:
    assert_loops("radam", each(radam), ADAPTIVE + " threshold", "m v", rng, flags)


def eadam(t: int, g: float, *, p: float, m: float, v: float, **hyper: float) -> Element:
    """EAdam.py of yuanwei2019/EAdam-optimizer, whose calls torch has dropped."""
    lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
    if hyper["decoupled"]:
        p -= lr * hyper["weight_decay"] * p
    else:
        g += hyper["weight_decay"] * p
    m = m * beta1 + g * (1 - beta1)
    v = v * beta2 + g * g * (1 - beta2)
    new = {"m": m, "v": v}
    if "vmax" in hyper:
        new["vmax"] = max(hyper["vmax"], v)
        denominator = math.sqrt(new["vmax"]) + hyper["eps"]
    else:
        new["v"] = v + hyper["eps"]
        denominator = math.sqrt(new["v"])
    step = math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / denominator
    return {"p": p - lr * step, **new}


@pytest.mark.parametrize("decoupled", BOTH)
@pytest.mark.parametrize(("rule", "states"), [("", "m v"), ("_amsgrad", "m v vmax")])
def test_eadam(
    rule: str, states: str, decoupled: float, rng: np.random.Generator
) -> None:
    flags = {"decoupled": decoupled}
    assert_loops("eadam" + rule, each(eadam), ADAPTIVE, states, rng, flags)


@pytest.mark.parametrize("flags", choices("decoupled", "bias_correction"), ids=str)
@pytest.mark.parametrize("amsgrad", ["", "amsgrad_"])
@pytest.mark.parametrize(
    ("name", "exponent"), [("half", 1 / 2), ("quarter", 1 / 4), ("eighth", 1 / 8)]
)
def test_padam(
    name: str,
    exponent: float,
    amsgrad: str,
    flags: dict[str, float],
    rng: np.random.Generator,
) -> None:
    """Padam.py of uclaml/Padam, whose calls torch has dropped."""

    def padam(
        t: int, g: float, *, p: float, m: float, v: float, **hyper: float
    ) -> Element:
        lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
        if hyper["decoupled"]:
            p -= lr * hyper["weight_decay"] * p
        else:
            g += hyper["weight_decay"] * p
        m = m * beta1 + g * (1 - beta1)
        v = v * beta2 + g * g * (1 - beta2)
        new = {"m": m, "v": v}
        if amsgrad:
            v = new["vmax"] = max(hyper["vmax"], v)
        denominator = (math.sqrt(v) + hyper["eps"]) ** (2 * exponent)
        if hyper["bias_correction"]:
            lr *= math.sqrt(1 - beta2**t) / (1 - beta1**t)
        return {"p": p - lr * m / denominator, **new}

    states = "m v vmax" if amsgrad else "m v"
    assert_loops(f"padam_{amsgrad}{name}", each(padam), ADAPTIVE, states, rng, flags)


def adabelief(
    t: int, g: float, *, p: float, m: float, s: float, **hyper: float
) -> Element:
    """Zhuang et al. 2020, algorithm 2, and their code's rectification."""
    lr, beta1, beta2 = hyper["lr"], hyper["beta1"], hyper["beta2"]
    if not hyper["decoupled"]:
        g += hyper["weight_decay"] * p
    elif hyper["fixed"]:
        p -= hyper["weight_decay"] * p
    else:
        p -= hyper["weight_decay"] * p * lr
    m += (1 - beta1) * (g - m)
    s += (1 - beta2) * ((m - g) ** 2 - s)
    s += hyper["eps_acc"]
    new = {"m": m, "s": s}
    if "smax" in hyper:
        s = new["smax"] = max(s, hyper["smax"])
    m /= 1 - beta1**t
    left = 1 - beta2**t
    if not hyper["rectify"]:
        return {"p": p - lr * m / (math.sqrt(s / left) + hyper["eps"]), **new}
    most = (1 + beta2) / (1 - beta2)
    length = most - 2 * t * (1 - left) / left
    if length >= 5:
        r = (length - 4) / (most - 4) * (length - 2) / (most - 2) * most / length
        p -= lr * math.sqrt(r * left) * m / (math.sqrt(s) + hyper["eps"])
    elif hyper["degenerated"]:
        p -= lr * m
    return {"p": p, **new}


@pytest.mark.parametrize(
    "flags", choices("decoupled", "fixed", "rectify", "degenerated"), ids=str
)
@pytest.mark.parametrize(
    ("rule", "states"), [("adabelief", "m s"), ("adabelief_amsgrad", "m s smax")]
)
def test_adabelief(
    rule: str, states: str, flags: dict[str, float], rng: np.random.Generator
) -> None:
    assert_loops(rule, each(adabelief), ADAPTIVE + " eps_acc", states, rng, flags)


def adan(
    t: int,
    g: float,
    *,
    p: float,
    m: float,
    w: float,
    n: float,
    prev: float,
    path: float,
    **hyper: float,
) -> Element:
    """Xie et al. 2022, algorithm 1, by its own betas and its own index t - 1."""
    beta1, beta2, beta3 = (1 - hyper[f"beta{i}"] for i in (1, 2, 3))
    if t == 1:
        m, w, n = g, 0.0, g * g
    else:
        m = (1 - beta1) * m + beta1 * g
        w = g - prev if t == 2 else (1 - beta2) * w + beta2 * (g - prev)
        n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * (g - prev)) ** 2
    eta = hyper["lr"] / (math.sqrt(n) + hyper["eps"])
    shrunk = hyper["lr"] * hyper["weight_decay"]
    if not hyper["prox"]:
        p -= shrunk * p
    p -= eta * (m + (1 - beta2) * w)
    if hyper["prox"]:
        p /= 1 + shrunk
    return {"p": p, "m": m, "w": w, "n": n, "prev": g, "path": path}


@pytest.mark.parametrize("prox", BOTH)
def test_adan_of_the_paper(prox: float, rng: np.random.Generator) -> None:
    flags = {"prox": prox, "paper": 1.0}
    unread = dict.fromkeys(("m", "w", "n", "prev"), np.nan)
    hyper = ADAPTIVE + " beta3"
    assert_loops("adan", each(adan), hyper, "m w n prev path", rng, flags, unread)
