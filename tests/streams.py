"""CUDA's streams and events, without a device: who may know of what others have done.

Streams and the host are agents with vector clocks. Every read and write of memory is
told to a `World`, which fails where two of them, one a write, are in no order. What is
copied is copied at once, so that results can be compared, too.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gradstep.torch.copies import Streams

HOST, CURRENT = "host", "current"


class World:
    """What `torch.cuda` is to `Streams`, and the times of all agents."""

    def __init__(self) -> None:
        self.clocks: dict[str, Counter[str]] = defaultdict(Counter)
        self.touched: dict[int, dict[tuple[str, bool], int]] = defaultdict(dict)
        self.log: list[tuple[str, str]] = []
        self.kept: list[int] = []
        self._alive: list[Any] = []  # so that no address comes twice
        self._on = FakeStream(self, CURRENT)
        self._lock = threading.RLock()

    def touch(self, agent: str, t: Tensor, *, write: bool) -> None:
        with self._lock:
            self._alive.append(t.untyped_storage())
            at = t.untyped_storage().data_ptr()
            clock = self.clocks[agent]
            clock[agent] += 1
            for (other, wrote), when in self.touched[at].items():
                if other != agent and (write or wrote) and clock[other] < when:
                    verb = ["reads", "writes"]
                    raise AssertionError(
                        f"{agent} {verb[write]} what {other} {verb[wrote]}, unordered"
                    )
            self.touched[at][agent, write] = clock[agent]

    def learn(self, agent: str, clock: Counter[str]) -> None:
        with self._lock:
            self.clocks[agent] |= clock

    def issue(self, agent: str) -> None:
        """Nothing begins before the host has asked for it."""
        self.learn(agent, self.clocks[HOST])

    # What `Streams` asks `torch.cuda` for.

    def Stream(self, _: torch.device) -> "FakeStream":  # noqa: N802
        return FakeStream(self, f"stream {len(self.clocks)}")

    def Event(self, *, blocking: bool) -> "FakeEvent":  # noqa: N802
        assert blocking  # else a thread would spin
        return FakeEvent(self)

    def current_stream(self, _: torch.device) -> "FakeStream":
        return self._on

    @contextmanager
    def stream(self, stream: "FakeStream") -> Iterator[None]:
        before, self._on = self._on, stream
        yield
        self._on = before


class FakeStream:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        world.clocks[name][name] = 0

    def wait_stream(self, other: "FakeStream") -> None:
        self.world.issue(other.name)
        self.world.issue(self.name)
        self.world.learn(self.name, self.world.clocks[other.name])

    def record_event(self, event: "FakeEvent") -> "FakeEvent":
        self.world.issue(self.name)
        event.clock = Counter(self.world.clocks[self.name])
        return event


class FakeEvent:
    def __init__(self, world: World) -> None:
        self.world, self.clock = world, Counter[str]()

    def synchronize(self) -> None:
        self.world.learn(HOST, self.clock)


class Watched(Streams):
    """Copies of a device that is the CPU, told to a world."""

    def __init__(self, world: World, device: torch.device) -> None:
        self.world = self.cuda = world
        super().__init__(device)

    def empty(self, like: Tensor) -> Tensor:
        order = like if like.is_contiguous() or like.ndim == 4 else like.contiguous()
        return torch.empty_strided(like.shape, order.stride(), dtype=like.dtype)

    def _copy(self, to: Tensor, t: Tensor) -> None:
        agent = self.world._on.name
        assert agent != CURRENT
        # Else torch copies by way of memory that is not pinned.
        assert to.is_contiguous()
        assert t.is_contiguous()
        assert not t.is_conj()
        self.world.issue(agent)
        self.world.touch(agent, t, write=False)
        self.world.touch(agent, to, write=True)
        self.world.log.append((agent, "copy"))
        to.copy_(t)

    def _keep(self, t: Tensor, stream: Any) -> None:
        assert stream.name != CURRENT
        self.world.kept.append(t.untyped_storage().data_ptr())
