"""Options that choose a rule, changed between steps: what torch.optim does then.

A state whose option is switched off waits, unchanged, until the option is switched on
again; one that is switched on for the first time begins as at a first step.
"""

import copy
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
import reference
from gradstep import lr_scheduler as lrs
from support import floats
from switches import CASES, THROUGH, Case, Options, cases

Array = Any


def rule_of(optimizer: type[gs.Optimizer], options: Options) -> str:
    """The rule by which torch, or the authors' code, takes a step by these options."""
    if optimizer is gs.SGD and not options["momentum"]:
        return "sgd"
    return optimizer.rule(optimizer.checked(options))


def expected_steps(case: Case, p: Array, grads: list[Array | None]) -> Iterator[Any]:
    """Parameter and states after each step, by the papers' formulas in float64."""
    states: dict[str, Array] = {}
    t = 0
    for value, g in zip(case.values, grads, strict=True):
        if g is None:
            yield p, states
            continue
        options = case.options | {case.name: value}
        rule = reference.RULES[rule_of(case.optimizer, options)]
        parameters = inspect.signature(rule).parameters
        numbers = case.optimizer.numbers(case.optimizer.checked(options))
        hyper = {k: v for k, v in numbers.items() if k in parameters}
        # Where torch finds no buffer of SGD's, the gradient is the first one.
        is_first = case.optimizer is gs.SGD and "b" in parameters and "b" not in states
        t = 1 if is_first else t + 1
        names = {"m", "v", "vmax", "s", "smax", "b", "gbar"} & parameters.keys()
        used = {k: states.get(k, np.zeros_like(p)) for k in names}
        new = rule(t=t, p=p, g=g, **used, **hyper)
        p = new.pop("p")
        states = states | new
        yield p, states


def gradients(case: Case, shape: tuple[int, ...]) -> list[Array | None]:
    """One for each step; one is missing."""
    n = len(case.values)
    grads = [floats(10 + k, 12, float).reshape(shape) for k in range(n)]
    return [None if k == 3 else g for k, g in enumerate(grads)]


@cases
def test_states_wait_while_their_option_is_off_as_in_torch(name: str) -> None:
    case = CASES[name]
    w = floats(1, 12, float).reshape(3, 4)
    grads = gradients(case, w.shape)
    opt = case.optimizer([w], **case.options | {case.name: case.values[0]})
    expected = list(expected_steps(case, w.copy(), grads))
    for k, (value, g) in enumerate(zip(case.values, grads, strict=True)):
        opt.param_groups[0][case.name] = value
        opt.step([g])
        p, states = expected[k]
        np.testing.assert_allclose(w, p, rtol=1e-12, atol=1e-14)
        for key, state in states.items():
            np.testing.assert_allclose(
                opt.state[0][key], state, rtol=1e-12, atol=1e-14, err_msg=f"{k} {key}"
            )


def test_a_buffer_that_no_step_has_used_does_not_wait() -> None:
    """torch has none then: the first one is the gradient, not dampened."""
    w = np.zeros(2)
    opt = gs.SGD(w, lr=0.5, momentum=0.5, dampening=0.25)
    opt.momentum = 0.0
    opt.step(np.array([2.0, 4.0]))
    opt.momentum = 0.5
    opt.step(np.array([1.0, 8.0]))
    assert opt.state[0]["b"].tolist() == [1.0, 8.0]
    assert opt.state[0]["step"] == 1


STORAGE: dict[str, tuple[Any, Options]] = {
    "float64": (np.float64, {}),
    "float32": (np.float32, {}),
    "uint8 states": (np.float32, {"state_dtype": "uint8", "seed": 5}),
    "bfloat16 states": (np.float32, {"state_dtype": "bfloat16", "seed": 5}),
    "bfloat16 master": (gs.bfloat16, {"master": "float32"}),
    "bfloat16 split": (gs.bfloat16, {"master": "split"}),
    "bfloat16 stochastic": (gs.bfloat16, {"rounding": "stochastic", "seed": 5}),
    "float16 master": (np.float16, {"master": "float32"}),
}


