"""EAdam: epsilon in the average of the squares."""

import numpy as np

from reference.common import Array, Step, average, corrected_rate, decay, descend


def eadam(
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
) -> Step:
    """EAdam, whose epsilons accumulate.

    Yuan, Gao: EAdam Optimizer: How epsilon Impact Adam. arXiv:2011.02150, 2020,
    algorithm 1.

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2 + epsilon
    theta_t = theta_{t-1} - alpha sqrt(1-beta_2^t) / (1-beta_1^t) m_t / sqrt(v_t)
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    m = average(m, g, beta1)
    v = average(v, g**2, beta2) + eps
    p = descend(p, m / np.sqrt(v), corrected_rate(t, lr, beta1, beta2))
    return {"p": p, "m": m, "v": v}


def eadam_amsgrad(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    vmax: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
) -> Step:
    """AMSGrad as it is in the code of EAdam's authors, with epsilon outside.

    Yuan, Gao: EAdam Optimizer: How epsilon Impact Adam. arXiv:2011.02150, 2020. Reddi,
    Kale, Kumar: On the Convergence of Adam and Beyond. arXiv:1904.09237, ICLR 2018.

    Nothing accumulates epsilon here. With m_t as in eadam:

    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2
    vmax_t = max(vmax_{t-1}, v_t)
    theta_t = theta_{t-1}
        - alpha sqrt(1-beta_2^t) / (1-beta_1^t) m_t / (sqrt(vmax_t) + epsilon)
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    m = average(m, g, beta1)
    v = average(v, g**2, beta2)
    vmax = np.maximum(vmax, v)
    rate = corrected_rate(t, lr, beta1, beta2)
    p = descend(p, m / (np.sqrt(vmax) + eps), rate)
    return {"p": p, "m": m, "v": v, "vmax": vmax}
