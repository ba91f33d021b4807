"""Padam: between Adam and momentum, by an exponent of at most 1/2."""

import numpy as np

from reference.common import Array, Step, average, corrected_rate, decay, descend


def _padam(
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
    weight_decay: float,
    decoupled: float,
    bias_correction: float,
    roots: int,
) -> Step:
    """Padam's step: the denominator is sqrt(v) + epsilon under that many more roots."""
    p, g = decay(p, g, lr, weight_decay, decoupled)
    new = {"m": average(m, g, beta1), "v": average(v, g**2, beta2)}
    if vmax is not None:
        new["vmax"] = np.maximum(vmax, new["v"])
    denominator = np.sqrt(new["v" if vmax is None else "vmax"]) + eps
    for _ in range(roots):
        denominator = np.sqrt(denominator)
    rate = corrected_rate(t, lr, beta1, beta2) if bias_correction else lr
    return {"p": descend(p, new["m"] / denominator, rate), **new}


def padam_half(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/2.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    The authors' code corrects the bias as for p = 1/2 whatever p is; the paper's
    algorithm, which has AMSGrad's maximum, does not. m_t and v_t are as in adam:

    d_t = (sqrt(v_t) + epsilon)^(2p), p = 1/2
    theta_t = theta_{t-1} - alpha m_t / d_t, or, with `bias_correction`,
    theta_t = theta_{t-1} - alpha sqrt(1-beta_2^t) / (1-beta_1^t) m_t / d_t
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        None,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        0,
    )


def padam_quarter(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/4.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    theta_t is as in padam_half, with p = 1/4.
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        None,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        1,
    )


def padam_eighth(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/8.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    theta_t is as in padam_half, with p = 1/8.
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        None,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        2,
    )


def padam_amsgrad_half(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/2, by AMSGrad's maximum.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    theta_t is as in padam_half, with vmax_t = max(vmax_{t-1}, v_t) in the place of v_t.
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        vmax,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        0,
    )


def padam_amsgrad_quarter(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/4, by AMSGrad's maximum.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    theta_t is as in padam_amsgrad_half, with p = 1/4.
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        vmax,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        1,
    )


def padam_amsgrad_eighth(
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
    bias_correction: float,
) -> Step:
    """Padam with p = 1/8, by AMSGrad's maximum.

    Chen, Zhou, Tang, Yang, Cao, Gu: Closing the Generalization Gap of Adaptive Gradient
    Methods in Training Deep Neural Networks. arXiv:1806.06763, IJCAI 2020, algorithm 1.

    theta_t is as in padam_amsgrad_half, with p = 1/8.
    """
    return _padam(
        t,
        p,
        g,
        m,
        v,
        vmax,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        bias_correction,
        2,
    )
