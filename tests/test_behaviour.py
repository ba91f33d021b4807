"""What each optimizer is known for, on surfaces where it can be seen."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep.analysis import classify_critical_point
from gradstep.testfunctions import (
    Surface,
    beale,
    himmelblau,
    rastrigin,
    rosenbrock,
    saddle,
    valley,
)

Array = Any
Make = Callable[[Array], Any]

FLAT, STEEP = 1.0, 100.0  # the valley's curvatures, along and across


def descent(
    make: Make, surface: Surface, steps: int, start: Any = None, scale: float = 1.0
) -> Array:
    """The results from the start on, of shape (steps + 1, 2)."""
    w = np.array(surface.start if start is None else start)
    opt = make(w)
    seen = [w.copy()]
    for _ in range(steps):
        if isinstance(opt, gs.SAM):
            opt.first_step(surface.gradient(w))
            opt.second_step(surface.gradient(w))
        else:
            at = opt.lookahead() if opt.gradient_elsewhere() else w
            opt.step(scale * surface.gradient(at))
        stepped = opt.base if isinstance(opt, gs.SAM) else opt
        seen.append(np.array(stepped.results()[0]))
    return np.array(seen)


# -- every optimizer


class Listed(NamedTuple):
    """What is expected of an optimizer.

    `valley` and `rosenbrock`: with this rate, a loss below this after 300 steps; those
    at the starts are 100 and 24.2. `saddle`: with this rate, whether it has left the
    saddle after 50 steps. `whole` and `entry`: the power of the gradient that the first
    step grows with, if all of the gradient grows, or one entry beside another; None
    where there is no first step.
    """

    valley: tuple[float, float]
    rosenbrock: tuple[float, float]
    saddle: tuple[float, bool]
    whole: float | None
    entry: float | None
    options: dict[str, Any] = {}  # noqa: RUF012  # never written to


NO_DECAY = {"weight_decay": 0.0}  # which leads elsewhere than to the minimum
# Rectified, its first steps are not adapted, as those of RAdam are not.
ADAPTED = {"rectify": False}
LEAVES, STICKS = True, False

LISTED: dict[str, Listed] = {
    # Steps in proportion to the gradient, which is 2e-8 along the saddle's ridge.
    "SGD": Listed((0.01, 0.2), (0.005, 0.5), (0.1, STICKS), 1, 1),
    "Adai": Listed((0.02, 0.02), (0.005, 0.1), (0.1, STICKS), 1, 1),
    "ScheduleFreeSGD": Listed((0.1, 1e-4), (0.005, 0.2), (0.3, STICKS), 1, 1),
    # In proportion to the array's own norm, but within it to the gradient.
    "LARS": Listed((10, 1e-11), (5, 2e-4), (50, STICKS), 0, 1),
    # Each entry over a root of its squares: all entries move alike.
    "Adagrad": Listed((3, 1e-20), (2, 0.1), (0.1, LEAVES), 0, 0),
    "Adadelta": Listed((10, 1.0), (5, 2.0), (1.0, LEAVES), 0, 0),
    "RMSprop": Listed((0.1, 1e-15), (0.2, 0.1), (0.1, LEAVES), 0, 0),
    "Adam": Listed((0.5, 2e-12), (0.5, 0.01), (0.1, LEAVES), 0, 0),
    "AdamW": Listed((0.5, 2e-12), (0.5, 0.01), (0.1, LEAVES), 0, 0, NO_DECAY),
    "Adamax": Listed((0.5, 1e-12), (1, 0.2), (0.1, LEAVES), 0, 0),
    "NAdam": Listed((0.2, 1e-13), (0.1, 0.5), (0.1, LEAVES), 0, 0),
    "EAdam": Listed((0.5, 2e-12), (0.5, 0.01), (0.1, LEAVES), 0, 0),
    "AdaBelief": Listed((0.5, 2e-12), (1, 0.005), (0.1, LEAVES), 0, 0, ADAPTED),
    "Adan": Listed((0.5, 0.005), (0.1, 0.1), (0.1, LEAVES), 0, 0),
    "LAMB": Listed((0.2, 1e-15), (0.02, 2.0), (0.1, LEAVES), 0, 0, NO_DECAY),
    "ScheduleFreeAdamW": Listed((1, 1e-8), (0.5, 0.02), (0.1, LEAVES), 0, 0),
    # The first steps wait until there are enough squares; then as above.
    "ScheduleFreeRAdam": Listed((5, 1e-6), (2, 0.5), (0.3, LEAVES), None, None),
    # The first steps are SGD's with momentum, so lr must suit the gradient's size.
    "RAdam": Listed((0.05, 20), (0.001, 5), (0.2, LEAVES), 1, 1),
    # Over a power of the squares that is less than the root.
    "Padam": Listed((0.2, 5e-12), (0.2, 5e-4), (0.1, LEAVES), 1 / 2, 1 / 2),
    "MADGRAD": Listed((0.2, 5e-13), (0.02, 5e-3), (0.1, LEAVES), 1 / 3, 1 / 3),
    "MirrorMADGRAD": Listed((0.2, 5e-12), (0.1, 1e-3), (0.1, LEAVES), 1 / 3, 1 / 3),
    # Signs only. Near a minimum Lion and Signum go to and fro by their rate.
    "Lion": Listed((0.03, 1.0), (0.01, 0.1), (0.1, LEAVES), 0, 0),
    "Signum": Listed((0.05, 0.01), (0.02, 0.1), (0.1, LEAVES), 0, 0),
    "Rprop": Listed((1, 1e-12), (0.1, 0.2), (0.1, LEAVES), 0, 0),
}
WRAPPED: dict[str, tuple[Callable[[Array, float], Any], Listed]] = {
    "ScheduleFree": (
        lambda w, lr: gs.ScheduleFree(w, partial(gs.RMSprop, lr=lr)),
        Listed((0.2, 2e-4), (0.2, 0.2), (0.1, LEAVES), None, None),
    ),
    # Its gradients are taken uphill, which near the ridge is across it.
    "SAM": (
        lambda w, lr: gs.SAM(w, partial(gs.SGD, lr=lr)),
        Listed((0.01, 0.5), (0.002, 1.0), (0.1, STICKS), None, None),
    ),
}
EVERY = sorted({*gs.OPTIMIZERS, *LISTED, *WRAPPED})


def listed(name: str) -> tuple[Callable[[float], Make], Listed]:
    """How to make an optimizer by its rate, and what is expected of it."""
    if name in WRAPPED:
        wrap, found = WRAPPED[name]
        return lambda lr: lambda w: wrap(w, lr), found
    assert name in LISTED, f"{name} has no behaviour: add an entry to LISTED"
    assert name in gs.OPTIMIZERS, f"{name} is listed, but no optimizer: take it out"
    cls, found = gs.OPTIMIZERS[name], LISTED[name]
    return lambda lr: lambda w: cls(w, lr=lr, **found.options), found


@pytest.mark.parametrize("name", EVERY)
def test_it_descends_the_valley(name: str) -> None:
    make, found = listed(name)
    lr, loss = found.valley
    assert valley(descent(make(lr), valley, 300)[-1]) < loss


@pytest.mark.parametrize("name", EVERY)
def test_it_follows_rosenbrocks_valley(name: str) -> None:
    make, found = listed(name)
    lr, loss = found.rosenbrock
    assert rosenbrock(descent(make(lr), rosenbrock, 300)[-1]) < loss


@pytest.mark.parametrize("name", EVERY)
def test_it_leaves_the_saddle_or_sticks_to_it(name: str) -> None:
    make, found = listed(name)
    lr, leaves = found.saddle
    x, y = abs(descent(make(lr), saddle, 50)[-1])
    if leaves:
        assert y > 0.5
    else:
        assert y < 1e-3
        assert x < 0.1  # it has come down to it


@pytest.mark.parametrize("name", sorted(gs.OPTIMIZERS))
def test_the_first_step_grows_with_a_power_of_the_gradient(name: str) -> None:
    make, found = listed(name)

    def step(g: list[float]) -> Array:
        w = np.array([3.0, -4.0])
        make(0.1)(w).step(np.array(g))
        return abs(w - [3.0, -4.0])

    one, larger = step([2.0, -5.0]), step([32.0, -80.0])
    if found.whole is None:
        assert not one.any()
        return
    # Adadelta's eps of 1e-6 beside 0.1 g^2, with g = 2, is the largest.
    assert larger / one == pytest.approx(16**found.whole, rel=2e-6)
    assert one[1] / one[0] == pytest.approx(2.5**found.entry, rel=2e-6)


@pytest.mark.parametrize(
    "name",
    # But Adadelta's steps begin from eps, which must not be 0.
    [n for n in sorted(LISTED) if LISTED[n].whole == 0 and n != "Adadelta"],
)
def test_whose_steps_do_not_grow_goes_the_same_way_on_a_steeper_surface(
    name: str,
) -> None:
    cls, found = gs.OPTIMIZERS[name], LISTED[name]
    exact = {eps: 0.0 for eps in ("eps", "eps_acc", "eps_out") if eps in cls.options}
    make = partial(cls, lr=0.01, **found.options, **exact)
    plain = descent(make, rosenbrock, 40)
    assert np.isfinite(plain).all()
    assert plain.tobytes() == descent(make, rosenbrock, 40, scale=1024.0).tobytes()


# -- the learning rate


def down_the_steep_side(lr: float, steps: int, **options: Any) -> Array:
    """The coordinate of curvature 100, from 1."""
    start = (0.0, 1.0)
    return descent(partial(gs.SGD, lr=lr, **options), valley, steps, start)[:, 1]


def test_a_rate_that_is_too_low_is_slow() -> None:
    y = down_the_steep_side(0.01 / STEEP, 100)
    assert y == pytest.approx(0.99 ** np.arange(101), rel=1e-13)
    assert y[-1] > 0.36


def test_the_right_rate_is_there_at_once() -> None:
    assert down_the_steep_side(1 / STEEP, 1)[-1] == 0


def test_a_rate_above_the_right_one_goes_to_and_fro() -> None:
    y = down_the_steep_side(1.5 / STEEP, 30)
    assert (y[1:] * y[:-1] < 0).all()
    assert (abs(y[1:]) < abs(y[:-1])).all()


def test_a_rate_diverges_exactly_above_two_over_the_curvature() -> None:
    limit = 2 / STEEP
    sizes = {
        k: abs(down_the_steep_side(limit * (1 + k), 200)) for k in (-1e-6, 0, 1e-6)
    }
    assert (np.diff(sizes[-1e-6]) < 0).all()
    assert (sizes[0] == 1).all()
    assert (np.diff(sizes[1e-6]) > 0).all()
    # Momentum mu raises the limit by 1 + mu.
    for factor, converges in ((0.999, True), (1.001, False)):
        y = down_the_steep_side(limit * 1.5 * factor, 2000, momentum=0.5)
        assert (abs(y[-1]) < 0.5) == converges


# -- momentum

MOMENTA: dict[str, dict[str, Any]] = {
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "lookahead": {"momentum": 0.9, "nesterov": True, "form": "velocity"},
}


@pytest.mark.parametrize("name", MOMENTA)
def test_momentum_overshoots_and_gradient_descent_does_not(name: str) -> None:
    lr = 1 / STEEP
    x = descent(partial(gs.SGD, lr=lr, **MOMENTA[name]), valley, 300)[:, 0]
    assert x.max() > 1  # from -10, past 0
    assert abs(x[-1]) < 1e-3
    plain = descent(partial(gs.SGD, lr=lr), valley, 300)
    assert (plain[:, 0] < 0).all()
    assert (plain[:, 1] >= 0).all()


def steps_until(loss: float, make: Make) -> int:
    """After which the loss stays below."""
    losses = valley(descent(make, valley, 800).T)
    return int(np.flatnonzero(losses >= loss)[-1]) + 1


@pytest.mark.parametrize("name", MOMENTA)
def test_momentum_is_faster_along_the_valley(name: str) -> None:
    with_momentum = steps_until(1e-3, partial(gs.SGD, lr=0.01, **MOMENTA[name]))
    best_rate = 2 / (FLAT + STEEP)
    assert 2 * with_momentum < steps_until(1e-3, partial(gs.SGD, lr=best_rate))
    assert 4 * with_momentum < steps_until(1e-3, partial(gs.SGD, lr=0.01))


def test_nesterov_overshoots_less() -> None:
    furthest = {
        name: descent(partial(gs.SGD, lr=0.01, **options), valley, 300)[:, 0].max()
        for name, options in MOMENTA.items()
    }
    for name in ("nesterov", "lookahead"):
        assert 0 < furthest[name] < 0.8 * furthest["momentum"]


def test_momentum_leaves_the_saddle_sooner() -> None:
    plain = descent(partial(gs.SGD, lr=0.1), saddle, 50)[:, 1]
    heavy = descent(partial(gs.SGD, lr=0.1, momentum=0.9), saddle, 50)[:, 1]
    assert plain[-1] < 1e-3
    assert heavy[-1] > 1


def test_plain_sgd_is_at_the_saddle_when_rmsprop_has_gone() -> None:
    sgd = descent(partial(gs.SGD, lr=0.1), saddle, 50)
    rmsprop = descent(partial(gs.RMSprop, lr=0.1), saddle, 50)
    assert np.hypot(*sgd[-1]) < 1e-3
    assert saddle(rmsprop[-1]) < -100


# -- adaptive rates


def sizes_of_steps(make: Make, steps: int = 400) -> Array:
    """Those for a gradient that stays as it is."""
    w = np.zeros(1)
    opt = make(w)
    seen = [0.0]
    for _ in range(steps):
        opt.step(np.full(1, -3.0))
        seen.append(float(w[0]))
    return np.diff(seen)


def test_adagrads_steps_shrink_and_those_of_rmsprop_do_not() -> None:
    adagrad = sizes_of_steps(partial(gs.Adagrad, lr=0.1))
    # Differences of sums of steps, which round.
    assert adagrad == pytest.approx(0.1 / np.sqrt(np.arange(1, 401)), rel=1e-10)
    rmsprop = sizes_of_steps(partial(gs.RMSprop, lr=0.1, alpha=0.9))
    assert (rmsprop > 0.1 * (1 - 1e-8)).all()
    assert rmsprop[-1] == pytest.approx(0.1, rel=1e-8)
    adam = sizes_of_steps(partial(gs.Adam, lr=0.1))
    assert adam == pytest.approx(np.full(400, 0.1), rel=1e-8)


@pytest.mark.parametrize(
    ("make", "converges"),
    [
        (partial(gs.Adam, lr=0.1), True),
        (partial(gs.AdaBelief, lr=0.1), False),
        (partial(gs.AdaBelief, lr=0.1, like="paper"), True),
        (partial(gs.AdaBelief, lr=0.1, degenerated_to_sgd=False), True),
        (partial(gs.RAdam, lr=0.1), False),
        (partial(gs.RAdam, lr=0.1, like="official"), True),
    ],
    ids=str,
)
def test_first_steps_of_rectified_rules_diverge_on_beales_function(
    make: Make, converges: bool
) -> None:
    """They are SGD's; the remedies are those of the docstrings."""
    with np.errstate(over="ignore", invalid="ignore"):
        loss = beale(descent(make, beale, 500)[-1])
    assert (loss < 0.01) == converges


