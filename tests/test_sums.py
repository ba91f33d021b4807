"""Rules that look at whole arrays: LAMB, LARS, Adai, SAM, and clipping by the norm."""

import functools
import math
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from support import floats

Array = Any
LARGE = 70_001  # many blocks, and shared out among threads


def run(cls: Any, threads: int, start: list[Array], **options: Any) -> list[Array]:
    """Parameters after some steps with so many threads."""
    before = gs.get_num_threads()
    gs.set_num_threads(threads)
    try:
        params = [p.copy() for p in start]
        opt = cls(params, **options)
        for k in range(5):
            opt.step([floats(9 * k + i, p.size, p.dtype) for i, p in enumerate(params)])
        return params
    finally:
        gs.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (gs.LAMB, {"max_grad_norm": 2.0}),
        (gs.LARS, {"weight_decay": 0.1}),
        (gs.Adai, {}),
        (gs.Adan, {"max_grad_norm": 2.0}),
    ],
)
def test_threads_do_not_change_a_bit(cls: Any, options: Any, dtype: Any) -> None:
    start = [floats(k, n, dtype) for k, n in enumerate((LARGE, 1, 4096, 20_000))]
    one = run(cls, 1, start, **options)
    for threads in (2, 3, 5):
        for a, b in zip(one, run(cls, threads, start, **options)):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_clipped_by_the_norm_of_all(dtype: Any) -> None:
    sizes = (LARGE, 5, 0, 4097)
    g = [floats(k, n, dtype) for k, n in enumerate(sizes)]
    norm = math.sqrt(math.fsum(float(x) ** 2 for a in g for x in a))
    for limit in (norm / 3, norm * 1.01):
        for eps in (0.0, 0.5):
            factor = min(1.0, limit / (norm + eps))
            clipped, plain = ([np.ones(n, dtype) for n in sizes] for _ in range(2))
            gs.Adan(clipped, max_grad_norm=limit, eps=eps).step(g)
            gs.Adan(plain, eps=eps).step([a * dtype(factor) for a in g])
            for a, b in zip(clipped, plain):
                np.testing.assert_allclose(a, b, rtol=4 * np.finfo(dtype).eps)


def test_each_group_has_its_own_limit_and_none_is_0() -> None:
    a, b, c = (np.ones(2) for _ in range(3))
    opt = gs.LAMB(
        [
            {"params": a, "max_grad_norm": 1.0},
            {"params": b, "max_grad_norm": 2.5},
            {"params": c},
        ],
        lr=0.0,
    )
    opt.step([np.array([3.0, 0.0]), np.array([0.0, 4.0]), np.zeros(2)])
    m = [s["m"] / 0.1 for s in opt.state]
    np.testing.assert_allclose(m[0], [3 / 5, 0], rtol=1e-14)
    np.testing.assert_allclose(m[1], [0, 4 / 2], rtol=1e-14)
    opt.step([np.zeros(2), np.zeros(2), np.array([30.0, 40.0])])
    np.testing.assert_allclose(opt.state[2]["m"] / 0.1, [30, 40], rtol=1e-14)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_norm_that_is_not_finite_shows(bad: float) -> None:
    w = np.ones(3)
    gs.Adan(w, max_grad_norm=1.0).step(np.array([1.0, bad, 1.0]))
    assert np.isnan(w).all()


def test_lamb_and_lars_take_ratio_1_where_a_norm_is_0() -> None:
    for cls, o in (gs.LAMB, {"weight_decay": 0.0}), (gs.LARS, {}):
        zero, w = np.zeros(3), np.ones(3)
        cls(zero, lr=0.5, **o).step(np.ones(3))
        np.testing.assert_allclose(zero, -0.5, rtol=1e-5)
        cls(w, lr=0.5, **o).step(np.zeros(3))
        assert (w == 1).all()


def test_norms_are_of_each_array_for_lamb_and_of_all_for_adai() -> None:
    a, b = np.full(4, 2.0), np.full(4, 8.0)
    gs.LAMB([a, b], lr=0.1, weight_decay=0.0, eps=0.0).step([np.ones(4), np.ones(4)])
    np.testing.assert_allclose([a[0], b[0]], [1.8, 7.2], rtol=1e-14)
    together, alone = [np.ones(2), np.ones(2)], np.ones(4)
    g = np.array([1.0, 2.0, 3.0, 4.0])
    gs.Adai(together, lr=0.1).step([g[:2], g[2:]])
    gs.Adai(alone, lr=0.1).step(g)
    np.testing.assert_allclose(np.concatenate(together), alone, rtol=1e-14)


