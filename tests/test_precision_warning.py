"""The warning where steps of bfloat16 and float16 parameters are lost in rounding."""

import copy
import functools
import time
import warnings
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from support import floats, precision_warnings

Array = Any
f4 = np.float32
warned = functools.partial(precision_warnings, __file__)
CODES: dict[str, Any] = {"bfloat16": gs.bfloat16, "float16": np.float16}
codes = pytest.mark.parametrize("code", CODES)


def parameter(code: str, n: int = 1000, scale: float = 0.02) -> Array:
    x = (scale * floats(1, n, f4)).astype(f4)
    return gs.to_bfloat16(x) if code == "bfloat16" else x.astype(CODES[code])


def steps(opt: gs.Optimizer, n: int, count: int, **how: Any) -> None:
    for k in range(count):
        opt.step(floats(10 + k, n, f4), **how)


# -- where it warns


@codes
@pytest.mark.parametrize(
    "method",
    [
        functools.partial(gs.AdamW, lr=1e-6),
        functools.partial(gs.SGD, lr=1e-7, momentum=0.9),
        functools.partial(gs.Lion, lr=1e-6),
        functools.partial(gs.ScheduleFreeAdamW, lr=1e-6),
        functools.partial(gs.Adan, lr=1e-6),
    ],
    ids=str,
)
def test_lost_steps_are_told_once_with_the_remedy(method: Any, code: str) -> None:
    opt = method(parameter(code))
    (message,) = warned(lambda: steps(opt, 1000, 40))
    name = type(opt).__name__
    assert message.startswith(f"{name}: ")
    assert f" % of the elements of {code} parameters whose gradient is not 0" in message
    assert "in 8 steps at lr 1e-0" in message
    assert "master='float32'" in message
    assert "rounding='stochastic'" in message


def test_it_warns_within_ten_steps_of_the_issue() -> None:
    """At lr 1e-5 nine of ten weights of a bfloat16 layer do not move in 10 steps."""
    rng = np.random.default_rng(0)
    w = gs.to_bfloat16(0.02 * rng.standard_normal((100, 100)))
    opt = gs.AdamW(w, lr=1e-5)
    g = rng.standard_normal((10, 100, 100)).astype(f4)
    (message,) = warned(lambda: [opt.step(g[k]) for k in range(10)])
    assert message.startswith("AdamW: 8")


@pytest.mark.parametrize("order", ["C", "F"])
def test_elements_are_compared_with_their_own_gradients(order: Any) -> None:
    """Gradients in the other order, of a part of the elements, in a group of two."""
    still = parameter("bfloat16", 600).reshape(20, 30)
    moving = np.asarray(parameter("bfloat16", 600).reshape(20, 30), order=order)
    first_half = np.zeros((20, 30), bool)
    first_half[:, ::2] = True
    # Half has a gradient and moves: of those that have one all do.
    opt = gs.SGD([{"params": [still]}, {"params": [moving]}], lr=0.1)
    large = np.where(first_half, 1.0, 0.0).astype(f4)
    assert not warned(lambda: [opt.step([[None], [large]]) for _ in range(16)])
    # Half has one and does not move.
    opt = gs.SGD([{"params": [still]}, {"params": [moving]}], lr=1e-6)
    (message,) = warned(lambda: [opt.step([[None], [large]]) for _ in range(16)])
    assert "100 % of the elements" in message


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4)])
@codes
def test_small_parameters_are_looked_at_whole(code: str, shape: Any) -> None:
    w = parameter(code, int(np.prod(shape)), scale=1.0).reshape(shape)
    opt = gs.SGD(w, lr=1e-6)
    assert warned(lambda: [opt.step(np.ones(shape, f4)) for _ in range(9)])


@pytest.mark.parametrize(("lost", "count"), [(4, 0), (7, 0), (9, 1), (12, 1)])
def test_more_than_half_of_the_elements_decide(lost: int, count: int) -> None:
    opt = gs.SGD([parameter("bfloat16", 256) for _ in range(16)], lr=1.0)
    sizes = [f4(1e-9 if k < lost else 1.0) for k in range(16)]
    grads = [floats(k, 256, f4) * size for k, size in enumerate(sizes)]
    assert len(warned(lambda: [opt.step(grads) for _ in range(9)])) == count


