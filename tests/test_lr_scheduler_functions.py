"""The caller's functions in a scheduler's state: compared by values, or restored."""

import functools
import json
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from scheduling import optimizer, present

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


def decay(t: float, rate: float = 0.9, *, power: float = 1.0) -> float:
    return rate ** (power * t)


def with_rate(rate: float) -> Callable[[float], float]:
    return lambda t: rate**t


def with_default(rate: float) -> Callable[[float], float]:
    return lambda t, r=rate: r**t


def nested(fn: Any, depth: int) -> Callable[[float], float]:
    return functools.partial(nested(fn, depth - 1) if depth else fn)


class Decay:
    def __init__(self, rate: float, calls: int = 0) -> None:
        self.rate, self.calls = rate, calls

    def __call__(self, t: float) -> float:
        return self.rate**t

    def method(self, t: float) -> float:
        return self.rate**t


@dataclass(frozen=True)
class Frozen:
    rate: float
    table: list[float] = field(default_factory=list)

    def __call__(self, t: float) -> float:
        return self.rate**t


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, t: float) -> float:
        return self.rate**t


STEP = schedules.Step(3)
Fn = Callable[[float], float]
Use = Callable[[Any, Fn], Any]

# Wherever a scheduler takes a function.
USES: dict[str, Use] = {
    "LambdaLR": lrs.LambdaLR,
    "LambdaLR of each": lambda o, fn: lrs.LambdaLR(o, [abs, fn]),
    "MultiplicativeLR": lrs.MultiplicativeLR,
    "CyclicLR": lambda o, fn: lrs.CyclicLR(o, 0.1, 0.2, scale_fn=fn),
    "SequentialLR": lambda o, fn: lrs.SequentialLR(
        o, [lrs.StepLR(o, 3), lrs.LambdaLR(o, fn)], [5]
    ),
    "LRScheduler": lambda o, fn: lrs.LRScheduler(
        o, schedules.Warmup(schedules.Lambda(fn), 3), hyperparameter="momentum"
    ),
}
uses = pytest.mark.parametrize("use", USES)

# Of another value each time; which one is saved, and which loads into it.
DIFFERENT: dict[str, Callable[[float], Fn]] = {
    "partial keyword": lambda x: functools.partial(decay, rate=x),
    "partial argument": lambda x: functools.partial(pow, x),
    "partial of a partial": lambda x: functools.partial(
        functools.partial(decay, rate=x), power=2.0
    ),
    "partial with a list": lambda x: functools.partial(np.interp, xp=[0, 9], fp=[1, x]),
    "partial with an array": lambda x: functools.partial(
        np.interp, xp=[0, 9], fp=np.array([1, x])
    ),
    "partial of a method": lambda x: functools.partial([1.0, x].__getitem__),
    "captured": with_rate,
    "default": with_default,
    "method of a list": lambda x: [1.0, x, 0.3, 0.1].__getitem__,
    "method of a dict": lambda x: {0: 1.0, 1: x}.__getitem__,
    "deep": lambda x: nested(functools.partial(decay, rate=x), 30),
}


@uses
@pytest.mark.parametrize("kind", DIFFERENT)
def test_functions_with_other_values_are_refused(kind: str, use: str) -> None:
    make = DIFFERENT[kind]
    opt = optimizer()
    scheduler = USES[use](opt, make(0.5))
    before = present(opt), scheduler.state_dict()
    scheduler.load_state_dict(USES[use](optimizer(), make(0.5)).state_dict())
    other = USES[use](optimizer(), make(0.75)).state_dict()
    for state in (other, json.loads(json.dumps(other))):
        with pytest.raises(ValueError, match=r"whose schedules\[\d\]\.arg.* 0\.75, of"):
            scheduler.load_state_dict(state)
    assert (present(opt), scheduler.state_dict()) == before


@uses
def test_long_tables_are_compared_by_a_digest(use: str) -> None:
    """An entry of a thousand that differs is found, and states stay short."""
    tables = [np.linspace(1, 0.5, 1000), np.linspace(1, 0.5, 1000)]
    tables[1][777] += 1e-9
    for one, other in (tables, [t.tolist() for t in tables]):
        state = USES[use](optimizer(), one.__getitem__).state_dict()
        assert len(json.dumps(state)) < 3000
        USES[use](optimizer(), one.__getitem__).load_state_dict(state)
        with pytest.raises(ValueError, match="sha256"):
            USES[use](optimizer(), other.__getitem__).load_state_dict(state)


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_functions_are_compared_however_deep_in_combinations(depth: int) -> None:
    def combined(rate: float) -> Any:
        schedule: Any = schedules.Lambda(functools.partial(decay, rate=rate))
        for _ in range(depth):
            schedule = schedules.Sequential([schedules.Warmup(schedule, 2), STEP], [9])
        return lrs.LRScheduler(optimizer(), schedule)

    scheduler = combined(0.5)
    scheduler.load_state_dict(combined(0.5).state_dict())
    with pytest.raises(
        ValueError, match=r"keywords\.rate is 0\.75, of this one it is 0"
    ):
        scheduler.load_state_dict(combined(0.75).state_dict())


