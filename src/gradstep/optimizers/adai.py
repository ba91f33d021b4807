"""Adai."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import flag, pair, real
from gradstep.optimizer import Optimizer


class Adai(Optimizer):
    r"""Adai: a momentum for every element, instead of a learning rate.

    With the gradient :math:`g_t`, :math:`m_0 = v_0 = 0`, :math:`P_0 = 1` and
    elementwise operations,

    .. math::
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \qquad
            \hat v_t = v_t / (1 - \beta_2^t) \\
        b_t &= \operatorname{clamp}(1 - \beta_0 \hat v_t / \bar v_t,
            0, 1 - \varepsilon), \qquad P_t = P_{t-1} b_t \\
        m_t &= b_t m_{t-1} + (1 - b_t) g_t \\
        p_t &= p_{t-1} - \eta\, m_t / (1 - P_t)

    where :math:`\bar v_t` is the mean of :math:`\hat v_t` over all elements of all
    arrays that take the step.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1
        Learning rate :math:`\eta`, in [0, inf). On a quadratic it must be below about 3
        over the largest curvature, much as for SGD with momentum 0.9; the default, the
        authors', diverges where curvatures are some 10. Try 0.01 to 0.3.
    betas : (float, float), default (0.1, 0.99)
        :math:`\beta_0` and :math:`\beta_2`, in [0, 1).
    eps : float, default 1e-3
        :math:`\varepsilon`, in [1e-7, 1).
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
    maximize : bool, default False
        Ascend: negate the gradient first.
    master, rounding, state_dtype, seed
        How parameters and states lie in memory: see `gradstep.storage`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range; the message names it.

    Notes
    -----
    State: three arrays (`m`, `v`, `product`), 12 bytes for each float32 element. A step
    makes two passes, of 16 and 32 bytes. The mean is summed in float64 in a fixed
    order. Agrees with the authors' code up to rounding, but stays where it is while all
    gradients have been 0, where that is NaN for ever.

    References
    ----------
    Xie, Wang, Zhang, Sato & Sugiyama, "Adaptive inertia: disentangling the effects of
    adaptive learning rate and momentum", arXiv:2006.15815, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Adai(w, lr=0.25)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([-0.448235,  0.494622])
    """

    rules = ("adai",)

    lr: float = real(default=1.0, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.1, 0.99), into=("beta0", "beta2"), below=1
    )
    eps: float = real(default=1e-3, low=1e-7, below=1)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")

    @classmethod
    def initial(cls, group: Mapping[str, Any]) -> dict[str, float]:
        del group
        return {"product": 1.0}
