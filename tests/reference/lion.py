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
