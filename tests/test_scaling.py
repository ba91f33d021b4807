"""What `step` does with gradients before the rule: scaling, clipping, skipping."""

import functools
import math
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import _core
from support import floats
from variants import HEAVY, MEAN, VARIANTS

variants = pytest.mark.parametrize("variant", VARIANTS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# Steps that Python takes apart: the averages of the one, the two halves of the other.
BASE = functools.partial(gs.Adam, lr=0.03, betas=(0.87, 0.95))


def arrays(dtype: type) -> list[np.ndarray]:
    return [floats(1, 33, dtype).reshape(3, 11), floats(2, 5000, dtype)]


def gradients(t: int, dtype: type) -> list[np.ndarray]:
    return [floats(10 * t, 33, dtype).reshape(3, 11), floats(10 * t + 1, 5000, dtype)]


def image(opt: gs.Optimizer) -> Any:
    """Return all that an optimizer is, as bytes."""

    def frozen(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return x.tobytes()
        if isinstance(x, dict):
            return {k: frozen(v) for k, v in x.items()}
        return [frozen(v) for v in x] if isinstance(x, list) else x

    params = [p for group in opt.param_groups for p in group["params"]]
    return frozen([params, opt.state_dict()])


def norm_of(grads: list[np.ndarray], scale: float) -> float:
    return math.sqrt(math.fsum(float(x) ** 2 for g in grads for x in g.ravel() * scale))


@variants
@dtypes
def test_scale_and_clipping_are_factors_of_the_gradients(
    variant: str, dtype: type
) -> None:
    cls, options = VARIANTS[variant]
    ours, theirs = (cls(arrays(dtype), **options) for _ in range(2))
    for t in range(1, 4):
        grads = gradients(t, dtype)
        ours.step(grads, grad_scale=0.75, clip_norm=3.0)
        factor = ours.last_step.clip_factor
        assert factor < 0.5
        # Rules that clip too see the same norm in either, up to rounding.
        theirs.step(grads, grad_scale=0.75 * factor)
    for p, q in zip(
        ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True
    ):
        if ours.clipping(ours.param_groups[0])[0]:
            # An ulp of the factor is one of each gradient; parameters are up to 2.
            np.testing.assert_allclose(p, q, rtol=1e-6, atol=1e-6)
        else:
            assert p.tobytes() == q.tobytes()


@dtypes
def test_the_report_is_of_scaled_gradients(dtype: type) -> None:
    opt = gs.AdamW(arrays(dtype))
    assert opt.last_step == (None, 1.0, None, False)
    grads = gradients(1, dtype)
    opt.step(grads, grad_scale=0.125, clip_norm=0.4)
    norm = norm_of(grads, 0.125)
    assert opt.last_step.grad_norm == pytest.approx(norm, rel=1e-13)
    assert opt.last_step.clip_factor == pytest.approx(0.4 / (norm + 1e-6), rel=1e-13)
    assert opt.last_step[2:] == (0, False)
    opt.step(grads)
    assert opt.last_step == (None, 1.0, None, False)
    opt.step(grads, clip_norm=math.inf)
    assert opt.last_step == (pytest.approx(norm * 8, rel=1e-13), 1.0, 0, False)
    opt.step(grads, clip_norm=1e9)
    assert opt.last_step.clip_factor == 1.0


def test_maximize_turns_gradients_after_all_that() -> None:
    up, down = np.ones(4), np.ones(4)
    g = np.array([3.0, 0.0, 4.0, 0.0])
    gs.SGD(up, lr=0.5, maximize=True).step(g, grad_scale=2.0, clip_norm=1.0)
    gs.SGD(down, lr=0.5).step(-g, grad_scale=2.0, clip_norm=1.0)
    assert up.tobytes() == down.tobytes()
    np.testing.assert_allclose(up, [1.3, 1.0, 1.4, 1.0], rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_neither_norm_nor_step(threads: int) -> None:
    grads = [floats(3, 300_001, np.float32), floats(4, 7, np.float32)]
    found = []
    for n in (1, threads):
        before = gs.get_num_threads()
        gs.set_num_threads(n)
        opt = gs.Adam([np.ones_like(g) for g in grads])
        opt.step(grads, grad_scale=0.3, clip_norm=0.7)
        gs.set_num_threads(before)
        found.append((image(opt), opt.last_step))
    assert found[0] == found[1]


def test_squares_beyond_all_doubles_do_not_matter() -> None:
    w = np.zeros(2)
    opt = gs.SGD(w, lr=1.0)
    opt.step(np.array([3e200, -4e200]), clip_norm=2.5e200)
    assert opt.last_step == (pytest.approx(5e200), pytest.approx(0.5), 0, False)
    np.testing.assert_allclose(w, [-1.5e200, 2e200])


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1.0, 3.0])
def test_nor_does_a_scale_that_brings_them_back(scale: float) -> None:
    w = np.zeros(4)
    opt = gs.SGD(w, lr=1.0)
    opt.step(np.full(4, 1e200), grad_scale=scale, clip_norm=1.0)
    assert opt.last_step.grad_norm == pytest.approx(2e200 * scale)
    np.testing.assert_allclose(w, -0.5)


# -- what is not finite


def spoilt(dtype: type, where: int, bad: float) -> list[np.ndarray]:
    grads = gradients(4, dtype)
    grads[1][where] = bad
    return grads


@variants
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_skipped_step_changes_nothing(variant: str, bad: float) -> None:
    cls, options = VARIANTS[variant]
    opt = cls(arrays(np.float32), **options)
    opt.step(gradients(1, np.float32))
    before = image(opt)
    for where in (0, 2047, 4999):
        opt.step(spoilt(np.float32, where, bad), nonfinite="skip")
        assert opt.last_step.skipped
        assert opt.last_step.nonfinite == 1
        assert math.isnan(opt.last_step.grad_norm or 0.0)
        with pytest.raises(FloatingPointError, match=f"^{cls.__name__}.step: grads"):
            opt.step(spoilt(np.float32, where, bad), nonfinite="raise", clip_norm=1.0)
        assert image(opt) == before
    opt.step(gradients(2, np.float32), nonfinite="skip")
    assert not opt.last_step.skipped
    assert image(opt) != before


@variants
@dtypes
def test_looking_for_what_is_not_finite_changes_no_bit(
    variant: str, dtype: type
) -> None:
    cls, options = VARIANTS[variant]
    ours, theirs = (cls(arrays(dtype), **options) for _ in range(2))
    for t in range(1, 4):
        ours.step(gradients(t, dtype), nonfinite="raise")
        theirs.step(gradients(t, dtype))
    assert image(ours) == image(theirs)


def test_a_scale_that_leads_beyond_all_numbers_is_seen() -> None:
    w = np.ones(3, np.float32)
    opt = gs.SGD(w, lr=0.1)
    opt.step(np.array([1.0, 1e38, -1e38], np.float32), grad_scale=8, nonfinite="skip")
    assert opt.last_step.nonfinite == 2
    assert w.tolist() == [1, 1, 1]


def test_by_default_it_shows_in_the_parameters() -> None:
    w = np.ones(3)
    opt = gs.Adam(w)
    opt.step(np.array([1.0, math.inf, 2.0]))
    assert np.isfinite(w).tolist() == [True, False, True]


def test_what_is_skipped_does_not_count_as_a_step() -> None:
    opt = gs.Adam([np.ones(3), np.ones(2)])
    opt.step([np.ones(3), None])
    opt.step([np.full(3, math.nan), np.ones(2)], nonfinite="skip")
    assert [s["step"] for s in opt.state] == [1, 0]


# -- steps in several parts


def test_adans_path_rests_with_a_skipped_step() -> None:
    opt = gs.Adan(np.ones(3), lr=0.1, restart_radius=0.5)
    opt.step(np.ones(3))
    before = image(opt)
    opt.step(np.full(3, math.nan), nonfinite="skip")
    assert image(opt) == before


def test_schedule_free_averages_rest_with_their_base() -> None:
    w = np.ones(3)
    opt = gs.ScheduleFree(w, BASE, weight_decay_at_y=0.2)
    opt.step(np.ones(3), clip_norm=0.5)
    assert opt.last_step.clip_factor == pytest.approx(0.5 / 3**0.5, rel=1e-5)
    before = image(opt)
    opt.step(np.array([1.0, math.inf, 1.0]), nonfinite="skip")
    assert opt.last_step.skipped
    with pytest.raises(FloatingPointError, match=r"Adam\.step: grads have 1 elements"):
        opt.step(np.array([1.0, math.inf, 1.0]), nonfinite="raise")
    assert image(opt) == before


def test_sam_goes_back_where_its_base_skips() -> None:
    w = np.ones(3)
    opt = gs.SAM(w, BASE)
    opt.first_step(np.ones(3))
    up = w.copy()
    with pytest.raises(FloatingPointError):
        opt.second_step(np.full(3, math.nan), nonfinite="raise")
    assert w.tobytes() == up.tobytes()
    opt.second_step(np.full(3, math.nan), nonfinite="skip")
    assert w.tolist() == [1, 1, 1]
    assert opt.last_step.skipped


# -- refusals


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"clip_norm": 0}, ValueError, r"clip_norm must be in \(0, inf\], or None"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be .*, got -1.0"),
        ({"clip_norm": math.nan}, ValueError, "clip_norm must be .*, got nan"),
        ({"clip_norm": "1"}, TypeError, "clip_norm must be a real number, got str"),
        ({"grad_scale": 0}, ValueError, r"grad_scale must be in \(0, inf\), got 0"),
        ({"grad_scale": math.inf}, ValueError, "grad_scale must be .*, got inf"),
        ({"grad_scale": None}, TypeError, "grad_scale must be a real number"),
        ({"nonfinite": "ignore"}, ValueError, "nonfinite must be one of 'propagate'"),
        ({"clip": 1.0}, TypeError, "unknown argument 'clip'; it has grad_scale"),
    ],
)
def test_arguments_are_refused_by_name(
    how: dict[str, Any], error: type[Exception], message: str
) -> None:
    opt = gs.Adam(np.ones(3), **MEAN)
    before = image(opt)
    for method in (opt.step, opt.check_grads):
        with pytest.raises(error, match=f"^Adam.step: {message}"):
            method(np.ones(3), **how)
    assert image(opt) == before


