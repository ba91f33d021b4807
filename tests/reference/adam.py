"""Adam, AdamW, AMSGrad and Adamax."""

import numpy as np

from reference.common import Array, Step, average, decay, descend, l2, shrink


def _adam(
    t: int,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    eps_root: float,
    eps_hat: float,
    bias_correction: float,
    vmax: Array | None = None,
    max_corrected: float = 0,
) -> Step:
    """Adam's step, weight decay aside; with AMSGrad's maximum if `vmax` is given."""
    left1, left2 = (1 - beta1**t, 1 - beta2**t) if bias_correction else (1, 1)
    new = {"m": average(m, g, beta1), "v": average(v, g**2, beta2)}
    m_hat, v_hat = new["m"] / left1, new["v"] / left2
    if vmax is not None and max_corrected:
        v_hat = new["vmax"] = np.maximum(vmax, v_hat)
    elif vmax is not None:
        new["vmax"] = np.maximum(vmax, new["v"])
        v_hat = new["vmax"] / left2
    if eps_hat:
        eps = eps / left2**0.5
    return {"p": descend(p, m_hat / (np.sqrt(v_hat + eps_root) + eps), lr), **new}


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
    eps_root: float,
    weight_decay: float,
    eps_hat: float,
    bias_correction: float,
) -> Step:
    """Adam, with the decay in the gradient.

    Kingma, Ba: Adam: A Method for Stochastic Optimization. arXiv:1412.6980, ICLR 2015,
    algorithm 1; the end of section 2 for `eps_hat`.

    The second epsilon, eps_root, is optax.adam's; it is zero in the paper and in
    torch. With g_t including lambda theta_{t-1}:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    v_t = beta_2 v_{t-1} + (1 - beta_2) g_t^2
    c_{i,t} = 1 - beta_i^t, or 1 without `bias_correction`
    mhat_t = m_t / c_{1,t};  vhat_t = v_t / c_{2,t}
    theta_t = theta_{t-1} - alpha mhat_t / (sqrt(vhat_t + eps_root) + e_t)
    e_t = epsilon, or epsilon / sqrt(c_{2,t}) if `eps_hat`

    With `eps_hat` and an eps_root of zero, the denominator is that of the paper's more
    efficient order: (sqrt(v_t) + epsilon) / sqrt(c_{2,t}).
    """
    g = l2(p, g, weight_decay)
    return _adam(
        t, p, g, m, v, lr, beta1, beta2, eps, eps_root, eps_hat, bias_correction
    )


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
    eps_root: float,
    weight_decay: float,
    eps_hat: float,
    bias_correction: float,
    max_corrected: float,
) -> Step:
    """AMSGrad, in torch.optim.Adam's form or in optax.amsgrad's.

    Reddi, Kale, Kumar: On the Convergence of Adam and Beyond. arXiv:1904.09237,
    ICLR 2018, algorithm 2.

    The paper corrects no bias, which leaves both forms the same. torch corrects the
    maximum of the raw v_t, and that by the current t; optax takes the maximum of what
    is corrected already (`max_corrected`). All else is as in adam:

    vmax_t = max(vmax_{t-1}, v_t);  vhat_t = vmax_t / c_{2,t}, or, if `max_corrected`,
    vmax_t = max(vmax_{t-1}, v_t / c_{2,t});  vhat_t = vmax_t
    """
    return _adam(
        t,
        p,
        l2(p, g, weight_decay),
        m,
        v,
        lr,
        beta1,
        beta2,
        eps,
        eps_root,
        eps_hat,
        bias_correction,
        vmax,
        max_corrected,
    )


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
    eps_root: float,
    weight_decay: float,
    eps_hat: float,
    bias_correction: float,
    fixed: float,
) -> Step:
    """Adam, with the decay beside it, in torch.optim.AdamW's form.

    Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv:1711.05101,
    ICLR 2019, algorithm 2.

    The paper scales the decay by its schedule multiplier, torch by alpha. Nothing
    scales it if `fixed`: a multiplier of 1. mhat_t, vhat_t and e_t are as in adam, but
    of the bare gradient:

    theta_t = (1 - r lambda) theta_{t-1}
        - alpha mhat_t / (sqrt(vhat_t + eps_root) + e_t)
    r = alpha, or 1 if `fixed`
    """
    p = shrink(p, 1 if fixed else lr, weight_decay)
    return _adam(
        t, p, g, m, v, lr, beta1, beta2, eps, eps_root, eps_hat, bias_correction
    )


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
    eps_root: float,
    weight_decay: float,
    eps_hat: float,
    bias_correction: float,
    max_corrected: float,
    fixed: float,
) -> Step:
    """AMSGrad, with the decay beside it, in torch.optim.AdamW's form.

    Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv:1711.05101,
    ICLR 2019, algorithm 2. Reddi, Kale, Kumar: On the Convergence of Adam and Beyond.
    arXiv:1904.09237, ICLR 2018, algorithm 2.

    theta_t is as in adamw, with vhat_t as in adam_amsgrad.
    """
    return _adam(
        t,
        shrink(p, 1 if fixed else lr, weight_decay),
        g,
        m,
        v,
        lr,
        beta1,
        beta2,
        eps,
        eps_root,
        eps_hat,
        bias_correction,
        vmax,
        max_corrected,
    )


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
    decoupled: float,
) -> Step:
    """Adam with the infinity norm, in torch.optim.Adamax's form.

    Kingma, Ba: Adam: A Method for Stochastic Optimization. arXiv:1412.6980, ICLR 2015,
    section 7.1, algorithm 2. Loshchilov, Hutter: Decoupled Weight Decay Regularization.
    arXiv:1711.05101, ICLR 2019, for `decoupled`, which is optax.adamaxw.

    The paper has no epsilon. With g_t including lambda theta_{t-1}:

    m_t = beta_1 m_{t-1} + (1 - beta_1) g_t
    u_t = max(beta_2 u_{t-1}, |g_t| + epsilon)
    theta_t = theta_{t-1} - alpha / (1 - beta_1^t) m_t / u_t

    If `decoupled`, g_t is the bare gradient, and theta_{t-1} there is
    (1 - alpha lambda) theta_{t-1}.
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    m = average(m, g, beta1)
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    m_hat = m / (1 - beta1**t)
    return {"p": descend(p, m_hat / u, lr), "m": m, "u": u}
