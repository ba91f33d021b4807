"""Paths, bit for bit what the optimizers do, and their pictures and films."""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import gradstep as gs

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend
from matplotlib.colors import to_rgb

from gradstep import plot
from gradstep.plot import styles
from gradstep.testfunctions import SURFACES, beale, rosenbrock, saddle, valley

partial = functools.partial
SGD = partial(gs.SGD, lr=0.01)
METHODS = {"SGD": SGD, "Adam": partial(gs.Adam, lr=0.1)}


@pytest.fixture(autouse=True)
def _no_figures_left() -> Any:
    yield
    plt.close("all")


def bowl(x: Any) -> float:
    return float(x @ x)


def slope(x: Any) -> Any:
    return 2 * x


def by_hand(factory: Callable[[Any], Any], advance: Callable[[Any, Any], Any]) -> Any:
    """Points after each of 7 steps from Rosenbrock's start, taken one by one."""
    w = np.array(rosenbrock.start)
    opt = factory(w)
    points = [w.copy()]
    for _ in range(7):
        points.append(np.array(advance(opt, w)))
    return np.array(points)


def plainly(opt: Any, w: Any) -> Any:
    opt.step(rosenbrock.gradient(w))
    return w


def at_the_lookahead(opt: Any, w: Any) -> Any:
    opt.step(rosenbrock.gradient(opt.lookahead()))
    return w


def averaging(opt: Any, w: Any) -> Any:
    opt.step(rosenbrock.gradient(w))
    return opt.eval_params()


def twice(opt: Any, w: Any) -> Any:
    opt.first_step(rosenbrock.gradient(w))
    opt.second_step(rosenbrock.gradient(w))
    return w


NESTEROV = partial(gs.SGD, lr=1e-3, momentum=0.9, nesterov=True)


