"""Arrays in few bits of any shape, copies of their optimizers, and refusals."""

import copy
import functools
import math
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gradstep as gs
from coding import STORAGES, Array, coded, f4, image, storages, u2, value
from reference import codes
from support import floats
from variants import HEAVY, MEAN


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 3, 4), (40, 60)])
@storages
def test_shapes_and_orders(
    code: str, options: dict[str, Any], shape: tuple[int, ...], order: Any
) -> None:
    x, g = (floats(k, math.prod(shape), f4).reshape(shape) for k in (1, 2))
    flat = coded(x.ravel(order), code)
    p = np.empty(shape, flat.dtype, order)
    p.ravel(order="K")[...] = flat
    p = p if not p.size else np.asarray(p, order=order)
    p[...] = coded(x, code)
    one, other = (gs.AdamW(a, **MEAN, **options) for a in (p, flat))
    for _ in range(3):
        one.step(np.asarray(g, order=order))
        other.step(g.ravel(order))
    assert p.ravel(order).tobytes() == flat.tobytes()


@pytest.mark.parametrize("offset", [1, 2, 31, 62])
@storages
def test_any_address_will_do(code: str, options: dict[str, Any], offset: int) -> None:
    def moved(a: Array) -> Array:
        raw = np.empty(a.nbytes + 64, np.uint8)
        found = raw[offset : offset + a.nbytes].view(a.dtype)
        found[...] = a
        return found

    p = coded(floats(1, 3001, f4), code)
    q = moved(p)
    one, other = (gs.SGD(a, **HEAVY, **options) for a in (p, q))
    for t in range(2, 5):
        g = coded(floats(t, 3001, f4), "bf16")
        one.step(g)
        other.step(moved(g))
    assert p.tobytes() == q.tobytes()
    assert image(one)[1:] == image(other)[1:]


@storages
def test_threads_do_not_change_a_bit(code: str, options: dict[str, Any]) -> None:
    before, found = gs.get_num_threads(), []
    for threads in (1, 2, 5):
        gs.set_num_threads(threads)
        p = coded(floats(1, 200_003, f4), code)
        opt = gs.LAMB(p, lr=0.1, weight_decay=0.2, **options)
        for t in range(2, 5):
            opt.step(coded(floats(t, 200_003, f4), "bf16"), clip_norm=9.0)
        found.append(image(opt))
    gs.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_ml_dtypes_and_the_tag_are_the_same() -> None:
    x = floats(1, 999, f4)
    tagged, typed = gs.to_bfloat16(x), x.astype(ml_dtypes.bfloat16)
    assert tagged.tobytes() == typed.tobytes()
    np.testing.assert_array_equal(gs.from_bfloat16(typed), typed.astype(f4))
    one, other = (gs.Adam(a, **MEAN, master="split") for a in (tagged, typed))
    for t in range(2, 5):
        g = floats(t, 999, f4)
        one.step(gs.to_bfloat16(g))
        other.step(g.astype(ml_dtypes.bfloat16))
    assert image(one) == image(other)


def test_each_step_may_have_gradients_of_another_type() -> None:
    p, q = np.ones(300, f4), np.ones(300, f4)
    ours, theirs = gs.Adam(p, **MEAN), gs.Adam(q, **MEAN)
    for t, code in enumerate(["f32", "bf16", "f16", "f32", "bf16"]):
        g = coded(floats(t + 2, 300, f4), code)
        ours.step(g)
        theirs.step(value(g))
    assert image(ours) == image(theirs)


# -- copies, and going on


@storages
@pytest.mark.parametrize("taken", range(5))
def test_going_on_from_a_copy_is_going_on(
    code: str, options: dict[str, Any], taken: int
) -> None:
    def make() -> tuple[Array, gs.Optimizer]:
        p = coded(floats(1, 777, f4), code)
        return p, gs.Adam(p, **MEAN, **options)

    _, straight = make()
    q, stopped = make()
    for t in range(4):
        straight.step(floats(t + 2, 777, f4))
    for t in range(taken):
        stopped.step(floats(t + 2, 777, f4))
    r = q.copy()
    loaded = gs.Adam(r, **MEAN, **options)
    loaded.load_state_dict(stopped.state_dict())
    pickled = pickle.loads(pickle.dumps(stopped))
    copied = copy.deepcopy(stopped)
    for opt in (loaded, pickled, copied):
        for t in range(taken, 4):
            opt.step(floats(t + 2, 777, f4))
        assert image(opt) == image(straight)


