"""Gradients that are not simply like their parameter."""

from typing import Any

import torch

from gradstep.torch import tensors


def checked(where: str, p: Any, g: Any, *, sparse: bool) -> torch.Tensor:
    """Return our part of a gradient, dense or, where that is allowed, sparse_coo."""
    param = tensors.local(p)
    if tensors.is_distributed(p):
        g = _placed(where, p, g)
    if type(g) not in tensors.PLAIN:
        kind = type(g)
        raise TypeError(
            f"{where} must be a plain tensor, got {kind.__module__}.{kind.__qualname__}"
        )
    if g.dtype != param.dtype or g.shape != param.shape:
        raise TypeError(
            f"{where} is {g.dtype} of shape {tuple(g.shape)}, its parameter "
            f"{param.dtype} of shape {tuple(param.shape)}; set p.grad to a tensor of "
            "that dtype and shape"
        )
    if g.layout is torch.sparse_coo and sparse:
        return _valid_sparse(where, g)
    if g.layout is not torch.strided:
        raise TypeError(
            f"{where} has layout {g.layout}; of sparse gradients only sparse_coo is "
            "taken, on the CPU, by SGD without momentum and by Adagrad, without "
            "weight_decay: pass sparse=False to the embedding"
        )
    if not g._is_zerotensor():  # noqa: SLF001  # zeros without memory can be copied
        tensors.check_memory(where, g)
    return g.detach()


def _valid_sparse(where: str, g: torch.Tensor) -> torch.Tensor:
    """Return a sparse gradient whose indices are inside its shape.

    torch checks them only if asked to, and both its coalesce and a step would write to
    whatever they point at.
    """
    try:
        return torch.sparse_coo_tensor(
            g._indices(),  # noqa: SLF001  # those of an uncoalesced tensor
            g._values(),  # noqa: SLF001
            g.shape,
            is_coalesced=g.is_coalesced(),
            check_invariants=True,
        )
    except RuntimeError as error:
        raise ValueError(
            f"{where} is no valid sparse tensor: {error}; build it with "
            "check_invariants=True to find where it comes from"
        ) from error


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
    in_place = g.stride() == like.stride() and g.device == like.device
    is_lazy = g.is_neg() or g.is_conj() or g._is_zerotensor()  # noqa: SLF001
    if in_place and not is_lazy:
        return g
    copied = torch.empty_strided(
        like.shape, like.stride(), dtype=like.dtype, device=like.device
    )
    return copied.copy_(g)
