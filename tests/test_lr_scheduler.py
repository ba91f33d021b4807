"""Schedulers at work on optimizers: what they set, when, and what they refuse."""

import copy
import functools
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from variants import VARIANTS

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")

Make = Callable[[gs.Optimizer], lrs.LRScheduler]

# One of each, over groups whose rates differ; no argument neutral.
EACH: dict[str, Make] = {
    "StepLR": lambda o: lrs.StepLR(o, 5, 0.7),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, iter([3, 20, 71]), 0.37),
    "ConstantLR": lambda o: lrs.ConstantLR(o, 0.3, 7),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.2, 0.9, 23),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.973),
    "ExponentialDecayLR": lambda o: lrs.ExponentialDecayLR(o, 0.031),
    "InverseTimeLR": lambda o: lrs.InverseTimeLR(o, 0.23),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 97, 1.7),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 83, 0.01, periodic=True),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(
        o, 7, 3, 0.01
    ),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, [0.3, 0.1], 90),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.02, [0.3, 0.1], 9, 14, "triangular2"),
    "LambdaLR": lambda o: lrs.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.9**t]),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda i: 1 - 1 / (i + 3)),
    "WarmupStableDecayLR": lambda o: lrs.WarmupStableDecayLR(o, 9, 31, 47, "sqrt"),
    "InverseSqrtLR": lambda o: lrs.InverseSqrtLR(o, 13),
    "ExponentialStepSizeLR": lambda o: lrs.ExponentialStepSizeLR(o, 120, 1.9),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.2), lrs.OneCycleLR(o, 0.3, 50), lrs.StepLR(o, 5)], [9, 40]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.ConstantLR(o, 0.3, 7), lrs.ExponentialLR(o, 0.97)]
    ),
    "WarmupLR": lambda o: lrs.WarmupLR(o, lrs.CosineAnnealingLR(o, 83), 13),
    "LRScheduler": lambda o: lrs.LRScheduler(
        o,
        {
            "lr": [schedules.Step(5), schedules.Exponential(0.9)],
            "momentum": schedules.Linear(0.5, 1.0, 31),
            "weight_decay": schedules.InverseTime(0.3),
        },
    ),
}
each = pytest.mark.parametrize("name", EACH)


def optimizer() -> gs.Optimizer:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(5), rng.standard_normal((2, 3))]
    groups = [{"params": arrays[0]}, {"params": arrays[1], "lr": 0.05}]
    return gs.SGD(groups, lr=0.2, momentum=0.8, weight_decay=0.1)


def train(opt: gs.Optimizer, scheduler: Any, steps: int) -> None:
    for _ in range(steps):
        opt.step([np.cos(group["params"][0]) for group in opt.param_groups])
        scheduler.step()


def present(opt: gs.Optimizer) -> list[tuple[float, ...]]:
    names = ("lr", "momentum", "weight_decay")
    return [tuple(group[name] for name in names) for group in opt.param_groups]


def bits(opt: gs.Optimizer) -> bytes:
    return b"".join(group["params"][0].tobytes() for group in opt.param_groups)


@each
def test_stepping_sets_the_values_of_the_schedule(name: str) -> None:
    opt = optimizer()
    scheduler = EACH[name](opt)
    for t in range(130):
        assert scheduler.get_last_lr() == scheduler.values(t)
        assert scheduler.get_last_lr() == [group["lr"] for group in opt.param_groups]
        assert scheduler.last_epoch == t
        scheduler.step()
    every = scheduler.values(range(130))
    again = EACH[name](optimizer())
    for t in reversed(range(130)):
        again.step(t)
        assert again.get_last_lr() == [y[t] for y in every]


