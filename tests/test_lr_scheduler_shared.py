"""What schedulers make of a value that somebody else has changed."""

import copy
import gc
import itertools
import math
import pickle
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from scheduling import EACH, PLAIN, each, optimizer, present

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")

BASE = 0.37
STEPS = 40

Make = Callable[[Any], Any]

# Of one group, no argument neutral; no fixed point but 0, which `ChainedScheduler`
# has no place for.
CHAINABLE: dict[str, Make] = {
    "StepLR": lambda o: lrs.StepLR(o, 5, 0.7),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [3, 11, 29], 0.37),
    **PLAIN,
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 83),
    "periodic": lambda o: lrs.CosineAnnealingLR(o, 43, periodic=True),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda i: 1 - 1 / (i + 3)),
    "WarmupStableDecayLR": lambda o: lrs.WarmupStableDecayLR(o, 9, 13, 47, "sqrt"),
    "InverseSqrtLR": lambda o: lrs.InverseSqrtLR(o, 13),
    "ExponentialStepSizeLR": lambda o: lrs.ExponentialStepSizeLR(o, 120, 1.9),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.ConstantLR(o, 0.3, 7), lrs.ExponentialLR(o, 0.97)]
    ),
    "LRScheduler": lambda o: lrs.LRScheduler(o, schedules.InverseTime(0.3)),
}
# They begin again from before the others, so they come first in a chain.
SEQUENCES: dict[str, Make] = {
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.2), lrs.StepLR(o, 5, 0.7)], [9]
    ),
    "WarmupLR": lambda o: lrs.WarmupLR(o, lrs.CosineAnnealingLR(o, 83), 13),
}
OVERWRITING: dict[str, Make] = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda t: 1 / (1 + t)),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(
        o, 7, 3, 0.01
    ),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.3, 90),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.02, 0.3, 9, 14, "triangular2"),
}


def alone(lr: float = BASE) -> gs.Optimizer:
    return gs.SGD(np.ones(3), lr=lr, momentum=0.8)


def close(x: float, rel: float = 1e-13) -> Any:
    return pytest.approx(x, rel=rel, abs=0)


# Several at once.


@pytest.mark.parametrize(
    ("first", "second"),
    list(itertools.product(CHAINABLE | SEQUENCES, CHAINABLE)),
)
def test_two_schedulers_in_turn_give_the_product_of_their_factors(
    first: str, second: str
) -> None:
    """That of `ChainedScheduler`, from the first value to beyond the ends of both."""
    makers = (CHAINABLE | SEQUENCES)[first], CHAINABLE[second]
    opt, other = alone(), alone()
    in_turn = [make(opt) for make in makers]
    chained = lrs.ChainedScheduler([make(other) for make in makers])
    for t in range(STEPS):
        assert opt.lr == close(chained.values(t)[0]), t
        for scheduler in in_turn:
            scheduler.step()


def test_exponential_and_multi_step_in_turn_are_torchs_example() -> None:
    """Of torch's documentation: 0.9 at each step, and 0.1 at milestones as well."""
    opt = alone(1.0)
    both = [lrs.ExponentialLR(opt, 0.9), lrs.MultiStepLR(opt, [3, 8], 0.1)]
    for t in range(12):
        assert opt.lr == close(0.9**t * 0.1 ** ((t >= 3) + (t >= 8)))
        for scheduler in both:
            scheduler.step()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", CHAINABLE | SEQUENCES)
def test_a_plateau_beside_a_scheduler_multiplies_its_values(
    name: str, order: int
) -> None:
    opt, other = alone(), alone()
    schedule = (CHAINABLE | SEQUENCES)[name](opt)
    expected = (CHAINABLE | SEQUENCES)[name](other)
    plateau = lrs.ReduceLROnPlateau(opt, factor=0.5, patience=3, eps=0.0)
    reductions = 0
    for t in range(STEPS):
        assert opt.lr == close(0.5**reductions * expected.values(t)[0])
        for step in (schedule.step, lambda: plateau.step(1.0))[::order]:
            step()
        reductions = t // 4 if t else 0
    assert reductions == 9


