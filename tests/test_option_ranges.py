"""Every option of every optimizer: the ends of its range, and what is next to them."""

import inspect
import math
import re
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradstep as gs
from gradstep import functional, storage


class Range(NamedTuple):
    """The smallest and the largest number that is valid, and those next to them."""

    smallest: float
    largest: float
    below: float
    above: float


TINY, LARGEST = 5e-324, 1.7976931348623157e308
NEXT_TO_1 = 1 - 2.0**-53
NONNEGATIVE = Range(0.0, LARGEST, -TINY, math.inf)
BELOW_1 = Range(0.0, NEXT_TO_1, -TINY, 1.0)
AVERAGED = Range(0.01, NEXT_TO_1, math.nextafter(0.01, 0), 1.0)
POWER = Range(0.0, 8.0, -TINY, math.nextafter(8, 9))
WEIGHT = Range(0.0, 32.0, -TINY, math.nextafter(32, 33))
ANY = Range(-LARGEST, LARGEST, -math.inf, math.inf)
COUNT = Range(0, 2**53 - 1, -1, 2**53)

# By option, and by class and option where that is another one.
RANGES: dict[Any, Range] = {
    **dict.fromkeys(("lr", "eps", "weight_decay", "eps_root", "eps_acc"), NONNEGATIVE),
    **dict.fromkeys(("eps_out", "lr_decay", "momentum_decay", "rho"), NONNEGATIVE),
    **dict.fromkeys(("initial_accumulator_value", "max_grad_norm"), NONNEGATIVE),
    **dict.fromkeys(("restart_radius", "trust_coefficient"), NONNEGATIVE),
    **dict.fromkeys(("weight_decay_at_y",), NONNEGATIVE),
    **dict.fromkeys(("momentum", "alpha", "inner_momentum"), BELOW_1),
    "dampening": ANY,
    "r": WEIGHT,
    "weight_lr_power": POWER,
    **dict.fromkeys(("warmup_steps", "seed"), COUNT),
    ("SGD", "momentum"): NONNEGATIVE,
    ("RMSprop", "momentum"): NONNEGATIVE,
    ("Adadelta", "rho"): BELOW_1,
    ("Adai", "eps"): Range(1e-7, NEXT_TO_1, math.nextafter(1e-7, 0), 1.0),
    ("ScheduleFreeSGD", "momentum"): AVERAGED,
}
# Entries of pairs and triples, each with its place.
PARTS: dict[tuple[str, str], list[tuple[str, Range]]] = {
    ("Adan", "betas"): [("beta1", BELOW_1), ("beta2", BELOW_1), ("beta3", BELOW_1)],
    ("Adai", "betas"): [("beta0", BELOW_1), ("beta2", BELOW_1)],
    ("ScheduleFreeAdamW", "betas"): [("beta1", AVERAGED), ("beta2", BELOW_1)],
    ("ScheduleFreeRAdam", "betas"): [("beta1", AVERAGED), ("beta2", BELOW_1)],
    # A factor below 1 and one above it; least and most.
    ("Rprop", "etas"): [
        ("etas|eta_minus", BELOW_1),
        ("etas|eta_plus", Range(math.nextafter(1, 2), LARGEST, 1.0, math.inf)),
    ],
    ("Rprop", "step_sizes"): [
        ("step_sizes|step_min", Range(0.0, 50.0, -TINY, math.nextafter(50, 51))),
        (
            "step_sizes|step_max",
            Range(1e-6, LARGEST, math.nextafter(1e-6, 0), math.inf),
        ),
    ],
}
TWO_BETAS = [("beta1", BELOW_1), ("beta2", BELOW_1)]
WRAPPERS = {"SAM": gs.SAM, "ScheduleFree": gs.ScheduleFree}
CLASSES = gs.OPTIMIZERS | WRAPPERS


def is_number(kind: Any, name: str) -> bool:
    default = inspect.signature(kind).parameters[name].default
    return type(default) in (int, float) and name != "partial"  # one of three


NUMBERS = [
    (cls, name)
    for cls, kind in CLASSES.items()
    for name in kind.options
    if is_number(kind, name)
]
TUPLES = [
    (cls, name, k)
    for cls, kind in CLASSES.items()
    for name, option in kind.options.items()
    if isinstance(option.default, tuple)
    for k in range(len(option.default))
]
numbers = pytest.mark.parametrize(("cls", "name"), NUMBERS)
tuples = pytest.mark.parametrize(("cls", "name", "k"), TUPLES)
# Values that no option of these kinds has.
OUTSIDE = (-math.inf, math.inf, math.nan, -(10**400), 10**400, 2**1100)


def range_of(cls: str, name: str) -> Range:
    limits: Range = RANGES.get((cls, name)) or RANGES[name]
    return limits


