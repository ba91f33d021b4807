"""Every number of every state, put beyond all floats: refused, with nothing changed."""

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from gradstep.checkpoint import container
from saving import make, run, same
from variants import VARIANTS

BEYOND = {"10^400": 10**400, "-10^400": -(10**400)}

adam = functools.partial(gs.Adam, lr=0.1)


def sam() -> Any:
    opt = gs.SAM(np.ones(3), adam)
    opt.first_step(np.full(3, 0.3))
    opt.second_step(np.full(3, 0.2))
    return opt


def schedule_free() -> Any:
    opt = gs.ScheduleFree({"w": np.ones(3)}, adam)
    opt.step({"w": np.ones(3)})
    return opt


def trainer() -> Any:
    made = lls.Trainer(4, optimizer=adam, batch_size=10, average=True, intercept=True)
    made.partial_fit(np.ones((35, 4)), np.ones(35))
    return made


def stepped(variant: str, storage: str) -> Any:
    params, opt, scheduler = make(variant, storage)
    run(params, opt, scheduler, 0, 2)
    return opt


OBJECTS: dict[str, Callable[[], Any]] = {
    "SAM": sam,
    "ScheduleFree": schedule_free,
    "Trainer": trainer,
} | {
    f"{variant} {storage}": functools.partial(stepped, variant, storage)
    for variant in VARIANTS
    for storage in ("f64", "uint8")
}


def places(x: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each leaf that is no array."""
    if isinstance(x, (dict, list, tuple)):
        for key in x if isinstance(x, dict) else range(len(x)):
            yield from places(x[key], (*at, key))
    elif not isinstance(x, np.ndarray):
        yield at


def changed(x: Any, at: tuple[Any, ...], value: Any) -> Any:
    """Return a tree with another value at one place."""
    if not at:
        return value
    key, *rest = at
    if isinstance(x, dict):
        return {**x, key: changed(x[key], tuple(rest), value)}
    parts = list(x)
    parts[key] = changed(parts[key], tuple(rest), value)
    return type(x)(parts)


@pytest.mark.parametrize("name", OBJECTS)
def test_ints_beyond_all_floats_are_refused_in_every_place(
    name: str, tmp_path: Path
) -> None:
    path, again = str(tmp_path / "run"), OBJECTS[name]()
    gs.save(path, again)
    (saved,) = container.read(path)
    before = again.state_dict()
    leaves = [at for at in places(saved["state"]) if at[-1] != "initial_lr"]
    assert len(leaves) > 3
    for at, value in itertools.product(leaves, BEYOND.values()):
        state = changed(saved["state"], at, value)
        with pytest.raises((ValueError, TypeError, KeyError)):
            again.load_state_dict(state)
    container.write(path, [saved | {"state": state}])
    with pytest.raises((ValueError, TypeError, KeyError)):
        gs.load(path, again)
    assert same(again.state_dict(), before)


def test_the_message_names_place_and_value() -> None:
    opt = gs.ScheduleFreeAdamW(np.ones(3))
    opt.step(np.ones(3))
    state = opt.state_dict()
    state["state"][0]["weight_sum"] = 10**400
    words = r"state\[0\]\['weight_sum'\] must be finite, got 2\*\*1328 or more"
    with pytest.raises(ValueError, match=words):
        opt.load_state_dict(state)


@pytest.mark.parametrize("value", BEYOND.values(), ids=BEYOND)
def test_functional_states_are_refused_as_well(value: int) -> None:
    w = np.ones(3)
    state = gs.functional.init("ScheduleFreeAdamW", w)
    for name in [k for k, v in state.items() if not isinstance(v, np.ndarray)]:
        with pytest.raises(ValueError, match=rf"state\['{name}'\] must be finite"):
            gs.functional.step(
                "ScheduleFreeAdamW", w, w.copy(), state | {name: value}, 1
            )
    with pytest.raises(ValueError, match=r"functional.step: t must be in"):
        gs.functional.step("ScheduleFreeAdamW", w, w.copy(), state, value)
    assert w.tolist() == [1, 1, 1]
