"""Methods that an estimator has with some parameters only, and says why not."""

from collections.abc import Callable
from functools import update_wrapper, wraps
from types import MethodType
from typing import Any


class AvailableUnless:
    """A method that is absent where `reason` of the estimator returns a string.

    As `sklearn.utils.metaestimators.available_if`, so `hasattr` tells whether it is
    there; but the reason is in the message of the AttributeError itself, not in that of
    its cause alone.
    """

    def __init__(
        self, method: Callable[..., Any], reason: Callable[[Any], str | None]
    ) -> None:
        self._method, self._reason = method, reason
        update_wrapper(self, method)  # type: ignore[arg-type]  # as available_if does

    def _check(self, model: Any) -> None:
        reason = self._reason(model)
        if reason is not None:
            raise AttributeError(
                f"This {type(model).__name__!r} has no attribute "
                f"{self._method.__name__!r} with its parameters. {reason}"
            ) from AttributeError(reason)

    def __get__(self, model: Any, owner: type | None = None) -> Callable[..., Any]:
        if model is not None:
            self._check(model)
            return MethodType(self._method, model)

        @wraps(self._method)
        def unbound(model: Any, *args: Any, **kwargs: Any) -> Any:
            self._check(model)
            return self._method(model, *args, **kwargs)

        return unbound


def available_unless(
    reason: Callable[[Any], str | None],
) -> Callable[[Callable[..., Any]], AvailableUnless]:
    """Make a method absent where `reason` returns one."""
    return lambda method: AvailableUnless(method, reason)
