"""AdaBelief."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import flag, forms, pair, real
from gradstep.optimizer import Optimizer


class AdaBelief(Optimizer):
    r"""AdaBelief: steps scaled by how well the running mean foretold the gradient.

    By default, as in the authors' code, the first steps (5 with the default `betas`)
    are those of SGD with momentum, of size `lr` times the gradient: they diverge where
    gradients are large, as on Beale's function at ``lr=0.1``, which suits Adam. Pass
    ``like="paper"`` for the steps of Algorithm 2, which are adapted from the first on,
    or ``degenerated_to_sgd=False`` to wait instead.

    With the gradient :math:`g_t`, :math:`m_0 = s_0 = 0` and elementwise operations,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        s_t &= \beta_2 s_{t-1} + (1 - \beta_2) (g_t - m_t)^2 + \varepsilon_{acc} \\
        p_t &= p_{t-1} - \frac{\eta}{1 - \beta_1^t}
               \frac{m_t}{\sqrt{s_t} / \sqrt{1 - \beta_2^t} + \varepsilon_{out}}

    With `rectify`, the default as in the authors' code, the step is multiplied by
    :math:`r_t` of `RAdam` where :math:`\rho_t \ge 5`, and :math:`\varepsilon_{out}` is
    added to :math:`\sqrt{s_t}`. Before, it is :math:`\eta\, m_t / (1 - \beta_1^t)`.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2`, each in [0, 1).
    eps_acc : float, default 1e-16
        Added to :math:`s` at every step, in [0, inf); it adds up to
        :math:`\varepsilon_{acc} / (1 - \beta_2)`.
    eps_out : float, default 1e-16
        Added to the root, in [0, inf). The authors' code has one `eps` for both. With 0
        for both, an element whose gradients have all been 0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    weight_decouple : bool, default True
        Shrink the parameter by :math:`1 - \eta \lambda` before the step; if False, an
        L2 penalty in the gradient.
    fixed_decay : bool, default False
        Shrink by :math:`1 - \lambda`, whatever `lr` is; needs `weight_decouple`.
    rectify : bool, default True
        Multiply by :math:`r_t`; not with ``like="paper"``.
    degenerated_to_sgd : bool, default True
        Where `rectify` finds :math:`\rho_t < 5`, step by :math:`\eta\, m_t /
        (1 - \beta_1^t)`; if False do not step, but decay.
    amsgrad : bool, default False
        Use the largest :math:`s` so far under the root.
    like : {"official", "paper"}
        ``"paper"``: Algorithm 2, above, whatever `rectify` says.
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
    State: two arrays (`m`, `s`), 8 bytes for each float32 element, of which a step
    moves 28; with `amsgrad` three (`smax`), 12 and 36. Agrees with adabelief-pytorch
    0.2.1 up to rounding, but honours `amsgrad` together with `rectify`, where that
    ignores it, and takes all options for each group. In float32, 1e-16 has no effect
    beside :math:`s` above 2e-9.

    References
    ----------
    Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in observed
    gradients", arXiv:2010.07468, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.AdaBelief(w, lr=0.1, like="paper")
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.671803, -0.707341])
    """

    rules = ("adabelief", "adabelief_amsgrad")

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps_acc: float = real(default=1e-16)
    eps_out: float = real(default=1e-16, into="eps")
    weight_decay: float = real(default=0.0)
    weight_decouple: bool = flag(default=True, into="decoupled")
    fixed_decay: bool = flag(default=False, into="fixed")
    rectify: bool = flag(default=True, into="rectify")
    degenerated_to_sgd: bool = flag(default=True, into="degenerated")
    amsgrad: bool = flag(default=False)
    # After `rectify`, whose number it replaces.
    like: str = forms(default="official", official={}, paper={"rectify": 0.0})

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        if group["fixed_decay"] and not group["weight_decouple"]:
            raise ValueError(
                "AdaBelief: fixed_decay=True needs weight_decouple=True, got False"
            )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["amsgrad"]]
