"""What a step is told, and finds out, on the device: as on the CPU.

There it is told by numbers that kernels read, of which Python never hears.
"""

import math
from typing import Any

import pytest
import torch
from cuda_bits import Tensors, difference

import gradstep.torch as gst
from agreement import agree, counts, params_of, play, randn, set_grads
from interpreted import Interpreter
from stand_in import stand_in

HOW: list[dict[str, Any]] = [
    {"grad_scale": 0.125},
    {"clip_norm": 1.0},
    {"clip_norm": 1e9},
    {"clip_norm": 0.5, "grad_scale": 3.0, "nonfinite": "skip"},
    {"nonfinite": "skip"},
]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("name", ["Adam", "LAMB"])
def test_scaled_and_clipped(name: str, how: Any, interpreter: Interpreter) -> None:
    agree(interpreter, play(name, [(7,), (300,), (33, 65)], lr=0.1, how=how))


def test_norms_to_the_last_bit(interpreter: Interpreter) -> None:
    """Of numbers of all sizes, whose sum depends on the order of additions."""
    x = torch.randn(
        300, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    norms: list[float] = []

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(300,)])
        opt = gst.SGD(params, lr=0.1)
        for k in range(8):
            params[0].grad = (x.roll(k) * 2.0 ** -(x * 5).abs()).float()
            opt.step(clip_norm=1.0)
            norms.append(opt.last_step.grad_norm)
        return opt, params

    agree(interpreter, steps)
    assert norms[:8] == norms[8:]
    assert len(set(norms)) > 3


@pytest.mark.parametrize("how", [{"clip_norm": 1.0}, *HOW[3:]], ids=str)
def test_what_is_not_finite(how: Any, interpreter: Interpreter) -> None:
    """Found in the second step, which is skipped where that is asked for."""

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,), (3,)])
        opt = gst.Adam(params, lr=0.1)
        for step in range(3):
            set_grads(params, step)
            if step == 1:
                params[1].grad[5:7] = torch.tensor([math.inf, math.nan])
            opt.step(**how)
            if step == 1:
                assert opt.last_step.nonfinite == 2
                assert opt.last_step.skipped == ("nonfinite" in how)
        return opt, params

    opt = agree(interpreter, steps)
    assert counts(opt) == [2 if "nonfinite" in how else 3] * 3


def test_squares_that_leave_the_range_of_double(interpreter: Interpreter) -> None:
    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,)], torch.float64)
        opt = gst.Adam(params, lr=0.1)
        for step in range(2):
            set_grads(params, step, 1e200)
            opt.step(clip_norm=1.0, nonfinite="skip")
            assert 1e200 < opt.last_step.grad_norm < 1e203
            assert opt.last_step.nonfinite == 0
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize(
    ("name", "dtype", "scale", "how"),
    [
        ("Adam", torch.float64, 1e-170, {"clip_norm": 1e-171}),
        ("Adam", torch.float64, 1e307, {"clip_norm": 1e-3}),
        ("Adam", torch.float64, 1e-100, {"clip_norm": 1e-180, "grad_scale": 1e-80}),
        ("Adam", torch.float32, 3e37, {"clip_norm": 1e-5}),
        ("Adam", torch.float32, 1e30, {"grad_scale": 1e-50}),
        ("Adam", torch.float32, 1e-38, {"grad_scale": 1e39, "clip_norm": 1.0}),
        ("Adam", torch.float32, 1.0, {"grad_scale": 1e-170, "clip_norm": 1e-175}),
        ("Adam", torch.bfloat16, 3e37, {"clip_norm": 1e-5}),
        ("LAMB", torch.float64, 1e-170, {"clip_norm": 1e-171}),
        ("LAMB", torch.float32, 3e37, {"clip_norm": 1e-5}),
        ("LARS", torch.float64, 1e-170, {}),
        ("LARS", torch.float64, 1e170, {"nonfinite": "skip"}),
        ("LARS", torch.float32, 3e37, {"grad_scale": 1e-50}),
    ],
)
def test_norms_and_scales_at_both_ends(
    name: str, dtype: torch.dtype, scale: float, how: Any, interpreter: Interpreter
) -> None:
    reports: list[Any] = []

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,), (33, 65)], dtype)
        opt = getattr(gst, name)(params, lr=0.1)
        for step in range(2):
            set_grads(params, step, scale)
            opt.step(**how)
            reports.append(opt.last_step)
        return opt, params

    agree(interpreter, steps)
    assert reports[:2] == reports[2:]
    assert all(not r.nonfinite and not r.skipped for r in reports)
    assert all(r.grad_norm or r.grad_norm is None for r in reports)


