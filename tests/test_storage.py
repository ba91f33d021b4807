"""Parameters, gradients and states in fewer bits than their arithmetic has."""

import copy
import math
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gradstep as gs
from gradstep import _core
from reference import codes
from support import floats, words
from variants import HEAVY, MEAN, VARIANTS

Array = Any
f4, u2 = np.float32, np.uint16

# Those of which one element does not depend on others.
SINGLE = {
    name: (cls, options)
    for name, (cls, options) in VARIANTS.items()
    if not any(k.sums for k in _core.kernels() if k.rule in cls.rules)
    and not options.get("max_grad_norm")
    and not options.get("restart_radius")
}
variants = pytest.mark.parametrize("variant", VARIANTS)
# Without what a step does beyond that of the rule.
simple = pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"adan paper"}))
single = pytest.mark.parametrize("variant", SINGLE)

NEAREST = {"bf16": codes.bfloat16_nearest, "f16": codes.float16_nearest}
VALUES = {"bf16": codes.bfloat16_values, "f16": codes.float16_values}
DTYPES = {"bf16": gs.bfloat16, "f16": np.dtype(np.float16)}
STORAGES = [
    ("bf16", {}),
    ("f16", {}),
    ("bf16", {"master": "float32"}),
    ("f16", {"master": "float32"}),
    ("bf16", {"master": "split"}),
    ("bf16", {"rounding": "stochastic", "seed": 7}),
    ("bf16", {"state_dtype": "bfloat16", "seed": 5, "master": "split"}),
    ("bf16", {"state_dtype": "uint8", "seed": 5, "master": "float32"}),
    ("f32", {"state_dtype": "bfloat16", "seed": 6}),
    ("f32", {"state_dtype": "uint8"}),
]
storages = pytest.mark.parametrize(("code", "options"), STORAGES)


def coded(x: Array, code: str) -> Array:
    """Return float32 numbers in a code, in a type that optimizers take."""
    if code == "f32":
        return x.astype(f4)
    return NEAREST[code](x.ravel()).view(DTYPES[code]).reshape(x.shape)


def value(a: Array) -> Array:
    """Return the float32 numbers of such an array."""
    for code, dtype in DTYPES.items():
        if a.dtype == dtype:
            return VALUES[code](a.view(u2).ravel()).reshape(a.shape)
    return a.astype(f4)


def image(opt: gs.Optimizer) -> list[bytes]:
    params = [p for group in opt.param_groups for p in group["params"]]
    states = [
        a if isinstance(a, np.ndarray) else np.array(a)
        for state in opt.state
        for a in state.values()
    ]
    return [a.tobytes() for a in (*params, *states)]


# -- codes