def of_dtype(x: Array, dtype: Any) -> Array:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


def image(w: Array, opt: gs.Optimizer) -> list[bytes]:
    state = dict(sorted(opt.state[0].items()))
    return [w.tobytes(), repr(opt).encode()] + [
        k.encode() + np.asarray(x).tobytes() for k, x in state.items()
    ]


def run(
    case: Case, w: Array, opt: gs.Optimizer, first: int = 0, last: int | None = None
) -> None:
    dtype = np.float64 if w.dtype == np.float64 else np.float32
    for k, value in list(enumerate(case.values))[first:last]:
        opt.param_groups[0][case.name] = value
        opt.step(floats(10 + k, w.size, dtype).reshape(w.shape))


def build(case: Case, kind: str) -> tuple[Array, gs.Optimizer]:
    dtype, storage = STORAGE[kind]
    w = of_dtype(floats(1, 300, np.float32).reshape(20, 15), dtype)
    return w, case.optimizer(w, **case.options | {case.name: case.values[0]} | storage)


def resumed(how: str, w: Array, opt: gs.Optimizer, folder: Path) -> Any:
    """A copy of both, by way of a checkpoint or a copy."""
    if how == "pickle":
        return pickle.loads(pickle.dumps((w, opt)))
    if how == "deepcopy":
        return copy.deepcopy((w, opt))
    storage = {
        k: getattr(opt, k) for k in ("master", "rounding", "state_dtype", "seed")
    }
    w2 = np.zeros_like(w)
    if how == "state_dict":
        w2[...] = w
        opt2 = type(opt)(w2, **storage)
        opt2.load_state_dict(opt.state_dict())
    else:
        opt2 = type(opt)(w2, **storage)
        gs.save(folder / "run.safetensors", opt)
        gs.load(folder / "run.safetensors", opt2)
    return w2, opt2


@pytest.mark.parametrize("how", ["state_dict", "file", "pickle", "deepcopy"])
@pytest.mark.parametrize("kind", STORAGE)
@pytest.mark.parametrize("name", ["sgd", "rmsprop centered", "adam", "adabelief"])
def test_a_checkpoint_holds_the_states_that_wait(
    name: str, kind: str, how: str, tmp_path: Path
) -> None:
    case = CASES[name]
    off = 4 if case.name == "momentum" else 3
    assert not case.values[off - 1]
    w, opt = build(case, kind)
    run(case, w, opt, 0, off - 1)
    state = {gs.AdaBelief: "smax", gs.Adam: "vmax"}.get(case.optimizer, "b")
    waiting = opt.state[0][state].tobytes()
    run(case, w, opt, off - 1, off)
    assert opt.state[0][state].tobytes() == waiting
    w2, opt2 = resumed(how, w, opt, tmp_path)
    assert image(w2, opt2) == image(w, opt)
    run(case, w, opt, off)
    run(case, w2, opt2, off)
    assert image(w2, opt2) == image(w, opt)


def test_states_that_a_checkpoint_lacks_are_forgotten() -> None:
    w = np.ones(3)
    opt = gs.SGD(w, lr=0.1, momentum=0.9)
    opt.step(np.ones(3))
    opt.momentum = 0.0
    opt.step(np.ones(3))
    assert "b" in opt.state[0]
    plain = gs.SGD(np.ones(3), lr=0.1)
    plain.step(np.ones(3))
    opt.load_state_dict(plain.state_dict())
    assert set(opt.state[0]) == {"step"}


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda state: state.pop("b_scale"), KeyError),
        (lambda state: state.pop("b"), KeyError),
        (lambda state: state.update(c=state["b"]), KeyError),
        (lambda state: state.update(b=state["b"][:5]), ValueError),
        (lambda state: state.update(b=state["b"].astype(float)), TypeError),
    ],
)
def test_waiting_states_that_do_not_fit_are_refused(edit: Any, error: Any) -> None:
    w, opt = build(CASES["sgd"], "uint8 states")
    run(CASES["sgd"], w, opt, 0, 4)
    saved = opt.state_dict()
    edit(saved["state"][0])
    before = image(w, opt)
    with pytest.raises(error, match=r"^\W*SGD.load_state_dict: state\[0\]"):
        opt.load_state_dict(saved)
    assert image(w, opt) == before


