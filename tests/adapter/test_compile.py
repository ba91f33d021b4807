"""torch.compile around training steps: a graph break, and the bits of eager."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import gradstep as gs
import gradstep.torch as gst

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: gst.SGD(p, lr=0.1, momentum=0.7),
    "AdamW": lambda p: gst.AdamW(p, lr=0.1),
    "LAMB": lambda p: gst.LAMB(p, lr=0.1),
    "ScheduleFreeAdamW": lambda p: gst.ScheduleFreeAdamW(p, lr=0.1),
    "tensor lr": lambda p: gst.AdamW(p, lr=torch.tensor(0.1)),
    "CPUOffload": lambda p: gst.CPUOffload(gst.AdamW(p, lr=0.1)),
    "CPUOffload, overlap": lambda p: gst.CPUOffload(gst.AdamW(p, lr=0.1), overlap=True),
}

Step = Callable[[torch.Tensor], torch.Tensor]

# The compiler's own, about torch's code and about what it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated"),
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to a"),
]


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    torch._dynamo.reset()


def network() -> torch.nn.Module:
    torch.manual_seed(4)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    )


def batches(n: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    return [torch.randn(8, 5, generator=generator) for _ in range(n)]


def plain_step(net: Any, opt: Any) -> Step:
    def step(x: torch.Tensor) -> torch.Tensor:
        opt.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    return step


def with_clipping(net: Any, opt: Any) -> Step:
    def step(x: torch.Tensor) -> torch.Tensor:
        opt.zero_grad(set_to_none=False)
        loss = net(x).square().mean()
        loss.backward()
        opt.step(clip_norm=0.1, nonfinite="skip")
        assert opt.last_step.clip_factor < 1
        return loss

    return step


def with_closure(net: Any, opt: Any) -> Step:
    def step(x: torch.Tensor) -> torch.Tensor:
        def closure() -> torch.Tensor:
            opt.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            return loss

        found: torch.Tensor = opt.step(closure)
        return found

    return step


def with_our_scheduler(net: Any, opt: Any) -> Step:
    scheduler = gs.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    inner = plain_step(net, opt)

    def step(x: torch.Tensor) -> torch.Tensor:
        loss = inner(x)
        scheduler.step()
        return loss

    return step


def with_torch_scheduler(net: Any, opt: Any) -> Step:
    scheduler = torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    inner = plain_step(net, opt)

    def step(x: torch.Tensor) -> torch.Tensor:
        loss = inner(x)
        scheduler.step()
        return loss

    return step


def with_hooks(net: Any, opt: Any) -> Step:
    def double(optimizer: Any, args: Any, kwargs: Any) -> None:
        for p in net.parameters():
            p.grad.mul_(2)

    def weaken(optimizer: Any, args: Any, kwargs: Any) -> None:
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(0.5)

    opt.register_step_pre_hook(double)
    opt.register_step_post_hook(weaken)
    return plain_step(net, opt)


def with_evaluation(net: Any, opt: Any) -> Step:
    inner = plain_step(net, opt)

    def step(x: torch.Tensor) -> torch.Tensor:
        opt.train()
        inner(x)
        opt.eval()
        with torch.no_grad():
            found: torch.Tensor = net(x).square().mean()
        opt.train()
        return found

    return step


def trained(make_step: Any, name: str, backend: str | None) -> list[torch.Tensor]:
    net = network()
    step = make_step(net, OPTIMIZERS[name](net.parameters()))
    if backend is not None:
        step = torch.compile(step, backend=backend)
    losses = [step(x).detach().clone() for x in batches()]
    assert losses[-1] < losses[0]
    return [*losses, *(p.detach().clone() for p in net.parameters())]


STEPS = [
    *(plain_step, with_clipping, with_closure, with_our_scheduler),
    *(with_torch_scheduler, with_hooks),
]
CASES = [
    *((step, name) for step in STEPS for name in ("SGD", "AdamW")),
    *((plain_step, name) for name in OPTIMIZERS),
    (with_evaluation, "ScheduleFreeAdamW"),
]


@pytest.mark.parametrize(("make_step", "name"), dict.fromkeys(CASES))
def test_a_compiled_training_step_has_the_bits_of_eager(
    make_step: Any, name: str
) -> None:
    expected = trained(make_step, name, None)
    compiled = trained(make_step, name, "eager")
    assert all(map(torch.equal, compiled, expected))


def test_a_step_compiled_by_inductor_agrees_with_eager() -> None:
    expected = trained(plain_step, "AdamW", None)
    compiled = trained(plain_step, "AdamW", "inductor")
    # Inductor adds up a forward pass in another order.
    assert all(map(torch.allclose, compiled, expected))


def test_a_compiled_step_method_is_the_method() -> None:
    net, other = network(), network()
    opt, plain = gst.AdamW(net.parameters(), lr=0.1), gst.AdamW(other.parameters(), 0.1)
    step = torch.compile(opt.step, backend="eager")
    for x in batches():
        for model, do in ((net, step), (other, plain.step)):
            model.zero_grad()
            model(x).square().mean().backward()
            do()
    assert all(map(torch.equal, net.parameters(), other.parameters()))


@pytest.mark.parametrize("name", ["AdamW", "CPUOffload"])
def test_a_whole_graph_is_refused_by_torch_and_no_byte_changed(name: str) -> None:
    net = network()
    before = copy.deepcopy(list(net.parameters()))
    step = plain_step(net, OPTIMIZERS[name](net.parameters()))
    compiled = torch.compile(step, backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(batches()[0])
    assert all(map(torch.equal, net.parameters(), before))


def test_the_graph_breaks_once_for_a_step() -> None:
    net = network()
    opt = gst.AdamW(net.parameters(), lr=0.1)
    for p in net.parameters():
        p.grad = torch.ones_like(p)

    def step(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        opt.step()
        return y + 1

    found = torch._dynamo.explain(step)(batches()[0])
    assert found.graph_break_count == 1
    assert found.graph_count == 2
    assert "gradstep.torch.AdamW.step is not traced" in str(found.break_reasons[0])


def test_a_subclass_of_a_user_breaks_the_graph_too() -> None:
    class Counted(gst.AdamW):
        steps = 0

        def step(self, *args: Any, **how: Any) -> Any:
            self.steps += 1
            return super().step(*args, **how)

    net, other = network(), network()
    opt, plain = Counted(net.parameters(), lr=0.1), gst.AdamW(other.parameters(), 0.1)
    compiled = torch.compile(plain_step(net, opt), backend="eager")
    for x in batches():
        compiled(x)
        plain_step(other, plain)(x)
    assert opt.steps == 5
    assert all(map(torch.equal, net.parameters(), other.parameters()))
