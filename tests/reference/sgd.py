"""Stochastic gradient descent, plain and with momentum."""

from reference.common import Array, Step, ahead, descend, l2


def _buffer(t: int, b: Array, g: Array, momentum: float, dampening: float) -> Array:
    """b_1 = g_1; b_t = mu b_{t-1} + (1 - tau) g_t."""
    return g if t == 1 else momentum * b + (1 - dampening) * g


def sgd(*, t: int, p: Array, g: Array, lr: float, weight_decay: float) -> Step:
    """Stochastic gradient descent.

    Robbins, Monro: A Stochastic Approximation Method. Ann. Math. Statist. 22, 1951.

    theta_t = theta_{t-1} - alpha (g_t + lambda theta_{t-1})
    """
    return {"p": descend(p, l2(p, g, weight_decay), lr)}


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
    b = _buffer(t, b, l2(p, g, weight_decay), momentum, dampening)
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
) -> Step:
    """Nesterov's accelerated gradient, in torch.optim.SGD's form.

    Nesterov: A method of solving a convex programming problem with convergence rate
    O(1/k^2). Soviet Math. Dokl. 27, 1983.

    Its theta is the point that sgd_lookahead gives for sgd_velocity. With g_t
    including lambda theta_{t-1}:

    b_1 = g_1;  b_t = mu b_{t-1} + g_t
    theta_t = theta_{t-1} - alpha (g_t + mu b_t)
    """
    g = l2(p, g, weight_decay)
    b = _buffer(t, b, g, momentum, dampening=0)
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
) -> Step:
    """Heavy ball, in velocity form.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, equations 1 and 2.

    With g_t including lambda theta_{t-1}:

    z_t = mu z_{t-1} - alpha g_t
    theta_t = theta_{t-1} + z_t
    """
    z = descend(momentum * z, l2(p, g, weight_decay), lr)
    return {"p": p + z, "z": z}


def sgd_lookahead(*, t: int, p: Array, g: Array, z: Array, momentum: float) -> Step:
    """Where Nesterov's method takes the gradient; no update.

    Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum
    in deep learning. ICML 2013, inside the gradient of equation 3.

    `g` is the base point w, and the returned `p` is the point, whatever `p` held:

    phi_t = w_t + mu z_t
    """
    return {"p": ahead(g, z, momentum), "z": z}
