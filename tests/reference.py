"""What every rule computes, written from the papers: the oracle of the tests.

One pure function per rule. It takes the 1-based step number `t`, the parameter `p`,
the gradient `g`, the rule's states and its hyperparameters, and returns the new `p`
and the new value of every state by name. These are formulas, not operation orders: a
kernel has to agree with them to within rounding, never bit for bit.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

# Not ndarray, because the tests also pass arrays which carry bounds of their own
# rounding errors. Those know + - * / **, sqrt, maximum, abs and sign, so that nothing
# else may touch an array here.
Array: TypeAlias = Any
Step: TypeAlias = dict[str, Array]


def _l2(p: Array, g: Array, weight_decay: float) -> Array:
    """Gradient of f(theta) + lambda/2 |theta|^2: g + lambda theta."""
    return g + weight_decay * p


def _decoupled(p: Array, lr: float, weight_decay: float) -> Array:
    """Decay beside the step rather than through it: theta (1 - alpha lambda)."""
    return p * (1 - lr * weight_decay)


def _average(old: Array, new: Array, beta: float) -> Array:
    """Exponential moving average: beta old + (1 - beta) new."""
    return beta * old + (1 - beta) * new


def _descend(p: Array, direction: Array, lr: float) -> Array:
    """Step against a direction: theta - alpha direction."""
    return p - lr * direction


def _ahead(w: Array, z: Array, momentum: float) -> Array:
    """Point moved on along the momentum: w + mu z."""
    return w + momentum * z


def _buffer(t: int, b: Array, g: Array, momentum: float, dampening: float) -> Array:
    """b_1 = g_1; b_t = mu b_{t-1} + (1 - tau) g_t."""
    return g if t == 1 else momentum * b + (1 - dampening) * g


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
    new = {"m": _average(m, g, beta1), "v": _average(v, g**2, beta2)}
    if vmax is not None:
        new["vmax"] = np.maximum(vmax, new["v"])
    m_hat = new["m"] / (1 - beta1**t)
    v_hat = new["v" if vmax is None else "vmax"] / (1 - beta2**t)
    return {"p": _descend(p, m_hat / (np.sqrt(v_hat) + eps), lr), **new}


def _over_root(x: Array, square: Array, eps: float, inside: bool) -> Array:
    """Quotient x / (sqrt(s) + epsilon), or x / sqrt(s + epsilon) if `inside`."""
    return x / np.sqrt(square + eps) if inside else x / (np.sqrt(square) + eps)


def _adagrad(
    t: int,
    p: Array,
    g: Array,
    total: Array,
    lr: float,
    lr_decay: float,
    eps: float,
    inside: bool,
) -> Step:
    """Adagrad's step, weight decay aside."""
    total = total + g**2
    direction = _over_root(g, total, eps, inside)
    lr = lr / (1 + (t - 1) * lr_decay)
    return {"p": _descend(p, direction, lr), "sum": total}


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
    new = {"v": _average(v, g**2, alpha)}
    square = new["v"]
    if gbar is not None:
        new["gbar"] = _average(gbar, g, alpha)
        square = np.maximum(square - new["gbar"] ** 2, 0)
    direction = _over_root(g, square, eps, inside)
    if b is not None:
        direction = new["b"] = _ahead(direction, b, momentum)
    return {"p": _descend(p, direction, lr), **new}


def _touch(g: Array, stir: float, **arrays: Array) -> Step:
    """Traffic for every array x: x + stir g."""
    return {name: x + stir * g for name, x in arrays.items()}


def sgd(*, t: int, p: Array, g: Array, lr: float, weight_decay: float) -> Step:
    """Stochastic gradient descent.

    Robbins, Monro: A Stochastic Approximation Method. Ann. Math. Statist. 22, 1951.

    theta_t = theta_{t-1} - alpha (g_t + lambda theta_{t-1})
    """
    return {"p": _descend(p, _l2(p, g, weight_decay), lr)}


def sgd_momentum(
    *,
    t: int,
    p: Array,
    g: Array,
    b: Array,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
) -> Step:
    """Heavy ball, in torch.optim.SGD's form.

    Polyak: Some methods of speeding up the convergence of iteration methods. USSR
    Comput. Math. Math. Phys. 4, 1964.

    The learning rate stays outside the buffer, and the first step is not dampened.
    With g_t including lambda theta_{t-1}:

    b_1 = g_1;  b_t = mu b_{t-1} + (1 - tau) g_t
    theta_t = theta_{t-1} - alpha b_t
    """
    b = _buffer(t, b, _l2(p, g, weight_decay), momentum, dampening)
    return {"p": _descend(p, b, lr), "b": b}


