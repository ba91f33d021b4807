"""What single rules promise beyond their formula."""

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


def test_centered_rmsprop_outlives_gradients_that_hardly_vary() -> None:
    """torch's parameter is NaN after some 1300 such steps."""
    rng = np.random.default_rng(0)
    w = np.ones(64, np.float32)
    opt = gs.RMSprop(w, lr=1e-5, centered=True)
    for _ in range(3000):
        opt.step((0.7 * (1 + 1e-5 * rng.standard_normal(64))).astype(np.float32))
        assert np.isfinite(w).all()


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
