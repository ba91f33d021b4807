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
        traffic,
        traffic_state1,
        traffic_state2,
        traffic_state3,
        traffic_state4,
    )
}
