"""What may happen to tensors and options between two steps."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import gradstep as gs
import gradstep.torch as gst
from gradstep.torch import bound


def model() -> torch.nn.Sequential:
    torch.manual_seed(5)
    layers = (torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    return torch.nn.Sequential(*layers).double()


def train(net: Any, optimizer: Any, steps: int, seed: int = 0) -> None:
    g = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.randn(7, 4, generator=g, dtype=torch.float64)
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()


def pair(name: str = "AdamW", **options: Any) -> tuple[Any, Any, Any, Any]:
    """Two equal nets, and an optimizer of ours and of torch's."""
    a, b = model(), model()
    ours = getattr(gst, name)(a.parameters(), **options)
    theirs = getattr(torch.optim, name)(b.parameters(), **options)
    return a, ours, b, theirs


def far(a: Any, b: Any) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def swap_memory(net: Any, _: Any) -> None:
    for p in net.parameters():
        p.data = p.data.clone()


def swap_order(net: Any, _: Any) -> None:
    p = net[0].weight
    p.data = p.data.t().contiguous().t()


def load_in_place(net: Any, _: Any) -> None:
    net.load_state_dict({k: v * 0.5 for k, v in net.state_dict().items()})


def change_lr(_: Any, optimizer: Any) -> None:
    optimizer.param_groups[0]["lr"] = 0.2


def change_betas(_: Any, optimizer: Any) -> None:
    optimizer.param_groups[0]["betas"] = (0.5, 0.6)


def replace_states(_: Any, optimizer: Any) -> None:
    for state in optimizer.state.values():
        state["exp_avg"] = state["exp_avg"].clone() * 3


def swap_memory_of_states(_: Any, optimizer: Any) -> None:
    for state in optimizer.state.values():
        state["exp_avg_sq"].data = state["exp_avg_sq"].data.clone() * 2


def change_states(_: Any, optimizer: Any) -> None:
    for state in optimizer.state.values():
        state["exp_avg"].mul_(2)
        state["step"].fill_(7)


def forget_states(_: Any, optimizer: Any) -> None:
    optimizer.state.clear()


def add_group(net: Any, optimizer: Any) -> None:
    net.extra = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    net.extra.grad = torch.full((3,), 0.5, dtype=torch.float64)
    optimizer.add_param_group({"params": [net.extra], "lr": 0.3, "name": "extra"})
    optimizer.step()


def freeze(net: Any, _: Any) -> None:
    net[0].weight.requires_grad_(requires_grad=False)