@each
@settings(max_examples=10, deadline=None)
@given(save=st.integers(0, 40), more=st.integers(1, 60))
def test_what_is_saved_goes_on_as_if_it_had_not_been(
    name: str, save: int, more: int
) -> None:
    """Into an optimizer and a scheduler that began elsewhere, in either order."""
    straight = optimizer()
    scheduler = EACH[name](straight)
    train(straight, scheduler, save)
    saved = pickle.dumps((straight.state_dict(), scheduler.state_dict()))
    arrays = [group["params"][0].copy() for group in straight.param_groups]
    train(straight, scheduler, more)
    for order in (1, -1):
        resumed = gs.SGD([{"params": a.copy()} for a in arrays], lr=0.7, momentum=0.3)
        continued = EACH[name](resumed)
        of_optimizer, of_scheduler = pickle.loads(saved)
        loads = [
            lambda resumed=resumed, d=of_optimizer: resumed.load_state_dict(d),
            lambda continued=continued, d=of_scheduler: continued.load_state_dict(d),
        ]
        for load in loads[::order]:
            load()
        train(resumed, continued, more)
        assert present(resumed) == present(straight)
        assert bits(resumed) == bits(straight)
        assert continued.base_lrs == scheduler.base_lrs == [0.2, 0.05]


@each
def test_a_copy_of_both_goes_its_own_way(name: str) -> None:
    opt = optimizer()
    scheduler = EACH[name](opt)
    train(opt, scheduler, 5)
    twin, its = copy.deepcopy((opt, scheduler))
    assert its.optimizer is twin
    train(twin, its, 7)
    assert scheduler.last_epoch == 5
    train(opt, scheduler, 7)
    assert bits(twin) == bits(opt)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_scheduled_run_is_that_of_setting_values_by_hand(name: str) -> None:
    """The engine takes over rates and momenta by itself (`Declared.direct`); as a NumPy
    number, or a list, they go through all checks."""
    kind, options = VARIANTS[name]
    a, b = np.linspace(-1, 2, 7), np.linspace(-1, 2, 7)
    quick, slow = kind(a, **options), kind(b, **options)
    group, other = quick.param_groups[0], slow.param_groups[0]
    fixed = {{"beta1": "betas"}.get(key, key) for key in kind.fixed(group)}
    keys = ("lr", "betas", "momentum", "weight_decay")
    free = [key for key in keys if group.get(key) and key not in fixed]
    for k in range(12):
        for key in free:
            old = options.get(key, kind.options[key].default)
            factor = 1 - 0.05 * ((k * 7) % 11)
            if isinstance(old, tuple):
                group[key] = tuple(x * factor for x in old)
                other[key] = [np.float64(x * factor) for x in old]
            else:
                group[key] = old * factor
                other[key] = np.float64(old * factor)
        g = np.sin(a + k)
        quick.step(g)
        slow.step(g)
        assert a.tobytes() == b.tobytes(), k
    assert free or kind is gs.Rprop  # all of whose options are fixed


def test_a_value_out_of_range_is_refused_before_a_byte_changes() -> None:
    w = np.ones(3)
    opt = gs.Adam(w, lr=0.1)
    opt.step(np.ones(3))
    for key, bad in {"lr": -1.0, "betas": (1.5, 0.9), "weight_decay": math.nan}.items():
        before, old = w.copy(), opt.param_groups[0][key]
        opt.param_groups[0][key] = bad
        with pytest.raises(ValueError, match="must be in"):
            opt.step(np.ones(3))
        opt.param_groups[0][key] = old
        assert (w == before).all()
    opt.param_groups[0]["betas"] = (0.9,)
    with pytest.raises(TypeError, match="betas must be a tuple"):
        opt.step(np.ones(3))


def test_a_rate_that_comes_to_zero_and_back() -> None:
    w, v = np.ones(3), np.ones(3)
    opt, other = (gs.MADGRAD(a, lr=0.1, momentum=0.5) for a in (w, v))
    cosine = lrs.CosineAnnealingLR(opt, 3, periodic=True)
    for t in range(8):
        opt.step(np.ones(3))
        other.param_groups[0]["lr"] = np.float64(cosine.values(t)[0])  # all checks
        other.step(np.ones(3))
        cosine.step()
        assert w.tobytes() == v.tobytes()


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"adan paper"}))
def test_values_of_before_a_load_count_again_after_it(name: str) -> None:
    """The engine compares with what it was given last, be it by a load."""
    kind, options = VARIANTS[name]
    w, v = np.linspace(-1, 2, 7), np.linspace(-1, 2, 7)
    loaded, fresh = kind(w, **options), kind(v, **options)
    then = {k: x for k, x in loaded.param_groups[0].items() if k != "params"}
    other = kind(np.ones(7), **options | {"maximize": True, "lr": 0.07})
    loaded.load_state_dict(other.state_dict())
    assert loaded.param_groups[0]["lr"] == 0.07
    for key, value in then.items():  # other objects of the same values, and the same
        loaded.param_groups[0][key] = float(repr(value)) if key == "lr" else value
    for k in range(3):
        loaded.step(np.sin(w + k))
        fresh.step(np.sin(v + k))
        assert w.tobytes() == v.tobytes()


