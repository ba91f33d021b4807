"""Options that choose a rule, changed between steps: the steps of tensors."""

from typing import Any

import pytest
import torch

import gradstep as gs
import gradstep.torch as gst
from switches import CASES, Case, cases

THEIRS = {"SGD", "RMSprop", "Adam", "AdamW"}


def gradient(k: int, n: int) -> Any:
    generator = torch.Generator().manual_seed(100 + k)
    return torch.randn(n, generator=generator, dtype=torch.float64)


def steps(case: Case, build: Any, reload_at: int | None = None) -> Any:
    """The parameter after each step, by a loaded optimizer from one step on."""
    p = torch.nn.Parameter(gradient(0, 12))
    opt = build([p], **case.options | {case.name: case.values[0]})
    path = []
    for k, value in enumerate(case.values):
        if k == reload_at:
            saved = opt.state_dict()
            opt = build([p])
            opt.load_state_dict(saved)
        opt.param_groups[0][case.name] = value
        p.grad = None if k == 3 else gradient(k + 1, 12)
        opt.step()
        path.append(p.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in CASES.items()
        if case.optimizer.__name__ in THEIRS
        # What torch has not; and it raises KeyError where a state is switched on late.
        and not case.options.keys()
        & {"eps_placement", "form", "dampen_first", "decoupled_weight_decay"}
        and not (case.optimizer is gs.RMSprop and case.options.get("nesterov"))
        and (case.optimizer is gs.SGD or not name.endswith("late"))
    ],
)
def test_steps_agree_with_torch(name: str) -> None:
    case = CASES[name]
    method = case.optimizer.__name__
    ours = steps(case, getattr(gst, method))
    theirs = steps(case, getattr(torch.optim, method))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@cases
@pytest.mark.parametrize("kind", ["float64", "stochastic"])
def test_steps_have_the_bits_of_arrays(name: str, kind: str) -> None:
    case = CASES[name]
    start = gradient(0, 300)
    storage = {"rounding": "stochastic", "seed": 3} if kind == "stochastic" else {}
    p = torch.nn.Parameter(start.bfloat16() if storage else start)
    w = p.detach().clone()
    a = w.view(torch.int16).numpy().view(gs.bfloat16) if storage else w.numpy()
    options = case.options | {case.name: case.values[0]} | storage
    ours = getattr(gst, case.optimizer.__name__)([p], **options)
    arrays = case.optimizer([a], **options)
    for k, value in enumerate(case.values):
        ours.param_groups[0][case.name] = arrays.param_groups[0][case.name] = value
        g = gradient(k + 1, 300).to(p.dtype)
        p.grad = None if k == 3 else g
        ours.step()
        seen = g.view(torch.int16).numpy().view(gs.bfloat16) if storage else g.numpy()
        arrays.step([None if k == 3 else seen])
        assert torch.equal(p.detach(), w), k


@cases
def test_a_checkpoint_holds_the_states_that_wait(name: str) -> None:
    case = CASES[name]
    build = getattr(gst, case.optimizer.__name__)
    on = next(k for k, value in enumerate(case.values) if value)
    off = next(k for k, value in enumerate(case.values) if k > on and not value)
    assert torch.equal(steps(case, build, reload_at=off + 1), steps(case, build))


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_scheduler_of_torchs_may_lead_momentum_to_zero(nesterov: bool) -> None:
    paths = []
    for build in (gst.SGD, torch.optim.SGD):
        p = torch.nn.Parameter(gradient(0, 12))
        opt = build([p], lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.1)
        scheduler = torch.optim.lr_scheduler.CyclicLR(
            opt, 0.01, 0.1, step_size_up=2, base_momentum=0.0, max_momentum=0.9
        )
        path = []
        for k in range(9):
            p.grad = gradient(k + 1, 12)
            opt.step()
            scheduler.step()
            path.append(p.detach().clone())
        paths.append(torch.stack(path))
    torch.testing.assert_close(*paths, rtol=1e-12, atol=1e-14)


def test_a_buffer_of_zeros_has_been_used() -> None:
    """After a gradient of zeros it is dampened in torch, and does not begin again."""
    paths = []
    for build in (gst.SGD, torch.optim.SGD):
        p = torch.nn.Parameter(gradient(0, 12))
        opt = build([p], lr=0.1, momentum=0.9, dampening=0.5)
        for momentum, scale in ((0.9, 0.0), (0.0, 1.0), (0.0, 1.0), (0.9, 1.0)):
            opt.param_groups[0]["momentum"] = momentum
            p.grad = scale * gradient(1, 12)
            opt.step()
        paths.append(p.detach().clone())
    torch.testing.assert_close(*paths, rtol=1e-12, atol=1e-14)
