"""Steps on the CPU, and the same on a device: what both must agree in."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from cuda_bits import Tensors, difference

import gradstep.torch as gst
from stand_in import PROCESSORS, Machine, stand_in

Play = Callable[[], tuple[Any, Tensors]]  # returns an optimizer, and its parameters
SPECIAL = (0.0, -0.0, 1e-40, -1e-45, math.inf, -math.inf, math.nan, 3e38)


def agree(machine: Machine, play: Play, processors: int = PROCESSORS) -> Any:
    """Assert that a play ends with the same bits, and counts; return its optimizer."""
    ours, params = play()
    with stand_in(machine, processors):
        theirs, others = play()
        found = difference(ours, theirs, params, others)
        assert not found, found
        assert counts(ours) == counts(theirs)
    return theirs


def counts(opt: Any) -> list[int]:
    found: list[int] = opt._bound._progress.all()
    return found


def randn(shape: Any, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)


def params_of(shapes: Sequence[Any], dtype: torch.dtype = torch.float32) -> Tensors:
    return [randn(s, k, dtype).requires_grad_() for k, s in enumerate(shapes)]


def set_grads(params: Tensors, step: int, scale: float = 1.0) -> None:
    for k, p in enumerate(params):
        p.grad = randn(p.shape, 1000 * step + k, p.dtype) * scale


def play(name: str, shapes: Sequence[Any], *, steps: int = 2, **options: Any) -> Play:
    """Return steps of new parameters; options of a step are those in `how`."""
    how = options.pop("how", {})
    dtype = options.pop("dtype", torch.float32)

    def steps_taken() -> tuple[Any, Tensors]:
        params = params_of(shapes, dtype)
        opt = getattr(gst, name)(params, **options)
        for step in range(steps):
            set_grads(params, step)
            opt.step(**how)
        return opt, params

    return steps_taken
