"""What single rules promise beyond their formula."""

import math
from typing import Any

import numpy as np
import pytest

import gradstep as gs
import reference
from gradstep import _core
from support import NUMPY, floats, hyper_of, kernels, label, step_by

CENTERED = [k for k in kernels() if "centered" in k.rule]


@pytest.mark.parametrize("kernel", CENTERED, ids=label)
def test_a_variance_that_rounds_below_zero_is_zero(kernel: _core.Kernel) -> None:
    n, dtype = 33, NUMPY[kernel.dtype]
    p, g, gbar = (floats(k, n, dtype) for k in (1, 2, 3))
    # Such that after the step the mean square is a little less than the squared mean.
    hyper = hyper_of(kernel) | {"weight_decay": 0.0, "alpha": 1 - 2.0**-40}
    states = {"v": gbar**2 * dtype(0.99), "gbar": gbar, "b": floats(4, n, dtype)}
    states = {name: states[name] for name in kernel.state}
    wide = {k: v.astype(np.float64) for k, v in {"p": p, "g": g, **states}.items()}
    expected = reference.RULES[kernel.rule](t=2, **wide, **hyper)
    step_by(kernel, p, g, list(states.values()), hyper, 2)
    assert (expected["v"] < expected["gbar"] ** 2).all()
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p, expected["p"], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("initial", [0.0, 0.75])
@pytest.mark.parametrize("placement", ["outside", "inside"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_first_corrected_variance_is_exact(
    dtype: Any, initial: float, placement: str, momentum: float
) -> None:
    """(v_1 - gbar_1^2 / left) / left with left = 1 - alpha: what v_0 leaves of it."""
    w, g = np.zeros(999, dtype), floats(1, 999, dtype)
    eps = 2.0**-20
    opt = gs.RMSprop(
        w,
        lr=1.0,
        alpha=0.9,
        eps=eps,
        momentum=momentum,
        centered=True,
        bias_correction=True,
        eps_placement=placement,
        initial_accumulator_value=initial,
    )
    opt.step(g)
    variance = 0.9 * initial / (1 - 0.9)
    root = math.sqrt(variance + eps) if placement == "inside" else None
    divisor = root or math.sqrt(variance) + eps
    np.testing.assert_allclose(w, -g / divisor, rtol=4 * np.finfo(dtype).eps)


def test_the_first_step_by_a_variance_of_zero_is_the_gradient_over_eps() -> None:
    w = np.array([0.1, 2.0, -2.0], np.float32)
    opt = gs.RMSprop(w, lr=1e-8, eps=1e-8, centered=True, bias_correction=True)
    opt.step(np.array([0.4, 0.3, 0.2], np.float32))
    np.testing.assert_allclose(w, [-0.3, 1.7, -2.2], rtol=1e-6)


def test_centered_rmsprop_outlives_gradients_that_hardly_vary() -> None:
    """torch's parameter is NaN after some 1300 such steps."""
    rng = np.random.default_rng(0)
    w = np.ones(64, np.float32)
    opt = gs.RMSprop(w, lr=1e-5, centered=True)
    for _ in range(3000):
        opt.step((0.7 * (1 + 1e-5 * rng.standard_normal(64))).astype(np.float32))
        assert np.isfinite(w).all()


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("rectify", [False, True])
def test_adabelief_like_the_paper_is_algorithm_2(amsgrad: bool, rectify: bool) -> None:
    """Zhuang et al., arXiv:2010.07468, with one epsilon; AMSGrad is their option."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(9)
    options = {"lr": 0.03, "betas": (0.87, 0.95), "rectify": rectify}
    opt = gs.AdaBelief(
        w, **options, eps_acc=1e-3, eps_out=1e-3, amsgrad=amsgrad, like="paper"
    )
    p, m, s, largest = w.copy(), np.zeros(9), np.zeros(9), np.zeros(9)
    for t in range(1, 12):
        g = rng.standard_normal(9)
        m = 0.87 * m + (1 - 0.87) * g
        s = 0.95 * s + (1 - 0.95) * (g - m) ** 2 + 1e-3
        largest = np.maximum(largest, s) if amsgrad else s
        shat = largest / (1 - 0.95**t)
        p = p - 0.03 * m / (1 - 0.87**t) / (np.sqrt(shat) + 1e-3)
        opt.step(g)
        np.testing.assert_allclose(w, p, rtol=1e-12)


def test_adagrads_sum_starts_where_each_group_says() -> None:
    a, b, c = (np.ones(2) for _ in range(3))
    opt = gs.Adagrad(
        [{"params": a}, {"params": b, "initial_accumulator_value": 33.0}],
        lr=0.5,
        eps=0.0,
        initial_accumulator_value=9.0,
    )
    opt.add_param_group({"params": c, "initial_accumulator_value": 0.0})
    opt.step([np.full(2, 4.0)] * 3)
    assert a.tolist() == [1 - 0.5 * 4 / 5] * 2  # 9 + 16 = 5 squared
    assert b.tolist() == [1 - 0.5 * 4 / 7] * 2  # 33 + 16 = 7 squared
    assert c.tolist() == [0.5] * 2
    assert [s["sum"][0] for s in opt.state] == [25.0, 49.0, 16.0]


def test_rmsprop_keeps_its_mean_square_when_momentum_comes_late() -> None:
    w = np.ones(3)
    opt = gs.RMSprop(w, lr=0.1)
    for _ in range(4):
        opt.step(np.ones(3))
    v = opt.state[0]["v"].copy()
    opt.momentum = 0.5
    opt.step(np.ones(3))
    state = opt.state[0]
    assert state["step"] == 5
    assert state["v"].tolist() == (0.99 * v + (1 - 0.99)).tolist()
    assert (state["b"] > 0).all()


def test_adai_stays_put_while_all_gradients_are_zero() -> None:
    """A mean of 0 divides nothing; the authors' code is NaN from then on."""
    w = np.ones(3)
    opt = gs.Adai(w, lr=0.1)
    opt.step(np.zeros(3))
    assert w.tolist() == [1, 1, 1]
    opt.step(np.array([1.0, 2.0, 3.0]))
    assert (w < 1).all()


@pytest.mark.parametrize("curvature", [0.3, 1.0, 10.0, 100.0])
def test_adai_converges_below_three_over_the_largest_curvature(
    curvature: float,
) -> None:
    """As its docstring says; the default of 1 is above that at a curvature of 10."""
    curvatures = np.geomspace(curvature / 10, curvature, 10)

    def end(lr: float) -> float:
        w = np.ones(10)
        opt = gs.Adai(w, lr=lr)
        for _ in range(2000):
            opt.step(curvatures * w)
        return float(abs(w).max())

    with np.errstate(over="ignore", invalid="ignore"):
        assert end(3 / curvature) < 1e-3
        assert not end(10 / curvature) < 1e-3


def test_adan_forgets_at_a_restart() -> None:
    w = np.array([3.0, -2.0])
    opt = gs.Adan(w, lr=0.1)
    for k in range(4):
        opt.step(w + k)
    opt.restart()
    fresh = w.copy()
    other = gs.Adan(fresh, lr=0.1)
    for k in range(4):
        opt.step(w - k)
        other.step(fresh - k)
    assert w.tobytes() == fresh.tobytes()
    assert opt.state[0]["step"] == 4


@pytest.mark.parametrize("like", ["paper", "official"])
def test_adan_restarts_when_the_papers_condition_holds(like: str) -> None:
    """Per group: k sum of sqrt(n) (p' - p)^2 > R^2, found by hand beside it."""
    rng = np.random.default_rng(0)
    groups = [
        [rng.standard_normal(3), rng.standard_normal(2)],
        [rng.standard_normal(4)],
    ]
    radii = (0.3, 0.0)
    opt = gs.Adan(
        [{"params": p, "restart_radius": r} for p, r in zip(groups, radii)],
        lr=0.1,
        like=like,
    )
    path, t, restarts = 0.0, 0, 0
    for k in range(30):
        before = [p.copy() for p in groups[0]]
        opt.step([[np.sin(p + k) for p in group] for group in groups])
        t += 1
        restarted = opt.state[0]["step"] == 0
        if not restarted:
            n = [s["n"] for s in opt.state[:2]]
            moved = zip(n, before, groups[0])
            path += sum((np.sqrt(a) * (q - p) ** 2).sum() for a, p, q in moved)
            assert t * path <= 0.3**2
            assert math.isclose(sum(s["path"] for s in opt.state[:2]), path)
        else:
            assert all((s["n"] == 0).all() for s in opt.state[:2])
            path, t, restarts = 0.0, 0, restarts + 1
    assert 2 <= restarts < 20
    assert opt.state[2]["step"] == 30


def test_adans_path_survives_a_checkpoint() -> None:
    def fit(stop: int | None) -> tuple[np.ndarray, int]:
        w, restarts = np.array([3.0, -2.0]), 0
        opt = gs.Adan(w, lr=0.1, restart_radius=0.3)
        for k in range(30):
            if k == stop:
                saved, opt = opt.state_dict(), gs.Adan(w, restart_radius=0.3)
                opt.load_state_dict(saved)
            opt.step(np.sin(w + k))
            restarts += opt.state[0]["step"] == 0
        return w, restarts

    (whole, n), (cut, m) = fit(None), fit(7)
    assert whole.tobytes() == cut.tobytes()
    assert n == m > 0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_madgrad_at_the_edges(momentum: float) -> None:
    for eps in (0.0, 1e-6):
        w = np.array([1.0, 2.0])
        opt = gs.MADGRAD(w, lr=0.1, momentum=momentum, eps=eps)
        opt.step(np.array([0.0, 1.0]))
        assert w[0] == 1  # 0/0 is 0
        assert 0 < w[1] < 2
    w = np.array([1.0, 2.0])
    opt = gs.MADGRAD(w, lr=0.0, momentum=momentum, weight_decay=0.3)
    for _ in range(3):
        opt.step(np.array([5.0, -1.0]))
    assert w.tolist() == [1, 2]


def test_madgrads_momentum_comes_and_goes() -> None:
    """z is the same for all momentum, and only x0 says where it began."""
    w, z = np.ones(5), np.ones(5)
    switched, plain = gs.MADGRAD(w, lr=0.1), gs.MADGRAD(z, lr=0.1, momentum=0.0)
    for k, momentum in enumerate([0.9, 0.0, 0.5, 0.0]):
        switched.param_groups[0]["momentum"] = momentum
        g = np.sin(w + k)
        before = w.copy()
        switched.step(g)
        plain.step(g)
        np.testing.assert_allclose(w, momentum * before + (1 - momentum) * z, 1e-14)
        assert switched.state[0]["step"] == k + 1


def test_what_cannot_be_changed_after_a_step_is_not() -> None:
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (gs.Rprop, {"variant": "rprop+"}, "variant"),
        (gs.Rprop, {"lr": 0.5}, "lr"),
        (gs.ScheduleFreeAdamW, {"inner_momentum": 0.5}, "whether inner_momentum is 0"),
        (gs.ScheduleFreeAdamW, {"betas": (0.8, 0.9)}, "beta1"),
        (gs.ScheduleFreeSGD, {"momentum": 0.7}, "momentum"),
        (gs.SGD, {"form": "velocity"}, "form"),
        (gs.RMSprop, {"centered": True}, "centered"),
        (gs.Adagrad, {"initial_accumulator_value": 1.0}, "initial_accumulator_value"),
    ]
    for cls, change, name in cases:
        w, v = np.ones(3), np.ones(3)
        opt = cls(w)
        opt.param_groups[0].update(change)
        opt.step(np.ones(3))  # before the first step it may
        cls(v, **change).step(np.ones(3))
        assert w.tobytes() == v.tobytes(), cls
        before = w.tobytes()
        opt.param_groups[0].update({k: cls.options[k].default for k in change})
        with pytest.raises(ValueError, match=f"{name} cannot change after a step"):
            opt.step(np.ones(3))
        assert w.tobytes() == before


def test_adans_restart_forgets_the_path_of_every_array() -> None:
    a, b = np.ones(2), np.ones(2)
    opt = gs.Adan([a, b], lr=0.5, restart_radius=100.0)
    opt.step([np.ones(2), np.ones(2)])
    assert all(s["path"] > 0 for s in opt.state)
    opt.restart()
    assert [(s["step"], s["path"]) for s in opt.state] == [(0, 0.0)] * 2


def test_madgrad_begins_where_the_first_step_finds_the_parameter() -> None:
    for cls in (gs.MADGRAD, gs.MirrorMADGRAD):
        w, v = np.zeros(2), np.full(2, 5.0)
        opt = cls(w, lr=0.1)
        w[:] = 5
        opt.step(np.ones(2))
        cls(v, lr=0.1).step(np.ones(2))
        assert w.tobytes() == v.tobytes()


def test_rprops_bounds_are_in_order() -> None:
    for bad, words in {
        "etas": ((0.5, 0.9), "below and one above 1"),
        "step_sizes": ((2.0, 1.0), r"\(least, most\)"),
    }.items():
        with pytest.raises(ValueError, match=f"Rprop: {bad} must be .*{words[1]}"):
            gs.Rprop(np.ones(2), **{bad: words[0]})


def test_radam_of_the_authors_waits_without_decay() -> None:
    w, v = np.ones(3), np.ones(3)
    options = {"lr": 0.1, "weight_decay": 0.5, "decoupled_weight_decay": True}
    waiting = gs.RAdam(w, like="official", **options)
    stepping = gs.RAdam(v, like="torch", **options)
    for _ in range(5):  # rho is 4.996 at step 5
        waiting.step(np.ones(3))
        stepping.step(np.ones(3))
    assert (w == 1).all()
    assert (v < 1).all()
    waiting.step(np.ones(3))
    assert (w < 1).all()


def test_nadams_schedule_cools_down_for_ever() -> None:
    w = np.ones(2)
    opt = gs.NAdam(w, momentum_decay=1e6)
    for _ in range(3):
        opt.step(np.ones(2))
    assert np.isfinite(w).all()
    assert opt.state[0]["mu_product"] == pytest.approx(0.9**3, rel=1e-15)
