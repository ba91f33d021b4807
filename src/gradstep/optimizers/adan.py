"""Adan."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from collections.abc import Mapping
from typing import Any, Unpack

from gradstep import storage
from gradstep.hyper import flag, forms, pair, real, setting
from gradstep.optimizer import Optimizer
from gradstep.scaling import Scaling
from gradstep.structure import Grads


class Adan(Optimizer):
    r"""Adan: Nesterov's momentum from differences of gradients, scaled as in Adam.

    With the gradient :math:`g_t`, :math:`d_t = g_t - g_{t-1}`, :math:`d_1 = 0`,
    :math:`m_0 = w_0 = n_0 = 0` and elementwise operations,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
            w_t = \beta_2 w_{t-1} + (1 - \beta_2) d_t \\
        n_t &= \beta_3 n_{t-1} + (1 - \beta_3) (g_t + \beta_2 d_t)^2 \\
        p_t &= \frac{1}{1 + \eta \lambda} \left( p_{t-1} - \eta
            \frac{m_t / (1 - \beta_1^t) + \beta_2 w_t / (1 - \beta_2^t)}
                 {\sqrt{n_t} / \sqrt{1 - \beta_3^t} + \varepsilon} \right)

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float, float), default (0.98, 0.92, 0.99)
        :math:`\beta_1, \beta_2, \beta_3`, each in [0, 1); as in the authors' code, 1
        minus those of the paper.
    eps : float, default 1e-8
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    no_prox : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead of
        dividing after it.
    max_grad_norm : float, default 0
        If above 0, gradients are scaled by `max_grad_norm` / (norm + `eps`) where that
        is below 1; the norm is that of all gradients together.
    restart_radius : float, default 0
        If above 0, :math:`R` of the paper's condition: a group starts anew, as by
        `restart`, after a step with
        :math:`t \sum_{i \le t} \sum \sqrt{n_i} (p_i - p_{i-1})^2 > R^2`, where the
        inner sum is over all its elements. Takes a copy of all parameters and three
        passes over them in each step. Paths are followed while it is above 0.
    like : {"official", "paper"}
        ``"paper"``: the means start at their first values, :math:`m_1 = g_1`,
        :math:`w_2 = d_2`, :math:`n_1 = g_1^2`, and no bias is corrected.
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
    State: four arrays (`m`, `w`, `n`, `prev`), 16 bytes for each float32 element, of
    which a step moves 44, and 4 more for `max_grad_norm`; and for each array the number
    `path`, of `restart_radius`. Agrees with the authors' code up to rounding; that
    writes to gradients when it clips, counts steps for a whole group, and takes `eps`
    of the last group for all when it clips.

    References
    ----------
    Xie, Zhou, Li, Lin & Yan, "Adan: adaptive Nesterov momentum algorithm for faster
    optimizing deep models", arXiv:2208.06677, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Adan(w, lr=0.1)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 2.004923, -1.010829])
    """

    rules = ("adan",)

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float, float] = pair(
        default=(0.98, 0.92, 0.99), into=("beta1", "beta2", "beta3"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    no_prox: bool = flag(default=False)
    max_grad_norm: float = setting(default=0.0)
    restart_radius: float = setting(default=0.0)
    like: str = forms(default="official", official={"paper": 0.0}, paper={"paper": 1.0})

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        return {**super().numbers(group), "prox": float(not group["no_prox"])}

    @classmethod
    def clipping(cls, group: Mapping[str, Any]) -> tuple[float, float]:
        return group["max_grad_norm"], group["eps"]

    def restart(self) -> None:
        """Forget all gradients, as if the next step were the first."""
        with self._engine:
            for j in range(len(self._groups)):
                self._restart(j)

    def _restart(self, j: int) -> None:
        for i in self._indices(j):
            self._engine.set_t(i, 0)
            self._engine.set_scalars(i, {"path": 0.0})
            for name in self._states[i].keys() - {storage.MASTER, storage.REMAINDER}:
                self._states[i][name].fill(0)

    def engine_is_step(self) -> bool:
        return not any(group["restart_radius"] for group in self._groups)

    def step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        if self.engine_is_step():
            super().step(grads, **how)
            return
        before = tuple(p.copy("K") for p in self._exact())
        super().step(grads, **how)
        if self.last_step.skipped:
            return
        with self._engine:
            self._settle_path(before)

    def _settle_path(self, before: tuple[Any, ...]) -> None:
        """Add the last step to each path; restart groups whose condition holds."""
        engine = self._engine_over(before, "adan_moved", ("n",), [])
        moved = engine.sums(self._exact())
        for j, group in enumerate(self._groups):
            steps, total = 0, 0.0
            for i in self._indices(j):
                path = self._engine.get_scalars(i)["path"] + moved[i][0]
                self._engine.set_scalars(i, {"path": path})
                steps, total = max(steps, self._engine.get_t(i)), total + path
            if steps * total > group["restart_radius"] ** 2 > 0:
                self._restart(j)
