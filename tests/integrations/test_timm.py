"""timm: its parameter groups, its schedulers and its registry of optimizers."""

from typing import Any

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.optim._optim_factory import OptimInfo, default_registry
from timm.optim._param_groups import param_groups_layer_decay
from timm.scheduler import CosineLRScheduler, StepLRScheduler

import gradstep.torch as gst
from tiny import assert_same_curve


def model() -> torch.nn.Module:
    torch.manual_seed(3)
    found: torch.nn.Module = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=16,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        num_classes=3,
        pretrained=False,
    )
    return found


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    y = torch.arange(24) % 3
    return torch.randn(24, 3, 16, 16, generator=generator) + y[:, None, None, None], y


def losses(net: Any, opt: Any, scheduler: Any) -> tuple[list[float], list[float]]:
    x, y = images()
    curve, rates = [], []
    for epoch in range(8):
        rates.append(opt.param_groups[-1]["lr"])
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        scheduler.step_update(epoch + 1)
        scheduler.step(epoch + 1, loss.item())
        curve.append(loss.item())
    return curve, rates


GROUPS = {
    "weight decay": lambda net: param_groups_weight_decay(net, weight_decay=0.1),
    "layer decay": lambda net: param_groups_layer_decay(
        net, weight_decay=0.1, layer_decay=0.7
    ),
}
SCHEDULERS = {
    "cosine": lambda opt: CosineLRScheduler(
        opt, t_initial=6, warmup_t=2, warmup_lr_init=1e-4, lr_min=1e-4
    ),
    "step": lambda opt: StepLRScheduler(opt, decay_t=3, decay_rate=0.5),
}


@pytest.mark.parametrize("schedule", SCHEDULERS)
@pytest.mark.parametrize("grouping", GROUPS)
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_losses_and_rates_are_those_of_torch(
    name: str, grouping: str, schedule: str
) -> None:
    runs = []
    for module in (gst, torch.optim):
        net = model()
        rate = {"AdamW": 0.01, "SGD": 0.1}[name]
        opt = getattr(module, name)(GROUPS[grouping](net), lr=rate)
        assert len(opt.param_groups) > 1
        runs.append(losses(net, opt, SCHEDULERS[schedule](opt)))
    (ours, our_rates), (theirs, their_rates) = runs
    assert_same_curve(ours, theirs)
    assert our_rates == their_rates
    assert len(set(our_rates)) > 2


def test_the_factory_makes_a_registered_optimizer() -> None:
    default_registry.register(
        OptimInfo("gradstepadamw", gst.AdamW, "AdamW of gradstep", has_betas=True)
    )
    net = model()
    opt = create_optimizer_v2(
        net, opt="gradstepadamw", lr=0.01, weight_decay=0.1, betas=(0.8, 0.9)
    )
    assert type(opt) is gst.AdamW
    assert {group["weight_decay"] for group in opt.param_groups} == {0.0, 0.1}
    assert all(group["betas"] == (0.8, 0.9) for group in opt.param_groups)
    curve, _ = losses(net, opt, SCHEDULERS["cosine"](opt))
    assert curve[-1] < curve[0]
