"""Norms and scales at both ends of the range: exact where squares or factors are not.

Expected values are by Python's integers and fractions, or by the same step of numbers
that are a power of two apart, which no rounding tells from one another.
"""

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from support import floats

Array = Any
f4, f8 = np.float32, np.float64
EPS = {f4: 2.0**-24, f8: 2.0**-53}


def exact_norm(*grads: Array, scale: float = 1.0) -> Fraction:
    """The norm as a fraction, to some 30 digits: it may be above all doubles."""
    squares = sum(Fraction(float(x)) ** 2 for g in grads for x in g.ravel())
    squares = Fraction(squares) * Fraction(scale) ** 2
    digits = squares.denominator.bit_length() + 100
    return Fraction(math.isqrt(int(squares * 4**digits)), 2**digits)


def clipped(g: Array, limit: float, norm: Fraction, scale: float = 1.0) -> Array:
    """The gradient after clipping, each element rounded once."""
    factor = min(Fraction(1), Fraction(limit) / (norm + Fraction(1, 10**6)))
    values = [Fraction(float(x)) * Fraction(scale) * factor for x in g.ravel()]
    return np.array([float(x) for x in values]).reshape(g.shape)


def step_of(g: Array, **how: Any) -> tuple[Array, Any]:
    """By what the gradient is when plain SGD takes it, and the report."""
    w = np.zeros_like(g)
    opt = gs.SGD(w, lr=1.0)
    opt.step(g, **how)
    return -w, opt.last_step


def assert_close(got: Array, expected: Array, units: int = 8) -> None:
    """To within so many units of rounding, or of the smallest number."""
    info = np.finfo(got.dtype)
    tolerance = units * EPS[got.dtype.type]
    np.testing.assert_allclose(
        got, expected, rtol=tolerance, atol=units * float(info.smallest_subnormal)
    )


# -- the norm of all gradients, and what it clips

SIZES = [1e-320, 1e-308, 1e-200, 1e-170, 1e-160, 1e-154, 1e-140, 1e-9]
SIZES += [1.0, 1e9, 1e140, 1e154, 1e160, 1e200, 1e300, 1.7e307]


@pytest.mark.parametrize("n", [1, 3, 700, 9000])
@pytest.mark.parametrize("size", SIZES)
def test_norms_of_doubles_of_any_size(size: float, n: int) -> None:
    g = size * (floats(1, n, f8) / 8)
    norm = exact_norm(g)
    for ratio in (0.25, 1e-3, 1.0, 4.0):
        if not Fraction(5e-324) <= norm * Fraction(ratio) <= Fraction(1.7e308):
            continue
        limit = float(norm * Fraction(ratio))
        got, report = step_of(g, clip_norm=limit)
        expected = float(norm) if norm < Fraction(np.finfo(f8).max) else math.inf
        assert report.grad_norm == pytest.approx(expected, rel=1e-14, abs=1e-322)
        assert_close(got, clipped(g, limit, norm))
        assert report.nonfinite == 0
        assert not report.skipped


@pytest.mark.parametrize("limit", [1e-150, 1e-20, 1.0, 1e100])
@pytest.mark.parametrize("n", [4, 5000])
def test_norms_above_all_doubles_clip(n: int, limit: float) -> None:
    g = np.full(n, 1.7e308)
    g[::3] *= -1
    got, report = step_of(g, clip_norm=limit)
    assert report.grad_norm == math.inf
    assert_close(got, np.sign(g) * (limit / math.sqrt(n)), units=64)


@pytest.mark.parametrize("limit", [1.0, 1e-5, 1e-30, 1e30])
def test_a_million_large_floats_are_clipped_to_the_last_place(limit: float) -> None:
    g = np.full(1_000_000, 3e38, f4)
    got, report = step_of(g, clip_norm=limit)
    assert report.grad_norm == pytest.approx(float(g[0]) * 1e3, rel=1e-14)
    assert_close(got, np.full(1_000_000, limit / 1e3), units=2)


