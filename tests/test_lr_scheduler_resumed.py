"""A run that is saved and resumed goes on bit for bit, also after changes by hand."""

import itertools
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep import lr_scheduler as lrs
from scheduling import EACH, bits, each, optimizer, present, train

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


class Change(NamedTuple):
    """Something that somebody sets by hand, before a scheduler's step."""

    step: int
    group: int
    key: str
    value: float


changes = st.lists(
    st.builds(
        Change,
        st.integers(0, 30),
        st.integers(0, 1),
        st.sampled_from(["lr", "lr", "momentum", "weight_decay"]),
        st.floats(1e-3, 0.5),
    ),
    max_size=4,
)


def run(
    opt: gs.Optimizer,
    schedulers: Sequence[Any],
    steps: range,
    by_hand: Sequence[Change],
) -> None:
    """Train; a change comes after the optimizer's step, before the schedulers'."""
    for k in steps:
        opt.step([np.cos(group["params"][0]) for group in opt.param_groups])
        change(opt, by_hand, k)
        for scheduler in schedulers:
            metric = [1.0] * isinstance(scheduler, lrs.ReduceLROnPlateau)
            scheduler.step(*metric)


def change(opt: gs.Optimizer, by_hand: Sequence[Change], k: int) -> None:
    for step, group, key, value in by_hand:
        if step == k:
            opt.param_groups[group][key] = value


def begun(arrays: Sequence[Any]) -> gs.Optimizer:
    """An optimizer over copies of arrays, with other options than the saved one."""
    return gs.SGD([{"params": a.copy()} for a in arrays], lr=0.7, momentum=0.3)


Make = Callable[[gs.Optimizer], Any]

# What is stepped together on one optimizer.
TOGETHER: dict[str, list[Make]] = {
    "exponential-multistep": [
        lambda o: lrs.ExponentialLR(o, 0.97),
        lambda o: lrs.MultiStepLR(o, [3, 9, 20], 0.3),
    ],
    "linear-plateau": [
        lambda o: lrs.LinearLR(o, 0.1, 0.9, 12),
        lambda o: lrs.ReduceLROnPlateau(o, factor=0.7, patience=2, cooldown=1, eps=0.0),
    ],
    "sequence-inverse-cosine": [
        EACH["WarmupLR"],
        lambda o: lrs.InverseTimeLR(o, 0.1),
        lambda o: lrs.CosineAnnealingLR(o, 50, 0.003),
    ],
}


def interrupted(test: Callable[..., None]) -> Callable[..., None]:
    """Draw when a run is saved, for how long it goes on, and changes of the hand."""
    drawn = given(
        save=st.integers(0, 25),
        more=st.integers(1, 15),
        by_hand=changes,
        before_saving=changes,
    )
    return settings(max_examples=10, deadline=None)(drawn(test))


@each
@interrupted
def test_a_resumed_run_is_the_straight_run(
    name: str,
    save: int,
    more: int,
    by_hand: list[Change],
    before_saving: list[Change],
) -> None:
    """With a change of the hand just before saving, in either order of loading."""
    resume_and_compare([EACH[name]], save, more, by_hand, before_saving)


@pytest.mark.parametrize("name", TOGETHER)
@interrupted
def test_schedulers_of_one_rate_are_resumed_together(
    name: str,
    save: int,
    more: int,
    by_hand: list[Change],
    before_saving: list[Change],
) -> None:
    resume_and_compare(TOGETHER[name], save, more, by_hand, before_saving)


def resume_and_compare(
    makers: Sequence[Make],
    save: int,
    more: int,
    by_hand: Sequence[Change],
    before_saving: Sequence[Change],
) -> None:
    straight = optimizer()
    schedulers = [make(straight) for make in makers]
    run(straight, schedulers, range(save), by_hand)
    change(straight, [x._replace(step=save) for x in before_saving], save)
    states = [straight.state_dict(), *(x.state_dict() for x in schedulers)]
    saved = pickle.dumps(states)
    arrays = [group["params"][0].copy() for group in straight.param_groups]
    stood = present(straight)
    run(straight, schedulers, range(save, save + more), by_hand)
    for order in itertools.permutations(range(len(states))):
        resumed = begun(arrays)
        objects = [resumed, *(make(resumed) for make in makers)]
        for i in order:
            objects[i].load_state_dict(pickle.loads(saved)[i])
        assert present(resumed) == stood
        run(resumed, objects[1:], range(save, save + more), by_hand)
        assert present(resumed) == present(straight), order
        assert bits(resumed) == bits(straight)
        for ours, theirs in zip(objects[1:], schedulers, strict=True):
            assert ours.state_dict() == theirs.state_dict()


