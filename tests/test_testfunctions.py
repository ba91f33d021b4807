"""The surfaces: values that the literature gives, derivatives, minima, refusals."""

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import gradstep as gs
from gradstep import testfunctions
from gradstep.analysis import check_gradient, classify_critical_point
from gradstep.testfunctions import (
    SURFACES,
    Surface,
    beale,
    himmelblau,
    rastrigin,
    rosenbrock,
    saddle,
    valley,
)

Array = Any

NAMES = sorted(SURFACES)
WITH_MINIMA = [name for name in NAMES if SURFACES[name].minima]


def points(surface: Surface, shape: tuple[int, ...] = (40,)) -> Array:
    """Points in the bounds, of shape (2, ...)."""
    low, high = np.reshape(np.transpose(surface.bounds), (2, 2, *[1] * len(shape)))
    return low + np.random.default_rng(5).random((2, *shape)) * (high - low)


# -- values


def test_values_are_those_of_the_literature() -> None:
    x, y = p = points(beale)
    a = (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2
    assert_close(beale(p), a + (2.625 - x + x * y**3) ** 2)
    x, y = p = points(rosenbrock)
    assert_close(rosenbrock(p), scipy.optimize.rosen(p))
    x, y = p = points(himmelblau)
    assert_close(himmelblau(p), (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2)
    x, y = p = points(rastrigin)
    waves = 10 * np.cos(2 * np.pi * x) + 10 * np.cos(2 * np.pi * y)
    assert_close(rastrigin(p), 20 + x**2 + y**2 - waves)
    x, y = p = points(saddle)
    assert_close(saddle(p), (x + y) * (x - y))
    x, y = p = points(valley)
    assert_close(valley(p), 0.5 * x**2 + 50 * y**2)


def assert_close(actual: Array, expected: Array) -> None:
    """Within the rounding of sums of terms up to the largest value."""
    assert abs(actual - expected).max() <= 1e-14 * abs(expected).max()


def test_starts_are_those_of_the_literature() -> None:
    # More, Garbow & Hillstrom, functions 5 and 1.
    assert beale.start == (1.0, 1.0)
    assert beale(beale.start) == 1.5**2 + 2.25**2 + 2.625**2
    assert rosenbrock.start == (-1.2, 1.0)
    assert rosenbrock(rosenbrock.start) == pytest.approx(24.2, rel=1e-15)


def test_the_valley_is_as_ill_conditioned_as_it_says() -> None:
    flat, steep = classify_critical_point(valley.hessian((0, 0))).eigenvalues
    assert (flat, steep) == (1.0, 100.0)
    x, y = valley.start
    assert valley((x, 0)) == valley((0, y)) == 50.0


def test_the_start_of_the_saddle_is_beside_the_ridge() -> None:
    across, along = saddle.gradient(saddle.start)
    assert across == -2.0
    assert -1e-7 < along < 0


# -- derivatives


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_hessians_are_those_of_the_function(name: str) -> None:
    surface = SURFACES[name]
    for x in points(surface, (12,)).T:
        assert check_gradient(surface, surface.gradient, x).ok
        hessian = surface.hessian(x)
        assert (hessian == hessian.T).all()
        for row in (0, 1):
            slope = partial(entry, surface.gradient, row)
            assert check_gradient(slope, partial(entry, surface.hessian, row), x).ok


def entry(function: Any, row: int, x: Array) -> Array:
    return function(x)[row]


def test_a_hessian_of_beale_is_right_where_powers_of_zero_are_taken() -> None:
    for x in ([2.0, 0.0], [0.0, 0.0], [0.0, 1.0]):
        for row in (0, 1):
            slope = partial(entry, beale.gradient, row)
            assert check_gradient(slope, partial(entry, beale.hessian, row), x).ok
    assert np.isfinite(beale.hessian([2.0, 0.0])).all()


# -- minima


@pytest.mark.parametrize("name", WITH_MINIMA)
def test_minima_are_minima(name: str) -> None:
    surface = SURFACES[name]
    for x in surface.minima:
        # A last place of x is some 1e-16 of it, and that much moves the gradient.
        size = abs(surface.hessian(x)).max()
        assert abs(surface.gradient(x)).max() <= 1e-15 * size
        assert surface.minimum is not None
        assert 0 <= surface(x) - surface.minimum <= 1e-29
        assert classify_critical_point(surface.hessian(x)).kind == "minimum"


@pytest.mark.parametrize("name", WITH_MINIMA)
def test_a_search_from_everywhere_finds_these_minima_and_no_others(name: str) -> None:
    surface = SURFACES[name]
    ends = []
    anywhere = points(surface, (30,)).T
    for start in (*anywhere, *0.1 * anywhere[:10]):  # and near Rastrigin's
        found = scipy.optimize.minimize(
            surface, start, jac=surface.gradient, options={"maxiter": 60}
        )
        if found.fun < 1e-9:  # others are in local minima, or far out on Beale's floor
            ends.append(found.x)
    distances = abs(np.array(ends)[:, None] - np.array(surface.minima)).max(axis=2)
    assert (distances.min(axis=1) < 1e-4).all()
    assert set(distances.argmin(axis=1)) == set(range(len(surface.minima)))


def test_the_saddle_has_no_minimum() -> None:
    assert saddle.minima == ()
    assert saddle.minimum is None
    assert not saddle.gradient((0, 0)).any()
    assert classify_critical_point(saddle.hessian((0, 0))).kind == "saddle"


def test_himmelblaus_maximum_lies_between_four_saddle_points() -> None:
    kinds = []
    for start in points(himmelblau, (60,)).T:
        found = scipy.optimize.root(
            himmelblau.gradient, start, jac=himmelblau.hessian, tol=1e-12
        )
        if found.success:
            kind = classify_critical_point(himmelblau.hessian(found.x)).kind
            kinds.append((kind, *found.x.round(6).tolist()))
    counts = [kind for kind, *_ in set(kinds)]
    assert {kind: counts.count(kind) for kind in counts} == {
        "minimum": 4,
        "saddle": 4,
        "maximum": 1,
    }
    assert ("maximum", -0.270845, -0.923039) in kinds


@pytest.mark.parametrize("name", NAMES)
def test_start_and_minima_are_in_the_bounds(name: str) -> None:
    surface = SURFACES[name]
    low, high = np.transpose(surface.bounds)
    for x in (surface.start, *surface.minima):
        assert (low < x).all()
        assert (high > x).all()


# -- arrays


@pytest.mark.parametrize("name", NAMES)
def test_many_points_give_what_each_gives(name: str) -> None:
    surface = SURFACES[name]
    p = points(surface, (3, 5))
    f, g, h = surface(p), surface.gradient(p), surface.hessian(p)
    assert (f.shape, g.shape, h.shape) == ((3, 5), (2, 3, 5), (2, 2, 3, 5))
    assert f.dtype == g.dtype == h.dtype == np.float64
    for i in np.ndindex(3, 5):
        x = p[:, *i]
        # NumPy's powers and sines of arrays may differ from those of numbers.
        assert np.allclose(f[i], surface(x), rtol=1e-13, atol=1e-13)
        assert np.allclose(g[:, *i], surface.gradient(x), rtol=1e-13, atol=1e-12)
        assert np.allclose(h[:, :, *i], surface.hessian(x), rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_computed_in_float64(name: str) -> None:
    surface = SURFACES[name]
    x = np.array([3, 2])
    f = surface(x)
    assert type(f) is float
    for given in (x.tolist(), x.astype(np.float32), x.astype(np.int8), x.astype(">f8")):
        assert surface(given) == f
        assert surface.gradient(given).dtype == np.float64
        assert (surface.gradient(given) == surface.gradient(x)).all()
    assert surface(np.empty((2, 0))).shape == (0,)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_passed_is_not_written_to(name: str) -> None:
    surface = SURFACES[name]
    x = points(surface)
    x.flags.writeable = False
    surface(x)
    surface.gradient(x)[...] = 7
    assert not (surface.gradient(x) == 7).all()
    surface.hessian(x)[...] = 7


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan_and_infinity_does_not_warn(name: str) -> None:
    surface = SURFACES[name]
    for x in ([np.nan, 1.0], [1.5, np.nan], [np.nan, np.nan]):
        assert np.isnan(surface(x))
        assert np.isnan(surface.gradient(x)).any()
        assert np.isnan(surface.hessian(x)).any()
    for x in ([1e200, 1e200], [np.inf, -np.inf], [1e300, 1.0]):
        surface(x)
        surface.gradient(x)
        surface.hessian(x)
    assert not np.isfinite(surface([1e200, 3e200]))


# -- with scipy and gradstep


@pytest.mark.parametrize("name", WITH_MINIMA)
def test_scipy_minimizes_it_by_its_hessian(name: str) -> None:
    surface = SURFACES[name]
    found = scipy.optimize.minimize(
        surface,
        surface.start,
        jac=surface.gradient,
        hess=surface.hessian,
        method="trust-exact",
        options={"gtol": 1e-8},
    )
    assert found.success
    assert classify_critical_point(surface.hessian(found.x)).kind == "minimum"
    if name != "rastrigin":
        assert abs(np.subtract(surface.minima, found.x)).max(axis=1).min() < 1e-6


def test_gradstep_minimizes_it() -> None:
    found = scipy.optimize.minimize(
        beale,
        beale.start,
        jac=beale.gradient,
        method=gs.minimize(gs.SGD, lr=0.01, momentum=0.9),
    )
    assert found.success
    assert abs(found.x - beale.minima[0]).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_it_pickles(name: str) -> None:
    surface = SURFACES[name]
    copy = pickle.loads(pickle.dumps(surface))
    x = points(surface)
    assert (copy(x) == surface(x)).all()
    assert (copy.gradient(x) == surface.gradient(x)).all()
    assert (copy.hessian(x) == surface.hessian(x)).all()
    assert (copy.name, copy.minima, copy.start) == (
        surface.name,
        surface.minima,
        surface.start,
    )


def test_all_surfaces_are_listed_by_name() -> None:
    found = {k: v for k, v in vars(testfunctions).items() if isinstance(v, Surface)}
    assert found == SURFACES
    assert len({surface.name for surface in SURFACES.values()}) == len(SURFACES)


# -- refusals

REFUSED: list[tuple[Any, type[Exception], str]] = [
    ([1.0], ValueError, r"must have shape \(2,\) or \(2, ...\).*got \(1,\)"),
    ([1.0, 2.0, 3.0], ValueError, r"x and y first, got \(3,\)"),
    (1.0, ValueError, r"x and y first, got \(\)"),
    (np.ones((5, 2)), ValueError, r"x and y first, got \(5, 2\)"),
    ([[1.0], [1.0, 2.0]], ValueError, "is not an array"),
    ([1j, 1.0], TypeError, "must hold real numbers, got complex128"),
    (["1", "2"], TypeError, "must hold real numbers, got <U1"),
    (None, TypeError, "must hold real numbers, got object"),
    (np.ma.array([1.0, 2.0]), TypeError, "must not be a masked array"),
]


@pytest.mark.parametrize(("x", "error", "message"), REFUSED)
@pytest.mark.parametrize("method", ["__call__", "gradient", "hessian"])
def test_bad_points_are_refused(
    method: str, x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"^testfunctions\.Beale: x .*{message}"):
        getattr(beale, method)(x)


OWN = {
    "name": "bowl",
    "fun": lambda p: p[0] ** 2 + p[1] ** 2,
    "jac": lambda p: 2 * p,
    "hess": lambda _: 2 * np.eye(2),
    "minima": ((0.0, 0.0),),
    "minimum": 0.0,
    "bounds": ((-1.0, 1.0), (-2.0, 2.0)),
    "start": (1.0, 1.0),
}


def test_a_surface_of_ones_own_is_checked() -> None:
    bowl = Surface(**OWN)
    assert bowl([1.0, 2.0]) == 5.0
    assert bowl.gradient([1.0, 2.0]).tolist() == [2.0, 4.0]
    with pytest.raises(
        ValueError,
        match=r"bowl: hess must return shape \(2, 2, 4\) for x of shape \(2, 4\), got "
        r"\(2, 2\)",
    ):
        bowl.hessian(np.ones((2, 4)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fun": 3}, TypeError, "fun must be callable"),
        ({"hess": None}, TypeError, "hess must be callable"),
        ({"start": (1.0,)}, ValueError, r"start must have shape \(2,\), got \(1,\)"),
        ({"start": (1.0, np.nan)}, ValueError, "start must be finite"),
        ({"bounds": (-1.0, 1.0)}, ValueError, r"bounds must have shape \(2, 2\)"),
        ({"bounds": ((1, -1), (0, 1))}, ValueError, "low < high, got"),
    ],
)
def test_bad_fields_are_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"^testfunctions\.Surface: .*{message}"):
        Surface(**OWN | change)
