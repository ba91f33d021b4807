"""What is saved of every class with every input of theirs, and what is loaded again."""

import io
import pickle
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

import gradstep.torch as gst
from adapter_infos import INFOS, Case, Problem, cases, same, titles

CASES = cases()
FLAGGED = cases(flags=True)
each_case = pytest.mark.parametrize("case", CASES, ids=titles(CASES))
each_flagged = pytest.mark.parametrize("case", FLAGGED, ids=titles(FLAGGED))
each_naming = pytest.mark.parametrize("names", [False, True], ids=["plain", "named"])
each_other = pytest.mark.parametrize("others", [False, True], ids=["plain", "named"])

# SGD without momentum, and ours in torch's way, keep nothing.
STATELESS = "SGD"


def equal(a: Any, b: Any) -> bool:
    """Return whether two state_dicts are of the same keys, types and bits."""
    if torch.is_tensor(a):
        return torch.is_tensor(b) and a.dtype == b.dtype and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


def unnamed(state_dict: dict[str, Any]) -> dict[str, Any]:
    found = deepcopy(state_dict)
    for group in found["param_groups"]:
        group.pop("param_names", None)
    return found


def trained(case: Case, names: bool = False, steps: int = 6) -> tuple[Problem, Any]:
    problem = Problem()
    optimizer = case.make(problem.named(names), **case.options())
    problem.run(optimizer, steps)
    return problem, optimizer


def convolution() -> tuple[nn.Module, torch.Tensor]:
    source = torch.Generator().manual_seed(5)
    model = nn.Sequential(nn.Conv2d(4, 2, 1, stride=2), nn.BatchNorm2d(2))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=source))
    return model, torch.rand(1, 4, 16, 16, generator=source)