@pytest.mark.parametrize("other", ["StepLR", "LambdaLR", "ReduceLROnPlateau"])
@pytest.mark.parametrize("name", OVERWRITING)
def test_one_that_overwrites_another_says_so_once(name: str, other: str) -> None:
    """Its value is its own, as in torch; by hand it is overwritten without a word."""
    opt, undisturbed = alone(), alone()
    scheduler, expected = OVERWRITING[name](opt), OVERWRITING[name](undisturbed)
    opt.lr = 3.0
    scheduler.step()
    assert opt.lr == expected.values(1)[0]
    if other == "ReduceLROnPlateau":
        second: Any = lrs.ReduceLROnPlateau(opt, patience=0, factor=0.5, eps=0.0)
        second.step(1.0)
        second.step(1.0)
        remedy = "use a chainable one, such as LinearLR"
    else:
        second = lrs.StepLR(opt, 1) if other == "StepLR" else lrs.LambdaLR(opt, abs)
        second.step()
        remedy = "combine them by ChainedScheduler"
    message = (
        rf"{name}\.step: {other} has set lr of param_groups\[0\] as well, .*{remedy}"
    )
    with pytest.warns(UserWarning, match=message):
        scheduler.step()
    assert opt.lr == expected.values(2)[0]
    opt.lr = 3.0
    scheduler.step()  # warnings are errors
    assert opt.lr == expected.values(3)[0]
    if other == "StepLR":
        second.step()
        scheduler.step()


def test_what_a_combination_has_taken_over_is_not_stepped() -> None:
    opt = alone()
    parts = [lrs.LinearLR(opt, 0.2), lrs.StepLR(opt, 5)]
    both = lrs.ChainedScheduler(parts)
    before = opt.lr
    for part in parts:
        with pytest.raises(ValueError, match="ChainedScheduler has taken over its sch"):
            part.step()
    assert opt.lr == before
    both.step()


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_begins_again_from_before_the_others(name: str) -> None:
    """So a cell of a notebook may run twice, but not both schedulers."""
    opt = alone()
    first = SEQUENCES[name](opt)
    again = SEQUENCES[name](opt)
    assert again.base_lrs == [BASE]
    assert again.get_last_lr() == again.values(0)
    assert opt.param_groups[0]["initial_lr"] == BASE
    with pytest.raises(ValueError, match=f"{name}, which was .* by ChainedScheduler"):
        first.step()
    again.step()
    assert opt.lr == again.values(1)[0]


def test_a_warm_up_from_zero_beside_another_scheduler() -> None:
    """0 stays 0 whatever multiplies it, and no base is lost by that."""
    opt = alone(0.8)
    both = [lrs.LinearLR(opt, 0.0, 1.0, 4), lrs.ExponentialLR(opt, 0.5)]
    for t in range(7):
        assert opt.lr == close(0.8 * min(t / 4, 1) * 0.5**t)
        for scheduler in both:
            scheduler.step()


# By hand, between the steps.


@pytest.mark.parametrize("factor", [0.5, 3.1])
@pytest.mark.parametrize("name", CHAINABLE | SEQUENCES)
def test_a_rate_that_was_set_by_hand_is_scaled_from_then_on(
    name: str, factor: float
) -> None:
    opt, other = alone(), alone()
    scheduler = (CHAINABLE | SEQUENCES)[name](opt)
    expected = (CHAINABLE | SEQUENCES)[name](other).values(range(STEPS))[0]
    for t in range(STEPS):
        by_hand = factor if t > 4 else 1.0
        assert opt.lr == close(by_hand * expected[t])
        assert scheduler.values(t)[0] == close(by_hand * expected[t])
        if t == 4:
            opt.lr = factor * opt.lr
        scheduler.step()


def test_a_rate_that_is_set_back_has_no_factor() -> None:
    opt = alone()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    opt.lr = 0.5 * BASE
    scheduler.step()
    opt.lr = scheduler.values(1)[0] * 2
    scheduler.step()
    assert opt.lr == scheduler.values(2)[0] == schedules.Exponential(0.5)(2, BASE)
    assert scheduler.state_dict()["factors"] == [1.0]


