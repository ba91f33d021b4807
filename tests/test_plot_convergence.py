"""The picture of losses over epochs, read from its artists."""

from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import gradstep as gs

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend
from matplotlib.colors import to_rgb

from gradstep import plot

EPOCHS = np.arange(20)
SLOW, FAST = 3.0 * 0.9**EPOCHS + 0.25, 2.0 * 0.5**EPOCHS + 0.25


@pytest.fixture(autouse=True)
def _no_figures_left() -> Any:
    yield
    plt.close("all")


def data(line: Any) -> Any:
    return np.asarray(line.get_ydata())


def legend_of(ax: Any) -> Any:
    return (ax.figure.legends or [ax.get_legend()])[0]


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in legend_of(ax).get_texts()]


def test_losses_are_drawn_as_they_are_on_a_logarithmic_axis() -> None:
    drawn = plot.convergence(SLOW.tolist(), FAST.astype(np.float32)[:7])
    slow, fast = drawn.loss
    assert data(slow).tolist() == SLOW.tolist()
    assert np.asarray(slow.get_xdata()).tolist() == EPOCHS.tolist()
    assert data(fast).tolist() == FAST.astype(np.float32)[:7].tolist()
    assert drawn.validation_loss == [None, None]
    ax = slow.axes
    assert (ax.get_yscale(), ax.get_xscale()) == ("log", "linear")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert texts(ax) == ["fit 0", "fit 1"]


def test_the_excess_over_the_exact_solution_is_drawn() -> None:
    fit = SimpleNamespace(loss=FAST, validation_loss=SLOW)
    drawn = plot.convergence(fit, exact=np.float64(0.25))
    assert data(drawn.loss[0]).tolist() == (FAST - 0.25).tolist()
    assert data(drawn.validation_loss[0]).tolist() == (SLOW - 0.25).tolist()
    assert drawn.loss[0].axes.get_ylabel() == "excess loss"


def test_validation_is_dashed_in_the_colour_of_its_fit() -> None:
    held_out = SimpleNamespace(loss=SLOW, validation_loss=1.5 * SLOW)
    without = SimpleNamespace(loss=FAST, validation_loss=None)
    drawn = plot.convergence(without, held_out, labels=["none", "some"])
    assert drawn.validation_loss[0] is None
    line = drawn.validation_loss[1]
    assert data(line).tolist() == (1.5 * SLOW).tolist()
    assert line.get_linestyle() == "--"
    assert [loss.get_linestyle() for loss in drawn.loss] == ["-", "-"]
    colours = [to_rgb(x.get_color()) for x in (*drawn.loss, line)]
    assert colours[0] != colours[1] == colours[2]
    assert texts(line.axes) == ["none", "some", "validation"]


def test_what_has_no_logarithm_is_a_gap() -> None:
    losses = [4.0, np.nan, 2.0, 0.0, np.inf, 0.5, -np.inf, -1.0, 0.125]
    (line,) = plot.convergence(losses).loss
    gap = np.nan
    expected = [4.0, gap, 2.0, gap, gap, 0.5, gap, gap, 0.125]
    assert np.array_equal(data(line), expected, equal_nan=True)
    (excess,) = plot.convergence(losses, exact=0.5).loss
    expected = [3.5, gap, 1.5, gap, gap, gap, gap, gap, gap]
    assert np.array_equal(data(excess), expected, equal_nan=True)
    line.figure.canvas.draw()  # a warning would be an error


def test_a_line_of_gaps_says_so() -> None:
    drawn = plot.convergence([1.0, 0.5], [np.nan, -1.0, 0.0], labels=["a", "b"])
    assert [line.get_label() for line in drawn.loss] == ["a", "b (none above 0)"]
    (alone,) = plot.convergence([0.25], exact=0.25).loss
    alone.figure.canvas.draw()
    assert texts(alone.axes) == ["fit 0 (none above 0)"]


@pytest.mark.parametrize("epochs", [1, 30, 31, 10_000])
def test_few_epochs_have_markers(epochs: int) -> None:
    (line,) = plot.convergence(np.linspace(2, 1, epochs)).loss
    if epochs <= 30:
        assert line.get_marker() == "o"
        assert list(line.get_markevery()) == list(range(epochs))
    else:
        assert line.get_marker() == "None"
    assert data(line).size == epochs


def test_of_many_epochs_those_between_gaps_have_markers() -> None:
    losses = np.ones(100)
    losses[[1, 40, 42, 60, 98]] = np.nan
    (line,) = plot.convergence(losses).loss
    assert line.get_marker() == "o"
    assert list(line.get_markevery()) == [0, 41, 99]


def test_lines_are_told_apart_without_colours() -> None:
    drawn = plot.convergence(*[SLOW * k for k in range(1, 6)])
    grey = [np.dot(to_rgb(x.get_color()), [0.299, 0.587, 0.114]) for x in drawn.loss]
    assert min(np.diff(grey)) > 0.08
    assert grey[-1] < 0.75  # on white
    assert len({line.get_marker() for line in drawn.loss}) == 5


def test_fits_are_named_by_their_optimizers() -> None:
    adam = SimpleNamespace(loss=FAST, optimizer=gs.Adam(np.ones(2), lr=0.1))
    drawn = plot.convergence(SLOW, adam)
    labels = [line.get_label() for line in drawn.loss]
    assert labels == ["fit 0", "fit 1, Adam"]


