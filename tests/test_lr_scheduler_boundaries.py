"""Every option of every schedule and scheduler: its default, and values at its ends."""

import inspect
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from scheduling import optimizer, present

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*cycle_momentum=True, the def:UserWarning"),
]

third, nothing = 1 / 3, inspect.Parameter.empty

SIGNATURES: dict[Any, dict[str, Any]] = {
    schedules.Chained: {"schedules": nothing},
    schedules.Constant: {"factor": third, "total_iters": 5},
    schedules.CosineAnnealing: {"T_max": nothing, "eta_min": 0.0, "periodic": False},
    schedules.CosineAnnealingWarmRestarts: {
        "T_0": nothing,
        "T_mult": 1,
        "eta_min": 0.0,
    },
    schedules.Cyclic: {
        "first": nothing,
        "peak": nothing,
        "step_size_up": 2000,
        "step_size_down": None,
        "mode": "triangular",
        "gamma": 1.0,
        "scale_fn": None,
        "scale_mode": "cycle",
    },
    schedules.Exponential: {"gamma": nothing},
    schedules.ExponentialDecay: {"k": nothing},
    schedules.ExponentialStepSize: {"T": nothing, "beta": 1.0},
    schedules.InverseSqrt: {"warmup_steps": nothing},
    schedules.InverseTime: {"k": nothing},
    schedules.Lambda: {"fn": nothing},
    schedules.Linear: {"start_factor": third, "end_factor": 1.0, "total_iters": 5},
    schedules.MultiStep: {"milestones": nothing, "gamma": 0.1},
    schedules.Multiplicative: {"fn": nothing},
    schedules.Phases: {"ends": nothing, "values": nothing, "anneal_strategy": "cos"},
    schedules.Polynomial: {"total_iters": 5, "power": 1.0},
    schedules.Sequential: {"schedules": nothing, "milestones": nothing},
    schedules.Step: {"step_size": nothing, "gamma": 0.1},
    schedules.Warmup: {"schedule": nothing, "steps": nothing, "start_factor": None},
    schedules.WarmupStableDecay: {
        "warmup_steps": nothing,
        "stable_steps": nothing,
        "decay_steps": nothing,
        "decay": "linear",
        "min_factor": 0.0,
    },
}
_OPT: dict[str, Any] = {"optimizer": nothing}
_LAST: dict[str, Any] = {"last_epoch": -1, "hyperparameter": "lr"}
_CYCLE: dict[str, Any] = {"last_epoch": -1}
SIGNATURES |= {
    lrs.StepLR: _OPT | SIGNATURES[schedules.Step] | _LAST,
    lrs.MultiStepLR: _OPT | SIGNATURES[schedules.MultiStep] | _LAST,
    lrs.ConstantLR: _OPT | SIGNATURES[schedules.Constant] | _LAST,
    lrs.LinearLR: _OPT | SIGNATURES[schedules.Linear] | _LAST,
    lrs.ExponentialLR: _OPT | SIGNATURES[schedules.Exponential] | _LAST,
    lrs.ExponentialDecayLR: _OPT | SIGNATURES[schedules.ExponentialDecay] | _LAST,
    lrs.InverseTimeLR: _OPT | SIGNATURES[schedules.InverseTime] | _LAST,
    lrs.PolynomialLR: _OPT | SIGNATURES[schedules.Polynomial] | _LAST,
    lrs.CosineAnnealingLR: {
        **_OPT,
        "T_max": nothing,
        "eta_min": 0.0,
        "last_epoch": -1,
        "periodic": False,
        "hyperparameter": "lr",
    },
    lrs.CosineAnnealingWarmRestarts: _OPT
    | SIGNATURES[schedules.CosineAnnealingWarmRestarts]
    | _LAST,
    lrs.WarmupStableDecayLR: _OPT | SIGNATURES[schedules.WarmupStableDecay] | _LAST,
    lrs.InverseSqrtLR: _OPT | SIGNATURES[schedules.InverseSqrt] | _LAST,
    lrs.ExponentialStepSizeLR: _OPT | SIGNATURES[schedules.ExponentialStepSize] | _LAST,
    lrs.LambdaLR: _OPT | {"lr_lambda": nothing} | _LAST,
    lrs.MultiplicativeLR: _OPT | {"lr_lambda": nothing} | _LAST,
    lrs.LRScheduler: _OPT | {"schedule": nothing} | _LAST,
    lrs.OneCycleLR: {
        **_OPT,
        "max_lr": nothing,
        "total_steps": None,
        "epochs": None,
        "steps_per_epoch": None,
        "pct_start": 0.3,
        "anneal_strategy": "cos",
        "cycle_momentum": True,
        "base_momentum": 0.85,
        "max_momentum": 0.95,
        "div_factor": 25.0,
        "final_div_factor": 1e4,
        "three_phase": False,
        **_CYCLE,
    },
    lrs.CyclicLR: {
        **_OPT,
        "base_lr": nothing,
        "max_lr": nothing,
        "step_size_up": 2000,
        "step_size_down": None,
        "mode": "triangular",
        "gamma": 1.0,
        "scale_fn": None,
        "scale_mode": "cycle",
        "cycle_momentum": True,
        "base_momentum": 0.8,
        "max_momentum": 0.9,
        **_CYCLE,
    },
    lrs.SequentialLR: {
        **_OPT,
        "schedulers": nothing,
        "milestones": nothing,
        **_CYCLE,
    },
    lrs.ChainedScheduler: {"schedulers": nothing, "optimizer": None},
    lrs.WarmupLR: {
        **_OPT,
        "scheduler": nothing,
        "steps": nothing,
        "start_factor": None,
        **_CYCLE,
    },
    lrs.ReduceLROnPlateau: {
        **_OPT,
        "mode": "min",
        "factor": 0.1,
        "patience": 10,
        "threshold": 1e-4,
        "threshold_mode": "rel",
        "cooldown": 0,
        "min_lr": 0.0,
        "eps": 1e-8,
        "hyperparameter": "lr",
        "last_epoch": -1,
    },
}