@pytest.mark.parametrize("scale", [3.0, 1e20, 1e155, 1e160, 1e170])
@pytest.mark.parametrize("target", [1e-130, 1e-8, 1.0, 1e160, 1e300])
def test_scales_that_lead_to_either_end(scale: float, target: float) -> None:
    """Of gradients whose squares may be in the range, though scaled they are not."""
    g = target / scale * (floats(1, 700, f8) / 16)
    norm = exact_norm(g, scale=scale)
    got, report = step_of(g, grad_scale=scale, clip_norm=float(norm / 8))
    assert report.grad_norm == pytest.approx(float(norm), rel=1e-13)
    assert_close(got, clipped(g, float(norm / 8), norm, scale), units=16)


def test_a_norm_of_zeros_is_zero() -> None:
    for dtype in (f4, f8):
        got, report = step_of(np.zeros(7, dtype), clip_norm=1.0)
        assert (report.grad_norm, report.clip_factor) == (0.0, 1.0)
        assert (got == 0).all()


def test_small_and_large_gradients_in_one_norm() -> None:
    tiny, large = np.full(3, 3e-170), np.full(4, 2.0)
    for grads in ([tiny, large], [tiny, large.astype(f4)], [tiny, 1e-170 * large]):
        params = [np.zeros_like(g) for g in grads]
        opt = gs.SGD(params, lr=1.0)
        norm = exact_norm(*grads)
        opt.step(grads, clip_norm=float(norm / 2))
        assert opt.last_step.grad_norm == pytest.approx(float(norm), rel=1e-14)
        for p, g in zip(params, grads):
            assert_close(-p, clipped(g, float(norm / 2), norm))


def test_what_is_not_finite_is_counted_at_either_end() -> None:
    for size in (1e-170, 1e170):
        g = np.full(9, size)
        g[4:6] = math.inf, math.nan
        _, report = step_of(g, clip_norm=1.0, nonfinite="skip")
        assert math.isnan(report.grad_norm)
        assert (report.nonfinite, report.skipped) == (2, True)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_threads_do_not_change_a_bit(size: float, threads: int) -> None:
    before = gs.get_num_threads()
    results = []
    for n in (1, threads):
        gs.set_num_threads(n)
        try:
            results.append(step_of(size * floats(1, 70_001, f8), clip_norm=size))
        finally:
            gs.set_num_threads(before)
    assert results[0][0].tobytes() == results[1][0].tobytes()
    assert results[0][1] == results[1][1]


def test_check_grads_finds_the_same() -> None:
    g = np.full(5, 1e-170)
    opt = gs.SGD(np.zeros(5), lr=1.0)
    report = opt.check_grads(g, clip_norm=1e-171)
    opt.step(g, clip_norm=1e-171)
    assert opt.last_step == report
    assert report.grad_norm == pytest.approx(1e-170 * math.sqrt(5))


# -- scales

SCALES = [1e-300, 1e-200, 1e-60, 1e-46, 1e-42, 2.0**-127, 1e-39, 1e-37, 0.3]
SCALES += [3e37, 3.4e38, 3.5e38, 1e39, 1e44, 1e60, 1e200, 1e300]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n", [1, 9, 5000])
def test_floats_are_scaled_as_doubles_are(scale: float, n: int) -> None:
    """Products that are no floats are 0 or infinity, all others exact."""
    wide = floats(1, n, f4).astype(f8)
    for target in (1.0, 1e-30, 1e30, 1e-44):
        g = np.clip(wide * (target / scale), -3e38, 3e38).astype(f4)
        got, _ = step_of(g, grad_scale=scale)
        with np.errstate(over="ignore"):
            if np.finfo(f4).tiny <= scale <= np.finfo(f4).max:
                expected = g * f4(scale)  # rounded first
            else:
                expected = (g.astype(f8) * scale).astype(f4)
        assert got.tobytes() == (-(f4(0) - expected)).tobytes()


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-300, 1e300, 1.7e308])
def test_doubles_are_scaled_by_any_double(scale: float) -> None:
    g = np.array([1.0, -3.0, 0.7]) * (1e-8 if scale > 1 else 1e8)
    got, _ = step_of(g, grad_scale=scale)
    assert got.tolist() == (g * scale).tolist()


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(f8, 1e170), (f8, 1e300)]  # which bring no float32 back
    + [(d, s) for d in (f4, f8) for s in (1e-280, 1e-170, 1e-60, 1e-40, 1e40)],
)
def test_scaled_gradients_are_clipped_by_their_norm(dtype: Any, scale: float) -> None:
    g = floats(1, 300, f8) * (min(1e30, 1 / scale) if scale < 1 else 1 / scale)
    g = g.astype(dtype)
    norm = exact_norm(g, scale=scale)
    got, report = step_of(g, grad_scale=scale, clip_norm=float(norm / 4))
    assert report.grad_norm == pytest.approx(float(norm), rel=1e-7)
    expected = clipped(g, float(norm / 4), norm, scale)
    assert_close(got, expected.astype(dtype), units=16)


