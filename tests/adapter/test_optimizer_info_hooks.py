"""Hooks of torch's around steps and around states, for every class and input."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.optim import optimizer as torchs

import gradstep.torch as gst
from adapter_infos import Case, cases, titles

CASES = cases()
each_case = pytest.mark.parametrize("case", CASES, ids=titles(CASES))

States = dict[str, Any]


def made(case: Case) -> tuple[torch.Tensor, Any]:
    """Return a parameter with a gradient, and its optimizer."""
    param = torch.tensor([1.25, -0.5], requires_grad=True)
    param.grad = torch.tensor([0.75, 2.0])
    return param, case.make([param], **case.options())


@contextmanager
def removed(*handles: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield


@each_case
def test_hooks_around_a_step_see_it_taken_until_removed(case: Case) -> None:
    param, optimizer = made(case)
    twin, plain = made(case)
    seen: list[tuple[str, Any, torch.Tensor]] = []

    def before(opt: Any, args: Any, kwargs: Any) -> None:
        seen.append(("before", opt, param.detach().clone()))

    def after(opt: Any, args: Any, kwargs: Any) -> None:
        seen.append(("after", opt, param.detach().clone()))

    values = [param.detach().clone()]
    pre = optimizer.register_step_pre_hook(before)
    post = optimizer.register_step_post_hook(after)
    with removed(pre, post):
        for _ in range(2):
            optimizer.step()
            plain.step()
            values.append(twin.detach().clone())
    optimizer.step()
    plain.step()
    assert [what for what, _, _ in seen] == ["before", "after"] * 2
    assert all(opt is optimizer for _, opt, _ in seen)
    for (_, _, value), known in zip(seen, (0, 1, 1, 2), strict=True):
        assert torch.equal(value, values[known])
    assert torch.equal(param, twin)


@each_case
def test_hooks_of_all_optimizers_are_around_those_of_one(case: Case) -> None:
    _, optimizer = made(case)
    other = gst.SGD([torch.tensor([1.0])], lr=0.3, momentum=0.7)
    order: list[str] = []

    def noting(what: str) -> Any:
        def note(opt: Any, args: Any, kwargs: Any) -> None:
            order.append(what)

        return note

    handles = [
        torchs.register_optimizer_step_pre_hook(noting("first")),
        torchs.register_optimizer_step_post_hook(noting("last")),
    ]
    for each in (optimizer, other):
        handles.append(each.register_step_pre_hook(noting("before")))
        handles.append(each.register_step_post_hook(noting("after")))
    expected = ["first", "before", "after", "last"]
    with removed(*handles):
        optimizer.step()
        assert order == expected
        other.step()
        optimizer.step()
        assert order == expected * 3
    optimizer.step()
    other.step()
    assert order == expected * 3


@each_case
def test_a_hook_before_a_step_may_set_options_and_gradients(case: Case) -> None:
    param, optimizer = made(case)
    twin, plain = made(case)
    for opt in (optimizer, plain):
        opt.step()
    rate = 0.5 * optimizer.param_groups[0]["lr"]
    if case.name == "Rprop":  # whose rate is that of its first step
        rate = optimizer.param_groups[0]["lr"]

    def before(opt: Any, args: Any, kwargs: Any) -> None:
        opt.param_groups[0]["lr"] = rate
        opt.param_groups[0]["params"][0].grad = torch.tensor([-0.25, 1.5])

    with removed(optimizer.register_step_pre_hook(before)):
        optimizer.step()
    plain.param_groups[0]["lr"] = rate
    twin.grad = torch.tensor([-0.25, 1.5])
    plain.step()
    assert torch.equal(param, twin)
    assert case.name == "ScheduleFreeRAdam" or not torch.equal(
        param.detach(), torch.tensor([1.25, -0.5])
    )


def add_note(optimizer: Any) -> None:
    optimizer.state["note"] = 1


def take_note(optimizer: Any, state_dict: States) -> States:
    state_dict["noted"] = state_dict["state"].pop("note", None)
    return state_dict


@each_case
def test_hooks_around_state_dict(case: Case) -> None:
    _, optimizer = made(case)
    optimizer.step()
    with removed(optimizer.register_state_dict_post_hook(take_note)):
        assert optimizer.state_dict()["noted"] is None
    with removed(
        optimizer.register_state_dict_pre_hook(add_note),
        optimizer.register_state_dict_post_hook(take_note),
    ):
        found = optimizer.state_dict()
        assert found["noted"] == 1
        assert "note" not in found["state"]
    assert optimizer.state_dict()["state"]["note"] == 1
    optimizer.step()  # a note is no state of a parameter


def halve(optimizer: Any, state_dict: States) -> None:
    state_dict["param_groups"][0]["lr"] = 0.0625


def anew(optimizer: Any, state_dict: States) -> States:
    found = deepcopy(state_dict)
    found["param_groups"][0]["lr"] = 0.03125
    return found


@each_case
def test_hooks_before_loading_run_in_turn(case: Case) -> None:
    _, optimizer = made(case)
    saved = optimizer.state_dict()
    optimizer.register_load_state_dict_pre_hook(halve)
    optimizer.load_state_dict(deepcopy(saved))
    assert optimizer.param_groups[0]["lr"] == 0.0625
    with removed(optimizer.register_load_state_dict_pre_hook(anew, prepend=True)):
        optimizer.load_state_dict(deepcopy(saved))
        assert optimizer.param_groups[0]["lr"] == 0.0625
    optimizer.register_load_state_dict_pre_hook(anew)
    optimizer.load_state_dict(deepcopy(saved))
    assert optimizer.param_groups[0]["lr"] == 0.03125


@each_case
def test_hooks_after_loading_see_what_is_loaded(case: Case) -> None:
    _, optimizer = made(case)
    optimizer.step()
    seen: list[float] = []
    optimizer.register_load_state_dict_post_hook(
        lambda opt: seen.append(opt.param_groups[0]["lr"])
    )
    rate = optimizer.param_groups[0]["lr"]
    optimizer.load_state_dict(optimizer.state_dict())
    with removed(optimizer.register_load_state_dict_pre_hook(anew)):
        optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [rate, 0.03125]
