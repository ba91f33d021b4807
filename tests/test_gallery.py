"""The gallery: what its sentences claim, asserted on the paths that are drawn."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib.figure import Figure  # after the choice of a backend

from gradstep import lls
from gradstep.analysis import is_convex_on_samples
from gradstep.plot.gallery import basics, fitting
from gradstep.plot.gallery.comparison import SCENES
from gradstep.plot.gallery.methods import ADAPTIVE, MOMENTUM, RECENT, slope_lengths
from gradstep.plot.trajectory import cut

MOMENTA = ("momentum", "Nesterov")


def ends(scene: Any) -> dict[str, Any]:
    return {label: path.points[-1] for label, path in scene.paths().items()}


def distances(scene: Any) -> dict[str, float]:
    """How far each path ends from the one minimum."""
    (minimum,) = scene.surface.minima
    return {
        label: float(np.linalg.norm(end - minimum))
        for label, end in ends(scene).items()
    }


def test_starts_beside_the_middle_alone_reach_the_lowest_of_many_optima() -> None:
    one = [path.points[-1, 0] for path in basics.descents(many=False)]
    assert np.abs(one).max() < 0.01
    many = np.array([path.points[-1, 0] for path in basics.descents(many=True)])
    places = np.round(many, 2)
    assert len(set(np.abs(places))) == 2  # in the middle, and as far on both sides
    lowest = [x for x, end in zip(basics.STARTS, many) if abs(end) < 1e-6]
    assert lowest == [-1.2, 0.9]
    heights = basics.bumps(many)
    assert heights[2:4].max() < 1e-12
    assert np.delete(heights, [2, 3]).min() > 1


def test_the_third_curve_is_neither_convex_nor_concave_and_its_chord_crosses() -> None:
    assert is_convex_on_samples(lambda x: float(x[0] ** 2), -2.6, 2.6).convex
    assert not is_convex_on_samples(lambda x: float(basics.dent(x)[0]), -2, 2).convex
    assert not is_convex_on_samples(lambda x: -float(basics.dent(x)[0]), -2, 2).convex
    low, high = basics.CHORD
    t = np.linspace(0.01, 0.99, 99)
    chord = t * basics.dent(np.array(high)) + (1 - t) * basics.dent(np.array(low))
    above = chord > basics.dent(t * high + (1 - t) * low)
    assert above.any()
    assert not above.all()


def test_single_rows_get_closest_and_take_the_steps_that_are_said() -> None:
    figure = Figure(layout="constrained")
    drawn, _ = fitting.draw_batches(figure)
    best = np.asarray(drawn.exact.get_xydata())[0]
    left = [np.linalg.norm(coefs[-1] - best) for coefs in drawn.coefs]
    assert left[2] < 0.1 < left[1] < left[0]
    assert [len(coefs) - 1 for coefs in drawn.coefs] == [20, 360, 11380]
    # Straight: the last step has the direction of the first.
    steps = np.diff(drawn.coefs[0], axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert (steps @ steps[0]).min() > 0.999
    # Stagger: half of the steps of single rows raise the loss.
    X, y = fitting.standardised()
    losses = ((X @ drawn.coefs[2][::20].T - y) ** 2).mean(axis=0)
    assert 0.3 < (np.diff(losses) > 0).mean() < 0.7


def test_a_tenth_of_the_right_rate_creeps_and_twice_it_diverges() -> None:
    figure = Figure(layout="constrained")
    small, right, high = fitting.draw_rates(figure).paths
    assert right.losses[1] == 0
    assert small.losses[-1] > 0.05 * small.losses[0]
    assert (np.diff(np.abs(high.points[:, 0])) > 0).all()


def test_the_first_epoch_does_most_of_the_work() -> None:
    fit, sums = fitting.tutorial_fit()
    X, y = fitting.standardised()
    exact = lls.solve(X, y).coef
    excess = sums - float(((X @ exact - y) ** 2).sum())
    assert 1 - excess[1] / excess[0] > 0.98
    assert (excess[2:-1] / excess[3:]).max() < 1.1  # slowly
    # What is left is nearly all along radius less area, in which X varies least.
    left = (fit.coef - exact)[:, 0]
    assert abs(left @ [1, -1]) / np.sqrt(2) > 0.99 * np.linalg.norm(left)
    assert np.corrcoef(X.T)[0, 1] > 0.98


def test_schedules_begin_and_end_as_the_sentences_say() -> None:
    figure = Figure(layout="constrained")
    fitting.draw_schedules(figure)
    ax = figure.axes[0]
    values = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}
    warm = values.pop("cosine after a warm-up")
    assert {y[0] for y in values.values()} == {0.1}
    assert (np.diff(warm[:11]) > 0).all()
    assert warm[10] == warm.max() == 0.1
    step = values["step decay"]
    assert step[[0, 24, 25, 50, 75]].tolist() == [0.1, 0.1, 0.05, 0.025, 0.0125]
    assert values["cosine annealing"][100] < 1e-15


def test_a_constant_rate_bounces_and_the_others_settle() -> None:
    losses, least = fitting.noisy()
    last = {label: found[-5:] - least for label, found in losses.items()}
    assert last["SGD, constant rate"].max() > 0.1
    assert last["SGD, cosine schedule"][-1] < 1e-4
    assert last["schedule-free SGD"].max() < 1e-4


def test_gradient_descent_creeps_and_momenta_swing_and_are_ahead() -> None:
    paths = MOMENTUM.paths()
    y = {label: path.points[:, 1] for label, path in paths.items()}
    assert abs(y["gradient descent"][1]) < 1e-12
    losses = {label: path.losses[-1] for label, path in paths.items()}
    # It has gone half of the way.
    assert 0.4 < abs(ends(MOMENTUM)["gradient descent"][0]) / 10 < 0.6
    for label in MOMENTA:
        assert losses[label] < 1e-2 * losses["gradient descent"]
    # Times that a path goes from one wall to the other, some way up each.
    swings = {
        k: int((np.diff(np.sign(a[abs(a) > 0.02])) != 0).sum()) for k, a in y.items()
    }
    assert swings["momentum"] > 8
    assert swings["Nesterov"] < 3


def test_adaptive_steps_are_as_long_in_both_directions() -> None:
    for label, path in ADAPTIVE.paths().items():
        dx, dy = np.abs(path.points[1] - path.points[0])
        assert dy == pytest.approx(100 * dx if label == "SGD" else dx, rel=1e-6)


def test_of_steps_down_an_even_slope_adagrads_alone_vanish() -> None:
    found = slope_lengths()
    k = np.arange(1, 41)
    assert np.allclose(found["Adagrad"], 0.1 / np.sqrt(k), rtol=1e-6)
    assert np.allclose(found["Adam"], 0.1, rtol=1e-6)
    assert found["RMSprop"].min() > 0.1
    assert (np.diff(found["RMSprop"]) < 0).all()


def test_on_beale_momenta_overshoot_and_sgd_is_farthest() -> None:
    depth = {k: path.points[:, 1].min() for k, path in SCENES["beale"].paths().items()}
    below = max(depth[label] for label in MOMENTA)
    assert below < min(v for k, v in depth.items() if k not in MOMENTA) - 0.4
    left = distances(SCENES["beale"])
    assert max(left, key=left.__getitem__) == "SGD"


def test_on_himmelblau_methods_end_in_two_minima() -> None:
    for label, end in ends(SCENES["himmelblau"]).items():
        lower = label in ("SGD", *MOMENTA)
        minimum = (-3.779310, -3.283186) if lower else (-2.805118, 3.131313)
        assert np.linalg.norm(end - minimum) < 0.05


def test_in_the_valley_sgd_is_farthest_and_momenta_pass_the_minimum() -> None:
    left = distances(SCENES["valley"])
    assert max(left, key=left.__getitem__) == "SGD"
    paths = SCENES["valley"].paths()
    assert abs(paths["SGD"].points[1, 1]) < 1e-12
    assert paths["SGD"].points[:, 0].max() < 0
    for label in MOMENTA:
        x = paths[label].points[:, 0]
        assert x.max() > 1 > abs(x[-1])


def test_at_the_saddle_sgd_sticks_and_rmsprop_leaves() -> None:
    scene = SCENES["saddle"]
    paths = scene.paths()
    sgd = paths.pop("SGD")
    assert np.abs(sgd.points[-1]).max() < 1e-3
    left = {}
    for label, path in paths.items():
        shown = cut(path, scene.surface.bounds)[0]
        assert shown[-1, 1] > 1  # all others go up in y, so down the surface
        left[label] = len(shown) - 1
    assert left["RMSprop"] == 12
    assert min(left[label] for label in MOMENTA) > 60


def test_on_rastrigin_a_long_momentum_alone_leaves_the_first_hollow() -> None:
    scene = SCENES["rastrigin"]
    for label, end in ends(scene).items():
        hollow = [2, 2] if label != "momentum 0.99" else [0, 2]
        assert np.round(end).tolist() == hollow
        assert np.linalg.norm(end) > 1.5  # the global minimum is at 0
    losses = {label: path.losses[-1] for label, path in scene.paths().items()}
    assert min(losses, key=losses.__getitem__) == "momentum 0.99"


def test_on_rosenbrock_momenta_are_nearest_and_sgd_is_farthest() -> None:
    left = distances(SCENES["rosenbrock"])
    order = sorted(left, key=left.__getitem__)
    assert set(order[:2]) == set(MOMENTA)
    assert order[-1] == "SGD"


def test_of_recent_methods_adabelief_is_nearer_than_adam_and_adan_runs_past() -> None:
    left = distances(RECENT)
    assert left["AdaBelief"] < 0.5 * left["Adam"]
    assert ends(RECENT)["Adan"][0] > 3.2
    assert max(v for k, v in left.items() if k != "Adan") < 0.1
    adam, belief = (RECENT.optimizers[k](np.ones(2)) for k in ("Adam", "AdaBelief"))
    assert (adam.lr, adam.betas) == (belief.lr, belief.betas)
    # Its longest moving average of gradients is longer than Adam's.
    assert RECENT.optimizers["Adan"](np.ones(2)).betas[0] > adam.betas[0]


def test_no_path_leaves_a_picture_but_at_the_saddle() -> None:
    scenes = {k: v for k, v in SCENES.items() if k != "saddle"}
    for scene in (*scenes.values(), MOMENTUM, ADAPTIVE, RECENT):
        frame = scene.bounds or scene.surface.bounds
        for path in scene.paths().values():
            low, high = path.points.min(axis=0), path.points.max(axis=0)
            for (a, b), least, most in zip(frame, low, high, strict=True):
                assert a < least
                assert most < b