def test_between_its_steps_a_rate_that_was_set_by_hand_stays_to_the_bit() -> None:
    opt = alone()
    scheduler = lrs.StepLR(opt, 10, 0.3)
    opt.lr = x = 0.1 * 0.7
    for _ in range(9):
        scheduler.step()
        assert opt.lr == x
    scheduler.step()
    assert opt.lr == close(0.3 * x)


def test_a_cosine_goes_to_eta_min_from_where_it_was_set() -> None:
    """torch's recursion, relative to eta_min; it ends at eta_min itself."""
    opt = alone(0.5)
    scheduler = lrs.CosineAnnealingLR(opt, 10, eta_min=0.1)
    for _ in range(4):
        scheduler.step()
    opt.lr = x = 0.9
    for t in range(5, 11):
        scheduler.step()
        part = (1 + math.cos(math.pi * t / 10)) / (1 + math.cos(math.pi * 0.4))
        assert opt.lr == pytest.approx(0.1 + (x - 0.1) * part, rel=1e-13)
    assert opt.lr == 0.1
    opt.lr = 0.05  # after its end it stays where it is put
    scheduler.step()
    assert opt.lr == 0.05


def test_a_cosine_whose_base_is_eta_min_goes_on_from_what_is_set() -> None:
    opt = alone(0.1)
    scheduler = lrs.CosineAnnealingLR(opt, 10, eta_min=0.1)
    scheduler.step()
    assert opt.lr == 0.1
    for x in (0.3, 0.05):
        opt.lr = x
        t = scheduler.last_epoch
        scheduler.step()
        part = (1 + math.cos(math.pi * (t + 1) / 10)) / (1 + math.cos(math.pi * t / 10))
        assert opt.lr == pytest.approx(0.1 + (x - 0.1) * part, rel=1e-13)
        assert scheduler.values(t + 1) == [opt.lr]


def test_a_cosine_whose_base_is_next_to_eta_min_keeps_its_digits() -> None:
    """One unit in the last place away, which no factor can be taken from."""
    opt = alone(0.1 + 2**-56)
    scheduler = lrs.CosineAnnealingLR(opt, 10, eta_min=0.1)
    for x in (0.3, 0.05, 0.2):
        opt.lr = x
        t = scheduler.last_epoch
        scheduler.step()
        part = (1 + math.cos(math.pi * (t + 1) / 10)) / (1 + math.cos(math.pi * t / 10))
        assert opt.lr == pytest.approx(0.1 + (x - 0.1) * part, rel=1e-13)


def test_a_cosine_that_goes_back_does_not_amplify() -> None:
    """Near its end the distance from eta_min is next to nothing."""
    opt = alone(0.5)
    scheduler = lrs.CosineAnnealingLR(opt, 100, eta_min=0.1)
    scheduler.step(99)
    opt.lr *= 2
    scheduler.step(0)
    assert opt.lr == pytest.approx(1.0, rel=1e-3)
    scheduler.step()
    assert opt.lr < 1


@pytest.mark.parametrize("past", [0, 1, 5])
def test_after_its_end_at_zero_a_schedule_leaves_what_is_set(past: int) -> None:
    opt = alone()
    scheduler = lrs.PolynomialLR(opt, 3)
    for _ in range(3 + past):
        scheduler.step()
    assert opt.lr == 0
    opt.lr = 0.05
    for _ in range(3):
        scheduler.step()
        assert opt.lr == 0.05


def test_what_is_set_where_a_schedule_rises_from_zero_is_its_base() -> None:
    opt = alone()
    scheduler = lrs.LinearLR(opt, 0.0, 1.0, 4)
    assert opt.lr == 0
    opt.lr = 0.8
    for t in range(1, 7):
        scheduler.step()
        assert opt.lr == close(0.8 * min(t / 4, 1))


def test_a_base_of_zero_is_left_behind() -> None:
    opt = alone(0.0)
    scheduler = lrs.ExponentialLR(opt, 0.5)
    scheduler.step()
    assert opt.lr == 0
    opt.lr = 0.8
    for t in range(1, 4):
        scheduler.step()
        assert opt.lr == close(0.8 * 0.5**t)


def test_a_rate_that_is_set_to_zero_stays_zero() -> None:
    opt = alone()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    opt.lr = 0.0
    scheduler.step()
    assert opt.lr == 0
    opt.lr = 0.4
    scheduler.step()
    assert opt.lr == close(0.2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 10**400, "0.1", None, [1]])
