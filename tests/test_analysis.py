"""Gradients checked by differences, critical points told apart, chords below."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from scipy.optimize import rosen, rosen_der

from gradstep.analysis import (
    check_gradient,
    classify_critical_point,
    is_convex_on_samples,
)
from gradstep.testfunctions import SURFACES, himmelblau, rosenbrock, valley

Array = Any

RNG = np.random.default_rng(8)
X = RNG.standard_normal((50, 6))
Y = RNG.standard_normal(50)
# Entries of sizes from 1e-8 to 1e8.
SCALE = 10.0 ** np.array([-8, -4, 0, 2, 4, 8])


def squares(w: Array) -> float:
    return float(((X @ w - Y) ** 2).mean())


def squares_gradient(w: Array) -> Array:
    return 2 * X.T @ (X @ w - Y) / len(Y)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Array]] = {
    "rosen": (rosen, rosen_der, RNG.standard_normal(6)),
    "squares": (squares, squares_gradient, RNG.standard_normal(6)),
    "quartic, badly scaled": (
        lambda x: ((x / SCALE) ** 4).sum(),
        lambda x: 4 * (x / SCALE) ** 3 / SCALE,
        SCALE * np.array([1.3, -0.7, 0.9, -1.1, 0.8, 1.2]),
    ),
    "with entries that are 0 or nearly": (
        lambda x: np.exp(np.sin(x).sum()),
        lambda x: np.exp(np.sin(x).sum()) * np.cos(x),
        np.array([0.0, 1e-17, -3e-9, 2.0, -1e-4, 0.5]),
    ),
    "rounded more than its value shows": (
        lambda x: 1e6 + (x**2).sum() - 1e6,
        lambda x: 2 * x,
        RNG.standard_normal(6),
    ),
    "ripples in time with the longest steps": (
        lambda x: (x**2 + 10 * np.sin(2 * np.pi * (x - 0.3))).sum(),
        lambda x: 2 * x + 20 * np.pi * np.cos(2 * np.pi * (x - 0.3)),
        np.full(6, 64.0),
    ),
    "a domain that ends nearby": (
        lambda x: np.log(x + 0.01).sum(),
        lambda x: 1 / (x + 0.01),
        np.array([0.0, 0.3, 1e-3, 2.0, 1e-9, 0.05]),
    ),
}


# -- gradients


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_correct_gradient_is_ok(name: str) -> None:
    fun, grad, x = FUNCTIONS[name]
    found = check_gradient(fun, grad, x)
    assert found.ok
    assert not found.undecided.any()
    assert found.error <= found.tolerance[found.index]
    assert (abs(found.numeric - grad(x)) <= found.tolerance).all()
    assert found.relative_error < 1e-5


@pytest.mark.parametrize("factor", [1.001, 0.999, 2.0, 0.5, -1.0, 0.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_wrong_entry_is_found(name: str, factor: float) -> None:
    fun, grad, x = FUNCTIONS[name]
    for i in range(6):
        wrong = np.ones(6)
        wrong[i] = factor
        found = check_gradient(fun, lambda x, wrong=wrong: wrong * grad(x), x)
        assert not found.ok
        assert found.index == (i,)
        assert found.error == pytest.approx(abs((factor - 1) * grad(x)[i]), rel=0.02)
        expected = abs(factor - 1) / max(abs(factor), 1)
        assert found.relative_error == pytest.approx(expected, rel=0.02)


def test_gradients_have_the_shape_of_x() -> None:
    def fun(x: Array) -> Array:
        return np.array([(x**3).sum()])  # an array of one is a number, too

    x = np.linspace(-1.0, 2.0, 12).reshape(2, 3, 2)
    assert check_gradient(fun, lambda x: 3 * x**2, x).numeric.shape == x.shape
    wrong = np.ones((2, 3, 2))
    wrong[1, 2, 0] = 1.01
    found = check_gradient(fun, lambda x: 3 * wrong * x**2, x)
    assert (found.ok, found.index) == (False, (1, 2, 0))
    number = check_gradient(lambda x: x**3, lambda x: 3 * x**2, 2.0)
    assert (number.ok, number.index) == (True, ())
    assert float(number.numeric) == pytest.approx(12.0, rel=1e-9)


def test_float32_is_known_to_its_own_precision() -> None:
    X32, Y32 = X.astype(np.float32), Y.astype(np.float32)

    def fun(w: Array) -> Any:
        return ((X32 @ w.astype(np.float32) - Y32) ** 2).mean()

    def grad(w: Array) -> Array:
        return 2 * X32.T @ (X32 @ w.astype(np.float32) - Y32) / len(Y)

    w = np.full(6, 0.7)
    assert type(fun(w)) is np.float32
    assert check_gradient(fun, grad, w).ok
    assert not check_gradient(fun, lambda w: 1.01 * grad(w), w).ok
    found = check_gradient(lambda x: np.float32(1 + 1e-9 * x), lambda _: 1e-9, 1.0)
    assert found.ok  # though every difference is 0
    assert found.undecided


def test_at_a_minimum_the_check_says_that_it_tells_nothing() -> None:
    for fun, grad, x in (
        (squares, squares_gradient, np.linalg.lstsq(X, Y)[0]),
        (himmelblau, himmelblau.gradient, himmelblau.minima[1]),
        # Nor where a constant is so large that no entry shows.
        (lambda x: 1e16 + (x**2).sum(), lambda x: 2 * x, [1.0, 2.0]),
    ):
        for factor in (1, 2):
            found = check_gradient(fun, lambda x, f=factor, g=grad: f * g(x), x)
            assert found.ok
            assert found.undecided.all()


def test_steps_do_not_leave_the_domain_where_they_need_not() -> None:
    def fun(x: Array) -> float:
        assert (x > 0).all()
        return float(np.sqrt(x).sum())

    assert check_gradient(fun, lambda x: 0.5 / np.sqrt(x), [1e-6, 4.0]).ok


def test_functions_may_change_what_they_get() -> None:
    x = np.array([1.0, 2.0])

    def fun(x: Array) -> float:
        found = float((x**2).sum())
        x[...] = np.nan
        return found

    def grad(x: Array) -> Array:
        x *= 2
        return x

    assert check_gradient(fun, grad, x).ok
    assert x.tolist() == [1.0, 2.0]


def test_an_rtol_of_ones_own_is_taken() -> None:
    x = [0.3, -0.7]
    assert not check_gradient(rosen, lambda x: 1.01 * rosen_der(x), x).ok
    assert check_gradient(rosen, lambda x: 1.01 * rosen_der(x), x, rtol=0.02).ok
    assert check_gradient(rosen, rosen_der, x, rtol=0.0).ok


# -- critical points


@pytest.mark.parametrize(
    ("eigenvalues", "kind"),
    [
        ([1.0, 2.0, 3.0], "minimum"),
        ([-1.0, 2.0, 3.0], "saddle"),
        ([-1.0, 0.0, 3.0], "saddle"),
        ([0.0, 2.0, 3.0], "degenerate"),
        ([-3.0, -2.0, -1.0], "maximum"),
        ([-2.0, -1.0, 0.0], "degenerate"),
        ([0.0, 0.0, 0.0], "degenerate"),
        ([1e-8, 1.0, 1.0], "minimum"),
        ([1e-12, 1.0, 1.0], "degenerate"),
        ([-1e-12, 1.0, 1.0], "degenerate"),
        ([-1e-8, 1.0, 1.0], "saddle"),
        ([1e-200, 2e-200, 3e-200], "minimum"),
        ([-2e200, 1e200, 3e200], "saddle"),
    ],
)
def test_kinds_follow_the_signs_of_the_eigenvalues(
    eigenvalues: list[float], kind: str
) -> None:
    turn = scipy.linalg.qr(X[:3, :3])[0]
    H = turn @ np.diag(eigenvalues) @ turn.T
    for matrix in (np.diag(eigenvalues), (H + H.T) / 2):
        found = classify_critical_point(matrix)
        assert found.kind == kind
        size = max(map(abs, eigenvalues))
        assert np.allclose(
            found.eigenvalues, eigenvalues, rtol=0, atol=1e-15 * 3 * size
        )


def test_rtol_says_what_counts_as_zero() -> None:
    H = np.diag([1e-5, 1.0])
    assert classify_critical_point(H).kind == "minimum"
    assert classify_critical_point(H, rtol=1e-4).kind == "degenerate"
    assert classify_critical_point(-H, rtol=0.0).kind == "maximum"


def test_a_hessian_may_differ_from_its_transpose_by_rounding() -> None:
    H = np.array([[2.0, 1.0], [1.0 + 1e-13, 3.0]])
    assert classify_critical_point(H).kind == "minimum"
    H[1, 0] = 1.0 + 1e-7
    with pytest.raises(
        ValueError, match=r"must be symmetric, got 1.0 at \[0, 1\] and 1.0000001 at"
    ):
        classify_critical_point(H)
    assert classify_critical_point(H, rtol=1e-6).kind == "minimum"


# -- convexity

CONVEX: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "valley": (valley, [-12, -2], [12, 2]),
    "squares": (squares, [-3] * 6, [3] * 6),
    "linear, far from 0": (lambda x: x[0] - 1e6, 1e6 - 1, 1e6 + 1),
    "constant": (lambda _: 0.1, -1, 1),
    "norm": (np.linalg.norm, [-1] * 5, [1] * 5),
    "logarithm of a sum of exponentials": (
        lambda x: np.log(np.exp(x).sum()),
        [-5] * 5,
        [5] * 5,
    ),
    "exponential": (np.exp, -30, 30),
    "entropy, on the edge of its domain": (lambda x: -np.sqrt(x[0]), 0, 1),
}
NOT_CONVEX: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    **{
        name: (surface, *np.transpose(surface.bounds))
        for name, surface in SURFACES.items()
        if surface is not valley
    },
    "bent valley near its minimum": (rosenbrock, [0.9, 0.9], [1.1, 1.1]),
    "concave": (lambda x: np.sqrt(x[0]), 0, 1),
    "ripples on a bowl": (lambda x: x[0] ** 2 + 1e-3 * np.sin(50 * x[0]), -1, 1),
    "a step": (lambda x: float(x[0] > 0.3), -1, 1),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", CONVEX)
def test_convex_functions_have_no_chord_below(name: str, seed: int) -> None:
    fun, low, high = CONVEX[name]
    assert is_convex_on_samples(fun, low, high, n=500, seed=seed) == (True, None)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NOT_CONVEX)
def test_the_counterexample_of_others_is_one(name: str, seed: int) -> None:
    fun, low, high = NOT_CONVEX[name]
    convex, chord = is_convex_on_samples(fun, low, high, n=500, seed=seed)
    assert not convex
    assert chord is not None
    assert 0 <= chord.t <= 1
    for x in (chord.x1, chord.x2):
        assert (low <= x).all()
        assert (x <= high).all()
    between = chord.t * chord.x1 + (1 - chord.t) * chord.x2
    assert chord.left == pytest.approx(fun(between), rel=1e-12)
    right = chord.t * fun(chord.x1) + (1 - chord.t) * fun(chord.x2)
    assert chord.right == pytest.approx(right, rel=1e-12)
    assert chord.left > chord.right


def test_the_counterexample_is_the_worst_of_the_samples() -> None:
    depths = []
    for n in (1, 10, 100, 1000):
        _, chord = is_convex_on_samples(lambda x: -(x[0] ** 2), -1, 1, n=n)
        assert chord is not None
        depths.append(chord.left - chord.right)
    assert depths == sorted(depths)
    assert depths[0] < depths[-1] <= 1  # at most 4 t (1 - t)
    assert depths[-1] > 0.5


def tried(low: float, high: float, seed: int) -> Any:
    seen: list[float] = []
    is_convex_on_samples(lambda x: seen.append(x[0]) or 0.0, low, high, seed=seed)
    return seen


def test_the_seed_decides() -> None:
    assert tried(2, 5, seed=3) == tried(2, 5, seed=3) != tried(2, 5, seed=4)


def test_rounding_does_not_lead_out_of_the_box() -> None:
    high = 0.1 * (1 + 2e-15)
    seen = tried(0.1, high, seed=0)
    assert len(seen) == 3 * 1024
    assert (min(seen), max(seen)) == (0.1, high)


def test_a_larger_rtol_forgives_rounding() -> None:
    def rough(x: Array) -> float:
        return float(np.float32(x[0] ** 2))

    assert not is_convex_on_samples(rough, 1, 2).convex
    assert is_convex_on_samples(rough, 1, 2, rtol=1e-6).convex


# -- refusals

ONE = np.ones(2)
GRADIENT: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((3, rosen_der, ONE), {}, TypeError, "fun must be callable, .* got int"),
    ((rosen, None, ONE), {}, TypeError, "grad must be callable, .* got NoneType"),
    ((rosen, rosen_der, []), {}, ValueError, r"x must have an entry, got shape \(0,\)"),
    ((rosen, rosen_der, [1, np.nan]), {}, ValueError, "x must be finite"),
    ((rosen, rosen_der, ONE), {"rtol": -1}, ValueError, r"rtol must be in \[0, 1\)"),
    ((rosen, rosen_der, ONE), {"rtol": "1"}, TypeError, "rtol must be a real number"),
    ((rosen, lambda _: ONE[:1], ONE), {}, ValueError, r"shape of x, \(2,\), got \(1,"),
    ((rosen, lambda _: ONE * 1j, ONE), {}, TypeError, "what grad returns must hold"),
    (
        (rosen, lambda _: ONE / 0.0, ONE),
        {},
        ValueError,
        "what grad returns must be fin",
    ),
    ((lambda x: x, rosen_der, ONE), {}, ValueError, r"one number, got shape \(2,\)"),
    ((lambda _: None, rosen_der, ONE), {}, TypeError, "what fun returns must hold"),
    (
        (lambda _: np.inf, rosen_der, ONE),
        {},
        ValueError,
        r"fun must be finite, got inf at \[1.0, 1.0\]",
    ),
    (
        (lambda x: 1.0 if (x == 1).all() else np.nan, lambda x: 0 * x, ONE),
        {},
        ValueError,
        r"fun must be finite around x, is not along \[0\]",
    ),
]


@pytest.mark.parametrize(("args", "options", "error", "message"), GRADIENT)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_arguments_of_check_gradient_are_named(
    args: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^analysis.check_gradient: .*{message}"):
        check_gradient(*args, **options)


@pytest.mark.parametrize(
    ("hessian", "options", "error", "message"),
    [
        ([1.0, 2.0], {}, ValueError, r"hessian must have shape \(n, n\), got \(2,\)"),
        (np.ones((2, 3)), {}, ValueError, r"must have shape \(n, n\), got \(2, 3\)"),
        ([[1, 0], [0, np.inf]], {}, ValueError, "hessian must be finite"),
        ([[1, 1j], [-1j, 1]], {}, TypeError, "hessian must hold real numbers"),
        ([[1.0, 2.0], [0.0, 1.0]], {}, ValueError, r"got 2.0 at \[0, 1\] and 0.0 at"),
        (np.eye(2), {"rtol": 1}, ValueError, r"rtol must be in \[0, 1\)"),
    ],
)
def test_bad_arguments_of_classify_critical_point_are_named(
    hessian: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^analysis.classify_critical_point: .*{message}"):
        classify_critical_point(hessian, **options)


CONVEXITY: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((3, -1, 1), {}, TypeError, "fun must be callable, .* got int"),
    ((rosen, 1, 1), {}, ValueError, "low must be below high, got"),
    ((rosen, [[0]], [[1]]), {}, ValueError, r"shape \(d,\), got \(1, 1\) and"),
    ((rosen, [0, 0], [1]), {}, ValueError, r"shape \(d,\), got \(2,\) and \(1,\)"),
    ((rosen, -np.inf, 1), {}, ValueError, "low must be finite"),
    ((rosen, 0, "1"), {}, TypeError, "high must hold real numbers"),
    ((rosen, 0, 1), {"n": 0}, ValueError, "n must be >= 1, got 0"),
    ((rosen, 0, 1), {"n": 2.0}, TypeError, "n must be int, got float"),
    ((rosen, 0, 1), {"seed": -1}, ValueError, "seed must be >= 0, got -1"),
    ((rosen, 0, 1), {"rtol": 1.0}, ValueError, r"rtol must be in \[0, 1\), got 1.0"),
    ((lambda _: np.nan, 0, 1), {}, ValueError, r"fun must be finite, got nan at \[0."),
    ((lambda x: x, [0, 0], [1, 1]), {}, ValueError, r"one number, got shape \(2,\)"),
]


@pytest.mark.parametrize(("args", "options", "error", "message"), CONVEXITY)
def test_bad_arguments_of_is_convex_on_samples_are_named(
    args: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^analysis.is_convex_on_samples: .*{message}"):
        is_convex_on_samples(*args, **options)