OBJECTS: dict[str, Callable[[float], Any]] = {
    "object": Decay,
    "frozen": Frozen,
    "slotted": Slotted,
    "dataclass with a list": lambda x: Frozen(x, [x, 2 * x]),
}


@uses
@pytest.mark.parametrize("kind", OBJECTS)
def test_attributes_of_callable_objects_are_restored(kind: str, use: str) -> None:
    """As torch does; the caller's object then is the one that was saved."""
    make = OBJECTS[kind]
    saved_fn, fn = make(0.5), make(0.75)
    straight, resumed = optimizer(), optimizer()
    scheduler, again = USES[use](straight, saved_fn), USES[use](resumed, fn)
    state = json.loads(json.dumps(scheduler.state_dict()))
    again.load_state_dict(state)
    assert fn.rate == 0.5
    assert getattr(fn, "table", []) == getattr(saved_fn, "table", [])
    for _ in range(9):
        scheduler.step()
        again.step()
        assert present(straight) == present(resumed)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: functools.partial(x, 1),
        lambda x: functools.partial(operator.call, x),
        lambda x: x.method,
    ],
)
def test_attributes_are_restored_within_partials_and_methods(wrap: Any) -> None:
    saved_fn, fn = Decay(0.5), Decay(0.75)
    state = lrs.LRScheduler(optimizer(), _Shown(wrap(saved_fn))).state_dict()
    lrs.LRScheduler(optimizer(), _Shown(wrap(fn))).load_state_dict(state)
    assert fn.rate == 0.5


class _Shown(schedules.Schedule):
    """A schedule that keeps a function and does not call it."""

    fn: Any

    def value(self, t: float, base: float) -> float:
        return base / (1 + t)


def test_a_state_has_copies_of_attributes() -> None:
    fn = Frozen(0.5, [1.0])
    scheduler = lrs.LambdaLR(optimizer(), fn)
    state = scheduler.state_dict()
    fn.table.append(2.0)
    again = Frozen(0.5, [7.0, 8.0])
    lrs.LambdaLR(optimizer(), again).load_state_dict(state)
    assert again.table == [1.0]
    again.table.append(3.0)
    assert [values["table"] for values in state["attributes"]] == [[1.0], [1.0]]


def test_a_stateful_object_goes_on(tmp_path: Path) -> None:
    """Its counter is an attribute; what it was built with is not compared."""

    class Counting(Decay):
        def __call__(self, t: float) -> float:
            self.calls += 1
            return self.rate**self.calls + 0 * t

    opt, other = optimizer(), optimizer()
    scheduler, again = (lrs.LambdaLR(o, [Counting(0.5), abs]) for o in (opt, other))
    for _ in range(4):
        scheduler.step()
    gs.save(tmp_path / "run", scheduler)
    gs.load(tmp_path / "run", again)
    scheduler.step()
    again.step()
    assert present(opt) == present(other)


def test_an_object_that_no_file_could_hold_is_left_alone(tmp_path: Path) -> None:
    """Half of its attributes would make another object."""
    fn, other = Decay(0.5), Decay(0.75)
    fn.model = other.model = object()  # type: ignore[attr-defined]
    scheduler = lrs.LambdaLR(optimizer(), fn)
    gs.save(tmp_path / "run", scheduler)
    gs.load(tmp_path / "run", lrs.LambdaLR(optimizer(), other))
    assert other.rate == 0.75


def moved(rate: float) -> tuple[Fn, Fn]:
    def decay(t: float) -> float:
        return rate**t

    return lambda t: rate**t, decay


def test_scopes_are_not_compared() -> None:
    """A lambda or function that moved into a function, or out of one."""
    pairs: list[tuple[Fn, Fn]] = [
        (lambda t: 0.9**t, moved(0.9)[0]),
        (decay, moved(0.9)[1]),
        (
            Decay(0.9),
            type("Decay", (Decay,), {"__qualname__": "f.<locals>.Decay"})(0.9),
        ),
    ]
    for here, there in pairs:
        for one, other in ((here, there), (there, here)):
            state = lrs.LambdaLR(optimizer(), one).state_dict()
            lrs.LambdaLR(optimizer(), other).load_state_dict(state)


