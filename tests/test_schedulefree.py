"""Averages: eval_params, eval and train, in schedule-free rules and around others."""

import copy
import functools
import pickle
from typing import Any

import numpy as np
import pytest

import gradstep as gs

Array = Any
FREE = {"warmup_steps": 3, "r": 0.7, "weight_lr_power": 1.6}
METHODS: dict[str, Any] = {
    "sgd": functools.partial(gs.ScheduleFreeSGD, lr=0.1, momentum=0.8, **FREE),
    "adamw": functools.partial(gs.ScheduleFreeAdamW, lr=0.1, **FREE),
    "inner": functools.partial(gs.ScheduleFreeAdamW, lr=0.1, inner_momentum=0.6),
    "radam": functools.partial(gs.ScheduleFreeRAdam, lr=0.1, betas=(0.8, 0.9)),
    "around": functools.partial(
        gs.ScheduleFree, base=functools.partial(gs.RMSprop, lr=0.1), momentum=0.8
    ),
}
methods = pytest.mark.parametrize("name", METHODS)


def start(dtype: Any = np.float32) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    shapes = {"w": (5, 7), "b": (3,)}
    return {k: rng.standard_normal(s).astype(dtype) for k, s in shapes.items()}


def grads(params: dict[str, Array], k: int) -> dict[str, Array]:
    rng = np.random.default_rng(k)
    return {
        name: (p * 0.3 + rng.standard_normal(p.shape)).astype(p.dtype)
        for name, p in params.items()
    }


def image(params: dict[str, Array], opt: gs.Optimizer) -> Any:
    """All numbers, arrays as their bytes."""

    def plain(x: Any) -> Any:
        if isinstance(x, dict):
            return {k: plain(v) for k, v in x.items()}
        return x.tobytes() if isinstance(x, np.ndarray) else x

    return plain(params), plain(opt.state_dict())


@methods
def test_looking_at_the_average_changes_nothing(name: str) -> None:
    """An evaluation between any two steps, in place or not, leaves every bit."""
    runs = []
    for look in (False, True):
        params = start()
        opt = METHODS[name](params)
        for k in range(8):
            opt.step(grads(params, k))
            if look:
                before = image(params, opt)
                seen = opt.eval_params()
                assert image(params, opt) == before
                out = {name: np.empty_like(p) for name, p in params.items()}
                assert opt.eval_params(out=out)["w"] is out["w"]
                y = {name: p.copy() for name, p in params.items()}
                opt.eval()
                assert not opt.training
                for key, p in params.items():
                    assert p.tobytes() == seen[key].tobytes() == out[key].tobytes()
                    assert opt.eval_params()[key].tobytes() == p.tobytes()
                opt.eval()  # again: nothing
                opt.train()
                opt.train()
                assert all(p.tobytes() == y[key].tobytes() for key, p in params.items())
        runs.append(image(params, opt))
    assert runs[0] == runs[1]


@methods
def test_the_average_is_the_weighted_mean_of_z(name: str) -> None:
    params = start(np.float64)
    opt = METHODS[name](params)
    x = {key: p.copy() for key, p in params.items()}
    total = 0.0
    for k in range(8):
        opt.step(grads(params, k))
        state = opt.state[0]
        weight, total = state["weight_sum"] - total, state["weight_sum"]
        for i, key in enumerate(params):
            if total > 0:
                x[key] += weight / total * (opt.state[i]["z"] - x[key])
            np.testing.assert_allclose(opt.eval_params()[key], x[key], rtol=1e-12)


@methods
def test_in_evaluation_no_step_is_taken(name: str) -> None:
    params = start()
    opt = METHODS[name](params)
    opt.step(grads(params, 0))
    opt.eval()
    held = [p.tobytes() for p in params.values()]
    for call in (opt.step, opt.check_grads):
        with pytest.raises(RuntimeError, match=r"step: .*call train\(\) first"):
            call(grads(params, 1))
    assert [p.tobytes() for p in params.values()] == held
    opt.train()
    opt.step(grads(params, 1))


@methods
def test_resume_and_copies(name: str) -> None:
    params = start()
    opt = METHODS[name](params)
    for k in range(3):
        opt.step(grads(params, k))
    others = {key: p.copy() for key, p in params.items()}
    resumed = METHODS[name](others)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    kept, pickled = pickle.loads(pickle.dumps((params, opt)))
    for k in range(3, 6):
        opt.step(grads(params, k))
        resumed.step(grads(others, k))
        pickled.step(grads(kept, k))
    assert image(params, opt) == image(others, resumed)
    assert opt.eval_params()["w"].tobytes() == pickled.eval_params()["w"].tobytes()