def test_a_rectified_rule_steps_as_sgd_five_times() -> None:
    for optimizer in (gs.AdaBelief, gs.RAdam):
        w = np.zeros(1)
        opt = optimizer(w, lr=0.5)
        for t in range(1, 7):
            before = w.copy()
            opt.step(np.array([1000.0]))
            # A constant gradient is its own corrected mean.
            assert (abs(w[0] - before[0] + 500) < 1e-9) == (t <= 5)


def test_adabelief_strides_where_the_gradient_is_what_it_believed() -> None:
    adam = sizes_of_steps(partial(gs.Adam, lr=0.1))
    belief = sizes_of_steps(partial(gs.AdaBelief, lr=0.1, rectify=False))
    assert belief[0] == pytest.approx(adam[0] / 0.9)  # m is a tenth of the first
    assert (np.diff(belief[:100]) > 0).all()
    assert belief[99] > 3 * adam[99]


def test_steps_by_signs_have_the_size_of_the_rate() -> None:
    assert sizes_of_steps(partial(gs.Lion, lr=0.125)) == pytest.approx([0.125] * 400)
    assert sizes_of_steps(partial(gs.Signum, lr=0.125)) == pytest.approx([0.125] * 400)
    rprop = sizes_of_steps(partial(gs.Rprop, lr=0.125), 10)
    assert rprop == pytest.approx(0.125 * 1.2 ** np.arange(10))