def test_a_value_that_cannot_be_scaled_is_named(bad: Any) -> None:
    opt = optimizer()
    scheduler = lrs.ExponentialLR(opt, 0.5)
    opt.param_groups[1]["lr"] = bad
    with pytest.raises((TypeError, ValueError), match=r"step: lr of param_groups\[1\]"):
        scheduler.step()
    assert (opt.param_groups[0]["lr"], scheduler.last_epoch) == (0.2, 0)
    assert opt.param_groups[1]["lr"] is bad


def test_a_numpy_number_that_is_set_counts_as_its_value() -> None:
    opt, other = alone(), alone()
    ours, theirs = (lrs.ExponentialLR(o, 0.5) for o in (opt, other))
    opt.param_groups[0]["lr"] = np.float64(0.37)
    ours.step()
    theirs.step()
    assert opt.lr == other.lr


def test_other_hyperparameters_go_by_the_same_law() -> None:
    opt = alone()
    decay = {"weight_decay": schedules.InverseTime(1.0), "momentum": schedules.Step(2)}
    opt.weight_decay = 0.3
    scheduler = lrs.LRScheduler(opt, decay)
    opt.weight_decay = 0.6
    scheduler.step()
    assert (opt.weight_decay, opt.momentum) == (0.3, 0.8)
    scheduler.step()
    assert (opt.weight_decay, opt.momentum) == (close(0.2), close(0.08))


def test_a_part_of_betas_goes_by_the_same_law() -> None:
    opt = gs.Adam(np.ones(2), betas=(0.8, 0.99))
    scheduler = lrs.LRScheduler(opt, schedules.Exponential(0.5), hyperparameter="beta1")
    opt.betas = (0.6, 0.98)
    scheduler.step()
    assert opt.betas == (0.3, 0.98)


# A new scheduler.


@each
def test_a_new_scheduler_begins_at_the_rate_that_was_set_by_hand(name: str) -> None:
    """And not at "initial_lr", which the scheduler before has noted."""
    opt, fresh = optimizer(), optimizer()
    before = lrs.ExponentialLR(opt, 0.9)
    for _ in range(3):
        before.step()
    opt.param_groups[0]["lr"], opt.param_groups[1]["lr"] = 0.31, 0.17
    fresh.param_groups[0]["lr"], fresh.param_groups[1]["lr"] = 0.31, 0.17
    scheduler, expected = EACH[name](opt), EACH[name](fresh)
    for t in range(5):
        assert present(opt) == present(fresh), t
        assert scheduler.base_lrs == [0.31, 0.17]
        scheduler.step()
        expected.step()
    assert [group["initial_lr"] for group in opt.param_groups] == [0.31, 0.17]


@pytest.mark.parametrize("name", OVERWRITING | SEQUENCES)
def test_after_another_scheduler_those_that_overwrite_begin_at_its_base(
    name: str,
) -> None:
    """As torch's; also when the scheduler before is gone."""
    opt, fresh = alone(), alone()
    before = lrs.ExponentialLR(opt, 0.5)
    before.step()
    before.step()
    del before
    scheduler = (OVERWRITING | SEQUENCES)[name](opt)
    assert opt.lr == (OVERWRITING | SEQUENCES)[name](fresh).get_last_lr()[0]
    assert scheduler.base_lrs == [BASE]


@pytest.mark.parametrize("name", OVERWRITING)
def test_a_scheduler_that_is_gone_is_known_after_others_were_built(name: str) -> None:
    opt = alone()
    for _ in range(2):
        lrs.ExponentialLR(opt, 0.5).step()
    plateau = lrs.ReduceLROnPlateau(opt)
    assert OVERWRITING[name](opt).base_lrs == [BASE]
    assert plateau.optimizer is opt


def combined(opt: gs.Optimizer, kind: str, parts: list[Any]) -> Any:
    if kind == "SequentialLR":
        return lrs.SequentialLR(opt, parts, [9])
    if kind == "ChainedScheduler":
        return lrs.ChainedScheduler(parts)
    return lrs.WarmupLR(opt, parts[1], 5, 0.3)


