"""Methods at which `torch.compile` breaks the graph: C does their work."""

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
        if method is None or hasattr(method, "_torchdynamo_disable"):
            continue
        reason = f"gradstep.torch.{cls.__name__}.{name} is not traced"
        setattr(cls, name, torch.compiler.disable(method, reason=reason))
