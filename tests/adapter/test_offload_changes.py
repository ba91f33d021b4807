"""`CPUOffload` where parameters and options change between steps."""

from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import gradstep as gs
import gradstep.torch as gst
from offloading import assert_same, backward, both, pair, values
from variants import VARIANTS

# -- parameters


@pytest.mark.parametrize("overlap", [False, True])
def test_what_is_written_to_parameters_is_taken_over(overlap: bool) -> None:
    opt, other, p, q = pair(overlap=overlap)
    both(opt, other, p, q, range(1, 3))
    for params in (p, q):
        with torch.no_grad():
            params[0].mul_(2)
        params[1].data = torch.ones(5)
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)
    for params in (p, q):
        params[3].data.fill_(2)
    opt.pull()
    both(opt, other, p, q, range(5, 7))
    assert_same(opt, other, p, q)


def test_a_parameter_that_is_another_is_refused() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 2))
    p[1].data = torch.ones(4)
    with pytest.raises(
        RuntimeError, match=r"\[0\]\['params'\]\[1\] has shape \(4,\), not \(5,\)"
    ):
        opt.step()
    with pytest.raises(RuntimeError, match="build another after"):
        opt.state_dict()


def test_groups_are_added() -> None:
    opt, other, p, q = pair()
    more = [torch.ones(6), torch.ones(6)]
    both(opt, other, p, q, range(1, 3))
    with pytest.raises(
        TypeError, match=r"param_groups\[2\]\['params'\]\[0\] is on dev"
    ):
        opt.add_param_group({"params": [torch.ones(2, device="meta")]})
    with pytest.raises(ValueError, match="lr must be in"):
        opt.add_param_group({"params": [torch.ones(2)], "lr": -1.0})
    assert len(opt.param_groups) == len(opt._host.param_groups) == 2
    for one, x in ((opt, more[0]), (other, more[1])):
        one.add_param_group({"params": [x], "lr": 0.3})
        x.grad = torch.ones(6)
        one.step()
    assert_same(opt, other, [*p, more[0]], [*q, more[1]])


def test_complex_and_double_parameters() -> None:
    for dtype in (torch.complex64, torch.float64):
        p, q = torch.ones(3, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype)
        opt, other = gst.CPUOffload(gst.Adam([p])), gst.Adam([q])
        for t in range(1, 3):
            g = torch.randn(
                4, 3, dtype=dtype, generator=torch.Generator().manual_seed(t)
            )
            p.grad = q.grad = g.mH if dtype.is_complex else g.t()
            opt.step()
            other.step()
        assert_same(opt, other, [p], [q])


# -- options


def test_schedulers_change_the_options_that_are_stepped_by() -> None:
    for kind in (torch.optim.lr_scheduler, gs.lr_scheduler):
        opt, other, p, q = pair(overlap=True)
        schedulers = [kind.StepLR(one, 1, 0.5) for one in (opt, other)]
        for t in range(1, 5):
            both(opt, other, p, q, range(t, t + 1))
            for scheduler in schedulers:
                scheduler.step()
        assert_same(opt, other, p, q)
        assert opt.param_groups is opt._optimizer.param_groups
        assert opt.param_groups[0]["lr"] == VARIANTS["adamw"][1]["lr"] / 16


def test_options_that_are_tensors() -> None:
    opt, other, p, q = pair(overlap=True)
    for t in range(1, 4):
        for one, params in ((opt, p), (other, q)):
            one.param_groups[0]["lr"] = torch.tensor(0.1)
            one.zero_grad()
            backward(params, values(t))
            one.param_groups[0]["lr"].fill_(0.2)
            one.step()
    assert_same(opt, other, p, q)


def test_an_option_changed_after_backward_is_refused_where_steps_begin() -> None:
    opt, other, p, q = pair(overlap=True)
    both(opt, other, p, q, range(1, 2))
    rate = opt.param_groups[1]["lr"]
    opt.zero_grad()
    backward(p, values(2))
    opt.param_groups[1]["lr"] = 0.5
    with pytest.raises(RuntimeError, match=r"param_groups\[1\]\['lr'\] was changed"):
        opt.step()
    opt.param_groups[1]["lr"] = rate
    opt.step()
    for b, g in zip(q, values(2), strict=True):
        b.grad = g
    other.step()
    assert_same(opt, other, p, q)


def test_an_error_in_the_thread_is_that_of_step() -> None:
    opt, other, p, q = pair(overlap=True, bucket_bytes=100)
    both(opt, other, p, q, range(1, 2))
    rate = opt.param_groups[0]["lr"]
    opt.param_groups[0]["lr"] = -1.0
    opt.zero_grad()
    backward(p, values(2))
    with pytest.raises(ValueError, match="lr must be in"):
        opt.step()
    opt.param_groups[0]["lr"] = rate
    opt.step()
    other.zero_grad()
    backward(q, values(2))
    other.step()
    assert_same(opt, other, p, q)


def test_a_closure_and_hooks() -> None:
    opt, _, p, _ = pair(overlap=True)
    seen: list[Any] = []
    handle = register_optimizer_step_pre_hook(lambda o, *_: seen.append(o))
    opt.register_step_post_hook(lambda *_: seen.append("after"))

    def closure() -> int:
        opt.zero_grad()
        backward(p, values(len(seen)))
        return 7

    try:
        for _ in range(3):
            assert opt.step(closure) == 7
    finally:
        handle.remove()
    assert seen == [opt, "after"] * 3
