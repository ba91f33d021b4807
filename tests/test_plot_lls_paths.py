"""Batches of several sizes on the bowl of least squares."""

import functools
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import gradstep as gs

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend

from gradstep import lls, plot
from gradstep.datasets import wdbc

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 2)) * [1.0, 0.4]
Y = X @ [1.5, -2.0] + 0.1 * RNG.normal(size=24)
SGD = functools.partial(gs.SGD, lr=0.1)


@pytest.fixture(autouse=True)
def _no_figures_left() -> Any:
    yield
    plt.close("all")


def test_all_rows_take_the_path_of_gradient_descent() -> None:
    drawn = plot.lls_paths(X, Y, [24], optimizer=SGD, epochs=6)
    w, expected = np.zeros(2), [np.zeros(2)]
    for _ in range(6):
        w = w - 0.1 * 2 / 24 * X.T @ (X @ w - Y)
        expected.append(w)
    # Sums of 24 products in another order differ by some roundings.
    assert np.abs(drawn.coefs[0] - expected).max() < 1e-14
    assert np.array_equal(drawn.lines[0].get_xydata(), drawn.coefs[0])


@pytest.mark.parametrize("size", [24, 7, 1])
def test_paths_hold_every_update_of_a_fit_and_end_at_its_result(size: int) -> None:
    drawn = plot.lls_paths(X, Y, [size], optimizer=SGD, epochs=3, seed=5)
    fit = lls.fit(
        X, Y, optimizer=SGD, batch_size=size, epochs=3, reduction="mean", seed=5
    )
    (coefs,), (line,) = drawn.coefs, drawn.lines
    assert len(coefs) == fit.n_updates + 1
    assert coefs[0].tolist() == [0, 0]
    assert coefs[-1].tobytes() == fit.coef.tobytes()
    assert line.get_label() == f"batch of {size}, {fit.n_updates} updates"


def test_contours_are_those_of_the_mean_squared_residual() -> None:
    drawn = plot.lls_paths(X, Y, [24], optimizer=SGD, epochs=2)
    lines = drawn.contours.lines
    levels = np.asarray(lines.levels)
    for level, path in zip(levels, lines.get_paths(), strict=True):
        for w in path.vertices[:50:7]:
            # Contours go straight between points of a grid, 1/240 of the frame apart.
            found = float(((X @ w - Y) ** 2).mean())
            assert found == pytest.approx(level, abs=2e-3 * levels[-1])
    best = lls.solve(X, Y).coef
    assert np.asarray(drawn.exact.get_xydata()).tolist() == [best.tolist()]


def test_by_default_the_tutorials_data_are_fitted_by_three_sizes() -> None:
    sgd = functools.partial(gs.SGD, lr=0.01)
    drawn = plot.lls_paths(optimizer=sgd, epochs=1)
    Xs, ys = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
    again = plot.lls_paths(Xs, ys, (569, 32, 1), optimizer=[sgd] * 3, epochs=1)
    assert [len(coefs) - 1 for coefs in drawn.coefs] == [1, 18, 569]
    for one, other in zip(drawn.coefs, again.coefs, strict=True):
        assert one.tobytes() == other.tobytes()


def test_every_size_may_have_its_own_optimizer() -> None:
    adam = functools.partial(gs.Adam, lr=0.1)
    both = plot.lls_paths(X, Y, [24, 24], optimizer=[SGD, adam], epochs=2)
    for factory, coefs in zip((SGD, adam), both.coefs, strict=True):
        (alone,) = plot.lls_paths(X, Y, [24], optimizer=factory, epochs=2).coefs
        assert alone.tobytes() == coefs.tobytes()


def test_all_paths_are_seen_whole_unless_bounds_are_given() -> None:
    drawn = plot.lls_paths(X, Y, [24, 1], optimizer=SGD, epochs=3, names=["a", "b"])
    ax: Any = drawn.exact.axes
    points = np.concatenate([*drawn.coefs, np.asarray(drawn.exact.get_xydata())])
    for (low, high), values in zip((ax.get_xlim(), ax.get_ylim()), points.T):
        assert low < values.min() < values.max() < high
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    bounds = ((-1.0, 1.0), (0.0, 0.5))
    ax = plot.lls_paths(X, Y, optimizer=SGD, bounds=bounds).exact.axes
    assert (ax.get_xlim(), ax.get_ylim()) == bounds


def test_a_fit_that_diverges_says_so() -> None:
    drawn = plot.lls_paths(
        X, Y, [24], optimizer=functools.partial(gs.SGD, lr=20.0), epochs=99
    )
    label = str(drawn.lines[0].get_label())
    assert label == f"batch of 24, diverged at update {len(drawn.coefs[0])}"
    assert np.isfinite(drawn.coefs[0]).all()
    drawn.exact.figure.canvas.draw()  # type: ignore[union-attr]


def test_axes_of_the_caller_are_used() -> None:
    figure, ax = plt.subplots()
    drawn = plot.lls_paths(X, Y, [24], optimizer=SGD, ax=ax)
    assert plt.get_fignums() == [figure.number]
    assert drawn.lines[0].axes is ax
    assert ax.get_legend() is not None


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"y": None}, TypeError, "y is missing; pass both"),
    ({"X": None}, TypeError, "X is missing; pass both"),
    ({"X": X[:, :1]}, ValueError, r"X must have shape \(N, 2\), .* got \(24, 1\)"),
    ({"y": Y[1:]}, ValueError, r"y must have shape \(24,\) or .* got \(23,\)"),
    ({"y": np.full(24, np.nan)}, ValueError, r"y\[0\] must be finite, got nan"),
    ({"X": X * 0}, ValueError, "the squares of X add up to 0.0, .* scale"),
    ({"X": X * 1e200}, ValueError, "the squares of X add up to inf, .* scale"),
    ({"batch_sizes": []}, TypeError, r"batch_sizes must be a sequence .* got \[\]"),
    ({"batch_sizes": 3}, TypeError, "batch_sizes must be a sequence of int"),
    ({"batch_sizes": [0]}, ValueError, r"batch_sizes\[0\] must be an int of at least"),
    ({"batch_sizes": [1, 25]}, ValueError, r"batch_sizes\[1\] must be at most the 24"),
    ({"optimizer": 0.1}, TypeError, "optimizer must be callable, .* got float"),
    ({"optimizer": [SGD]}, ValueError, "optimizer has 1 entries, expected one"),
    ({"epochs": 0}, ValueError, "epochs must be an int of at least 1, got 0"),
    ({"seed": -1}, ValueError, "seed must be an int of at least 0, got -1"),
    ({"names": ["a"]}, ValueError, "names has 1 entries, expected 2"),
    ({"bounds": ((0, 1), (1, 1))}, ValueError, "bounds of y must have low < high"),
    ({"ax": plt}, TypeError, "ax must be 2-D axes, .* got module"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_bad_arguments_are_named(
    options: Any, error: type[Exception], message: str
) -> None:
    given = {"X": X, "y": Y, "optimizer": SGD, "epochs": 1} | options
    with pytest.raises(error, match=f"^plot.lls_paths: {message}"):
        plot.lls_paths(**given)
    assert not plt.get_fignums()
