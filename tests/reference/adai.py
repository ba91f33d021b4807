"""Adai: an inertia for every element."""

import numpy as np

from reference.common import Array, Step, average, decay, descend


def corrected_square(t: int, v: Array, g: Array, beta2: float) -> Array:
    """v_t / (1 - beta_2^t), the mean square without its bias."""
    return average(v, g**2, beta2) / (1 - beta2**t)


def adai(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    product: Array,
    lr: float,
    beta0: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    mean_square: Array | None = None,
) -> Step:
    """Adai, in the form of its authors' code.

    Xie, Wang, Zhang, Sato, Sugiyama: Adaptive Inertia: Disentangling the Effects of
    Adaptive Learning Rate and Momentum. arXiv:2006.15815, ICML 2022, algorithm 2.

    The mean is over all elements of all tensors: `mean_square`, if this is not the only
    one. With Pi_0 = 1:

    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2;  vhat_t = v_t / (1 - beta_2^t)
    b_t = clip(1 - beta_0 vhat_t / mean(vhat_t), 0, 1 - epsilon);  Pi_t = b_t Pi_{t-1}
    m_t = b_t m_{t-1} + (1 - b_t) g_t
    theta_t = theta_{t-1} - alpha m_t / (1 - Pi_t)
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    v_hat = corrected_square(t, v, g, beta2)
    v = average(v, g**2, beta2)
    if mean_square is None:
        mean_square = np.sum(v_hat) / max(v_hat.size, 1)
    inertia = np.minimum(np.maximum(1 - beta0 * v_hat / mean_square, 0), 1 - eps)
    product = inertia if t == 1 else inertia * product
    m = average(m, g, inertia)
    p = descend(p, m / (1 - product), lr)
    return {"p": p, "m": m, "v": v, "product": product}