@pytest.mark.parametrize(
    ("saved", "ours"),
    [
        (decay, lambda t: 0.9**t),
        (decay, functools.partial(decay)),
        (functools.partial(decay, rate=0.5), functools.partial(decay, power=0.5)),
        (functools.partial(decay), functools.partial(with_rate)),
        (math.exp, math.cos),
        (abs, math.exp),
        (np.exp, np.cos),
        (Decay(0.5), Frozen(0.5)),
        (Decay(0.5), Decay(0.5).method),
        ([1.0, 0.5].__getitem__, (1.0, 0.5, 0.2).__getitem__),
        (functools.lru_cache(decay), functools.lru_cache(math.exp)),
    ],
)
def test_another_function_is_refused(saved: Any, ours: Any) -> None:
    for one, other in ((saved, ours), (ours, saved)):
        state = lrs.LRScheduler(optimizer(), _Shown(one)).state_dict()
        with pytest.raises(ValueError, match="saved by another scheduler, whose"):
            lrs.LRScheduler(optimizer(), _Shown(other)).load_state_dict(state)


@pytest.mark.parametrize(
    "fn",
    [
        functools.lru_cache(decay),
        functools.wraps(decay)(lambda t: 0.5**t),
        np.exp,
        math.exp,
        Decay.method.__get__(Decay(0.5)),
        np.poly1d([0.5, 0.1]),
        int.from_bytes,
        dict.fromkeys,
        np.vectorize(math.exp),
        print,
    ],
)
def test_any_function_loads_into_its_like(fn: Any, tmp_path: Path) -> None:
    scheduler = lrs.LRScheduler(optimizer(), _Shown(fn))
    gs.save(tmp_path / "run", scheduler)
    gs.load(tmp_path / "run", lrs.LRScheduler(optimizer(), _Shown(fn)))


def test_a_captured_counter_is_compared_as_it_was_at_first() -> None:
    """A closure that counts would else refuse its own states."""

    def counting() -> Fn:
        calls = 0

        def fn(t: float) -> float:
            nonlocal calls
            calls += 1
            return 0.9**t

        return fn

    scheduler = lrs.LambdaLR(optimizer(), counting())
    for _ in range(3):
        scheduler.step()
    lrs.LambdaLR(optimizer(), counting()).load_state_dict(scheduler.state_dict())


def test_functions_that_refer_to_themselves_are_described() -> None:
    def again(t: float) -> float:
        return 1.0 if t < 1 else 0.5 * again(t - 1)

    knot, table = functools.partial(decay), [0.5]
    knot.keywords["rate"] = knot
    knot.keywords["power"] = [knot, knot]
    table.extend([table, table])  # type: ignore[list-item]
    for fn in (again, knot, functools.partial(decay, table)):
        state = lrs.LRScheduler(optimizer(), _Shown(fn)).state_dict()
        lrs.LRScheduler(optimizer(), _Shown(fn)).load_state_dict(state)


@pytest.mark.parametrize(
    ("attributes", "error", "words"),
    [
        (3, TypeError, "attributes must be a sequence, got int"),
        ([], ValueError, "attributes are of 0 callable objects, expected 2"),
        ([{"rate": 0.5}, 3], TypeError, r"attributes\[1\] must be a mapping, got int"),
        ([None] * 3, ValueError, "attributes are of 3 callable objects"),
    ],
)
def test_bad_attributes_change_nothing(
    attributes: Any, error: type[Exception], words: str
) -> None:
    opt, fn = optimizer(), Decay(0.75)
    scheduler = lrs.LambdaLR(opt, fn)
    before = present(opt)
    with pytest.raises(error, match=words):
        scheduler.load_state_dict(scheduler.state_dict() | {"attributes": attributes})
    assert (fn.rate, present(opt)) == (0.75, before)


def test_attributes_are_put_back_if_the_rest_of_a_state_does_not_fit() -> None:
    fn = Decay(0.75)
    scheduler = lrs.MultiplicativeLR(optimizer(), fn)
    other = Decay(0.5)
    other.name = "x"  # type: ignore[attr-defined]
    bad = lrs.MultiplicativeLR(optimizer(), other).state_dict() | {"last_epoch": 3}
    bad["attributes"] = [x | {"rate": "0.5"} for x in bad["attributes"]]
    with pytest.raises(TypeError):  # in the function itself
        scheduler.load_state_dict(bad)
    assert vars(fn) == {"rate": 0.75, "calls": 0}


@pytest.mark.parametrize("schedule", ["lambda", 3, [3], [{}], [{"schedule": "Step"}]])
def test_a_description_of_another_form_is_refused(schedule: Any) -> None:
    scheduler = lrs.StepLR(optimizer(), 3)
    with pytest.raises(ValueError, match="saved by another scheduler"):
        scheduler.load_state_dict(scheduler.state_dict() | {"schedules": schedule})
