"""SAM: where it takes the gradient."""

import numpy as np

from reference.common import Array, Step


def _scale(x: Array, rho: float) -> Array:
    """Quotient rho / (|x| + 1e-12)."""
    return rho / (np.sqrt(np.sum(x**2)) + 1e-12)


def sam_climb(*, t: int, p: Array, g: Array, old: Array, rho: float) -> Step:
    """The ascent of SAM, before the second gradient; no update.

    Foret, Kleiner, Mobahi, Neyshabur: Sharpness-Aware Minimization for Efficiently
    Improving Generalization. arXiv:2010.01412, ICLR 2021, equation 2 with p = 2.

    The norm is over all tensors, which here are one, plus 1e-12, as in davda54/sam;
    `old` is where to return to:

    old = theta;  theta+ = theta + rho g / |g|
    """
    return {"p": p + _scale(g, rho) * g, "old": p}


def sam_climb_adaptive(*, t: int, p: Array, g: Array, old: Array, rho: float) -> Step:
    """The ascent of ASAM, before the second gradient; no update.

    Kwon, Kim, Park, Choi: ASAM: Adaptive Sharpness-Aware Minimization for
    Scale-Invariant Learning of Deep Neural Networks. arXiv:2102.11600, ICML 2021,
    algorithm 1 with T_w = |w|.

    The norm is over all tensors, which here are one, plus 1e-12:

    old = theta;  theta+ = theta + rho theta^2 g / ||theta| g|
    """
    return {"p": p + _scale(p * g, rho) * p**2 * g, "old": p}
