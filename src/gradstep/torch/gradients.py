"""Gradients that are not simply like their parameter."""

from typing import Any

import torch

from gradstep.torch import tensors


def checked(where: str, p: Any, g: Any, *, sparse: bool) -> torch.Tensor:
    """Return our part of a gradient, dense or, where that is allowed, sparse_coo."""
    now = tensors.local(p)
    if tensors.is_distributed(p):
        g = _placed(where, p, g)
    if type(g) is not torch.Tensor:
        kind = type(g)
        raise TypeError(
            f"{where} must be a plain tensor, got {kind.__module__}.{kind.__qualname__}"
        )
    if g.dtype != now.dtype or g.shape != now.shape:
        raise TypeError(
            f"{where} is {g.dtype} of shape {tuple(g.shape)}, its parameter "
            f"{now.dtype} of shape {tuple(now.shape)}"
        )
    if g.layout is not torch.strided and not (sparse and g.layout is torch.sparse_coo):
        raise TypeError(
            f"{where} has layout {g.layout}; of sparse gradients only sparse_coo is "
            "taken, on the CPU, by SGD without momentum and by Adagrad, without "
            "weight_decay: pass sparse=False to the embedding"
        )
    return g


def _placed(where: str, p: Any, g: Any) -> Any:
    """Return the shard of a gradient that belongs to ours of its parameter."""
    if not tensors.is_distributed(g):
        raise TypeError(f"{where} must be a DTensor, as its parameter is")
    if g.placements != p.placements:
        g = g.redistribute(placements=p.placements)
    found = g.detach().to_local()
    return found.wait() if hasattr(found, "wait") else found


def in_order(g: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a gradient in the order of its parameter's elements, copied if need be."""
    there = g.stride() == like.stride() and g.device == like.device
    if there and not g.is_neg() and not g.is_conj():
        return g
    found = torch.empty_strided(
        like.shape, like.stride(), dtype=like.dtype, device=like.device
    )
    return found.copy_(g.detach())
