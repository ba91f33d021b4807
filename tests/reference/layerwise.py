"""LAMB and LARS: a learning rate for every tensor."""

import numpy as np

from reference.common import Array, Step, average, l2, norm, over_or, over_root


def lamb(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    bias_correction: float,
    adapt: float,
) -> Step:
    """LAMB.

    You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer, Hsieh: Large Batch
    Optimization for Deep Learning: Training BERT in 76 minutes. arXiv:1904.00962,
    ICLR 2020, algorithm 2 with phi(x) = x.

    m_t and v_t are as in adam, and so are mhat_t and vhat_t with `bias_correction`;
    without, they are m_t and v_t. lambda theta_{t-1} is in g_t unless `decoupled`, and
    in u_t if so. Norms are of the whole tensor:

    u_t = mhat_t / (sqrt(vhat_t) + epsilon) [+ lambda theta_{t-1}, if `decoupled`]
    q_t = |theta_{t-1}| / |u_t|, or 1 if either norm is 0 or without `adapt`
    theta_t = theta_{t-1} - alpha q_t u_t
    """
    if not decoupled:
        g = l2(p, g, weight_decay)
    m = average(m, g, beta1)
    v = average(v, g**2, beta2)
    m_hat = m / (1 - beta1**t) if bias_correction else m
    v_hat = v / (1 - beta2**t) if bias_correction else v
    u = over_root(m_hat, v_hat, eps, inside=False)
    if decoupled:
        u = l2(p, u, weight_decay)
    trust: Array = 1
    if adapt:
        size = norm(p)
        trust = np.where(size == 0, 1, over_or(size, norm(u), otherwise=1))
    return {"p": p - lr * trust * u, "m": m, "v": v}


def lars(
    *,
    t: int,
    p: Array,
    g: Array,
    b: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    trust_coefficient: float,
    eps: float,
    norm_of_sum: float,
    lr_inside: float,
    adapt: float,
) -> Step:
    """LARS: the paper's or, if `norm_of_sum`, optax's.

    You, Gitman, Ginsburg: Large Batch Training of Convolutional Networks.
    arXiv:1708.03888, 2017, algorithm 1.

    The paper has no epsilon. With kappa the trust coefficient, b_0 = 0, and norms of
    the whole tensor:

    q_t = kappa |theta_{t-1}| / (|g_t| + lambda |theta_{t-1}| + epsilon), or
    q_t = kappa |theta_{t-1}| / (|g_t + lambda theta_{t-1}| + epsilon), if `norm_of_sum`
    q_t = 1 if |theta_{t-1}| or the norm with g_t is 0, or without `adapt`
    d_t = q_t (g_t + lambda theta_{t-1})
    b_t = mu b_{t-1} + alpha d_t;  theta_t = theta_{t-1} - b_t, if `lr_inside`, or
    b_t = mu b_{t-1} + d_t;  theta_t = theta_{t-1} - alpha b_t
    """
    total = l2(p, g, weight_decay)
    local: Array = 1
    if adapt:
        size, slope = norm(p), norm(total if norm_of_sum else g)
        divisor = slope if norm_of_sum else slope + weight_decay * size
        local = over_or(trust_coefficient * size, divisor + eps, otherwise=1)
        local = np.where(size == 0, 1, np.where(slope == 0, 1, local))
    d = local * total
    b = momentum * b + (lr * d if lr_inside else d)
    return {"p": p - b if lr_inside else p - lr * b, "b": b}