# -- noise


def noisy(make: Make, scheduler: Any = None) -> float:
    """The mean loss at the end, on a bowl whose gradients are noisy."""
    curvature, losses = np.array([1.0, 10.0]), []
    for seed in range(32):
        rng = np.random.default_rng(seed)
        w = np.array([-1.0, 1.0])
        opt = make(w)
        schedule = scheduler and scheduler(opt)
        for _ in range(800):
            opt.step(curvature * w + rng.standard_normal(2))
            if schedule:
                schedule.step()
        losses.append(curvature @ np.square(opt.results()[0]) / 2)
    return float(np.mean(losses))


def test_schedule_free_settles_without_a_schedule() -> None:
    sgd, adam = noisy(partial(gs.SGD, lr=0.1)), noisy(partial(gs.Adam, lr=0.1))
    assert noisy(partial(gs.ScheduleFreeSGD, lr=0.1)) < sgd / 5
    assert noisy(partial(gs.ScheduleFreeAdamW, lr=0.1)) < adam / 4
    wrapped = noisy(lambda w: gs.ScheduleFree(w, partial(gs.SGD, lr=0.1)))
    assert wrapped < sgd / 5


def test_a_rate_that_falls_settles_what_bounces() -> None:
    falling = partial(lrs.CosineAnnealingLR, T_max=800)
    assert noisy(partial(gs.SGD, lr=0.1), falling) < noisy(partial(gs.SGD, lr=0.1)) / 5


# -- many optima


def test_descent_ends_in_the_nearest_minimum_of_many() -> None:
    end = descent(partial(gs.SGD, lr=0.001), rastrigin, 200)[-1]
    assert abs(rastrigin.gradient(end)).max() < 1e-9
    assert classify_critical_point(rastrigin.hessian(end)).kind == "minimum"
    assert end.round().tolist() == [2.0, 2.0]
    assert rastrigin(end) > 7


def test_where_it_starts_decides_where_it_ends() -> None:
    found = set()
    for start in ((4, 4), (-4, 4), (-4, -4), (4, -4)):
        end = descent(
            partial(gs.SGD, lr=0.005), himmelblau, 200, np.array(start, float)
        )
        near = abs(np.array(himmelblau.minima) - end[-1]).max(axis=1)
        assert near.min() < 1e-6
        found.add(int(near.argmin()))
    assert len(found) == 4
