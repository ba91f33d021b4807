r"""Surfaces to try optimizers on: functions of two variables that are known exactly.

======================  =====================================================
:data:`beale`           :math:`\sum_{k=1}^3 (c_k - x (1 - y^k))^2` with
                        :math:`c = (1.5, 2.25, 2.625)`: a flat floor between
                        steep walls; one minimum, at (3, 0.5) [1]_, from (1, 1)
                        [5]_.
:data:`rosenbrock`      :math:`100 (y - x^2)^2 + (1 - x)^2`: a bent valley; one
                        minimum, at (1, 1), from (-1.2, 1) [2]_.
:data:`himmelblau`      :math:`(x^2 + y - 11)^2 + (x + y^2 - 7)^2`: four minima of
                        value 0, one of them at (3, 2); a maximum between them and
                        four saddle points [3]_.
:data:`saddle`          :math:`x^2 - y^2`: no minimum, and a saddle point at (0, 0).
                        The start, (-1, 1e-8), is on the ridge but for so little
                        that a step in proportion to the gradient does not see it.
:data:`valley`          :math:`(x^2 + 100 y^2) / 2`: a long quadratic valley, whose
                        Hessian has the eigenvalues 1 and :math:`L = 100`, so the
                        condition number 100; the start, (-10, 1), is as high above
                        the minimum in both directions.
:data:`rastrigin`       :math:`x^2 + y^2 + 20 - 10 \cos 2 \pi x - 10 \cos 2 \pi y`:
                        many local minima, near all points of whole numbers; that at
                        (0, 0) is the global one [4]_.
======================  =====================================================

`SURFACES` has all of them by name. All minima are 0. The survey [6]_ has many more.

References
----------
.. [1] Beale, "On an iterative method for finding a local minimum of a function of more
   than one variable", Technical Report 25, Statistical Techniques Research Group,
   Princeton University, 1958.
.. [2] Rosenbrock, "An automatic method for finding the greatest or least value of a
   function", The Computer Journal 3(3), 1960.
.. [3] Himmelblau, "Applied Nonlinear Programming", McGraw-Hill, 1972.
.. [4] Rastrigin, "Systems of Extremal Control" (in Russian), Nauka, Moscow, 1974.
.. [5] Moré, Garbow & Hillstrom, "Testing unconstrained optimization software", ACM
   Transactions on Mathematical Software 7(1), 1981: functions 1 and 5.
.. [6] Jamil & Yang, "A literature survey of benchmark functions for global optimization
   problems", arXiv:1308.4008.

Examples
--------
>>> import gradstep as gs, scipy.optimize
>>> from gradstep.testfunctions import SURFACES, himmelblau
>>> list(SURFACES)
['beale', 'rosenbrock', 'himmelblau', 'saddle', 'valley', 'rastrigin']
>>> method = gs.minimize(gs.Adam, lr=0.1)
>>> found = scipy.optimize.minimize(
...     himmelblau, himmelblau.start, jac=himmelblau.gradient, method=method
... )
>>> found.x.round(4)
array([3., 2.])
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep.lls.arguments import finite, is_callable, real_array

Floats: TypeAlias = npt.NDArray[np.float64]
Function: TypeAlias = Callable[[Floats], Any]
Pair: TypeAlias = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Surface:
    r"""A function of two variables with its gradient, its Hessian and its minima.

    Called with x, an array_like of shape (2,) or (2, ...) as `scipy.optimize.rosen`
    takes it, it returns the values there, of shape ``x.shape[1:]``: a float for one
    point. Computed in float64. NaN stays NaN; what overflows is infinite or NaN without
    a warning, since descents that diverge come there.

    Attributes
    ----------
    name : str
        What it is called in pictures, such as ``"Beale"``.
    fun, jac, hess : callable
        The formulas: of a float64 array of shape (2, ...), with results of shapes
        (...), (2, ...) and (2, 2, ...). `surface(x)`, `gradient` and `hessian` check
        what they are given, and call these.
    minima : tuple of (float, float)
        All global minima, rounded to float64; () if there is none.
    minimum : float or None
        The value there; None if there is none.
    bounds : tuple of (low, high)
        The ranges of x and of y that are worth drawing.
    start : (float, float)
        Where descents begin.

    Raises
    ------
    TypeError, ValueError
        In a call, if x does not hold real numbers, or not in the shape (2,) or
        (2, ...); if a field does not fit. The message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradstep.testfunctions import rosenbrock
    >>> rosenbrock([1.0, 1.0]), rosenbrock.minima, rosenbrock.minimum
    (0.0, ((1.0, 1.0),), 0.0)
    >>> rosenbrock(np.meshgrid([0, 1], [0, 1]))
    array([[  1., 100.],
           [101.,   0.]])
    >>> rosenbrock.gradient(rosenbrock.start).round(1)
    array([-215.6,  -88. ])
    >>> rosenbrock.hessian([1.0, 1.0])
    array([[ 802., -400.],
           [-400.,  200.]])
    """

    name: str
    fun: Function
    jac: Function
    hess: Function
    minima: tuple[Pair, ...]
    minimum: float | None
    bounds: tuple[Pair, Pair]
    start: Pair

    def __post_init__(self) -> None:
        owner = "testfunctions.Surface"
        for name in ("fun", "jac", "hess"):
            is_callable(f"{owner}: {name}", getattr(self, name), "scipy.optimize.rosen")
        for name, shape in {"bounds": (2, 2), "start": (2,)}.items():
            what = f"{owner}: {name}"
            a = finite(what, real_array(what, getattr(self, name)))
            if a.shape != shape:
                raise ValueError(f"{what} must have shape {shape}, got {a.shape}")
        for low, high in self.bounds:
            if not low < high:
                raise ValueError(
                    f"{owner}: bounds must be (low, high) of x and of y, low < high, "
                    f"got {self.bounds!r}"
                )

    def __call__(self, x: npt.ArrayLike) -> float | Floats:
        points = self._points(x)
        values = self._evaluated("fun", points, ())
        return values if points.ndim > 1 else float(values)

    def gradient(self, x: npt.ArrayLike) -> Floats:
        """Return the gradient at x, of the shape of x; errors are those of a call."""
        return self._evaluated("jac", self._points(x), (2,))

    def hessian(self, x: npt.ArrayLike) -> Floats:
        """Return the Hessian at x, of shape (2, 2, ...); errors are those of a call."""
        return self._evaluated("hess", self._points(x), (2, 2))

    def _points(self, x: npt.ArrayLike) -> Floats:
        name = f"testfunctions.{self.name}: x"
        a = real_array(name, x)
        if not a.ndim or a.shape[0] != 2:
            raise ValueError(
                f"{name} must have shape (2,) or (2, ...), x and y first, got {a.shape}"
            )
        with np.errstate(over="ignore"):  # of longer floats
            return a.astype(np.float64)

    def _evaluated(self, name: str, points: Floats, leading: tuple[int, ...]) -> Floats:
        formula: Function = getattr(self, name)
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray(formula(points))
        expected = leading + points.shape[1:]
        if found.shape != expected:
            raise ValueError(
                f"testfunctions.{self.name}: {name} must return shape {expected} for x "
                f"of shape {points.shape}, got {found.shape}"
            )
        return found


def _symmetric(xx: Any, xy: Any, yy: Any) -> Floats:
    return np.array([[xx, xy], [xy, yy]])


_BEALE = ((1, 1.5), (2, 2.25), (3, 2.625))


def _beale(p: Floats) -> Any:
    x, y = p
    return sum((c - x * (1 - y**k)) ** 2 for k, c in _BEALE)


def _beale_gradient(p: Floats) -> Any:
    x, y = p
    g = np.zeros_like(p)
    for k, c in _BEALE:
        r = c - x * (1 - y**k)
        g += 2 * r * np.array([y**k - 1, k * x * y ** (k - 1)])
    return g


def _beale_hessian(p: Floats) -> Any:
    x, y = p
    h = np.zeros((2, *p.shape))
    for k, c in _BEALE:
        r = c - x * (1 - y**k)
        r_x, r_y, r_xy = y**k - 1, k * x * y ** (k - 1), k * y ** (k - 1)
        # Not y**(k - 2), which is no number at y = 0 where k is 1.
        r_yy = k * (k - 1) * x * y ** max(k - 2, 0)
        h += 2 * _symmetric(r_x**2, r_x * r_y + r * r_xy, r_y**2 + r * r_yy)
    return h


def _rosenbrock(p: Floats) -> Any:
    x, y = p
    return 100 * (y - x**2) ** 2 + (1 - x) ** 2


def _rosenbrock_gradient(p: Floats) -> Any:
    x, y = p
    return np.array([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)])


def _rosenbrock_hessian(p: Floats) -> Any:
    x, y = p
    return _symmetric(1200 * x**2 - 400 * y + 2, -400 * x, 200 + 0 * x)


def _himmelblau(p: Floats) -> Any:
    x, y = p
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _himmelblau_gradient(p: Floats) -> Any:
    x, y = p
    a, b = x**2 + y - 11, x + y**2 - 7
    return np.array([4 * x * a + 2 * b, 2 * a + 4 * y * b])


def _himmelblau_hessian(p: Floats) -> Any:
    x, y = p
    return _symmetric(12 * x**2 + 4 * y - 42, 4 * (x + y), 12 * y**2 + 4 * x - 26)


def _quadratic(p: Floats, a: float, b: float) -> Any:
    x, y = p
    return (a * x**2 + b * y**2) / 2


def _quadratic_gradient(p: Floats, a: float, b: float) -> Any:
    return np.array([a * p[0], b * p[1]])


def _quadratic_hessian(p: Floats, a: float, b: float) -> Any:
    nothing = 0 * (p[0] + p[1])
    return _symmetric(a + nothing, nothing, b + nothing)


def _rastrigin(p: Floats) -> Any:
    # 10 - 10 cos(2 pi x) would cancel near the minimum.
    x, y = p**2 + 20 * np.sin(np.pi * p) ** 2
    return x + y


def _rastrigin_gradient(p: Floats) -> Any:
    return 2 * p + 20 * np.pi * np.sin(2 * np.pi * p)


def _rastrigin_hessian(p: Floats) -> Any:
    xx, yy = 2 + 40 * np.pi**2 * np.cos(2 * np.pi * p)
    return _symmetric(xx, 0 * (p[0] + p[1]), yy)


beale = Surface(
    name="Beale",
    fun=_beale,
    jac=_beale_gradient,
    hess=_beale_hessian,
    minima=((3.0, 0.5),),
    minimum=0.0,
    bounds=((-4.5, 4.5), (-4.5, 4.5)),
    start=(1.0, 1.0),
)

rosenbrock = Surface(
    name="Rosenbrock",
    fun=_rosenbrock,
    jac=_rosenbrock_gradient,
    hess=_rosenbrock_hessian,
    minima=((1.0, 1.0),),
    minimum=0.0,
    bounds=((-2.0, 2.0), (-1.0, 3.0)),
    start=(-1.2, 1.0),
)

himmelblau = Surface(
    name="Himmelblau",
    fun=_himmelblau,
    jac=_himmelblau_gradient,
    hess=_himmelblau_hessian,
    minima=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.2831859912861696),
        (3.5844283403304917, -1.8481265269644036),
    ),
    minimum=0.0,
    bounds=((-5.0, 5.0), (-5.0, 5.0)),
    start=(0.0, 0.0),
)

saddle = Surface(
    name="saddle",
    fun=partial(_quadratic, a=2.0, b=-2.0),
    jac=partial(_quadratic_gradient, a=2.0, b=-2.0),
    hess=partial(_quadratic_hessian, a=2.0, b=-2.0),
    minima=(),
    minimum=None,
    bounds=((-1.5, 1.5), (-1.5, 1.5)),
    start=(-1.0, 1e-8),
)

valley = Surface(
    name="valley",
    fun=partial(_quadratic, a=1.0, b=100.0),
    jac=partial(_quadratic_gradient, a=1.0, b=100.0),
    hess=partial(_quadratic_hessian, a=1.0, b=100.0),
    minima=((0.0, 0.0),),
    minimum=0.0,
    bounds=((-12.0, 12.0), (-1.5, 1.5)),
    start=(-10.0, 1.0),
)

rastrigin = Surface(
    name="Rastrigin",
    fun=_rastrigin,
    jac=_rastrigin_gradient,
    hess=_rastrigin_hessian,
    minima=((0.0, 0.0),),
    minimum=0.0,
    bounds=((-5.12, 5.12), (-5.12, 5.12)),
    start=(2.3, 1.7),
)

SURFACES: dict[str, Surface] = {
    "beale": beale,
    "rosenbrock": rosenbrock,
    "himmelblau": himmelblau,
    "saddle": saddle,
    "valley": valley,
    "rastrigin": rastrigin,
}