def test_check_grads_reports_what_step_would() -> None:
    opt = gs.SGD(np.ones(3), **HEAVY)
    before = image(opt)
    g = np.array([2.0, 3.0, 6.0])
    found = opt.check_grads(g, clip_norm=3.5)
    assert found.grad_norm == 7.0
    assert image(opt) == before
    opt.step(g, clip_norm=3.5)
    assert opt.last_step == found


def test_sums_of_parts_can_be_shared() -> None:
    whole, half = np.ones(4), np.ones(2)
    gs.LAMB(whole, lr=0.1, max_grad_norm=0.3).step(np.array([1.0, 2.0, 1.0, 2.0]))
    opt = gs.LAMB(half, lr=0.1, max_grad_norm=0.3)

    def share(which: list[int], sums: np.ndarray) -> None:
        assert which == [0]
        sums *= 2

    opt.engine.set_share(share)
    opt.step(np.array([1.0, 2.0]))
    np.testing.assert_allclose(half, whole[:2], rtol=1e-15)
    assert isinstance(opt.engine, _core.Engine)


def test_where_parts_cannot_be_shared_nothing_is_stepped() -> None:
    def fail(which: list[int], sums: np.ndarray) -> None:
        raise ConnectionError(which)

    opt = gs.Adan([np.ones(2), np.ones(3)], max_grad_norm=0.3)
    opt.engine.set_share(fail)
    before = image(opt)
    with pytest.raises(ConnectionError, match=r"\[1\]"):
        opt.step([None, np.ones(3)])
    assert image(opt) == before
