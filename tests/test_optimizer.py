"""What an optimizer is besides its rule: groups, options, state, layouts, threads."""

import copy
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from variants import HEAVY, MEAN, SUMMING, VARIANTS

Array: TypeAlias = Any
f4, f8 = np.float32, np.float64
variants = pytest.mark.parametrize("variant", VARIANTS)


def start() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    a, b, c, d = (rng.standard_normal(n) for n in ((5, 3), (4, 5), 1, 37))
    return {"a": a.astype(f4), "b": np.asfortranarray(b), "c": c.reshape(()), "d": d}


def gradients(t: int, like: dict[str, Array]) -> dict[str, Array]:
    """Return the gradients of step t; one of them is missing at some steps."""
    rng = np.random.default_rng(t)
    grads = {k: rng.standard_normal(w.shape) for k, w in like.items()}
    grads = {k: np.array(g, like[k].dtype) for k, g in grads.items()}
    return grads if t % 3 else grads | {"d": None}


def params_of(opt: gs.Optimizer) -> list[Array]:
    return [w for group in opt.param_groups for w in group["params"]]


def image(opt: gs.Optimizer) -> list[Any]:
    """Return the bytes of all parameters and states."""
    return [w.tobytes() for w in params_of(opt)] + [
        {k: v.tobytes() if isinstance(v, np.ndarray) else v for k, v in s.items()}
        for s in opt.state
    ]


def test_the_variants_are_all() -> None:
    opts = [cls(np.ones(1), **o) for cls, o in VARIANTS.values()]
    chosen = {opt.rule(opt.param_groups[0]) for opt in opts}
    assert chosen == {rule for cls in gs.OPTIMIZERS.values() for rule in cls.rules}


def run(opt: gs.Optimizer, params: dict[str, Array], first: int, last: int) -> None:
    for t in range(first, last):
        if t == 5 and not isinstance(opt, gs.Rprop):  # a schedule
            opt.lr = opt.lr / 2
        opt.step(gradients(t, params))


@variants
def test_resume_at_every_step(variant: str) -> None:
    cls, o = VARIANTS[variant]
    whole = start()
    opt = cls(whole, **o)
    run(opt, whole, 0, 10)
    for k in range(11):
        params = start()
        stopped = cls(params, **o)
        run(stopped, params, 0, k)
        saved = stopped.state_dict()
        kept = copy.deepcopy(saved)
        params2 = {name: w.copy("K") for name, w in params.items()}
        run(stopped, params, k, 10)
        assert repr(saved) == repr(kept), "a state_dict is a snapshot"
        resumed = cls(params2)  # the options come from the state dict as well
        resumed.load_state_dict(saved)
        run(resumed, params2, k, 10)
        assert image(resumed) == image(opt) == image(stopped), k
        assert repr(saved) == repr(kept), "what was loaded is copied"
    assert [s["step"] for s in opt.state] == [10, 10, 10, 6]


# An option that chooses the rule, changed after 4 steps; the step count after 3 more.
# It starts again where other state arrays replace those of before.
SWITCHES = {
    "momentum on": (gs.SGD, {"lr": 0.03}, HEAVY, 3),
    "momentum off": (gs.SGD, HEAVY, {"momentum": 0.0}, 7),
    "amsgrad on": (gs.Adam, MEAN, {"amsgrad": True}, 7),
    "amsgrad off": (gs.AdamW, MEAN | {"amsgrad": True}, {"amsgrad": False}, 7),
}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("how", ["load_state_dict", "pickle"])
def test_resume_between_a_switch_and_the_next_step(switch: str, how: str) -> None:
    cls, before, after, count = SWITCHES[switch]
    params = start()
    opt = cls(params, **before)
    run(opt, params, 0, 4)
    opt.param_groups[0].update(after)
    if how == "pickle":
        params2, opt2 = pickle.loads(pickle.dumps((params, opt)))
    else:
        params2 = {k: w.copy("K") for k, w in params.items()}
        opt2 = cls(params2)
        opt2.load_state_dict(opt.state_dict())
    run(opt, params, 4, 7)
    run(opt2, params2, 4, 7)
    assert image(opt) == image(opt2)
    assert opt.state[0]["step"] == count