@pytest.mark.parametrize("kind", [gs.bfloat16, np.dtype(np.float16)])
def test_what_is_written_to_a_parameter_is_taken_over(kind: Any) -> None:
    code = "bf16" if kind == gs.bfloat16 else "f16"
    n = 5000
    w = coded(np.zeros(n, f4), code)
    opt = gs.SGD(w, lr=0.25, master="float32")
    w[...] = coded(floats(1, n, f4), code)  # a checkpoint, say
    opt.add_param_group({"params": coded(np.zeros(2, f4), code)})
    expected = value(w)
    for t in range(2, 5):
        g = floats(t, n, f4)
        opt.step([g, None])
        expected -= f4(0.25) * g
        assert opt.state[0]["master"].tobytes() == expected.tobytes()
        for k in (0, 77, n - 1):
            w[k] = coded(np.array([7.5], f4), code)[0]
            expected[k] = 7.5


def test_momentum_that_comes_late_does_not_forget_a_master() -> None:
    w = gs.to_bfloat16(np.ones(4))
    opt = gs.SGD(w, lr=0.001, master="float32")
    for _ in range(3):
        opt.step(np.ones(4, f4))
    opt.momentum = 0.9
    opt.step(np.ones(4, f4))
    np.testing.assert_allclose(opt.state[0]["master"], 0.996, rtol=1e-6)


def test_averages_are_found_from_the_master() -> None:
    for options in ({"master": "float32"}, {"master": "split"}):
        w = gs.to_bfloat16(floats(1, 50, f4))
        x = gs.from_bfloat16(w)
        ours = gs.ScheduleFreeAdamW(w, lr=0.1, **options)
        theirs = gs.ScheduleFreeAdamW(x, lr=0.1)
        for t in range(2, 6):
            ours.step(floats(t, 50, f4))
            theirs.step(floats(t, 50, f4))
        expected = codes.bfloat16_nearest(theirs.eval_params())
        assert ours.eval_params().view(u2).tolist() == expected.tolist()


def test_adans_restart_keeps_the_master() -> None:
    w = gs.to_bfloat16(np.ones(4))
    opt = gs.Adan(w, lr=0.001, restart_radius=1e-9, master="float32")
    for _ in range(3):
        opt.step(np.ones(4, f4))
    assert 0.99 < opt.state[0]["master"].min() < 1


def test_a_skipped_step_changes_no_byte() -> None:
    for code, options in STORAGES:
        p = coded(floats(1, 400, f4), code)
        opt = gs.Adam(p, **MEAN, **options)
        opt.step(floats(2, 400, f4))
        before = image(opt)
        bad = floats(3, 400, f4)
        bad[99] = np.inf
        for kind in ("f32", "bf16", "f16"):
            opt.step(coded(bad, kind), nonfinite="skip")
            assert opt.last_step.skipped
            assert image(opt) == before


@pytest.mark.parametrize("written", [0.0, -0.0, 1.0, -3e38])
def test_a_split_parameter_that_is_overwritten(written: float) -> None:
    w = gs.to_bfloat16(floats(1, 1000, f4))
    opt = gs.SGD(w, lr=1e-4, master="split")
    opt.step(floats(2, 1000, f4))
    w[...] = gs.to_bfloat16(np.full(1000, written))
    opt.step(np.zeros(1000, f4))
    found = gs.from_bfloat16(w)
    assert (found == gs.from_bfloat16(gs.to_bfloat16(written))).all()
    assert (np.signbit(found) == np.signbit(written)).all()


def test_to_look_at_an_average_changes_no_state() -> None:
    for options in ({"state_dtype": "uint8"}, {"state_dtype": "bfloat16"}):
        w = floats(1, 1 << 20, f4)
        opt = gs.ScheduleFreeSGD(w, lr=0.1, **options)
        opt.step(floats(2, w.size, f4))
        before = image(opt)
        opt.eval_params()
        assert image(opt) == before


def test_groups_of_different_storage_are_copied() -> None:
    groups = [
        {"params": gs.to_bfloat16(np.ones(300)), "master": "split"},
        {"params": np.ones(300, f4), "state_dtype": "uint8", "seed": 3},
    ]
    opt = gs.Adam(groups, lr=0.1)
    grads = [floats(1, 300, f4), floats(2, 300, f4)]
    opt.step(grads)
    others = [copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))]
    for one in (opt, *others):
        one.step(grads)
    assert image(opt) == image(others[0]) == image(others[1])
    base = functools.partial(gs.Adam, lr=0.1, state_dtype="uint8")
    sam = gs.SAM([{"params": np.ones(300, f4)}, {"params": np.ones(2)}], gs.SGD)
    copy.deepcopy(sam)
    sam = gs.SAM(np.ones(300, f4), base)
    assert copy.deepcopy(sam).base.state_dtype == "uint8"


