"""RMSprop: plain, with momentum, centered; epsilon outside or inside the root."""

import numpy as np

from reference.common import Array, Step, ahead, average, descend, l2, over_root


def _rmsprop(
    p: Array,
    g: Array,
    v: Array,
    gbar: Array | None,
    b: Array | None,
    lr: float,
    alpha: float,
    momentum: float,
    eps: float,
    inside: bool,
) -> Step:
    """RMSprop's step, weight decay aside; centered and with momentum, if given those.

    In exact arithmetic, a weighted variance cannot be negative: the clamp only keeps
    rounding errors from the root.
    """
    new = {"v": average(v, g**2, alpha)}
    square = new["v"]
    if gbar is not None:
        new["gbar"] = average(gbar, g, alpha)
        square = np.maximum(square - new["gbar"] ** 2, 0)
    direction = over_root(g, square, eps, inside)
    if b is not None:
        direction = new["b"] = ahead(direction, b, momentum)
    return {"p": descend(p, direction, lr), **new}


def rmsprop(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop, in torch.optim.RMSprop's form.

    Tieleman, Hinton: Lecture 6.5, RMSprop: Divide the gradient by a running average
    of its recent magnitude. COURSERA: Neural Networks for Machine Learning, 2012.

    The lecture has no epsilon. With g_t including lambda theta_{t-1}, and alpha
    torch's name for the averages' decay, so that eta is the learning rate:

    v_t = alpha v_{t-1} + (1 - alpha) g_t^2
    theta_t = theta_{t-1} - eta g_t / (sqrt(v_t) + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, None, None, lr, alpha, 0, eps, inside=False)


def rmsprop_momentum(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    lr: float,
    alpha: float,
    momentum: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop with momentum, in torch.optim.RMSprop's form.

    Tieleman, Hinton: Lecture 6.5, RMSprop: Divide the gradient by a running average
    of its recent magnitude. COURSERA: Neural Networks for Machine Learning, 2012.

    The learning rate stays outside the buffer. g_t and v_t are as in rmsprop:

    b_t = mu b_{t-1} + g_t / (sqrt(v_t) + epsilon)
    theta_t = theta_{t-1} - eta b_t
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, None, b, lr, alpha, momentum, eps, inside=False)


def rmsprop_centered(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    gbar: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop by the variance, in torch.optim.RMSprop's form.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has epsilon inside the root, and a momentum. The variance is clamped,
    which torch omits. g_t and v_t are as in rmsprop:

    gbar_t = alpha gbar_{t-1} + (1 - alpha) g_t
    s_t = max(v_t - gbar_t^2, 0)
    theta_t = theta_{t-1} - eta g_t / (sqrt(s_t) + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, gbar, None, lr, alpha, 0, eps, inside=False)


def rmsprop_centered_momentum(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    gbar: Array,
    b: Array,
    lr: float,
    alpha: float,
    momentum: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop by the variance with momentum, in torch.optim.RMSprop's form.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has epsilon inside the root, and the learning rate inside the buffer.
    g_t and s_t are as in rmsprop_centered:

    b_t = mu b_{t-1} + g_t / (sqrt(s_t) + epsilon)
    theta_t = theta_{t-1} - eta b_t
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, gbar, b, lr, alpha, momentum, eps, inside=False)


def rmsprop_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop, with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper's is centered, and has a momentum. g_t and v_t are as in rmsprop:

    theta_t = theta_{t-1} - eta g_t / sqrt(v_t + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, None, None, lr, alpha, 0, eps, inside=True)


def rmsprop_momentum_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    lr: float,
    alpha: float,
    momentum: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop with momentum, and with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper's is centered, and has the learning rate inside the buffer. g_t and v_t
    are as in rmsprop:

    b_t = mu b_{t-1} + g_t / sqrt(v_t + epsilon)
    theta_t = theta_{t-1} - eta b_t
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, None, b, lr, alpha, momentum, eps, inside=True)


def rmsprop_centered_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    gbar: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop by the variance, with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has a momentum. g_t and s_t are as in rmsprop_centered:

    theta_t = theta_{t-1} - eta g_t / sqrt(s_t + epsilon)
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, gbar, None, lr, alpha, 0, eps, inside=True)


def rmsprop_centered_momentum_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    gbar: Array,
    b: Array,
    lr: float,
    alpha: float,
    momentum: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """RMSprop by the variance with momentum, and with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has the learning rate inside the buffer. g_t and s_t are as in
    rmsprop_centered:

    b_t = mu b_{t-1} + g_t / sqrt(s_t + epsilon)
    theta_t = theta_{t-1} - eta b_t
    """
    g = l2(p, g, weight_decay)
    return _rmsprop(p, g, v, gbar, b, lr, alpha, momentum, eps, inside=True)
