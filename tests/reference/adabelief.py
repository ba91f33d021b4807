"""AdaBelief: the variance of the gradient in the place of its square."""

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


def _adabelief(
    t: int,
    p: Array,
    g: Array,
    m: Array,
    s: Array,
    smax: Array | None,
    lr: float,
    beta1: float,
    beta2: float,
    eps_acc: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    fixed: float,
    rectify: float,
    degenerated: float,
) -> Step:
    """AdaBelief's step; with AMSGrad's maximum if `smax` is given."""
    # A rate of 1 leaves p (1 - lambda).
    p, g = decay(p, g, 1 if fixed else lr, weight_decay, decoupled)
    new = {"m": average(m, g, beta1)}
    m = new["m"]
    new["s"] = average(s, (g - m) ** 2, beta2) + eps_acc
    if smax is not None:
        new["smax"] = np.maximum(smax, new["s"])
    s = new["s" if smax is None else "smax"]

    m_hat = m / (1 - beta1**t)
    r = rectification(t, beta2, threshold=5, inclusive=1) if rectify else None
    if not rectify:
        p = descend(p, m_hat / (np.sqrt(s / (1 - beta2**t)) + eps), lr)
    elif r is not None:
        rate = r * corrected_rate(t, lr, beta1, beta2)
        p = descend(p, m / (np.sqrt(s) + eps), rate)
    elif degenerated:
        p = descend(p, m_hat, lr)
    return {"p": p, **new}


def adabelief(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    s: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps_acc: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    fixed: float,
    rectify: float,
    degenerated: float,
) -> Step:
    """AdaBelief, in the form of its authors' adabelief-pytorch.

    Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan: AdaBelief Optimizer:
    Adapting Stepsizes by the Belief in Observed Gradients. arXiv:2010.07468,
    NeurIPS 2020, algorithm 2.

    Its two epsilons have one value in the paper and in the code. The decay is
    (1 - alpha lambda) theta if `decoupled`, (1 - lambda) theta if also `fixed`, and
    else in g_t. It is executed on every step. mhat_t is as in adam:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    s_t = beta_2 s_{t-1} + (1 - beta_2) (g_t - m_t)^2 + epsilon_acc
    shat_t = s_t / (1 - beta_2^t)
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(shat_t) + epsilon)

    If `rectify`, with r_t where rho_t >= 5, from rectification:

    theta_t = theta_{t-1} - alpha r_t mhat_t sqrt(1 - beta_2^t) / (sqrt(s_t) + epsilon)
    theta_t = theta_{t-1} - alpha mhat_t, if there is no r_t, but `degenerated`
    theta_t = theta_{t-1}, if there is neither
    """
    return _adabelief(
        t,
        p,
        g,
        m,
        s,
        None,
        lr,
        beta1,
        beta2,
        eps_acc,
        eps,
        weight_decay,
        decoupled,
        fixed,
        rectify,
        degenerated,
    )


def adabelief_amsgrad(
    *,
    t: int,
    p: Array,
    g: Array,
    m: Array,
    s: Array,
    smax: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps_acc: float,
    eps: float,
    weight_decay: float,
    decoupled: float,
    fixed: float,
    rectify: float,
    degenerated: float,
) -> Step:
    """AdaBelief by AMSGrad's maximum.

    Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris, Duncan: AdaBelief Optimizer:
    Adapting Stepsizes by the Belief in Observed Gradients. arXiv:2010.07468,
    NeurIPS 2020. Reddi, Kale, Kumar: On the Convergence of Adam and Beyond.
    arXiv:1904.09237, ICLR 2018.

    theta_t is as in adabelief, with smax_t = max(smax_{t-1}, s_t) in the place of s_t;
    also if `rectify`, where the authors' code keeps the maximum without using it.
    """
    return _adabelief(
        t,
        p,
        g,
        m,
        s,
        smax,
        lr,
        beta1,
        beta2,
        eps_acc,
        eps,
        weight_decay,
        decoupled,
        fixed,
        rectify,
        degenerated,
    )
