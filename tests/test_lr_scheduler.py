"""Schedulers at work on optimizers: what they set and when, saved and resumed."""

import copy
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from scheduling import EACH, bits, each, optimizer, present, train

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


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


def test_the_learning_rate_comes_first() -> None:
    opt = optimizer()
    half = schedules.Exponential(0.5)
    two = lrs.LRScheduler(opt, {"momentum": half, "lr": half})
    assert two.get_last_lr() == two.base_lrs == [0.2, 0.05]
    warm = lrs.WarmupLR(opt, two, 3, 0.5)
    assert present(opt) == [(0.1, 0.8, 0.1), (0.025, 0.8, 0.1)]
    assert warm.base_lrs == [0.2, 0.05]


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


def test_schedulers_over_arrays_load_no_torch() -> None:
    program = (
        "import sys, pickle, numpy as np, gradstep as gs\n"
        "opt = gs.SGD(np.ones(2))\n"
        "warm = gs.lr_scheduler.LinearLR(opt)\n"
        "plateau = gs.lr_scheduler.ReduceLROnPlateau(opt)\n"
        "opt.step(np.ones(2)), warm.step(), plateau.step(1.0)\n"
        "again = pickle.loads(pickle.dumps(warm))\n"
        "again.load_state_dict(warm.state_dict())\n"
        "print('torch' in sys.modules, type(again).__module__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "gradstep.lr_scheduler.named"]


def test_every_scheduler_is_tried_here() -> None:
    assert set(EACH) | {"ReduceLROnPlateau"} == set(lrs.__all__)