@pytest.mark.parametrize("kind", ["SequentialLR", "ChainedScheduler", "WarmupLR"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_combination_begins_where_the_rate_was_set_while_it_was_built(
    kind: str, at: int
) -> None:
    opt, other = alone(), alone(0.11)
    parts = []
    for i, part in enumerate((lrs.LinearLR, lrs.InverseTimeLR)):
        parts.append(part(opt, 0.2))
        if i == at:
            opt.lr = 0.11
    expected = [lrs.LinearLR(other, 0.2), lrs.InverseTimeLR(other, 0.2)]
    ours, theirs = combined(opt, kind, parts), combined(other, kind, expected)
    assert ours.base_lrs == [0.11]
    assert ours.values(range(30))[0].tolist() == theirs.values(range(30))[0].tolist()
    assert opt.lr == other.lr


def test_a_rate_by_hand_that_a_part_had_set_before_is_by_hand() -> None:
    opt = alone()
    parts = [lrs.LinearLR(opt, 0.2), lrs.StepLR(opt, 5)]
    set_first = opt.lr
    sequence = lrs.SequentialLR(opt, parts, [9])
    sequence.step()
    opt.lr = set_first
    assert lrs.LambdaLR(opt, lambda t: 1 / (1 + t)).base_lrs == [set_first]


@pytest.mark.parametrize("name", CHAINABLE)
def test_after_another_scheduler_chainable_ones_go_on_from_its_end(name: str) -> None:
    opt = alone()
    before = lrs.ExponentialLR(opt, 0.5)
    before.step()
    before.step()
    CHAINABLE[name](opt)
    fresh = alone(BASE / 4)
    assert opt.lr == close(CHAINABLE[name](fresh).get_last_lr()[0])


def test_a_scheduler_that_begins_where_another_ended_at_zero_warns() -> None:
    opt = alone()
    before = lrs.PolynomialLR(opt, 2)
    before.step()
    before.step()
    words = r"lr of param_groups\[0\] is 0, .* it began at 0.37"
    with pytest.warns(UserWarning, match=words):
        lrs.CosineAnnealingLR(opt, 10)
    opt.lr = 0.2
    assert lrs.CosineAnnealingLR(opt, 10).get_last_lr() == [0.2]
    lrs.StepLR(alone(0.0), 3)  # 0 was the caller's


@pytest.mark.parametrize("lr", [BASE, 0.11])
@pytest.mark.parametrize("name", CHAINABLE | OVERWRITING)
def test_last_epoch_brings_the_values_from_where_it_stood_at_first(
    name: str, lr: float
) -> None:
    """Also in an optimizer that is new, and has another rate."""
    schedule = (CHAINABLE | OVERWRITING)[name](alone()).lanes()[0, "lr", None]
    group = {"params": np.ones(2), "lr": lr, "initial_lr": BASE}
    again = lrs.LRScheduler(gs.SGD([group]), schedule, last_epoch=8)
    assert again.get_last_lr() == [schedule(9, BASE)]


def test_last_epoch_of_two_schedulers_brings_the_product() -> None:
    group = {"params": np.ones(2), "lr": 0.8, "initial_lr": 0.8}
    opt = gs.SGD([group])
    both = [
        lrs.ExponentialLR(opt, 0.5, last_epoch=1),
        lrs.MultiStepLR(opt, [2], 0.1, last_epoch=1),
    ]
    assert opt.param_groups[0]["lr"] == close(0.8 * 0.25 * 0.1)
    for scheduler in both:
        scheduler.step()
    assert opt.param_groups[0]["lr"] == close(0.8 * 0.125 * 0.1)


def test_last_epoch_warns_where_it_undoes_a_rate_that_was_set_by_hand() -> None:
    opt = alone(0.8)
    before = lrs.ExponentialLR(opt, 0.5)
    before.step()
    for usual in (0.8, 0.4, 0.2):
        opt.lr = usual
        assert lrs.ExponentialLR(opt, 0.5, last_epoch=1).get_last_lr() == [0.2]
    opt.lr = 0.7
    with pytest.warns(UserWarning, match=r"last_epoch=1 sets lr .* from 0.7 to 0.2"):
        lrs.ExponentialLR(opt, 0.5, last_epoch=1)


# Groups that come later.


@pytest.mark.parametrize("steps", [0, 1, 4, 2.5, 0.25])
@each
def test_what_the_refusal_of_a_new_group_advises_works(name: str, steps: float) -> None:
    """The new scheduler has the values of the old one, and its own in the new group."""
    opt, undisturbed = optimizer(), optimizer()
    scheduler, expected = EACH[name](opt), EACH[name](undisturbed)
    if steps:
        scheduler.step(steps)
        expected.step(steps)
    new = {"params": np.ones(2), "lr": 0.05, "initial_lr": 0.05}
    new |= {"initial_momentum": 0.8, "initial_weight_decay": 0.1}
    opt.add_param_group(new)
    with pytest.raises(ValueError, match="build schedulers after add_param_g") as error:
        scheduler.step()
    schedule = {"lr": [one for at, one in scheduler.lanes().items() if at[1] == "lr"]}
    schedule["lr"].append(schedule["lr"][-1])
    words = str(error.value)
    if steps:
        assert words.endswith(f"in the new group and last_epoch={steps - 1}")
        again = lrs.LRScheduler(opt, schedule, last_epoch=steps - 1)
    else:
        assert words.endswith("or anew")
        again = lrs.LRScheduler(opt, schedule)
    for _ in range(3):
        rates = expected.get_last_lr()
        assert again.get_last_lr() == [*rates, rates[-1]]
        again.step()
        expected.step()


def test_a_plateau_goes_on_with_a_new_group() -> None:
    opt = optimizer()
    scheduler = lrs.ReduceLROnPlateau(opt, patience=1, min_lr=0.01)
    scheduler.step(1.0)
    scheduler.step(1.0)
    opt.add_param_group({"params": np.ones(2), "lr": 0.8})
    with pytest.raises(ValueError, match="anew and load the state_dict of this one"):
        scheduler.step(1.0)
    again = lrs.ReduceLROnPlateau(opt, patience=1, min_lr=0.01)
    again.load_state_dict(scheduler.state_dict())
    again.step(1.0)
    assert again.get_last_lr() == close_list(0.02, 0.01, 0.08)


def close_list(*values: float) -> Any:
    return pytest.approx(values, rel=1e-13, abs=0)


# Copies, and optimizers of others.


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("name", OVERWRITING | SEQUENCES)
def test_a_copy_knows_as_the_original_that_a_scheduler_set_its_rate(
    name: str, copied: Any
) -> None:
    opt = alone()
    before = lrs.ExponentialLR(opt, 0.5)
    before.step()
    twin, its = copied((opt, before))
    for begun in (opt, twin):
        (OVERWRITING | SEQUENCES)[name](begun)
    assert twin.lr == opt.lr
    assert its.optimizer is twin


class Hashless(types.SimpleNamespace):
    """An optimizer of somebody else, that is equal to others and has no hash."""


@pytest.mark.parametrize("name", CHAINABLE | OVERWRITING | SEQUENCES)
def test_anything_with_groups_is_scheduled(name: str) -> None:
    make = (CHAINABLE | OVERWRITING | SEQUENCES)[name]
    groups = [{"params": [], "lr": BASE, "momentum": 0.8}]
    scheduler, expected = make(Hashless(param_groups=groups)), make(alone())
    for t in range(9):
        assert groups[0]["lr"] == close(expected.values(t)[0])
        scheduler.step()
    groups[0]["lr"] *= 0.5
    scheduler.load_state_dict(scheduler.state_dict())


def test_schedulers_do_not_keep_optimizers_alive() -> None:
    opt = alone()
    seen = weakref.ref(opt)
    for _ in range(3):
        lrs.LambdaLR(opt, lambda t, opt=opt: 1.0 + 0 * len(opt.param_groups) * t)
    del opt
    gc.collect()
    assert seen() is None


def test_a_resumed_scheduler_that_is_built_twice_sets_the_same_value() -> None:
    group = {"params": np.ones(2), "lr": 0.8, "initial_lr": 0.8}
    opt = gs.SGD([group])
    for _ in range(2):
        again = lrs.ExponentialLR(opt, 0.5, last_epoch=1)
        assert again.get_last_lr() == [0.2]
