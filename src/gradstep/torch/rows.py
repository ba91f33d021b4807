"""Sparse gradients: only the rows that they touch are stepped."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gradstep import _core
from gradstep.torch import tensors
from gradstep.torch.slots import Slot


def may_be_sparse(slot: Slot, options: Mapping[str, Any]) -> bool:
    """Return whether elements without gradient stay as they are, states too.

    They are in our memory, where rows are stepped: on devices gradients are dense.
    """
    coded = slot.layout.param is not None or slot.layout.state is not None
    rests = slot.kernel.rests and not options.get("weight_decay")
    return rests and not coded and slot.param.device.type == "cpu"


def step(
    owner: str,
    slot: Slot,
    whole: Sequence[torch.Tensor],
    g: torch.Tensor,
    numbers: tuple[Any, ...],
    t: int,
) -> None:
    """Take step t + 1 of the rows of a coalesced gradient.

    whole : the parameter and its states. numbers : what `Engine.set_group` takes.
    """
    at = tuple(g.indices())
    parts = [x[at].contiguous() for x in whole]
    arrays = [tensors.flat(part) for part in parts]
    engine = _core.Engine(owner, (arrays[0],), (slot.where,), (0,), 1)
    engine.bind(0, slot.kernel, tuple(arrays[1:]))
    engine.set_group(0, *numbers)
    engine.bound()
    engine.set_t(0, t)
    engine.step([tensors.flat(g.values().contiguous())])
    for x, part in zip(whole, parts, strict=True):
        x[at] = part
