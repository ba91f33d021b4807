"""EAdam and Padam."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import choice, flag, forms, pair, real
from gradstep.optimizer import Optimizer


class EAdam(Optimizer):
    r"""EAdam: Adam, with eps added to the running mean of squares at every step.

    With the gradient :math:`g_t`, :math:`m_0 = v_0 = 0` and elementwise operations,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 + \varepsilon \\
        p_t &= p_{t-1} - \frac{\eta}{1 - \beta_1^t}
               \frac{m_t}{\sqrt{v_t} / \sqrt{1 - \beta_2^t}}

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2`, each in [0, 1).
    eps : float, default 1e-8
        :math:`\varepsilon`, in [0, inf); it adds up to
        :math:`\varepsilon / (1 - \beta_2)`. With 0, an element whose gradients have all
        been 0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
    amsgrad : bool, default False
        As in the authors' code: :math:`v_t` lacks :math:`\varepsilon`, the largest so
        far is under the root, and :math:`\varepsilon` is added to that root, before
        its bias is corrected.
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
    State: two arrays (`m`, `v`), 8 bytes for each float32 element, of which a step
    moves 28; with `amsgrad` three (`vmax`), 12 and 36.

    References
    ----------
    Yuan & Gao, "EAdam optimizer: how epsilon impacts Adam", arXiv:2011.02150.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.EAdam(w, lr=0.5)
    >>> for _ in range(3):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.517708, -0.536975])
    """

    rules = ("eadam", "eadam_amsgrad")

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
    amsgrad: bool = flag(default=False)

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["amsgrad"]]


class Padam(Optimizer):
    r"""Padam: Adam with a root that is only partially applied.

    With :math:`m_t` and :math:`v_t` as in `Adam`,
    :math:`\hat v_t = \max(\hat v_{t-1}, v_t)` and elementwise operations,

    .. math::
        p_t = p_{t-1} - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
              \frac{m_t}{(\sqrt{\hat v_t} + \varepsilon)^{2q}}

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 0.1
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2`, each in [0, 1).
    eps : float, default 1e-8
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
    partial : {0.25, 0.125, 0.5}
        The power :math:`q`: 0.5 is Adam, 0 would be momentum. Others would need a
        general power, whose bits differ between machines.
    amsgrad : bool, default True
        Use the largest :math:`v` so far; without, :math:`\hat v_t = v_t`.
    like : {"official", "paper"}
        ``"paper"``: no bias is corrected. The authors' code corrects by the root,
        whatever :math:`q`.
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
    State: two arrays (`m`, `v`), 8 bytes for each float32 element, of which a step
    moves 28; with `amsgrad` three (`vmax`), 12 and 36.

    References
    ----------
    Chen et al., "Closing the generalization gap of adaptive gradient methods in
    training deep neural networks", arXiv:1806.06763, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Padam(w, lr=0.5)
    >>> for _ in range(3):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 2.255169, -1.395399])
    """

    rules = tuple(
        f"padam{amsgrad}_{power}"
        for amsgrad in ("", "_amsgrad")
        for power in ("half", "quarter", "eighth")
    )

    lr: float = real(default=0.1, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
    partial: float = choice(0.125, 0.5, default=0.25)
    amsgrad: bool = flag(default=True)
    like: str = forms(
        default="official",
        official={"bias_correction": 1.0},
        paper={"bias_correction": 0.0},
    )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        power = {0.5: "half", 0.25: "quarter", 0.125: "eighth"}[group["partial"]]
        return f"padam{'_amsgrad' if group['amsgrad'] else ''}_{power}"
