"""Adan: Nesterov's momentum by the differences of gradients."""

import numpy as np

from reference.common import Array, Step, average, descend, shrink


def adan(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    w: Array,
    n: Array,
    prev: Array,
    path: float,
    lr: float,
    beta1: float,
    beta2: float,
    beta3: float,
    eps: float,
    weight_decay: float,
    prox: float,
    paper: float,
) -> Step:
    """Adan, in the form of its authors' code or, if `paper`, of their paper.

    Xie, Zhou, Li, Lin, Yan: Adan: Adaptive Nesterov Momentum Algorithm for Faster
    Optimizing Deep Models. arXiv:2208.06677, TPAMI 2024, algorithm 1.

    The betas are the code's, one minus the paper's, and w_t is the paper's v_t. With
    d_1 = 0, and d_t = g_t - g_{t-1} afterwards:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    w_t = beta_2 w_{t-1} + (1 - beta_2) d_t
    n_t = beta_3 n_{t-1} + (1 - beta_3) (g_t + beta_2 d_t)^2
    mhat_t, what_t, nhat_t: m_t / (1 - beta_1^t) and so on
    theta'_t = theta_{t-1} - alpha (mhat_t + beta_2 what_t) / (sqrt(nhat_t) + epsilon)
    theta_t = theta'_t / (1 + alpha lambda) if `prox`; else the step starts from
    (1 - alpha lambda) theta_{t-1}

    The paper corrects no bias, but starts with m_1 = g_1, w_1 = 0, n_1 = g_1^2,
    w_2 = g_2 - g_1, where its own index is t - 1. It is always proximal.
    """
    d = 0 * g if t == 1 else g - prev
    u = g + beta2 * d
    if paper and t == 1:
        m, w, n = g, d, g**2
    else:
        m = average(m, g, beta1)
        w = d if paper and t == 2 else average(w, d, beta2)
        n = average(n, u**2, beta3)
    m_hat, w_hat, n_hat = m, w, n
    if not paper:
        m_hat = m / (1 - beta1**t)
        w_hat = w / (1 - beta2**t)
        n_hat = n / (1 - beta3**t)
    if not prox:
        p = shrink(p, lr, weight_decay)
    p = descend(p, (m_hat + beta2 * w_hat) / (np.sqrt(n_hat) + eps), lr)
    if prox:
        p = p / (1 + lr * weight_decay)
    # The length of the path is added up by the caller, from step 1 on.
    path = 0.0 if t == 1 else path
    return {"p": p, "m": m, "w": w, "n": n, "prev": g, "path": path}