def test_a_group_that_is_added_leaves_waiting_states_alone() -> None:
    straight, extended = (build(CASES["rmsprop"], "float32") for _ in range(2))
    case = CASES["rmsprop"]
    run(case, *straight, 0, 3)
    run(case, *extended, 0, 3)
    extended[1].add_param_group({"params": np.ones(2, np.float32)})
    for k in range(3, len(case.values)):
        g = floats(10 + k, 300, np.float32).reshape(20, 15)
        for _, opt in (straight, extended):
            opt.param_groups[0][case.name] = case.values[k]
            opt.step(g if len(opt.param_groups) == 1 else [g, None])
    assert straight[0].tobytes() == extended[0].tobytes()
    assert straight[1].state[0]["b"].tobytes() == extended[1].state[0]["b"].tobytes()


@cases
def test_functional_steps_leave_waiting_states_alone(name: str) -> None:
    case = CASES[name]
    if case.values[0] in (0.0, False):
        case = THROUGH[name.removesuffix(" late")]
    w, v = (floats(1, 12, float) for _ in range(2))
    opt = case.optimizer(w, **case.options | {case.name: case.values[0]})
    options = case.options | {case.name: case.values[0]}
    state = gs.functional.init(case.optimizer, v, **options)
    for k, value in enumerate(case.values):
        opt.param_groups[0][case.name] = value
        g = floats(10 + k, 12, float)
        opt.step(g)
        options = case.options | {case.name: value}
        gs.functional.step(case.optimizer, v, g, state, k + 1, **options)
        assert v.tobytes() == w.tobytes()


def test_functional_states_of_no_rule_are_refused() -> None:
    w = np.ones(3)
    with pytest.raises(KeyError, match=r"state holds \['c'\], expected \[\]"):
        gs.functional.step("SGD", w, w.copy(), {"c": w.copy()}, 1)


@pytest.mark.parametrize("nesterov", [False, True])
def test_cyclic_momentum_may_touch_zero(nesterov: bool) -> None:
    w = floats(1, 12, float)
    p, b = w.copy(), None
    opt = gs.SGD(w, lr=0.1, momentum=0.9, nesterov=nesterov)
    scheduler = lrs.CyclicLR(
        opt, 0.01, 0.1, step_size_up=2, base_momentum=0.0, max_momentum=0.9
    )
    momenta = []
    for k in range(9):
        g = floats(10 + k, 12, float)
        lr, mu = opt.lr, opt.momentum
        if mu:
            b = g if b is None else mu * b + g
        p = p - lr * (g if not mu else g + mu * b if nesterov else b)
        opt.step(g)
        scheduler.step()
        momenta.append(mu)
        np.testing.assert_allclose(w, p, rtol=1e-13)
    assert momenta.count(0.0) == 2


@pytest.mark.parametrize("optimizer", [gs.SGD, gs.RMSprop])
def test_nesterov_without_momentum_is_refused_at_first_only(optimizer: Any) -> None:
    for build in (
        lambda: optimizer(np.ones(2), nesterov=True),
        lambda: optimizer([{"params": np.ones(2), "nesterov": True}]),
        lambda: gs.functional.init(optimizer, np.ones(2), nesterov=True),
        lambda: gs.minimize(optimizer, nesterov=True),
    ):
        with pytest.raises(ValueError, match=r"nesterov needs momentum > 0, got 0\.0"):
            build()
    w = np.ones(2)
    opt = optimizer(w, nesterov=True, momentum=0.5)
    opt.momentum = 0.0
    opt.step(np.ones(2))
    fresh = optimizer(np.ones(2))
    fresh.load_state_dict(opt.state_dict())
    assert fresh.nesterov
    assert fresh.momentum == 0.0
