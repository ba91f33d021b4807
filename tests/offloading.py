"""Offloaded optimizers beside those that they wrap, stepped by the same gradients."""

from typing import Any

import torch
from torch import Tensor

import gradstep.torch as gst
from adapter_processes import same
from variants import VARIANTS

SHAPES = ((3, 4), (5,), (2, 3, 4, 5), (7,), ())
STORAGES: dict[str, tuple[torch.dtype, dict[str, Any]]] = {
    "float32": (torch.float32, {}),
    "master": (torch.bfloat16, {"master": "float32"}),
    "random": (torch.bfloat16, {"rounding": "stochastic", "state_dtype": "bfloat16"}),
}
CLIPPED: dict[str, Any] = {"clip_norm": 0.7, "nonfinite": "skip"}


def values(seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    found = [torch.randn(shape, generator=draws).to(dtype) for shape in SHAPES]
    found[2] = found[2].to(memory_format=torch.channels_last)
    return found


def parameters(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [t.requires_grad_() for t in values(0, dtype)]


def make(variant: str, params: list[Tensor], **more: Any) -> gst.Optimizer:
    """Return an optimizer of two groups that differ in the rate."""
    kind, options = VARIANTS[variant]
    groups = [{"params": params[:3]}, {"params": params[3:], "lr": options["lr"] / 2}]
    made: gst.Optimizer = getattr(gst, kind.__name__)(groups, **options, **more)
    return made


def backward(params: list[Tensor], grads: list[Tensor]) -> None:
    """Let autograd find these gradients."""
    sum((p * g).sum().float() for p, g in zip(params, grads, strict=True)).backward()


def pair(overlap: bool = False, **more: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    """Return AdamW offloaded and plain, and the parameters of both."""
    p, q = parameters(), parameters()
    more = {"bucket_bytes": 32} | more
    opt = gst.CPUOffload(make("adamw", p), overlap=overlap, **more)
    return opt, make("adamw", q), p, q


def both(opt: Any, other: Any, p: Any, q: Any, steps: range, **how: Any) -> None:
    for t in steps:
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, values(t))
            one.step(**how)


def assert_same(opt: Any, other: Any, p: list[Tensor], q: list[Tensor]) -> None:
    for a, b in zip(p, q, strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
    assert same(opt.state_dict(), other.state_dict())
