"""`step(grad_scale=, clip_norm=, nonfinite=)` of tensors."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gradstep as gs
import gradstep.torch as gst
from adapter_processes import ALL
from variants import MEAN, VARIANTS

SHAPES = ((3, 4), (5,), ())


def tensors(seed: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=draws) for shape in SHAPES]


def image(opt: torch.optim.Optimizer) -> list[Any]:
    states = [opt.state[p] for p in opt.param_groups[0]["params"]]
    found = [*opt.param_groups[0]["params"], *(t for s in states for t in s.values())]
    return [t.detach().numpy().tobytes() for t in found]


@pytest.mark.parametrize("variant", ALL)
def test_scaled_and_clipped_steps_have_the_bits_of_arrays(variant: str) -> None:
    kind, options = VARIANTS[variant]
    ours, arrays = tensors(1), [t.numpy().copy() for t in tensors(1)]
    opt = getattr(gst, kind.__name__)(ours, **options)
    other = kind(arrays, **options)
    how: Any = {"grad_scale": 0.75, "clip_norm": 0.9, "nonfinite": "skip"}
    for t in range(2, 6):
        grads = tensors(t)
        if t == 4:
            grads[1][3] = math.inf
        for p, g in zip(ours, grads, strict=True):
            p.grad = g
        opt.step(**how)
        other.step([g.numpy() for g in grads], **how)
        assert opt.last_step.skipped == (t == 4)
        assert opt.last_step[1:] == other.last_step[1:]
        for p, a in zip(ours, arrays, strict=True):
            assert p.numpy().tobytes() == a.tobytes()


@pytest.mark.parametrize(
    ("dtype", "size", "how"),
    [
        (torch.float64, 1e-170, {"clip_norm": 1e-171}),
        (torch.float64, 1e300, {"clip_norm": 1e-3}),
        (torch.float32, 3e37, {"clip_norm": 1e-5}),
        (torch.float32, 1e30, {"grad_scale": 1e-50}),
        (torch.float32, 1e-30, {"grad_scale": 1e50, "clip_norm": 1.0}),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "LAMB", "LARS"])
def test_norms_and_scales_at_both_ends_have_the_bits_of_arrays(
    name: str, dtype: torch.dtype, size: float, how: Any
) -> None:
    ours = [t.to(dtype) for t in tensors(1)]
    arrays = [t.numpy().copy() for t in ours]
    opt, other = getattr(gst, name)(ours, lr=0.1), getattr(gs, name)(arrays, lr=0.1)
    for t in (2, 3):
        for p, g in zip(ours, tensors(t), strict=True):
            p.grad = size * g.to(dtype)
        opt.step(**how)
        other.step([p.grad.numpy() for p in ours], **how)
        assert opt.last_step == other.last_step
        for p, a in zip(ours, arrays, strict=True):
            assert p.isfinite().all()
            assert p.numpy().tobytes() == a.tobytes()


def test_the_step_is_that_of_clip_grad_norm_and_does_not_write_gradients() -> None:
    ours, theirs = tensors(1), tensors(1)
    for p, q, g in zip(ours, theirs, tensors(2), strict=True):
        p.grad, q.grad = g.clone(), g.clone()
    opt = gst.AdamW(ours, lr=0.1)
    opt.step(clip_norm=0.5)
    norm = nn.utils.clip_grad_norm_(theirs, 0.5)
    torch.optim.AdamW(theirs, lr=0.1).step()
    assert opt.last_step.grad_norm == pytest.approx(float(norm), rel=1e-6)
    torch.testing.assert_close(ours, theirs)
    for p, g in zip(ours, tensors(2), strict=True):
        assert torch.equal(p.grad, g)


def test_a_step_that_is_not_finite_is_refused_whole() -> None:
    ours = tensors(1)
    opt = gst.Adam(ours, **MEAN)
    for t in (2, 3):
        for p, g in zip(ours, tensors(t), strict=True):
            p.grad = g
        opt.step()
    before = image(opt)
    ours[1].grad[0] = math.nan
    with pytest.raises(FloatingPointError, match=r"^Adam\.step: grads have 1 elements"):
        opt.step(nonfinite="raise")
    assert image(opt) == before
    with pytest.raises(ValueError, match=r"^Adam\.step: clip_norm must be in"):
        opt.step(clip_norm=-1.0)
    assert image(opt) == before


def test_the_first_step_may_be_one_that_is_skipped() -> None:
    p = torch.ones(3)
    p.grad = torch.full((3,), math.nan)
    opt = gst.Adam([p])
    opt.step(nonfinite="skip")
    assert opt.last_step == pytest.approx((math.nan, 1.0, 3, True), nan_ok=True)
    assert p.tolist() == [1, 1, 1]
    assert float(opt.state[p]["step"]) == 0
    p.grad = torch.ones(3)
    opt.step()
    q = np.ones(3, np.float32)
    gs.Adam(q).step(np.ones(3, np.float32))
    assert p.numpy().tobytes() == q.tobytes()
    assert opt.last_step == (None, 1.0, None, False)


def test_sparse_gradients_are_refused_with_scaling() -> None:
    p = torch.ones(4, 2)
    p.grad = torch.sparse_coo_tensor(
        [[1]], torch.ones(1, 2), (4, 2), check_invariants=True
    )
    opt = gst.SGD([p], lr=0.1)
    with pytest.raises(
        TypeError, match="is sparse, so step can neither scale nor clip"
    ):
        opt.step(clip_norm=1.0)
    assert p.tolist() == torch.ones(4, 2).tolist()
    opt.step()
    assert p[1].tolist() == pytest.approx([0.9, 0.9])