def test_out_is_checked() -> None:
    params = start()
    opt = METHODS["sgd"](params)
    good = {key: np.empty_like(p) for key, p in params.items()}
    bad = {
        "dtype float64": {**good, "b": np.empty(3)},
        r"shape \(4,\)": {**good, "b": np.empty(4, np.float32)},
        "C order": {**good, "w": np.empty((7, 5), np.float32).T},
        "numpy.ndarray": {**good, "b": [0.0] * 3},
    }
    for words, out in bad.items():
        with pytest.raises(
            (TypeError, ValueError), match=rf"eval_params: out.*{words}"
        ):
            opt.eval_params(out=out)
    with pytest.raises(ValueError, match="shares memory"):
        opt.eval_params(out=params)


def test_beta_must_not_be_zero() -> None:
    with pytest.raises(ValueError, match=r"momentum must be in \[0.01, 1\), got 0"):
        gs.ScheduleFreeSGD(np.ones(2), momentum=0.0)
    with pytest.raises(ValueError, match=r"beta1 must be in \[0.01, 1\), got 0"):
        gs.ScheduleFreeAdamW(np.ones(2), betas=(0.0, 0.9))


def test_around_sgd_is_schedule_free_sgd() -> None:
    a, b = np.full(4, 2.0), np.full(4, 2.0)
    own = gs.ScheduleFreeSGD(a, lr=0.1, momentum=0.8, weight_decay=0.3)
    around = gs.ScheduleFree(
        b, functools.partial(gs.SGD, lr=0.1), momentum=0.8, weight_decay_at_y=0.3
    )
    for k in range(20):
        g = np.random.default_rng(k).standard_normal(4)
        own.lr = around.base.lr = 0.1 / (1 + k)
        own.step(g + 0.1 * a)
        around.step(g + 0.1 * b)
    np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(own.eval_params(), around.eval_params(), rtol=1e-12)


def test_around_with_groups_and_missing_gradients() -> None:
    a, b = np.ones(3), np.ones(3)
    opt = gs.ScheduleFree(
        [{"params": [a]}, {"params": [b], "momentum": 0.5}], gs.Adagrad
    )
    opt.base.param_groups[1]["lr"] = 0.5
    opt.step([[np.ones(3)], [None]])
    assert (a != 1).all()
    assert (b == 1).all()
    opt.step([[np.ones(3)], [np.ones(3)]])
    assert [s["step"] for s in opt.state] == [2, 1]
    assert [s["step"] for s in opt.base.state] == [2, 1]


def test_a_base_must_be_an_optimizer_of_what_it_is_given() -> None:
    w = np.ones(3)
    split = lambda z: gs.SGD([{"params": z[0]}, {"params": z[1]}])  # noqa: E731
    for p, bad in (
        *((w, b) for b in (gs.SGD(w), lambda z: gs.SGD(z.copy()), lambda _: None, 3)),
        ([w, np.ones(2)], split),
        (w, None),
    ):
        with pytest.raises(TypeError, match="ScheduleFree: base must return a grads"):
            gs.ScheduleFree(p, bad)
    shifted = functools.partial(gs.SGD, momentum=0.5, nesterov=True, form="velocity")
    for bad in (functools.partial(gs.SAM, base=gs.SGD), shifted):
        with pytest.raises(TypeError, match="base must be a rule that takes its grad"):
            gs.ScheduleFree(w, bad)
    with pytest.raises(ValueError, match="pass maximize=True to its base"):
        gs.ScheduleFree(w, gs.SGD, maximize=True)
    with pytest.raises(TypeError, match="takes no more groups"):
        gs.ScheduleFree(w, gs.SGD).add_param_group({"params": np.ones(2)})


def test_a_failed_load_leaves_the_base_alone() -> None:
    params, others = start(), start()
    opt, saved = METHODS["around"](params), METHODS["around"](others)
    for k in range(3):
        opt.step(grads(params, k))
        saved.step(grads(others, k + 1))
    before, bad = image(params, opt), saved.state_dict()
    bad["state"][0]["x"] = bad["state"][0]["x"][1:]
    with pytest.raises(ValueError, match="shape"):
        opt.load_state_dict(bad)
    assert image(params, opt) == before
    with pytest.raises(KeyError, match="lacks 'base'"):
        opt.load_state_dict({"state": {}, "param_groups": []})


