"""MADGRAD and MirrorMADGRAD."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import flag, forms, real
from gradstep.optimizer import Optimizer


class MADGRAD(Optimizer):
    r"""MADGRAD: dual averaging with momentum, scaled by a cube root.

    With the gradient :math:`g_t`, :math:`s_0 = v_0 = 0`, momentum :math:`\mu`,
    :math:`\ell_t = (\eta + \varepsilon) \sqrt t` and elementwise operations,

    .. math::
        s_t &= s_{t-1} + \ell_t g_t, \qquad v_t = v_{t-1} + \ell_t g_t^2 \\
        z_t &= p_0 - \frac{s_t}{\sqrt[3]{v_t} + \varepsilon} \\
        p_t &= \mu p_{t-1} + (1 - \mu) z_t

    where 0/0 is 0.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-2
        Learning rate :math:`\eta`, in [0, inf). Steps grow with its power 2/3, so it
        is not comparable to that of other methods. With 0, gradients count for nothing.
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1).
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient. Often as little as
        0 is best.
    decouple_decay : bool, default False
        Subtract :math:`(\eta + \varepsilon) \lambda p_{t-1}` after the step instead;
        with ``momentum=0`` from :math:`p_0`, for good, as in the authors' code.
    eps : float, default 1e-6
        :math:`\varepsilon`, in [0, inf).
    like : {"official", "paper"}
        ``"paper"``: :math:`\ell_t = \eta \sqrt t`, without :math:`\varepsilon`, and
        so in the decay.
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
    State: three arrays (`v`, `s`, `x0`, a copy of :math:`p_0`), 12 bytes for each
    float32 element, of which a step moves 32; or 36, where a decoupled decay moves
    :math:`p_0`. The cube root of float32 is correctly rounded; the authors' code is off
    by up to 15 units of the last place there, and takes `k` for all arrays together.
    With ``momentum=0`` theirs keeps no :math:`p_0` but finds it again from the others:
    that drifts, in float32 by some 4e-6 in 500 steps, and is NaN from the first step
    with ``eps=0``. A changed `lr` weighs gradients to come; it does not rescale the
    past.

    References
    ----------
    Defazio & Jelassi, "Adaptivity without compromise: a momentumized, adaptive, dual
    averaged gradient method for stochastic optimization", arXiv:2101.11075.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.MADGRAD(w, lr=0.5)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([-0.215303,  0.544476])
    """

    rules = ("madgrad", "madgrad_moving")

    lr: float = real(default=1e-2, kw_only=False)
    momentum: float = real(default=0.9, below=1)
    weight_decay: float = real(default=0.0)
    decouple_decay: bool = flag(default=False, into="decoupled")
    eps: float = real(default=1e-6)
    like: str = forms(
        default="official", official={"eps_in_lr": 1.0}, paper={"eps_in_lr": 0.0}
    )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        moving = group["decouple_decay"] and group["weight_decay"]
        return "madgrad_moving" if moving and not group["momentum"] else "madgrad"


class MirrorMADGRAD(Optimizer):
    r"""MirrorMADGRAD: MADGRAD by mirror descent.

    With the gradient :math:`g_t`, :math:`z_0 = p_0`, :math:`v_0 = 0`, momentum
    :math:`\mu`, :math:`\ell_t = (\eta + \varepsilon) \sqrt[3] t` and elementwise
    operations,

    .. math::
        v_t &= \sqrt{(t - 1)/t}\; v_{t-1} + g_t^2 \\
        z_t &= z_{t-1} - \ell_t \frac{g_t}{\sqrt[3]{v_t} + \varepsilon} \\
        p_t &= \mu p_{t-1} + (1 - \mu) z_t

    where 0/0 is 0.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-2
        Learning rate :math:`\eta`, in [0, inf).
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1).
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient.
    decouple_decay : bool, default False
        Shrink :math:`z` by :math:`1 - (\eta + \varepsilon) \lambda` before the step
        instead.
    eps : float, default 0
        :math:`\varepsilon`, in [0, inf).
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
    State: two arrays (`v`, `z`), 8 bytes for each float32 element; a step moves 28.
    Agrees with the authors' code up to the rounding of its cube root, and where all
    arrays have a gradient in every step: steps are counted for each array, there for
    all of them together. There is no paper.

    References
    ----------
    Defazio, https://github.com/facebookresearch/madgrad, 2021.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.MirrorMADGRAD(w, lr=0.5)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([-0.176812,  0.513446])
    """

    rules = ("mirror_madgrad",)

    lr: float = real(default=1e-2, kw_only=False)
    momentum: float = real(default=0.9, below=1)
    weight_decay: float = real(default=0.0)
    decouple_decay: bool = flag(default=False, into="decoupled")
    eps: float = real(default=0.0)

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        return {**super().numbers(group), "eps_in_lr": 1.0}
