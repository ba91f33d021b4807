"""Adagrad and Adadelta."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradstep.hyper import choice, real, setting
from gradstep.optimizer import Optimizer


class Adagrad(Optimizer):
    r"""Adagrad: steps divided by the root of the sum of all squared gradients.

    With the gradient :math:`g_t` (plus :math:`\lambda p_{t-1}` for `weight_decay`
    :math:`\lambda`), :math:`s_0` = `initial_accumulator_value`, lr decay
    :math:`\kappa` and elementwise operations,

    .. math::
        s_t &= s_{t-1} + g_t^2 \\
        p_t &= p_{t-1} - \frac{\eta}{1 + (t - 1) \kappa}
               \frac{g_t}{\sqrt{s_t} + \varepsilon}

    or, with ``eps_placement="inside"``, :math:`\sqrt{s_t + \varepsilon}`.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-2
        Learning rate :math:`\eta`, in [0, inf).
    lr_decay : float, default 0
        :math:`\kappa`, in [0, inf).
    weight_decay : float, default 0
        L2 penalty :math:`\lambda` in the gradient, in [0, inf).
    initial_accumulator_value : float, default 0
        What the sum starts at, in [0, inf) and in the range of its dtype.
    eps : float, default 1e-10
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    eps_placement : {"outside", "inside"}
        Whether `eps` is added to the root, as in torch, or under it.
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
    State: one array (`sum`), 4 bytes for each float32 element; a step moves 20. Agrees
    with ``torch.optim.Adagrad`` up to rounding. A group's own
    `initial_accumulator_value` is honoured; torch takes the constructor's for all.

    References
    ----------
    Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0, 1.0])
    >>> opt = gs.Adagrad(w, lr=0.5, eps=0.0)
    >>> opt.step(np.array([3.0, -100.0]))
    >>> w
    array([0.5, 1.5])
    """

    rules = ("adagrad", "adagrad_inside")
    starts = MappingProxyType({"sum": "initial_accumulator_value"})

    lr: float = real(default=1e-2, kw_only=False)
    lr_decay: float = real(default=0.0)
    weight_decay: float = real(default=0.0)
    initial_accumulator_value: float = setting(default=0.0)
    eps: float = real(default=1e-10)
    eps_placement: str = choice("inside", default="outside")

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["eps_placement"] == "inside"]

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        name = "initial_accumulator_value"
        return {name: group[name]}


class Adadelta(Optimizer):
    r"""Adadelta: steps in units of the running size of past steps.

    With the gradient :math:`g_t` (plus :math:`\lambda p_{t-1}` for `weight_decay`
    :math:`\lambda`), :math:`v_0 = u_0 = 0` and elementwise operations,

    .. math::
        v_t &= \rho v_{t-1} + (1 - \rho) g_t^2 \\
        d_t &= \frac{\sqrt{u_{t-1} + \varepsilon}}{\sqrt{v_t + \varepsilon}} g_t \\
        u_t &= \rho u_{t-1} + (1 - \rho) d_t^2 \\
        p_t &= p_{t-1} - \eta d_t

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1
        Factor :math:`\eta` of the step, in [0, inf); 1 in the paper.
    rho : float, default 0.9
        Decay rate :math:`\rho`, in [0, 1); 0.95 in the paper.
    eps : float, default 1e-6
        Added under both roots, in [0, inf). With 0 nothing ever moves.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda` in the gradient, in [0, inf).
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
    State: two arrays (`v`, `u`), 8 bytes for each float32 element; a step moves 28.
    Agrees with ``torch.optim.Adadelta`` up to rounding.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0])
    >>> opt = gs.Adadelta(w, rho=0.75, eps=0.0625)
    >>> opt.step(np.array([0.0]))
    >>> opt.step(np.array([1.0]))
    >>> w.round(6)
    array([0.552786])
    """

    rules = ("adadelta",)

    lr: float = real(default=1.0, kw_only=False)
    rho: float = real(default=0.9, below=1)
    eps: float = real(default=1e-6)
    weight_decay: float = real(default=0.0)
