"""Rectified Adam."""

import numpy as np

from reference.common import (
    Array,
    Step,
    average,
    corrected_rate,
    decay,
    descend,
    rectification,
)


def radam(
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
    threshold: float,
    inclusive: float,
    momentum_below: float,
    eps_hat: float,
) -> Step:
    """RAdam: the paper's, its authors', torch.optim.RAdam's or optax's.

    Liu, Jiang, He, Chen, Liu, Gao, Han: On the Variance of the Adaptive Learning Rate
    and Beyond. arXiv:1908.03265, ICLR 2020, algorithm 2.

    The paper has rho_t > 4, torch rho_t > 5, the authors and optax rho_t >= 5. Without
    `momentum_below`, which is the authors' way, neither the step nor the decoupled
    decay is executed before. With m_t, v_t, mhat_t and vhat_t as in adam, and r_t from
    rectification:

    theta_t = theta_{t-1} - alpha r_t mhat_t / (sqrt(vhat_t) + epsilon)
    theta_t = theta_{t-1} - alpha r_t mhat_t sqrt(1 - beta_2^t) / (sqrt(v_t) + epsilon),
    if `eps_hat`
    theta_t = theta_{t-1} - alpha mhat_t, if there is no r_t
    """
    decayed, g = decay(p, g, lr, weight_decay, decoupled)
    m = average(m, g, beta1)
    v = average(v, g**2, beta2)
    r = rectification(t, beta2, threshold, inclusive)
    if r is not None and eps_hat:
        rate = r * corrected_rate(t, lr, beta1, beta2)
        p = descend(decayed, m / (np.sqrt(v) + eps), rate)
    elif r is not None:
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = descend(decayed, m_hat / (np.sqrt(v_hat) + eps), lr * r)
    elif momentum_below:
        p = descend(decayed, m / (1 - beta1**t), lr)
    return {"p": p, "m": m, "v": v}
