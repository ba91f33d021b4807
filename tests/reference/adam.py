"""Adam, AdamW, AMSGrad and Adamax."""

import numpy as np

from reference.common import Array, Step, average, descend, l2, shrink


def _adam(
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    vmax: Array | None,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> Step:
    """Adam's step, weight decay aside; with AMSGrad's maximum if `vmax` is given."""
    new = {"m": average(m, g, beta1), "v": average(v, g**2, beta2)}
    if vmax is not None:
        new["vmax"] = np.maximum(vmax, new["v"])
    m_hat = new["m"] / (1 - beta1**t)
    v_hat = new["v" if vmax is None else "vmax"] / (1 - beta2**t)
    return {"p": descend(p, m_hat / (np.sqrt(v_hat) + eps), lr), **new}


def adam(
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
) -> Step:
    """Adam, with the decay in the gradient.

    Kingma, Ba: Adam: A Method for Stochastic Optimization. arXiv:1412.6980, ICLR 2015,
    algorithm 1.

    With g_t including lambda theta_{t-1}:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2
    mhat_t = m_t / (1 - beta_1^t);  vhat_t = v_t / (1 - beta_2^t)
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(vhat_t) + epsilon)
    """
    return _adam(t, p, l2(p, g, weight_decay), m, v, None, lr, beta1, beta2, eps)


def adam_amsgrad(
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
) -> Step:
    """AMSGrad, in torch.optim.Adam's form.

    Reddi, Kale, Kumar: On the Convergence of Adam and Beyond. arXiv:1904.09237,
    ICLR 2018, algorithm 2.

    The paper corrects no bias; torch corrects the maximum of the raw v_t, and that by
    the current t. All else is as in adam:

    vmax_t = max(vmax_{t-1}, v_t);  vhat_t = vmax_t / (1 - beta_2^t)
    """
    return _adam(t, p, l2(p, g, weight_decay), m, v, vmax, lr, beta1, beta2, eps)


def adamw(
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
) -> Step:
    """Adam, with the decay beside it, in torch.optim.AdamW's form.

    Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv:1711.05101,
    ICLR 2019, algorithm 2.

    The paper scales the decay by its schedule multiplier, torch by alpha. mhat_t and
    vhat_t are as in adam, but of the bare gradient:

    theta_t = (1 - alpha lambda) theta_{t-1} - alpha mhat_t / (sqrt(vhat_t) + epsilon)
    """
    p = shrink(p, lr, weight_decay)
    return _adam(t, p, g, m, v, None, lr, beta1, beta2, eps)


def adamw_amsgrad(
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
) -> Step:
    """AMSGrad, with the decay beside it, in torch.optim.AdamW's form.

    Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv:1711.05101,
    ICLR 2019, algorithm 2. Reddi, Kale, Kumar: On the Convergence of Adam and Beyond.
    arXiv:1904.09237, ICLR 2018, algorithm 2.

    theta_t is as in adamw, with vhat_t as in adam_amsgrad.
    """
    p = shrink(p, lr, weight_decay)
    return _adam(t, p, g, m, v, vmax, lr, beta1, beta2, eps)


def adamax(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    u: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adam with the infinity norm, in torch.optim.Adamax's form.

    Kingma, Ba: Adam: A Method for Stochastic Optimization. arXiv:1412.6980, ICLR 2015,
    section 7.1, algorithm 2.

    The paper has no epsilon. With g_t including lambda theta_{t-1}:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    u_t = max(beta_2 u_{t-1}, |g_t| + epsilon)
    theta_t = theta_{t-1} - alpha / (1 - beta_1^t) m_t / u_t
    """
    g = l2(p, g, weight_decay)
    m = average(m, g, beta1)
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    m_hat = m / (1 - beta1**t)
    return {"p": descend(p, m_hat / u, lr), "m": m, "u": u}