def sgd_nesterov(
    *,
    t: int,
    p: Array,
    g: Array,
    b: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Step:
    """Nesterov's accelerated gradient, in torch.optim.SGD's form.

    Nesterov: A method of solving a convex programming problem with convergence rate
    O(1/k^2). Soviet Math. Dokl. 27, 1983.

    Its theta is the point that sgd_lookahead gives for sgd_velocity. With g_t
    including lambda theta_{t-1}:

    b_1 = g_1;  b_t = mu b_{t-1} + g_t
    theta_t = theta_{t-1} - alpha (g_t + mu b_t)
    """
    g = _l2(p, g, weight_decay)
    b = _buffer(t, b, g, momentum, dampening=0)
    return {"p": _descend(p, _ahead(g, b, momentum), lr), "b": b}


def sgd_velocity(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Step:
    """Heavy ball, in velocity form.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, equations 1 and 2.

    With g_t including lambda theta_{t-1}:

    z_t = mu z_{t-1} - alpha g_t
    theta_t = theta_{t-1} + z_t
    """
    z = _descend(momentum * z, _l2(p, g, weight_decay), lr)
    return {"p": p + z, "z": z}


def sgd_lookahead(*, t: int, p: Array, g: Array, z: Array, momentum: float) -> Step:
    """Where Nesterov's method takes the gradient; no update.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, inside the gradient of equation 3.

    `g` is the base point w, and the returned `p` is the point, whatever `p` held:

    phi_t = w_t + mu z_t
    """
    return {"p": _ahead(g, z, momentum), "z": z}


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
    return _adam(t, p, _l2(p, g, weight_decay), m, v, None, lr, beta1, beta2, eps)


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
    return _adam(t, p, _l2(p, g, weight_decay), m, v, vmax, lr, beta1, beta2, eps)


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
    p = _decoupled(p, lr, weight_decay)
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
    p = _decoupled(p, lr, weight_decay)
    return _adam(t, p, g, m, v, vmax, lr, beta1, beta2, eps)


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
    direction = np.sign(_average(m, g, beta1))
    p = _descend(_decoupled(p, lr, weight_decay), direction, lr)
    return {"p": p, "m": _average(m, g, beta2)}


def adagrad(
    *,
    t: int,
    p: Array,
    g: Array,
    sum: Array,  # noqa: A002
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adagrad, in torch.optim.Adagrad's form.

    Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization. JMLR 12, 2011, figure 1, with diagonal matrices.

    The decay eta of the learning rate is torch's. With g_t including
    lambda theta_{t-1}:

    s_t = s_{t-1} + g_t^2
    alpha_t = alpha / (1 + (t - 1) eta)
    theta_t = theta_{t-1} - alpha_t g_t / (sqrt(s_t) + epsilon)
    """
    g = _l2(p, g, weight_decay)
    return _adagrad(t, p, g, sum, lr, lr_decay, eps, inside=False)


def adagrad_inside(
    *,
    t: int,
    p: Array,
    g: Array,
    sum: Array,  # noqa: A002
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adagrad, with epsilon inside the root.

    Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization. JMLR 12, 2011, figure 1, with diagonal matrices.

    The paper has epsilon outside. s_t and alpha_t are as in adagrad:

    theta_t = theta_{t-1} - alpha_t g_t / sqrt(s_t + epsilon)
    """
    g = _l2(p, g, weight_decay)
    return _adagrad(t, p, g, sum, lr, lr_decay, eps, inside=True)


def adadelta(
    *,
    t: int,
    p: Array,
    g: Array,
    v: Array,
    u: Array,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
) -> Step:
    """Adadelta, in torch.optim.Adadelta's form.

    Zeiler: ADADELTA: An Adaptive Learning Rate Method. arXiv:1212.5701, 2012,
    algorithm 1.

    The paper has no alpha; torch's scales the step, but not what u_t averages. With
    g_t including lambda theta_{t-1}:

    v_t = rho v_{t-1} + (1 - rho) g_t^2
    delta_t = sqrt(u_{t-1} + epsilon) / sqrt(v_t + epsilon) g_t
    u_t = rho u_{t-1} + (1 - rho) delta_t^2
    theta_t = theta_{t-1} - alpha delta_t
    """
    g = _l2(p, g, weight_decay)
    v = _average(v, g**2, rho)
    delta = np.sqrt(u + eps) * _over_root(g, v, eps, inside=True)
    return {"p": _descend(p, delta, lr), "v": v, "u": _average(u, delta**2, rho)}


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
    g = _l2(p, g, weight_decay)
    m = _average(m, g, beta1)
    u = np.maximum(beta2 * u, np.abs(g) + eps)
    m_hat = m / (1 - beta1**t)
    return {"p": _descend(p, m_hat / u, lr), "m": m, "u": u}


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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
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
    g = _l2(p, g, weight_decay)
    return _rmsprop(p, g, v, gbar, b, lr, alpha, momentum, eps, inside=True)


def traffic(*, t: int, p: Array, g: Array, stir: float) -> Step:
    """Nothing, at the cost of reading p and g and writing p: a benchmark's roofline.

    No paper: theta_t = theta_{t-1} + stir g_t
    """
    return _touch(g, stir, p=p)


def traffic_state1(*, t: int, p: Array, g: Array, a: Array, stir: float) -> Step:
    """Traffic with one state: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a)


def traffic_state2(
    *, t: int, p: Array, g: Array, a: Array, b: Array, stir: float
) -> Step:
    """Traffic with two states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b)


def traffic_state3(
    *, t: int, p: Array, g: Array, a: Array, b: Array, c: Array, stir: float
) -> Step:
    """Traffic with three states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b, c=c)


def traffic_state4(
    *, t: int, p: Array, g: Array, a: Array, b: Array, c: Array, d: Array, stir: float
) -> Step:
    """Traffic with four states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b, c=c, d=d)


RULES: dict[str, Callable[..., Step]] = {
    rule.__name__: rule
    for rule in (
        sgd,
        sgd_momentum,
        sgd_nesterov,
        sgd_velocity,
        sgd_lookahead,
        adam,
        adam_amsgrad,
        adamw,
        adamw_amsgrad,
        lion,
        adagrad,
        adagrad_inside,
        adadelta,
        adamax,
        rmsprop,
        rmsprop_momentum,
        rmsprop_centered,
        rmsprop_centered_momentum,
        rmsprop_inside,
        rmsprop_momentum_inside,
        rmsprop_centered_inside,
        rmsprop_centered_momentum_inside,
        traffic,
        traffic_state1,
        traffic_state2,
        traffic_state3,
        traffic_state4,
    )
}