def build(cls: str, dtype: str = "f8", **options: Any) -> Any:
    base = {"base": gs.SGD} if cls in WRAPPERS else {}
    return CLASSES[cls](np.ones(3, dtype), **base, **options)


def with_part(cls: str, name: str, k: int, value: Any) -> tuple[Any, ...]:
    default = CLASSES[cls].options[name].default
    return (*default[:k], value, *default[k + 1 :])


def part(cls: str, name: str, k: int) -> tuple[str, Range]:
    return PARTS.get((cls, name), TWO_BETAS)[k]


@numbers
def test_the_ends_of_an_options_range_are_accepted(cls: str, name: str) -> None:
    smallest, largest = range_of(cls, name)[:2]
    kind = int if range_of(cls, name) is COUNT else float
    for value in (smallest, largest):
        if cls in WRAPPERS and name == "seed" and value:
            with pytest.raises(ValueError, match="pass seed to the base instead"):
                build(cls, seed=value)
            continue
        option = getattr(build(cls, **{name: value}), name)
        assert (option, type(option)) == (value, kind)
        if name == "seed" and cls not in WRAPPERS:
            assert build(cls, "f4", seed=value, state_dtype="uint8").seed == value


@tuples
def test_the_ends_of_an_entrys_range_are_accepted(cls: str, name: str, k: int) -> None:
    _, limits = part(cls, name, k)
    for value in limits[:2]:
        entries = with_part(cls, name, k, value)
        assert getattr(build(cls, **{name: entries}), name) == entries
        assert getattr(build(cls, **{name: list(entries)}), name) == entries


@numbers
def test_what_is_next_to_an_options_range_is_refused_by_name(
    cls: str, name: str
) -> None:
    limits = range_of(cls, name)
    below = [-1, -1.0, -5e-324] if limits is not ANY else []
    above = [2**53] if limits.above <= 2**53 else []
    for value in (limits.below, limits.above, *below, *above, *OUTSIDE):
        with pytest.raises((TypeError, ValueError), match=f"^{cls}: {name} must be "):
            build(cls, **{name: value})
        if cls in gs.OPTIMIZERS:
            with pytest.raises((TypeError, ValueError), match=f"^{cls}: {name} must"):
                functional.init(cls, np.ones(3), **{name: value})


@tuples
def test_what_is_next_to_an_entrys_range_is_refused_by_name(
    cls: str, name: str, k: int
) -> None:
    words, limits = part(cls, name, k)
    for value in (limits.below, limits.above, -1, -1.0, *OUTSIDE):
        with pytest.raises(ValueError, match=f"^{cls}: ({words}) must be "):
            build(cls, **{name: with_part(cls, name, k, value)})


@numbers
def test_what_is_no_number_is_refused_by_name(cls: str, name: str) -> None:
    wrong = ["3", "", b"3", None, [], [0.5], (), {}, 1j, object(), True, np.ones(1)]
    wrong += [1.5, 2.0, Fraction(2), np.float64(2)] * (range_of(cls, name) is COUNT)
    for value in wrong:
        with pytest.raises(TypeError, match=f"^{cls}: {name} must be "):
            build(cls, **{name: value})


@tuples
def test_what_is_no_tuple_of_numbers_is_refused_by_name(
    cls: str, name: str, k: int
) -> None:
    default = CLASSES[cls].options[name].default
    wrong = [0.5, None, "", "ab", b"ab", (), [], default[:1], (*default, 0.5), {}]
    wrong += [set(default), np.array(default), iter(default), dict.fromkeys(default)]
    for value in wrong:
        with pytest.raises(TypeError, match=f"^{cls}: {name} must be a tuple "):
            build(cls, **{name: value})
    for value in ("0.5", None, True, 1j, [0.5]):
        with pytest.raises(TypeError, match=f"^{cls}: .* must be a real number, got "):
            build(cls, **{name: with_part(cls, name, k, value)})


@numbers
def test_numbers_of_any_kind_are_taken_as_pythons(cls: str, name: str) -> None:
    limits = range_of(cls, name)
    is_count = limits is COUNT
    same: list[Any] = [np.int64(0), np.uint8(0)]
    if not is_count:
        same = [np.float64(0.25), np.float32(0.25), np.float16(0.25), Fraction(1, 4)]
    for value in same:
        option = getattr(build(cls, **{name: value}), name)
        assert (option, type(option)) == (value, int if is_count else float)


