"""Adam and AdamW, with their AMSGrad variants, and Adamax."""

from collections.abc import Mapping
from typing import Any

from gradstep.hyper import flag, forms, pair, real
from gradstep.optimizer import Optimizer


class Adam(Optimizer):
    r"""Adam: steps scaled by running means of the gradient and of its square.

    With the gradient :math:`g_t` (plus :math:`\lambda p_{t-1}` for `weight_decay`
    :math:`\lambda`), :math:`m_0 = v_0 = 0` and elementwise operations,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        p_t &= p_{t-1} - \frac{\eta}{1 - \beta_1^t}
               \frac{m_t}{\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \varepsilon}

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
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda` in the gradient, in [0, inf). See `AdamW` for decay
        of the parameter itself.
    eps_root : float, default 0
        Added under the root, to :math:`v_t / (1 - \beta_2^t)`, in [0, inf).
    eps_hat : bool, default False
        Add `eps` to :math:`\sqrt{v_t}`, before its bias is corrected: the
        :math:`\hat\varepsilon` of the paper's section 2.
    bias_correction : bool, default True
        If False, :math:`m_t` and :math:`v_t` are used as they are.
    amsgrad : bool, default False
        Use the largest :math:`v` so far under the root. For Reddi et al.'s own form
        pass ``bias_correction=False, eps=0``.
    like : {"torch", "optax"}
        For `amsgrad`: correct the bias of the largest :math:`v_t`, or take the largest
        :math:`v_t / (1 - \beta_2^t)`, which never shrinks.
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
    moves 28; with `amsgrad` three (`vmax`), 12 and 36. Agrees with ``torch.optim.Adam``
    up to rounding; the result has the same bits on every CPU, for every number of
    threads.

    References
    ----------
    Kingma & Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980.
    Reddi, Kale & Kumar, "On the convergence of Adam and beyond", ICLR 2018.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Adam(w, lr=0.1)
    >>> for _ in range(200):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> bool(abs(w).max() < 1e-2)
    True
    """

    rules = ("adam", "adam_amsgrad")

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    eps_root: float = real(default=0.0)
    eps_hat: bool = flag(default=False, into="eps_hat")
    bias_correction: bool = flag(default=True, into="bias_correction")
    amsgrad: bool = flag(default=False)
    like: str = forms(
        default="torch", torch={"max_corrected": 0.0}, optax={"max_corrected": 1.0}
    )

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["amsgrad"]]


class AdamW(Adam):
    r"""AdamW: Adam, with weight decay taken from the parameter instead of the gradient.

    .. math::
        p_t = (1 - \eta \lambda) p_{t-1} - \frac{\eta}{1 - \beta_1^t}
              \frac{m_t}{\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \varepsilon}

    with :math:`m_t` and :math:`v_t` of `Adam` without its penalty.

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
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 1e-2
        :math:`\lambda`, in [0, inf). As in torch it is multiplied by `lr`; the paper's
        own :math:`\lambda` is not.
    fixed_decay : bool, default False
        Shrink the parameter by :math:`1 - \lambda`, whatever `lr` is.
    eps_root : float, default 0
        Added under the root, to :math:`v_t / (1 - \beta_2^t)`, in [0, inf).
    eps_hat : bool, default False
        Add `eps` to :math:`\sqrt{v_t}`, before its bias is corrected: the
        :math:`\hat\varepsilon` of the paper's section 2.
    bias_correction : bool, default True
        If False, :math:`m_t` and :math:`v_t` are used as they are.
    amsgrad : bool, default False
        Use the largest :math:`v` so far under the root. For Reddi et al.'s own form
        pass ``bias_correction=False, eps=0``.
    like : {"torch", "optax"}
        For `amsgrad`: correct the bias of the largest :math:`v_t`, or take the largest
        :math:`v_t / (1 - \beta_2^t)`, which never shrinks.
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
    moves 28; with `amsgrad` three (`vmax`), 12 and 36. Agrees with
    ``torch.optim.AdamW`` up to rounding; the result has the same bits on every CPU, for
    every number of threads.

    References
    ----------
    Loshchilov & Hutter, "Decoupled weight decay regularization", arXiv:1711.05101,
    Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> params = {"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}
    >>> opt = gs.AdamW(params, lr=1e-2, weight_decay=0.1)
    >>> opt.step({"w": np.ones((2, 3), np.float32), "b": None})
    >>> params["w"][0, 0], params["b"][0]
    (np.float32(0.989), np.float32(0.0))
    """

    rules = ("adamw", "adamw_amsgrad")

    weight_decay: float = real(default=1e-2)
    fixed_decay: bool = flag(default=False, into="fixed")


class Adamax(Optimizer):
    r"""Adamax: Adam by the largest gradient of late instead of the mean square.

    With the gradient :math:`g_t`, :math:`m_0 = u_0 = 0` and elementwise operations,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        u_t &= \max(\beta_2 u_{t-1}, |g_t| + \varepsilon) \\
        p_t &= p_{t-1} - \frac{\eta}{1 - \beta_1^t} \frac{m_t}{u_t}

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 2e-3
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2`, each in [0, 1).
    eps : float, default 1e-8
        Added to the gradient's size, in [0, inf); none in the paper. With 0, an element
        whose gradients have all been 0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
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
    State: two arrays (`m`, `u`), 8 bytes for each float32 element; a step moves 28.
    Agrees with ``torch.optim.Adamax`` up to rounding.

    References
    ----------
    Kingma & Ba, "Adam: a method for stochastic optimization", arXiv:1412.6980,
    Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0, 1.0])
    >>> opt = gs.Adamax(w, lr=0.5, eps=0.0)
    >>> opt.step(np.array([3.0, -100.0]))
    >>> w
    array([0.5, 1.5])
    """

    rules = ("adamax",)

    lr: float = real(default=2e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
