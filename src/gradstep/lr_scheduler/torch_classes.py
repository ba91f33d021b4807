"""Schedulers over torch's optimizers as instances of torch's scheduler classes.

`accelerate`, `transformers`, Lightning and skorch ask ``isinstance(scheduler,
torch.optim.lr_scheduler.LRScheduler)``. So a scheduler that is built over an optimizer
of torch gets a class that derives from ours and from torch's of the same name. Nothing
here loads torch: an optimizer of torch exists only where torch is loaded.
"""

import functools
import inspect
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from gradstep.state import read_count


def chosen(cls: type[Any], arguments: Iterable[Any]) -> type[Any]:
    """Return the class to build, from the arguments of the constructor."""
    arguments = tuple(arguments)
    optim = sys.modules.get("torch.optim")
    is_of_torch = hasattr(optim, "lr_scheduler") and any(
        _is_of_torch(optim, argument) for argument in arguments
    )
    if issubclass(cls, TorchScheduler):
        if arguments and not is_of_torch:
            raise TypeError(
                f"{cls.__name__}: gradstep.torch.lr_scheduler has the schedulers of "
                f"torch's optimizers, got {type(arguments[0]).__name__}; use "
                f"gradstep.lr_scheduler.{cls.__name__}"
            )
        return cls
    return torch_class(cls) if is_of_torch else cls


def _is_of_torch(optim: Any, argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):  # of schedulers
        return any(_is_of_torch(optim, part) for part in argument)
    kinds = (optim.Optimizer, optim.lr_scheduler.LRScheduler)
    return isinstance(argument, kinds)


class TorchScheduler:
    """What code for torch's schedulers reads and writes, beside the methods."""

    _ours: type[Any]

    @property
    def _step_count(self) -> int:
        """Calls of `step`, plus one for the constructor; accelerate adds to it."""
        steps: float = self.last_epoch  # type: ignore[attr-defined]  # of ours
        added: int = vars(self).get("_added_count", 0)
        return math.floor(steps) + 1 + added

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        vars(self)["_added_count"] = 0
        vars(self)["_added_count"] = count - self._step_count

    @property
    def _last_lr(self) -> list[float]:
        return self.get_lr()

    def get_lr(self) -> list[float]:
        """Return what `get_last_lr` does."""
        rates: list[float] = self.get_last_lr()  # type: ignore[attr-defined]  # of ours
        return rates

    def _get_closed_form_lr(self) -> list[float]:
        # In the place of torch's, which expects torch's attributes.
        rates: list[float] = self.values(self.last_epoch)  # type: ignore[attr-defined]
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with the count that accelerate looks at."""
        state: dict[str, Any] = super().state_dict()  # type: ignore[misc]  # of ours
        return state | {"_step_count": self._step_count}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state of ours, or of torch's scheduler of the same name."""
        count = None
        if isinstance(state_dict, Mapping) and "_step_count" in state_dict:
            where = f"{type(self).__name__}.load_state_dict: _step_count"
            count = read_count(where, state_dict["_step_count"])
        super().load_state_dict(state_dict)  # type: ignore[misc]  # of ours
        vars(self)["_added_count"] = 0
        if count is not None:
            self._step_count = count

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # By the class that `torch_class` derives from, which can be imported.
        cls = type(self)
        return new, (cls._ours if torch_class(cls._ours) is cls else cls,), vars(self)


def new(cls: type[Any]) -> Any:
    """Return a scheduler over an optimizer of torch without its state, for pickle."""
    of_torch = cls if issubclass(cls, TorchScheduler) else torch_class(cls)
    return object.__new__(of_torch)


_CLASSES: dict[type[Any], type[Any]] = {}


def torch_class(cls: type[Any]) -> type[Any]:
    """Return the class that derives from one of ours and from torch's."""
    if cls not in _CLASSES:
        _CLASSES[cls] = _derived(cls)
    return _CLASSES[cls]


def _derived(cls: type[Any]) -> type[Any]:
    import torch.optim.lr_scheduler as theirs  # noqa: PLC0415  # optional

    names = [c.__name__ for c in cls.__mro__ if c.__module__.startswith("gradstep.")]
    base = next(getattr(theirs, name) for name in names if hasattr(theirs, name))
    # Methods of torch's class that have the name of an argument, as CyclicLR.scale_fn.
    hidden = [name for name in inspect.signature(cls).parameters if name in vars(base)]
    members = {
        "_ours": cls,
        "__module__": "gradstep.torch.lr_scheduler",
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        **{name: property(functools.partial(_argument, name)) for name in hidden},
    }
    return type(cls.__name__, (TorchScheduler, cls, base), members)


def _argument(name: str, scheduler: Any) -> Any:
    # As if torch's class had no such attribute.
    return scheduler.__getattr__(name)
