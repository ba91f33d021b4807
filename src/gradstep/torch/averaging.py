"""Schedule-free optimizers of tensors: `train`, and `eval` at the average."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Unpack

import torch

from gradstep import _core, storage
from gradstep.assembly import find_kernel
from gradstep.scaling import Scaling
from gradstep.state import MODE, TRAINED
from gradstep.torch import tensors
from gradstep.torch.optimizer import Optimizer


class Averaging(Optimizer):
    """An optimizer whose result is an average of where the parameters have been.

    The mode is part of `param_groups`. While the parameters hold the average, a copy of
    where they are trained is part of `state`. So both go wherever these go: into a
    `state_dict`, a pickle, a copy.
    """

    @property
    def training(self) -> bool:
        """Whether the parameters are where gradients are to be taken."""
        return all(group.get(MODE, True) for group in self.param_groups)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, in the mode of the others."""
        if isinstance(param_group, dict):  # else torch says what it must be
            param_group.setdefault(MODE, self.training)
        super().add_param_group(param_group)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the average into the parameters, and keep a copy of them for `train`."""
        groups = [group for group in self.param_groups if group.get(MODE, True)]
        averages = [(p, self._average(group, p)) for group, p in self._averaged(groups)]
        for p, _ in averages:
            self.state[p][TRAINED] = p.detach().clone()
        for p, x in averages:
            tensors.local(p).copy_(x)
        for group in groups:
            group[MODE] = False

    @torch.no_grad()
    def train(self) -> None:
        """Put the parameters back to where they were before `eval`, bit for bit."""
        groups = [group for group in self.param_groups if not group.get(MODE, True)]
        trained = []
        for group, p in self._averaged(groups):
            y = self.state[p].get(TRAINED)
            trained.append((p, self._y(group, p) if y is None else tensors.local(y)))
        for p, y in trained:
            tensors.local(p).copy_(y)
            self.state[p].pop(TRAINED, None)
        for group in groups:
            group[MODE] = True

    def _averaged(
        self, groups: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the parameters that have an average, with their groups."""
        for group in groups:
            for p in group["params"]:
                if "z" in self.state.get(p, {}):
                    yield group, p

    def _average(self, group: dict[str, Any], p: Any) -> torch.Tensor:
        """Return x, of which y, in p, lies towards z."""
        return self._towards_z(group, p, 1 - 1 / self._beta(group))

    def _y(self, group: dict[str, Any], p: Any) -> torch.Tensor:
        """Return y, between x, in p, and z."""
        return self._towards_z(group, p, 1 - self._beta(group))

    def _beta(self, group: dict[str, Any]) -> float:
        beta: float = self.method.beta(self._options(group))
        return beta

    def _towards_z(
        self, group: dict[str, Any], p: Any, fraction: float
    ) -> torch.Tensor:
        """Return p + fraction (z - p)."""
        owner = type(self).__name__
        # In the order of the parameter's memory, as its states are, without gaps; and
        # on the host, wherever the parameter is.
        now = tensors.local(p).detach().to("cpu")
        dense = tensors.is_dense(now)
        kind = torch.preserve_format if dense else torch.contiguous_format
        point = now.clone(memory_format=kind)
        flat = tensors.flat(point)
        beside = {
            name: tensors.flat(tensors.local(t).to("cpu"))
            for name, t in self.state[p].items()
            if name != TRAINED
            and torch.is_tensor(t)
            and (t.ndim == p.ndim or name.endswith(storage.SCALE))
        }
        start = storage.exact(flat, beside)
        kernel = find_kernel(owner, "schedulefree_point", flat)
        layout = storage.layout(owner, kernel, flat.dtype, group)
        engine = _core.Engine(owner, (flat,), ("",), (0,), 1)
        coding = layout.beside_results(kernel, beside, flat.dtype)
        engine.bind(0, kernel, (beside["z"],), coding)
        engine.set_group(0, (fraction,), 1.0)
        engine.bound()
        engine.step([start.copy()])
        return point

    def step(
        self, closure: Callable[[], Any] | None = None, **how: Unpack[Scaling]
    ) -> Any:
        """Take one step, in place: see `Optimizer.step`."""
        if self.training:
            return super().step(closure, **how)
        # torch.distributed.checkpoint makes the states that it is to load into so.
        if self.state or closure is not None or not self._only_makes_states():
            raise RuntimeError(
                f"{type(self).__name__}.step: the parameters hold the average; call "
                "train() first"
            )
        super().step(**how)
        for _, p in self._averaged(self.param_groups):
            self.state[p][TRAINED] = p.detach().clone()
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`: see `Optimizer.load_state_dict`.

        The mode is that of `state_dict` from now on: where it was taken after `eval`,
        the parameters are to hold the average, as they did, and `train` puts them back
        to where they were trained.
        """
        super().load_state_dict(state_dict)

    def _complete(self, group: dict[str, Any]) -> None:
        super()._complete(group)
        group[MODE] = bool(group.get(MODE, True))
