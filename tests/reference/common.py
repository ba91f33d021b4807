"""What the rules of several families share."""

from typing import Any, TypeAlias

import numpy as np

# Not ndarray, because the tests also pass arrays which carry bounds of their own
# rounding errors. What those know stands at the end of tracked.py; nothing else may
# touch an array here.
Array: TypeAlias = Any
Step: TypeAlias = dict[str, Array]


def l2(p: Array, g: Array, weight_decay: float) -> Array:
    """Gradient of f(theta) + lambda/2 |theta|^2: g + lambda theta."""
    return g + weight_decay * p


def shrink(p: Array, lr: float, weight_decay: float) -> Array:
    """Decay beside the step rather than through it: theta (1 - alpha lambda)."""
    return p * (1 - lr * weight_decay)


def decay(
    p: Array, g: Array, lr: float, weight_decay: float, decoupled: float
) -> tuple[Array, Array]:
    """Point and gradient after the decay, which is `decoupled` or in the gradient."""
    if decoupled:
        return shrink(p, lr, weight_decay), g
    return p, l2(p, g, weight_decay)


def average(old: Array, new: Array, beta: Array) -> Array:
    """Exponential moving average: beta old + (1 - beta) new."""
    return beta * old + (1 - beta) * new


def descend(p: Array, direction: Array, lr: float) -> Array:
    """Step against a direction: theta - alpha direction."""
    return p - lr * direction


def ahead(w: Array, z: Array, momentum: float) -> Array:
    """Point moved on along the momentum: w + mu z."""
    return w + momentum * z


def over_root(x: Array, square: Array, eps: float, inside: bool) -> Array:
    """Quotient x / (sqrt(s) + epsilon), or x / sqrt(s + epsilon) if `inside`."""
    return x / np.sqrt(square + eps) if inside else x / (np.sqrt(square) + eps)


def over_or(x: Array, divisor: Array, otherwise: float) -> Array:
    """Quotient x / d, or a number of one's own where d is zero."""
    zero = divisor == 0
    return np.where(zero, otherwise, x / np.where(zero, 1, divisor))


def norm(x: Array) -> Array:
    """Euclidean norm of a whole tensor: sqrt(sum_i x_i^2)."""
    return np.sqrt(np.sum(x**2))


def corrected_rate(t: int, lr: float, beta1: float, beta2: float) -> float:
    """Step size with both bias corrections: alpha sqrt(1-beta_2^t) / (1-beta_1^t).

    What it multiplies is m_t / (sqrt(v_t) + epsilon), of the raw averages.
    """
    return lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)


def rectification(
    t: int, beta2: float, threshold: float, inclusive: float
) -> float | None:
    """RAdam's r_t; None where the variance of the step is not tractable yet.

    rho_inf = 2 / (1 - beta_2) - 1
    rho_t = rho_inf - 2 t beta_2^t / (1 - beta_2^t)
    r_t = sqrt((rho_t-4) (rho_t-2) rho_inf / ((rho_inf-4) (rho_inf-2) rho_t))

    r_t exists if rho_t > threshold, or also rho_t = threshold, if `inclusive`. It
    never does with rho_inf <= 4, which bounds all rho_t.
    """
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    if rho_inf <= 4 or rho < threshold or (rho == threshold and not inclusive):
        return None
    square = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return square**0.5