def test_a_new_rate_needs_no_other_check() -> None:
    for opt in (gs.SGD(np.ones(3), momentum=0.9), gs.Adam(np.ones(3))):
        opt.step(np.ones(3))
        checks: list[int] = []
        opt._engine.watch(opt._groups, ("params", *opt.options), checks.append)
        group = opt.param_groups[0]
        group["lr"] = 0.03
        group.update({"betas": (0.5, 0.6)} if "betas" in group else {"momentum": 0.5})
        opt.step(np.ones(3))
        assert not checks
        group["lr"] = -1.0
        opt.step(np.ones(3))
        assert checks == [0]


def test_negative_zero_is_another_number() -> None:
    w, v = np.ones(3), np.ones(3)
    for a, zero in ((w, 0.0), (v, -0.0)):
        opt = gs.SGD(a, lr=0.0)
        opt.step(np.ones(3))
        opt.param_groups[0]["lr"] = zero
        a[:] = -0.0
        opt.step(np.ones(3))
    assert np.signbit(w).all()  # -0 - 0 * 1
    assert not np.signbit(v).any()  # -0 + 0 * 1


def test_what_turns_on_another_rule_is_no_direct_change() -> None:
    """Decoupled decay without momentum moves MADGRAD's x0, by a kernel of its own."""
    options = {"momentum": 0.0, "decouple_decay": True}
    w, v = np.ones(3), np.ones(3)
    quick, slow = gs.MADGRAD(w, lr=0.1, **options), gs.MADGRAD(v, lr=0.1, **options)
    for decay in (0.0, 0.3, 0.2, 0.0, 0.4):
        quick.param_groups[0]["weight_decay"] = decay
        slow.param_groups[0]["weight_decay"] = np.float64(decay)
        quick.step(2 * w)
        slow.step(2 * v)
        assert w.tobytes() == v.tobytes()
    assert quick.state[0]["x0"][0] < 1


def test_warmup_leaves_momentum_at_its_start() -> None:
    opt = gs.SGD(np.ones(2), momentum=0.5)
    cycle = lrs.OneCycleLR(opt, 0.3, 20)
    scheduler = lrs.WarmupLR(opt, cycle, 4)
    seen = []
    for _ in range(7):
        seen.append((opt.lr, opt.momentum))
        scheduler.step()
    rates, momenta = zip(*seen, strict=True)
    assert rates[:5] == pytest.approx([0.0024, 0.0048, 0.0072, 0.0096, 0.012])
    assert momenta[:5] == (0.95,) * 5
    assert momenta[5] < 0.95


def test_momentum_and_beta1_go_the_other_way() -> None:
    for opt, read in (
        (gs.SGD(np.ones(2), momentum=0.5), lambda g: g["momentum"]),
        (gs.Adam(np.ones(2)), lambda g: g["betas"][0]),
    ):
        one = lrs.OneCycleLR(opt, 0.3, 11, pct_start=0.5)
        group = opt.param_groups[0]
        seen = []
        for _ in range(11):
            seen.append((group["lr"], read(group)))
            opt.step(np.ones(2))
            one.step()
        rates, momenta = zip(*seen, strict=True)
        assert np.argmax(rates) == np.argmin(momenta)
        assert (max(momenta), min(momenta)) == (0.95, pytest.approx(0.85, abs=0.01))
        assert group.get("betas", (0, 0.999))[1] == 0.999


def test_beta_names_count_from_one() -> None:
    opt = gs.Adan(np.ones(2), betas=(0.9, 0.8, 0.7))
    half = schedules.Constant(0.5, 9)
    lrs.LRScheduler(opt, half, hyperparameter="beta3")
    assert opt.betas == (0.9, 0.8, 0.35)


