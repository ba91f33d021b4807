"""What all optimizers share whose result is an average."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import numpy as np

from gradstep.optimizer import Optimizer
from gradstep.scaling import Scaling, StepReport
from gradstep.structure import Grads


class Averaging(Optimizer, ABC):
    """Base of optimizers whose result is an average of where the parameter has been.

    The parameter is part of their memory: whoever changes it between steps, by clamping
    it, say, changes the average.
    """

    # What the parameters were when `eval` replaced them.
    _held: ClassVar[tuple[Any, ...] | None] = None

    def eval_params(self, out: Any = None) -> Any:
        """Return the average `x`, at which to evaluate or from which to go to work.

        Neither the parameters nor any state is touched: it may be called at any time.

        Parameters
        ----------
        out : array, list or dict of arrays, or list of these, optional
            Where to write it, in the structure of the parameters; new arrays otherwise.

        Returns
        -------
        array, or list or dict of arrays
            In the structure of the parameters; for groups, a list.
        """
        with self._engine:
            self._engine.settle()
            points = self._out(f"{self._owner}.eval_params: out", out)
            if self._held is not None:
                for point, p in zip(points, self._arrays, strict=True):
                    np.copyto(point, p)
            else:
                self._average_into(points)
        return self._rebuilt(points)

    @abstractmethod
    def _average_into(self, points: tuple[Any, ...]) -> None:
        """Write the averages, in training, to arrays like the parameters."""

    @property
    def training(self) -> bool:
        """Whether the parameters are where gradients are to be taken."""
        return self._held is None

    def eval(self) -> None:
        """Put the average into the parameters, and keep a copy of them for `train`."""
        if self._held is None:
            averages = self._out("", None)
            with self._engine:
                self._engine.settle()
                self._average_into(averages)
                held = tuple(p.copy("K") for p in self._arrays)
                for p, x in zip(self._arrays, averages, strict=True):
                    np.copyto(p, x)
                vars(self)["_held"] = held

    def train(self) -> None:
        """Put the parameters back to where they were before `eval`, bit for bit."""
        if self._held is not None:
            with self._engine:
                for p, held in zip(self._arrays, self._held, strict=True):
                    np.copyto(p, held)
                vars(self)["_held"] = None

    def _check_training(self, what: str) -> None:
        if self._held is not None:
            raise RuntimeError(
                f"{self._owner}.{what}: the parameters hold the average; call train() "
                "first, and eval_params() for an average that changes nothing"
            )

    def results(self) -> tuple[Any, ...]:
        return tuple(self._flat("", self.eval_params()))

    def step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        self._check_training("step")
        super().step(grads, **how)

    def check_grads(self, grads: Grads, **how: Unpack[Scaling]) -> StepReport:
        self._check_training("step")
        return super().check_grads(grads, **how)

    def state_dict(self) -> dict[str, Any]:
        self._check_training("state_dict")
        return super().state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check_training("load_state_dict")
        super().load_state_dict(state_dict)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        self._check_training("add_param_group")
        super().add_param_group(group)