CHOICES = [
    (cls, name)
    for cls, kind in CLASSES.items()
    for name in kind.options
    if (cls, name) not in NUMBERS and (cls, name, 0) not in TUPLES
]
WORDS: dict[Any, list[Any]] = {
    "form": ["buffer", "velocity"],
    "eps_placement": ["outside", "inside"],
    "decay_at": ["y", "z"],
    "norm": ["parts", "sum"],
    "variant": ["irprop-", "rprop-", "rprop+"],
    "partial": [0.5, 0.25, 0.125],
    "rounding": ["nearest", "stochastic"],
    "master": [None, "float32", "split"],
    "state_dtype": [None, "bfloat16", "uint8"],
    ("Adam", "like"): ["torch", "optax"],
    ("AdamW", "like"): ["torch", "optax"],
    ("NAdam", "like"): ["torch", "paper", "optax"],
    ("RAdam", "like"): ["torch", "paper", "official", "optax"],
    ("ScheduleFreeAdamW", "like"): ["official", "first"],
    "like": ["official", "paper"],
}


@pytest.mark.parametrize(("cls", "name"), CHOICES)
def test_an_option_of_several_values_has_these_and_no_others(
    cls: str, name: str
) -> None:
    flags = [False, True]
    values = WORDS.get((cls, name), WORDS.get(name, flags))
    check = CLASSES[cls].options[name].check
    for value in values:
        assert check(cls, name, value) is value or check(cls, name, value) == value
    others = ["", "torch ", "Official", b"y", 0, 1, 2, [], (), {}, math.nan, object()]
    others += [np.array([1, 2]), list(values), tuple(values)]
    others += [None] * (None not in values)
    others += [True, False] * (values is not flags)
    for value in others:
        with pytest.raises(ValueError, match=f"^{cls}: {name} must be one of "):
            build(cls, **{name: value})


STARTS = {"Adagrad": "sum", "RMSprop": "v", "Rprop": "step_size"}
FLOAT32, BFLOAT16 = (2 - 2.0**-23) * 2.0**127, (2 - 2.0**-7) * 2.0**127


@pytest.mark.parametrize("cls", STARTS)
@pytest.mark.parametrize(
    ("state_dtype", "largest"),
    [(None, FLOAT32), ("bfloat16", BFLOAT16), ("uint8", BFLOAT16)],
)
def test_states_begin_at_what_they_can_hold(
    cls: str, state_dtype: str | None, largest: float
) -> None:
    """They would be infinite from the first step on, and steps 0 or without end."""
    name = "lr" if cls == "Rprop" else "initial_accumulator_value"
    more = math.nextafter(largest, math.inf)
    limit = re.escape(f"{name} must be at most {largest!r} for a parameter of ")
    words = f"^{cls}: {limit}float32"
    small = {name: 0.5, "state_dtype": state_dtype}
    opt = build(cls, "f4", **small | {name: largest})
    for k in STARTS[cls], STARTS[cls] + "_scale":
        a = opt.state[0].get(k, np.ones(1, np.float32))
        a = gs.from_bfloat16(a) if a.dtype == gs.bfloat16 else a
        assert np.isfinite(a).all()
        assert (a != 0).all()
    with pytest.raises(ValueError, match=words):
        build(cls, "f4", **small | {name: more})
    before = repr(opt.state_dict())
    with pytest.raises(ValueError, match=words):
        opt.add_param_group({"params": np.ones(2, np.float32), name: more})
    saved = opt.state_dict()
    saved["param_groups"][0][name] = more
    with pytest.raises(ValueError, match=words):
        opt.load_state_dict(saved)
    assert repr(opt.state_dict()) == before
    setattr(opt, name, more)
    with pytest.raises(ValueError, match=words):
        opt.step(np.ones(3, np.float32))
    if state_dtype is None:
        with pytest.raises(ValueError, match=words):
            functional.init(cls, np.ones(3, np.float32), **{name: more})
        for dtype in (np.float16, gs.bfloat16):
            with pytest.raises(ValueError, match=limit):
                CLASSES[cls](np.zeros(3, dtype), **{name: more})
        wide = build(cls, "f8", **{name: more})
        assert (wide.state[0][STARTS[cls]] == more).all()


@pytest.mark.parametrize("cls", STARTS)
@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "uint8"])
def test_states_begin_where_options_say_at_the_first_step(
    cls: str, state_dtype: str | None
) -> None:
    """Whether they said so at once, or were changed up to then."""
    name = "lr" if cls == "Rprop" else "initial_accumulator_value"
    for first, last in ((0.5, 0.25), (0.5, 0.0), (0.0, 0.5)):
        results = []
        for values in ((last,), (first, last), (last, first, last)):
            w = np.ones(3, np.float32)
            kind = CLASSES[cls]
            opt = kind(w, **{name: values[0]}, state_dtype=state_dtype)
            for value in values[1:]:
                opt.param_groups[0][name] = value
                opt.state_dict()  # which takes it over
            begun = repr(opt.state_dict())
            opt.step(np.array([1.0, -2.0, 3.0], np.float32))
            results.append((begun, w.tobytes(), repr(opt.state_dict())))
        assert results[0] == results[1] == results[2]


def test_storage_options_are_of_these_names() -> None:
    assert storage.OPTIONS == ("master", "rounding", "state_dtype", "seed")
