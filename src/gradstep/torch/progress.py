"""How many steps parameters have taken, and the numbers that their rules keep."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gradstep import _core


class Progress:
    """Counts and numbers of each parameter: C keeps them, `optimizer.state` shows."""

    def __init__(
        self, engine: _core.Engine, kernels: Sequence[_core.Kernel], *, counted: bool
    ) -> None:
        self._engine = engine
        self.counted = counted
        self.counts = np.zeros(len(kernels), np.float32)
        most = max((len(kernel.scalar) for kernel in kernels), default=0)
        self.scalars = np.zeros((len(kernels), most)) if most else None

    def set(self, i: int, t: int, scalars: dict[str, float]) -> None:
        """Take over a count, and numbers by name."""
        self.counts[i] = t
        self._engine.set_t(i, t)
        self._engine.set_scalars(i, scalars)
        if self.scalars is not None:
            self.scalars[i, : len(scalars)] = list(scalars.values())

    def all(self) -> list[int]:
        """Return how many steps all have taken."""
        return [self._engine.get_t(i) for i in range(len(self.counts))]

    def shows(self) -> dict[int, float]:
        """Return what tensors show by their identity, where to look at each is slow."""
        return {}

    def count(self, i: int) -> torch.Tensor:
        """Return the tensor that shows a count."""
        return torch.from_numpy(self.counts[i : i + 1]).reshape(())

    def scalar(self, i: int, k: int) -> torch.Tensor:
        """Return the tensor that shows number k."""
        assert self.scalars is not None
        return torch.from_numpy(self.scalars[i, k : k + 1]).reshape(())

    def watched(self) -> tuple[Any, Any]:
        """Return the arrays in which C looks for what users have changed, or None."""
        return (self.counts if self.counted else None), self.scalars