def test_two_ends_in_one_step(interpreter: Interpreter) -> None:
    """Parameters and directions of LAMB, of float32 and float64, of all sizes."""

    def steps() -> tuple[Any, Tensors]:
        sizes = (1e-170, 1.0, 1e170)
        params = [
            (randn((300,), k, torch.float64) * size).requires_grad_()
            for k, size in enumerate(sizes)
        ]
        params.append(randn((300,), 9).requires_grad_())
        opt = gst.LAMB(params, lr=0.1, weight_decay=0.0, eps=1.0)
        for step in range(2):
            set_grads(params, step)
            params[step + 1].grad *= 1e-165
            opt.step(clip_norm=1.0)
        assert all(p.isfinite().all() for p in params)
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["Adam", "LAMB"])
def test_a_rate_that_is_on_the_device(
    name: str, dtype: torch.dtype, interpreter: Interpreter
) -> None:
    """It changes there between steps, and only kernels know."""

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,)])
        rate = torch.tensor(0.1, dtype=dtype)
        opt = getattr(gst, name)(params[:1], lr=rate)
        opt.add_param_group({"params": params[1:], "lr": 0.3})
        for step in range(3):
            set_grads(params, step)
            rate.fill_(0.1 / (1 + step))
            opt.step()
        return opt, params

    opt = agree(interpreter, steps)
    ((rate, _),) = opt._bound._on_device._rates
    assert rate is opt.param_groups[0]["lr"]


@pytest.mark.parametrize("how", [{}, {"clip_norm": 0.5}], ids=str)
def test_what_grad_scaler_tells(how: Any, interpreter: Interpreter) -> None:
    """Its gradients are still scaled; a step with one that is not finite is none."""
    shapes, scale, found = [(7,), (300,)], torch.tensor(1000.0), torch.tensor(0.0)
    params, others = params_of(shapes), params_of(shapes)
    ours, theirs = gst.Adam(params, lr=0.1), gst.Adam(others, lr=0.1)
    with stand_in(interpreter):
        assert theirs._step_supports_amp_scaling
        theirs.grad_scale, theirs.found_inf = scale, found
        for step in range(4):
            for of in (params, others):
                set_grads(of, step)
                for k, p in enumerate(of):
                    p.grad = randn(p.shape, 10 * step + k) * float(scale)
            found.fill_(step == 1)
            theirs.step(**how)
            if step != 1:
                ours.step(grad_scale=1 / float(scale), **how)
                assert not how or repr(ours.last_step) == repr(theirs.last_step)
            scale.fill_(700.0 if step == 1 else 1000.0)
        assert counts(ours) == counts(theirs) == [3, 3]
    # Only one of them was asked for a report.
    ours._last = theirs._last
    assert not difference(ours, theirs, params, others)


def test_counts_that_users_change(interpreter: Interpreter) -> None:
    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,), (5,)])
        opt = gst.Adam(params, lr=0.1)
        for step in range(4):
            set_grads(params, step)
            opt.step()
            if step == 1:
                opt.state[params[1]]["step"].fill_(100)
            if step == 2:
                opt.state[params[2]]["step"] = torch.tensor(7.0)
        return opt, params

    assert counts(agree(interpreter, steps)) == [4, 102, 8]


def test_counts_past_what_float32_holds(interpreter: Interpreter) -> None:
    """The exact one goes on where the one that users see stands still."""

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,)])
        opt = gst.Adam(params, lr=0.1)
        for step in range(4):
            set_grads(params, step)
            opt.step()
            if step == 0:
                opt.state[params[0]]["step"].fill_(2.0**24 - 1)
        return opt, params

    agree(interpreter, steps)
