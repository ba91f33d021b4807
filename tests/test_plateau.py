"""ReduceLROnPlateau: when it reduces, saved and resumed."""

import math
import pickle
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from scheduling import optimizer

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


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


ARGUMENTS: dict[str, Any] = {
    "mode": "max",
    "factor": 0.3,
    "patience": 4,
    "threshold": 0.02,
    "threshold_mode": "abs",
    "cooldown": 3,
    "min_lr": [0.01, 0.02],
    "eps": 1e-3,
    "hyperparameter": "momentum",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_state_of_other_arguments_is_refused(name: str) -> None:
    """Each by itself, in either direction."""
    for saving, loading in (
        ({name: ARGUMENTS[name]}, {}),
        ({}, {name: ARGUMENTS[name]}),
    ):
        theirs = lrs.ReduceLROnPlateau(optimizer(), **saving)
        theirs.step(3.0)
        ours = lrs.ReduceLROnPlateau(optimizer(), **loading)
        before = ours.state_dict()
        words = rf"saved by another scheduler, whose {name}.* build the scheduler as it"
        with pytest.raises(ValueError, match=words):
            ours.load_state_dict(theirs.state_dict())
        assert ours.state_dict() == before


def test_a_state_of_the_same_arguments_is_loaded_whole() -> None:
    theirs = lrs.ReduceLROnPlateau(optimizer(), **ARGUMENTS)
    for metric in (3.0, 2.0, 2.0):
        theirs.step(metric)
    ours = lrs.ReduceLROnPlateau(optimizer(), **ARGUMENTS)
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict() == theirs.state_dict()
    assert (ours.best, ours.num_bad_epochs, ours.last_epoch) == (3.0, 2, 3)
    ours.state_dict()["min_lrs"].append(1.0)
    assert ours.min_lrs == [0.01, 0.02]


def test_a_state_without_arguments_is_loaded() -> None:
    """What an older version has saved."""
    ours = lrs.ReduceLROnPlateau(optimizer(), patience=3)
    counts = {"num_bad_epochs": 2, "cooldown_counter": 0, "last_epoch": 7}
    ours.load_state_dict({"best": 0.5} | counts)
    assert (ours.best, ours.num_bad_epochs, ours.patience) == (0.5, 2, 3)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"best": 10**400}, ValueError, r"best must be a float, got 2\*\*1328 or more"),
        ({"best": "1"}, TypeError, "best must be a number, got str"),
        ({"best": True}, TypeError, "best must be a number, got bool"),
        ({"best": math.nan}, ValueError, "best is nan"),
        ({"num_bad_epochs": -1}, ValueError, "num_bad_epochs must be in"),
        ({"cooldown_counter": 10**400}, ValueError, "cooldown_counter must be in"),
        ({"last_epoch": 1.5}, TypeError, "last_epoch must be int, got float"),
        ({"factor": "0.1"}, ValueError, "whose factor is '0.1'"),
        ({"min_lrs": 0.0}, ValueError, "whose min_lrs is 0.0"),
        ({"min_lrs": []}, ValueError, r"whose min_lrs is \[\]"),
        ({"threshold": None}, ValueError, "whose threshold is None"),
    ],
)
def test_a_bad_state_changes_nothing(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    ours = lrs.ReduceLROnPlateau(optimizer())
    before = ours.state_dict()
    with pytest.raises(error, match=words):
        ours.load_state_dict(before | change)
    assert ours.state_dict() == before


def test_infinite_bests_are_restored() -> None:
    for mode, best in (("min", math.inf), ("max", -math.inf), ("min", -math.inf)):
        ours = lrs.ReduceLROnPlateau(optimizer(), mode)
        ours.load_state_dict(ours.state_dict() | {"best": best})
        assert ours.best == best


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    ("mode", "metrics", "reductions_at"),
    [
        # A quarter is not enough, more is.
        ("min", [1.0, 0.75, 0.75], [2, 3]),
        ("min", [1.0, 0.75 - 2**-53, 0.75], [3]),
        ("max", [1.0, 1.25, 1.25], [2, 3]),
        ("max", [1.0, 1.25 + 2**-52, 1.25], [3]),
        ("min", [-1.0, -1.25, -1.25 - 2**-52], [2]),
        ("max", [-1.0, -0.75, -0.75 + 2**-53], [2]),
    ],
)
def test_a_metric_at_the_threshold_is_not_better(
    mode: str, metrics: list[float], reductions_at: list[int], threshold_mode: str
) -> None:
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 0.25}
    assert reductions(metrics, patience=0, **options) == reductions_at