def test_last_epoch_begins_at_the_step_after_it() -> None:
    opt = optimizer()
    scheduler = lrs.StepLR(opt, 5, 0.5)
    train(opt, scheduler, 9)
    again = lrs.StepLR(opt, 5, 0.5, last_epoch=9)
    assert again.last_epoch == 10
    assert again.get_last_lr() == [0.05, 0.0125]


def test_a_second_scheduler_begins_where_the_first_found_the_optimizer() -> None:
    opt = optimizer()
    lrs.ConstantLR(opt, 0.3)
    assert lrs.ExponentialLR(opt, 0.5).get_last_lr() == [0.2, 0.05]


def test_stepping_before_the_optimizer_warns() -> None:
    opt = optimizer()
    scheduler = lrs.StepLR(opt, 5)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) before the optimizer's"):
        scheduler.step()
    other = optimizer()
    scheduler = lrs.StepLR(other, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(other, scheduler, 3)


def test_a_function_that_fails_leaves_all_groups_as_they_were() -> None:
    def failing(t: float) -> float:
        if t == 2:
            raise ArithmeticError
        return 0.5**t

    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, [lambda t: 0.9**t, failing])
    scheduler.step()
    before = present(opt)
    with pytest.raises(ArithmeticError):
        scheduler.step()
    assert (present(opt), scheduler.last_epoch) == (before, 1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: lrs.StepLR(o, 30, 0.5), lambda o: lrs.StepLR(o, 10, 0.5)),
        (
            lambda o: lrs.StepLR(o, 30, hyperparameter="momentum"),
            lambda o: lrs.StepLR(o, 30),
        ),
        (lambda o: lrs.OneCycleLR(o, 0.1, 9), lambda o: lrs.OneCycleLR(o, 0.1, 10)),
        (lambda o: lrs.LambdaLR(o, math.exp), lambda o: lrs.LambdaLR(o, abs)),
    ],
)
def test_the_state_of_another_scheduler_is_refused(ours: Any, theirs: Any) -> None:
    opt = optimizer()
    saved = theirs(optimizer()).state_dict()
    scheduler = ours(opt)
    before = present(opt)
    with pytest.raises(
        ValueError, match=r"it was saved by .* build the scheduler as it"
    ):
        scheduler.load_state_dict(saved)
    assert present(opt) == before


def test_children_that_have_taken_steps_are_refused() -> None:
    opt = optimizer()
    child = lrs.ExponentialLR(opt, 0.5)
    train(opt, child, 3)
    for make in (
        lambda: lrs.ChainedScheduler([child]),
        lambda: lrs.SequentialLR(opt, [child], []),
        lambda: lrs.WarmupLR(opt, child, 3),
    ):
        with pytest.raises(ValueError, match="has taken 3 steps; pass a new one"):
            make()


def test_arguments_are_read_and_not_written() -> None:
    opt = optimizer()
    cosine = lrs.CosineAnnealingLR(opt, 100, 0.1)
    assert (cosine.T_max, cosine.eta_min) == (100, 0.1)
    assert lrs.OneCycleLR(opt, 0.1, 90).total_steps == 90
    plateau = lrs.ReduceLROnPlateau(opt)
    for scheduler, name in (
        *((cosine, x) for x in ("T_max", "gamma", "base_lrs", "last_epoch")),
        *((plateau, x) for x in ("factor", "patience", "mode", "best", "optimizer")),
    ):
        with pytest.raises(AttributeError, match=f"{name} cannot be set; build a new"):
            setattr(scheduler, name, 3)
    cosine.base_lrs.append(9.0)
    assert cosine.base_lrs == [0.2, 0.05]
    with pytest.raises(
        AttributeError, match="CosineAnnealingLR has no attribute 'gamm"
    ):
        _ = cosine.gamma


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, None, "x", [0.1]])
def test_a_value_that_no_hyperparameter_may_take_is_not_set(bad: Any) -> None:
    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, [lambda _: 0.5, lambda t: bad if t == 2 else 0.5])
    scheduler.step()
    before = present(opt)
    with pytest.raises((ValueError, TypeError)) as caught:
        scheduler.step()
    if isinstance(bad, float):
        assert "lr of param_groups[1] would be" in str(caught.value)
    else:
        assert "Lambda: fn must return a number" in str(caught.value)
    assert (present(opt), scheduler.last_epoch) == (before, 1)


