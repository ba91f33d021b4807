"""Copies between a device and the host: when they begin, and who waits for them."""

from typing import Any, TypeAlias

import torch

from gradstep.torch import tensors


class Direct:
    """Copies to and from the CPU itself: each is done when its call returns."""

    def __init__(self, device: torch.device) -> None:
        del device

    def empty(self, like: torch.Tensor) -> torch.Tensor:
        """Return memory on the host for the elements of a tensor, in their order."""
        return torch.empty_strided(
            like.shape, _order(like), dtype=like.dtype, device="cpu"
        )

    def fetch(self, host: torch.Tensor, t: torch.Tensor) -> None:
        """Copy a tensor of the device to the host."""
        host.copy_(t)

    def send(self, t: torch.Tensor, host: torch.Tensor) -> None:
        """Copy it back."""
        t.copy_(host)

    def wait(self, event: None) -> None:
        """Let the host wait for a copy."""

    def join(self) -> None:
        """Let what the device does next wait for all copies to it."""


class Streams:
    """Copies on two streams of a CUDA device, one for each way, beside its current one.

    Both begin after what the current stream has been given by then. The host waits in
    `wait` only: between a copy and that, it must neither read what is fetched nor write
    what is sent.
    """

    cuda: Any = torch.cuda

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._down, self._up = self.cuda.Stream(device), self.cuda.Stream(device)

    def empty(self, like: torch.Tensor) -> torch.Tensor:
        """Return pinned memory for the elements of a tensor, in their order."""
        return torch.empty_strided(
            *(like.shape, _order(like)),
            dtype=like.dtype,
            device="cpu",
            pin_memory=True,
        )

    def fetch(self, host: torch.Tensor, t: torch.Tensor) -> Any:
        """Begin to copy a tensor to the host; return what tells when that is done."""
        self._down.wait_stream(self.cuda.current_stream(self._device))
        with self.cuda.stream(self._down):
            # What is not in the host's order is brought into it on the device.
            ordered = t if _in_order(t, host) else self._beside(host).copy_(t)
            self._copy(_line(host), _line(ordered))
        self._keep(t, self._down)
        return self._down.record_event(self.cuda.Event(blocking=True))

    def send(self, t: torch.Tensor, host: torch.Tensor) -> Any:
        """Begin to copy the host's tensor to the device; return the same."""
        self._up.wait_stream(self.cuda.current_stream(self._device))
        with self.cuda.stream(self._up):
            if _in_order(t, host):
                self._copy(_line(t), _line(host))
            else:
                ordered = self._beside(host)
                self._copy(_line(ordered), _line(host))
                t.copy_(ordered)
        return self._up.record_event(self.cuda.Event(blocking=True))

    def wait(self, event: Any) -> None:
        """Let the host wait for a copy; other threads of Python go on."""
        if event is not None:
            event.synchronize()

    def join(self) -> None:
        """Let what the current stream does next wait for all copies to the device."""
        self.cuda.current_stream(self._device).wait_stream(self._up)

    def _beside(self, host: torch.Tensor) -> torch.Tensor:
        """Return memory on the device in the host's order."""
        return torch.empty_strided(
            host.shape, host.stride(), dtype=host.dtype, device=self._device
        )

    def _copy(self, to: torch.Tensor, t: torch.Tensor) -> None:
        to.copy_(t, non_blocking=True)

    def _keep(self, t: torch.Tensor, stream: Any) -> None:
        """Tell the allocator that a stream uses memory that is not its own."""
        t.record_stream(stream)


Lane: TypeAlias = Direct | Streams

# How to copy to and from a type of device.
LANES: dict[str, type[Lane]] = {"cpu": Direct, "cuda": Streams}


def _order(t: torch.Tensor) -> tuple[int, ...]:
    """Return a tensor's strides, or C's where its elements have gaps between them."""
    if tensors.is_dense(t):
        found: tuple[int, ...] = t.stride()
        return found
    order: tuple[int, ...] = torch.empty(t.shape, device="meta").stride()
    return order


def _in_order(t: torch.Tensor, host: torch.Tensor) -> bool:
    """Return whether the memory of a tensor can be copied as it is."""
    return t.stride() == host.stride() and not (t.is_conj() or t.is_neg())


def _line(t: torch.Tensor) -> torch.Tensor:
    # Copies between devices are asynchronous, and in one piece, if both sides are.
    return t.as_strided((t.numel(),), (1,))