def test_long_labels_are_wrapped_below_the_axes() -> None:
    long = [f"{k}: " + "schedule-free AdamW with warm-up " * 4 for k in range(8)]
    ax = plot.convergence(*[SLOW] * 8, labels=long).loss[0].axes
    figure = ax.figure
    figure.canvas.draw()
    assert [text.replace("\n", " ") for text in texts(ax)] == [x.strip() for x in long]
    legend, axes = legend_of(ax).get_window_extent(), ax.get_tightbbox()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert 0 <= legend.y0 < legend.y1 < axes.y0
    assert ax.get_window_extent().height > 0.3 * figure.bbox.height
    short = plot.convergence(SLOW, FAST, SLOW, labels=["SGD", "Adam", "Lion"])
    assert short.loss[0].figure.get_figheight() == 4


def test_axes_of_the_caller_are_used() -> None:
    figure, ax = plt.subplots(figsize=(5, 2))
    drawn = plot.convergence(SLOW, FAST, labels=("a", "b"), ax=ax)
    assert plt.get_fignums() == [figure.number]
    assert [line.axes for line in drawn.loss] == [ax, ax]
    assert not figure.legends
    assert texts(ax) == ["a", "b"]
    assert figure.get_size_inches().tolist() == [5, 2]


def test_ticks_of_epochs_are_whole_numbers() -> None:
    for epochs in (1, 2, 3, 13, 100):
        ax = plot.convergence(np.linspace(2, 1, epochs)).loss[0].axes
        ticks = ax.get_xticks()
        assert ticks.size >= 1
        assert (ticks == np.round(ticks)).all()


def test_ticks_of_a_narrow_range_of_losses_can_be_read() -> None:
    ax = plot.convergence([1.0002, 1.0001]).loss[0].axes
    ax.figure.canvas.draw()
    labels = [text.get_text() for text in ax.get_yticklabels()]
    inside = [x for x in labels if 1.0001 <= float(x) <= 1.0002]
    assert len(inside) >= 3
    ax = plot.convergence([10.0, 0.1]).loss[0].axes
    assert 1.0 in ax.get_yticks()


def test_losses_are_neither_changed_nor_kept() -> None:
    loss = SLOW.copy()
    loss.flags.writeable = False
    (line,) = plot.convergence(loss).loss
    loss.flags.writeable = True
    loss[:] = 9
    assert data(line).tolist() == SLOW.tolist()


class Fit:
    """What stands for a fit, its lengths at odds."""

    loss = SLOW
    validation_loss = FAST[1:]


REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((), {}, TypeError, "pass at least one fit or array of losses"),
    ((SLOW, 0.5), {}, ValueError, r"fits\[1\] must have shape \(epochs,\).*got \(\)"),
    ((np.ones((3, 2)),), {}, ValueError, r"fits\[0\] must .*\(3, 2\); of several"),
    ((SLOW, []), {}, ValueError, r"fits\[1\] must have .*one epoch, got \(0,\)"),
    ((gs,), {}, TypeError, r"fits\[0\] must hold real numbers, got module of object"),
    ((["1.0"],), {}, TypeError, r"fits\[0\] must hold real numbers, got list of <U3"),
    ((SLOW + 0j,), {}, TypeError, r"fits\[0\] must hold real .* complex128"),
    ((np.ma.array(SLOW),), {}, TypeError, r"fits\[0\] must not be a masked array"),
    (
        (SimpleNamespace(loss=None),),
        {},
        TypeError,
        r"fits\[0\].loss must hold real numbers, got NoneType",
    ),
    ((Fit(),), {}, ValueError, r"fits\[0\].validation_loss has 19 epochs, loss has 20"),
    ((SLOW,), {"labels": "a"}, TypeError, "labels must be a sequence of 1 str.*'a'"),
    ((SLOW,), {"labels": ["a", "b"]}, ValueError, "labels has 2 entries, expected 1"),
    ((SLOW,), {"labels": [3]}, TypeError, r"labels\[0\] must be str, got int"),
    ((SLOW,), {"labels": ["_a"]}, ValueError, r"labels\[0\] is '_a', which legends"),
    ((SLOW,), {"labels": [" "]}, ValueError, r"labels\[0\] is ' ', which legends"),
    ((SLOW,), {"exact": np.nan}, ValueError, "exact must be finite, got nan"),
    ((SLOW,), {"exact": [0.1]}, ValueError, r"exact must be one number.*\(1,\)"),
    ((SLOW,), {"exact": "0.1"}, TypeError, "exact must hold real numbers, got str"),
    ((SLOW,), {"exact": True}, TypeError, "exact must be a number, got bool"),
    ((SLOW,), {"ax": plt}, TypeError, "ax must be 2-D axes, .* got module"),
]


@pytest.mark.parametrize(("fits", "options", "error", "message"), REFUSED)
def test_bad_arguments_are_named(
    fits: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^plot.convergence: {message}"):
        plot.convergence(*fits, **options)
    assert not plt.get_fignums()


def test_axes_of_three_dimensions_are_refused_and_left_alone() -> None:
    ax = plt.figure().add_subplot(projection="3d")
    with pytest.raises(TypeError, match=r"ax must be 2-D axes, .* got Axes3D"):
        plot.convergence(SLOW, ax=ax)
    assert not ax.has_data()