def patterns(seed: int, n: int) -> Array:
    """Return floats of random bits: subnormal, infinite and NaN among them."""
    x = words(seed, n).astype(np.uint32)
    x[: n // 4] &= 0x807FFFFF  # subnormal
    x[n // 4 : n // 3] |= 0x7F800000  # infinite or NaN
    x[n // 3 : n // 2] &= 0xFFFF8000  # ties of bfloat16 and float16
    x[n // 2 : n // 2 + 8] = [
        *(0x7F7FFFFF, 0x477FF000, 0x477FEFFF, 0x33000000, 0x33000001, 0x80000000),
        *(0x7F800001, 0xFF800000),
    ]
    return x.view(f4)


def same(found: Array, expected: Array, values: Any) -> bool:
    """Whether codes are equal, of NaNs any."""
    both = np.isnan(values(found)) & np.isnan(values(expected))
    return bool(np.all(both | (found == expected)))


@pytest.mark.parametrize("code", NEAREST)
def test_every_code_is_its_value_and_numbers_go_to_the_nearest(code: str) -> None:
    every = np.arange(2**16, dtype=u2)
    found = _core.decode(code, every, None)
    np.testing.assert_array_equal(found, VALUES[code](every))
    assert np.signbit(found).tolist() == np.signbit(VALUES[code](every)).tolist()
    x = patterns(1, 100_003)
    back = np.empty(x.size, u2)
    _core.encode(code, x, back, None)
    assert same(back, NEAREST[code](x), VALUES[code])


def test_halves_make_the_float_again() -> None:
    x = patterns(2, 100_003)
    high, low = np.empty(x.size, u2), np.empty(x.size, u2)
    _core.encode("bf16_split", x, high, low)
    expected = codes.split(x)
    assert same(high, expected[0], codes.bfloat16_values)
    assert low.tolist() == expected[1].tolist()
    found = _core.decode("bf16_split", high, low)
    finite = ~np.isnan(x)
    assert found[finite].tobytes() == x[finite].tobytes()
    assert np.isnan(found[~finite]).all()


def test_random_rounding_is_right_on_average() -> None:
    value, n = 1.0 + 3 / 1024, 2**18  # 3/8 of the way
    w = gs.to_bfloat16(np.full(n, 1.0))
    opt = gs.SGD(w, lr=1.0, rounding="stochastic")
    opt.step(np.full(n, 1.0 - value, f4))
    found = value_of = gs.from_bfloat16(w)
    assert set(np.unique(value_of)) == {1.0, f4(1 + 1 / 128)}
    # The mean of n draws of 0 or 1 is within 5 standard deviations.
    up = (found > 1).mean()
    assert abs(up - 3 / 8) < 5 * math.sqrt(3 / 8 * 5 / 8 / n)
    # Neighbours, and the same element of the next step, are as good as independent.
    a = (found > 1).astype(float) - up
    assert abs((a[1:] * a[:-1]).mean()) < 5 / math.sqrt(n) / 4
    v = gs.to_bfloat16(np.full(n, 1.0))
    opt = gs.SGD([v, w], lr=0.0, rounding="stochastic")
    opt.step([np.zeros(n, f4)] * 2)
    v[...] = gs.to_bfloat16(np.ones(n))
    opt.param_groups[0]["lr"] = 1.0
    opt.step([np.full(n, 1.0 - value, f4), None])
    b = (gs.from_bfloat16(v) > 1).astype(float) - up
    assert abs((a * b).mean()) < 5 / math.sqrt(n) / 4


@pytest.mark.parametrize("positive", [False, True])
def test_blocks_are_those_of_the_reference(positive: bool) -> None:
    x = floats(3, 5000, f4, positive) * f4(1e-3)
    x[256:512] *= f4(1e-30)
    x[512:768] = 0
    x[1000], x[2000] = np.nan, -np.inf
    x[4000:4100] *= f4(1e-6)
    kept, scale = np.empty(x.size, np.uint8), np.empty(20, f4)
    _core.encode("blocks", x, kept, scale)
    expected = codes.blocks(x, 0)
    np.testing.assert_array_equal(kept, expected[0])
    np.testing.assert_array_equal(scale, expected[1])
    found = _core.decode("blocks", kept, scale)
    np.testing.assert_array_equal(found, codes.block_values(*expected))
    finite = np.isfinite(x).reshape(-1)
    for k in range(20):
        part = slice(256 * k, 256 * k + 256)
        if finite[part].all():
            most = abs(x[part]).max()
            root = np.sqrt(np.sqrt(abs(x[part]) / (most or 1)))
            if (x[part] < 0).any():  # a step of s is at most 1/127, and d(s^2) = 2 s ds
                limit = 2.1 * root**2 / 127 + 1.1 / 127**2
            else:
                limit = 4.1 * root**3 / 255 + 7 / 255**2 * root**2 + 1.1 / 255**4
            assert (abs(found[part] - x[part]) <= (most * limit) + 1e-45).all()


def test_a_mean_square_above_0_stays_above() -> None:
    x = np.geomspace(1e-30, 1, 256).astype(f4)
    kept, scale = np.empty(256, np.uint8), np.empty(1, f4)
    _core.encode("blocks", x, kept, scale)
    assert kept.min() == 1
    assert _core.decode("blocks", kept, scale).min() > 0


# -- steps: those of float32 between decoding and encoding


def start(code: str, n: int = 700) -> tuple[Array, Array]:
    p = coded(floats(1, n, f4), code)
    return p, value(p)


def run_beside(variant: str, code: str, grad: str, options: dict[str, Any]) -> Any:
    """Yield a coded optimizer, and one of float32 that took the same steps."""
    cls, given = VARIANTS[variant]
    p, exact = start(code)
    ours, theirs = cls(p, **given, **options), cls(exact, **given)
    for t in range(2, 6):
        g = coded(floats(t, p.size, f4), grad)
        ours.step(g)
        theirs.step(value(g))
        yield ours, p, theirs, exact


@simple
@pytest.mark.parametrize("code", NEAREST)
def test_a_step_of_few_bits_is_that_of_float32_rounded(variant: str, code: str) -> None:
    for ours, p, _, exact in run_beside(variant, code, code, {}):
        assert p.view(u2).tolist() == NEAREST[code](exact).tolist()
        exact[...] = value(p)
        assert {a.dtype for a in ours.state[0].values() if hasattr(a, "shape")} <= {
            np.dtype(f4)
        }


@variants
@pytest.mark.parametrize("grad", ["bf16", "f16"])
def test_gradients_of_few_bits_are_those_numbers(variant: str, grad: str) -> None:
    for ours, p, theirs, exact in run_beside(variant, "f32", grad, {}):
        assert p.tobytes() == exact.tobytes()
        assert image(ours) == image(theirs)


@variants
@pytest.mark.parametrize("code", NEAREST)
@pytest.mark.parametrize("grad", ["f32", "bf16"])
def test_a_master_takes_the_steps_of_float32(
    variant: str, code: str, grad: str
) -> None:
    how = {"master": "float32"}
    for ours, p, theirs, exact in run_beside(variant, code, grad, how):
        kept = dict(ours.state[0])
        assert kept.pop("master").tobytes() == exact.tobytes()
        assert p.view(u2).tolist() == NEAREST[code](exact).tolist()
        assert image(theirs)[1:] == [np.asarray(a).tobytes() for a in kept.values()]


@variants
def test_two_halves_take_the_steps_of_float32(variant: str) -> None:
    for ours, p, _, exact in run_beside(variant, "bf16", "bf16", {"master": "split"}):
        low = ours.state[0]["remainder"]
        assert codes.joined(p.view(u2), low).tobytes() == exact.tobytes()
        assert p.view(u2).tolist() == codes.split(exact)[0].tolist()


@single
def test_random_rounding_is_that_of_seed_step_array_and_element(variant: str) -> None:
    cls, given = SINGLE[variant]
    p, exact = start("bf16")
    first = coded(floats(9, 5, f4), "bf16")
    ours = cls([first, p], **given, rounding="stochastic", seed=11)
    theirs = cls(exact, **given)
    for t in range(1, 4):
        g = floats(t + 3, p.size, f4)
        ours.step([np.ones(5, f4), g])
        theirs.step(g)
        key = codes.array_key(11, 1, 0, t)
        assert p.view(u2).tolist() == codes.bfloat16_random(exact, key).tolist()
        exact[...] = value(p)


def copy_of_states(ours: Any, theirs: Any, kernel: _core.Kernel) -> None:
    """Write what states in code are to those in float32."""
    for name in kernel.state:
        if name + "_scale" in ours:
            found = codes.block_values(ours[name], ours[name + "_scale"])
        else:
            found = codes.bfloat16_values(ours[name].view(u2))
        theirs[name][...] = found


@single
@pytest.mark.parametrize("kind", ["bfloat16", "uint8"])
def test_states_of_few_bits_are_those_of_float32_encoded(
    variant: str, kind: str
) -> None:
    cls, given = SINGLE[variant]
    p, exact = start("f32")
    ours = cls([np.ones(3, f4), p], **given, state_dtype=kind, seed=3)
    theirs = cls([np.ones(3, f4), exact], **given)
    kernel = _core.find(cls.rule(ours.param_groups[0]), "f32")
    copy_of_states(ours.state[1], theirs.state[1], kernel)
    if kernel.copies:  # such states begin in the first step, as they are in code
        for opt in (ours, theirs):
            opt.step([None, floats(3, p.size, f4)])
        copy_of_states(ours.state[1], theirs.state[1], kernel)
        exact[...] = p
    for t in range(1, 5):
        g = floats(t + 3, p.size, f4)
        ours.step([None, g])
        theirs.step([None, g])
        assert p.tobytes() == exact.tobytes()
        for k, name in enumerate(kernel.state):
            key = codes.array_key(3, 1, 1 + k, ours.state[1]["step"])
            x, found = theirs.state[1][name], ours.state[1][name]
            if kind == "bfloat16":
                assert found.dtype == gs.bfloat16
                found = found.view(u2)
                expected = codes.bfloat16_random(x, key)
            else:
                expected, scale = codes.blocks(x, key)
                np.testing.assert_array_equal(ours.state[1][name + "_scale"], scale)
            np.testing.assert_array_equal(found, expected, err_msg=name)
        copy_of_states(ours.state[1], theirs.state[1], kernel)


# -- what is lost, and what keeps it


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({}, 1.0, 1.0),
        ({"master": "float32"}, 0.89, 0.91),
        ({"master": "split"}, 0.89, 0.91),
        ({"rounding": "stochastic"}, 0.899, 0.901),
    ],
)
def test_small_steps_move_a_parameter_of_one(
    options: dict[str, Any], low: float, high: float
) -> None:
    w = gs.to_bfloat16(np.ones(10_000))
    opt = gs.SGD(w, lr=0.01, **options)
    for _ in range(1000):
        opt.step(np.full(10_000, 0.01, f4))
    assert low <= gs.from_bfloat16(w).mean(dtype=float) <= high


# -- arrays


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
