"""What all schedulers share: read-only attributes, and the choice of their class."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, Self

from gradstep.lr_scheduler import torch_classes
from gradstep.lr_scheduler.neighbours import register


class Base:
    """A scheduler; over an optimizer of torch also one of torch's.

    Attributes are read-only, because nothing would come of a change: a schedule's
    arguments are checked once, when it is built.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        if "verbose" in options or _has_one_more(cls, args):
            raise TypeError(
                f"{cls.__name__}: unexpected argument 'verbose', which torch has "
                "removed from its schedulers; print get_last_lr() after step() instead"
            )
        new: Self = object.__new__(
            torch_classes.chosen(cls, (*args, *options.values()))
        )
        return new

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        register(self)

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set; build a new scheduler"
            )
        super().__setattr__(name, value)


def _has_one_more(cls: type[Any], args: Sequence[Any]) -> bool:
    """Return whether a word or flag follows all arguments, as ``verbose`` once did."""
    code = getattr(cls.__init__, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARARGS:
        return False
    return len(args) == code.co_argcount and isinstance(args[-1], (bool, str))


def warn(message: str) -> None:
    """Warn, at the line of the caller's code that has called into gradstep."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").startswith("gradstep."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
