"""The picture of a fit of two features, read from its artists."""

from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend
from mpl_toolkits.mplot3d import proj3d

from gradstep import lls, plot
from gradstep.datasets import wdbc

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 2)) * [0.5, 3.0] + [7.0, -2.0]
W, B = np.array([1.75, -0.625]), 0.375
Y = X @ W + B + RNG.normal(size=40)


@pytest.fixture(autouse=True)
def _no_figures_left() -> Any:
    yield
    plt.close("all")


def points(drawn: plot.Plane) -> Any:
    return np.column_stack(drawn.scatter._offsets3d)


def faces(drawn: plot.Plane) -> Any:
    """The vertices of the plane, by rows."""
    found = getattr(drawn.surface, "_faces", None)
    if found is None:  # matplotlib before 3.10
        found = drawn.surface._vec[:3].T
    return np.asarray(found).reshape(-1, 3)


def test_points_are_the_data_and_the_plane_is_the_fit() -> None:
    drawn = plot.lls3d(X, Y, W, B)
    assert points(drawn).tolist() == np.column_stack([X, Y]).tolist()
    vertices = faces(drawn)
    expected = vertices[:, :2] @ W + B
    assert np.abs(vertices[:, 2] - expected).max() < 1e-14
    for k in range(2):
        assert vertices[:, k].min() == X[:, k].min()
        assert vertices[:, k].max() == X[:, k].max()
    assert drawn.residuals is None


def test_residuals_go_from_each_point_to_the_plane() -> None:
    drawn = plot.lls3d(X, Y, W, B, residuals=True)
    sticks = np.asarray(drawn.residuals._segments3d)
    assert sticks.shape == (40, 2, 3)
    assert sticks[:, 0].tolist() == np.column_stack([X, Y]).tolist()
    assert sticks[:, 1, :2].tolist() == X.tolist()
    assert np.abs(sticks[:, 1, 2] - (X @ W + B)).max() < 1e-14


@pytest.mark.parametrize(
    "given",
    [
        (X.tolist(), Y[:, np.newaxis], W[:, np.newaxis], [B]),
        (np.asfortranarray(X), Y, SimpleNamespace(coef=W, intercept=B)),
        (X, Y, SimpleNamespace(coef=W[:, np.newaxis], intercept=np.array([B]))),
        (X, Y, SimpleNamespace(coef=W), B),
    ],
)
def test_what_is_the_same_looks_the_same(given: Any) -> None:
    expected, found = plot.lls3d(X, Y, W, B), plot.lls3d(*given)
    assert points(found).tobytes() == points(expected).tobytes()
    assert faces(found).tobytes() == faces(expected).tobytes()


def test_the_tutorial_is_drawn_with_its_names() -> None:
    features, target = wdbc()
    names = ["mean radius / px", "mean area / px²", "mean perimeter / px"]
    w = lls.solve(features, target).coef
    drawn = plot.lls3d(features, target, getattr(w, "coef", w), names=names)
    ax = drawn.scatter.axes
    assert [ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()] == names
    (legend,) = ax.figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["y", "X @ coef + intercept"]


def test_of_many_rows_some_are_drawn_and_the_legend_says_so() -> None:
    n = 12_345
    many = np.column_stack([np.arange(n), np.arange(n)[::-1] ** 2])
    many[1, 1] = -5  # not drawn, but spans the plane
    drawn = plot.lls3d(many, np.arange(n), W, residuals=True)
    rows = points(drawn)[:, 2]
    assert len(rows) == len(drawn.residuals._segments3d) == 5000
    assert rows[[0, -1]].tolist() == [0, n - 1]
    assert set(np.diff(rows).tolist()) == {2.0, 3.0}
    assert 1 not in rows
    assert faces(drawn)[:, 1].min() == -5
    assert drawn.scatter.get_label() == "y, 5000 of 12345 rows"
    all_of_them = plot.lls3d(many[:5000], np.arange(5000), W)
    assert len(points(all_of_them)) == 5000
    assert all_of_them.scatter.get_label() == "y"


def test_a_constant_feature_has_a_plane_around_it() -> None:
    drawn = plot.lls3d([[0.0, 8.0]], [3.0], W, B)
    low, high = faces(drawn).min(axis=0), faces(drawn).max(axis=0)
    assert (low[0], high[0]) == (-0.5, 0.5)
    assert (low[1], high[1]) == pytest.approx((7.6, 8.4))
    drawn.scatter.figure.canvas.draw()


def test_axes_of_the_caller_are_used_as_they_are_turned() -> None:
    figure = plt.figure()
    ax = figure.add_subplot(projection="3d")
    ax.view_init(elev=11, azim=77)
    drawn = plot.lls3d(X, Y, W, B, residuals=True, ax=ax)
    assert plt.get_fignums() == [figure.number]
    assert all(artist.axes is ax for artist in drawn)
    assert (ax.elev, ax.azim) == (11, 77)
    assert not figure.legends
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["y", "X @ coef + intercept", "residual"]


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 24, endpoint=False))
@pytest.mark.parametrize("slope", [0.3, 1.0, 4.0, 1e4])
def test_the_plane_is_never_seen_from_its_edge(angle: float, slope: float) -> None:
    corners = np.array([[0, 0], [3, 0], [3, 20], [0, 20]], float)
    w = slope * np.array([np.cos(angle) / 3, np.sin(angle) / 20])
    y = corners @ w
    y[0] += 1.0  # the axis of y is longer than the plane is high
    ax = plot.lls3d(corners, y, w).scatter.axes
    u, v, _ = proj3d.proj_transform(*corners.T, corners @ w, ax.get_proj())
    area = 0.5 * abs(np.dot(u, np.roll(v, 1)) - np.dot(v, np.roll(u, 1)))
    assert area > 1e-3


