"""The picture of learning rates, against what theory says of each."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt  # after the choice of a backend

from gradstep import plot


@pytest.fixture(autouse=True)
def _no_figures_left() -> Any:
    yield
    plt.close("all")


def test_iterates_are_multiplied_by_one_minus_rate_times_curvature() -> None:
    rates, L, start = [0.125, 0.25, 0.75], 4.0, 3.0
    drawn = plot.learning_rates(rates, curvature=L, start=start, steps=5)
    for lr, path, line in zip(rates, drawn.paths, drawn.iterates, strict=True):
        # Of powers of two all is exact.
        expected = start * (1 - lr * L) ** np.arange(6)
        assert path.points[:, 0].tolist() == expected.tolist()
        assert path.losses.tolist() == (0.5 * L * expected**2).tolist()
        assert np.asarray(line.get_xdata()).tolist() == expected.tolist()
        assert np.asarray(line.get_ydata()).tolist() == path.losses.tolist()


@pytest.mark.parametrize("L", [1.0, 0.3, 49.0])  # 49 times the float 1/49 is not 1
def test_the_default_rates_are_too_small_right_and_too_high(L: float) -> None:
    drawn = plot.learning_rates(curvature=L, steps=10)
    small, right, high = drawn.paths
    titles = [line.axes.get_title() for line in drawn.iterates]  # type: ignore[union-attr]
    assert [title.split(": ")[1] for title in titles] == ["slow", "right", "diverges"]
    assert (np.diff(small.losses) < 0).all()
    assert small.losses[-1] > 0.1 * small.losses[0]
    # In one step, but for rounding of 1/L times L.
    assert right.losses[1] < 1e-30 * right.losses[0]
    assert (np.diff(high.losses) > 0).all()


@pytest.mark.parametrize(
    ("lr", "title"),
    [
        (0.0, "lr = 0: does not move"),
        (0.125, "lr = 0.125 < 1/L: slow"),
        (0.375, "lr = 0.375 < 1/L: slow"),
        (0.5, "lr = 0.5 = 1/L: right"),
        (0.75, "1/L < lr = 0.75 < 2/L: from side to side"),
        (1.0, "lr = 1 = 2/L: from side to side for ever"),
        (1.25, "lr = 1.25 > 2/L: diverges"),
    ],
)
def test_titles_say_what_the_path_does(lr: float, title: str) -> None:
    drawn = plot.learning_rates([lr], curvature=2.0, steps=4)
    assert drawn.iterates[0].axes.get_title() == title  # type: ignore[union-attr]
    w = drawn.paths[0].points[:, 0]
    shrinks, turns = abs(w[1]) < abs(w[0]), w[0] * w[1] < 0
    assert shrinks == (0 < lr < 1.0)
    assert turns == (lr > 0.5)


def test_losses_are_on_a_logarithmic_axis_and_zero_is_named() -> None:
    drawn = plot.learning_rates([0.5, 1.0], steps=4)
    slow, right = drawn.losses
    assert slow.axes.get_yscale() == "log"  # type: ignore[union-attr]
    assert np.array_equal(slow.get_ydata(), drawn.paths[0].losses)
    assert right.get_label() == "lr = 1 (0 from step 1 on)"
    gaps = np.isnan(np.asarray(right.get_ydata()))
    assert gaps.tolist() == [False, True, True, True, True]
    slow.figure.canvas.draw()  # type: ignore[union-attr]  # a warning is an error


def test_all_parabolas_have_the_same_frame() -> None:
    axes: list[Any] = [line.axes for line in plot.learning_rates().iterates]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    assert axes[0].get_xlim()[0] < -1 < 1 < axes[0].get_xlim()[1]


def test_axes_of_the_caller_are_used() -> None:
    figure, axes = plt.subplots(1, 3)
    drawn = plot.learning_rates([0.1, 0.1], ax=axes)
    assert plt.get_fignums() == [figure.number]
    assert [line.axes for line in drawn.iterates] == [axes[0], axes[1]]
    assert [line.axes for line in drawn.losses] == [axes[2], axes[2]]


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rates": []}, ValueError, "rates must be a sequence of numbers"),
    ({"rates": 0.1}, ValueError, "rates must be a sequence of .* got 0.1"),
    ({"rates": [-0.1]}, ValueError, r"rates must be .* in \[0, inf\)"),
    ({"rates": [np.nan]}, ValueError, r"rates\[0\] must be finite, got nan"),
    ({"rates": ["a"]}, TypeError, "rates must hold real numbers"),
    ({"curvature": 0.0}, ValueError, "curvature must be above 0, got 0.0"),
    ({"curvature": np.inf}, ValueError, "curvature must be finite, got inf"),
    ({"curvature": True}, ValueError, "curvature must be one number, got True"),
    ({"start": 0}, ValueError, "start must not be 0"),
    ({"start": [1.0]}, ValueError, r"start must be one number, got \[1.0\]"),
    ({"steps": 0}, ValueError, "steps must be an int of at least 1, got 0"),
    ({"ax": [plt]}, ValueError, "ax must be 4 axes, one for each rate .* got 1"),
    ({"ax": [plt] * 4}, TypeError, "ax must be 2-D axes, .* got module"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_bad_arguments_are_named(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^plot.learning_rates: {message}"):
        plot.learning_rates(**options)
    assert not plt.get_fignums()
