"""LAMB and LARS, whose steps are scaled by norms of whole arrays."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import choice, flag, pair, real, setting
from gradstep.optimizer import Optimizer


class LAMB(Optimizer):
    r"""LAMB: Adam's directions, each array moved in proportion to its own norm.

    With :math:`m_t` and :math:`v_t` as in `Adam`, for each array :math:`p`,

    .. math::
        u_t &= \frac{m_t / (1 - \beta_1^t)}
            {\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \varepsilon} + \lambda p_{t-1} \\
        p_t &= p_{t-1} - \eta
            \frac{\lVert p_{t-1} \rVert}{\lVert u_t \rVert} u_t

    where the ratio of norms is 1 if either is 0.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2`, each in [0, 1).
    eps : float, default 1e-6
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0.01
        :math:`\lambda`, in [0, inf).
    decoupled_weight_decay : bool, default True
        As above; if False, :math:`\lambda p_{t-1}` is added to the gradient instead.
    bias_correction : bool, default True
        If False, :math:`m_t` and :math:`v_t` are taken as they are.
    adapt : bool, default True
        If False the ratio of norms is 1, as is usual for biases; give them a group.
    max_grad_norm : float, default 0
        If above 0, gradients are scaled by `max_grad_norm` over their norm where that
        is below 1; the norm is that of all gradients together. 1 in NVIDIA's code.
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
    State: two arrays (`m`, `v`), 8 bytes for each float32 element. A step makes two
    passes, of 24 and 16 bytes, and keeps no copy of :math:`u_t`. Squares for norms are
    summed in float64 in a fixed order; where they leave its range, in a further pass.

    References
    ----------
    You et al., "Large batch optimization for deep learning: training BERT in 76
    minutes", arXiv:1904.00962, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.LAMB(w, lr=0.1, weight_decay=0.0)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.287617, -0.343413])
    """

    rules = ("lamb",)

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-6)
    weight_decay: float = real(default=0.01)
    decoupled_weight_decay: bool = flag(default=True, into="decoupled")
    bias_correction: bool = flag(default=True, into="bias_correction")
    adapt: bool = flag(default=True, into="adapt")
    max_grad_norm: float = setting(default=0.0)

    @classmethod
    def clipping(cls, group: Mapping[str, Any]) -> tuple[float, float]:
        return group["max_grad_norm"], 0.0


class LARS(Optimizer):
    r"""LARS: momentum, with a learning rate for each array in proportion to its norm.

    With the gradient :math:`g_t`, trust coefficient :math:`\kappa`, momentum
    :math:`\mu` and :math:`b_0 = 0`, for each array :math:`p`,

    .. math::
        \ell_t &= \frac{\kappa \lVert p_{t-1} \rVert}
            {\lVert g_t \rVert + \lambda \lVert p_{t-1} \rVert + \varepsilon} \\
        b_t &= \mu b_{t-1} + \eta\, \ell_t (g_t + \lambda p_{t-1}) \\
        p_t &= p_{t-1} - b_t

    where :math:`\ell_t` is 1 if :math:`p_{t-1}` or :math:`g_t` (with ``norm="sum"``,
    the sum) is 0.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 0.1
        Learning rate :math:`\eta`, in [0, inf).
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1).
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
    trust_coefficient : float, default 1e-3
        :math:`\kappa`, in [0, inf).
    eps : float, default 0
        :math:`\varepsilon`, in [0, inf).
    norm : {"parts", "sum"}
        ``"sum"``: :math:`\lVert g_t + \lambda p_{t-1} \rVert` in the place of the sum
        of the two norms, as in optax.
    form : {"velocity", "buffer"}
        ``"buffer"``: :math:`\eta` multiplies :math:`b_t` in the last line and not the
        gradient, as in torch's momentum.
    adapt : bool, default True
        If False :math:`\ell_t` is 1, as is usual for biases; give them a group.
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
    State: one array (`b`), 4 bytes for each float32 element. A step makes two passes,
    of 8 and 20 bytes. Squares for norms are summed in float64 in a fixed order; where
    they leave its range, in a further pass.

    References
    ----------
    You, Gitman & Ginsburg, "Large batch training of convolutional networks",
    arXiv:1708.03888, Algorithm 1.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.LARS(w, lr=1.0, trust_coefficient=0.1)
    >>> for _ in range(3):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.458, -0.972])
    """

    rules = ("lars",)

    lr: float = real(default=0.1, kw_only=False)
    momentum: float = real(default=0.9, below=1)
    weight_decay: float = real(default=0.0)
    trust_coefficient: float = real(default=1e-3)
    eps: float = real(default=0.0)
    norm: str = choice("sum", default="parts")
    form: str = choice("buffer", default="velocity")
    adapt: bool = flag(default=True, into="adapt")

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        return {
            **super().numbers(group),
            "norm_of_sum": float(group["norm"] == "sum"),
            "lr_inside": float(group["form"] == "velocity"),
        }
