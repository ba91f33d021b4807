"""Gradients beside differences of their function."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradstep.analysis.values import RTOL, Floats, Function, floats, number, value_at
from gradstep.lls import arguments

# Lengths of steps, as parts of the size of an entry.
_STEPS = 8.0 ** -np.arange(1, 8)
_WRONG = 1e-3  # a relative error that must be found


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """What `check_gradient` found.

    Attributes
    ----------
    ok : bool
        Whether every entry of the gradient is within its tolerance.
    index : tuple of int
        The entry whose error is largest beside its tolerance.
    error, relative_error : float
        That error, and the same divided by the larger of the two entries.
    numeric, tolerance : ndarray of float64
        The gradient by differences, and what the error of each entry may be.
    undecided : ndarray of bool
        Where the tolerance is more than a thousandth of the entry, which may be wrong
        and yet within it: by rounding, or at 0, as at a minimum. Try another x, too.
    """

    ok: bool
    index: tuple[int, ...]
    error: float
    relative_error: float
    numeric: Floats
    tolerance: Floats
    undecided: npt.NDArray[np.bool_]


def check_gradient(
    fun: Function, grad: Function, x: npt.ArrayLike, *, rtol: float = 1e-5
) -> GradientCheck:
    r"""Compare a gradient with central differences of its function.

    .. math::
        D_i(h) = \frac{f(x + h e_i) - f(x - h e_i)}{2 h}
               = \partial_i f(x) + O(h^2) + O(\varepsilon |f| / h)

    Parameters
    ----------
    fun : callable
        ``fun(x)`` is a real number, or an array of one.
    grad : callable
        ``grad(x)`` is its gradient, an array of the shape of x.
    x : array_like
        Where to compare, of any shape, not empty; functions get copies, in float64.
    rtol : float, default 1e-5
        The relative error that `grad` may have of its own, in [0, 1).

    Returns
    -------
    GradientCheck
        With `ok`, the worst entry and its error, and the numeric gradient.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what a function returns, does not fit or is not finite; the
        message names it.

    Notes
    -----
    Long steps suffer from curvature, short ones from the rounding of values. So each
    entry gets seven, from :math:`|x_i| / 8` down by factors of 8, and if they tell too
    little, or :math:`x_i` is 0, seven from 1/8. Their errors are at most

    .. math::
        b(h) = \max \left( \frac{|D(8 h) - D(h)|}{7}, \; |D(h) - D(h / 8)| \right)
             + 4 \varepsilon \, \frac{|f(x + h e_i)| + |f(x - h e_i)|}{2 h}

    if they fall at least as h, which a kink within the steps can spoil, and values, in
    the type that `fun` returns, have four roundings. The step of least b is taken; the
    tolerance is :math:`b + \mathrm{rtol} \max(|g_i|, |D_i|)`.

    References
    ----------
    Gill, Murray & Wright, "Practical Optimization", Academic Press, 1981, section 8.6.

    Examples
    --------
    >>> from gradstep.analysis import check_gradient
    >>> from gradstep.testfunctions import beale
    >>> check_gradient(beale, beale.gradient, [1.5, 1e-4]).ok
    True
    >>> found = check_gradient(beale, lambda x: [1, 2] * beale.gradient(x), [1.5, 0.4])
    >>> found.ok, found.index, round(found.relative_error, 6)
    (False, (1,), 0.5)
    """
    owner = "analysis.check_gradient"
    for name, f in {"fun": fun, "grad": grad}.items():
        arguments.is_callable(f"{owner}: {name}", f, "scipy.optimize.rosen")
    at = floats(f"{owner}: x", x)
    if not at.size:
        raise ValueError(f"{owner}: x must have an entry, got shape {at.shape}")
    allowed = RTOL.check(owner, "rtol", rtol)
    given = floats(f"{owner}: what grad returns", grad(at.copy()))
    if given.shape != at.shape:
        raise ValueError(
            f"{owner}: grad must return the shape of x, {at.shape}, got {given.shape}"
        )
    value_at(owner, fun, at)

    def value(flat: Floats) -> Any:
        return number(owner, fun(flat.reshape(at.shape)))

    found = np.array([_derivative(value, at.ravel(), i) for i in range(at.size)])
    numeric, bound = found.T.reshape(2, *at.shape)
    for i in np.argwhere(np.isinf(bound)).tolist():
        raise ValueError(f"{owner}: fun must be finite around x, is not along {i}")
    return _compared(given, numeric, bound, allowed)


def _compared(
    given: Floats, numeric: Floats, bound: Floats, rtol: float
) -> GradientCheck:
    error = np.abs(given - numeric)
    size = np.maximum(np.abs(given), np.abs(numeric))
    tolerance = bound + rtol * size
    with np.errstate(over="ignore"):
        excess = error / np.maximum(tolerance, np.finfo(np.float64).tiny)
    worst = tuple(int(k) for k in np.unravel_index(excess.argmax(), excess.shape))
    return GradientCheck(
        ok=bool((error <= tolerance).all()),
        index=worst,
        error=float(error[worst]),
        relative_error=float(error[worst] / size[worst]) if size[worst] else 0.0,
        numeric=numeric,
        tolerance=tolerance,
        undecided=tolerance > _WRONG * size,
    )


def _derivative(value: Function, x: Floats, i: int) -> tuple[float, float]:
    """Return a partial derivative, and a bound of its error."""
    best = (0.0, np.inf)
    for size in (abs(x[i]), 1.0):
        if size:
            found = _difference(value, x, i, size)
            best = min(best, found, key=lambda pair: pair[1])
        # Steps that are no part of the entry may leave the domain of the function.
        if best[1] <= _WRONG / 10 * abs(best[0]):
            break
    return best


def _difference(value: Function, x: Floats, i: int, size: float) -> tuple[float, float]:
    """Return the central difference of the best step, and a bound of its error."""
    # Not by scipy: of 1.13, only forward differences are public.
    slope, rounding = np.empty_like(_STEPS), np.empty_like(_STEPS)
    with np.errstate(all="ignore"):  # at points that the user did not ask for
        for k, h in enumerate(size * _STEPS):
            points = np.stack([x, x])
            points[:, i] += h, -h
            width = points[0, i] - points[1, i]
            ends = np.array([value(point) for point in points])
            eps = max(np.finfo(np.result_type(ends, np.float16)).eps, 2.0**-52)
            f = ends.astype(np.float64)
            slope[k] = (f[0] - f[1]) / width
            rounding[k] = 4 * eps * np.abs(f).sum() / width
        apart = np.abs(np.diff(slope))
        bound = np.maximum(apart[:-1] / 7, apart[1:]) + rounding[1:-1]
    bound[~np.isfinite(bound)] = np.inf
    best = int(bound.argmin())
    return float(slope[best + 1]), float(bound[best])