@variants
def test_pickle_and_deepcopy(variant: str) -> None:
    cls, o = VARIANTS[variant]
    w = start()
    opt = cls(w, **o)
    run(opt, w, 0, 3)
    twins = [pickle.loads(pickle.dumps((w, opt), p)) for p in range(2, 6)]
    both = copy.deepcopy({"w": w, "opt": opt})
    twins += [(both["w"], both["opt"]), ({}, copy.deepcopy(opt))]
    unmoved = image(opt)
    for w2, opt2 in twins:
        opt2.step(gradients(4, w))
        for a, b in zip(w2.values(), params_of(opt2)):
            assert a is b  # copied together, they stay together
    assert image(opt) == unmoved
    opt.step(gradients(4, w))
    assert all(image(opt2) == image(opt) != unmoved for _, opt2 in twins)


def test_load_by_name_in_another_order() -> None:
    cls, o = VARIANTS["adam amsgrad"]
    w = start()
    opt = cls(w, **o)
    run(opt, w, 1, 2)
    w2 = {k: w[k].copy("K") for k in ("d", "b", "a", "c")}
    opt2 = cls(w2)
    opt2.load_state_dict(opt.state_dict())
    opt.step(gradients(2, w))
    opt2.step(gradients(2, w))
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


def test_an_edit_of_state_takes_effect_or_is_refused() -> None:
    opt = gs.Adam(np.zeros(2))
    for name, value in {"step": 7, "m": np.full(2, 5.0)}.items():
        with suppress(TypeError):
            opt.state[0][name] = value
            assert np.array_equal(opt.state[0][name], value), name


def test_groups_and_options() -> None:
    a, b, c = np.ones(2), np.ones(3), np.ones(1)
    groups = [{"params": {"a": a}, "lr": 0.5}, {"params": [b], "momentum": 0.5}]
    opt = gs.SGD(groups, lr=0.25, weight_decay=0.5)
    opt.add_param_group({"params": c, "lr": 2.0})
    grads = [{"a": np.array([1.0, 2.0])}, [np.ones(3)], np.array([4.0])]
    opt.step(grads)
    opt.step(grads)
    # Each p - lr (g + .5 p); b's second step is along .5 1.5 + (1 + .5 .625).
    assert a.tolist() == [-0.3125, -1.1875]
    assert b.tolist() == [0.625 - 0.25 * (0.75 + 1.3125)] * 3
    assert c.tolist() == [-8.0]
    assert [g["lr"] for g in opt.param_groups] == [0.5, 0.25, 2.0]
    with pytest.raises(AttributeError, match=r"lr differs between groups.*groups"):
        _ = opt.lr
    opt.lr = f4(0.125)
    assert [g["lr"] for g in opt.param_groups] == [0.125] * 3
    assert (opt.lr, type(opt.lr)) == (0.125, float)


def test_an_edited_option_takes_effect_at_the_next_step() -> None:
    w = np.array([1.0])
    opt = gs.SGD(w, lr=0.5)
    for name, value, after in (
        ("lr", 0.25, 0.5),  # 1 - .25 2
        ("weight_decay", 2.0, -0.25),  # .5 - .25 (2 + 2 .5)
        ("maximize", True, 0.375),  # -.25 - .25 (-2 + 2 -.25)
    ):
        opt.param_groups[0][name] = value
        assert getattr(opt, name) == value
        opt.step(np.array([2.0]))
        assert w.tolist() == [after], name


