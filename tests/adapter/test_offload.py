"""`CPUOffload`: the bits of the optimizer that it wraps, whatever gradients come."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradstep.torch as gst
from adapter_processes import ALL
from offloading import (
    CLIPPED,
    STORAGES,
    assert_same,
    backward,
    both,
    make,
    pair,
    parameters,
    values,
)


@pytest.mark.parametrize("kept", STORAGES)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("variant", ALL)
def test_steps_have_the_bits_of_the_optimizer(
    variant: str, overlap: bool, kept: str
) -> None:
    dtype, storage = STORAGES[kept]
    p, q = parameters(dtype), parameters(dtype)
    opt = gst.CPUOffload(make(variant, p, **storage), overlap=overlap, bucket_bytes=32)
    other = make(variant, q, **storage)
    for t in range(1, 5):
        grads = values(t, dtype)
        some = slice(1, 4) if t == 2 else slice(0, 5)  # the others have no gradient
        opt.zero_grad()
        backward(p[some], grads[some])
        opt.step()
        other.zero_grad()
        for b, g in zip(q[some], grads[some], strict=True):
            b.grad = g
        other.step()
        assert_same(opt, other, p, q)
    assert isinstance(opt, torch.optim.Optimizer)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("variant", ["adamw", "lamb", "adai", "adan no prox"])
def test_scaled_steps_have_the_bits_of_the_optimizer(variant: str, early: bool) -> None:
    p, q = parameters(), parameters()
    how = CLIPPED if early else {}
    opt = gst.CPUOffload(make(variant, p), overlap=early, bucket_bytes=32, **how)
    other = make(variant, q)
    for t in range(1, 5):
        grads = values(t)
        if t == 3:
            grads[3][2] = torch.inf
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, grads)
            one.step(**({} if early and one is opt else CLIPPED))
        assert opt.last_step == pytest.approx(other.last_step, nan_ok=True)
        assert opt.last_step.skipped == (t == 3)
        assert_same(opt, other, p, q)
    assert p[0].grad is not None
    p[0].grad.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="nothing was changed"):
        opt.step(nonfinite="raise")
    assert_same(opt, other, p, q)


def test_steps_begin_during_backward_and_parameters_wait_for_step() -> None:
    opt, other, p, q = pair(overlap=True)
    both(opt, other, p, q, range(1, 2))
    before = [x.detach().clone() for x in p]
    opt.zero_grad()
    backward(p, values(2))
    taken = [job for _, job in opt._ahead._jobs]
    assert len(taken) > 1
    for job in taken:
        job.result()
    assert any(float(s["step"]) == 2 for s in opt.state.values())
    for x, was in zip(p, before, strict=True):
        assert torch.equal(x, was)
    opt.step()
    both(other, other, q, q, range(2, 3))
    for x, was in zip(p, before, strict=True):
        assert not torch.equal(x, was)


@pytest.mark.parametrize("variant", ["adai", "lamb", "adan no prox"])
def test_what_needs_all_gradients_does_not_begin(variant: str) -> None:
    p = parameters()
    opt = gst.CPUOffload(make(variant, p), overlap=True, bucket_bytes=32)
    for t in range(1, 3):
        opt.zero_grad()
        backward(p, values(t))
        assert not opt._ahead.begun()
        opt.step()


# -- gradients


@pytest.mark.parametrize("how", [{}, CLIPPED])
def test_gradients_add_up(how: dict[str, Any]) -> None:
    opt, other, p, q = pair(overlap=bool(how), **how)
    for t in (1, 3):
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, values(t))
            backward(params, values(t + 1))
            nn.utils.clip_grad_value_(params, 0.6)
            one.step(**(how if one is other else {}))
    assert_same(opt, other, p, q)


def test_gradients_that_autograd_does_not_know() -> None:
    opt, other, p, q = pair()
    for t in range(1, 4):
        backward(p, values(t))
        for a, b, g in zip(p, q, values(t), strict=True):
            a.grad.data.mul_(0.5)
            b.grad = g * 0.5
        opt.step()
        other.step()
        opt.zero_grad()
    for a, b in zip(p, q, strict=True):
        b.grad = a.grad = torch.ones_like(b)
    opt.step()
    other.step()
    assert_same(opt, other, p, q)


def test_a_second_backward_is_refused_where_steps_begin() -> None:
    for first in (1, 2):
        opt, other, p, q = pair(overlap=True)
        both(opt, other, p, q, range(1, first))
        opt.zero_grad()
        backward(p, values(first))
        if first == 2:
            opt.zero_grad()  # too late: it has been stepped by
        with pytest.raises(RuntimeError, match="second gradient before step"):
            backward(p, values(9))


def test_a_changed_gradient_is_refused_where_steps_begin() -> None:
    changes: list[Callable[[Any], Any]] = [
        lambda x: x.grad.mul_(2),
        lambda x: setattr(x, "grad", None),
        lambda x: setattr(x, "grad", x.grad.clone()),
    ]
    for change in changes:
        opt, other, p, q = pair(overlap=True)
        both(opt, other, p, q, range(1, 2))
        opt.zero_grad()
        backward(p, values(2))
        change(p[3])
        with pytest.raises(
            RuntimeError, match=r"gradient of param_groups\[1\]\['params'\]\[0\] was"
        ):
            opt.step()
        for a, b in zip(p, q, strict=True):
            assert torch.equal(a, b)  # the device has not been written to


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_gradients() -> None:
    p, q = torch.ones(4, 2), torch.ones(4, 2)
    rest, other_rest = torch.ones(3), torch.ones(3)
    opt = gst.CPUOffload(gst.Adagrad([p, rest], lr=0.1), bucket_bytes=1)
    other = gst.Adagrad([q, other_rest], lr=0.1)
    for dense in (False, True, False):
        for x, r in ((p, rest), (q, other_rest)):
            g = torch.tensor([[0.0, 0], [1, 1], [0, 0], [0, 0]]).to_sparse(1)
            x.grad = g.to_dense() if dense else g
            r.grad = torch.ones(3)
        opt.step()
        other.step()
    assert_same(opt, other, [p, rest], [q, other_rest])


@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_gradient_that_does_not_fit_changes_nothing() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 3))
    p[3].grad = torch.ones(7).to_sparse()
    with pytest.raises(
        TypeError, match=r"AdamW\.step: the gradient of param_groups\[1"
    ):
        opt.step()
    p[3].grad = None
    assert_same(opt, other, p, q)


def test_a_grad_scaler() -> None:
    opt, other, p, q = pair()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for t in range(1, 4):
        grads = values(t)
        if t == 2:
            grads[0][1] = torch.inf
        opt.zero_grad()
        total = sum((x * g).sum() for x, g in zip(p, grads, strict=True))
        scaler.scale(total).backward()
        scaler.step(opt)
        scaler.update()
        if t != 2:
            both(other, other, q, q, range(t, t))
            for b, g in zip(q, grads, strict=True):
                b.grad = g
            other.step()
    assert_same(opt, other, p, q)


@pytest.mark.parametrize("how", [{}, CLIPPED])
def test_a_grad_scaler_is_refused_with_overlap(how: dict[str, Any]) -> None:
    opt, _, p, _ = pair(overlap=True, **how)
    before = [x.detach().clone() for x in p]
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(
        sum((x * g).sum() for x, g in zip(p, values(1), strict=True))
    ).backward()
    with pytest.raises(RuntimeError, match="a GradScaler changes gradients"):
        scaler.step(opt)
    for x, was in zip(p, before, strict=True):
        assert torch.equal(x, was)
    opt.step()  # without it


def test_gradients_of_many_processes_are_refused_with_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _opt, _, p, _ = pair(overlap=True)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="before they are summed over the 2"):
        backward(p, values(1))
