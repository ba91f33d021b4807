"""Averages of arrays are saved, copied and loaded in either mode, bit for bit."""

import copy
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from saving import same

Array = Any
MODES = ("train", "eval")
BEGUN, LATER = range(7), range(7, 10)

RULES: dict[str, tuple[Any, Any]] = {
    "sgd": (np.float64, functools.partial(gs.ScheduleFreeSGD, lr=0.1, momentum=0.8)),
    "adamw": (np.float32, functools.partial(gs.ScheduleFreeAdamW, lr=0.1)),
    "radam": (np.float32, functools.partial(gs.ScheduleFreeRAdam, lr=0.1)),
    "bfloat16": (gs.bfloat16, functools.partial(gs.ScheduleFreeAdamW, lr=0.1)),
    "master": (
        np.float16,
        functools.partial(
            gs.ScheduleFreeSGD, lr=0.1, master="float32", state_dtype="bfloat16"
        ),
    ),
    "around": (
        np.float32,
        functools.partial(gs.ScheduleFree, base=functools.partial(gs.RMSprop, lr=0.1)),
    ),
}


def start(rule: str, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"w": (5, 7), "b": (3,), "still": (2,)}
    numbers = {k: rng.standard_normal(s) for k, s in shapes.items()}
    if rule == "bfloat16":
        return {k: gs.to_bfloat16(x) for k, x in numbers.items()}
    return {k: x.astype(RULES[rule][0]) for k, x in numbers.items()}


def train(params: dict[str, Array], opt: Any, steps: range) -> None:
    opt.train()
    for t in steps:
        rng = np.random.default_rng(t)
        # Gradients of any parameter may be float32; "still" never has one.
        kind = np.float64 if params["w"].dtype == np.float64 else np.float32
        grads: dict[str, Any] = {"still": None}
        grads["w"] = rng.standard_normal((5, 7)).astype(kind)
        grads["b"] = rng.standard_normal(3).astype(kind)
        opt.step(grads)


def image(params: dict[str, Array]) -> list[bytes]:
    return [p.tobytes() for p in params.values()]


def by_state_dict(rule: str, params: Any, opt: Any, path: Path) -> tuple[Any, Any]:
    """Into an optimizer that has gone elsewhere, and is evaluated."""
    del path
    others = start(rule, seed=1)
    resumed = RULES[rule][1](others)
    train(others, resumed, range(20, 22))
    resumed.eval()
    resumed.load_state_dict(opt.state_dict())
    for key, p in params.items():
        np.copyto(others[key], p)
    return others, resumed


def by_pickle(rule: str, params: Any, opt: Any, path: Path) -> tuple[Any, Any]:
    del rule, path
    found: tuple[Any, Any] = pickle.loads(pickle.dumps((params, opt)))
    return found


def by_deepcopy(rule: str, params: Any, opt: Any, path: Path) -> tuple[Any, Any]:
    del rule, path
    found: tuple[Any, Any] = copy.deepcopy((params, opt))
    return found


def by_file(rule: str, params: Any, opt: Any, path: Path) -> tuple[Any, Any]:
    del params
    gs.save(path / "run.safetensors", opt)
    others = start(rule, seed=1)
    resumed = RULES[rule][1](others)
    gs.load(path / "run.safetensors", resumed)
    return others, resumed


@pytest.mark.parametrize("way", [by_state_dict, by_pickle, by_deepcopy, by_file])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", RULES)
def test_a_run_goes_on_from_either_mode(
    rule: str, mode: str, way: Callable[..., Any], tmp_path: Path
) -> None:
    params = start(rule)
    opt = RULES[rule][1](params)
    train(params, opt, BEGUN)
    trained = image(params)
    opt.eval()
    average = image(params)
    assert trained[0] != average[0]
    getattr(opt, mode)()
    others, resumed = way(rule, params, opt, tmp_path)
    assert resumed.training == (mode == "train")
    resumed.eval()
    assert image(others) == average
    resumed.train()
    assert image(others) == trained
    for p, o in ((params, opt), (others, resumed)):
        train(p, o, LATER)
    assert image(params) == image(others)
    assert same(opt.state_dict()["state"], resumed.state_dict()["state"])


def evaluated(rule: str) -> tuple[Any, dict[str, Any]]:
    params = start(rule)
    opt = RULES[rule][1](params)
    train(params, opt, BEGUN)
    opt.eval()
    return opt, opt.state_dict()


def lacks_y(saved: Any) -> None:
    del saved["state"][1]["y"]


def short_y(saved: Any) -> None:
    saved["state"][0]["y"] = saved["state"][0]["y"][:4]


def other_dtype(saved: Any) -> None:
    saved["state"][0]["y"] = saved["state"][0]["y"].astype(np.int8)


def no_array(saved: Any) -> None:
    saved["state"][0]["y"] = None


def no_bool(saved: Any) -> None:
    saved["param_groups"][0]["train_mode"] = 1


def y_in_training(saved: Any) -> None:
    saved["param_groups"][0]["train_mode"] = True


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (lacks_y, KeyError, r"state\[1\] lacks 'y', where the parameter is trained"),
        (short_y, ValueError, r"state\[0\]\['y'\] has shape \(4, 7\)"),
        (other_dtype, TypeError, r"state\[0\]\['y'\] has dtype int8"),
        (no_array, TypeError, r"state\[0\]\['y'\] must be a numpy.ndarray"),
        (no_bool, TypeError, r"\['train_mode'\] must be bool, got int"),
        (y_in_training, KeyError, r"state\[0\] holds .*'y'"),
    ],
)
@pytest.mark.parametrize("rule", ["sgd", "around"])
def test_a_state_that_does_not_fit_changes_nothing(
    rule: str, spoil: Callable[[Any], None], kind: Any, words: str
) -> None:
    saved = evaluated(rule)[1]
    spoil(saved)
    params = start(rule, seed=1)
    opt = RULES[rule][1](params)
    train(params, opt, range(20, 23))
    before = image(params), opt.state_dict()
    with pytest.raises(kind, match=rf"load_state_dict: .*{words}"):
        opt.load_state_dict(saved)
    assert opt.training
    assert same((image(params), opt.state_dict()), before)


def test_groups_of_two_modes_are_refused() -> None:
    groups = [{"params": [np.ones(3)]}, {"params": [np.ones(2)]}]
    opt = gs.ScheduleFreeSGD(groups, lr=0.1)
    opt.eval()
    saved = opt.state_dict()
    saved["param_groups"][1]["train_mode"] = True
    with pytest.raises(ValueError, match="'train_mode' must be the same in all"):
        opt.load_state_dict(saved)


def test_a_state_of_training_has_neither_mode_nor_y() -> None:
    params = start("sgd")
    opt = RULES["sgd"][1](params)
    train(params, opt, BEGUN)
    saved = opt.state_dict()
    assert "train_mode" not in saved["param_groups"][0]
    assert "y" not in saved["state"][0]