def test_add_param_group_failing_leaves_everything() -> None:
    w = np.arange(8.0)
    opt = gs.SGD({"w": w[:4]}, momentum=0.5)
    opt.step({"w": np.ones(4)})
    before = w.tobytes(), image(opt), repr(opt), repr(opt.state_dict())
    for group in (
        {"params": w[3:]},
        {"params": [np.ones(2), np.ones(3, int)]},
        {"params": np.ones(2), "nesterov": True, "momentum": 0.0},
    ):
        with pytest.raises((TypeError, ValueError), match=r"^SGD: "):
            opt.add_param_group(group)
        assert before == (w.tobytes(), image(opt), repr(opt), repr(opt.state_dict()))
    opt.step({"w": np.ones(4)})  # the structure is still the old one
    opt.add_param_group({"params": w[4:], "lr": 1.0})
    opt.step([{"w": None}, np.ones(4)])
    assert w[4:].tolist() == [3, 4, 5, 6]


@variants
def test_maximize_and_read_only_gradients(variant: str) -> None:
    cls, o = VARIANTS[variant]
    up, down = start(), start()
    opt, opt2 = cls(up, **o, maximize=True), cls(down, **o, maximize=False)
    for t in (1, 2, 4):
        grads = gradients(t, up)
        kept = copy.deepcopy(grads)
        for g in grads.values():
            g.setflags(write=False)
        opt.step(grads)
        opt2.step({k: -g for k, g in grads.items()})
        assert repr(grads) == repr(kept)
    assert image(opt) == image(opt2)


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


def test_velocity_equals_buffer_at_constant_lr() -> None:
    # Everything is a small multiple of a power of two, so nothing is rounded.
    w, v = np.array([1.0, -2.0]), np.array([1.0, -2.0])
    o = {"lr": 0.25, "momentum": 0.5, "weight_decay": 0.5}
    opt, opt2 = gs.SGD(w, **o), gs.SGD(v, form="velocity", **o)
    for t in range(6):
        grad = np.array([1.0 + t, 3.0 - 2 * t])
        opt.lr = opt2.lr = 0.25 if t < 5 else 0.125
        opt.step(grad)
        opt2.step(grad)
        equal = (-0.25 * opt.state[0]["b"]).tolist() == opt2.state[0]["z"].tolist()
        # At last the buffer rescales the past, which the velocity does not.
        assert equal == (w.tolist() == v.tolist()) == (t < 5)


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


def layouts(a: Array) -> list[Array]:
    """Return arrays equal to `a`, a (3, 4, 5) array, laid out in other ways."""
    wide = np.zeros((6, 8, 15), a.dtype)
    wide[::2, 1::2, 2::3] = a
    raw = np.frombuffer(b"+" + a.tobytes() + b"+", "u1")
    odd = raw[1:-1].view(a.dtype).reshape(a.shape)
    permuted = a.transpose(1, 2, 0).copy().transpose(2, 0, 1)
    reverse = a[::-1].copy()[::-1]
    return [a.copy(), odd, a.copy("F"), wide[::2, 1::2, 2::3], permuted, reverse]


@variants
@pytest.mark.parametrize("dtype", [f4, f8])
def test_layouts_and_offsets_do_not_matter(variant: str, dtype: type) -> None:
    cls, o = VARIANTS[variant]
    orders = "CC" if variant in SUMMING else "CF"
    w, g = np.random.default_rng(5).standard_normal((2, 3, 4, 5)).astype(dtype)
    plain = w.ravel().copy()
    opt = cls(plain, **o)
    opt.step(g.ravel())
    opt.step(g.ravel())
    for offset in range(64):
        buffer = np.full(w.nbytes + 128, 0xA5, "u1")  # canaries
        inside, after = buffer[offset : offset + w.nbytes], buffer[offset + w.nbytes :]
        w2 = inside.view(dtype).reshape(w.shape, order=orders[offset % 2])
        w2[...] = w
        opt2 = cls(w2, **o)
        for g2 in layouts(g)[offset % 5 :][:2]:
            opt2.step(g2)
        assert w2.tobytes() == plain.tobytes(), offset
        for name, s in opt2.state[0].items():
            assert np.ravel(s).tobytes() == np.ravel(opt.state[0][name]).tobytes(), name
        assert set(buffer[:offset]) | set(after) == {0xA5}