def test_codes_do_not_change_places_without_their_scales() -> None:
    saved = gs.Adam(np.ones((40, 30), f4), state_dtype="uint8")
    saved.step(floats(1, 1200, f4).reshape(40, 30))
    other = gs.Adam(np.ones((40, 30), f4, order="F"), state_dtype="uint8")
    before = image(other)
    with pytest.raises(ValueError, match=r"\['m'\] has its elements in C order"):
        other.load_state_dict(saved.state_dict())
    assert image(other) == before


def test_numbers_without_axes() -> None:
    w = gs.to_bfloat16(2.5)
    assert w.shape == ()
    gs.SGD(w, lr=1.0).step(gs.to_bfloat16(0.5))
    assert gs.from_bfloat16(w) == 2.0


def test_averages_of_arrays_at_any_address() -> None:
    raw = np.zeros(2001, np.uint8)
    w = raw[1:].view(np.float16)
    opt = gs.ScheduleFreeSGD(w, lr=0.1, master="float32")
    opt.step(np.ones(1000, f4))
    assert opt.eval_params().shape == (1000,)


# -- refusals


@pytest.mark.parametrize(
    ("dtype", "options", "message"),
    [
        ("f4", {"master": "float32"}, "dtype float32, so master must be None"),
        ("f8", {"master": "split"}, "dtype float64, so master must be None"),
        ("f2", {"master": "split"}, "dtype float16; master='split' is for bfloat16"),
        ("f2", {"rounding": "stochastic"}, "rounding='stochastic' is for bfloat16"),
        ("f4", {"rounding": "stochastic"}, "rounding='stochastic' is for bfloat16"),
        ("f8", {"state_dtype": "uint8"}, "float64, so state_dtype must be None, got"),
        (
            gs.bfloat16,
            {"rounding": "stochastic", "master": "split"},
            "master 'split'; rounding='stochastic' is for bfloat16 without a master",
        ),
        ("f4", {"master": "float16"}, "master must be one of None, 'float32', 'split'"),
        ("f4", {"state_dtype": "int8"}, "state_dtype must be one of None, 'bfloat16'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    dtype: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^Adam: .*{message}"):
        gs.Adam(np.zeros(3, dtype), **options)


def test_storage_cannot_change() -> None:
    opt = gs.Adam(gs.to_bfloat16(np.ones(3)))
    opt.param_groups[0]["master"] = "split"
    with pytest.raises(ValueError, match="Adam: master cannot change, from None to"):
        opt.step(np.ones(3, f4))
    other = gs.Adam(gs.to_bfloat16(np.ones(3)), state_dtype="uint8")
    with pytest.raises(ValueError, match="state_dtype of what is loaded differs"):
        gs.Adam(gs.to_bfloat16(np.ones(3))).load_state_dict(other.state_dict())


def test_states_of_another_kind_are_refused() -> None:
    opt = gs.Adam(np.ones(300, f4), state_dtype="uint8")
    for name, bad, error in (
        ("m", np.zeros(300, f4), TypeError),
        ("m_scale", np.zeros(1, f4), ValueError),
        ("v_scale", np.zeros(2), TypeError),
    ):
        state = opt.state_dict()
        state["state"][0][name] = bad
        with pytest.raises(error, match=rf"state\[0\]\['{name}'\]"):
            opt.load_state_dict(state)


def test_gradients_of_float64_parameters_are_float64() -> None:
    opt = gs.Adam(np.ones(3))
    for g in (np.ones(3, np.float16), gs.to_bfloat16(np.ones(3))):
        with pytest.raises(TypeError, match=r"its parameter float64; pass g.astype"):
            opt.step(g)


def test_wrappers_and_functional_steps_refuse_few_bits() -> None:
    w = gs.to_bfloat16(np.ones(3))
    for wrapper in (gs.SAM, gs.ScheduleFree):
        with pytest.raises(TypeError, match="expected float32 or float64"):
            wrapper(w, gs.SGD)
        with pytest.raises(ValueError, match="pass state_dtype to the base instead"):
            wrapper(np.ones(3, f4), gs.SGD, state_dtype="uint8")
    with pytest.raises(ValueError, match="fewer bits than float32"):
        gs.functional.init("Adam", w)
    with pytest.raises(TypeError, match="array must be of bfloat16, got float32"):
        gs.from_bfloat16(np.ones(3, f4))
