"""MADGRAD, its form whose decay moves the start, and MirrorMADGRAD."""

import math

import numpy as np

from reference.common import Array, Step, l2, over_or


def _rate(lr: float, eps: float, eps_in_lr: float) -> float:
    """Learning rate L, to which the authors' code adds epsilon, unless it is zero."""
    return lr + eps if eps_in_lr and lr != 0 else lr


def madgrad(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    s: Array,
    x0: Array,
    lr: float,
    momentum: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    eps_in_lr: float,
) -> Step:
    """MADGRAD, in the form of its authors' code.

    Defazio, Jelassi: Adaptivity without Compromise: A Momentumized, Adaptive, Dual
    Averaged Gradient Method for Stochastic Optimization. arXiv:2101.11075, JMLR 23,
    2022, algorithm 1.

    x0 is theta_0. With k = t - 1, and L = alpha + epsilon if `eps_in_lr` and alpha is
    not 0, else alpha; g_t includes lambda theta_{t-1} unless `decoupled`. s_t over 0
    counts as 0:

    s_t = s_{t-1} + L sqrt(k+1) g_t
    v_t = v_{t-1} + L sqrt(k+1) g_t^2
    z_t = x0 - s_t / (cbrt(v_t) + epsilon)
    theta_t = mu theta_{t-1} + (1 - mu) z_t [- L lambda theta_{t-1}, if `decoupled`]
    """
    rate = _rate(lr, eps, eps_in_lr)
    if not decoupled:
        g = l2(p, g, weight_decay)
    v = v + rate * math.sqrt(t) * g**2
    s = s + rate * math.sqrt(t) * g
    z = x0 - over_or(s, np.cbrt(v) + eps, otherwise=0)
    new = momentum * p + (1 - momentum) * z
    if decoupled:
        new = new - rate * weight_decay * p
    return {"p": new, "v": v, "s": s, "x0": x0}


def madgrad_moving(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    s: Array,
    x0: Array,
    lr: float,
    eps: float,
    weight_decay: float,
    eps_in_lr: float,
) -> Step:
    """MADGRAD without momentum, with decoupled decay, in the form of its authors' code.

    Defazio, Jelassi: Adaptivity without Compromise: A Momentumized, Adaptive, Dual
    Averaged Gradient Method for Stochastic Optimization. arXiv:2101.11075, JMLR 23,
    2022, algorithm 1 with c_k = 1.

    The authors compute x0 = theta_{t-1} + s_{t-1} / (cbrt(v_{t-1}) + epsilon), so what
    decay took from theta it took from x0; here x0 is kept. L, k, s_t and v_t are as in
    madgrad:

    theta_t = x0_{t-1} - s_t / (cbrt(v_t) + epsilon) - L lambda theta_{t-1}
    x0_t = theta_t + s_t / (cbrt(v_t) + epsilon)
    """
    rate = _rate(lr, eps, eps_in_lr)
    v = v + rate * math.sqrt(t) * g**2
    s = s + rate * math.sqrt(t) * g
    away = over_or(s, np.cbrt(v) + eps, otherwise=0)
    new = x0 - away - rate * weight_decay * p
    return {"p": new, "v": v, "s": s, "x0": new + away}


def mirror_madgrad(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    z: Array,
    lr: float,
    momentum: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    eps_in_lr: float,
) -> Step:
    """MirrorMADGRAD: mirror descent in the place of dual averaging.

    Defazio, Jelassi: the code of arXiv:2101.11075, class MirrorMADGRAD; no paper has
    it.

    z_0 = theta_0. With k and L as in madgrad, and z_{t-1} replaced by
    (1 - L lambda) z_{t-1} first if `decoupled`, or else lambda theta_{t-1} in g_t. g_t
    over 0 counts as 0:

    v_t = sqrt(k / (k+1)) v_{t-1} + g_t^2
    z_t = z_{t-1} - L cbrt(k+1) g_t / (cbrt(v_t) + epsilon)
    theta_t = mu theta_{t-1} + (1 - mu) z_t
    """
    rate = _rate(lr, eps, eps_in_lr)
    if decoupled:
        z = z * (1 - rate * weight_decay)
    else:
        g = l2(p, g, weight_decay)
    v = math.sqrt((t - 1) / t) * v + g**2
    z = z - rate * math.cbrt(t) * over_or(g, np.cbrt(v) + eps, otherwise=0)
    return {"p": momentum * p + (1 - momentum) * z, "v": v, "z": z}
