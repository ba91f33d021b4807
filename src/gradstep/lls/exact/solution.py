"""What `solve` returns."""

from dataclasses import dataclass

from gradstep.structure import Array


@dataclass(frozen=True, eq=False)
class Solution:
    r"""An exact least-squares solution, and what is known of the problem.

    The matrix of which `rank` and `condition` speak is that of the problem: rows times
    :math:`\sqrt{s_i}`, means subtracted if there is an intercept,
    :math:`\sqrt{\text{ridge}}\, I` below if there is a ridge, and each column divided
    by a power of two near its norm, so that units of features make no difference.

    Attributes
    ----------
    coef : ndarray, shape (L,) or (L, K)
        W, of the type of X.
    intercept : float, or ndarray of shape (K,)
        b; zero if none was asked for.
    rank : int or None
        The numerical rank; None for ``"cg"``, which does not know it. With a ridge on
        fewer rows than columns, the directions without data count too.
    singular_values : ndarray, shape (min(N, L),), or None
        Of the rows times :math:`\sqrt{s_i}`, less means, without ridge and without
        division by norms; in descending order. Only from ``"svd"``.
    condition : float or None
        The condition number, inf if the rank is less than L: from ``"svd"`` in the
        2-norm; otherwise an estimate, from ``"cg"`` often too low, and in the
        directions alone that y has a part in. None without columns or targets.
    residual : float, or ndarray of shape (K,)
        :math:`\sum_i s_i (x_i W + b - y_i)^2`, without the ridge. From ``"normal"`` it
        is a difference, with an error of some :math:`10^{-16} \sum_i s_i y_i^2`.
    method : str
        The method that was used.
    converged : bool
        False if ``"cg"`` ended at its limit of iterations, or rounding kept it from a
        gradient of 0, as means of sparse X do that are large beside its deviations.
    """

    coef: Array
    intercept: float | Array
    rank: int | None
    singular_values: Array | None
    condition: float | None
    residual: float | Array
    method: str
    converged: bool = True