@pytest.mark.parametrize("kind", SIGNATURES, ids=lambda kind: kind.__name__)
def test_arguments_have_these_names_in_this_order_and_these_defaults(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters.values()
    assert [(p.name, p.default) for p in parameters] == list(SIGNATURES[kind].items())
    assert all(type(p.default) is type(SIGNATURES[kind][p.name]) for p in parameters)


def test_every_signature_is_in_the_table() -> None:
    kinds = {getattr(lrs, name) for name in lrs.__all__}
    kinds |= {getattr(schedules, name) for name in schedules.__all__}
    assert set(SIGNATURES) == kinds - {schedules.Schedule}


# What is passed beside the option that is tried. "lr" of groups are 0.2 and 0.05.
STEP = schedules.Step(3, 0.5)
REQUIRED: dict[Any, dict[str, Any]] = {
    schedules.CosineAnnealing: {"T_max": 9},
    schedules.CosineAnnealingWarmRestarts: {"T_0": 9},
    schedules.Cyclic: {"first": 0.1, "peak": 0.2},
    schedules.Exponential: {"gamma": 0.5},
    schedules.ExponentialDecay: {"k": 0.5},
    schedules.ExponentialStepSize: {"T": 9},
    schedules.InverseSqrt: {"warmup_steps": 9},
    schedules.InverseTime: {"k": 0.5},
    schedules.MultiStep: {"milestones": [3]},
    schedules.Step: {"step_size": 3},
    schedules.Warmup: {"schedule": STEP, "steps": 3},
    schedules.WarmupStableDecay: {
        "warmup_steps": 1,
        "stable_steps": 2,
        "decay_steps": 3,
    },
    lrs.OneCycleLR: {"max_lr": 0.3, "total_steps": 30},
    lrs.CyclicLR: {"base_lr": 0.1, "max_lr": 0.2},
}

# Kinds of options: the smallest and a large valid value, and what is next to both.
TINY, MOST = 5e-324, 2**53 - 1
LARGEST = 1.7976931348623157e308
COUNT0 = (0, MOST, -1, 2**53)
COUNT1 = (1, MOST, 0, 2**53)
FACTOR = (0.0, LARGEST, -TINY, math.inf)
PART = (0.0, 1.0, -TINY, 1 + 2**-52)
ABOVE1 = (1.0, LARGEST, 1 - 2**-53, math.inf)
RATE = (0.0, 1e300, -TINY, 1.01e300)
DIVISOR = (1e-300, 1e300, 0.0, 1.01e300)
MOMENTUM = (0.0, 1 - 2**-53, -TINY, 1.0)
REDUCTION = (0.0, 1 - 2**-53, -TINY, 1.0)

OPTIONS: dict[tuple[Any, str], tuple[Any, Any, Any, Any]] = {
    (schedules.Constant, "factor"): FACTOR,
    (schedules.Constant, "total_iters"): COUNT0,
    (schedules.CosineAnnealing, "T_max"): COUNT1,
    (schedules.CosineAnnealing, "eta_min"): FACTOR,
    (schedules.CosineAnnealingWarmRestarts, "T_0"): COUNT1,
    (schedules.CosineAnnealingWarmRestarts, "T_mult"): COUNT1,
    (schedules.CosineAnnealingWarmRestarts, "eta_min"): FACTOR,
    (schedules.Cyclic, "first"): FACTOR,
    (schedules.Cyclic, "peak"): FACTOR,
    (schedules.Cyclic, "step_size_up"): COUNT1,
    (schedules.Cyclic, "step_size_down"): COUNT1,
    (schedules.Cyclic, "gamma"): FACTOR,
    (schedules.Exponential, "gamma"): FACTOR,
    (schedules.ExponentialDecay, "k"): FACTOR,
    (schedules.ExponentialStepSize, "T"): COUNT1,
    (schedules.ExponentialStepSize, "beta"): ABOVE1,
    (schedules.InverseSqrt, "warmup_steps"): COUNT1,
    (schedules.InverseTime, "k"): FACTOR,
    (schedules.Linear, "start_factor"): FACTOR,
    (schedules.Linear, "end_factor"): FACTOR,
    (schedules.Linear, "total_iters"): COUNT0,
    (schedules.MultiStep, "gamma"): FACTOR,
    (schedules.Polynomial, "total_iters"): COUNT0,
    (schedules.Polynomial, "power"): FACTOR,
    (schedules.Step, "step_size"): COUNT1,
    (schedules.Step, "gamma"): FACTOR,
    (schedules.Warmup, "steps"): COUNT0,
    (schedules.Warmup, "start_factor"): PART,
    (schedules.WarmupStableDecay, "warmup_steps"): COUNT0,
    (schedules.WarmupStableDecay, "stable_steps"): COUNT0,
    (schedules.WarmupStableDecay, "decay_steps"): COUNT0,
    (schedules.WarmupStableDecay, "min_factor"): PART,
    (lrs.OneCycleLR, "max_lr"): RATE,
    (lrs.OneCycleLR, "total_steps"): COUNT1,
    (lrs.OneCycleLR, "pct_start"): PART,
    (lrs.OneCycleLR, "base_momentum"): MOMENTUM,
    (lrs.OneCycleLR, "max_momentum"): MOMENTUM,
    (lrs.OneCycleLR, "div_factor"): DIVISOR,
    (lrs.OneCycleLR, "final_div_factor"): DIVISOR,
    (lrs.CyclicLR, "base_lr"): RATE,
    (lrs.CyclicLR, "max_lr"): RATE,
    (lrs.CyclicLR, "step_size_up"): COUNT1,
    (lrs.CyclicLR, "step_size_down"): COUNT1,
    (lrs.CyclicLR, "gamma"): FACTOR,
    (lrs.CyclicLR, "base_momentum"): MOMENTUM,
    (lrs.CyclicLR, "max_momentum"): MOMENTUM,
    (lrs.ReduceLROnPlateau, "factor"): REDUCTION,
    (lrs.ReduceLROnPlateau, "patience"): COUNT0,
    (lrs.ReduceLROnPlateau, "threshold"): FACTOR,
    (lrs.ReduceLROnPlateau, "cooldown"): COUNT0,
    (lrs.ReduceLROnPlateau, "min_lr"): FACTOR,
    (lrs.ReduceLROnPlateau, "eps"): FACTOR,
}
options = pytest.mark.parametrize(
    ("kind", "name"), OPTIONS, ids=lambda x: getattr(x, "__name__", x)
)


def build(kind: Any, name: str, value: Any) -> Any:
    """Return what is built, over an optimizer if it is a scheduler."""
    arguments = REQUIRED.get(kind, {}) | {name: value}
    if issubclass(kind, schedules.Schedule):
        return kind(**arguments)
    return kind(optimizer(), **arguments)


@options
def test_the_ends_of_an_options_range_are_accepted(kind: Any, name: str) -> None:
    smallest, largest, _, _ = OPTIONS[kind, name]
    for value in (smallest, largest):
        built = build(kind, name, value)
        if issubclass(kind, schedules.Schedule):
            assert getattr(built, name) == value


@options
def test_what_is_next_to_an_options_range_is_refused_by_name(
    kind: Any, name: str
) -> None:
    _, _, below, above = OPTIONS[kind, name]
    numbers = (below, above, -1, -1.0, -math.inf, math.inf, math.nan, 10**400, 2**1100)
    opt = optimizer()
    before = present(opt)
    for value in numbers:
        # A scheduler of cycles hands these on to its schedule, which names itself.
        owner = f"({kind.__name__}|Cyclic)"
        with pytest.raises((TypeError, ValueError), match=f"^{owner}: {name} must be"):
            build(kind, name, value)
    assert present(opt) == before


@options
def test_what_is_no_number_is_refused_by_name(kind: Any, name: str) -> None:
    is_count = OPTIONS[kind, name] in (COUNT0, COUNT1)
    wrong = ["3", "", b"3", [], [0.5] * 3, (), {}, 1j, object(), True, np.array([1, 2])]
    if SIGNATURES[kind][name] is not None:
        wrong.append(None)
    if is_count:
        wrong += [2.0, 1.5, Fraction(2), np.float64(2)]
    for value in wrong:
        with pytest.raises((TypeError, ValueError), match=name):
            build(kind, name, value)


@options
def test_numbers_of_any_kind_are_taken_as_pythons(kind: Any, name: str) -> None:
    is_count = OPTIONS[kind, name] in (COUNT0, COUNT1)
    x = 1 if is_count or OPTIONS[kind, name] is ABOVE1 else 0.5
    same = [np.int64(x), np.uint8(x)] if is_count else [np.float64(x), np.float32(x)]
    if not is_count:
        same.append(Fraction(x))
    expected = build(kind, name, x)
    for value in same:
        built = build(kind, name, value)
        if issubclass(kind, schedules.Schedule):
            assert built == expected
            assert type(getattr(built, name)) is (int if is_count else float)
        else:
            assert built.state_dict() == expected.state_dict()


# Sequences.

SEQUENCES: dict[str, Any] = {
    "MultiStep": schedules.MultiStep,
    "MultiStepLR": lambda x: lrs.MultiStepLR(optimizer(), x),
    "Sequential": lambda x: schedules.Sequential([STEP] * 4, x),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_milestones_are_any_sequence_of_whole_numbers(name: str) -> None:
    make, steps = SEQUENCES[name], (3, 7, 2**53 - 1)
    expected = repr(make(steps))
    for same in (list(steps), iter(steps), np.array(steps), set(steps), range(3, 6)):
        assert repr(make(same)) == expected or isinstance(same, range)
    assert "3, 7" in expected


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "milestones must be a sequence, got str"),
        ("37", "milestones must be a sequence, got str"),
        (b"", "milestones must be a sequence, got bytes"),
        ({3: 1, 7: 1}, "milestones must be a sequence, got dict"),
        (None, "milestones must be a sequence, got NoneType"),
        (5, "milestones must be a sequence, got int"),
        ([3, "7"], r"milestones\[1\] must be int, got str"),
        ([True, 3], r"milestones\[0\] must be int, got bool"),
        ([3, 7.0], r"milestones\[1\] must be int, got float"),
        ([-1, 3], r"milestones\[0\] must be in \[0, 2\*\*53\), got -1"),
        ([3, 2**53], r"milestones\[1\] must be in \[0, 2\*\*53\)"),
        ([3, 10**400], r"milestones\[1\] must be in .*, got 2\*\*1328 or more"),
        ([7, 3], "milestones must rise, got 3 after 7"),
        ([3, 3], "milestones must rise, got 3 after 3"),
        (np.array(3), "0-d array"),
    ],
)
def test_other_milestones_are_refused(name: str, bad: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        SEQUENCES[name](bad)


def test_no_milestones_are_a_constant() -> None:
    for none in ([], (), set(), np.array([], int)):
        assert schedules.MultiStep(none)(9, base=0.3) == 0.3  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", ["", b"", (), [], {}])
def test_empty_sequences_are_refused_where_one_is_needed(empty: Any) -> None:
    opt = optimizer()
    makers = [
        lambda: schedules.Chained(empty),
        lambda: schedules.Sequential(empty, []),
        lambda: lrs.ChainedScheduler(empty),
        lambda: lrs.SequentialLR(opt, empty, []),
        lambda: lrs.LRScheduler(opt, empty),
        lambda: lrs.LambdaLR(opt, empty),
        lambda: lrs.OneCycleLR(opt, empty, 9),
        lambda: lrs.CyclicLR(opt, empty, 0.3),
        lambda: lrs.ReduceLROnPlateau(opt, min_lr=empty),
        lambda: schedules.Phases(empty, [1.0, 2.0]),
        lambda: schedules.Phases([3], empty),
    ]
    before = present(opt)
    for make in makers:
        with pytest.raises((TypeError, ValueError)):
            make()
    assert present(opt) == before


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_and_tuples_are_taken_alike(kind: Any) -> None:
    opt, other = optimizer(), optimizer()

    def schedulers(o: Any, many: Any) -> list[Any]:
        parts = many([lrs.StepLR(o, 3), lrs.StepLR(o, 4)])
        return [
            lrs.OneCycleLR(o, many([0.3, 0.1]), 30, base_momentum=many([0.8, 0.7])),
            lrs.CyclicLR(o, many([0.1, 0.2]), many([0.3, 0.4]), 5),
            lrs.LambdaLR(o, many([abs, abs])),
            lrs.LRScheduler(o, many([STEP, STEP])),
            lrs.ReduceLROnPlateau(o, min_lr=many([0.1, 0.2])),
            lrs.SequentialLR(o, parts, many([5])),
            lrs.ChainedScheduler(many([lrs.StepLR(o, 3), lrs.StepLR(o, 4)])),
        ]

    for ours, theirs in zip(
        schedulers(opt, kind), schedulers(other, list), strict=True
    ):
        assert ours.state_dict() == theirs.state_dict()
    assert schedules.Phases(kind([3, 9]), kind([0.1, 0.2, 0.3])) == schedules.Phases(
        [3, 9], [0.1, 0.2, 0.3]
    )


# Words and flags.

WORDS: dict[tuple[Any, str], tuple[Any, ...]] = {
    (schedules.Cyclic, "mode"): ("triangular", "triangular2", "exp_range"),
    (schedules.Cyclic, "scale_mode"): ("cycle", "iterations"),
    (schedules.CosineAnnealing, "periodic"): (True, False),
    (schedules.WarmupStableDecay, "decay"): ("linear", "sqrt", "square", "cosine"),
    (lrs.OneCycleLR, "anneal_strategy"): ("cos", "linear"),
    (lrs.OneCycleLR, "cycle_momentum"): (True, False),
    (lrs.OneCycleLR, "three_phase"): (True, False),
    (lrs.CyclicLR, "mode"): ("triangular", "triangular2", "exp_range"),
    (lrs.CyclicLR, "cycle_momentum"): (True, False),
    (lrs.ReduceLROnPlateau, "mode"): ("min", "max"),
    (lrs.ReduceLROnPlateau, "threshold_mode"): ("rel", "abs"),
}


@pytest.mark.parametrize(
    ("kind", "name"), WORDS, ids=lambda x: getattr(x, "__name__", x)
)
def test_words_and_flags_are_these_and_no_others(kind: Any, name: str) -> None:
    for word in WORDS[kind, name]:
        build(kind, name, word)
    first = WORDS[kind, name][0]
    wrong = ["", "x", 1, 0, None, b"cos", [first], (first,), object()]
    wrong += ["True"] if isinstance(first, bool) else [first.upper(), f" {first}", True]
    for value in wrong:
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            build(kind, name, value)


# What is passed to step.


@pytest.mark.parametrize("t", [0, MOST, 0.5, Fraction(7, 2), np.float32(2.5)])
def test_steps_in_range_are_taken(t: Any) -> None:
    scheduler = lrs.ExponentialLR(optimizer(), 0.99)
    scheduler.step(t)
    assert scheduler.last_epoch == t
    assert schedules.Exponential(0.99)(t, 0.2) == scheduler.get_last_lr()[0]


@pytest.mark.parametrize(
    "t", [-1, -TINY, 2**53, math.inf, -math.inf, 10**400, -(10**400)]
)
def test_steps_out_of_range_are_refused(t: Any) -> None:
    opt = optimizer()
    scheduler = lrs.ExponentialLR(opt, 0.99)
    for refused in (scheduler.step, schedules.Exponential(0.99)):
        with pytest.raises(ValueError, match="t must be >= 0 and below 2"):
            refused(t)
    assert (present(opt)[0][0], scheduler.last_epoch) == (0.2, 0)


@pytest.mark.parametrize(
    "last_epoch", [-2, -1 - 2**-52, math.nan, math.inf, 2**53 - 1, 10**400, "1", None]
)
def test_last_epochs_out_of_range_are_refused(last_epoch: Any) -> None:
    with pytest.raises(ValueError, match="last_epoch must be an int or a fraction of"):
        lrs.StepLR(optimizer(), 3, last_epoch=last_epoch)


@pytest.mark.parametrize("bad", [-2, 2**53, 1.5, "1", None, True, 10**400])
def test_a_plateaus_last_epoch_is_a_count(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="last_epoch must be"):
        lrs.ReduceLROnPlateau(optimizer(), last_epoch=bad)
    assert lrs.ReduceLROnPlateau(optimizer(), last_epoch=6).last_epoch == 7


def test_numbers_beyond_all_floats_are_refused_or_infinite() -> None:
    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, lambda t: 10**400 if t else 1)
    with pytest.raises(ValueError, match="would be inf at step 1; nothing was set"):
        scheduler.step()
    plateau = lrs.ReduceLROnPlateau(opt, patience=0, mode="max")
    plateau.step(10**400)
    assert plateau.best == math.inf
    plateau = lrs.ReduceLROnPlateau(opt, patience=0)
    plateau.step(-(10**400))
    assert plateau.best == -math.inf


