"""Adagrad and Adadelta."""

import numpy as np

from reference.common import Array, Step, average, descend, l2, over_root


def _adagrad(
    t: int,
    p: Array,
    g: Array,
    total: Array,
    lr: float,
    lr_decay: float,
    eps: float,
    inside: bool,
) -> Step:
    """Adagrad's step, weight decay aside."""
    total = total + g**2
    direction = over_root(g, total, eps, inside)
    lr = lr / (1 + (t - 1) * lr_decay)
    return {"p": descend(p, direction, lr), "sum": total}


def adagrad(
    *,
    t: int,
    p: Array,
    g: Array,
    sum: Array,  # noqa: A002
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adagrad, in torch.optim.Adagrad's form.

    Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization. JMLR 12, 2011, figure 1, with diagonal matrices.

    The decay eta of the learning rate is torch's. With g_t including
    lambda theta_{t-1}:

    s_t = s_{t-1} + g_t^2
    alpha_t = alpha / (1 + (t - 1) eta)
    theta_t = theta_{t-1} - alpha_t g_t / (sqrt(s_t) + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _adagrad(t, p, g, sum, lr, lr_decay, eps, inside=False)


def adagrad_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    sum: Array,  # noqa: A002
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adagrad, with epsilon inside the root.

    Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization. JMLR 12, 2011, figure 1, with diagonal matrices.

    The paper has epsilon outside. s_t and alpha_t are as in adagrad:

    theta_t = theta_{t-1} - alpha_t g_t / sqrt(s_t + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _adagrad(t, p, g, sum, lr, lr_decay, eps, inside=True)


def adadelta(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    u: Array,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adadelta, in torch.optim.Adadelta's form.

    Zeiler: ADADELTA: An Adaptive Learning Rate Method. arXiv:1212.5701, 2012,
    algorithm 1.

    The paper has no alpha; torch's scales the step, but not what u_t averages. With
    g_t including lambda theta_{t-1}:

    v_t = rho v_{t-1} + (1 - rho) g_t^2
    delta_t = sqrt(u_{t-1} + epsilon) / sqrt(v_t + epsilon) g_t
    u_t = rho u_{t-1} + (1 - rho) delta_t^2
    theta_t = theta_{t-1} - alpha delta_t
    """
    g = l2(p, g, weight_decay)
    v = average(v, g**2, rho)
    delta = np.sqrt(u + eps) * over_root(g, v, eps, inside=True)
    return {"p": descend(p, delta, lr), "v": v, "u": average(u, delta**2, rho)}