def test_numpys_numbers_become_pythons() -> None:
    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, lambda t: np.float32(0.5) ** t)
    scheduler.step(np.int64(3))
    assert [type(x) for x in scheduler.get_last_lr()] == [float] * 2
    assert type(opt.param_groups[0]["lr"]) is float
    assert type(scheduler.last_epoch) is int
    listed = lrs.LambdaLR(opt, [[1.0, 0.5, 0.25].__getitem__] * 2)
    listed.step(2.0)
    assert listed.get_last_lr() == [0.05, 0.0125]
    fractional = lrs.ExponentialLR(opt, 0.5)
    fractional.step(1.5)
    fractional.step()
    assert fractional.last_epoch == 2.5


def test_what_an_optimizer_fixes_is_refused_at_once() -> None:
    for opt in (gs.ScheduleFreeAdamW(np.ones(2)), gs.ScheduleFreeSGD(np.ones(2))):
        before = dict(opt.param_groups[0])
        with pytest.raises(
            ValueError, match=r"cannot change after a step; .*cycle_mom"
        ):
            lrs.OneCycleLR(opt, 0.1, 9)
        assert opt.param_groups[0] == before
        lrs.OneCycleLR(opt, 0.1, 9, cycle_momentum=False).step()
    with pytest.raises(ValueError, match="lr of Rprop cannot change"):
        lrs.StepLR(gs.Rprop(np.ones(2)), 3)


def test_the_learning_rate_comes_first() -> None:
    opt = optimizer()
    half = schedules.Exponential(0.5)
    two = lrs.LRScheduler(opt, {"momentum": half, "lr": half})
    assert two.get_last_lr() == two.base_lrs == [0.2, 0.05]
    warm = lrs.WarmupLR(opt, two, 3, 0.5)
    assert present(opt) == [(0.1, 0.8, 0.1), (0.025, 0.8, 0.1)]
    assert warm.base_lrs == [0.2, 0.05]


def test_a_constructor_that_fails_notes_nothing() -> None:
    opt = optimizer()
    with pytest.raises(ValueError, match="would be nan at step 0"):
        lrs.LambdaLR(opt, lambda _: math.nan)
    assert not any(key.startswith("initial") for key in opt.param_groups[0])


def test_notes_of_schedulers_are_no_hyperparameters() -> None:
    opt = optimizer()
    lrs.StepLR(opt, 3)
    with pytest.raises(
        ValueError, match=r"it has lr, momentum, dampening, weight_decay$"
    ):
        lrs.StepLR(opt, 3, hyperparameter="initial_momentum")


def test_a_wrapper_names_what_it_wraps() -> None:
    sam = gs.SAM(np.ones(2), functools.partial(gs.SGD, lr=0.1))
    with pytest.raises(
        ValueError, match=r"no hyperparameter 'lr'.*schedule its base, SGD"
    ):
        lrs.StepLR(sam, 3)
    lrs.StepLR(sam.base, 1).step()
    assert sam.base.lr == pytest.approx(0.01)


def test_a_group_that_came_later_joins_a_new_scheduler() -> None:
    opt = optimizer()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    scheduler.step()
    scheduler.step()
    opt.add_param_group({"params": np.ones(2), "initial_lr": 0.8})
    with pytest.raises(
        ValueError, match="'initial_lr' in the new group and last_epoch=1"
    ):
        scheduler.step()
    again = lrs.ExponentialLR(opt, 0.5, last_epoch=1)
    assert again.get_last_lr() == [0.05, 0.0125, 0.2]


def test_momentum_of_cycles_goes_the_other_way_throughout() -> None:
    opt = gs.SGD(np.ones(2), momentum=0.5)
    cyclic = lrs.CyclicLR(opt, 0.1, 0.3, 4, base_momentum=0.7, max_momentum=0.9)
    for t in range(9):
        part = 1 - abs(t - 4) / 4
        assert opt.lr == pytest.approx(0.1 + 0.2 * part)
        assert opt.momentum == pytest.approx(0.9 - 0.2 * part)
        cyclic.step()


