"""`torch.optim.Optimizer` over the kernels: what all generated classes share."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from gradstep.state import own_keys
from gradstep.torch.bound import Bound

# What torch's own classes take beside the options of their rule, and what is ours of it:
# a step is always fused, on the CPU, and no part of the graph.
INERT: dict[str, tuple[Any, ...]] = {
    "foreach": (None, True, False),
    "fused": (None, True, False),
    "capturable": (False,),
    "differentiable": (False,),
}


class Optimizer(torch.optim.Optimizer):
    """Base of the optimizers of `gradstep.torch`: see one of them for how to use it."""

    method: ClassVar[Any]  # the class of NumPy's side

    def __init__(self, params: Any, **options: Any) -> None:
        owner = type(self).__name__
        inert = {k: options.pop(k) for k in INERT if k in options}
        self._check_inert(inert)
        defaults = self.method.checked(_plain(options)) | _tensors(options)
        self._bound: Bound | None = None
        super().__init__(params, defaults | dict.fromkeys(("foreach", "fused")) |
                         {"capturable": False, "differentiable": False} | inert)

    @classmethod
    def _check_inert(cls, given: dict[str, Any]) -> None:
        for name, value in given.items():
            if not any(value is known for known in INERT[name]):
                raise ValueError(
                    f"{cls.__name__}: {name} must be one of {INERT[name]}, got {value!r}"
                )
        if given.get("foreach") and given.get("fused"):
            raise ValueError(
                f"{cls.__name__}: foreach and fused cannot both be True; leave them out"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, as in torch."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._options(group)
        except BaseException:
            self.param_groups.pop()
            raise

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return a group's options in the form that the rule takes them."""
        own = {k: v for k, v in own_keys(group).items() if k not in INERT}
        self._check_inert({k: group[k] for k in INERT if k in group})
        known: dict[str, Any] = self.method.checked(_plain(own))
        return known

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, in place; return what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._bound is None or not self._bound.step(self.param_groups, self.state):
            self._bind()
        return loss

    @torch.no_grad()
    def _bind(self) -> None:
        """Take a step of what the tensors are now."""
        self._bound = None
        options = [self._options(group) for group in self.param_groups]
        if all(p.grad is None for g in self.param_groups for p in g["params"]):
            return
        fresh = not self.state
        bound = Bound(
            *(type(self).__name__, self.method, self.param_groups),
            *(self.state, options),
        )
        if fresh and self._is_no_step():
            self._bound = bound
            return
        if not bound.step(self.param_groups, self.state):
            raise RuntimeError(
                f"{type(self).__name__}.step: parameters or options changed while the "
                "step began; take turns"
            )
        self._bound = bound

    def _is_no_step(self) -> bool:
        """Return whether this is torch.distributed.checkpoint, which makes states by a
        step with lr 0 on gradients of zeros: what is saved then must not count it."""
        return all(
            not _number(group.get("lr", 1.0))
            and all(p.grad is None or not p.grad.any() for p in group["params"])
            for group in self.param_groups
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._bound = None
        for group in self.param_groups:
            for name, value in self.method.default_options.items():
                group.setdefault(name, value)
            for name, known in INERT.items():
                group.setdefault(name, known[0])


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with numbers in place of tensors of one element."""
    return {name: _number(value) for name, value in options.items()}


def _number(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_number, value))
    if not torch.is_tensor(value):
        return value
    if value.numel() != 1:
        raise ValueError(
            f"a tensor as an option must have one element, got shape "
            f"{tuple(value.shape)}"
        )
    return value.item()


def _tensors(options: dict[str, Any]) -> dict[str, Any]:
    """Return those that are tensors, or hold some: they stay as they are given."""
    return {
        name: value for name, value in options.items() if _number(value) is not value
        and (torch.is_tensor(value) or any(map(torch.is_tensor, value)))
    }