# The shortest cycles, and thresholds at their default.


def test_restarts_of_one_step_are_the_base_for_ever() -> None:
    restarts = schedules.CosineAnnealingWarmRestarts(1)
    assert restarts(range(4), base=0.3).tolist() == [0.3] * 4
    opt = optimizer()
    scheduler = lrs.CosineAnnealingWarmRestarts(opt, 1, 2)
    for expected in (0.2, 0.2, 0.1, 0.2):
        assert opt.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-15)
        scheduler.step()


def test_a_cosine_of_one_step_is_at_its_end_after_it() -> None:
    assert schedules.CosineAnnealing(1, 0.1)([0, 1, 2], base=0.3).tolist() == [
        0.3,
        0.1,
        0.1,
    ]


@pytest.mark.parametrize(("drop", "reduces"), [(0.9e-4, True), (1.1e-4, False)])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateaus_default_threshold_is_a_ten_thousandth_of_the_best(
    mode: str, drop: float, reduces: bool
) -> None:
    opt = gs.SGD(np.ones(2), lr=1.0)
    scheduler = lrs.ReduceLROnPlateau(opt, mode, patience=0)
    scheduler.step(50.0)
    scheduler.step(50.0 * (1 - drop if mode == "min" else 1 + drop))
    assert (opt.lr < 1) == reduces


def test_a_plateaus_default_eps_leaves_out_smaller_reductions() -> None:
    for lr, reduced in ((1.2e-8, True), (1.1e-8, False)):
        opt = gs.SGD(np.ones(2), lr=lr)
        scheduler = lrs.ReduceLROnPlateau(opt, patience=0)
        scheduler.step(1.0)
        scheduler.step(1.0)
        assert (opt.lr < lr) == reduced


def test_a_plateaus_default_patience_is_ten() -> None:
    opt = gs.SGD(np.ones(2), lr=1.0)
    scheduler = lrs.ReduceLROnPlateau(opt)
    rates = []
    for _ in range(24):
        scheduler.step(1.0)
        rates.append(opt.lr)
    assert rates == [1.0] * 11 + [0.1] * 11 + [pytest.approx(0.01)] * 2