def test_what_a_part_leaves_alone_stays() -> None:
    opt = gs.SGD(np.ones(2), lr=0.4, momentum=0.5)
    parts = [lrs.ConstantLR(opt, 0.5, 9), lrs.CyclicLR(opt, 0.1, 0.3, 4)]
    scheduler = lrs.SequentialLR(opt, parts, [6])
    for _ in range(6):
        assert (opt.lr, opt.momentum) == (0.2, 0.5)
        scheduler.step()
    assert (opt.lr, opt.momentum) == (0.1, 0.9)


def test_groups_that_come_later_are_refused() -> None:
    opt = optimizer()
    for scheduler in (lrs.StepLR(opt, 5), lrs.ReduceLROnPlateau(opt)):
        opt.add_param_group({"params": np.ones(2)})
        with pytest.raises(ValueError, match="build schedulers after add_param_group"):
            scheduler.step(1.0)
        opt = optimizer()


BAD: list[tuple[Callable[[gs.Optimizer], object], type[Exception], str]] = [
    (
        lambda _: lrs.StepLR(3, 5),
        TypeError,
        "optimizer must have param_groups, got int",
    ),
    (lambda o: lrs.StepLR(o, 0), ValueError, "step_size must be at least 1"),
    (
        lambda o: lrs.StepLR(o, 5, last_epoch=-2),
        ValueError,
        "last_epoch must be an int",
    ),
    (lambda o: lrs.StepLR(o, 5, last_epoch=3), KeyError, "lacks 'initial_lr'"),
    (
        lambda o: lrs.StepLR(o, 5, hyperparameter="momemtum"),
        ValueError,
        "SGD has no hyperparameter 'momemtum'; it has lr, momentum",
    ),
    (
        lambda o: lrs.StepLR(o, 5, hyperparameter="nesterov"),
        TypeError,
        "got bool; set it",
    ),
    (lambda o: lrs.StepLR(o, 5, hyperparameter="beta1"), ValueError, "no hyperp"),
    (lambda o: lrs.LRScheduler(o, abs), TypeError, "lr must be a schedule"),
    (
        lambda o: lrs.LRScheduler(o, [schedules.Step(3)]),
        ValueError,
        "1 schedules of lr",
    ),
    (lambda o: lrs.LambdaLR(o, 0.9), TypeError, "LambdaLR: lr_lambda must be callable"),
    (lambda o: lrs.OneCycleLR(o, 0.1), ValueError, "total_steps is missing"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 0), ValueError, "total_steps must be at least"),
    (lambda o: lrs.OneCycleLR(o, 0.1, epochs=3), ValueError, "total_steps is missing"),
    (lambda o: lrs.OneCycleLR(o, [0.1], 9), ValueError, "max_lr has 1 values"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, epochs=2, steps_per_epoch=5),
        ValueError,
        r"epochs \* steps_per_epoch if both are given",
    ),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, epochs=-2), ValueError, "epochs must be in"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, cycle_momentum="no"), ValueError, "cycle_mom"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, three_phase=1),
        ValueError,
        "three_phase must",
    ),
    (lambda o: lrs.CyclicLR(o, 0.1, 0.2, base_momentum=2.0), ValueError, "base_mom"),
    (lambda o: lrs.MultiStepLR(o, 30), TypeError, "milestones must be a sequence"),
    (lambda o: lrs.WarmupLR(o, 3, 4), TypeError, "scheduler must be an LRScheduler"),
    (lambda _: lrs.ChainedScheduler(3), TypeError, "schedulers must be a list of"),
    (lambda _: lrs.ChainedScheduler([3]), TypeError, r"schedulers\[0\] must be an LR"),
    (lambda o: lrs.LRScheduler(o, {}), ValueError, "must name hyperparameters"),
    (
        lambda o: lrs.LRScheduler(o, {"lr": schedules.Step(3)}, hyperparameter="eps"),
        ValueError,
        "must name hyperparameters, and then be alone",
    ),
    (lambda o: lrs.StepLR(o, 5, last_epoch=0), KeyError, "lacks 'initial_lr'"),
    (lambda o: lrs.StepLR(o, 5, last_epoch=True), ValueError, "last_epoch must be an"),
    (lambda o: lrs.OneCycleLR(o, -0.1, 9), ValueError, "max_lr must be in"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, pct_start=1.5), ValueError, "pct_start must"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, pct_start=0.7, three_phase=True),
        ValueError,
        r"pct_start must be in \[0, 0.5\]",
    ),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 4, pct_start=0.25, three_phase=True),
        ValueError,
        r"pct_start \* total_steps above 1, got 1",
    ),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, div_factor=0), ValueError, "div_factor must"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, max_momentum=1.0), ValueError, "max_momentum"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, anneal_strategy="cosine"),
        ValueError,
        "anneal_strategy must be one of 'cos', 'linear'",
    ),
    (
        lambda _: lrs.OneCycleLR(gs.Adagrad(np.ones(2)), 0.1, 9),
        ValueError,
        "cycle_momentum=False",
    ),
    (lambda o: lrs.CyclicLR(o, 0.1, [0.2] * 3), ValueError, "max_lr has 3 values"),
    (lambda o: lrs.SequentialLR(o, [], []), TypeError, "must be a list of schedulers"),
    (
        lambda o: lrs.SequentialLR(o, [lrs.ReduceLROnPlateau(o)], []),
        TypeError,
        r"schedulers\[0\] must be an LRScheduler, got ReduceLROnPlateau",
    ),
    (
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(optimizer(), 5)], []),
        ValueError,
        "is of another optimizer",
    ),
    (
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 5), lrs.StepLR(o, 3)], []),
        ValueError,
        "milestones must be one fewer",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, "less"), ValueError, "mode must be one of"),
    (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be in"),
    (
        lambda o: lrs.ReduceLROnPlateau(o, patience=-1),
        ValueError,
        "patience must be in",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, threshold=-1.0), ValueError, "threshold must"),
    (
        lambda o: lrs.ReduceLROnPlateau(o, min_lr=[0.1]),
        ValueError,
        "min_lr has 1 values",
    ),
    (
        lambda o: lrs.ReduceLROnPlateau(o, threshold_mode="x"),
        ValueError,
        "threshold_mod",
    ),
    (
        lambda o: lrs.ReduceLROnPlateau(o, cooldown=1.5),
        TypeError,
        "cooldown must be int",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, eps=math.inf), ValueError, "eps must be in"),
]


