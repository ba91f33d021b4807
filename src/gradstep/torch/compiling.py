"""Methods at which `torch.compile` breaks the graph: C does their work."""

import functools
import inspect
from typing import Any

import torch


def break_graph_at(cls: type, *names: str) -> None:
    """Have torch.compile call methods of a class as they are, instead of tracing them.

    Traced, tensors would be stand-ins without memory. Done when the first optimizer of
    a class is made, as torch.compiler loads its compiler, which torch's optimizers do
    then, too.
    """
    for name in names:
        method: Any = getattr(cls, name, None)
        if inspect.isfunction(method) and not hasattr(method, "breaks_graph"):
            reason = f"gradstep.torch.{cls.__name__}.{name} is not traced"
            setattr(cls, name, _untraced(method, reason))


def _untraced(method: Any, reason: str) -> Any:
    call = torch.compiler.disable(method, reason=reason)

    # torch 2.8 loses self of a bound method that is itself disabled, in
    # torch.compile(optimizer.step).
    @functools.wraps(method)
    def untraced(self: Any, *args: Any, **options: Any) -> Any:
        return call(self, *args, **options)

    untraced.breaks_graph = True  # type: ignore[attr-defined]
    return untraced
