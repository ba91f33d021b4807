"""Gradient descent and its momenta."""

import math
from collections.abc import Mapping
from typing import Any

from gradstep.hyper import choice, flag, real
from gradstep.optimizer import Optimizer


class SGD(Optimizer):
    r"""(Stochastic) gradient descent: plain, with momentum, or Nesterov's.

    With the gradient :math:`g_t` (plus :math:`\lambda p_{t-1}` for `weight_decay`
    :math:`\lambda`), learning rate :math:`\eta`, momentum :math:`\mu` and dampening
    :math:`\tau`: without momentum :math:`p_t = p_{t-1} - \eta g_t`; with
    ``form="buffer"``, which is torch's,

    .. math::
        b_1 &= g_1, \qquad b_t = \mu b_{t-1} + (1 - \tau) g_t \\
        p_t &= p_{t-1} - \eta b_t
            \quad\text{or, with nesterov,}\quad p_{t-1} - \eta (g_t + \mu b_t)

    and with ``form="velocity"``, :math:`z_0 = 0`,

    .. math::
        z_t &= \mu z_{t-1} - \eta g_t \\
        p_t &= p_{t-1} + z_t

    In this form Nesterov's method needs the gradient at :math:`p + \mu z`, which
    `lookahead` computes; torch's form keeps that point in the parameter instead, and
    takes the penalty there, this one at :math:`p`.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-3
        Learning rate :math:`\eta`, in [0, inf).
    momentum : float, default 0
        :math:`\mu`, in [0, inf); below 1 in practice.
    dampening : float, default 0
        :math:`\tau`, any finite number; only with ``form="buffer"``, without
        `nesterov`.
    dampen_first : bool, default False
        :math:`b_1 = (1 - \tau) g_1` instead.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda` in the gradient, in [0, inf).
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead (SGDW).
    nesterov : bool, default False
        Needs `momentum` > 0 at first; while a scheduler holds it at 0, steps are plain.
        With ``form="velocity"``, pass `step` the gradient at `lookahead`.
    form : {"buffer", "velocity"}
        Without `nesterov` the two forms take the same steps while `lr` is constant.
        When it changes, the buffer rescales the whole past by the new `lr`; in the
        velocity each gradient keeps the `lr` of its own step.
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
    State: none without momentum, 0 bytes for each float32 element, of which a step
    moves 12; else one array (`b` or `z`), 4 and 20. Momentum that is first switched on
    later starts from :math:`b = g`. While a scheduler holds it at 0, the buffer waits
    unchanged until momentum is above 0 again, as in torch.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum
    in deep learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0, 2.0])
    >>> opt = gs.SGD(w, lr=0.25, momentum=0.5)
    >>> opt.step(2 * w)
    >>> w
    array([0.5, 1. ])
    >>> opt.lr = 0.125
    >>> opt.step(2 * w)
    >>> w
    array([0.25, 0.5 ])
    """

    rules = ("sgd", "sgd_momentum", "sgd_nesterov", "sgd_velocity")

    lr: float = real(default=1e-3, kw_only=False)
    momentum: float = real(default=0.0)
    dampening: float = real(default=0.0, low=-math.inf)
    dampen_first: bool = flag(default=False, into="dampen_first")
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
    nesterov: bool = flag(default=False)
    form: str = choice("velocity", default="buffer")

    @classmethod
    def check_new(cls, group: Mapping[str, Any]) -> None:
        if group["nesterov"] and not group["momentum"] > 0:
            raise ValueError("SGD: nesterov needs momentum > 0, got 0.0")

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        if group["dampening"] and (group["nesterov"] or group["form"] == "velocity"):
            raise ValueError(
                f"SGD: dampening must be 0 with nesterov or form='velocity', got "
                f"{group['dampening']}"
            )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        if group["form"] == "velocity":
            return "sgd_velocity"
        if not group["momentum"]:
            return "sgd"
        return "sgd_nesterov" if group["nesterov"] else "sgd_momentum"

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        return {"form": group["form"]}

    def gradient_elsewhere(self) -> bool:
        return any(g["nesterov"] and g["form"] == "velocity" for g in self._groups)

    def lookahead(self) -> Any:
        r"""Return the points :math:`p + \mu z` at which to take the next gradient.

        For ``form="velocity"`` with `nesterov`. The parameters are not touched.

        Returns
        -------
        array, or list or dict of arrays
            New arrays in the structure of the parameters; for groups, a list.

        Raises
        ------
        ValueError
            If a group is not ``form="velocity"`` with `nesterov`.

        Examples
        --------
        >>> import numpy as np, gradstep as gs
        >>> w = np.array([1.0])
        >>> opt = gs.SGD(w, lr=0.25, momentum=0.5, nesterov=True, form="velocity")
        >>> for _ in range(2):
        ...     opt.step(2 * opt.lookahead())
        >>> w
        array([0.125])
        """
        with self._engine:
            self._engine.settle()
            return self._lookahead()

    def _lookahead(self) -> Any:
        for group in self._groups:
            if group["form"] != "velocity" or not group["nesterov"]:
                raise ValueError(
                    "SGD.lookahead: needs form='velocity' and nesterov=True, got "
                    f"form={group['form']!r}, nesterov={group['nesterov']}"
                )
        points = self._new_like_parameters()
        momenta = [{"momentum": group["momentum"]} for group in self._groups]
        engine = self._engine_over(points, "sgd_lookahead", ("z",), momenta)
        engine.step(self._exact())
        return self._rebuilt(points)