@pytest.mark.parametrize(("make", "error", "words"), BAD)
def test_bad_arguments_are_named(
    make: Callable[[gs.Optimizer], object], error: type[Exception], words: str
) -> None:
    opt = optimizer()
    with pytest.raises(error, match=words):
        make(opt)


@pytest.mark.parametrize("epoch", [-1, math.nan, "3"])
def test_a_step_to_nowhere_changes_nothing(epoch: Any) -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    before = present(opt)
    with pytest.raises((TypeError, ValueError), match="t must be"):
        scheduler.step(epoch)
    assert (present(opt), scheduler.last_epoch) == (before, 0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"last_epoch": -1}, ValueError, "last_epoch: t must be >= 0"),
        ({"last_epoch": "3"}, TypeError, "last_epoch: t must be numbers"),
        ({"last_epoch": math.nan}, ValueError, "last_epoch: t must be >= 0"),
        ({"base_lrs": [0.1]}, ValueError, "base_lrs has 1 values, expected 2"),
        ({"base_lrs": [0.1, math.inf]}, ValueError, "base_lrs must be finite"),
        ({"base_lrs": 0.1}, TypeError, "base_lrs must be a sequence"),
        ({"more_bases": [1.0]}, ValueError, "more_bases has 1 values, expected 0"),
        ({"last_epoch": None}, TypeError, "last_epoch: t must be numbers"),
    ],
)
def test_a_bad_state_changes_nothing(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    before = present(opt)
    with pytest.raises(error, match=words):
        scheduler.load_state_dict(scheduler.state_dict() | change)
    with pytest.raises(KeyError, match="lacks 'last_epoch'"):
        scheduler.load_state_dict({"base_lrs": [0.1, 0.2]})
    assert (present(opt), scheduler.last_epoch) == (before, 0)
    assert scheduler.base_lrs == [0.2, 0.05]


def test_a_state_that_no_longer_fits_changes_nothing() -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    opt.add_param_group({"params": np.ones(2)})
    with pytest.raises(ValueError, match="3 groups, and had 2"):
        scheduler.load_state_dict({"last_epoch": 3, "base_lrs": [1.0, 2.0]})
    assert (scheduler.base_lrs, scheduler.last_epoch) == ([0.2, 0.05], 0)


# ---- ReduceLROnPlateau


def reductions(metrics: list[float], **options: Any) -> list[int]:
    """The calls, from 1, that lowered the rate."""
    opt = gs.SGD(np.ones(2), lr=1.0)
    scheduler = lrs.ReduceLROnPlateau(opt, **options)
    found, lr = [], opt.lr
    for k, metric in enumerate(metrics, 1):
        scheduler.step(metric)
        assert scheduler.get_last_lr() == [opt.lr]
        if opt.lr != lr:
            found.append(k)
        lr = opt.lr
    return found


def test_plateau_counts_what_is_not_better() -> None:
    same = [1.0] * 12
    assert reductions(same, patience=2) == [4, 7, 10]
    assert reductions(same, patience=0, cooldown=2) == [2, 5, 8, 11]
    assert reductions(same, patience=0, mode="max") == list(range(2, 10))
    falling = [1 - 0.001 * k for k in range(12)]
    assert reductions(falling, patience=0) == []
    assert reductions(falling, patience=0, threshold=0.1, threshold_mode="abs")[0] == 2
    assert reductions(falling, patience=0, mode="max")[0] == 2


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_negative_metric_has_its_margin_on_the_right_side(mode: str) -> None:
    assert reductions([-5.0] * 5, mode=mode, patience=1) == [3, 5]
    better = [-5.0 * (1.01 if mode == "min" else 0.99) ** k for k in range(9)]
    assert reductions(better, mode=mode, patience=0) == []
    slightly = [
        -5.0 * (1.01 if mode == "min" else 0.99) ** (k / 1000) for k in range(9)
    ]
    assert reductions(slightly, mode=mode, patience=0)[0] == 2


def test_a_metric_that_is_not_a_number_is_not_better() -> None:
    assert reductions([1.0, math.nan, math.nan, 0.5, 0.4], patience=1) == [3]
    assert reductions([math.nan] * 4, patience=1) == [2, 4]


def test_plateau_ends_at_its_least_rate() -> None:
    opt = optimizer()
    scheduler = lrs.ReduceLROnPlateau(opt, factor=0.5, patience=0, min_lr=[0.11, 0.001])
    for _ in range(4):
        scheduler.step(1.0)
    assert scheduler.get_last_lr() == [0.11, 0.00625]
    opt.lr = 0.25
    for eps, expected in ((0.125, 0.25), (0.1249, 0.125)):  # the change is 0.125
        tiny = lrs.ReduceLROnPlateau(opt, factor=0.5, patience=0, eps=eps)
        tiny.step(1.0)
        tiny.step(1.0)
        assert tiny.get_last_lr() == [expected] * 2


@pytest.mark.parametrize("save", range(9))
def test_a_plateau_is_resumed(save: int) -> None:
    metrics = [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.9]
    options = {"factor": 0.5, "patience": 1, "cooldown": 1}
    straight = optimizer()
    whole = lrs.ReduceLROnPlateau(straight, **options)
    part, opt = None, optimizer()
    part = lrs.ReduceLROnPlateau(opt, **options)
    for k, metric in enumerate(metrics):
        if k == save:
            saved, opt = (opt.state_dict(), part.state_dict()), optimizer()
            part = lrs.ReduceLROnPlateau(opt, **options)
            opt.load_state_dict(saved[0])
            part.load_state_dict(pickle.loads(pickle.dumps(saved[1])))
        whole.step(metric)
        part.step(metric)
        assert part.get_last_lr() == whole.get_last_lr()
    assert whole.get_last_lr() != [0.2, 0.05]
    with pytest.raises(KeyError, match="lacks 'best'"):
        whole.load_state_dict({})
    for bad in ("1.0", None, [1.0]):
        with pytest.raises(TypeError, match="metrics must be a number"):
            whole.step(bad)
    with pytest.raises(ValueError, match="best is nan"):
        whole.load_state_dict(whole.state_dict() | {"best": math.nan})


def test_every_scheduler_is_tried_here() -> None:
    assert set(EACH) | {"ReduceLROnPlateau"} == set(lrs.__all__)