SGD = functools.partial(gs.SGD, lr=0.1, momentum=0.5)


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_from_where_it_was(adaptive: bool) -> None:
    start = [np.array([3.0, -2.0]), np.array([[0.5]])]
    params = [p.copy() for p in start]
    opt = gs.SAM(params, SGD, rho=0.3, adaptive=adaptive)
    g = [np.array([1.0, -2.0]), np.array([[2.0]])]
    opt.first_step(g)
    scaled = [p * h if adaptive else h for p, h in zip(start, g)]
    norm = math.sqrt(sum((x**2).sum() for x in scaled))
    for p, s, h in zip(params, start, g):
        climb = 0.3 / norm * (s**2 * h if adaptive else h)
        np.testing.assert_allclose(p, s + climb, rtol=1e-12)
    opt.second_step([2 * h for h in g])
    for p, s, h in zip(params, start, g):
        assert p.tolist() == (s - 0.1 * (2 * h)).tolist()


def test_sam_is_called_in_turns_and_refuses_without_harm() -> None:
    w = np.array([3.0, -2.0])
    opt = gs.SAM(w, SGD)
    with pytest.raises(RuntimeError, match="call first_step first"):
        opt.second_step(w.copy())
    with pytest.raises(TypeError, match="SAM steps twice"):
        opt.step(w.copy())
    with pytest.raises(ValueError, match="shape"):
        opt.first_step(np.ones(3))
    assert w.tolist() == [3, -2]
    opt.first_step(w.copy())
    climbed = w.tobytes()
    for call in (opt.state_dict, lambda: opt.first_step(np.ones(2))):
        with pytest.raises(RuntimeError, match="call second_step first"):
            call()
    with pytest.raises(ValueError, match="shape"):
        opt.second_step(np.ones(3))
    assert w.tobytes() == climbed
    opt.second_step(np.array([1.0, 0.0]))
    assert w.tolist() == [3 - 0.1, -2]
    assert opt.state_dict()["base"]["state"][0]["step"] == 1


def test_sam_leaves_what_has_no_gradient_and_climbs_down_for_maximize() -> None:
    a, b = np.ones(2), np.ones(2)
    opt = gs.SAM([a, b], functools.partial(gs.SGD, lr=0.5, maximize=True), rho=0.5)
    opt.first_step([np.array([0.0, 3.0]), None])
    np.testing.assert_allclose(a, [1, 0.5], rtol=1e-11)
    b[:] = 7.0
    opt.second_step([np.array([0.0, 1.0]), None])
    assert a.tolist() == [1, 1.5]
    assert b.tolist() == [7, 7]


def test_sam_takes_gradients_that_can_be_read_once() -> None:
    a, b = np.ones(2), np.ones(2)
    opt = gs.SAM([a, b], SGD, rho=0.5)
    opt.first_step(g for g in [np.ones(2), np.zeros(2)])
    opt.second_step(g for g in [np.ones(2), np.zeros(2)])
    assert a.tolist() == [1 - 0.1, 1 - 0.1]
    averaged = gs.SAM([a], lambda p: gs.ScheduleFreeSGD(p, lr=0.1))
    averaged.first_step([np.ones(2)])
    averaged.base.eval()
    climbed = a.tobytes()
    with pytest.raises(RuntimeError, match=r"call train\(\) first"):
        averaged.second_step([np.ones(2)])
    assert a.tobytes() == climbed


def test_a_missing_base_is_named() -> None:
    with pytest.raises(TypeError, match="SAM: base is missing; pass what makes"):
        gs.SAM(np.ones(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_and_large_gradients_leave_the_range_of_no_coefficient(
    dtype: Any,
) -> None:
    # Means of squares are kept down to the smallest normal number.
    tiny = 1e-17 if dtype is np.float32 else 1e-100
    w, v = np.ones(4, dtype), np.ones(4, dtype)
    g = np.array([1.0, 2.0, 3.0, 4.0], dtype)
    small, plain = gs.Adai(w, lr=0.5), gs.Adai(v, lr=0.5)
    for _ in range(3):
        small.step(g * dtype(tiny))
        plain.step(g)
    for name in ("product",):
        np.testing.assert_allclose(
            small.state[0][name], plain.state[0][name], rtol=1e-4
        )
    gs.Adai(w).step(np.zeros(4, dtype))
    assert np.isfinite(w).all()
    w = np.ones(4, dtype)
    least = 1e-150 if dtype is np.float64 else np.finfo(dtype).smallest_normal
    gs.LARS(w, lr=1.0).step(np.full(4, least, dtype))
    np.testing.assert_allclose(w, 1 - 1e-3, rtol=1e-6)


def test_norms_of_what_is_not_finite_show() -> None:
    for cls in (gs.LARS, gs.LAMB):
        for bad in (math.nan, math.inf):
            w = np.ones(3)
            cls(w).step(np.array([1.0, bad, 2.0]))
            assert np.isnan(w).all(), cls
