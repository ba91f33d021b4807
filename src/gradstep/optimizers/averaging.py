"""What all optimizers share whose result is an average."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from gradstep import dtypes
from gradstep.checks import base_array
from gradstep.optimizer import Optimizer
from gradstep.scaling import Scaling, StepReport
from gradstep.state import MODE, TRAINED, matched, read_array
from gradstep.structure import Grads


class Averaging(Optimizer, ABC):
    """Base of optimizers whose result is an average of where the parameter has been.

    The parameter is part of their memory: whoever changes it between steps, by clamping
    it, say, changes the average.

    They can be saved and copied in either mode. After `eval`, `state_dict` holds where
    the parameters are trained, too: ``"y"`` in ``"state"``, and ``"train_mode"`` False
    in ``"param_groups"``.
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
            if out is None:
                points = results = self._new_like_parameters()
            else:
                where = f"{self._owner}.eval_params: out"
                results = tuple(self._flat(where, out))
                self._check_out(where, results)
                points = tuple(map(np.asarray, results))  # subclasses may copy anyhow
            if self._held is not None:
                for point, p in zip(points, self._parameters(), strict=True):
                    np.copyto(point, p)
            else:
                self._average_into(points)
        return self._rebuilt(results)

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
            averages = self._new_like_parameters()
            with self._engine:
                self._engine.settle()
                self._average_into(averages)
                parameters = self._parameters(are_written=True)
                held = tuple(p.copy("K") for p in parameters)
                for p, x in zip(parameters, averages, strict=True):
                    np.copyto(p, x)
                vars(self)["_held"] = held

    def train(self) -> None:
        """Put the parameters back to where they were before `eval`, bit for bit."""
        if self._held is not None:
            with self._engine:
                parameters = self._parameters(are_written=True)
                for p, held in zip(parameters, self._held, strict=True):
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
        saved = super().state_dict()
        if self._held is not None:
            for group in saved["param_groups"]:
                group[MODE] = False
            for state, y in zip(saved["state"].values(), self._held, strict=True):
                state[TRAINED] = y.copy("K")
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`: see `Optimizer.load_state_dict`.

        The mode is that of `state_dict` from now on: where it was taken after `eval`,
        the parameters are to hold the average, as they did, and `train` puts them back
        to where they were trained.
        """
        where = f"{self._owner}.load_state_dict"
        groups, keys = matched(where, state_dict, self._groups)
        states = state_dict["state"]
        y = None
        if not _is_trained(where, groups):
            y = tuple(
                _read_y(f"{where}: state[{key!r}]", states.get(key), p)
                for key, p in zip(keys, self._parameters(), strict=True)
            )
            states = {key: _without(TRAINED, state) for key, state in states.items()}
        groups = [_without(MODE, group) for group in state_dict["param_groups"]]
        super().load_state_dict({**state_dict, "state": states, "param_groups": groups})
        vars(self)["_held"] = y

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        self._check_training("add_param_group")
        super().add_param_group(group)


def _is_trained(where: str, groups: Sequence[Mapping[str, Any]]) -> bool:
    """Return the mode of saved groups, which is one for all."""
    modes = [group.get(MODE, True) for group in groups]
    for j, mode in enumerate(modes):
        if not isinstance(mode, bool):
            raise TypeError(
                f"{where}: param_groups[{j}][{MODE!r}] must be bool, got "
                f"{type(mode).__name__}"
            )
    if len(set(modes)) > 1:
        raise ValueError(
            f"{where}: {MODE!r} must be the same in all param_groups, got {modes}"
        )
    return bool(modes[0])


def _read_y(where: str, state: Any, p: Any) -> Any:
    """Return where a parameter is trained that holds the average."""
    if not isinstance(state, Mapping) or TRAINED not in state:
        raise KeyError(
            f"{where} lacks {TRAINED!r}, where the parameter is trained, which after "
            "eval() it holds"
        )
    name = f"{where}[{TRAINED!r}]"
    y = base_array(name, state[TRAINED])
    if dtypes.code_of(y.dtype) == dtypes.code_of(p.dtype) == "bf16":
        y = y.view(p.dtype)  # whether of gradstep or of ml_dtypes
    return read_array(name, y, p.dtype, p.shape)


def _without(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}
