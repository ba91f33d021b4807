"""A device that is none: tensors of the CPU are stepped by the kernels of CUDA.

All of gradstep.torch runs as on a GPU but for what asks the driver; each launch is told
to a machine, which runs the kernel, and of which there are two: interpreted.py and
emulated.py.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np
import pytest
import torch

from gradstep import _torch
from gradstep.torch import bound, cuda, device, gradients, tensors
from ptx import Memory

PROCESSORS = 4


class Launch(NamedTuple):
    """A kernel of a source, its blocks, threads of each, and where its argument is."""

    source: cuda.Source
    name: str
    grid: int
    threads: int
    argument: int


class Machine(Protocol):
    """Runs kernels; `memory` is all that they may touch."""

    def launch(self, told: Launch, memory: Memory) -> None: ...


class Function(NamedTuple):
    source: cuda.Source
    name: str


class Module(NamedTuple):
    source: cuda.Source

    def function(self, name: str) -> Function:
        return Function(self.source, name)


class Step:
    """A step under way: what its kernels may read, and what they may write to."""

    def __init__(self, taking: bound.Bound) -> None:
        self.bound = taking
        self.copies: list[torch.Tensor] = []  # of gradients
        self._memory: Memory | None = None

    def written(self) -> Iterator[torch.Tensor]:
        of = self.bound
        assert of._on_device is not None
        yield from (of._on_device._records, of._on_device._measured)
        yield of._on_device._partial
        progress = of._on_device._progress
        yield from (progress.exact, progress.shown, progress.numbers)
        for i, (p, closed) in enumerate(zip(of._live, of._closed, strict=True)):
            yield p if closed is None else closed
            yield from of._watch.states(i)

    def read(self) -> Iterator[torch.Tensor]:
        grads = [slot.param.grad for slot in self.bound._slots]
        yield from (g for g in grads if g is not None and tensors.is_dense(g))
        yield from self.copies
        assert self.bound._on_device is not None
        yield from (t for t, _ in self.bound._on_device._rates)
        yield from (t for t in self.bound._on_device._amp if t is not None)

    def memory(self) -> Memory:
        """Return it all; when the first kernel is launched it is known."""
        if self._memory is None:
            self._memory = Memory()
            for t in self.written():
                self._memory.add(held(t))
            for t in self.read():
                self._memory.add(held(t, writes=False))
        return self._memory


def held(t: torch.Tensor, *, writes: bool = True) -> np.ndarray[Any, Any]:
    """Return a tensor's bytes, no more and no less."""
    size = t.numel() * t.element_size()
    if not size:
        return np.empty(0, np.uint8)
    found = np.frombuffer((ctypes.c_ubyte * size).from_address(t.data_ptr()), np.uint8)
    found.flags.writeable = writes
    return found


@contextmanager
def stand_in(machine: Machine, processors: int = PROCESSORS) -> Iterator[None]:
    """Take the CPU for a device."""
    steps: list[Step] = []
    really, copied = bound.Bound.step, gradients.in_order

    def step(self: Any, *args: Any) -> bool:
        steps[:] = [Step(self)]
        return really(self, *args)

    def in_order(g: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        found = copied(g, like)
        if found is not g:
            steps[0].copies.append(found)
        return found

    def launch(
        function: Function, grid: int, threads: int, stream: int, argument: int
    ) -> None:
        told = Launch(*function, grid, threads, argument)
        machine.launch(told, steps[0].memory())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "of", lambda *_: torch.device("cpu"))
        patch.setattr(device, "has_kernels", lambda *_: True)
        patch.setattr(device.Device, "dlpack_type", _torch.ON_CPU)
        patch.setattr(tensors, "_is_ours", lambda *_: False)  # states are torch's
        patch.setattr(bound.Bound, "step", step)
        patch.setattr(gradients, "in_order", in_order)
        patch.setattr(cuda, "module", lambda source, *_: Module(source))
        patch.setattr(cuda, "launch", launch)
        patch.setattr(cuda, "stream", lambda *_: 0)
        patch.setattr(cuda, "current", lambda *_: nullcontext())
        patch.setattr(cuda, "processors", lambda *_: processors)
        yield
