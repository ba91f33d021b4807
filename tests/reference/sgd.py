"""Stochastic gradient descent, plain and with momentum."""

from reference.common import Array, Step, ahead, decay, descend


def _buffer(
    t: int, b: Array, g: Array, momentum: float, dampening: float, dampen_first: float
) -> Array:
    """b_1 = g_1, or (1 - tau) g_1 if `dampen_first`; b_t = mu b_{t-1} + (1 - tau) g_t.

    Either way, b_0 is not read: it counts as zero.
    """
    if t == 1:
        return (1 - dampening) * g if dampen_first else g
    return momentum * b + (1 - dampening) * g


def sgd(
    *, t: int, p: Array, g: Array, lr: float, weight_decay: float, decoupled: float
) -> Step:
    """Stochastic gradient descent.

    Robbins, Monro: A Stochastic Approximation Method. Ann. Math. Statist. 22, 1951.
    Loshchilov, Hutter: Decoupled Weight Decay Regularization. arXiv:1711.05101,
    ICLR 2019, algorithm 1, SGDW, if `decoupled`.

    theta_t = theta_{t-1} - alpha (g_t + lambda theta_{t-1}), or, if `decoupled`,
    theta_t = (1 - alpha lambda) theta_{t-1} - alpha g_t

    These are equal, other than with momentum. SGDW scales the decay by its schedule
    multiplier; here it is scaled by alpha, as torch.optim.AdamW does it.
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    return {"p": descend(p, g, lr)}


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
    decoupled: float,
    dampen_first: float,
) -> Step:
    """Heavy ball, in torch.optim.SGD's form.

    Polyak: Some methods of speeding up the convergence of iteration methods. USSR
    Comput. Math. Math. Phys. 4, 1964. Loshchilov, Hutter: Decoupled Weight Decay
    Regularization. arXiv:1711.05101, ICLR 2019, algorithm 1, SGDW, if `decoupled`.

    The learning rate stays outside the buffer. torch does not dampen the first step;
    `dampen_first` does. With g_t including lambda theta_{t-1}:

    b_1 = g_1, or (1 - tau) g_1 if `dampen_first`;  b_t = mu b_{t-1} + (1 - tau) g_t
    theta_t = theta_{t-1} - alpha b_t, or, with the bare gradient, if `decoupled`,
    theta_t = (1 - alpha lambda) theta_{t-1} - alpha b_t
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    b = _buffer(t, b, g, momentum, dampening, dampen_first)
    return {"p": descend(p, b, lr), "b": b}


def sgd_nesterov(
    *,
    t: int,
    p: Array,
    g: Array,
    b: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    decoupled: float,
) -> Step:
    """Nesterov's accelerated gradient, in torch.optim.SGD's form.

    Nesterov: A method of solving a convex programming problem with convergence rate
    O(1/k^2). Soviet Math. Dokl. 27, 1983. Loshchilov, Hutter: Decoupled Weight Decay
    Regularization. arXiv:1711.05101, ICLR 2019, algorithm 1, SGDW, if `decoupled`.

    Its theta is the point that sgd_lookahead gives for sgd_velocity, if neither
    decouples a decay. With g_t including lambda theta_{t-1}:

    b_1 = g_1;  b_t = mu b_{t-1} + g_t
    theta_t = theta_{t-1} - alpha (g_t + mu b_t), or, with the bare gradient, if
    `decoupled`, theta_t = (1 - alpha lambda) theta_{t-1} - alpha (g_t + mu b_t)
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    b = _buffer(t, b, g, momentum, dampening=0, dampen_first=0)
    return {"p": descend(p, ahead(g, b, momentum), lr), "b": b}


def sgd_velocity(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    lr: float,
    momentum: float,
    weight_decay: float,
    decoupled: float,
) -> Step:
    """Heavy ball, in velocity form.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, equations 1 and 2. Loshchilov, Hutter: Decoupled Weight
    Decay Regularization. arXiv:1711.05101, ICLR 2019, algorithm 1, SGDW, if
    `decoupled`.

    With g_t including lambda theta_{t-1}:

    z_t = mu z_{t-1} - alpha g_t
    theta_t = theta_{t-1} + z_t, or, with the bare gradient, if `decoupled`,
    theta_t = (1 - alpha lambda) theta_{t-1} + z_t
    """
    p, g = decay(p, g, lr, weight_decay, decoupled)
    z = descend(momentum * z, g, lr)
    return {"p": p + z, "z": z}


def sgd_lookahead(*, t: int, p: Array, g: Array, z: Array, momentum: float) -> Step:
    """Where Nesterov's method takes the gradient; no update.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, inside the gradient of equation 3.

    `g` is the base point w, and the returned `p` is the point, whatever `p` held:

    phi_t = w_t + mu z_t
    """
    return {"p": ahead(g, z, momentum), "z": z}