@pytest.mark.parametrize(
    ("factory", "advance"),
    [
        (partial(gs.SGD, lr=1e-3), plainly),
        (NESTEROV, plainly),
        (partial(NESTEROV, form="velocity"), at_the_lookahead),
        (partial(gs.Adam, lr=0.1), plainly),
        (partial(gs.MADGRAD, lr=0.02), plainly),
        (partial(gs.ScheduleFreeSGD, lr=1e-3), averaging),
        (partial(gs.ScheduleFree, base=partial(gs.SGD, lr=1e-3)), averaging),
        (partial(gs.SAM, base=partial(gs.SGD, lr=1e-3)), twice),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_paths_are_those_of_steps_taken_by_hand(factory: Any, advance: Any) -> None:
    expected = by_hand(factory, advance)
    (path,) = plot.paths(rosenbrock, {"it": factory}, steps=7)
    assert path.points.tobytes() == expected.tobytes()
    assert path.losses.tolist() == [rosenbrock(x) for x in expected]
    assert (path.label, path.diverged) == ("it", None)


def test_paths_of_any_function_begin_where_they_are_told() -> None:
    start = np.array([3.0, -2.0, 1.0])
    (path,) = plot.paths(
        bowl, [partial(gs.SGD, lr=0.25)], start, steps=2, gradient=slope
    )
    assert path.points.tolist() == [[3, -2, 1], [1.5, -1, 0.5], [0.75, -0.5, 0.25]]
    assert start.tolist() == [3, -2, 1]


def test_every_method_begins_anew_and_in_order() -> None:
    both = plot.paths(beale, METHODS, steps=5)
    assert [path.label for path in both] == ["SGD", "Adam"]
    for path, (label, factory) in zip(both, METHODS.items(), strict=True):
        (alone,) = plot.paths(beale, {label: factory}, steps=5)
        assert alone.points.tobytes() == path.points.tobytes()


def test_labels_of_a_list_are_names_and_arguments() -> None:
    inner = partial(gs.SGD, lr=0.1)
    methods = [gs.Adam, inner, partial(gs.SAM, base=inner, rho=0.5)]
    assert [path.label for path in plot.paths(beale, methods, steps=1)] == [
        "Adam",
        "SGD(lr=0.1)",
        "SAM(base=SGD(lr=0.1), rho=0.5)",
    ]


def test_what_diverges_ends_where_all_is_finite() -> None:
    (path,) = plot.paths(beale, [partial(gs.SGD, lr=1.0)], steps=50)
    assert path.diverged is not None
    assert path.diverged < 50
    assert np.isfinite(path.points).all()
    assert np.isfinite(path.losses).all()
    assert path.diverged - len(path.points) in (-1, 0)


@pytest.mark.parametrize("name", ["beale", "rosenbrock", "himmelblau"])
def test_levels_are_logarithmic_above_the_minimum_of_steep_land(name: str) -> None:
    drawn = plot.trajectories(SURFACES[name], {"SGD": SGD}, steps=1)
    at = np.asarray(drawn.contours.lines.levels)
    assert np.allclose(np.diff(np.log(at), 2), 0, atol=1e-9)
    assert at[-1] / at[0] > 1000
    # Bands have the same edges as the lines between them.
    assert np.asarray(drawn.contours.bands.levels).tolist() == at.tolist()


def test_levels_of_other_functions_are_logarithmic_above_their_least_value() -> None:
    drawn = plot.trajectories(
        lambda x: float(np.cosh(8 * x[0]) + x[1] ** 2 - 5),
        {"SGD": partial(gs.SGD, lr=1e-6)},
        (0.5, 0.5),
        gradient=lambda x: np.array([8 * np.sinh(8 * x[0]), 2 * x[1]]),
        bounds=((-1, 1), (-1, 1)),
        steps=1,
    )
    at = np.asarray(drawn.contours.lines.levels) + 4  # -4 is the least, at 0
    assert np.allclose(np.diff(np.log(at), 2), 0, atol=1e-9)


@pytest.mark.parametrize("name", ["saddle", "rastrigin"])
def test_levels_of_other_land_are_even(name: str) -> None:
    drawn = plot.trajectories(SURFACES[name], {"SGD": SGD}, steps=1)
    at = np.asarray(drawn.contours.lines.levels)
    assert np.allclose(np.diff(at, 2), 0, atol=1e-9)


def test_paths_start_and_minima_are_drawn() -> None:
    bounds = ((0.0, 4.0), (-1.0, 1.5))
    drawn = plot.trajectories(beale, METHODS, steps=30, bounds=bounds)
    assert len(drawn.lines) == len(drawn.ends) == 2
    for line, end, path in zip(drawn.lines, drawn.ends, drawn.paths, strict=True):
        assert np.array_equal(line.get_xydata(), path.points)
        assert np.array_equal(end.get_xydata(), path.points[-1:])
        assert end.get_markersize() > line.get_markersize()
        assert end.get_marker() == line.get_marker()
    assert np.asarray(drawn.start.get_xydata()).tolist() == [[1.0, 1.0]]
    assert drawn.minima is not None
    assert np.asarray(drawn.minima.get_xydata()).tolist() == [[3.0, 0.5]]
    ax = drawn.start.axes
    assert isinstance(ax, plt.Axes)
    assert (ax.get_xlim(), ax.get_ylim()) == bounds
    (legend,) = ax.figure.legends  # type: ignore[union-attr]
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["SGD", "Adam", "start", "minimum"]


def test_a_saddle_has_no_minima_to_draw() -> None:
    assert plot.trajectories(saddle, {"SGD": SGD}, steps=1).minima is None


def test_a_path_that_leaves_is_cut_at_the_frame_and_says_so() -> None:
    up = partial(gs.SGD, lr=0.25)  # y grows by half in each step
    start, bounds = (0.5, 0.4), ((-1.0, 1.0), (-1.0, 1.0))
    drawn = plot.trajectories(saddle, {"up": up}, start, steps=5, bounds=bounds)
    (path,), (line,) = drawn.paths, drawn.lines
    assert [y > 1 for y in path.points[:, 1]] == [False] * 3 + [True] * 3
    assert line.get_label() == "up (left at step 3)"
    shown = np.asarray(line.get_xydata())
    assert shown[:-1].tolist() == path.points[:3].tolist()
    (x0, y0), (x1, y1) = path.points[2:4]
    assert shown[-1].tolist() == [
        pytest.approx(x0 + (x1 - x0) * (1 - y0) / (y1 - y0), rel=1e-12),
        1.0,
    ]
    assert np.array_equal(drawn.ends[0].get_xydata(), shown[-1:])


def test_a_path_that_comes_back_is_drawn_whole() -> None:
    # From x = 1 to -1.4 and then, ever nearer, from side to side.
    swing, bounds = partial(gs.SGD, lr=1.2, momentum=0.5), ((-1.1, 1.1), (-1, 1))
    drawn = plot.trajectories(
        bowl, {"swing": swing}, (1, 0), gradient=slope, bounds=bounds, steps=40
    )
    (path,), (line,) = drawn.paths, drawn.lines
    assert path.points[1, 0] == pytest.approx(-1.4, rel=1e-15)
    assert abs(path.points[-1, 0]) < 1e-3
    assert np.array_equal(line.get_xydata(), path.points)
    assert line.get_label() == "swing"


def test_a_path_that_diverges_says_so() -> None:
    methods = {"far": partial(gs.SGD, lr=0.021), "farther": partial(gs.SGD, lr=1e9)}
    drawn = plot.trajectories(valley, methods, steps=60)
    far, farther = drawn.paths
    assert far.diverged is None  # yet its loss grows by a fifth in each step
    assert far.losses[-1] > far.losses[0]
    outside = np.abs(far.points[:, 1]) > 1.5
    last = int(np.flatnonzero(~outside)[-1])
    assert [line.get_label() for line in drawn.lines] == [
        f"far (diverged at step {last + 1})",
        f"farther (diverged at step {farther.diverged})",
    ]
    for line in drawn.lines:
        x, y = np.asarray(line.get_xydata()).T
        assert np.abs(x).max() <= 12.0
        assert np.abs(y).max() <= 1.5


def test_lines_are_told_apart_without_colours() -> None:
    looks = [styles.look(k) for k in range(56)]
    seen = {(x["color"], x["marker"], str(x["linestyle"])) for x in looks}
    assert len(seen) == 56
    first = looks[:7]
    assert len({x["marker"] for x in first}) == 7
    for one, other in pairwise(first):
        assert one["linestyle"] != other["linestyle"]
    brightness = [np.dot(to_rgb(x["color"]), [0.299, 0.587, 0.114]) for x in first]
    assert max(brightness) < 0.7  # on pale ground


def test_functions_without_values_in_places_are_drawn_elsewhere() -> None:
    def root(x: Any) -> float:
        return float(np.sqrt(x[0]) + x[1] ** 2)

    drawn = plot.trajectories(
        root,
        {"SGD": SGD},
        (1.0, 0.0),
        gradient=lambda x: np.array([0.5 / np.sqrt(x[0]), 2 * x[1]]),
        bounds=((-1, 2), (-1, 1)),
        steps=2,
    )
    drawn.start.figure.canvas.draw()  # a warning would be an error
    x = np.concatenate([p.vertices[:, 0] for p in drawn.contours.lines.get_paths()])
    assert x.min() >= 0


def test_axes_of_the_caller_are_used() -> None:
    figure, ax = plt.subplots(figsize=(3, 2))
    drawn = plot.trajectories(beale, METHODS, steps=2, ax=ax)
    assert plt.get_fignums() == [figure.number]
    assert {line.axes for line in drawn.lines} == {ax}
    assert ax.get_legend() is not None


def test_a_film_shows_the_steps_so_far(tmp_path: Any) -> None:
    _, ax = plt.subplots(figsize=(2, 2))
    film = plot.animate(beale, METHODS, steps=20, frames=5, ax=ax)
    lines = [line for line in ax.lines if line.get_label() in METHODS]
    film.save(tmp_path / "film.gif", writer="pillow", dpi=50)
    with Image.open(tmp_path / "film.gif") as saved:
        assert getattr(saved, "n_frames", 1) == 5
    # The last frame is the picture without a film.
    still = plot.trajectories(beale, METHODS, steps=20)
    for line, other in zip(lines, still.lines, strict=True):
        assert np.array_equal(line.get_xydata(), other.get_xydata())
    assert ax.texts[-1].get_text() == "step 20"


def test_each_frame_of_a_film_is_the_beginning_of_the_paths() -> None:
    from gradstep.plot.animation import moving

    drawn = plot.trajectories(beale, METHODS, steps=20)
    film = moving(drawn, 20, 5)
    assert film.steps == [0, 5, 10, 15, 20]
    for step in film.steps:
        film.show(step)
        for line, end, path in zip(drawn.lines, drawn.ends, drawn.paths, strict=True):
            assert np.array_equal(line.get_xydata(), path.points[: step + 1])
            assert np.array_equal(end.get_xydata(), path.points[step : step + 1])


ON = {"gradient": slope, "start": (1.0, 1.0), "bounds": ((-2, 2), (-2, 2))}
REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (3, {}, TypeError, "function must be a Surface .* got int"),
    (bowl, {}, TypeError, "gradient must be callable where function is no Surface"),
    (beale, {"gradient": slope}, TypeError, "gradient must be left out"),
    (bowl, {"gradient": slope}, TypeError, "start is missing"),
    (bowl, ON | {"bounds": None}, TypeError, "bounds is missing"),
    (beale, {"start": (1, np.nan)}, ValueError, r"start\[1\] must be finite, got nan"),
    (beale, {"start": (1, 2, 3)}, ValueError, r"start must have shape \(2,\).*\(3,\)"),
    (bowl, ON | {"start": [1.0]}, ValueError, r"start must have shape \(2,\), as cont"),
    (bowl, ON | {"start": 1.0}, ValueError, r"start must have shape \(n,\).*got \(\)"),
    (beale, {"start": (9, 9)}, ValueError, r"start \[9.0, 9.0\] must be inside bounds"),
    (beale, {"bounds": (1, 2)}, ValueError, r"bounds must be .* got shape \(2,\)"),
    (
        beale,
        {"bounds": ((0, 2), (2, 2))},
        ValueError,
        r"bounds of y must have low < high, got \(2.0, 2.0\)",
    ),
    (beale, {"steps": 0}, ValueError, "steps must be an int of at least 1, got 0"),
    (beale, {"steps": 2.0}, ValueError, "steps must be an int of at least 1, got 2.0"),
    (beale, {"steps": True}, ValueError, "steps must be an int .* got True"),
    (beale, {"optimizers": 3}, TypeError, "optimizers must be a dict .* got int"),
    (beale, {"optimizers": gs.Adam}, TypeError, "optimizers must be a dict .*Adam"),
    (beale, {"optimizers": {}}, ValueError, "optimizers is empty"),
    (beale, {"optimizers": [0.1]}, TypeError, r"optimizers\[0\] must be callable"),
    (beale, {"optimizers": {"a": 1}}, TypeError, r"optimizers\['a'\] must be callable"),
    (beale, {"optimizers": [SGD, SGD]}, ValueError, r"optimizers\[1\] would be called"),
    (beale, {"optimizers": {1: SGD}}, TypeError, "labels of .* must be str, got 1"),
    (beale, {"optimizers": {"_a": SGD}}, ValueError, "label '_a' of optimizers"),
    (
        beale,
        {"optimizers": {"a": lambda w: w}},
        TypeError,
        r"optimizers\['a'\] must return a gradstep optimizer .* got ndarray",
    ),
    (lambda x: x, ON, ValueError, r"function must return one number, got shape \(2,\)"),
    (lambda _: "a", ON, TypeError, r"function\(start\) must hold real numbers"),
    (lambda _: np.inf, ON, ValueError, r"function must be finite at start \[1.0, 1.0"),
    (bowl, ON | {"gradient": bowl}, ValueError, r"gradient must return shape \(2,\)"),
    (lambda _: 1.0, ON, ValueError, "function is 1.0 everywhere in bounds"),
    (beale, {"ax": plt}, TypeError, "ax must be 2-D axes, .* got module"),
]


@pytest.mark.parametrize(("function", "options", "error", "message"), REFUSED)
def test_bad_arguments_are_named(
    function: Any, options: Any, error: type[Exception], message: str
) -> None:
    given = {"optimizers": METHODS, "steps": 2} | options
    with pytest.raises(error, match=f"^plot.trajectories: {message}"):
        plot.trajectories(function, **given)
    assert not plt.get_fignums()


def test_films_and_paths_name_themselves() -> None:
    with pytest.raises(ValueError, match=r"^plot.paths: steps must be an int"):
        plot.paths(beale, METHODS, steps=0)
    for frames in (1, 2.5):
        with pytest.raises(ValueError, match=r"^plot.animate: frames must be an int"):
            plot.animate(beale, METHODS, frames=frames)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^plot.animate: function must be a Surface"):
        plot.animate(3, METHODS)


def test_what_fails_on_the_way_says_whose_path_it_was() -> None:
    def odd(x: Any) -> Any:
        return slope(x) if x[0] > 0.9 else "none"

    with pytest.raises((TypeError, ValueError)) as caught:
        plot.paths(bowl, {"mine": SGD}, (1.0, 1.0), gradient=odd, steps=20)
    assert caught.value.__notes__ == ["This was plot.paths: optimizers['mine']."]
