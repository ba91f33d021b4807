"""What a call changes in an optimizer, to be put back if the call fails."""

from typing import Any

import numpy as np

from gradstep.optimizer import Optimizer


class OptimizerSnapshot:
    """Copies of the states and step counts of an optimizer, but not of its parameters.

    Changes that users have made in `param_groups` are taken over first, as by a step,
    so that the states are those of the options. It costs some microseconds, and as much
    memory as the states.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        with optimizer.engine:
            optimizer.engine.settle()
            self._states: list[dict[str, Any]] = [
                {
                    name: value.copy("K") if isinstance(value, np.ndarray) else value
                    for name, value in state.items()
                }
                for state in optimizer.state
            ]

    def restore(self) -> None:
        """Put states and counts back."""
        engine = self._optimizer.engine
        with engine:
            for i, state in enumerate(self._optimizer.state):
                saved = dict(self._states[i])
                engine.set_t(i, saved.pop("step"))
                scalars: dict[str, Any] = {}
                for name, value in saved.items():
                    if isinstance(value, np.ndarray):
                        np.copyto(state[name], value)
                    else:
                        scalars[name] = value
                engine.set_scalars(i, scalars)
