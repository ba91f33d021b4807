"""Lion."""

from gradstep.hyper import pair, real
from gradstep.optimizer import Optimizer


class Lion(Optimizer):
    r"""Lion: steps of one size, along the sign of an interpolated momentum.

    With the gradient :math:`g_t`, :math:`m_0 = 0` and elementwise operations,

    .. math::
        c_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        p_t &= (1 - \eta \lambda) p_{t-1} - \eta \operatorname{sign}(c_t) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-4
        Learning rate :math:`\eta`, in [0, inf).
    betas : (float, float), default (0.9, 0.99)
        :math:`\beta_1, \beta_2`, each in [0, 1).
    weight_decay : float, default 0
        Decay :math:`\lambda` of the parameter itself, multiplied by `lr`; in [0, inf).
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
    State: one array (`m`), 4 bytes for each float32 element; a step moves 20. Where
    :math:`c_t` is 0 the step is 0; where it is NaN the parameter becomes NaN.

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675,
    Algorithm 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([1.0, -1.0])
    >>> opt = gs.Lion(w, lr=0.25)
    >>> opt.step(np.array([1e-9, -1e9]))
    >>> w
    array([ 0.75, -0.75])
    """

    rules = ("lion",)

    lr: float = real(default=1e-4, kw_only=False)
    betas: tuple[float, float] = pair(
        default=(0.9, 0.99), into=("beta1", "beta2"), below=1
    )
    weight_decay: float = real(default=0.0)
