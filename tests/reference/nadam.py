"""Adam with Nesterov's momentum."""

import numpy as np

from reference.common import Array, Step, average, decay


def nadam(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    mu_product: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    momentum_decay: float,
    warm: float,
    dozat: float,
) -> Step:
    """NAdam, in torch.optim.NAdam's form or, if `dozat`, in the paper's.

    Dozat: Incorporating Nesterov Momentum into Adam. ICLR workshop 2016, algorithm 2.

    torch and the paper have warm = 1/2; without a warmup, mu_t = beta_1 is optax's.
    With P_0 = 1, and psi the momentum's decay:

    mu_t = beta_1 (1 - warm 0.96^(t psi));  P_t = mu_t P_{t-1}
    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t, or mu_t in the place of beta_1 if `dozat`
    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2
    vhat_t = v_t / (1 - beta_2^t), times beta_2 if `dozat`
    mhat_t = mu_{t+1} m_t / (1 - P_t mu_{t+1}) + (1 - mu_t) g_t / (1 - P_t)
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(vhat_t) + epsilon)
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    fade = 0.96**momentum_decay
    mu = beta1 * (1 - warm * fade**t)
    mu_next = beta1 * (1 - warm * fade ** (t + 1))
    mu_product = mu if t == 1 else mu_product * mu
    m = average(m, g, mu if dozat else beta1)
    v = average(v, g**2, beta2)
    v_hat = (beta2 if dozat else 1) * v / (1 - beta2**t)
    m_hat = mu_next * m / (1 - mu_product * mu_next) + (1 - mu) * g / (1 - mu_product)
    p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
    return {"p": p, "m": m, "v": v, "mu_product": mu_product}
