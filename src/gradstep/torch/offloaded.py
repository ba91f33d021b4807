"""An optimizer over the host's memory, seen as one over the parameters of a device."""

import functools
import inspect
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from gradstep.scaling import Scaling, StepReport
from gradstep.state import MODE
from gradstep.torch import mirrors
from gradstep.torch.ahead import Ahead
from gradstep.torch.averaging import Averaging
from gradstep.torch.compiling import break_graph_at
from gradstep.torch.copies import LANES, Lane
from gradstep.torch.mirrors import Mirror
from gradstep.torch.optimizer import UNTRACED, Optimizer


class NoAverage(AttributeError, TypeError):  # noqa: N818  # what there is not
    """An optimizer has no `eval` and no `train`; `hasattr` says so to trainers."""


class Offloaded(torch.optim.Optimizer):
    """What `CPUOffload` is between steps: groups, states, averages and checkpoints.

    `come` is called with a parameter when backward has made its gradient.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        bucket_bytes: int,
        come: Callable[["Offloaded", torch.Tensor], None] | None,
    ) -> None:
        self._optimizer, self._name = optimizer, type(optimizer).__name__
        self._lanes: dict[torch.device, Lane] = {}
        self._mirrors: dict[int, Mirror] = {}  # by the identity of parameters
        self._come, self._handles = come, list[Any]()
        weakref.finalize(self, _remove, self._handles).atexit = False
        self._ahead = Ahead(self._take, bucket_bytes)
        self._may: bool | None = None  # whether steps may begin; None: not asked yet
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.param_groups = optimizer.param_groups
        found = [self._mirrored(j) for j in range(len(self.param_groups))]
        self._host = type(optimizer)(found, **optimizer.defaults)
        # Hooks of all optimizers see this one's steps, not those of its buckets, too.
        self._step_host = inspect.unwrap(type(self._host).step).__get__(self._host)
        if optimizer.state:
            self.load_state_dict(optimizer.state_dict())
            optimizer.state.clear()

    def _patch_step_function(self) -> None:
        super()._patch_step_function()
        break_graph_at(type(self), *UNTRACED, "_average")

    # -- parameters, options and states

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, as in torch."""
        if self.param_groups is not self._optimizer.param_groups:
            super().add_param_group(param_group)  # torch's constructor takes them in
            return
        self._check_settled("add_param_group")
        self._optimizer.add_param_group(param_group)
        try:
            self._host.add_param_group(self._mirrored(len(self.param_groups) - 1))
        except BaseException:
            self.param_groups.pop()
            raise

    def _mirrored(self, j: int) -> dict[str, Any]:
        """Return group j as the optimizer of the host has it."""
        group = self.param_groups[j]
        names = group.get("param_names")
        new = {}
        for k, p in enumerate(group["params"]):
            if id(p) not in self._mirrors:
                where = f"[{j}]['params'][{k}]" + (f" ({names[k]})" if names else "")
                mirrors.check(f"CPUOffload: param_groups{where}", p)
                new[where] = p
        for where, p in new.items():
            self._mirror(where, p)
        hosts = [self._mirrors[id(p)].host for p in group["params"]]
        return {**group, "params": hosts}

    def _mirror(self, where: str, p: Any) -> None:
        if p.device not in self._lanes:
            self._lanes[p.device] = LANES[p.device.type](p.device)
        self._mirrors[id(p)] = Mirror(where, p, self._lanes[p.device])
        if self._come is not None and p.requires_grad:
            hook = _hook(weakref.ref(self), self._come)
            self._handles.append(p.register_post_accumulate_grad_hook(hook))

    def _all(self) -> Iterator[Mirror]:
        for group in self.param_groups:
            for p in group["params"]:
                yield self._mirrors[id(p)]

    def _sync(self) -> None:
        """Bring what callers have changed in groups and states to the host."""
        ours = self._host.param_groups
        for j in range(len(self.param_groups)):
            found = self._mirrored(j)
            if j < len(ours):
                ours[j].clear()
                ours[j].update(found)
            else:
                self._host.add_param_group(found)
        del ours[len(self.param_groups) :]
        for m in self._all():
            m.check_form()
            mine, host = self.state.get(m.param), self._host.state.get(m.host)
            if mine is None and host is not None:
                del self._host.state[m.host]
            elif mine is not host:
                self._host.state[m.host] = mine

    def _check_settled(self, what: str) -> None:
        if self._ahead.begun():
            raise RuntimeError(
                f"CPUOffload.{what}: with overlap=True backward has begun a step; call "
                "step() first"
            )

    # -- what the host does

    def _take(self, bucket: list[Mirror], how: Scaling | None = None) -> None:
        """Step parameters in the host's memory."""
        try:
            for m in bucket:
                m.give()
            self._step_host(**(how or {}))
        finally:
            for m in bucket:
                m.host.grad = None
        for m in bucket:
            m.known = True
            if m.host in self._host.state:
                self.state[m.param] = self._host.state[m.host]

    def _send(self, bucket: Sequence[Mirror]) -> None:
        for m in bucket:
            m.send()

    def _begin_anew(self) -> None:
        self._ahead.clear()
        self._may = None
        for m in self._mirrors.values():
            m.seen = None  # else it would keep the device's memory

    @property
    def last_step(self) -> StepReport:
        """What the last step found in its gradients, and did with them."""
        return self._host.last_step

    def pull(self) -> None:
        """Take over parameters that were written to where autograd does not see it."""
        self._check_settled("pull")
        for m in self._mirrors.values():
            m.forget()

    def _fetch_params(self) -> None:
        """Have what the parameters are now in the host's memory, to read and write."""
        for m in self._all():
            m.fetch_param()
        for m in self._all():
            m.settle()

    # -- what schedule-free optimizers have besides

    @property
    def training(self) -> bool:
        """Whether the parameters are where gradients are to be taken."""
        return not isinstance(self._host, Averaging) or self._host.training

    @property
    def eval(self) -> Callable[[], None]:
        """Put the average of a schedule-free optimizer into the parameters."""
        return self._of_averaging("eval")

    @property
    def train(self) -> Callable[[], None]:
        """Put the parameters back to where they were before `eval`."""
        return self._of_averaging("train")

    def _of_averaging(self, what: str) -> Callable[[], None]:
        """Return a method that only schedule-free optimizers have: trainers ask."""
        if isinstance(self._host, Averaging):
            return functools.partial(self._average, what)
        raise NoAverage(
            f"CPUOffload.{what}: {self._name} has no average; only schedule-free "
            "optimizers have"
        )

    def _average(self, what: str) -> None:
        self._check_settled(what)
        self._sync()
        self._fetch_params()
        getattr(self._host, what)()
        for group, host in zip(self.param_groups, self._host.param_groups, strict=True):
            group[MODE] = host[MODE]
        self._send([m for m in self._all() if m.host in self._host.state])
        for lane in self._lanes.values():
            lane.join()

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return options and states, as the optimizer of a model on the CPU does."""
        self._check_settled("state_dict")
        self._sync()
        self._host.state_dict()  # refuses states whose memory was exchanged
        found: dict[str, Any] = super().state_dict()
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`: see `Optimizer.load_state_dict`.

        A step that backward has begun is dropped.
        """
        given = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            given = hook(self, given) or given
        self._ahead.wait()
        self._sync()
        self._fetch_params()
        self._host.load_state_dict(given)
        for group, read in zip(self.param_groups, self._host.param_groups, strict=True):
            kept = group["params"]
            group.clear()
            group.update(read, params=kept)
        params = {m.host: m.param for m in self._all()}
        found = {params.get(key, key): s for key, s in self._host.state.items()}
        self.state = defaultdict(dict, found)
        for m in self._all():
            m.known = False
            if m.ahead:
                m.forget()
        self._begin_anew()
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "CPUOffload cannot be copied or pickled: its memory belongs to these "
            "parameters; build another over their copies, and load_state_dict"
        )


def _hook(
    owner: "weakref.ref[Offloaded]", do: Callable[[Offloaded, torch.Tensor], None]
) -> Callable[[torch.Tensor], None]:
    """Return a hook that does not keep an optimizer alive with its parameters."""

    def come(p: torch.Tensor) -> None:
        found = owner()
        if found is not None:
            do(found, p)

    return come


def _remove(handles: list[Any]) -> None:
    for handle in handles:
        handle.remove()