@methods
def test_the_average_begins_where_the_first_step_finds_the_parameter(name: str) -> None:
    """Weights are often loaded after the optimizer has been built."""
    params, others = start(np.float64), start(np.float64)
    late, early = METHODS[name](params), None
    for key in params:
        params[key] += 3.0
        others[key] += 3.0
    early = METHODS[name](others)
    assert late.eval_params()["w"].tobytes() == params["w"].tobytes()
    for k in range(6):
        late.step(grads(params, k))
        early.step(grads(others, k))
    assert image(params, late) == image(others, early)


@methods
def test_without_gradients_nothing_drifts(name: str) -> None:
    params = start()
    opt = METHODS[name](params)
    for k in range(5):
        opt.step(grads(params, k))
    zero = {key: np.zeros_like(p) for key, p in params.items()}
    z = [s["z"].copy() for s in opt.state]
    for _ in range(2000):
        opt.step(zero)
    # y goes to z and stays; nothing wanders away from between the two.
    for i, p in enumerate(params.values()):
        if name in ("sgd", "adamw", "around"):
            assert opt.state[i]["z"].tobytes() == z[i].tobytes()
            low, high = np.minimum(z[i], p), np.maximum(z[i], p)
            assert ((low <= p) & (p <= high)).all()


@pytest.mark.parametrize("cls", [gs.ScheduleFreeSGD, gs.MADGRAD, gs.MirrorMADGRAD])
def test_what_never_has_a_gradient_keeps_every_bit(cls: Any) -> None:
    w = np.random.default_rng(0).standard_normal(999).astype(np.float32)
    before = w.tobytes()
    opt = cls(w, lr=0.1)
    for _ in range(300):
        opt.step(np.zeros_like(w))
    assert w.tobytes() == before


def test_the_weight_of_the_average_cannot_change_after_a_step() -> None:
    w = np.ones(3)
    opt = gs.ScheduleFreeSGD(w, momentum=0.8)
    opt.momentum = 0.7
    opt.step(w + 1)
    before = w.tobytes()
    opt.momentum = 0.5
    with pytest.raises(ValueError, match="momentum cannot change after a step"):
        opt.step(w + 1)
    assert w.tobytes() == before


def test_out_shares_nothing() -> None:
    for method in METHODS.values():
        w = np.ones(4)
        opt = method([w, np.ones(4)])
        opt.step([np.ones(4), np.ones(4)])
        whole = np.empty(12)
        for out in (
            [w, np.empty(4)],
            [np.empty(4), opt.state[1]["z"]],
            [whole[:4], whole[3:7]],
        ):
            before = image({"w": w}, opt)
            with pytest.raises(ValueError, match="eval_params: out shares memory"):
                opt.eval_params(out=out)
            assert image({"w": w}, opt) == before


def test_a_refused_step_around_a_base_moves_neither() -> None:
    params = start()
    opt = METHODS["around"](params)
    opt.step(grads(params, 0))
    before = image(params, opt)
    good = grads(params, 1)
    for bad in ({**good, "b": np.ones(4, np.float32)}, params, {"w": good["w"]}):
        with pytest.raises((ValueError, KeyError)):
            opt.step(bad)
        assert image(params, opt) == before
    params["w"].flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        opt.step(good)
    params["w"].flags.writeable = True
    assert image(params, opt) == before
    w, v = np.ones(2), np.ones(2)
    one, other = (gs.ScheduleFree([p], gs.SGD) for p in (w, v))
    one.step(g for g in [np.ones(2)])
    other.step([np.ones(2)])
    assert w.tobytes() == v.tobytes()
    one.base.add_param_group({"params": np.ones(2)})
    with pytest.raises(ValueError, match="base has been given other arrays"):
        one.step([np.ones(2)])


def test_decay_at_y_comes_before_the_bases_own() -> None:
    w = np.ones(1)
    base = functools.partial(gs.SGD, lr=0.5, weight_decay=0.5)
    opt = gs.ScheduleFree(w, base, weight_decay_at_y=0.5, momentum=0.0)
    opt.step(np.zeros(1))
    assert w.tolist() == [0.5625]  # (1 - 0.25) (1 - 0.25), as the authors' wrapper
