"""`solve`: the exact solution, by the method that is asked for."""

import warnings
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradstep._core import ieee
from gradstep.lls.csr import is_sparse
from gradstep.lls.exact import options as arguments
from gradstep.lls.exact import tall
from gradstep.lls.exact.solution import Solution
from gradstep.lls.exact.tall import Shape
from gradstep.lls.files import Source


@ieee
def solve(
    X: npt.ArrayLike | Iterable[tuple[npt.ArrayLike, ...]] | Source,
    y: npt.ArrayLike | None = None,
    *,
    method: Literal["svd", "qr", "normal", "cg"] | None = None,
    intercept: bool = False,
    ridge: float = 0.0,
    sample_weight: npt.ArrayLike | None = None,
    rcond: float | None = None,
) -> Solution:
    r"""Return the exact least-squares solution, of arrays or of blocks in one pass.

    It minimises

    .. math::
        \sum_i s_i \lVert x_i W + b - y_i \rVert^2 + \text{ridge} \lVert W \rVert^2

    over W, and over b if there is an intercept, which the ridge leaves alone.

    Parameters
    ----------
    X : array_like or SciPy sparse array, shape (N, L); iterable of blocks; or file
        Blocks are tuples (X, y) or (X, y, sample_weight) of consecutive rows, each read
        once: they need not fit into memory together, and how rows are cut into blocks
        does not matter. A file is anything with the members of `Source`.
    y : array_like, shape (N,) or (N, K)
        None with blocks or a file.
    method : {"svd", "qr", "normal", "cg"}, optional
        ``"svd"``, for arrays by default: singular values; if there are several
        solutions, that of least norm.
        ``"qr"``, for blocks by default: QR factorisation with pivoting; if there are
        several solutions, one with zeros, and a warning.
        ``"normal"``: normal equations, by Cholesky factorisation. Half the operations
        of ``"qr"`` for N far above L; errors grow with the square of the condition of
        X, and several solutions are refused.
        Of sparse X, with at most 4096 columns, some rows at a time are made dense.
        ``"cg"``, for sparse X by default: LSMR, a form of conjugate gradients that does
        not square the condition. Not for blocks; of sparse X nothing is made dense.
    intercept : bool, default False
        Whether to fit b.
    ridge : float, default 0
        In [0, inf).
    sample_weight : array_like, shape (N,), optional
        :math:`s_i`, finite and at least 0, not all 0; ones by default. In blocks it
        goes with its rows.
    rcond : float, optional
        In [0, 1): what is smaller than rcond times the largest singular value (for
        ``"qr"``, diagonal element) counts as zero; ``"normal"`` refuses a condition of
        1 / rcond. By default the larger of :math:`2^{-52} \max(N, L)` and, for float32
        X, :math:`2^{-23} \sqrt L`. Not for ``"cg"``.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a value is not finite.
    numpy.linalg.LinAlgError
        If X has no full rank, or nearly so, and the method is ``"normal"``.
    FloatingPointError
        If numbers are so large that sums of squares or results overflow.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        If X has no full rank and the method is ``"qr"``, or if ``"cg"`` did not
        converge.

    Notes
    -----
    Arithmetic is in float64, results are of the type of X (float32 or float64). The
    intercept is found by subtracting means, the ridge by rows
    :math:`\sqrt{\text{ridge}}\, I`. Columns are divided by powers of two near their
    norms before a rank is determined, and ``"svd"`` has the least norm in the columns
    as they were. One pass over blocks keeps :math:`O((L + K)^2)` numbers and some 8 MiB
    of rows, in ``"normal"`` the products of centred columns, otherwise a triangular
    factor.

    References
    ----------
    Å. Björck, "Numerical Methods for Least Squares Problems", SIAM, 1996.

    J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
    sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012).

    T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the sample variance:
    analysis and recommendations", The American Statistician 37 (1983).

    D. Fong, M. Saunders, "LSMR: an iterative algorithm for sparse least-squares
    problems", SIAM J. Sci. Comput. 33 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from gradstep import lls
    >>> X = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 4.0], [3.0, 9.0]])
    >>> y = X @ [2.0, -1.0] + 5.0
    >>> line = lls.solve(X, y, intercept=True)
    >>> line.coef.round(9), round(line.intercept, 9), line.rank
    (array([ 2., -1.]), 5.0, 2)
    >>> blocks = ((X[i : i + 2], y[i : i + 2]) for i in (0, 2))
    >>> lls.solve(blocks, intercept=True).coef.round(9)
    array([ 2., -1.])
    """
    # SciPy's linear algebra is heavy, and only needed here.
    from gradstep.lls.exact import methods  # noqa: PLC0415

    options = arguments.checked(method, intercept, ridge, rcond)
    given: Any = X
    if y is None:
        if sample_weight is not None:
            raise TypeError(
                "solve: sample_weight must be None without y; in blocks it is the "
                "third of (X, y, sample_weight)"
            )
        options = options.chosen("blocks", ("qr", "svd", "normal"))
        shape, found, b = methods.by_factors(tall.blocks_of(given), options)
    elif is_sparse(given):
        options = options.chosen("sparse X", ("cg", "normal"))
        shape, found, b = methods.from_sparse(given, y, sample_weight, options)
    else:
        options = options.chosen("arrays", arguments.METHODS)
        tall.refuse_blocks(given)
        data = iter([tall.checked("solve: ", given, y, sample_weight)])
        by = methods.by_iteration if options.method == "cg" else methods.by_factors
        shape, found, b = by(data, options)
    solution = _solution(found, b, shape, str(options.method))
    warning = found.warning(str(options.method))
    if warning:
        warnings.warn(warning, methods.LinAlgWarning, stacklevel=2)
    return solution


def _solution(found: Any, intercepts: Any, shape: Shape, method: str) -> Solution:
    """Return what was found in the shapes and the type that were asked for."""
    with np.errstate(over="ignore"):
        coef = np.ascontiguousarray(found.coef, shape.dtype)
        b = intercepts.astype(shape.dtype)
    for name, a in (("coef", coef), ("intercept", b), ("residual", found.residual)):
        if not np.isfinite(a).all():
            raise FloatingPointError(
                f"solve: {name} overflows; divide y, or multiply X, by a power of two"
            )
    single = shape.targets is None
    return Solution(
        coef=coef[:, 0] if single else coef,
        intercept=float(intercepts[0]) if single else b,
        rank=found.rank,
        singular_values=found.singular_values,
        condition=found.condition,
        residual=float(found.residual[0]) if single else found.residual,
        method=method,
        converged=found.converged,
    )
