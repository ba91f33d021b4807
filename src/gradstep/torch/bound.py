"""An optimizer's tensors, bound to the engine that steps them."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from gradstep import _core
from gradstep._torch import ON_CPU, Watch, where_body
from gradstep.scaling import StepReport
from gradstep.structure import Array
from gradstep.torch import device, gradients, rows, states, tensors
from gradstep.torch.device import Device, DeviceProgress
from gradstep.torch.names import UNCOUNTED, state_name
from gradstep.torch.progress import Progress
from gradstep.torch.slots import Slot, bindable

_CAPSULE = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
_BODY_AT = where_body(torch.empty(0, device="cpu"))

# Gradients neither scaled, nor clipped, nor looked at.
AS_THEY_ARE = (1.0, 0.0, False)

# What torch.amp tells a step, if it is told.
NO_AMP: Mapping[str, Any] = {"grad_scale": None, "found_inf": None}

# What stands of a parameter in `optimizer.state`: its dict, names, tensors, and
# the local parts of those tensors that are arrays.
Entry: TypeAlias = tuple[
    dict[str, Any], tuple[str, ...], tuple[Any, ...], tuple[torch.Tensor, ...]
]


class Taken(NamedTuple):
    """What was bound before: counts and states, by the identity of parameters."""

    steps: Mapping[int, tuple[int, tuple[Any, ...]]]
    shown: Mapping[int, float]  # by tensors


NOBODY = Taken({}, {})


class Stale(Exception):  # noqa: N818  # no error: a sign to bind anew
    """Something is no longer as it was bound."""


class Bound:
    """Parameters that have had a gradient, their states, and the engine over them.

    Whatever does not fit is refused here, before anything has been changed.
    """

    def __init__(
        self,
        owner: str,
        method: Any,
        groups: list[dict[str, Any]],
        state: dict[Any, Any],
        options: list[dict[str, Any]],
        before: "Bound | None" = None,
    ) -> None:
        self._owner, self._method = owner, method
        self._sparse: list[tuple[int, torch.Tensor]] = []  # gradients of a step
        self._scales = False  # whether it scales or clips others
        self._options = options
        self._slots = slots = list(bindable(owner, method, groups, state, options))
        kept = [slot.kept(owner, method, state.get(slot.param, {})) for slot in slots]
        self._device = device.of([slot.param for slot in slots])
        self._close_gaps()
        self._engine = _core.Engine(
            owner,
            tuple(map(tensors.flat, self._stepped())),
            tuple(slot.where for slot in slots),
            tuple(slot.group for slot in slots),
            len(groups),
        )
        self._progress = self._begun()
        self._waiting: dict[int, tuple[int, tuple[Any, ...]]] = {}
        states.complete(owner, method, slots, self._closed, kept)
        self._bind(kept, state, NOBODY if before is None else before.taken())
        self._engine.watch(groups, tuple(method.options), self._changed)
        self._on_device = self._launching(groups)
        entries = [self._commit(i, state, entry) for i, entry in enumerate(kept)]
        self._watch = self._watching(groups, state, entries)
        self._seen_at = [
            [_place(t) for t in (p, *entry[3])]
            for p, entry in zip(self._live, entries, strict=True)
        ]
        self._by_value = [
            j
            for j, g in enumerate(groups)
            if any(
                torch.is_tensor(part) and part is not device.rate(g, self._device)
                for part in _parts(g, method.options)
            )
        ]

    @property
    def slots(self) -> Sequence[Slot]:
        """The parameters that are bound."""
        return self._slots

    def _begun(self) -> Progress:
        slots, kernels = self._slots, [slot.kernel for slot in self._slots]
        # Steps are counted where torch counts none, too, if they make random numbers.
        counted = self._method.__name__ not in UNCOUNTED or any(
            slot.layout.draws() for slot in slots
        )
        if self._device is None:
            return Progress(self._engine, kernels, counted=counted)
        return DeviceProgress(self._engine, kernels, self._device, counted=counted)

    def _close_gaps(self) -> None:
        """Note our parts of the parameters.

        Those with gaps are stepped in a copy, and in our memory those of devices for
        which there are no kernels.
        """
        self._live = [tensors.local(slot.param) for slot in self._slots]
        where = self._device or torch.device("cpu")
        self._closed = [
            None
            if tensors.is_dense(p) and p.device == where
            else p.detach().to(where).clone(memory_format=torch.contiguous_format)
            for p in self._live
        ]
        self._gaps = [
            (p, closed)
            for p, closed in zip(self._live, self._closed, strict=True)
            if closed is not None
        ]

    def _stepped(self) -> list[torch.Tensor]:
        """Return what is stepped of each parameter."""
        both = zip(self._live, self._closed, strict=True)
        return [p if closed is None else closed for p, closed in both]

    def _bind(
        self,
        kept: list[dict[str, Any]],
        state: Mapping[Any, Any],
        taken: Taken,
    ) -> None:
        """Tell the engine of parameters, states and options."""
        for i, (slot, entry) in enumerate(zip(self._slots, kept, strict=True)):
            beside = {k: tensors.flat(tensors.local(t)) for k, t in entry.items()}
            states = tuple(beside[name] for name in slot.kernel.state)
            seed = self._options[slot.group]["seed"]
            coding = slot.layout.coding(slot.kernel, beside, seed, slot.number)
            self._engine.bind(i, slot.kernel, states, coding)
            self._restore(i, entry, state.get(slot.param, {}), taken)
            # Buffers that momentum=0 leaves alone are no newer when it ends.
            if not slot.kernel.state and id(slot.param) in taken.steps:
                self._waiting[id(slot.param)] = taken.steps[id(slot.param)]
        for j, found in enumerate(self._options):
            self._engine.set_group(j, *self._method.group_numbers(found))
            self._engine.set_direct(j, self._method.group_direct(found))
        if self._slots:
            self._engine.bound()
        if any(tensors.is_distributed(slot.param) for slot in self._slots):
            self._engine.set_share(self._share)

    # -- states

    def _commit(self, i: int, state: dict[Any, Any], kept: dict[str, Any]) -> Entry:
        """Write a parameter's states down in `optimizer.state`."""
        slot, method = self._slots[i], self._method.__name__
        seen = {}
        if self._progress.counted:
            seen["step"] = self._progress.count(i)
        for name, value in kept.items():
            seen[state_name(method, name)] = value
        for k, name in enumerate(slot.kernel.scalar):
            seen[name] = self._progress.scalar(i, k)
        entry = state[slot.param] if seen else {}  # torch keeps none that is empty
        entry.update(seen)
        return entry, tuple(seen), tuple(seen.values()), _arrays(slot, kept)

    def _restore(
        self,
        i: int,
        kept: Mapping[str, Any],
        entry: Mapping[str, Any],
        taken: Taken,
    ) -> None:
        """Take over how many steps a parameter has taken, and what its rule keeps."""
        slot, name = self._slots[i], self._method.__name__
        t, held = taken.steps.get(id(slot.param), (0, ()))
        buffers_are_new = slot.kernel.state and not any(
            state_name(name, k) in entry for k in slot.kernel.state
        )
        if name in UNCOUNTED and buffers_are_new:
            t = 0
        elif name in UNCOUNTED and "step" not in entry:
            # The binding before knows; else a buffer that is not zero tells.
            buffers = _arrays(slot, kept)
            if len(held) != len(buffers) or any(map(operator.is_not, held, buffers)):
                t = states.any_begun(slot, kept)
        else:
            step = states.count(f"{self._owner}: state{slot.where}", entry, taken.shown)
            # A float32 that has been rounded is no reason to forget the count.
            t = t if np.float32(t) == step else step
        if t == 0:
            first = self._method.initial(self._options[slot.group])
            for name in kept.keys() & first.keys():
                tensors.fill_state(slot.layout, kept, name, first[name])
        scalars = {
            name: states.number(entry, name, taken.shown) for name in slot.kernel.scalar
        }
        self._progress.set(i, t, scalars)

    def taken(self) -> Taken:
        """Return what the binding after this one takes over."""
        steps = {
            id(slot.param): (t, self._watch.states(i))
            for i, (slot, t) in enumerate(zip(self._slots, self._progress.all()))
        }
        return Taken(steps | self._waiting, self._progress.shows())

    # -- steps

    def _launching(self, groups: list[dict[str, Any]]) -> Device | None:
        """Return what steps these parameters, if that is on a device."""
        progress = self._progress
        if self._device is None or not isinstance(progress, DeviceProgress):
            return None
        progress.settle()
        rates = [device.rate(group, self._device) for group in groups]
        seeds = [self._options[slot.group]["seed"] for slot in self._slots]
        found = Device(self._device, self._slots, self._stepped(), progress)
        found.bind(seeds, rates)
        return found

    def _watching(
        self, groups: list[dict[str, Any]], state: dict[Any, Any], entries: list[Entry]
    ) -> Watch:
        params = [list(group["params"]) for group in groups]
        # Tensors compare elementwise: by identity.
        number = {id(slot.param): i for i, slot in enumerate(self._slots)}
        index = [number.get(id(p), -1) for group in params for p in group]
        plain = [
            i >= 0
            and type(self._slots[i].param) in tensors.PLAIN
            and self._closed[i] is None
            for i in index
        ]
        counts, scalars = self._progress.watched()
        found = self._on_device
        return Watch(
            engine=self._engine,
            capsule=_CAPSULE,
            kind=torch.Tensor,
            params=params,
            index=np.array(index, np.intp),
            plain=np.array(plain, np.uint8),
            state=state,
            entries=entries,
            hints=self._hints(entries),
            # Where the tensors are that C writes to.
            places=_table([t.data_ptr() for t in entry[3]] for entry in entries),
            offset=_BODY_AT,
            counts=counts,
            scalars=scalars,
            fit=self._fit,
            bump=torch.autograd.graph.increment_version,
            device_type=ON_CPU if found is None else found.dlpack_type,
            launches=None if found is None else found.launches,
        )

    def _hints(self, entries: list[Entry]) -> Array:
        """Return what to fetch before parameters and states are looked at."""
        return _table(
            [at for t in (p, *entry[3]) for at in tensors.lines(t)]
            for p, entry in zip(self._live, entries, strict=True)
        )

    def step(
        self,
        groups: list[dict[str, Any]],
        state: dict[Any, Any],
        read: Callable[[dict[str, Any]], dict[str, Any]],
        scaling: tuple[float, float, bool] = AS_THEY_ARE,
        amp: Mapping[str, Any] = NO_AMP,
    ) -> bool:
        """Take a step; return False if something is no longer as it was bound.

        `read` tells the options of a group; `amp` is what torch.amp tells a step.
        """
        self._sparse.clear()
        self._scales = scaling != AS_THEY_ARE
        try:
            for j in self._by_value:
                self._take_over(j, read(groups[j]))
            for p, closed in self._gaps:
                if not tensors.owns_memory(p):
                    return False
                closed.copy_(p.detach())
            if not self._watched_step(groups, state, scaling, amp):
                return False
        except Stale:
            return False
        for p, closed in self._gaps:
            p.detach().copy_(closed)
        for i, g in self._sparse:
            self._step_rows(i, g, read(groups[self._slots[i].group]))
        return True

    def _watched_step(
        self,
        groups: list[dict[str, Any]],
        state: dict[Any, Any],
        scaling: tuple[float, float, bool],
        amp: Mapping[str, Any],
    ) -> bool:
        if self._on_device is None:
            return self._watch.step(groups, state, *scaling)
        with self._on_device.current():
            return self._on_device.begin(
                looks=scaling[1:] != (0.0, False), amp=amp
            ) and self._watch.step(groups, state, *scaling)

    @property
    def on_device(self) -> bool:
        """Whether steps are taken in a device's memory."""
        return self._on_device is not None

    def report(self) -> StepReport:
        """Return what the last step found in the gradients."""
        if self._on_device is not None:
            return self._on_device.report()
        return StepReport(*self._engine.report())

    def _share(self, which: list[int], sums: Array) -> None:
        """Add to the sums over our shards those over the shards of other processes."""
        alike = tensors.sharded_alike([self._slots[i].param for i in which])
        tensors.add_up(alike, torch.from_numpy(sums))

    def check_states(self) -> None:
        """Refuse states whose memory was exchanged before anybody saw it."""
        self._watch.check_states()

    def _take_over(self, j: int, now: dict[str, Any]) -> None:
        """Step group j by these options from now on: tensors change in place."""
        then, self._options[j] = self._options[j], now
        for what in (self._method.rule, self._method.fixed):
            if what(then) != what(now):
                raise Stale
        self._engine.set_group(j, *self._method.group_numbers(now))

    def _changed(self, j: int) -> None:
        """Bind anew where an option of group j has another value."""
        del j
        raise Stale

    def _step_rows(self, i: int, g: torch.Tensor, options: dict[str, Any]) -> None:
        """Step what a coalesced sparse gradient touches, and nothing else."""
        slot, t = self._slots[i], self._engine.get_t(i)
        torch.autograd.graph.increment_version([slot.param])
        whole = [self._live[i].detach(), *self._watch.states(i)]
        numbers = self._method.group_numbers(options)
        rows.step(self._owner, slot, whole, g, numbers, t)
        self._progress.set(i, t + 1, {})

    def _fit(self, i: int, p: Any, g: Any) -> tuple[int, Any] | None:
        """Return where C finds a gradient, and what keeps it there."""
        slot, now, closed = self._slots[i], tensors.local(p), self._closed[i]
        if self._seen_at[i] != [_place(t) for t in (now, *self._watch.states(i))]:
            raise Stale
        where = f"{self._owner}.step: the gradient of param_groups{slot.where}"
        sparse = rows.may_be_sparse(slot, self._options[slot.group])
        g = gradients.checked(where, p, g, sparse=sparse)
        if g.layout is torch.sparse_coo and self._scales:
            raise TypeError(
                f"{where} is sparse, so step can neither scale nor clip it, nor look "
                "for what is not finite; leave those arguments out"
            )
        if g.layout is torch.sparse_coo:
            self._sparse.append((i, g.coalesce()))
            return None
        found = gradients.in_order(g, now if closed is None else closed)
        return found.data_ptr(), found


def _parts(group: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[Any]:
    for name in options:
        value = group.get(name)
        yield from value if isinstance(value, (tuple, list)) else (value,)


def _table(addresses: Iterable[list[int]]) -> Array:
    """Return rows of addresses, filled up with zeros."""
    found = list(addresses)
    most = max(map(len, found), default=0)
    return np.array([row + [0] * (most - len(row)) for row in found], np.uint64)


def _arrays(slot: Slot, kept: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Return our parts of the tensors that C writes to, the rule's states first."""
    others = [name for name in kept if name not in slot.kernel.state]
    names = (*slot.kernel.state, *others)
    return tuple(tensors.local(kept[name]) for name in names)


def _place(t: torch.Tensor) -> tuple[Any, ...]:
    return t.data_ptr(), t.shape, t.stride()