def test_long_names_are_wrapped_and_not_cut_off() -> None:
    names = [f"a name of {what} that is rather long / (kg m² s⁻²)" for what in "abc"]
    drawn = plot.lls3d(X * 1e5, Y * 1e5, W, B, names=names, residuals=True)
    ax = drawn.scatter.axes
    figure = ax.figure
    figure.canvas.draw()
    (legend,) = figure.legends
    beneath = legend.get_window_extent()
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        assert axis.get_label_text().count("\n") == 1
        box = axis.label.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert box.y0 >= beneath.y1


def test_data_are_neither_changed_nor_kept() -> None:
    features, target = X.copy(), Y.copy()
    features.flags.writeable = target.flags.writeable = False
    drawn = plot.lls3d(features, target, W, B)
    features.flags.writeable = target.flags.writeable = True
    features[:] = target[:] = 99
    assert points(drawn).tolist() == np.column_stack([X, Y]).tolist()


FIT = SimpleNamespace(coef=W, intercept=B)
REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((X[:, :1], Y, W), {}, ValueError, r"X must have shape \(N, 2\).*\(40, 1\)"),
    ((X[:0], Y[:0], W), {}, ValueError, r"X must .* N at least 1, got \(0, 2\)"),
    ((X[0], Y[0], W), {}, ValueError, r"X must have .* got \(2,\); choose two"),
    ((X, Y[1:], W), {}, ValueError, r"y must have shape \(40,\).*got \(39,\)"),
    ((X, np.ones((40, 2)), W), {}, ValueError, r"y must have .*got \(40, 2\)"),
    ((X, Y, [1.0, 2.0, 3.0]), {}, ValueError, r"coef must have.*\(3,\); of several"),
    ((X, Y, np.ones((2, 2))), {}, ValueError, r"coef must have .*got \(2, 2\)"),
    ((X, Y, [1.0, np.inf]), {}, ValueError, r"coef\[1\] must be finite, got inf"),
    ((X, Y, W, [1.0, 2.0]), {}, ValueError, "intercept must be one number, got"),
    ((X, Y, W, np.nan), {}, ValueError, "intercept must be finite, got nan"),
    ((X, Y, W, "1"), {}, TypeError, "intercept must hold real numbers, got str"),
    ((X, Y, W, None), {}, TypeError, "intercept must hold real .* got NoneType"),
    ((X, Y, FIT, 0.5), {}, TypeError, "intercept is 0.5, but SimpleNamespace has one"),
    (
        (X, Y, [1e308, 1e308]),
        {},
        ValueError,
        "coef .* a plane that is not finite over X",
    ),
    ((X + 0j, Y, W), {}, TypeError, "X must hold real .* got ndarray of complex128"),
    (([[1.0], [1.0, 2.0]], Y, W), {}, ValueError, "X is not an array"),
    ((np.ma.array(X), Y, W), {}, TypeError, "X must not be a masked array"),
    ((X, np.where(Y > 0, np.nan, 1), W), {}, ValueError, r"y\[\d+\] must be finite"),
    ((X, Y, W), {"names": "abc"}, TypeError, "names must be .* 3 str.*got 'abc'"),
    ((X, Y, W), {"names": 3}, TypeError, "names must be a sequence of 3 str"),
    ((X, Y, W), {"names": ["a", "b"]}, ValueError, "names has 2 entries, expected 3"),
    (
        (X, Y, W),
        {"names": ["a", 2, "c"]},
        TypeError,
        r"names\[1\] must be str, got int",
    ),
    (
        (X, Y, W),
        {"residuals": Y},
        TypeError,
        "residuals must be True or False, got nda",
    ),
    ((X, Y, W), {"ax": "3d"}, TypeError, "ax must be 3-D axes, .* got str"),
]


@pytest.mark.parametrize(("args", "options", "error", "message"), REFUSED)
def test_bad_arguments_are_named(
    args: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^plot.lls3d: {message}"):
        plot.lls3d(*args, **options)
    assert not plt.get_fignums()


def test_the_place_of_a_value_that_is_not_finite_is_named() -> None:
    bad = X.copy()
    bad[[3, 9], 1] = -np.inf
    with pytest.raises(ValueError, match=r"X\[3, 1\] must be finite, got -inf"):
        plot.lls3d(bad, Y, W)


def test_flat_axes_are_refused_and_left_alone() -> None:
    _, ax = plt.subplots()
    with pytest.raises(TypeError, match=r"projection='3d'\), got Axes"):
        plot.lls3d(X, Y, W, ax=ax)
    assert not ax.has_data()
