"""The optimizers as `torch.optim.Optimizer`, stepped by the same kernels."""

from typing import Any

from gradstep.optimizer import OPTIMIZERS
from gradstep.torch.optimizer import Optimizer


def _made(method: Any) -> type[Optimizer]:
    name = method.__name__
    return type(
        name,
        (Optimizer,),
        {"method": method, "__module__": __name__, "__doc__": method.__doc__},
    )


CLASSES = {name: _made(method) for name, method in OPTIMIZERS.items()}
globals().update(CLASSES)

__all__ = ["Optimizer", *CLASSES]
