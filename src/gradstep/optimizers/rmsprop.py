"""RMSprop, in all its forms."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradstep.hyper import choice, flag, real
from gradstep.optimizer import Optimizer


class RMSprop(Optimizer):
    r"""RMSprop: steps divided by the root of a running mean of squared gradients.

    With the gradient :math:`g_t` (plus :math:`\lambda p_{t-1}` for `weight_decay`
    :math:`\lambda`), :math:`v_0 = \bar g_0 = b_0 = 0` and elementwise operations,

    .. math::
        v_t &= \alpha v_{t-1} + (1 - \alpha) g_t^2 \\
        d_t &= \frac{g_t}{\sqrt{v_t} + \varepsilon} \\
        p_t &= p_{t-1} - \eta d_t
            \quad\text{or, with momentum,}\quad
        b_t = \mu b_{t-1} + d_t,\; p_t = p_{t-1} - \eta b_t

    With `centered`, :math:`v_t - \bar g_t^2` stands under the root, where
    :math:`\bar g_t = \alpha \bar g_{t-1} + (1 - \alpha) g_t`; with
    ``eps_placement="inside"``, :math:`\varepsilon` does so too.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-2
        Learning rate :math:`\eta`, in [0, inf).
    alpha : float, default 0.99
        Decay rate :math:`\alpha`, in [0, 1).
    eps : float, default 1e-8
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda` in the gradient, in [0, inf).
    momentum : float, default 0
        :math:`\mu`, in [0, inf); below 1 in practice.
    nesterov : bool, default False
        Step by :math:`d_t + \mu b_t` in the place of :math:`b_t`; needs `momentum` > 0
        at first.
    form : {"buffer", "velocity"}
        ``"velocity"``, as by Graves: :math:`\eta` multiplies :math:`d_t` where it
        enters :math:`b_t`, not :math:`b_t`.
    centered : bool, default False
        Divide by the root of the variance of gradients, not of their mean square.
    eps_placement : {"outside", "inside"}
        Whether `eps` is added to the root, as in torch, or under it, as by Graves.
    bias_correction : bool, default False
        Divide :math:`v_t` and :math:`\bar g_t` by :math:`1 - \alpha^t` first.
    initial_accumulator_value : float, default 0
        :math:`v_0`, in [0, inf) and in the range of its dtype. Like `centered`, it
        cannot change after a step.
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
    State: one array (`v`), 4 bytes for each float32 element, of which a step moves 20;
    with `centered` (`gbar`) or `momentum` (`b`) two, 8 and 28, with both three, 12 and
    36. Agrees with ``torch.optim.RMSprop`` up to rounding, but for this: the variance
    of `centered` is a difference that rounding can make negative, after some 1300
    float32 steps with gradients that hardly vary; torch's parameter is NaN then.

    Here the variance is 0 then, and the step :math:`\eta g_t / \varepsilon`, which is
    huge with the default `eps`: choose `eps` no smaller than :math:`10^{-3} |g|` for
    such gradients. With `bias_correction` the first variance is exactly
    :math:`\alpha v_0 / (1 - \alpha)`, which is 0 by default, for all gradients: so is
    :math:`\eta g_1 / \varepsilon` the first step.

    References
    ----------
    Tieleman & Hinton, "Neural networks for machine learning", lecture 6e, 2012.
    Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0, 1.0])
    >>> opt = gs.RMSprop(w, lr=0.25, alpha=0.75, eps=0.0)
    >>> opt.step(np.array([3.0, -100.0]))
    >>> w
    array([0.5, 1.5])
    """

    rules = tuple(
        f"rmsprop{centered}{momentum}{inside}"
        for centered in ("", "_centered")
        for momentum in ("", "_momentum")
        for inside in ("", "_inside")
    )
    starts = MappingProxyType({"v": "initial_accumulator_value"})

    lr: float = real(default=1e-2, kw_only=False)
    alpha: float = real(default=0.99, below=1)
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    momentum: float = real(default=0.0)
    nesterov: bool = flag(default=False, into="nesterov")
    form: str = choice("velocity", default="buffer")
    centered: bool = flag(default=False)
    eps_placement: str = choice("inside", default="outside")
    bias_correction: bool = flag(default=False, into="bias_correction")
    initial_accumulator_value: float = real(default=0.0, into="initial")

    @classmethod
    def check_new(cls, group: Mapping[str, Any]) -> None:
        if group["nesterov"] and not group["momentum"] > 0:
            raise ValueError("RMSprop: nesterov needs momentum > 0, got 0.0")

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        return {k: group[k] for k in ("initial_accumulator_value", "centered")}

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        velocity = float(group["form"] == "velocity")
        return {**super().numbers(group), "lr_inside": velocity}

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        centered = "_centered" if group["centered"] else ""
        momentum = "_momentum" if group["momentum"] else ""
        inside = "_inside" if group["eps_placement"] == "inside" else ""
        return f"rmsprop{centered}{momentum}{inside}"
