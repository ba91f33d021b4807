"""Groups that users' code changes while a step, or a load, converts their values."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from converting import Number
from gradstep import lls
from guarded import bits

Array: TypeAlias = Any
Code: TypeAlias = Callable[[], object]


class Key(str):
    """A key like another one, whose comparison runs users' code."""

    __slots__ = ("code",)
    code: Code

    def __eq__(self, other: object) -> bool:
        self.code()
        return False

    def __hash__(self) -> int:
        return hash(str(self))


def optimizer(groups: int = 3) -> Any:
    params = [{"params": np.full(4, j + 1.0)} for j in range(groups)]
    opt = gs.Adam(params, lr=0.25)
    opt.step(gradients(groups))
    return opt


def gradients(groups: int = 3) -> list[Array]:
    return [np.ones(4)] * groups


def image(opt: Any, arrays: list[Array]) -> Any:
    """Return all bytes that a refused step must leave."""
    return [a.tobytes() for a in arrays], [
        {k: bits(v) for k, v in state.items()} for state in opt.state
    ]


def without(groups: list[Any], *names: str) -> None:
    for name in names:
        groups[-1].pop(name, None)


# What the code does to param_groups: three of them, of which the last is the longest.
CHANGES: dict[str, Callable[[list[Any]], object]] = {
    "clear": lambda groups: groups.clear(),
    "pop": lambda groups: groups.pop(),
    "pop first": lambda groups: groups.pop(0),
    "append": lambda groups: groups.append(dict(groups[0])),
    "grow": lambda groups: groups.extend([{}] * 1000),
    "None": lambda groups: groups.__setitem__(slice(None), [None] * 3),
    "number": lambda groups: groups.__setitem__(2, 7),
    "lr lost": lambda groups: without(groups, "lr"),
    "all lost": lambda groups: groups[-1].clear(),
    "params lost": lambda groups: without(groups, "params"),
}
PLACES: dict[str, Any] = {
    "lr": lambda value: value,
    "betas": lambda value: (0.5, value),
    "weight_decay": lambda value: value,
}


@pytest.mark.parametrize("j", [0, 1, 2])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change", CHANGES)
def test_groups_that_a_conversion_changes_are_refused(
    change: str, place: str, j: int
) -> None:
    opt = optimizer()
    groups, kept = opt.param_groups, [dict(g) for g in opt.param_groups]
    arrays = [g["params"][0] for g in kept]
    before = image(opt, arrays)
    value = Number(0.125, lambda: CHANGES[change](groups))
    groups[j][place] = PLACES[place](value)
    with pytest.raises((ValueError, TypeError, KeyError), match="param_groups"):
        opt.step(gradients())
    assert image(opt, arrays) == before
    groups[:] = kept
    opt.step(gradients())
    assert [s["step"] for s in opt.state] == [2, 2, 2]


def test_conversions_that_change_nothing_are_accepted() -> None:
    opt, other = optimizer(), optimizer()
    opt.param_groups[1]["lr"] = Number(0.5, lambda: None)
    other.param_groups[1]["lr"] = 0.5
    for x in (opt, other):
        x.step(gradients())
    assert opt.param_groups[1]["lr"] == 0.5
    for ours, theirs in zip(opt.param_groups, other.param_groups):
        assert ours["params"][0].tobytes() == theirs["params"][0].tobytes()


@pytest.mark.parametrize("change", ["clear", "pop", "number", "all lost", "grow"])
def test_groups_that_a_comparison_of_keys_changes_are_refused(change: str) -> None:
    opt = optimizer()
    groups, kept = opt.param_groups, [dict(g) for g in opt.param_groups]
    before = image(opt, [g["params"][0] for g in kept])
    for name in ("lr", "betas", "eps"):
        key = Key(name)
        key.code = lambda: CHANGES[change](groups)
        value = groups[0].pop(name)
        groups[0][key] = value
    with pytest.raises((ValueError, TypeError, KeyError)):
        opt.step(gradients())
    assert image(opt, [g["params"][0] for g in kept]) == before


@pytest.mark.parametrize("change", ["clear", "pop", "append", "None", "number"])
def test_a_load_during_which_groups_change_changes_nothing(change: str) -> None:
    opt, other = optimizer(), optimizer()
    other.step(gradients())
    groups, kept = opt.param_groups, [dict(g) for g in opt.param_groups]
    before = image(opt, [g["params"][0] for g in kept])
    saved = other.state_dict()
    saved["param_groups"][1]["lr"] = Number(0.5, lambda: CHANGES[change](groups))
    with pytest.raises((ValueError, TypeError), match="param_groups"):
        opt.load_state_dict(saved)
    groups[:] = kept
    assert image(opt, [g["params"][0] for g in kept]) == before
    assert [g["lr"] for g in groups] == [0.25] * 3
    opt.step(gradients())


@pytest.mark.parametrize("call", ["eval_params", "eval", "check_grads", "state_dict"])
@pytest.mark.parametrize("change", ["clear", "pop", "number"])
def test_all_calls_check_groups_as_steps_do(call: str, change: str) -> None:
    params = [{"params": np.full(4, j + 1.0)} for j in range(3)]
    opt = gs.ScheduleFreeSGD(params, lr=0.25)
    opt.step(gradients())
    groups = opt.param_groups
    groups[0]["lr"] = Number(0.125, lambda: CHANGES[change](groups))
    with pytest.raises((ValueError, TypeError), match="param_groups"):
        getattr(opt, call)(*([gradients()] if call == "check_grads" else []))


@pytest.mark.parametrize("change", ["clear", "number", "append"])
def test_fit_checks_groups_as_steps_do(change: str) -> None:
    optimizers: list[Any] = []

    def make(w: Array) -> Any:
        optimizers.append(gs.SGD(w, lr=0.01))
        return optimizers[0]

    def spoil(_: Any) -> None:
        groups = optimizers[0].param_groups
        groups[0]["lr"] = Number(0.01, lambda: edit(groups))

    def edit(groups: list[Any]) -> None:
        if change == "number":
            groups[0] = 7
        else:
            CHANGES[change](groups)

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    with pytest.raises((ValueError, TypeError), match="param_groups"):
        lls.fit(X, y, optimizer=make, callback=spoil, epochs=3)