@variants
def test_odd_shapes(variant: str) -> None:
    cls, o = VARIANTS[variant]
    x = np.arange(12.0)
    # Axes of length 1 may have any stride, and an array in both orders be either.
    for w in (
        *(x[:5, None], x[None, :5], x[:5, None].copy("F"), x.reshape(6, 2)[::2][:1]),
        *(x.reshape(6, 2).T[:, :1], x.reshape(3, 1, 4).copy("F"), x[3:4][::-1]),
        *(x[:0], np.zeros((0, 3)), np.zeros((3, 0, 2), order="F"), x[2:3].reshape(())),
    ):
        grads, flat = w * 2 - 3, np.ravel(w).copy()
        opt, opt2 = cls(flat, **o), cls({"w": w}, **o)
        for grad in (grads, -grads):
            opt.step(np.ravel(grad))
            opt2.step({"w": grad})
        if variant in SUMMING:
            np.testing.assert_allclose(w.ravel(), flat, rtol=1e-14)
        else:
            assert w.ravel().tolist() == flat.tolist(), (w.shape, w.strides)
        assert opt2.state[0]["step"] == 2


def test_scalars_of_0_d_parameters() -> None:
    for dtype in (f4, f8):
        w = np.array(1.0, dtype)
        opt = gs.SGD([w, np.ones(2)], lr=0.5)
        opt.step([dtype(3), None])
        assert w == -0.5
        for bad in (3.0, 3, dtype(3).astype(f8 if dtype is f4 else f4)):
            with pytest.raises(TypeError, match=r"grads\[0\]"):
                opt.step([bad, None])
        assert (w, opt.state[0]["step"], opt.state[1]["step"]) == (-0.5, 1, 0)


def test_a_gradient_that_is_a_view_of_the_parameter_and_generators() -> None:
    w, v = np.arange(6.0), np.ones(2)
    opt = gs.SGD((p for p in (w, v)), lr=1.0)
    opt.step(g for g in (w[::-1], v + 1))  # as if the first were a copy
    assert (w.tolist(), v.tolist()) == ([-5, -3, -1, 1, 3, 5], [-1, -1])


def test_memory_maps(tmp_path: Path) -> None:
    file = tmp_path / "w"
    np.arange(100, dtype=f4).tofile(file)
    w = np.memmap(file, f4, "r+", 12, (3, 4))
    gs.SGD(w, lr=0.5).step(np.ones((3, 4), f4))
    w.flush()
    want = np.r_[0, 1, 2, 2.5:14.5, 15:100]
    assert np.fromfile(file, f4).tolist() == want.tolist()
    with pytest.raises(ValueError, match="params is read-only"):
        gs.SGD(np.memmap(file, f4, "r"))


@pytest.mark.parametrize("make", [gs.empty, gs.zeros])
def test_memory(make: Callable[..., Array]) -> None:
    for shape, dtype in (
        *((3, f4), ((2, 3), "f8"), ((), f8), ((0, 3), f4), ([5], "f2"), (7, "c16")),
        *(((1 << 19) - 1, f4), (1 << 19, f4), ((3, 1 << 18), f8)),
    ):
        a = make(shape, dtype)
        assert (a.shape, a.dtype) == (np.empty(shape).shape, dtype)
        assert a.flags.c_contiguous
        assert a.ctypes.data % (1 << 21 if a.nbytes >= 1 << 21 else 64) == 0
        assert make is gs.empty or not a.any()
        a[...] = 1  # all of it is there
    assert make(4).dtype == f8
    for bad in (-1, (2, -1), 2.5, None, "3", 1 << 62, (1 << 40, 1 << 40)):
        with pytest.raises((TypeError, ValueError), match="shape"):
            make(bad)
    for bad in (object, ">f4", [("a", f4)], "S3", "M8[s]"):
        with pytest.raises((TypeError, ValueError), match="dtype"):
            make(3, bad)
