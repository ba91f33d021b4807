"""Schedule-free optimizers of tensors: `train`, and `eval` at the average."""

from collections.abc import Callable
from typing import Any, Unpack

import torch

from gradstep import _core, storage
from gradstep.assembly import find_kernel
from gradstep.scaling import Scaling
from gradstep.torch import tensors
from gradstep.torch.optimizer import Optimizer


class Averaging(Optimizer):
    """An optimizer whose result is an average of where the parameters have been."""

    # What the parameters were when `eval` replaced them.
    _held: list[tuple[Any, torch.Tensor]] | None = None

    @property
    def training(self) -> bool:
        """Whether the parameters are where gradients are to be taken."""
        return self._held is None

    @torch.no_grad()
    def eval(self) -> None:
        """Put the average into the parameters, and keep a copy of them for `train`."""
        if self._held is not None:
            return
        found = [
            (p, self._average(group, p))
            for group in self.param_groups
            for p in group["params"]
            if "z" in self.state.get(p, {})
        ]
        self._held = [(p, p.detach().clone()) for p, _ in found]
        for p, x in found:
            tensors.local(p).copy_(x)

    @torch.no_grad()
    def train(self) -> None:
        """Put the parameters back to where they were before `eval`, bit for bit."""
        for p, held in self._held or ():
            p.copy_(held)
        self._held = None

    def _average(self, group: dict[str, Any], p: Any) -> torch.Tensor:
        """Return x, of which y, in p, lies towards z."""
        owner, beta = type(self).__name__, self.method.beta(self._options(group))
        # In the order of the parameter's memory, as its states are, without gaps; and
        # on the host, wherever the parameter is.
        now = tensors.local(p).detach().to("cpu")
        dense = tensors.is_dense(now)
        kind = torch.preserve_format if dense else torch.contiguous_format
        x = now.clone(memory_format=kind)
        kept = {
            name: tensors.flat(tensors.local(t).to("cpu"))
            for name, t in self.state[p].items()
            if t.ndim == p.ndim or name.endswith(storage.SCALE)
        }
        y = storage.exact(tensors.flat(x), kept)
        kernel = find_kernel(owner, "schedulefree_point", tensors.flat(x))
        layout = storage.layout(owner, kernel, tensors.flat(x).dtype, group)
        engine = _core.Engine(owner, (tensors.flat(x),), ("",), (0,), 1)
        coding = layout.beside_results(kernel, kept, tensors.flat(x).dtype)
        engine.bind(0, kernel, (kept["z"],), coding)
        engine.set_group(0, (1 - 1 / beta,), 1.0)
        engine.bound()
        engine.step([y.copy()])
        return x

    def _check_training(self, what: str) -> None:
        if self._held is not None:
            raise RuntimeError(
                f"{type(self).__name__}.{what}: the parameters hold the average; call "
                "train() first"
            )

    def step(
        self, closure: Callable[[], Any] | None = None, **how: Unpack[Scaling]
    ) -> Any:
        """Take one step, in place: see `Optimizer.step`."""
        self._check_training("step")
        return super().step(closure, **how)

    def state_dict(self) -> dict[str, Any]:
        """Return options and states, as in torch."""
        self._check_training("state_dict")
        found: dict[str, Any] = super().state_dict()
        return found

    def __getstate__(self) -> dict[str, Any]:
        self._check_training("copy")
        found: dict[str, Any] = super().__getstate__()
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`: see `Optimizer.load_state_dict`."""
        self._check_training("load_state_dict")
        super().load_state_dict(state_dict)
