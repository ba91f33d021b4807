"""Whether CUDA takes the CPU's steps: bits of all rules and storages, torch's tools.

Parts of `cuda_check.py`. Each case is stepped on both, with the same numbers.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

import gradstep.torch as gst
from gradstep.optimizer import OPTIMIZERS
from gradstep.torch import cuda, device, kernels
from gradstep.torch.tensors import code

# By name: type of parameters, and options of storage.
STORAGES: dict[str, tuple[torch.dtype, dict[str, Any]]] = {
    "float32": (torch.float32, {}),
    "float64": (torch.float64, {}),
    "bfloat16": (torch.bfloat16, {}),
    "float16": (torch.float16, {}),
    "bfloat16, master": (torch.bfloat16, {"master": "float32"}),
    "float16, master": (torch.float16, {"master": "float32"}),
    "bfloat16, split": (torch.bfloat16, {"master": "split"}),
    "bfloat16, stochastic": (torch.bfloat16, {"rounding": "stochastic", "seed": 7}),
    "bfloat16 states": (torch.float32, {"state_dtype": "bfloat16"}),
    "uint8 states": (torch.float32, {"state_dtype": "uint8"}),
    "split, uint8 states": (
        torch.bfloat16,
        {"master": "split", "state_dtype": "uint8"},
    ),
    "complex64": (torch.complex64, {}),
}
SIZES = (1, 3, 8, 255, 256, 1000, 4097, 140_000)
STEPS = 5
Tensors = list[torch.Tensor]
# Beside the defaults, so that other kernels run, too.
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "dampening": 0.1, "maximize": True}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("AdaBelief", {"amsgrad": True}),
    ("Adan", {"max_grad_norm": 1.0}),
    ("LAMB", {"weight_decay": 0.1}),
    ("MADGRAD", {"momentum": 0.0}),
)


def params_of(
    dtype: torch.dtype, where: str, sizes: tuple[int, ...] = SIZES
) -> Tensors:
    """Return parameters of odd sizes; some are not aligned, one not in C order."""
    found, g = [], torch.Generator().manual_seed(0)
    for k, n in enumerate(sizes):
        x = torch.randn(n + k % 2, generator=g, dtype=torch.float64).to(dtype)
        p = x.to(where)[k % 2 :] if k % 4 == 1 else x.to(where)
        found.append(p.detach().requires_grad_())
    channels = torch.randn(4, 3, 5, 6, generator=g, dtype=torch.float64).to(dtype)
    last = channels.to(where).to(memory_format=torch.channels_last)
    return [*found, last.detach().requires_grad_()]


def set_grads(params: Tensors, step: int, *, special: bool = False) -> None:
    """Set gradients of a step: the same on all devices."""
    g = torch.Generator().manual_seed(100 + step)
    for k, p in enumerate(params):
        x = torch.randn(p.shape, generator=g, dtype=torch.float64) * 10.0 ** (k % 7 - 3)
        if special and k == 4:
            x.view(-1)[:8] = torch.tensor(
                [0.0, -0.0, 1e-40, -1e-45, math.inf, -math.inf, math.nan, 3e38]
            ).to(x)
        p.grad = None if (step, k) == (2, 3) else x.to(p.dtype).to(p.device)


def bits(t: torch.Tensor) -> torch.Tensor:
    """Return the bits of a tensor, the same for all that is not a number."""
    plain = torch.view_as_real(t) if t.is_complex() else t
    known = plain.detach().cpu().contiguous().reshape(-1)
    if known.is_floating_point():
        known = torch.where(known.isnan(), torch.full_like(known, math.nan), known)
    return known.view(torch.uint8)


def difference(ours: Any, theirs: Any, params: Tensors, others: Tensors) -> str:
    """Return the first place where two optimizers have other bits, or nothing."""
    for k, (p, q) in enumerate(zip(params, others, strict=True)):
        one = {"parameter": p, **ours.state.get(p, {})}
        other = {"parameter": q, **theirs.state.get(q, {})}
        if one.keys() != other.keys():
            return f"tensor {k} has {list(one)}, the other {list(other)}"
        for name, t in one.items():
            pair = bits(t), bits(other[name])
            if not torch.equal(*pair):
                return f"tensor {k}, {name}: {_first(*pair, t, other[name])}"
    reports = [repr(opt.last_step) for opt in (ours, theirs)]
    return "" if reports[0] == reports[1] else " is not ".join(reports)


def _first(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, u: torch.Tensor) -> str:
    if a.shape != b.shape:
        return f"shape {tuple(t.shape)} is not {tuple(u.shape)}"
    at = int((a != b).nonzero()[0]) // t.element_size()
    one, other = (x.detach().contiguous().reshape(-1)[at].item() for x in (t, u))
    return f"element {at} of {t.numel()}: {one!r} is not {other!r}"


def stepped(
    name: str,
    storage: str,
    options: dict[str, Any],
    *,
    where: str = "cpu",
    sizes: tuple[int, ...] = SIZES,
    steps: int = STEPS,
    **how: Any,
) -> tuple[Any, Tensors]:
    """Return an optimizer that has taken steps there, and its parameters."""
    dtype, kept = STORAGES[storage]
    params = params_of(dtype, where, sizes)
    opt = getattr(gst, name)(params, **options, **kept)
    for step in range(steps):
        set_grads(params, step, special=step == steps - 1 and not how)
        opt.step(**how)
    return opt, params


def agree(name: str, storage: str, options: dict[str, Any], **how: Any) -> bool:
    """Return whether the CPU and the GPU take the same steps."""
    pair = [stepped(name, storage, options, where=w, **how) for w in ("cpu", "cuda")]
    (ours, params), (theirs, others) = pair
    found = difference(ours, theirs, params, others)
    if found:
        print(f"  {name}, {storage}, {options or how}: {found}")
    return not found


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every optimizer with every storage that it takes, and more options."""
    for name, options in [*((name, {}) for name in OPTIMIZERS), *VARIANTS]:
        for storage in STORAGES:
            if not (storage == "complex64" and name in ("Rprop",)):
                yield name, storage, options


def kinds(name: str, storage: str, options: dict[str, Any]) -> set[kernels.Kind]:
    """Return what has to be compiled for a case."""
    dtype, kept = STORAGES[storage]
    params = [torch.zeros(2, dtype=dtype).requires_grad_()]
    params[0].grad = torch.ones_like(params[0])
    opt = getattr(gst, name)(params, **options, **kept)
    opt.step()
    return set(device.kinds_of(opt._bound._slots[0], code(params[0])))


def compile_all(arch: int) -> int:
    """Compile what all cases need, in processes; return how many kernels that is."""
    needed = sorted({kind for case in cases() for kind in kinds(*case)}, key=str)
    sources = [kernels.measuring(), *map(kernels.source, needed)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for _ in pool.map(cuda.cubin, sources, [arch] * len(sources), chunksize=4):
            pass
    return len(sources)
