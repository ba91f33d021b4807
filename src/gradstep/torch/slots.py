"""Parameters that can be bound, and what is kept beside each."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from gradstep import _core, storage
from gradstep.assembly import find_kernel
from gradstep.storage import Field, Layout
from gradstep.torch import tensors
from gradstep.torch.names import state_name


class Slot(NamedTuple):
    """A parameter that has taken a step, or is about to take its first."""

    where: str  # for messages
    number: int  # among all
    group: int
    param: Any
    kernel: _core.Kernel
    layout: Layout

    def expected(self, field: Field) -> dict[str, Any]:
        """Return type and shape of a tensor that is kept beside the parameter."""
        shape = self.param.shape
        if field.per > 1:
            shape = torch.Size([-(-self.param.numel() // field.per)])
        return {
            "dtype": tensors.tensor_dtype(field.dtype, self.param),
            "shape": shape,
        }

    def kept(self, owner: str, method: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the states that a parameter has, checked; those that lack are None."""
        found: dict[str, Any] = {}
        for name, field in self.layout.fields.items():
            key = state_name(method.__name__, name)
            value = entry.get(key)
            if value is not None:
                where = f"{owner}: state{self.where}[{key!r}]"
                tensors.check(where, value, known=None)
                for what, wanted in self.expected(field).items():
                    if getattr(value, what) != wanted:
                        raise ValueError(
                            f"{where} has {what} {getattr(value, what)}, expected "
                            f"{wanted} beside its parameter"
                        )
            found[name] = value
        return found


def bindable(
    owner: str,
    method: Any,
    groups: list[dict[str, Any]],
    state: Mapping[Any, Any],
    options: list[dict[str, Any]],
) -> Iterator[Slot]:
    """Yield what has a gradient or a state, checked, with what it is stepped by."""
    number = -1
    for j, group in enumerate(groups):
        rule = method.rule(options[j])
        names = group.get("param_names")
        for k, p in enumerate(group["params"]):
            number += 1
            if p.grad is None and not state.get(p):
                continue
            which = f"[{j}]['params'][{k}]"
            which += f" ({names[k]})" if names else ""
            where = f"{owner}: param_groups{which}"
            tensors.check(where, p)
            dtype = tensors.array_dtype(p)
            kernel = find_kernel(where, rule, np.empty(0, dtype))
            layout = storage.layout(where, kernel, dtype, options[j])
            _check_layout(where, p, layout)
            method.check_starts(options[j], dtype)
            yield Slot(which, number, j, p, kernel, layout)


def _check_layout(where: str, p: Any, layout: Layout) -> None:
    """Refuse what is kept in other pieces than its parameter."""
    pieces = any(field.per > 1 for field in layout.fields.values())
    if pieces and tensors.is_distributed(p):
        raise ValueError(
            f"{where} is a DTensor, whose shards do not end where scales do; use "
            "state_dtype='bfloat16'"
        )
    if layout.state is not None and p.is_complex():
        raise ValueError(
            f"{where} is complex, so state_dtype must be None; pass "
            "torch.view_as_real(p) as the parameter"
        )