KINDS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "bfloat16": (gs.bfloat16, {}, gs.bfloat16),
    "bfloat16 by float32": (gs.bfloat16, {}, f4),
    "bfloat16 master": (gs.bfloat16, {"master": "float32"}, f4),
    "bfloat16 split": (gs.bfloat16, {"master": "split"}, gs.bfloat16),
    "bfloat16 stochastic": (gs.bfloat16, {"rounding": "stochastic"}, f4),
    "float16": (np.float16, {}, f4),
    "float32 by bfloat16": (f4, {}, gs.bfloat16),
    "float32 by float16": (f4, {}, np.float16),
    "float32 bfloat16 states": (f4, {"state_dtype": "bfloat16"}, f4),
    "float32 uint8 states": (f4, {"state_dtype": "uint8"}, f4),
}


def of_dtype(x: Array, dtype: Any) -> Array:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "method",
    [
        functools.partial(gs.SGD, momentum=0.9),
        gs.Adam,
        gs.MADGRAD,
        gs.LAMB,
        gs.LARS,
        gs.ScheduleFreeAdamW,
    ],
    ids=str,
)
def test_every_storage_takes_scales_that_are_no_floats(method: Any, kind: str) -> None:
    """As one step of gradients that were scaled by hand, by a power of two."""
    dtype, storage, grad = KINDS[kind]
    start = floats(1, 9000, f4)
    ours, theirs = of_dtype(start, dtype), of_dtype(start, dtype)
    opt, opt2 = (method(w, lr=0.1, **storage) for w in (ours, theirs))
    lift = 2.0**-130 if grad == np.float16 else 2.0**-140
    for t in range(3):
        g = floats(10 + t, 9000, f4)
        large = of_dtype(g / f4(1 if grad == np.float16 else lift * 2.0**110), grad)
        scale = lift if grad != np.float16 else 2.0**130
        values = gs.from_bfloat16(large) if grad == gs.bfloat16 else large.astype(f4)
        opt.step(large, grad_scale=scale)
        with np.errstate(over="ignore"):
            opt2.step((values.astype(f8) * scale).astype(f4))
    assert ours.tobytes() == theirs.tobytes()
    for name, state in opt.state[0].items():
        assert np.asarray(state).tobytes() == np.asarray(opt2.state[0][name]).tobytes()


def test_maximize_and_groups_take_such_scales() -> None:
    up, down = np.zeros(5, f4), np.zeros(5, f4)
    opt = gs.SGD([{"params": up, "maximize": True}, {"params": down}], lr=1.0)
    opt.step([np.full(5, 1e30, f4), np.full(5, 1e30, f4)], grad_scale=1e-50)
    step = f4(float(f4(1e30)) * 1e-50)
    assert (up == step).all()
    assert (down == -step).all()


# -- rules that clip by themselves


@pytest.mark.parametrize(
    ("method", "size"),
    [(gs.LAMB, 1e-170), (gs.LAMB, 1e300)]  # Adan's squares of 1e-170 are 0
    + [(m, size) for m in (gs.LAMB, gs.Adan) for size in (1e-20, 1e20, 1e170)],
)
@pytest.mark.parametrize("outer", [None, 0.5])
def test_clipping_within_a_rule(method: Any, size: float, outer: float | None) -> None:
    """Twice as large gradients, clipped to the same norm, take the same steps."""
    eps = 0.0 if method is gs.Adan else 1e-6  # Adan adds it to the norm
    results = []
    for factor in (1.0, 4.0):
        w = np.ones(50)
        opt = method(w, lr=0.1, max_grad_norm=1e-3 if size > 1 else size / 8, eps=eps)
        how = {} if outer is None else {"clip_norm": outer * size}
        opt.step(factor * size * floats(1, 50, f8), **how)
        results.append(w)
    np.testing.assert_allclose(*results, rtol=1e-13)
    assert np.isfinite(results[0]).all()


# -- rules that read norms