def fit(model: nn.Module, x: torch.Tensor, optimizer: Any, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


def test_equal_tells_what_differs() -> None:
    a = {"state": {0: {"m": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    assert equal(a, deepcopy(a))
    for other in (torch.zeros(2), torch.ones(2, dtype=torch.float64), 1.0):
        assert not equal(a, {**a, "state": {0: {"m": other}}})
    assert not equal(a, {**a, "param_groups": [{"lr": 0.2}]})


@each_naming
@each_other
@each_case
def test_a_copy_goes_on_with_the_same_bits(
    case: Case, names: bool, others: bool
) -> None:
    problem, optimizer = trained(case, names)
    copy = problem.clone()
    loaded = case.make(copy.named(others), **case.options())
    saved = deepcopy(optimizer.state_dict())
    loaded.load_state_dict(saved)
    assert equal(saved, optimizer.state_dict())
    for _ in range(6):
        problem.run(optimizer, 1)
        copy.run(loaded, 1)
        assert same(problem, copy)
    assert equal(unnamed(optimizer.state_dict()), unnamed(loaded.state_dict()))
    # Parameters that come twice are still numbered as they are.
    loaded.param_groups.extend(loaded.param_groups)
    last, also = (unnamed(o.state_dict())["param_groups"] for o in (optimizer, loaded))
    assert equal(last[-1], also[-1])


@each_naming
@each_other
@each_case
def test_names_are_kept_if_one_side_has_them(
    case: Case, names: bool, others: bool
) -> None:
    model, x = convolution()
    params = model.named_parameters() if names else model.parameters()
    optimizer = case.make(params, **case.options())
    fit(model, x, optimizer, 3)
    saved = deepcopy(optimizer.state_dict())
    params = model.named_parameters() if others else model.parameters()
    loaded = case.make(params, **case.options())
    loaded.load_state_dict(saved)
    before = [p.detach().clone() for p in model.parameters()]
    fit(model, x, loaded, 6 if case.name == "ScheduleFreeRAdam" else 1)
    assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before))
    group = loaded.state_dict()["param_groups"][0]
    if names or others:
        known = ["0.weight", "0.bias", "1.weight", "1.bias"]
        assert group["param_names"] == known
    else:
        assert "param_names" not in group


@each_flagged
def test_what_older_states_lack_is_the_default(case: Case) -> None:
    model, x = convolution()
    optimizer = case.make(model.parameters(), **case.options())
    fit(model, x, optimizer, 3)
    saved = deepcopy(optimizer.state_dict())
    # torch's flags that came later, and our options, but for those of the input
    later = {*INFOS[case.name].not_og_supported_flags, *optimizer.defaults}
    for group in saved["param_groups"]:
        for flag in later - case.options().keys() - {"lr"}:
            group.pop(flag, None)
    twin = deepcopy(model)
    loaded = case.make(twin.parameters(), **case.options())
    loaded.load_state_dict(saved)
    fit(model, x, optimizer, 2)
    fit(twin, x, loaded, 2)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


@each_naming
@each_case
def test_a_saved_file_holds_only_plain_types(case: Case, names: bool) -> None:
    problem, optimizer = trained(case, names, 3)
    saved = optimizer.state_dict()
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    found = torch.load(file, weights_only=True)
    assert equal(found, saved)
    copy = problem.clone()
    loaded = case.make(copy.named(names), **case.options())
    loaded.load_state_dict(found)
    problem.run(optimizer, 2)
    copy.run(loaded, 2)
    assert same(problem, copy)


@each_case
def test_a_step_may_be_a_number(case: Case) -> None:
    problem, optimizer = trained(case, steps=3)
    saved = deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        if "step" in state:
            assert torch.is_tensor(state["step"])
            state["step"] = state["step"].item()
            assert state["step"] == 3.0
    copy = problem.clone()
    loaded = case.make(copy.params, **case.options())
    loaded.load_state_dict(saved)
    problem.run(optimizer, 2)
    copy.run(loaded, 2)
    assert same(problem, copy)
    assert all(state["step"] == 5 for state in loaded.state.values() if "step" in state)


@each_case
def test_a_deep_copy_has_all_attributes_and_goes_on(case: Case) -> None:
    problem, optimizer = trained(case, steps=3)
    copy = deepcopy(optimizer)
    public = {name for name in vars(optimizer) if not name.startswith("_")}
    assert {name for name in vars(copy) if not name.startswith("_")} == public
    check_goes_on(case, problem, optimizer, copy)


@each_flagged
def test_a_pickle_goes_on(case: Case) -> None:
    problem, optimizer = trained(case, steps=3)
    copy = pickle.loads(pickle.dumps(optimizer))
    assert type(copy) is getattr(gst, case.name)
    check_goes_on(case, problem, optimizer, copy)


def check_goes_on(case: Case, problem: Problem, optimizer: Any, copy: Any) -> None:
    """Check that a copy steps parameters of its own by the same bits."""
    twin = problem.clone()
    assert equal(optimizer.state_dict(), copy.state_dict())
    theirs = copy.param_groups[0]["params"]
    assert all(p is not q for p, q in zip(theirs, problem.params, strict=True))
    twin.weight, twin.bias = theirs
    before = deepcopy(problem.params)
    twin.run(copy, 3)
    assert all(map(torch.equal, problem.params, before))
    problem.run(optimizer, 3)
    assert same(problem, twin)
    assert equal(optimizer.state_dict(), copy.state_dict())


@each_case
def test_states_are_kept_after_a_step(case: Case) -> None:
    model = nn.Linear(5, 5)
    optimizer = case.make(model.parameters(), **case.options())
    fit(
        model,
        torch.rand(2, 5, generator=torch.Generator().manual_seed(2)),
        optimizer,
        1,
    )
    momentum = optimizer.param_groups[0].get("momentum", 0.0)
    if case.name == STATELESS and not momentum:
        assert not optimizer.state_dict()["state"]
        return
    for p in model.parameters():
        assert optimizer.state[p]
        assert any(v.shape == p.shape for v in optimizer.state[p].values())
