"""The warning where steps of bfloat16 and float16 tensors are lost in rounding."""

import copy
import functools
from typing import Any

import pytest
import torch

import gradstep as gs
import gradstep.torch as gst
from support import precision_warnings

warned = functools.partial(precision_warnings, __file__)
CODES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def parameter(dtype: torch.dtype, shape: Any = (40, 50)) -> torch.nn.Parameter:
    generator = torch.Generator().manual_seed(1)
    return torch.nn.Parameter(
        (0.02 * torch.randn(shape, generator=generator)).to(dtype)
    )


def steps(opt: Any, p: Any, count: int, size: float = 1.0) -> None:
    for k in range(count):
        generator = torch.Generator().manual_seed(10 + k)
        p.grad = size * torch.randn(p.shape, generator=generator).to(p.dtype)
        opt.step()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(40, 50), (), (1,)])
def test_lost_steps_are_told_once_with_the_remedy(code: str, shape: Any) -> None:
    p = parameter(CODES[code], shape)
    opt = gst.AdamW([p], lr=1e-9)
    (message,) = warned(lambda: steps(opt, p, 10))
    assert message.startswith("AdamW: 100 % of the elements of " + code)
    assert "in 7 steps at lr 1e-09" in message
    assert "master='float32'" in message
    assert "rounding='stochastic'" in message
    assert not warned(lambda: steps(opt, p, 40))


def test_a_step_as_an_array_and_as_a_tensor_warn_alike() -> None:
    p = parameter(torch.bfloat16, (1000,))
    w = p.detach().clone().view(torch.int16).numpy().view(gs.bfloat16)
    opt, other = gst.SGD([p], lr=1e-6), gs.SGD(w, lr=1e-6)
    g = torch.ones_like(p)
    assert warned(lambda: steps(opt, p, 9))
    assert warned(
        lambda: [other.step(g.float().numpy()) for _ in range(9)],
    )


@pytest.mark.parametrize(
    "options",
    [{"master": "float32"}, {"master": "split"}, {"rounding": "stochastic"}],
    ids=str,
)
def test_steps_that_are_kept_are_not_told(options: dict[str, Any]) -> None:
    p = parameter(torch.bfloat16)
    assert not warned(lambda: steps(gst.AdamW([p], lr=1e-7, **options), p, 40))
    q = parameter(torch.float32)
    assert not warned(lambda: steps(gst.AdamW([q], lr=1e-9), q, 40))


def test_no_loss_is_told_of_other_reasons() -> None:
    p = parameter(torch.bfloat16)
    assert not warned(lambda: steps(gst.AdamW([p], lr=0.0), p, 40))
    assert not warned(lambda: steps(gst.AdamW([p], lr=1e-7), p, 40, size=0.0))
    assert not warned(lambda: steps(gst.AdamW([p], lr=1e-2), p, 40))
    opt = gst.AdamW([p], lr=torch.tensor(1e-2))
    scheduler = torch.optim.lr_scheduler.LinearLR(opt, 1e-5, total_iters=100)

    def run() -> None:
        for k in range(70):
            p.grad = torch.full_like(p, 0.1 + k % 3)
            opt.step()
            scheduler.step()

    assert not warned(run)


def test_skipped_steps_are_no_loss() -> None:
    p = parameter(torch.bfloat16)
    opt = gst.SGD([p], lr=0.1)
    p.grad = torch.full_like(p, torch.nan)
    assert not warned(lambda: [opt.step(nonfinite="skip") for _ in range(40)])


def test_bits_are_those_of_steps_that_are_not_looked_at() -> None:
    p = parameter(torch.bfloat16)
    q = copy.deepcopy(p)
    opt, other = gst.AdamW([p], lr=1e-3), gst.AdamW([q], lr=1e-3)
    steps(opt, p, 1)
    steps(other, q, 1)
    other._precision = None
    steps(opt, p, 20)
    steps(other, q, 20)
    assert torch.equal(p, q)


def test_copies_and_loaded_optimizers_look_by_themselves() -> None:
    p = parameter(torch.bfloat16)
    opt = gst.AdamW([p], lr=1e-7)
    assert warned(lambda: steps(opt, p, 10))
    other = gst.AdamW([p], lr=1e-7)
    other.load_state_dict(opt.state_dict())
    assert warned(lambda: steps(other, p, 10))
    twin_p, twin = copy.deepcopy((p, opt))
    assert warned(lambda: steps(twin, twin_p, 10))
