"""Parameters of a device, and their values and gradients in the host's memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from gradstep.torch import gradients, tensors
from gradstep.torch.copies import LANES, Lane


class Mirror:
    """A parameter, and what the host has of it.

    `host` is in the type of the parameter and the order of its elements. It is what the
    optimizer of the host steps; what others write to the parameter is fetched before.
    """

    def __init__(self, where: str, param: Any, lane: Lane) -> None:
        self.where, self.param, self.lane = where, param, lane
        self.host = lane.empty(param)
        self.known = False  # whether the optimizer of the host has states for it
        self.ahead = False  # whether it has been stepped before `step`
        self.seen: tuple[torch.Tensor, Any] | None = None  # the gradient that is here
        self._grad: torch.Tensor | None = None
        self._as_sent: tuple[int, Any] | None = None
        self._form = _form(param)
        self._fetched: Any = None
        self._sent: Any = None

    def nbytes(self) -> int:
        """Return the bytes of the parameter."""
        return int(self.host.numel() * self.host.element_size())

    def check_form(self) -> None:
        """Refuse a parameter that is no longer what was mirrored."""
        if _form(self.param) != self._form:
            names = ("shape", "strides", "dtype", "device")
            pairs = zip(names, self._form, _form(self.param), strict=True)
            name, then, now = next(x for x in pairs if x[1] != x[2])
            raise RuntimeError(
                f"CPUOffload: param_groups{self.where} has {name} {now}, not {then} as "
                "when it was built; build another after model.to"
            )

    # -- what comes from the device

    def has_plain_gradient(self) -> bool:
        """Return whether there is a gradient that can be copied to a buffer."""
        g, p = self.param.grad, self.param
        return (
            type(g) in tensors.PLAIN
            and g.layout is torch.strided
            and (g.dtype, g.shape) == (p.dtype, p.shape)
        )

    def fetch(self, owner: str) -> None:
        """Begin to copy the gradient, unless it is here, and a changed parameter."""
        g, where = self.param.grad, f"{owner}.step: the gradient of param_groups"
        if not self.is_here():
            self._take(
                gradients.checked(where + self.where, self.param, g, sparse=True)
            )
            self.seen = g, _version(g)
        self.fetch_param()

    def _take(self, g: torch.Tensor) -> None:
        if g.layout is not torch.strided:
            self._grad = g.to("cpu", copy=True)  # in a size of its own: at once
            return
        if self._grad is None or self._grad.layout is not torch.strided:
            self._grad = self.lane.empty(self.host)
        self._fetched = self.lane.fetch(self._grad, g)

    def fetch_param(self) -> None:
        """Begin to copy the parameter, if others have written to it."""
        now = self.param.data_ptr(), _version(self.param)
        if self._as_sent != now:
            tensors.check_memory(f"CPUOffload: param_groups{self.where}", self.param)
            self._fetched = self.lane.fetch(self.host, self.param.detach())
            self._as_sent = now

    def is_here(self) -> bool:
        """Return whether the parameter's gradient is the one that was fetched."""
        g = self.param.grad
        return (
            self.seen is not None and self.seen[0] is g and self.seen[1] == _version(g)
        )

    # -- what the host does

    def settle(self) -> None:
        """Wait until the host may read what was fetched, and write what was sent."""
        self.lane.wait(self._fetched)
        self.lane.wait(self._sent)

    def give(self) -> None:
        """Let the optimizer of the host find the gradient."""
        self.settle()
        self.host.grad = self._grad

    def send(self) -> None:
        """Begin to copy the new values to the parameter."""
        self._sent = self.lane.send(self.param.detach(), self.host)
        self._as_sent = self.param.data_ptr(), _version(self.param)

    def forget(self) -> None:
        """Take the host's values for none: the parameter is fetched again."""
        self._as_sent = None


def check(where: str, p: Any) -> None:
    """Refuse by name what cannot be mirrored."""
    if type(p) not in tensors.PLAIN:
        kind = type(p)
        raise TypeError(
            f"{where} must be a plain tensor, got {kind.__module__}."
            f"{kind.__qualname__}; step it where it is, without CPUOffload"
        )
    if p.device.type not in LANES:
        known = " or ".join(LANES)
        raise TypeError(
            f"{where} is on device {p.device}, expected {known}; move the model there "
            "first"
        )
    if p.layout is not torch.strided:
        raise TypeError(f"{where} has layout {p.layout}, expected torch.strided")
    tensors.check_memory(where, p)
    if p.is_conj() or p.is_neg() or tensors.overlaps_itself(p):
        raise ValueError(
            f"{where} has elements that are not simply its memory; pass "
            "t.resolve_conj().resolve_neg().clone()"
        )


def buckets(mirrors: Sequence[Mirror], size: int) -> Iterator[list[Mirror]]:
    """Yield them in runs of at least `size` bytes; the last may be smaller."""
    found: list[Mirror] = []
    held = 0
    for mirror in mirrors:
        found.append(mirror)
        held += mirror.nbytes()
        if held >= size:
            yield found
            found, held = [], 0
    if found:
        yield found


def _form(p: torch.Tensor) -> tuple[Any, ...]:
    return tuple(p.shape), p.stride(), p.dtype, p.device


def _version(t: torch.Tensor) -> Any:
    """Return how often a tensor has been written to, as autograd counts it.

    Writes to tensors of inference mode are not counted: equal to nothing.
    """
    if t.is_inference():
        return object()
    return t._version  # noqa: SLF001  # documented, and the only way to know
