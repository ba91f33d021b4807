"""Schedule-free SGD, AdamW and RAdam."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstep._core import ieee
from gradstep.hyper import choice, flag, forms, pair, real, whole
from gradstep.optimizers.averaging import Averaging

LEAST_BETA = 0.01


class Interpolating(Averaging):
    """What the three rules share: `y` in the parameter, `z` in a state."""

    direct = ("lr", "weight_decay")  # the momentum must not change

    @classmethod
    def beta(cls, group: Mapping[str, Any]) -> float:
        """Return the weight of the average in the parameter."""
        return float(group["betas"][0])

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        if not cls.beta(group) >= LEAST_BETA:
            name = "momentum" if "momentum" in group else "beta1"
            raise ValueError(
                f"{cls.__name__}: {name} must be in [{LEAST_BETA}, 1), got "
                f"{cls.beta(group)}; the average is lost in rounding below"
            )

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        # The parameter lies between two points in this proportion.
        return {"momentum" if "momentum" in group else "beta1": cls.beta(group)}

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        at_z = float(group["decay_at"] == "z")
        return {**super().numbers(group), "decay_at_z": at_z}

    @ieee
    def _average_into(self, points: tuple[Any, ...]) -> None:
        weights = [{"weight": 1 - 1 / self.beta(group)} for group in self._groups]
        engine = self._engine_over(points, "schedulefree_point", ("z",), weights)
        engine.step(self._exact())
        for i, (point, p) in enumerate(zip(points, self._parameters(), strict=True)):
            if self._engine.get_t(i) == 0:  # z begins at the first step
                np.copyto(point, p)


class ScheduleFreeSGD(Interpolating):
    r"""Schedule-free SGD: an average of iterates in the place of a schedule.

    The parameter is :math:`y_t`, at which gradients :math:`g_t` are taken. With
    :math:`z_0 = x_0 = y_0`, momentum :math:`\beta` and
    :math:`\gamma_t = \eta \min(1, t / T)`,

    .. math::
        z_t &= z_{t-1} - \gamma_t (g_t + \lambda y_{t-1}) \\
        x_t &= (1 - c_t) x_{t-1} + c_t z_t, \qquad
            c_t = w_t / \textstyle\sum_{i \le t} w_i, \quad
            w_t = t^r \max_{i \le t} \gamma_i^q \\
        y_t &= (1 - \beta) z_t + \beta x_t

    :math:`x_t` is the result: `eval_params`, or `eval` and `train`. Nobody else must
    change the parameters between steps, since :math:`x_t` is found from them.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1
        Learning rate :math:`\eta`, in [0, inf); larger than for SGD, and constant.
    momentum : float, default 0.9
        :math:`\beta`, in [0.01, 1). It cannot change after a step.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    decay_at : {"y", "z"}
        Decay by :math:`\lambda y_{t-1}` or :math:`\lambda z_{t-1}`.
    warmup_steps : int, default 0
        :math:`T`: the rate rises linearly over so many steps.
    r : float, default 0
        Power :math:`r` of the step in the weights, in [0, 32].
    weight_lr_power : float, default 2
        Power :math:`q` of the largest rate so far in the weights, in [0, 8].
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
    State: one array (`z`), 4 bytes for each float32 element, of which a step moves 20;
    and for each array, not each group, the numbers `weight_sum` and `lr_max`. Agrees
    with the authors' SGDScheduleFree up to rounding. That needs ``train()`` before the
    first step and writes to gradients; its ``eval()`` and ``train()`` do not give back
    the same bits, these do, for a copy of the parameters while in evaluation.

    References
    ----------
    Defazio et al., "The road less scheduled", arXiv:2405.15682.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.ScheduleFreeSGD(w, lr=0.25)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> opt.eval_params().round(6)
    array([-0.11569 ,  0.077126])
    """

    rules = ("schedulefree_sgd",)

    lr: float = real(default=1.0, kw_only=False)
    momentum: float = real(default=0.9, below=1)
    weight_decay: float = real(default=0.0)
    decay_at: str = choice("z", default="y")
    warmup_steps: int = whole(default=0)
    r: float = real(default=0.0, high=32.0)
    weight_lr_power: float = real(default=2.0, high=8.0)

    @classmethod
    def beta(cls, group: Mapping[str, Any]) -> float:
        return float(group["momentum"])


class ScheduleFreeAdamW(Interpolating):
    r"""Schedule-free AdamW: an average of iterates in the place of a schedule.

    As `ScheduleFreeSGD`, with :math:`\beta = \beta_1`, :math:`v_0 = 0` and

    .. math::
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        z_t &= z_{t-1} - \gamma_t \left( \frac{g_t}
            {\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \varepsilon} + \lambda y_{t-1} \right)

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 2.5e-3
        Learning rate :math:`\eta`, in [0, inf); larger than for AdamW, and constant.
    betas : (float, float), default (0.9, 0.999)
        :math:`\beta_1` in [0.01, 1), :math:`\beta_2` in [0, 1). :math:`\beta_1` cannot
        change after a step.
    eps : float, default 1e-8
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    decay_at : {"y", "z"}
        Decay by :math:`\lambda y_{t-1}` or :math:`\lambda z_{t-1}`.
    warmup_steps : int, default 0
        The rate rises linearly over so many steps.
    r : float, default 0
        Power of the step in the weights, in [0, 32].
    weight_lr_power : float, default 2
        Power of the largest rate so far in the weights, in [0, 8].
    inner_momentum : float, default 0
        If above 0, :math:`g_t` over the root is replaced by its running mean with this
        decay rate, in [0, 1), corrected for bias.
    like : {"official", "first"}
        ``"first"``, the paper's first version: :math:`\sqrt{v_t} + \varepsilon` is the
        denominator, and :math:`\gamma_t` is multiplied by :math:`\sqrt{1 - \beta_2^t}`.
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
    State: two arrays (`z`, `v`), 8 bytes for each float32 element, of which a step
    moves 28; with `inner_momentum` three (`m`), 12 and 36; and for each array the
    numbers `weight_sum` and `lr_max`. Agrees with the authors' AdamWScheduleFree up to
    rounding; `ScheduleFreeSGD` says how it differs.

    References
    ----------
    Defazio et al., "The road less scheduled", arXiv:2405.15682, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.ScheduleFreeAdamW(w, lr=0.5)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> opt.eval_params().round(6)
    array([ 0.77633 , -0.101376])
    """

    rules = ("schedulefree_adamw", "schedulefree_adamw_inner")

    lr: float = real(default=2.5e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decay_at: str = choice("z", default="y")
    warmup_steps: int = whole(default=0)
    r: float = real(default=0.0, high=32.0)
    weight_lr_power: float = real(default=2.0, high=8.0)
    inner_momentum: float = real(default=0.0, below=1)
    like: str = forms(
        default="official", official={"eps_hat": 0.0}, first={"eps_hat": 1.0}
    )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["inner_momentum"] > 0]

    @classmethod
    def fixed(cls, group: Mapping[str, Any]) -> dict[str, Any]:
        inner = {"whether inner_momentum is 0": not group["inner_momentum"]}
        return super().fixed(group) | inner


class ScheduleFreeRAdam(Interpolating):
    r"""Schedule-free RAdam: `ScheduleFreeAdamW` that warms up by itself.

    With :math:`r_t` and :math:`\rho_t` of `RAdam`, where :math:`\rho_t > 4`

    .. math::
        \gamma_t = \eta\, r_t

    and before, nothing but :math:`v` moves.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 2.5e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        :math:`\beta_1` in [0.01, 1), :math:`\beta_2` in [0, 1). :math:`\beta_1` cannot
        change after a step.
    eps : float, default 1e-8
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    decay_at : {"y", "z"}
        Decay by :math:`\lambda y_{t-1}` or :math:`\lambda z_{t-1}`.
    r : float, default 0
        Power of the step in the weights, in [0, 32].
    weight_lr_power : float, default 2
        Power of the largest rate so far in the weights, in [0, 8].
    silent_sgd_phase : bool, default True
        If False, steps with :math:`\rho_t \le 4` are those of `ScheduleFreeSGD`.
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
    State: two arrays (`z`, `v`), 8 bytes for each float32 element, of which a step
    moves 28; and for each array the numbers `weight_sum` and `lr_max`. Agrees with the
    authors' RAdamScheduleFree up to rounding; `ScheduleFreeSGD` says how it differs.

    References
    ----------
    Defazio et al., "The road less scheduled", arXiv:2405.15682.
    Liu et al., "On the variance of the adaptive learning rate and beyond",
    arXiv:1908.03265.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.ScheduleFreeRAdam(w, lr=0.5)
    >>> for _ in range(20):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> opt.eval_params().round(6)
    array([ 2.728539, -1.731902])
    """

    rules = ("schedulefree_radam",)

    lr: float = real(default=2.5e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decay_at: str = choice("z", default="y")
    r: float = real(default=0.0, high=32.0)
    weight_lr_power: float = real(default=2.0, high=8.0)
    silent_sgd_phase: bool = flag(default=True, into="silent")