def test_it_warns_later_if_later_steps_are_lost() -> None:
    w = parameter("bfloat16")
    opt = gs.SGD(w, lr=0.01)
    assert not warned(lambda: steps(opt, 1000, 16))
    w[...] = gs.to_bfloat16(np.full(1000, 1e4, f4))
    (message,) = warned(lambda: steps(opt, 1000, 60))
    assert "in 32 steps" in message


def test_filters_switch_it_off_and_make_it_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=gs.PrecisionWarning)
        steps(gs.AdamW(parameter("float16"), lr=1e-7), 1000, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(gs.PrecisionWarning):
            steps(gs.AdamW(parameter("float16"), lr=1e-7), 1000, 20)


def test_each_optimizer_warns_by_itself() -> None:
    opt = gs.AdamW(parameter("bfloat16"), lr=1e-7)
    twin = copy.deepcopy(opt)
    for each in (opt, twin):
        assert len(warned(lambda each=each: steps(each, 1000, 16))) == 1
    assert not warned(lambda: steps(opt, 1000, 16))


def test_adding_a_group_does_not_warn_again() -> None:
    opt = gs.AdamW({"w": parameter("bfloat16")}, lr=1e-7)
    g = floats(3, 1000, f4)
    assert len(warned(lambda: [opt.step({"w": g}) for _ in range(9)])) == 1
    opt.add_param_group({"params": parameter("bfloat16")})
    assert not warned(lambda: [opt.step([{"w": g}, g]) for _ in range(40)])


# -- where it does not


@codes
def test_steps_that_are_kept_are_not_told(code: str) -> None:
    keep: list[dict[str, Any]] = [{"master": "float32"}]
    if code == "bfloat16":
        keep += [{"master": "split"}, {"rounding": "stochastic"}]
    for options in keep:
        opt = gs.AdamW(parameter(code), lr=1e-7, **options)
        assert not warned(lambda opt=opt: steps(opt, 1000, 40))
    assert not warned(lambda: steps(gs.AdamW(floats(1, 1000, f4), lr=1e-9), 1000, 40))


def silent(opt: gs.Optimizer, grads: list[Array], **how: Any) -> bool:
    return not warned(lambda: [opt.step(g, **how) for g in grads])


def test_a_rate_of_zero_and_gradients_of_zero_are_no_loss() -> None:
    g = [floats(10 + k, 1000, f4) for k in range(40)]
    zeros = [np.zeros(1000, f4)] * 40
    assert silent(gs.AdamW(parameter("bfloat16"), lr=0.0), g)
    assert silent(gs.AdamW(parameter("bfloat16"), lr=1e-7), zeros)
    frozen = [{"params": parameter("bfloat16"), "lr": 0.0}]
    frozen += [{"params": parameter("bfloat16"), "lr": 0.1}]
    assert silent(gs.SGD(frozen), [[x, x] for x in g])
    assert silent(gs.SGD([parameter("bfloat16")], lr=1e-9), [[None]] * 40)


def test_few_elements_with_a_gradient_may_move() -> None:
    """As the rows of an embedding: those without a gradient do not count."""
    w = parameter("bfloat16", 1000)
    opt = gs.SGD(w, lr=0.1)
    g = np.zeros(1000, f4)
    g[::10] = 1.0
    assert silent(opt, [g] * 40)


def test_skipped_steps_are_no_loss() -> None:
    bad = np.full(1000, np.nan, f4)
    opt = gs.SGD(parameter("float16"), lr=0.1)
    assert silent(opt, [bad] * 40, nonfinite="skip")


def test_a_warm_up_is_left_alone() -> None:
    opt = gs.AdamW(parameter("bfloat16"), lr=1e-2)
    scheduler = lrs.LinearLR(opt, start_factor=1e-6, total_iters=100)
    grads = [floats(10 + k, 1000, f4) for k in range(150)]

    def run() -> None:
        for g in grads:
            opt.step(g)
            scheduler.step()

    assert not warned(run)


@pytest.mark.parametrize(
    "scheduler",
    [
        functools.partial(lrs.CosineAnnealingLR, T_max=150),
        functools.partial(
            lrs.LinearLR, start_factor=1.0, end_factor=0.0, total_iters=150
        ),
        functools.partial(lrs.ExponentialLR, gamma=0.9),
        functools.partial(lrs.StepLR, step_size=50, gamma=1e-4),
    ],
    ids=str,
)
def test_the_end_of_a_schedule_is_left_alone(scheduler: Any) -> None:
    opt = gs.AdamW(parameter("bfloat16"), lr=1e-2)
    falling = scheduler(opt)

    def run() -> None:
        for k in range(150):
            opt.step(floats(10 + k, 1000, f4))
            falling.step()

    assert not warned(run)


@codes
def test_gradient_descent_that_has_converged_is_left_alone(code: str) -> None:
    """Near a minimum gradients are small, and so are steps, of any dtype."""
    w = parameter(code, 500, scale=1.0)
    target = floats(3, 500, f4)
    opt = gs.SGD(w, lr=0.3)

    def run() -> None:
        for _ in range(300):
            x = gs.from_bfloat16(w) if code == "bfloat16" else w.astype(f4)
            opt.step(x - target)

    assert not warned(run)


@pytest.mark.parametrize(
    "opt",
    [
        lambda w: gs.Rprop(w, lr=0.1),
        lambda w: gs.Rprop(w, lr=0.1, variant="rprop+"),
        lambda w: gs.RAdam(w, lr=1.0, like="official"),
        lambda w: gs.AdaBelief(w, lr=1.0, degenerated_to_sgd=False),
        lambda w: gs.ScheduleFreeRAdam(w, lr=1.0),
    ],
)
def test_rules_that_leave_elements_as_they_are_for_a_while(opt: Any) -> None:
    rng = np.random.default_rng(2)
    grads = [rng.standard_normal(1000).astype(f4) for _ in range(40)]
    assert silent(opt(parameter("bfloat16")), grads)


# -- what it costs


def test_bits_are_those_of_steps_that_are_not_looked_at() -> None:
    looked, other = parameter("bfloat16"), parameter("bfloat16")
    opt, opt2 = gs.AdamW(looked, lr=1e-3), gs.AdamW(other, lr=1e-3)
    vars(opt2)["_precision"] = None
    for k in range(20):
        g = floats(10 + k, 1000, f4)
        opt.step(g)
        opt2.step(g)
    assert looked.tobytes() == other.tobytes()


def test_gradients_may_still_come_in_any_form() -> None:
    def run(params: Any, given: Any, **options: Any) -> None:
        opt = gs.SGD(params, lr=0.1, **options)
        for _ in range(9):
            opt.step(given())

    a, b = parameter("bfloat16", 12), parameter("float16", 7)
    g, h = floats(3, 12, f4), floats(4, 7, f4)
    run([a, b], lambda: (x for x in (g, h)))
    run({"a": a, "b": b}, lambda: {"b": h, "a": None})
    run([{"params": a}, {"params": {"b": b}}], lambda: [g, {"b": h}])
    run(a.reshape(3, 4), lambda: np.asfortranarray(g.reshape(3, 4)))
    run(a, lambda: gs.to_bfloat16(g))


def test_looking_takes_no_measurable_time() -> None:
    """64 looks of 64 arrays, of which 64 steps need one in 1000 at most."""
    arrays = [parameter("bfloat16", 4096) for _ in range(64)]
    opt = gs.AdamW(arrays, lr=1e-2)
    grads = [floats(k, 4096, f4) for k in range(64)]
    opt.step(grads)
    precision = opt._precision
    assert precision is not None
    start = time.perf_counter()
    for _ in range(20):
        precision.samples.look(grads, [0.01] * 64)
    assert (time.perf_counter() - start) / 20 < 0.02
    due = sum(precision.is_due() for _ in range(10_000))
    assert due <= 12
