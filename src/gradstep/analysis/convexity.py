"""Chords of a function, none of which runs below it if it is convex."""

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradstep.analysis.values import RTOL, Floats, Function, floats, value_at
from gradstep.lls import arguments


class Chord(NamedTuple):
    """A chord that runs below a function: see `is_convex_on_samples`."""

    x1: Floats
    x2: Floats
    t: float
    left: float
    right: float


class Convexity(NamedTuple):
    """Whether no chord ran below the function, and else the one that ran farthest."""

    convex: bool
    counterexample: Chord | None


def is_convex_on_samples(
    fun: Function,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    *,
    n: int = 1024,
    seed: int = 0,
    rtol: float = 1e-9,
) -> Convexity:
    r"""Look for a chord that runs below a function, which then is not convex.

    It is convex if for all :math:`x_1, x_2` and :math:`t \in [0, 1]`

    .. math:: f(t x_1 + (1 - t) x_2) \le t f(x_1) + (1 - t) f(x_2).

    Random triples are tried. False comes with a counterexample; **True is no proof.**

    Parameters
    ----------
    fun : callable
        ``fun(x)``, for x in float64 of shape (d,), is a finite number in all the box.
    low, high : float or array_like of shape (d,)
        The box, finite, low below high. Of two numbers, d is 1.
    n : int, default 1024
        Chords to try, at least 1; each takes three values of `fun`.
    seed : int, default 0
        In [0, 2**64): the same seed gives the same chords.
    rtol : float, default 1e-9
        The relative error of values of `fun`, in [0, 1); 1e-5 suits float32.

    Returns
    -------
    Convexity
        `convex`, and `counterexample`: None, or what runs farthest below, with `x1` and
        `x2` of shape (d,), `t`, and the two sides, `left` and `right`.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `fun` returns, does not fit; the message names it.

    Notes
    -----
    One end is uniform in the box; the other is on the way to another such point, at
    :math:`2^{-u}` of it, u uniform in [0, 10]: long chords find humps, short ones
    ripples. The left side must exceed the right one by more than rounding explains:
    `rtol` of the largest of the three values, and twice what the left one changes if
    the entries of its point, which are rounded, move to the next float.

    References
    ----------
    Boyd & Vandenberghe, "Convex Optimization", Cambridge, 2004, section 3.1.1.

    Examples
    --------
    >>> from gradstep.analysis import is_convex_on_samples
    >>> from gradstep.testfunctions import himmelblau, valley
    >>> is_convex_on_samples(valley, [-12, -2], [12, 2])
    Convexity(convex=True, counterexample=None)
    >>> found = is_convex_on_samples(himmelblau, [-5, -5], [5, 5])
    >>> x1, x2, t, left, right = found.counterexample
    >>> found.convex, left > right, left == himmelblau(t * x1 + (1 - t) * x2)
    (False, True, True)
    """
    owner = "analysis.is_convex_on_samples"
    arguments.is_callable(f"{owner}: fun", fun, "scipy.optimize.rosen")
    box = _box(owner, low, high)
    count = arguments.whole(f"{owner}: n", n, 1)
    rng = np.random.default_rng(arguments.seed(f"{owner}: seed", seed))
    allowed = RTOL.check(owner, "rtol", rtol)
    worst, farthest = None, 0.0
    for _ in range(count):
        chord, below = _tried(partial(value_at, owner, fun), rng, box, allowed)
        if below > farthest:
            worst, farthest = chord, below
    return Convexity(worst is None, worst)


def _tried(
    value: Function, rng: np.random.Generator, box: Floats, rtol: float
) -> tuple[Chord, float]:
    """Return a random chord, and how far it is below the function beyond rounding."""
    at, t, way = rng.random((2, box.shape[1])), rng.random(), 2 ** -rng.uniform(0, 10)
    x1, other = (1 - at) * box[0] + at * box[1]
    x2 = (1 - way) * x1 + way * other
    # Rounding must not lead out of the box, where fun may have no value.
    x, x1, x2 = np.clip([t * x1 + (1 - t) * x2, x1, x2], *box)
    left, f1, f2 = map(value, (x, x1, x2))
    chord = Chord(x1, x2, t, left, t * f1 + (1 - t) * f2)
    below = left - chord.right - rtol * max(abs(left), abs(f1), abs(f2))
    if below > 0:
        for moved in x + np.diag(np.nextafter(x, box.mean(0)) - x):
            below -= 2 * abs(value(moved) - left)
    return chord, below


def _box(owner: str, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
    a = np.atleast_1d(floats(f"{owner}: low", low))
    b = np.atleast_1d(floats(f"{owner}: high", high))
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        shapes = f"{a.shape} and {b.shape}"
        raise ValueError(f"{owner}: low and high must have shape (d,), got {shapes}")
    if not (a < b).all():
        raise ValueError(f"{owner}: low must be below high, got {a} and {b}")
    return np.array([a, b])