@pytest.mark.parametrize("order", [1, -1])
@each
def test_files_bring_back_a_rate_that_was_set_by_hand(
    name: str, order: int, tmp_path: Path
) -> None:
    straight = optimizer()
    scheduler = EACH[name](straight)
    train(straight, scheduler, 4)
    straight.param_groups[1]["lr"] = 0.123
    gs.save(tmp_path / "run", *[straight, scheduler][::order])
    resumed = begun([np.zeros(5), np.zeros((2, 3))])
    again = EACH[name](resumed)
    gs.load(tmp_path / "run", *[resumed, again][::order])
    assert resumed.param_groups[1]["lr"] == 0.123
    for _ in range(9):
        train(straight, scheduler, 1)
        train(resumed, again, 1)
        assert present(resumed) == present(straight)
    assert bits(resumed) == bits(straight)


@each
def test_a_scheduler_that_is_built_over_a_loaded_optimizer_brings_its_rate_back(
    name: str,
) -> None:
    """Its constructor has set the first value, which nobody wants."""
    straight = optimizer()
    scheduler = EACH[name](straight)
    train(straight, scheduler, 6)
    straight.param_groups[0]["lr"] = 0.123
    saved = [pickle.dumps(x.state_dict()) for x in (straight, scheduler)]
    arrays = [group["params"][0].copy() for group in straight.param_groups]
    resumed = begun(arrays)
    resumed.load_state_dict(pickle.loads(saved[0]))
    again = EACH[name](resumed)
    again.load_state_dict(pickle.loads(saved[1]))
    assert present(resumed) == present(straight)
    train(straight, scheduler, 9)
    train(resumed, again, 9)
    assert present(resumed) == present(straight)


@each
def test_without_the_optimizers_state_the_rate_comes_with_the_schedulers(
    name: str,
) -> None:
    straight = optimizer()
    scheduler = EACH[name](straight)
    train(straight, scheduler, 6)
    opt = begun([np.zeros(5), np.zeros((2, 3))])
    again = EACH[name](opt)
    again.load_state_dict(scheduler.state_dict())
    assert again.get_last_lr() == scheduler.get_last_lr()
    assert again.base_lrs == scheduler.base_lrs
    assert repr(again) == repr(scheduler)


@each
def test_a_rate_that_was_set_before_a_state_is_loaded_stands(name: str) -> None:
    straight = optimizer()
    scheduler = EACH[name](straight)
    train(straight, scheduler, 6)
    opt = optimizer()
    again = EACH[name](opt)
    opt.param_groups[0]["lr"] = 0.123
    again.load_state_dict(scheduler.state_dict())
    assert again.get_last_lr() == [0.123, straight.param_groups[1]["lr"]]


@each
def test_a_state_is_plain_and_goes_through_json(name: str) -> None:
    opt, other = optimizer(), optimizer()
    scheduler, again = EACH[name](opt), EACH[name](other)
    train(opt, scheduler, 3)
    opt.param_groups[0]["lr"] = 0.123
    again.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    train(opt, scheduler, 3)
    train(other, again, 3)
    assert present(other) == present(opt)


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_load_that_fails_leaves_rates_and_schedulers_as_they_were(
    order: int, by_hand: bool, tmp_path: Path
) -> None:
    """Of several objects, the first of which could be loaded."""
    opt, saved = optimizer(), optimizer()
    objects = [opt, lrs.LinearLR(opt, 0.2), lrs.ExponentialLR(opt, 0.9)]
    others = [saved, lrs.LinearLR(saved, 0.2), lrs.ExponentialLR(saved, 0.8)]
    for group, schedulers in ((opt, objects[1:]), (saved, others[1:])):
        run(group, schedulers, range(7), [])
    saved.param_groups[0]["lr"] = 0.123
    if by_hand:
        opt.param_groups[0]["lr"] = 0.321
    before = present(opt), [x.state_dict() for x in objects[1:]]
    gs.save(tmp_path / "run", *others[::order])
    with pytest.raises(ValueError, match=r"saved by another scheduler, whose .*gamma"):
        gs.load(tmp_path / "run", *objects[::order])
    assert (present(opt), [x.state_dict() for x in objects[1:]]) == before


