"""Signum and signSGD."""

from gradstep.hyper import real
from gradstep.optimizer import Optimizer


class Signum(Optimizer):
    r"""Signum: steps by the sign of a running mean of the gradient.

    With the gradient :math:`g_t`, :math:`m_0 = 0`, momentum :math:`\beta` and
    elementwise operations,

    .. math::
        m_t &= \beta m_{t-1} + (1 - \beta) g_t \\
        p_t &= (1 - \eta \lambda) p_{t-1} - \eta \operatorname{sign}(m_t)

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32, float64, bfloat16 or float16, C- or Fortran-contiguous; updated in
        place by `step`.
    lr : float, default 1e-4
        Learning rate :math:`\eta`, in [0, inf): the size of every step.
    momentum : float, default 0.9
        :math:`\beta`, in [0, 1); 0 is signSGD.
    weight_decay : float, default 0
        :math:`\lambda`, in [0, inf).
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
    :math:`m_t` is 0 the step is 0; where it is NaN the parameter becomes NaN.

    References
    ----------
    Bernstein, Wang, Azizzadenesheli & Anandkumar, "signSGD: compressed optimisation for
    non-convex problems", arXiv:1802.04434, Algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Signum(w, lr=0.5)
    >>> opt.step(np.array([7.0, -0.1]))
    >>> w
    array([ 2.5, -1.5])
    """

    rules = ("signum",)

    lr: float = real(default=1e-4, kw_only=False)
    momentum: float = real(default=0.9, below=1)
    weight_decay: float = real(default=0.0)
