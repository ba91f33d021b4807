"""What waits for what in `CPUOffload` on a device: see tests/streams.py."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import gradstep.torch as gst
from gradstep.torch.copies import LANES
from streams import CURRENT, HOST, Watched, World

SHAPES = ((3, 4), (5,), (2, 3, 4, 5), (7,), ())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setitem(LANES, "cpu", partial(Watched, found))  # type: ignore[arg-type]
    return found


def values(seed: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    found = [torch.randn(shape, generator=draws) for shape in SHAPES]
    found[2] = found[2].to(memory_format=torch.channels_last)
    return found


def parameters() -> list[Tensor]:
    return [t.requires_grad_() for t in values(0)]


class Device:
    """A model whose forward and backward are told to the world."""

    def __init__(self, world: World, params: list[Tensor]) -> None:
        self.world, self.params = world, params
        for p in params:
            p.register_post_accumulate_grad_hook(self.came)

    def read_all(self) -> None:
        self.world.issue(CURRENT)
        for p in self.params:
            self.world.touch(CURRENT, p, write=False)

    def came(self, p: Tensor) -> None:
        # Backward is still to read the parameters of the layers before.
        self.read_all()
        assert p.grad is not None
        self.world.touch(CURRENT, p.grad, write=True)

    def backward(self, grads: list[Tensor]) -> None:
        self.read_all()
        sum((p * g).sum() for p, g in zip(self.params, grads, strict=True)).backward()
        self.read_all()


def watch_host(world: World, opt: gst.CPUOffload) -> None:
    step = opt._step_host

    def watched(**how: Any) -> Any:
        for m in opt._all():
            if m.host.grad is not None:
                world.touch(HOST, m.host.grad, write=False)
                world.touch(HOST, m.host, write=True)
        return step(**how)

    opt._step_host = watched


@pytest.mark.parametrize("how", [{}, {"clip_norm": 0.5}])
@pytest.mark.parametrize("overlap", [False, True])
def test_nothing_is_read_or_written_too_early(
    world: World, overlap: bool, how: dict[str, Any]
) -> None:
    params, plain = parameters(), parameters()
    device = Device(world, params)  # its hooks come first
    opt = gst.CPUOffload(
        gst.AdamW(params, lr=0.1), overlap=overlap, bucket_bytes=32, **how
    )
    watch_host(world, opt)
    other = gst.AdamW(plain, lr=0.1)
    for t in range(1, 5):
        grads = values(t)
        device.backward(grads)
        opt.step()
        device.read_all()
        opt.zero_grad()
        for p, g in zip(plain, grads, strict=True):
            p.grad = g
        other.step(**how)
        for p, q in zip(params, plain, strict=True):
            assert torch.equal(p, q)
        with torch.no_grad():  # as others do: an average of weights, say
            for p, q in ((params[1], plain[1]), (params[2], plain[2])):
                world.touch(CURRENT, p, write=True)
                p.mul_(1.5)
                q.mul_(1.5)


def test_what_a_stream_reads_is_kept_from_the_allocator(world: World) -> None:
    params = parameters()
    opt = gst.CPUOffload(gst.SGD(params, lr=0.1), overlap=True)
    sum((p * g).sum() for p, g in zip(params, values(1), strict=True)).backward()
    grads = [p.grad for p in params]
    assert {g.untyped_storage().data_ptr() for g in grads if g is not None} <= {
        *world.kept
    }
    opt.step()


def test_copies_come_during_backward_or_in_step(world: World) -> None:
    for overlap in (True, False):
        params = parameters()
        opt = gst.CPUOffload(gst.SGD(params, lr=0.1), overlap=overlap)
        before = len(world.log)
        sum((p * g).sum() for p, g in zip(params, values(1), strict=True)).backward()
        assert (len(world.log) > before) == overlap
        opt.step()
        assert len(world.log) - before == 3 * len(params)  # once each: p, g and p again
        opt.step()
        assert len(world.log) - before == 5 * len(params)
        assert params[0].grad is not None
        params[0].grad.fill_(torch.nan)
        if not overlap:  # not taken, so there is nothing to bring back
            opt.step(nonfinite="skip")
            assert len(world.log) - before == 6 * len(params)
        assert all(m.seen is None for m in opt._all())


def test_both_ways_have_a_stream_of_their_own(world: World) -> None:
    params = parameters()[:1]
    opt = gst.CPUOffload(gst.SGD(params, lr=0.1))
    params[0].grad = torch.ones(3, 4)
    opt.step()
    down, again, up = (agent for agent, _ in world.log)
    assert down == again != up


def test_an_average_does_not_overtake_a_copy(world: World) -> None:
    params = parameters()
    opt = gst.CPUOffload(gst.ScheduleFreeSGD(params, lr=0.1))
    for p, g in zip(params, values(1), strict=True):
        p.grad = g
    opt.step()
    for m in opt._all():
        m.settle()
        world.touch(HOST, m.host, write=True)
    opt.eval()
    opt.train()


def test_a_conjugated_gradient(world: World) -> None:
    p, q = (torch.ones(3, 4, dtype=torch.complex64) for _ in range(2))
    opt, other = gst.CPUOffload(gst.SGD([p], lr=0.1)), gst.SGD([q], lr=0.1)
    p.grad = q.grad = (torch.arange(12).reshape(3, 4) * 1j).conj()
    opt.step()
    other.step()
    assert torch.equal(p, q)


def test_a_transposed_gradient_and_a_parameter_with_gaps(world: World) -> None:
    params = [torch.ones(3, 4), torch.ones(4, 6)[:, ::2]]
    plain = [torch.ones(3, 4), torch.ones(4, 6)[:, ::2]]
    opt, other = gst.CPUOffload(gst.SGD(params, lr=0.1)), gst.SGD(plain, lr=0.1)
    for _ in range(2):
        for p, q in zip(params, plain, strict=True):
            p.grad = q.grad = torch.arange(12.0).reshape(p.shape[::-1]).t()
        opt.step()
        other.step()
    for p, q in zip(params, plain, strict=True):
        assert torch.equal(p, q)
