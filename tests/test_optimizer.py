"""What an optimizer is besides its rule: groups, options, state, memory, threads."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import gradstep as gs
import numpy as np
import pytest

Array: TypeAlias = Any
f4, f8 = np.float32, np.float64
MEAN = {"betas": (0.87, 0.95), "weight_decay": 0.12, "lr": 0.03}
HEAVY = {"momentum": 0.83, "weight_decay": 0.12, "lr": 0.03}
# Every class and every option that chooses a rule; no hyperparameter is neutral.
VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "sgd": (gs.SGD, {"lr": 0.03, "weight_decay": 0.12}),
    "momentum": (gs.SGD, HEAVY),
    "dampening": (gs.SGD, HEAVY | {"dampening": 0.21}),
    "nesterov": (gs.SGD, HEAVY | {"nesterov": True}),
    "velocity": (gs.SGD, HEAVY | {"form": "velocity"}),
    "shifted": (gs.SGD, HEAVY | {"form": "velocity", "nesterov": True}),
    "ascent": (gs.SGD, HEAVY | {"maximize": True}),
    "adam": (gs.Adam, MEAN | {"eps": 0.01}),
    "adam amsgrad": (gs.Adam, MEAN | {"eps": 0.01, "amsgrad": True}),
    "adamw": (gs.AdamW, MEAN | {"eps": 0.01}),
    "adamw amsgrad": (gs.AdamW, MEAN | {"eps": 0.01, "amsgrad": True}),
    "lion": (gs.Lion, MEAN),
}
variants = pytest.mark.parametrize("variant", VARIANTS)


def start() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    return {
        "a": rng.standard_normal((5, 3)).astype(f4),
        "b": np.asfortranarray(rng.standard_normal((4, 5))),
        "c": rng.standard_normal(()),
        "d": rng.standard_normal(37),
    } | {"c": np.array(rng.standard_normal())}


def gradients(t: int, like: dict[str, Array]) -> dict[str, Array]:
    """Gradients of step t: large at some, small at others, and missing at some."""
    rng = np.random.default_rng(100 + t)
    grads = {
        k: np.array(rng.standard_normal(w.shape) * 2.0 ** (t % 5 - 2), w.dtype)
        for k, w in like.items()
    }
    return grads if t % 3 else grads | {"d": None}


def image(opt: gs.Optimizer, *arrays: Array) -> list[Any]:
    """Return the bytes of all arrays, and of all parameters and states of `opt`."""
    params = [w for g in opt.param_groups for w in g["params"]]
    return [np.asarray(w).tobytes() for w in [*params, *arrays]] + [
        {k: v if k == "step" else v.tobytes() for k, v in s.items()} for s in opt.state
    ]


def test_the_variants_are_all() -> None:
    rules = {c(np.ones(1), **o) for c, o in VARIANTS.values()}
    chosen = {opt.rule(opt.param_groups[0]) for opt in rules}
    assert chosen == {rule for cls in gs.OPTIMIZERS.values() for rule in cls.rules}


@variants
def test_resume_at_every_step(variant: str) -> None:
    cls, o = VARIANTS[variant]

    def run(opt: gs.Optimizer, params: dict[str, Array], steps: range) -> None:
        for t in steps:
            if t == 5:  # a schedule
                opt.lr = opt.lr / 2
            opt.step(gradients(t, params))

    whole = start()
    opt = cls(whole, **o)
    run(opt, whole, range(10))
    for k in range(11):
        first = start()
        stopped = cls(first, **o)
        run(stopped, first, range(k))
        saved = stopped.state_dict()
        kept = copy.deepcopy(saved)
        later = {name: w.copy("K") for name, w in first.items()}
        run(stopped, first, range(k, 10))
        assert repr(saved) == repr(kept), "a state_dict is a snapshot"
        resumed = cls(later)  # the options come from the state dict as well
        resumed.load_state_dict(saved)
        run(resumed, later, range(k, 10))
        assert image(resumed) == image(opt) == image(stopped), k
        assert repr(saved) == repr(kept), "what was loaded is copied"
    assert [s["step"] for s in opt.state] == [10, 10, 10, 6]


# An option that chooses the rule, changed in mid-run.
SWITCHES = {
    "momentum on": (gs.SGD, {"lr": 0.03}, HEAVY),
    "momentum off": (gs.SGD, HEAVY, {"momentum": 0.0}),
    "form": (gs.SGD, HEAVY, {"form": "velocity"}),
    "amsgrad on": (gs.Adam, MEAN, {"amsgrad": True}),
    "amsgrad off": (gs.AdamW, MEAN | {"amsgrad": True}, {"amsgrad": False}),
}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("how", ["load_state_dict", "pickle", "deepcopy"])
def test_resume_between_a_switch_and_the_next_step(switch: str, how: str) -> None:
    cls, before, after = SWITCHES[switch]
    params = start()
    opt = cls(params, **before)
    for t in range(4):
        opt.step(gradients(t, params))
    opt.param_groups[0].update(after)
    if how == "pickle":
        params2, opt2 = pickle.loads(pickle.dumps((params, opt)))
    elif how == "deepcopy":
        params2, opt2 = copy.deepcopy((params, opt))
    else:
        params2 = {k: w.copy("K") for k, w in params.items()}
        opt2 = cls(params2)
        opt2.load_state_dict(opt.state_dict())
    for t in range(4, 7):
        opt.step(gradients(t, params))
        opt2.step(gradients(t, params2))
    assert image(opt) == image(opt2)
    assert [s["step"] for s in opt.state] == [7, 7, 7, 4]


@variants
def test_pickle_and_deepcopy(variant: str) -> None:
    cls, o = VARIANTS[variant]
    w = start()
    opt = cls(w, **o)
    for t in range(3):
        opt.step(gradients(t, w))
    twins = [pickle.loads(pickle.dumps((w, opt), p)) for p in range(2, 6)]
    both = copy.deepcopy({"w": w, "opt": opt})
    twins += [(both["w"], both["opt"]), (None, copy.deepcopy(opt))]
    unmoved = image(opt)
    for w2, opt2 in twins:
        opt2.step(gradients(4, w))
        if w2 is not None:  # copied together, they stay together
            assert all(a is b for a, b in zip(w2.values(), params_of(opt2), strict=True))
    assert image(opt) == unmoved
    opt.step(gradients(4, w))
    assert all(image(opt2) == image(opt) != unmoved for _, opt2 in twins)


def params_of(opt: gs.Optimizer) -> list[Array]:
    return [w for group in opt.param_groups for w in group["params"]]


def test_load_by_name_in_another_order() -> None:
    cls, o = VARIANTS["adam amsgrad"]
    w = start()
    opt = cls(w, **o)
    opt.step(gradients(1, w))
    w2 = {k: w[k].copy("K") for k in ("d", "b", "a", "c")}
    opt2 = cls(w2)
    opt2.load_state_dict(opt.state_dict())
    for t in (2, 3):
        opt.step(gradients(t, w))
        opt2.step(gradients(t, w2))
    for i, k in enumerate(w2):
        assert w2[k].tobytes() == w[k].tobytes()
        assert repr(opt2.state[i]) == repr(opt.state[list(w).index(k)])
    assert opt2.lr == 0.03


def test_names_are_the_optimizers_own() -> None:
    named, plain = gs.SGD({"a": np.zeros(3)}, momentum=0.5), gs.SGD([np.zeros(3)])
    named.step({"a": np.arange(3.0)})
    plain.load_state_dict(named.state_dict())  # by position
    # Having no names itself, it still saves none; so this goes by position as well.
    other = gs.SGD({"b": np.zeros(3)})
    other.load_state_dict(plain.state_dict())
    assert other.state[0]["b"].tolist() == [0, 1, 2]


def test_a_state_dict_of_live_arrays_is_copied_first() -> None:
    opt = gs.Adam(np.zeros(2))
    opt.step(np.array([1.0, 2.0]))
    m, v = opt.state[0]["m"], opt.state[0]["v"]
    want = v.tolist(), m.tolist()
    saved = opt.state_dict()
    saved["state"][0] |= {"m": v, "v": m}
    opt.load_state_dict(saved)
    assert (opt.state[0]["m"].tolist(), opt.state[0]["v"].tolist()) == want


def test_groups() -> None:
    a, b, c = np.ones(2), np.ones(3), np.ones(1)
    groups = [{"params": {"a": a}, "lr": 0.5}, {"params": [b], "momentum": 0.5}]
    opt = gs.SGD(groups, lr=0.25, weight_decay=0.5)
    opt.add_param_group({"params": c, "lr": 2.0})
    grads = [{"a": np.array([1.0, 2.0])}, [np.ones(3)], np.array([4.0])]
    opt.step(grads)
    opt.step(grads)
    # p - lr (g + wd p); b with momentum: 1 - .25 1.5; buffer .75 + 1 + .5 .625
    assert a.tolist() == [0.0625, -0.8125]
    assert b.tolist() == [0.625 - 0.25 * (0.75 + 1.3125)] * 3
    assert c.tolist() == [-8.0]
    assert [g["lr"] for g in opt.param_groups] == [0.5, 0.25, 2.0]
    opt.lr = 1
    assert [g["lr"] for g in opt.param_groups] == [1.0] * 3
    assert opt.lr == 1.0
    assert [s["step"] for s in opt.state] == [2, 2, 2]


def test_options_take_effect_at_the_next_step() -> None:
    w = np.array([1.0])
    opt = gs.SGD(w, lr=0.5)
    for name, value, now in (
        ("lr", 0.25, 0.5),  # 1 - .25 2
        ("weight_decay", 2.0, -0.25),  # .5 - .25 (2 + 1)
        ("maximize", True, 0.375),  # -.25 - .25 (-2 - .5)
    ):
        opt.param_groups[0][name] = value
        assert getattr(opt, name) == value
        opt.step(np.array([2.0]))
        assert w.tolist() == [now], name
    opt.lr = np.float32(0.125)
    assert type(opt.lr) is float
    assert opt.param_groups[0]["lr"] == 0.125


def test_add_param_group_failing_leaves_everything() -> None:
    w = np.arange(8.0)
    opt = gs.SGD({"w": w[:4]}, momentum=0.5)
    opt.step({"w": np.ones(4)})
    before = image(opt, w), repr(opt), repr(opt.state_dict())
    for group in (
        {"params": w[3:]},
        {"params": [np.ones(2), np.ones(3, int)]},
        {"params": np.ones(2), "lr": -1.0},
        {"params": np.ones(2), "nesterov": True, "momentum": 0.0},
        {"params": {"x": np.ones(2), "y": np.ones(4)[::2]}},
    ):
        with pytest.raises((TypeError, ValueError), match="^SGD: "):
            opt.add_param_group(group)
        assert (image(opt, w), repr(opt), repr(opt.state_dict())) == before
    opt.step({"w": np.ones(4)})  # the structure is still the old one
    opt.add_param_group({"params": w[4:], "lr": 1.0})
    opt.step([{"w": None}, np.ones(4)])
    assert w[4:].tolist() == [3, 4, 5, 6]


@variants
def test_maximize_is_descent_on_the_negative(variant: str) -> None:
    cls, o = VARIANTS[variant]
    up, down = start(), start()
    opt = cls(up, **o | {"maximize": True})
    opt2 = cls(down, **o | {"maximize": False})
    for t in range(4):
        grads = gradients(t, up)
        opt.step(grads)
        opt2.step({k: g if g is None else -g for k, g in grads.items()})
    assert image(opt) == image(opt2)


@variants
def test_gradients_are_never_written(variant: str) -> None:
    cls, o = VARIANTS[variant]
    w = start()
    grads = gradients(1, w)
    kept = {k: g.copy() for k, g in grads.items()}
    for g in grads.values():
        g.setflags(write=False)
    opt = cls(w, **o)
    opt.step(grads)
    assert all(g.tobytes() == kept[k].tobytes() for k, g in grads.items())


def test_momentum_switched_on_later_starts_from_the_gradient() -> None:
    w = np.zeros(2)
    opt = gs.SGD(w, lr=0.5)
    opt.step(np.array([2.0, 4.0]))
    opt.param_groups[0].update(momentum=0.5, dampening=0.25)
    opt.step(np.array([1.0, 8.0]))
    assert opt.state[0]["b"].tolist() == [1.0, 8.0]  # not dampened
    opt.step(np.array([4.0, 4.0]))
    assert opt.state[0]["b"].tolist() == [3.5, 7.0]
    assert w.tolist() == [-1 - 0.5 - 1.75, -2 - 4 - 3.5]
    assert opt.state[0]["step"] == 3


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_velocity_equals_buffer_at_constant_lr(weight_decay: float) -> None:
    # Everything is a small multiple of a power of two, so nothing is rounded.
    w, v = np.array([1.0, -2.0]), np.array([1.0, -2.0])
    o = {"lr": 0.25, "momentum": 0.5, "weight_decay": weight_decay}
    opt, opt2 = gs.SGD(w, **o), gs.SGD(v, form="velocity", **o)
    for t in range(5):
        grad = np.array([1.0 + t, 3.0 - 2 * t])
        opt.step(grad)
        opt2.step(grad)
        assert w.tolist() == v.tolist()
        assert (-0.25 * opt.state[0]["b"]).tolist() == opt2.state[0]["z"].tolist()
    opt.lr = opt2.lr = 0.125
    opt.step(grad)
    opt2.step(grad)
    assert w.tolist() != v.tolist()  # the buffer rescales the past


def test_lookahead() -> None:
    a, b = np.array([1.0, 2.0], f4), np.ones((2, 2), order="F")
    o = {"lr": 0.5, "momentum": 0.25, "form": "velocity", "nesterov": True}
    opt = gs.SGD([{"params": {"a": a}}, {"params": [b], "momentum": 0.5}], **o)
    opt.step([{"a": np.array([4.0, 8.0], f4)}, [np.arange(4.0).reshape(2, 2)]])
    before = image(opt)
    there = opt.lookahead()
    assert there[0]["a"].tolist() == [-1 + 0.25 * -2, -2 + 0.25 * -4]
    assert there[1][0].tolist() == [[1.0, 0.25], [-0.5, -1.25]]
    assert there[0]["a"].dtype == f4
    there[0]["a"][:], there[1][0][:] = 9, 9  # new arrays
    assert image(opt) == before
    opt.param_groups[1]["nesterov"] = False
    with pytest.raises(ValueError, match=r"lookahead: .*velocity.*nesterov=False"):
        opt.lookahead()
    opt.param_groups[1].update(nesterov=True, momentum=float("nan"))
    with pytest.raises(ValueError, match=r"momentum must be in \[0, inf\), got nan"):
        opt.lookahead()