CHANGES = [
    swap_memory,
    swap_order,
    load_in_place,
    change_lr,
    change_betas,
    replace_states,
    swap_memory_of_states,
    change_states,
    forget_states,
    add_group,
    freeze,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_steps_has_the_effect_it_has_in_torch(
    change: Callable[[Any, Any], None],
) -> None:
    a, ours, b, theirs = pair(lr=0.05, weight_decay=0.1)
    for net, optimizer in ((a, ours), (b, theirs)):
        train(net, optimizer, 3)
        change(net, optimizer)
        train(net, optimizer, 3, seed=1)
    assert far(a, b) < 1e-14
    assert far(a[2], model()[2]) > 1e-2


def test_amsgrad_may_come_later() -> None:
    a, ours, _, _ = pair(lr=0.05)
    train(a, ours, 2)
    ours.param_groups[0]["amsgrad"] = True
    train(a, ours, 2)
    assert all("max_exp_avg_sq" in state for state in ours.state.values())


def test_a_rate_may_be_a_tensor_that_changes_in_place() -> None:
    rates = [torch.tensor(0.05, dtype=torch.float64) for _ in range(2)]
    a, b = model(), model()
    ours = gst.Adam(a.parameters(), lr=rates[0])
    theirs = torch.optim.Adam(b.parameters(), lr=rates[1])
    for net, optimizer, rate in ((a, ours, rates[0]), (b, theirs, rates[1])):
        train(net, optimizer, 2)
        rate.fill_(0.2)
        train(net, optimizer, 2, seed=1)
    assert far(a, b) < 1e-14
    assert ours.param_groups[0]["lr"] is rates[0]


def test_a_closure_is_called_with_gradients_on() -> None:
    a, ours, _, _ = pair("SGD", lr=0.01, momentum=0.1)
    x = torch.ones(2, 4, dtype=torch.float64)

    def closure() -> torch.Tensor:
        ours.zero_grad()
        loss = a(x).square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        losses = [float(ours.step(closure).detach()) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)


def test_backward_through_weights_of_before_is_refused_as_in_torch() -> None:
    for optimizer in (gst.SGD, torch.optim.SGD):
        w = torch.nn.Parameter(torch.ones(3))
        x = torch.ones(3, requires_grad=True)
        loss = (w * x).sum()
        w.grad = torch.ones(3)
        optimizer([w], lr=0.5).step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_gradients_are_left_as_they_are() -> None:
    a, ours, _, _ = pair("SGD", lr=0.05, momentum=0.5, weight_decay=0.1)
    train(a, ours, 1)
    before = [p.grad.clone() for p in a.parameters()]
    ours.step()
    for p, g in zip(a.parameters(), before, strict=True):
        assert torch.equal(p.grad, g)


def test_a_copy_goes_on_by_itself() -> None:
    a, ours, _, _ = pair(lr=0.05, weight_decay=0.1)
    train(a, ours, 2)
    b, other = copy.deepcopy((a, ours))
    train(a, ours, 3)
    between = [p.detach().clone() for p in a.parameters()]
    train(b, other, 3)
    assert far(a, b) == 0
    for p, q in zip(a.parameters(), between, strict=True):
        assert torch.equal(p, q)


def test_without_the_functions_of_dlpack_steps_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, ours, _, _ = pair(lr=0.05, weight_decay=0.1)
    train(a, ours, 4)
    monkeypatch.setattr("gradstep.torch.bound._CAPSULE", None)
    b, older, _, _ = pair(lr=0.05, weight_decay=0.1)
    train(b, older, 4)
    assert far(a, b) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_without_them_changes_are_seen_too(
    change: Callable[[Any, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstep.torch.bound._CAPSULE", None)
    test_a_change_between_steps_has_the_effect_it_has_in_torch(change)


def test_schedule_free_goes_to_the_average_and_back() -> None:
    net = model()
    ours = gst.ScheduleFreeAdamW(net.parameters(), lr=0.05, weight_decay=0.1)
    train(net, ours, 4)
    y = [p.detach().clone() for p in net.parameters()]
    ours.eval()
    for p, was in zip(net.parameters(), y, strict=True):
        z = ours.state[p]["z"]
        assert torch.allclose(p, was + (1 - 1 / 0.9) * (z - was), atol=1e-12)
        assert not torch.equal(p, was)
    with pytest.raises(RuntimeError, match="call train"):
        ours.step()
    ours.train()
    for p, was in zip(net.parameters(), y, strict=True):
        assert torch.equal(p, was)
    train(net, ours, 1)


def test_schedulers_of_both_kinds_drive_it() -> None:
    a, ours, b, theirs = pair("SGD", lr=0.08, momentum=0.4, weight_decay=0.1)
    own = gs.lr_scheduler.StepLR(ours, step_size=2, gamma=0.5)
    other = torch.optim.lr_scheduler.StepLR(theirs, step_size=2, gamma=0.5)
    for seed in range(5):
        train(a, ours, 1, seed)
        train(b, theirs, 1, seed)
        own.step()
        other.step()
    assert far(a, b) < 1e-14
    assert ours.param_groups[0]["lr"] == 0.02
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(ours, factor=0.1, patience=0)
    for loss in (1.0, 2.0):
        plateau.step(loss)
    assert ours.param_groups[0]["lr"] == pytest.approx(0.002, rel=1e-15)


@pytest.mark.filterwarnings("ignore")  # of the compiler's own imports
def test_a_compiled_step_is_the_same() -> None:
    a, ours, _, _ = pair(lr=0.05, weight_decay=0.1)
    train(a, ours, 3)
    b, other, _, _ = pair(lr=0.05, weight_decay=0.1)
    step = torch.compile(other.step, backend="eager")
    g = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(7, 4, generator=g, dtype=torch.float64)
        other.zero_grad()
        torch.compile(b, backend="eager")(x).square().sum().backward()
        step()
    assert far(a, b) == 0


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_sparse_rows_follow_a_rate_that_changes(name: str) -> None:
    torch.manual_seed(1)
    a = torch.nn.Embedding(9, 3, sparse=True, dtype=torch.float64)
    b = copy.deepcopy(a)
    rows = torch.tensor([1, 4, 4, 7])
    ours = getattr(gst, name)(a.parameters(), lr=0.1)
    theirs = getattr(torch.optim, name)(b.parameters(), lr=0.1)
    for net, optimizer in ((a, ours), (b, theirs)):
        for lr in (0.1, 0.4, 0.05):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            net(rows).square().sum().backward()
            optimizer.step()
    assert far(a, b) < 1e-15
    assert torch.equal(a.weight[0], b.weight[0])


def many(n: int) -> tuple[list[torch.nn.Parameter], Any]:
    """So many parameters with gradients, after a step."""
    params = [torch.nn.Parameter(torch.full((2,), 1.0 + i)) for i in range(n)]
    for p in params:
        p.grad = torch.ones(2)
    optimizer = gst.Adam(params, lr=0.1)
    optimizer.step()
    return params, optimizer


def exchange(params: list[torch.nn.Parameter], optimizer: Any) -> None:
    state = optimizer.state[params[-3]]
    state["exp_avg"].data = state["exp_avg"].data * 2


@pytest.mark.skipif(
    bound._CAPSULE is None,
    reason="before torch 2.10 all states are looked at in each step: the next test",
)
def test_of_many_states_one_whose_memory_is_exchanged_is_an_error() -> None:
    params, optimizer = many(150)
    exchange(params, optimizer)

    def three_steps() -> None:  # in which each state is looked at once
        for _ in range(3):
            optimizer.step()

    with pytest.raises(RuntimeError, match=r"147\] has had its .data exchanged"):
        three_steps()
    params, optimizer = many(150)
    exchange(params, optimizer)
    with pytest.raises(RuntimeError, match=r"147\] has had its .data exchanged"):
        optimizer.state_dict()


def test_before_torch_2_10_memory_of_many_states_that_is_exchanged_is_seen_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bound, "_CAPSULE", None)
    params, optimizer = many(150)
    exchange(params, optimizer)
    optimizer.step()
    changed = optimizer.state[params[-3]]["exp_avg"]
    # Of the ones in `many`: beta1 times the doubled average, and the new gradient.
    others = optimizer.state[params[-4]]["exp_avg"]
    assert torch.equal(changed > others, torch.ones_like(changed, dtype=torch.bool))


def test_of_many_states_one_that_is_replaced_is_seen_at_once() -> None:
    found = []
    for n in (3, 150):
        params, optimizer = many(n)
        state = optimizer.state[params[-3]]
        state["exp_avg"] = state["exp_avg"] * 2
        params[-3].grad.fill_(0.25)
        optimizer.step()
        found.append(params[-3].detach() - (1.0 + n - 3))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=0)


def test_a_count_past_what_float32_counts_is_kept() -> None:
    """Adagrad's rate depends on it; other memory makes the optimizer bind anew."""
    ends = []
    for anew in (False, True):
        p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        p.grad = torch.full((3,), 0.5, dtype=torch.float64)
        optimizer = gst.Adagrad([p], lr=0.1, lr_decay=1e-3)
        optimizer.step()
        optimizer.state[p]["step"].fill_(2**24)
        for _ in range(5):
            optimizer.step()
            if anew:
                p.data = p.data.clone()
        ends.append(p.detach())
    assert torch.equal(*ends)


def test_memory_that_shrinks_is_seen() -> None:
    p = torch.nn.Parameter(torch.ones(4))
    p.grad = torch.ones(4)
    optimizer = gst.SGD([p], lr=0.5)
    optimizer.step()
    whole = p.data
    p.grad = None
    p.data = whole[:2]  # at the same address
    p.grad = torch.ones(2)
    optimizer.step()
    assert whole.tolist() == [0.0, 0.0, 0.5, 0.5]
    with_states = gst.SGD([p], lr=0.5, momentum=0.5)
    with_states.step()
    p.grad = None
    p.data = whole
    p.grad = torch.ones(4)
    before = whole.clone()
    with pytest.raises(ValueError, match=r"momentum_buffer.* has shape"):
        with_states.step()
    assert torch.equal(whole, before)
