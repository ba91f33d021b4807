"""What an optimizer tells torch.amp and Lightning of scaled gradients."""

from typing import Any

import pytest
import torch

import gradstep.torch as gst
from gradstep.torch import device


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]


@pytest.fixture
def kernels_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for parameters on a CUDA device: only this is asked of it."""
    monkeypatch.setattr(device, "has_kernels", lambda _: True)


@pytest.mark.parametrize(
    ("options", "supported"),
    [
        ({}, True),
        ({"fused": True}, True),
        ({"fused": None}, True),
        ({"foreach": False}, True),
        ({"fused": False}, False),
        ({"foreach": True}, False),
        ({"fused": False, "foreach": True}, False),
        ({"fused": False, "foreach": False}, False),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "AdamW", "Lion", "ScheduleFreeAdamW"])
@pytest.mark.usefixtures("kernels_there")
def test_a_scale_is_passed_to_step_unless_a_group_asks_for_unscaled_gradients(
    name: str, options: dict[str, Any], supported: bool
) -> None:
    cls = getattr(gst, name)
    assert cls(parameters(), **options)._step_supports_amp_scaling is supported
    # In one group of two, and as a change later.
    one_of_two = cls(
        [{"params": parameters()}, {"params": parameters(), **options}], lr=0.1
    )
    assert one_of_two._step_supports_amp_scaling is supported
    changed = cls(parameters())
    assert changed._step_supports_amp_scaling is True
    changed.param_groups[0].update(options)
    assert changed._step_supports_amp_scaling is supported


def test_on_the_cpu_gradients_are_always_unscaled_before() -> None:
    assert not gst.AdamW(parameters())._step_supports_amp_scaling
    assert not gst.AdamW(parameters(), fused=True)._step_supports_amp_scaling
    assert not gst.CPUOffload(gst.AdamW(parameters()))._step_supports_amp_scaling


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("overflows", [False, True])
def test_a_grad_scaler_on_the_cpu_unscales_and_skips(
    fused: bool | None, overflows: bool
) -> None:
    ours, theirs = parameters(), parameters()
    optimizers = (
        gst.AdamW(ours, lr=0.1, fused=fused),
        torch.optim.AdamW(theirs, lr=0.1),
    )
    for p, opt in zip((ours, theirs), optimizers, strict=True):
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        for t in range(3):
            opt.zero_grad()
            loss = sum((x * (t + 0.5)).sum() for x in p)
            if overflows and t == 1:
                loss = loss * float("inf")
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        assert scaler.get_scale() == (32.0 if overflows else 64.0)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=0)
    assert optimizers[0].state[ours[0]]["step"] == (2 if overflows else 3)


def test_bfloat16_autocast_on_the_cpu_trains_as_in_torch() -> None:
    def losses(make: Any) -> list[float]:
        torch.manual_seed(2)
        net = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
        )
        x = torch.randn(32, 6)
        y = x.sum(1, keepdim=True)
        opt = make(net.parameters())
        found = []
        for k in range(24):
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.nn.functional.mse_loss(net(x), y)
            (loss / 2).backward()  # accumulated over two
            if k % 2:
                opt.step()
                opt.zero_grad()
            found.append(loss.item())
        return found

    ours = losses(lambda p: gst.AdamW(p, lr=0.02))
    theirs = losses(lambda p: torch.optim.AdamW(p, lr=0.02))
    assert ours[-1] < 0.5 * ours[0]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-4 * ours[0]
