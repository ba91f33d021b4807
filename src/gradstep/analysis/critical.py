"""Where a gradient is 0: what the Hessian tells."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigvalsh

from gradstep.analysis.values import RTOL, Floats, floats


class CriticalPoint(NamedTuple):
    """What `classify_critical_point` found: a kind, and eigenvalues that ascend."""

    kind: str
    eigenvalues: Floats


def classify_critical_point(
    hessian: npt.ArrayLike, *, rtol: float = 1e-10
) -> CriticalPoint:
    r"""Tell by the Hessian what a point is where the gradient is 0.

    Parameters
    ----------
    hessian : array_like of shape (n, n)
        The second derivatives, finite. Where continuous they are symmetric (Schwarz's
        theorem); what is not, by more than `rtol` of the largest entry, is refused.
    rtol : float, default 1e-10
        In [0, 1). Eigenvalues come out within some :math:`2 \cdot 10^{-16} n` of the
        largest; the rest is for errors of entries. Differences of gradients need 1e-6.

    Returns
    -------
    CriticalPoint
        `eigenvalues`, of shape (n,), ascending; and `kind`. With those of magnitude
        :math:`|\lambda| \le \mathrm{rtol} \max_i |\lambda_i|` counted as 0, it is
        ``"saddle"`` if some are positive and some negative; else ``"degenerate"`` if
        one is 0, so that second derivatives do not tell; else ``"minimum"`` if they are
        positive, ``"maximum"`` if they are negative.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    References
    ----------
    Nocedal & Wright, "Numerical Optimization", Springer, 2006, section 2.1.

    Examples
    --------
    >>> from gradstep.analysis import classify_critical_point
    >>> from gradstep.testfunctions import himmelblau, saddle
    >>> classify_critical_point(himmelblau.hessian([3.0, 2.0])).kind
    'minimum'
    >>> kind, eigenvalues = classify_critical_point(saddle.hessian([0.0, 0.0]))
    >>> kind, eigenvalues.tolist()
    ('saddle', [-2.0, 2.0])
    """
    owner = "analysis.classify_critical_point"
    H = floats(f"{owner}: hessian", hessian)
    if H.ndim != 2 or H.shape[0] != H.shape[1] or not H.size:
        raise ValueError(f"{owner}: hessian must have shape (n, n), got {H.shape}")
    allowed = RTOL.check(owner, "rtol", rtol)
    apart = np.abs(H - H.T)
    if apart.max() > allowed * np.abs(H).max():
        i, j = np.unravel_index(apart.argmax(), H.shape)
        raise ValueError(
            f"{owner}: hessian must be symmetric, got {H[i, j]} at [{i}, {j}] and "
            f"{H[j, i]} at [{j}, {i}]; look for an error, or pass a larger rtol"
        )
    found = eigvalsh(H)
    least = allowed * np.abs(found).max()
    positive, negative = found > least, found < -least
    if positive.any() and negative.any():
        return CriticalPoint("saddle", found)
    if not (positive | negative).all():
        return CriticalPoint("degenerate", found)
    return CriticalPoint("minimum" if positive.all() else "maximum", found)
