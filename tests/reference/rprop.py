"""Rprop: steps by the signs of the gradient alone."""

import numpy as np

from reference.common import Array, Step


def _adapt(
    trend: Array,
    step_size: Array,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Array:
    """Step size, grown where the gradient kept its sign and shrunk where it turned."""
    falling = np.where(trend < 0, eta_minus, 1)
    grown = step_size * np.where(trend > 0, eta_plus, falling)
    return np.minimum(np.maximum(grown, step_min), step_max)


def rprop(
    *,
    t: int,
    p: Array,
    g: Array,
    prev: Array,
    step_size: Array,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Step:
    """iRprop-, which is torch.optim.Rprop.

    Igel, Huesken: Improving the Rprop Learning Algorithm. NC 2000, algorithm iRprop-.

    g'_0 = 0. With sigma_t = sign(g_t g'_{t-1}):

    Delta_t = clamp(Delta_{t-1} (eta+ | 1 | eta-, as sigma_t is 1 | 0 | -1))
    g'_t = 0 where sigma_t < 0, or else g_t
    theta_t = theta_{t-1} - sign(g'_t) Delta_t
    """
    trend = np.sign(g * prev)
    step_size = _adapt(trend, step_size, eta_minus, eta_plus, step_min, step_max)
    g = np.where(trend < 0, 0, g)
    return {"p": p - np.sign(g) * step_size, "prev": g, "step_size": step_size}


def rprop_minus(
    *,
    t: int,
    p: Array,
    g: Array,
    prev: Array,
    step_size: Array,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Step:
    """Rprop-, which steps even where the gradient turned.

    Riedmiller: Advanced supervised learning in multi-layer perceptrons. Comput. Stand.
    Interfaces 16, 1994. Igel, Huesken: Improving the Rprop Learning Algorithm.
    NC 2000, algorithm Rprop-.

    With g_0 = 0, and Delta_t as in rprop, by sigma_t = sign(g_t g_{t-1}):

    theta_t = theta_{t-1} - sign(g_t) Delta_t
    """
    trend = np.sign(g * prev)
    step_size = _adapt(trend, step_size, eta_minus, eta_plus, step_min, step_max)
    return {"p": p - np.sign(g) * step_size, "prev": g, "step_size": step_size}


def rprop_plus(
    *,
    t: int,
    p: Array,
    g: Array,
    prev: Array,
    step_size: Array,
    eta_minus: float,
    eta_plus: float,
    step_min: float,
    step_max: float,
) -> Step:
    """Rprop+, which takes the last step back where the gradient turned.

    Riedmiller, Braun: A Direct Adaptive Method for Faster Backpropagation Learning:
    The RPROP Algorithm. ICNN 1993.

    sigma_t, Delta_t and g'_t are as in rprop. The last step was -sign(g'_{t-1}) times
    Delta_{t-1}, the size before it shrinks:

    theta_t = theta_{t-1} + sign(g'_{t-1}) Delta_{t-1}, where sigma_t < 0
    theta_t = theta_{t-1} - sign(g'_t) Delta_t, elsewhere
    """
    trend = np.sign(g * prev)
    back = np.sign(prev) * step_size
    step_size = _adapt(trend, step_size, eta_minus, eta_plus, step_min, step_max)
    g = np.where(trend < 0, 0, g)
    p = p + np.where(trend < 0, back, -np.sign(g) * step_size)
    return {"p": p, "prev": g, "step_size": step_size}
