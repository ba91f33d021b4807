"""Runs that begin at lr 0 and with gradients of zeros: all of their steps count.

`torch.distributed.checkpoint` takes such a step to make states: see
test_distributed_checkpoints.py.
"""

from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

import gradstep.torch as gst
from variants import VARIANTS

STEPS = 6
# What torch has, with options that both take.
THEIRS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    "Adam": {"weight_decay": 0.1},
    "AdamW": {"amsgrad": True},
    "Adamax": {},
    "NAdam": {"momentum_decay": 0.1},
    "RAdam": {},
    "Adagrad": {"lr_decay": 0.1},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.5, "centered": True},
}


def gradient(k: int) -> torch.Tensor:
    """Zeros in the first step."""
    generator = torch.Generator().manual_seed(k)
    return k * torch.randn(7, generator=generator, dtype=torch.float64)


def warmed_up(build: Any, lr: Any, options: dict[str, Any]) -> Any:
    p = torch.nn.Parameter(torch.linspace(-1, 2, 7, dtype=torch.float64))
    opt = build([p], lr=lr, **options)
    scheduler = LambdaLR(opt, lambda t: min(1.0, t / 3))
    for k in range(STEPS):
        p.grad = gradient(k)
        opt.step()
        scheduler.step()
    return p.detach(), opt.state[p]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("name", THEIRS)
def test_a_warm_up_from_zero_agrees_with_torch(name: str, as_tensor: bool) -> None:
    results = []
    for module in (gst, torch.optim):
        lr = torch.tensor(0.1, dtype=torch.float64) if as_tensor else 0.1
        results.append(warmed_up(getattr(module, name), lr, THEIRS[name]))
    (ours, state), (theirs, expected) = results
    # torch keeps NAdam's product of momenta in float32.
    rtol = 1e-6 if name == "NAdam" else 1e-12
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-14)
    if name != "SGD":
        assert float(state["step"]) == float(expected["step"]) == STEPS


# Rprop's lr is its first step size, which no scheduler may change.
@pytest.mark.parametrize("variant", [k for k in VARIANTS if "rprop" not in k])
def test_a_warm_up_from_zero_has_the_bits_of_arrays(variant: str) -> None:
    method, options = VARIANTS[variant]
    options = {k: v for k, v in options.items() if k not in ("lr", "restart_radius")}
    if options.get("form") == "velocity":
        options.pop("nesterov", None)
    p, _ = warmed_up(getattr(gst, method.__name__), 0.1, options)
    w = torch.linspace(-1, 2, 7, dtype=torch.float64).numpy()
    opt = method(w, lr=0.1, **options)
    for k in range(STEPS):
        opt.lr = 0.1 * min(1.0, k / 3)
        opt.step(gradient(k).numpy())
    assert p.numpy().tobytes() == w.tobytes()


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_checkpoint_between_two_steps_at_lr_zero_counts_the_first(name: str) -> None:
    """Only the step that torch.distributed.checkpoint takes by itself is not one."""
    net = torch.nn.Linear(3, 2)
    opt = getattr(gst, name)(net.parameters(), lr=0.0)
    twin = getattr(torch.optim, name)(net.parameters(), lr=0.0)
    for module in (opt, twin):
        for p in net.parameters():
            p.grad = torch.zeros_like(p)
        module.step()
        module.zero_grad()
        torch.distributed.checkpoint.state_dict.get_optimizer_state_dict(net, module)
    for p in net.parameters():
        ours, theirs = (float(o.state[p].get("step", 0)) for o in (opt, twin))
        assert ours == theirs