POWERS = [-1000, -600, -565, -530, 0, 500, 510, 565, 900]


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("n", [1, 7, 5000])
@pytest.mark.parametrize("options", [{}, {"norm": "sum"}, {"form": "buffer"}], ids=str)
def test_lars_goes_by_any_norms(power: int, n: int, options: dict[str, Any]) -> None:
    """Parameter and gradient by one power of two: the step is by that power as well."""
    lift = 2.0**power
    results = []
    for scale in (1.0, lift):
        w = scale * floats(1, n, f8)
        opt = gs.LARS(w, lr=0.3, weight_decay=0.1, **options)
        for t in range(3):
            opt.step(scale * floats(2 + t, n, f8))
        results.append(w / scale)
    if power >= -900:
        assert results[0].tobytes() == results[1].tobytes()
    else:  # buffers that are near the smallest of doubles are rounded
        np.testing.assert_allclose(*results, rtol=1e-10)


@pytest.mark.parametrize("power", POWERS)
def test_lars_goes_by_gradients_far_from_its_parameters(power: int) -> None:
    results = []
    for scale in (1.0, 2.0**power):
        w = floats(1, 700, f8)
        gs.LARS(w, lr=0.3).step(scale * floats(2, 700, f8))
        results.append(w)
    np.testing.assert_allclose(*results, rtol=1e-15)


@pytest.mark.parametrize("power", [p for p in POWERS if p > -1000])
@pytest.mark.parametrize("n", [1, 7, 5000])
def test_lamb_goes_by_any_norm_of_its_parameter(power: int, n: int) -> None:
    results = []
    for scale in (1.0, 2.0**power):
        w = scale * floats(1, n, f8)
        opt = gs.LAMB(w, lr=0.3, weight_decay=0.0)
        for t in range(3):
            opt.step(floats(2 + t, n, f8))
        results.append(w / scale)
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize("size", [1e-170, 1e-200, 1e-300])
def test_lamb_goes_by_directions_whose_squares_vanish(size: float) -> None:
    """eps is all that is under the gradient, so the direction is g / |g|."""
    w = np.array([3.0, -4.0])
    gs.LAMB(w, lr=0.1, weight_decay=0.0, eps=1.0).step(size * np.array([1.0, 1.0]))
    np.testing.assert_allclose(w, np.array([3.0, -4.0]) - 0.5 / 2**0.5, rtol=1e-14)


def test_lamb_in_float32_takes_ratios_that_are_no_floats() -> None:
    w = np.full(9, 1e20, f4)
    opt = gs.LAMB(w, lr=0.1, weight_decay=0.0, eps=1.0)
    g = np.where(np.arange(9) % 2, 1e-30, 0).astype(f4)
    opt.step(g)
    step = 0.1 * 3e20 / 2  # of |w|, shared by four elements
    np.testing.assert_allclose(w[1::2], 1e20 - step, rtol=1e-6)
    assert (w[::2] == f4(1e20)).all()


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize(
    ("dtype", "size"), [(f8, 1e170), (f8, 1e300), (f8, 1e-8), (f4, 3e38), (f4, 1e-8)]
)
def test_sam_climbs_by_its_radius(dtype: Any, size: float, adaptive: bool) -> None:
    w = np.ones(400_000, dtype)
    opt = gs.SAM(w, functools.partial(gs.SGD, lr=0.1), rho=0.5, adaptive=adaptive)
    opt.first_step(np.full(400_000, size, dtype))
    norm = size * math.sqrt(400_000)
    expected = 1 + 0.5 * size / (norm + 1e-12)
    np.testing.assert_allclose(w.astype(f8), expected, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("power", [-565, 565])
def test_sums_of_parts_are_shared_at_either_end(power: int) -> None:
    """Half of an array, whose other half is alike, steps as the whole of it."""
    for method in (gs.LARS, gs.LAMB):
        whole, half = 2.0**power * np.ones(4), 2.0**power * np.ones(2)
        g = np.array([1.0, 2.0, 1.0, 2.0]) * (2.0**power if method is gs.LARS else 1)
        method(whole, lr=0.1).step(g, clip_norm=float(g.max()))
        opt = method(half, lr=0.1)
        opt.engine.set_share(lambda _, sums: np.multiply(sums, 2, out=sums))
        opt.step(g[:2], clip_norm=float(g.max()))
        assert half.tobytes() == whole[:2].tobytes()