def test_a_second_load_replaces_the_rate_that_the_first_has_brought() -> None:
    opt = optimizer()
    scheduler = lrs.StepLR(opt, 3)
    first = scheduler.state_dict()
    opt.param_groups[0]["lr"] = 0.123
    second = scheduler.state_dict()
    again = lrs.StepLR(optimizer(), 3)
    for state, lr in ((second, 0.123), (first, 0.2), (second, 0.123)):
        again.load_state_dict(state)
        assert again.get_last_lr()[0] == lr


# States of torch, as they are; with torch itself: tests/peers.


def of_torch(t: float, last_lr: list[float], **arguments: Any) -> dict[str, Any]:
    return {
        "last_epoch": t,
        "base_lrs": [0.2, 0.05],
        "_last_lr": last_lr,
        "_step_count": t + 1,
        **arguments,
    }


def test_a_state_of_torch_brings_its_rates_and_goes_on_in_closed_form() -> None:
    opt = optimizer()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    off_by_rounding = [0.025000000000000005, 0.00625]
    scheduler.load_state_dict(of_torch(3, off_by_rounding, gamma=0.5))
    assert scheduler.get_last_lr() == off_by_rounding
    scheduler.step()
    assert scheduler.get_last_lr() == [0.0125, 0.003125]


def test_a_state_of_torch_brings_the_factors_of_others() -> None:
    opt = optimizer()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    scheduler.load_state_dict(of_torch(3, [0.25, 0.00625], gamma=0.5))
    scheduler.step()
    assert scheduler.get_last_lr() == [0.125, 0.003125]


def test_a_state_of_torchs_cosine_that_rises_again_is_led_to_the_end() -> None:
    """Ours stays at eta_min, from where no factor leads to torch's rate."""
    opt = optimizer()
    scheduler = lrs.CosineAnnealingLR(opt, 10, 0.01)
    scheduler.load_state_dict(of_torch(12, [0.03, 0.02], T_max=10, eta_min=0.01))
    for _ in range(3):
        assert scheduler.get_last_lr() == [0.01, 0.01]
        scheduler.step()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_schedulers": 3}, "whose _schedulers is 3"),
        ({"_schedulers": [{}]}, "lacks 'last_epoch'|whose _schedulers is"),
        (
            {"_schedulers": [of_torch(3, [0.1, 0.1]), 3]},
            r"_schedulers\[1\] must be a map",
        ),
        ({"_last_lr": [0.1]}, "_last_lr has 1 values, expected 2"),
        ({"_last_lr": [0.1, 10**400]}, "_last_lr must be finite"),
    ],
)
def test_states_of_torch_of_another_form_change_nothing(
    change: dict[str, Any], words: str
) -> None:
    opt = optimizer()
    parts = [lrs.LinearLR(opt), lrs.LambdaLR(opt, abs)]
    scheduler = lrs.SequentialLR(opt, parts, [5])
    before = present(opt), scheduler.state_dict()
    with pytest.raises((KeyError, TypeError, ValueError), match=words):
        scheduler.load_state_dict(of_torch(3, [0.1, 0.1]) | change)
    assert (present(opt), scheduler.state_dict()) == before


def test_lambdas_of_torch_of_another_form_change_nothing() -> None:
    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, abs)
    with pytest.raises(TypeError, match="lr_lambdas must be a sequence, got int"):
        scheduler.load_state_dict(of_torch(3, [0.1, 0.1], lr_lambdas=3))
    assert scheduler.last_epoch == 0


def test_a_state_is_the_callers() -> None:
    scheduler = lrs.StepLR(optimizer(), 3)
    state = scheduler.state_dict()
    state["schedules"][0]["arguments"].clear()
    state["values"].clear()
    scheduler.load_state_dict(scheduler.state_dict())
