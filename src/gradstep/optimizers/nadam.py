"""NAdam and RAdam."""

from gradstep.hyper import flag, forms, pair, real
from gradstep.optimizer import Optimizer


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's momentum.

    With the gradient :math:`g_t`, :math:`m_0 = v_0 = 0`, momentum decay :math:`\psi`
    and elementwise operations,

    .. math::
        \mu_t &= \beta_1 (1 - \tfrac12 0.96^{t \psi}), \qquad
            P_t = \mu_1 \cdots \mu_t \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
            v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        p_t &= p_{t-1} - \eta
            \frac{\frac{1 - \mu_t}{1 - P_t} g_t
                  + \frac{\mu_{t+1}}{1 - P_{t+1}} m_t}
                 {\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \varepsilon}

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
        Added to the root, in [0, inf). With 0, an element whose gradients have all been
        0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
    momentum_decay : float, default 4e-3
        :math:`\psi`, in [0, inf).
    like : {"torch", "paper", "optax"}
        ``"paper"``: :math:`\mu_t` takes the place of :math:`\beta_1` in :math:`m_t`,
        and the root is of :math:`\beta_2 v_t`. ``"optax"``: :math:`\mu_t = \beta_1`.
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
    State: two arrays (`m`, `v`), 8 bytes for each float32 element, and for each array
    the number `mu_product`; a step moves 28. Agrees with ``torch.optim.NAdam`` up to
    rounding, but keeps :math:`P_t` in float64, torch in float32.

    References
    ----------
    Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.NAdam(w, lr=0.5)
    >>> for _ in range(3):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 1.802442, -0.857725])
    """

    rules = ("nadam",)

    lr: float = real(default=2e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
    momentum_decay: float = real(default=4e-3)
    like: str = forms(
        default="torch",
        torch={"warm": 0.5, "dozat": 0.0},
        paper={"warm": 0.5, "dozat": 1.0},
        optax={"warm": 0.0, "dozat": 0.0},
    )


def _rectified(
    threshold: float,
    inclusive: bool = False,
    momentum_below: bool = True,
    eps_hat: bool = True,
) -> dict[str, float]:
    """Return the numbers of RAdam's rule in which codes differ."""
    return {
        "threshold": threshold,
        "inclusive": inclusive,
        "momentum_below": momentum_below,
        "eps_hat": eps_hat,
    }


class RAdam(Optimizer):
    r"""RAdam: Adam, rectified while its second moment rests on few gradients.

    The first steps (5 with the default `betas`) are those of SGD with momentum, of size
    `lr` times the gradient: they diverge where gradients are large, as on Beale's
    function at ``lr=0.1``, which suits Adam. Pass ``like="official"``, which waits
    instead, or warm up from a smaller `lr`.

    With :math:`\hat m_t` and :math:`v_t` as in `Adam`,
    :math:`\rho_\infty = 2/(1 - \beta_2) - 1` and
    :math:`\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)`, where
    :math:`\rho_t > 5`

    .. math::
        r_t &= \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
                         {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \\
        p_t &= p_{t-1} - \eta\, r_t \hat m_t
               \frac{\sqrt{1 - \beta_2^t}}{\sqrt{v_t} + \varepsilon}

    and before, :math:`p_t = p_{t-1} - \eta\, \hat m_t`.

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
        Added to the root, in [0, inf); none in the paper. With 0, an element whose
        gradients have all been 0 stays.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf): an L2 penalty in the gradient,
        :math:`g_t + \lambda p_{t-1}`.
    decoupled_weight_decay : bool, default False
        Shrink the parameter by :math:`1 - \eta \lambda` before the step instead.
    like : {"torch", "paper", "official", "optax"}
        ``"paper"``: where :math:`\rho_t > 4`. ``"official"``, the authors' code: where
        :math:`\rho_t \ge 5`, and before nothing moves or decays. ``"optax"``: where
        :math:`\rho_t \ge 5`, and :math:`\varepsilon` is added to
        :math:`\sqrt{v_t / (1 - \beta_2^t)}`.
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
    State: two arrays (`m`, `v`), 8 bytes for each float32 element; a step moves 28.
    Agrees with ``torch.optim.RAdam`` up to rounding. The authors' code decouples the
    decay. Where :math:`\rho_\infty \le 4` (:math:`\beta_2 \le 0.6`), :math:`r_t` is
    never defined, and no step is rectified.

    References
    ----------
    Liu et al., "On the variance of the adaptive learning rate and beyond",
    arXiv:1908.03265, Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.RAdam(w, lr=0.1)
    >>> for _ in range(10):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> w.round(6)
    array([ 0.590797, -0.389157])
    """

    rules = ("radam",)

    lr: float = real(default=1e-3, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.999), into=("beta1", "beta2"), below=1
    )
    eps: float = real(default=1e-8)
    weight_decay: float = real(default=0.0)
    decoupled_weight_decay: bool = flag(default=False, into="decoupled")
    like: str = forms(
        default="torch",
        torch=_rectified(threshold=5),
        paper=_rectified(threshold=4),
        official=_rectified(threshold=5, inclusive=True, momentum_below=False),
        optax=_rectified(threshold=5, inclusive=True, eps_hat=False),
    )
