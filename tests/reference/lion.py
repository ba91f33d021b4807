"""Lion."""

import numpy as np

from reference.common import Array, Step, average, descend, shrink


def lion(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    lr: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
) -> Step:
    """Evolved sign momentum.

    Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong, Hsieh, Lu, Le: Symbolic
    Discovery of Optimization Algorithms. arXiv:2302.06675, 2023, algorithm 2.

    c_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    theta_t = theta_{t-1} - eta (sign(c_t) + lambda theta_{t-1})
    m_t = beta_2 m_{t-1} + (1 - beta_2) g_t
    """
    direction = np.sign(average(m, g, beta1))
    p = descend(shrink(p, lr, weight_decay), direction, lr)
    return {"p": p, "m": average(m, g, beta2)}


def signum(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Step:
    """Signum: the sign of a moving average; signSGD without momentum.

    Bernstein, Wang, Azizzadenesheli, Anandkumar: signSGD: Compressed Optimisation for
    Non-Convex Problems. arXiv:1802.04434, ICML 2018, algorithm 2.

    m_t = beta m_{t-1} + (1 - beta) g_t
    theta_t = (1 - alpha lambda) theta_{t-1} - alpha sign(m_t)
    """
    m = average(m, g, momentum)
    return {"p": descend(shrink(p, lr, weight_decay), np.sign(m), lr), "m": m}
