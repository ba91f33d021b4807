"""States beside parameters, as they are before a step: new, moved, or taken over."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gradstep.torch import tensors
from gradstep.torch.names import state_name
from gradstep.torch.slots import Slot


def complete(
    owner: str,
    method: Any,
    slots: Sequence[Slot],
    closed: Sequence[torch.Tensor | None],
    kept: Sequence[dict[str, Any]],
) -> None:
    """Put new states where some lack, or lie in another order than what is stepped.

    closed : copies that are stepped in the place of parameters.
    """
    wanted = []
    for slot, copy, entry in zip(slots, closed, kept, strict=True):
        like = slot.param if copy is None else copy
        for name, value in entry.items():
            field = slot.layout.fields[name]
            if value is None or not _fits(value, like, per=field.per):
                _check_order(owner, method, slot, name, value, like)
                wanted.append((entry, name, like, field))
    # All at once: small ones lie side by side.
    made = tensors.zeros_like([(like, field) for _, _, like, field in wanted])
    for (entry, name, *_), new in zip(wanted, made, strict=True):
        then = entry[name]
        entry[name] = new if then is None else new.copy_(then)


def _fits(value: Any, like: Any, *, per: int) -> bool:
    """Return whether a state can be stepped where it is."""
    value, like = tensors.local(value), tensors.local(like)
    return value.device == like.device and (per > 1 or value.stride() == like.stride())


def _check_order(
    owner: str, method: Any, slot: Slot, name: str, value: Any, like: Any
) -> None:
    """Refuse codes that would have to be moved away from their scales."""
    moves = value is not None and value.stride() != like.stride()
    if moves and slot.layout.state == "blocks" and slot.layout.fields[name].per == 1:
        key, order = state_name(method.__name__, name), slot.param.stride()
        raise ValueError(
            f"{owner}: state{slot.where}[{key!r}] has strides {value.stride()}, its "
            f"parameter {order}, and scales are of 256 elements in the order of "
            "memory; keep the memory format, or use state_dtype='bfloat16'"
        )


def any_begun(slot: Slot, kept: Mapping[str, Any]) -> int:
    """Return 1 if a state of a parameter is not zero, so that it has taken a step."""
    names = slot.kernel.state
    return int(any(bool(tensors.local(kept[name]).any()) for name in names))


def number(entry: Mapping[str, Any], name: str, shown: Mapping[int, float]) -> float:
    """Return a number in an entry of `optimizer.state`, 0 if it lacks.

    shown : what tensors show, by their identity, of which that is known.
    """
    value = entry.get(name, 0.0)
    return shown[id(value)] if id(value) in shown else float(value)


def count(where: str, entry: Mapping[str, Any], shown: Mapping[int, float]) -> int:
    """Return the count of steps in an entry, checked."""
    value = number(entry, "step", shown)
    if not 0 <= value < 2**53:
        raise ValueError(f"{where}['step'] must be a count >= 0, got {value}")
    return int(value)
