"""Samples of bfloat16 and float16 tensors that are rounded to nearest."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gradstep import storage
from gradstep.precision import ARRAYS, ELEMENTS, NOTHING, Look
from gradstep.torch import tensors
from gradstep.torch.slots import Slot


def rounded(slots: Sequence[Slot]) -> list[Slot]:
    """Return the parameters whose steps rounding to nearest may lose."""
    return [
        slot
        for slot in slots
        if slot.layout.param in ("bf16", "f16")
        and storage.MASTER not in slot.layout.fields
        and tensors.local(slot.param).numel()
    ]


class Samples:
    """Elements of parameters, as they are now."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots[:: -(-len(slots) // ARRAYS)]
        self._elements = [_sample(slot.param) for slot in self._slots]

    def largest_rate(self, groups: Sequence[Mapping[str, Any]]) -> float:
        """Return the largest lr of their groups."""
        return max(_rate(groups[slot.group]) for slot in self._slots)

    def look(self, groups: Sequence[Mapping[str, Any]]) -> Look:
        """Return what they have done, by their gradients and the rates of groups."""
        look = NOTHING
        for slot, before in zip(self._slots, self._elements, strict=True):
            g, lr = slot.param.grad, _rate(groups[slot.group])
            if g is None or g.layout is not torch.strided or not lr:
                continue
            changed = before.view(torch.int16) != _sample(slot.param).view(torch.int16)
            gradient = _sample(g).float()
            look = look.with_sample(gradient.numpy(), changed.numpy(), lr)
        return look


def _rate(group: Mapping[str, Any]) -> float:
    return float(group.get("lr", 1.0))


def _sample(t: torch.Tensor) -> torch.Tensor:
    """Return a copy of some elements, on the host, in the order of their indices."""
    line = tensors.local(t).detach().reshape(-1)
    return line[:: -(-line.numel() // ELEMENTS)].to("cpu", copy=True)
