"""Rprop, in three variants."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradstep.hyper import choice, pair, setting
from gradstep.optimizer import Optimizer


class Rprop(Optimizer):
    r"""Rprop: steps by the sign of the gradient, each element with a size of its own.

    With :math:`\Delta_0` = `lr`, :math:`g_0 = 0` and elementwise operations, the size
    follows the sign of :math:`g_t g_{t-1}`,

    .. math::
        \Delta_t &= \operatorname{clamp}(\Delta_{t-1} \cdot
            (\eta^+ \text{ if } {} > 0,\ \eta^- \text{ if } {} < 0,\ 1 \text{ else}),
            \Delta_{\min}, \Delta_{\max}) \\
        p_t &= p_{t-1} - \operatorname{sign}(g_t) \Delta_t

    and where the sign has changed, ``"irprop-"`` takes :math:`g_t = 0` for this and the
    next step, ``"rprop-"`` does nothing else, and ``"rprop+"`` takes back the last
    step and then :math:`g_t = 0` for the next.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-2
        Size :math:`\Delta_0` of the first step, in [0, inf) and in the range of the
        states' dtype. Like `variant`, it cannot change after a step.
    etas : (float, float), default (0.5, 1.2)
        Factors :math:`\eta^-` in [0, 1) and :math:`\eta^+` > 1.
    step_sizes : (float, float), default (1e-6, 50)
        Bounds :math:`\Delta_{\min} \le \Delta_{\max}`, in [0, inf).
    variant : {"irprop-", "rprop-", "rprop+"}
        By the names of Igel & Hüsken; torch has the first.
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
    State: two arrays (`prev`, `step_size`), 8 bytes for each float32 element; a step
    moves 28. For whole batches: signs of noisy gradients are noise. Agrees with
    ``torch.optim.Rprop``; a product :math:`g_t g_{t-1}` that underflows counts as 0
    there and here, but a NaN in the gradient shows in the parameter here.

    References
    ----------
    Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning:
    the RPROP algorithm", ICNN 1993.
    Igel & Hüsken, "Improving the Rprop learning algorithm", NC 2000.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Rprop(w, lr=0.5)
    >>> for _ in range(3):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.18, -0.18])
    """

    rules = ("rprop", "rprop_minus", "rprop_plus")
    starts = MappingProxyType({"step_size": "lr"})

    lr: float = setting(default=1e-2, kw_only=False)
    etas: tuple[float, float] = pair(default=(0.5, 1.2), into=("eta_minus", "eta_plus"))
    step_sizes: tuple[float, float] = pair(
        default=(1e-6, 50.0), into=("step_min", "step_max")
    )
    variant: str = choice("rprop-", "rprop+", default="irprop-")

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        minus, plus = group["etas"]
        if not minus < 1 < plus:
            raise ValueError(
                f"Rprop: etas must be a factor below and one above 1, got {minus, plus}"
            )
        least, most = group["step_sizes"]
        if least > most:
            raise ValueError(
                f"Rprop: step_sizes must be (least, most), got {least, most}"
            )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        variants = ("irprop-", "rprop-", "rprop+")
        return cls.rules[variants.index(group["variant"])]

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        return {"variant": group["variant"], "lr": group["lr"]}
