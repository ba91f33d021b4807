"""Parameters in the memory of a GPU, stepped there by kernels from the same headers."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gradstep import _core, _torch, storage
from gradstep.scaling import StepReport
from gradstep.structure import Array
from gradstep.torch import cuda, kernels, tensors
from gradstep.torch.kernels import Kind
from gradstep.torch.progress import Progress
from gradstep.torch.slots import Slot

_NAMES = {
    _torch.PREPARE: "gs_prepare",
    _torch.GATHER: "gs_gather",
    _torch.STEP: "gs_step",
    _torch.SCALE: "gs_scale",
    _torch.REDUCE: "gs_reduce",
    _torch.TOTAL: "gs_total",
}

_FOUND = 3  # that gs_measured begins with: norm, factor, count
NOTHING = StepReport(None, 1.0, None, skipped=False)


class DeviceProgress(Progress):
    """The same in the device's memory: only its kernels know what is skipped.

    Written there at once, when all of it has been set.
    """

    def __init__(
        self,
        engine: _core.Engine,
        kernels: Sequence[_core.Kernel],
        device: torch.device,
        *,
        counted: bool,
    ) -> None:
        super().__init__(engine, kernels, counted=counted)
        n, most = len(kernels), 0 if self.scalars is None else self.scalars.shape[1]
        self.exact = torch.zeros(n, dtype=torch.float64, device=device)
        self.shown = torch.zeros(n, dtype=torch.float32, device=device)
        self.numbers = torch.zeros((n, most), dtype=torch.float64, device=device)
        self._counts_shown = list(self.shown)
        self._numbers_shown: dict[tuple[int, int], torch.Tensor] = {}

    def settle(self) -> None:
        """Write all that was set to the device."""
        counts = torch.tensor(super().all(), dtype=torch.float64, device="cpu")
        self.exact.copy_(counts)
        self.shown.copy_(torch.from_numpy(self.counts))
        if self.scalars is not None:
            self.numbers.copy_(torch.from_numpy(self.scalars))

    def all(self) -> list[int]:
        """Return how many steps all have taken: waits for the device."""
        return list(map(int, self.exact.tolist()))

    def shows(self) -> dict[int, float]:
        """Return what all tensors show, by their identity: waits once for each kind."""
        found = dict(zip(map(id, self._counts_shown), self.shown.tolist()))
        rows = self.numbers.tolist()
        for (i, k), t in self._numbers_shown.items():
            found[id(t)] = rows[i][k]
        return found

    def count(self, i: int) -> torch.Tensor:
        """Return the tensor that shows a count."""
        return self._counts_shown[i]

    def scalar(self, i: int, k: int) -> torch.Tensor:
        """Return the tensor that shows number k."""
        return self._numbers_shown.setdefault((i, k), self.numbers[i, k])

    def watched(self) -> tuple[Any, Any]:
        """Return None: kernels look for themselves."""
        return None, None


def of(params: Sequence[Any]) -> torch.device | None:
    """Return the device that has all parameters and kernels for them; None: the host.

    What is on other devices is copied to the host and back in each step: as exact, and
    slow. A warning says why.
    """
    places = {p.device for p in params}
    if all(place.type == "cpu" for place in places):
        return None
    reason = _lack(places)
    if reason is None:
        return places.pop()
    warnings.warn(
        f"parameters are on {', '.join(sorted(map(str, places)))} and copied to the "
        f"host and back in each step: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def has_kernels(params: Sequence[Any]) -> bool:
    """Return whether all parameters are on one device for which there are kernels."""
    return _lack({p.device for p in params}) is None


def rate(group: Mapping[str, Any], place: torch.device | None) -> torch.Tensor | None:
    """Return the lr of a group if it is a tensor that kernels there can read."""
    lr: Any = group.get("lr")
    if place is None or not torch.is_tensor(lr) or lr.device != place:
        return None
    return lr if lr.dtype in (torch.float32, torch.float64) else None


def _lack(places: set[torch.device]) -> str | None:
    """Return why there are no kernels for parameters there, if so."""
    if len(places) > 1:
        return "they are on several devices; build an optimizer for those of each"
    if any(place.type != "cuda" for place in places):
        return "kernels are for CUDA only"
    try:
        cuda.check()
    except cuda.Unavailable as error:
        return str(error)
    return None


def kinds_of(slot: Slot, grad: str | None) -> tuple[Kind, Kind, Kind]:
    """Return what steps a parameter, what takes its gradient's norm, and what counts.

    grad : the code of the gradient.
    """
    layout, kernel = slot.layout, slot.kernel
    master = storage.MASTER in layout.fields
    looking = (kernel.dtype, None, grad, None, False)
    return (
        Kind(kernel.rule, kernel.dtype, layout.param, grad, layout.state, master),
        Kind("norm", *looking),
        Kind("norm_nonfinite", *looking),
    )


class Device:
    """What lies on a device beside parameters and states, and the launches there."""

    dlpack_type = _torch.ON_CUDA

    def __init__(
        self,
        device: torch.device,
        slots: Sequence[Slot],
        stepped: Sequence[torch.Tensor],
        progress: DeviceProgress,
    ) -> None:
        self._device, self._slots, self._progress = device, slots, progress
        self._functions: dict[tuple[int, int], cuda.Function] = {}
        self._stream = 0
        self._amp: list[torch.Tensor | None] = []
        n = len(slots)
        self._records = self._room(n * _torch.RECORD_BYTES)
        self._measured = self._room(_torch.MEASURED_BYTES)
        self._looked = False
        rooms = [_torch.partials(tensors.flat(t).size) for t in stepped]
        self._partial = self._room(8 * sum(rooms))
        self._partials = self._partial.data_ptr() + 8 * np.cumsum([0, *rooms])[:-1]
        self._kinds: list[tuple[Kind, Kind, Kind]] = []
        self._load(list(map(tensors.code, stepped)))  # gradients are of their type

    def _room(self, size: int) -> torch.Tensor:
        return torch.zeros(max(size, 1), dtype=torch.uint8, device=self._device)

    def _load(self, grads: Sequence[str | None]) -> None:
        """Load all kernels that a step may need, before the first."""
        needed: dict[Kind, set[int]] = {}
        for slot, grad in zip(self._slots, grads, strict=True):
            sums = {_torch.GATHER} if slot.kernel.sums else set()
            uses = {_torch.PREPARE, _torch.STEP} | sums
            kinds = kinds_of(slot, grad)
            for kind, used in zip(kinds, (uses, {_torch.GATHER}, {_torch.GATHER})):
                needed.setdefault(kind, set()).update(used)
            self._kinds.append(kinds)
        self._modules = {kind: m for m, kind in enumerate(needed)}
        for kind, used in needed.items():
            self._take(self._modules[kind], kernels.source(kind), used)
        self._take(0, kernels.measuring(), {_torch.SCALE, _torch.REDUCE, _torch.TOTAL})

    def _take(self, number: int, source: cuda.Source, used: set[int]) -> None:
        module = cuda.module(source, self._device.index)
        with self.current():
            for what in used:
                self._functions[number, what] = module.function(_NAMES[what])

    def bind(self, seeds: Sequence[int], rates: Sequence[torch.Tensor | None]) -> None:
        """Make `launches`, what steps a plan of these parameters.

        rates : for each group its lr, where that is a tensor on the device.
        """
        self._rates = [(t, t.data_ptr()) for t in rates if t is not None]
        alike = tensors.sharded_alike([slot.param for slot in self._slots])
        self._alike = {
            key: torch.tensor(rows, device=self._device) for key, rows in alike.items()
        }
        modules = [[self._modules[kind] for kind in kinds] for kinds in self._kinds]
        place = [[slot.number] for slot in self._slots]
        numbers = self._progress.numbers
        self.launches = _torch.Launches(
            record=self._records.data_ptr(),
            measured=self._measured.data_ptr(),
            count=self._progress.exact.data_ptr(),
            step=self._progress.shown.data_ptr() if self._progress.counted else 0,
            scalar=numbers.data_ptr(),
            scalars=numbers.shape[1],
            processors=cuda.processors(self._device.index),
            shares=bool(self._alike),
            modules=np.hstack([modules, place]).T.astype(np.uint32, "C"),
            beside=np.array([self._partials, seeds], np.uint64),
            rates=np.array(
                [
                    [0 if t is None else t.data_ptr() for t in rates],
                    [t is not None and t.dtype == torch.float64 for t in rates],
                ],
                np.uint64,
            ),
            launch=self._launch,
        )

    def _launch(
        self, module: int, what: int, grid: int, threads: int, argument: int
    ) -> None:
        if what == _torch.SHARE:
            self._share()
            return
        function = self._functions[module, what]
        cuda.launch(function, grid, threads, self._stream, argument)

    def _share(self) -> None:
        """Add to sums over shards those of other processes; queued, as kernels are."""
        records = self._records.view(torch.float64).view(len(self._slots), -1)
        sums = records[:, _torch.SUMS_AT : _torch.SUMS_AT + _torch.SUMS]
        tensors.add_up(self._alike, sums)

    def current(self) -> Any:
        """Return a context in which launches go to this device."""
        return cuda.current(self._device.index)

    def begin(self, *, looks: bool, amp: Mapping[str, Any]) -> bool:
        """Note what a step is told that it takes now, on the current stream.

        Return False if an lr is no longer where it was bound.
        """
        if any(t.data_ptr() != then for t, then in self._rates):
            return False
        self._stream = cuda.stream(self._device.index)
        self._looked = looks
        # torch.amp has them where its scale is, and zero as a number.
        self._amp = [
            None
            if t is None
            else torch.as_tensor(t, dtype=torch.float32, device=self._device)
            for t in amp.values()
        ]
        self.launches.amp(*(0 if t is None else t.data_ptr() for t in self._amp))
        return True

    def report(self) -> StepReport:
        """Return what the last step found in the gradients: waits for the device."""
        if not self._looked:
            return NOTHING
        found: Array = self._measured.cpu().numpy()
        norm, factor, nonfinite = found.view(np.float64)[:_FOUND]
        skipped = bool(found.view(np.uint32)[_torch.SKIPPED_AT])
        return StepReport(float(norm), float(factor), int(nonfinite), skipped)
