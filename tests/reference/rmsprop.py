"""RMSprop: plain, with momentum, centered; epsilon outside or inside the root."""

import numpy as np

from reference.common import Array, Step, ahead, average, descend, l2, over_root


def _direction(
    t: int,
    g: Array,
    v: Array,
    gbar: Array | None,
    alpha: float,
    eps: float,
    bias_correction: float,
    inside: bool,
    initial: float = 0.0,
) -> tuple[Array, Step]:
    """Gradient over its root mean square, or centered if `gbar` is given; the averages.

    In exact arithmetic, a weighted variance cannot be negative: the clamp only keeps
    rounding errors from the root. The first one is known without a difference: with
    gbar_0 = 0 and v_0 = `initial`, s_1 = alpha v_0 / (1 - alpha).
    """
    left = 1 - alpha**t if bias_correction else 1
    new = {"v": average(v, g**2, alpha)}
    square = new["v"] / left
    if gbar is not None:
        new["gbar"] = average(gbar, g, alpha)
        square = np.maximum(square - (new["gbar"] / left) ** 2, 0)
        if bias_correction and t == 1:
            square = alpha * initial / left + 0 * square
    return over_root(g, square, eps, inside), new


def _move(
    p: Array,
    d: Array,
    b: Array,
    lr: float,
    momentum: float,
    lr_inside: float,
    nesterov: float,
) -> Step:
    """The step along d, with momentum."""
    if lr_inside:
        d, lr = lr * d, 1
    b = ahead(d, b, momentum)
    step = ahead(d, b, momentum) if nesterov else b
    return {"p": descend(p, step, lr), "b": b}


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
    bias_correction: float,
) -> Step:
    """RMSprop, in torch.optim.RMSprop's form.

    Tieleman, Hinton: Lecture 6.5, RMSprop: Divide the gradient by a running average
    of its recent magnitude. COURSERA: Neural Networks for Machine Learning, 2012.

    The lecture has no epsilon, and neither it nor torch corrects the bias, which
    optax.rmsprop does if told to. With g_t including lambda theta_{t-1}, and alpha
    torch's name for the averages' decay, so that eta is the learning rate:

    v_t = alpha v_{t-1} + (1 - alpha) g_t^2
    vhat_t = v_t, or v_t / (1 - alpha^t) with `bias_correction`
    theta_t = theta_{t-1} - eta g_t / (sqrt(vhat_t) + epsilon)
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, None, alpha, eps, bias_correction, inside=False)
    return {"p": descend(p, d, lr), **new}


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
    bias_correction: float,
    lr_inside: float,
    nesterov: float,
) -> Step:
    """RMSprop with momentum, in torch.optim.RMSprop's form.

    Tieleman, Hinton: Lecture 6.5, RMSprop: Divide the gradient by a running average
    of its recent magnitude. COURSERA: Neural Networks for Machine Learning, 2012.

    torch has the learning rate outside the buffer, optax.rmsprop has it inside, and a
    choice of `nesterov`. g_t and vhat_t are as in rmsprop:

    d_t = g_t / (sqrt(vhat_t) + epsilon)
    b_t = mu b_{t-1} + d_t
    theta_t = theta_{t-1} - eta b_t, or, with `nesterov`,
    theta_t = theta_{t-1} - eta (d_t + mu b_t)

    If `lr_inside`, eta d_t takes the place of d_t in both, and 1 that of eta.
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, None, alpha, eps, bias_correction, inside=False)
    return _move(p, d, b, lr, momentum, lr_inside, nesterov) | new


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
    bias_correction: float,
    initial: float = 0.0,
) -> Step:
    """RMSprop by the variance, in torch.optim.RMSprop's form.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has epsilon inside the root, and a momentum. The variance is clamped,
    which torch omits. With `bias_correction` and v_0 = 0, s_1 = 0, and the first step
    is as long as epsilon lets it. g_t and vhat_t are as in rmsprop:

    gbar_t = alpha gbar_{t-1} + (1 - alpha) g_t
    gbarhat_t = gbar_t, or gbar_t / (1 - alpha^t) with `bias_correction`
    s_t = max(vhat_t - gbarhat_t^2, 0)
    theta_t = theta_{t-1} - eta g_t / (sqrt(s_t) + epsilon)
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, gbar, alpha, eps, bias_correction, False, initial)
    return {"p": descend(p, d, lr), **new}


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
    bias_correction: float,
    lr_inside: float,
    nesterov: float,
    initial: float = 0.0,
) -> Step:
    """RMSprop by the variance with momentum, in torch.optim.RMSprop's form.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has epsilon inside the root, and the learning rate inside the buffer.
    g_t and s_t are as in rmsprop_centered:

    d_t = g_t / (sqrt(s_t) + epsilon)

    Momentum and step are as in rmsprop_momentum.
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, gbar, alpha, eps, bias_correction, False, initial)
    return _move(p, d, b, lr, momentum, lr_inside, nesterov) | new


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
    bias_correction: float,
) -> Step:
    """RMSprop, with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper's is centered, and has a momentum. g_t and vhat_t are as in rmsprop:

    theta_t = theta_{t-1} - eta g_t / sqrt(vhat_t + epsilon)
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, None, alpha, eps, bias_correction, inside=True)
    return {"p": descend(p, d, lr), **new}


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
    bias_correction: float,
    lr_inside: float,
    nesterov: float,
) -> Step:
    """RMSprop with momentum, and with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper's is centered, and has the learning rate inside the buffer. g_t and vhat_t
    are as in rmsprop:

    d_t = g_t / sqrt(vhat_t + epsilon)

    Momentum and step are as in rmsprop_momentum.
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, None, alpha, eps, bias_correction, inside=True)
    return _move(p, d, b, lr, momentum, lr_inside, nesterov) | new


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
    bias_correction: float,
    initial: float = 0.0,
) -> Step:
    """RMSprop by the variance, with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has a momentum. g_t and s_t are as in rmsprop_centered:

    theta_t = theta_{t-1} - eta g_t / sqrt(s_t + epsilon)
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, gbar, alpha, eps, bias_correction, True, initial)
    return {"p": descend(p, d, lr), **new}


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
    bias_correction: float,
    lr_inside: float,
    nesterov: float,
    initial: float = 0.0,
) -> Step:
    """RMSprop by the variance with momentum, and with epsilon inside the root.

    Graves: Generating Sequences With Recurrent Neural Networks. arXiv:1308.0850, 2013,
    equations 38 to 41.

    The paper has the learning rate inside the buffer. g_t and s_t are as in
    rmsprop_centered:

    d_t = g_t / sqrt(s_t + epsilon)

    Momentum and step are as in rmsprop_momentum.
    """
    g = l2(p, g, weight_decay)
    d, new = _direction(t, g, v, gbar, alpha, eps, bias_correction, True, initial)
    return _move(p, d, b, lr, momentum, lr_inside, nesterov) | new
