"""Schedule-free optimizers are saved, copied and loaded in either mode, bit for bit."""

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schedulefree
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    get_state_dict,
    set_state_dict,
)

import gradstep.torch as gst

RULES: dict[str, tuple[str, torch.dtype, dict[str, Any]]] = {
    "SGD": ("ScheduleFreeSGD", torch.float32, {"lr": 0.3, "momentum": 0.8}),
    "AdamW": ("ScheduleFreeAdamW", torch.float64, {"lr": 0.05, "weight_decay": 0.1}),
    "RAdam": ("ScheduleFreeRAdam", torch.float32, {"lr": 0.05, "betas": (0.8, 0.95)}),
    "bfloat16": ("ScheduleFreeAdamW", torch.bfloat16, {"lr": 0.05}),
    "master": (
        "ScheduleFreeAdamW",
        torch.bfloat16,
        {"lr": 0.05, "master": "float32", "state_dtype": "bfloat16"},
    ),
}
MODES = ("train", "eval")

# RAdam moves from its sixth step on.
BEGUN, LATER = range(8), range(8, 11)


def network(rule: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    layers = (torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    return torch.nn.Sequential(*layers).to(RULES[rule][1])


def plain(rule: str, net: torch.nn.Module) -> Any:
    name, _, options = RULES[rule]
    # The second layer's bias has no gradient, so that it has no state.
    net[2].bias.requires_grad_(False)
    return getattr(gst, name)(net.named_parameters(), **options)


def offloaded(rule: str, net: torch.nn.Module) -> Any:
    return gst.CPUOffload(plain(rule, net))


def train(net: torch.nn.Module, opt: Any, steps: range) -> None:
    opt.train()
    for t in steps:
        generator = torch.Generator().manual_seed(t)
        x = torch.randn(7, 4, generator=generator, dtype=torch.float64)
        opt.zero_grad()
        net(x.to(net[0].weight.dtype)).float().square().sum().backward()
        opt.step()


def parameters(net: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def through_torch_save(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def straight(rule: str) -> dict[str, list[torch.Tensor]]:
    net = network(rule)
    opt = plain(rule, net)
    train(net, opt, BEGUN)
    points = {"train": parameters(net)}
    opt.eval()
    points["eval"] = parameters(net)
    train(net, opt, LATER)
    return points | {"end": parameters(net)}


@pytest.mark.parametrize("load_model_first", [True, False])
@pytest.mark.parametrize("mode_before_load", MODES)
@pytest.mark.parametrize("saved_mode", MODES)
@pytest.mark.parametrize("loader", [plain, offloaded])
@pytest.mark.parametrize("saver", [plain, offloaded])
@pytest.mark.parametrize("rule", RULES)
def test_a_run_goes_on_from_a_state_dict_of_either_mode(
    rule: str,
    saver: Any,
    loader: Any,
    saved_mode: str,
    mode_before_load: str,
    load_model_first: bool,
) -> None:
    expected = straight(rule)
    assert not same(expected["train"], expected["eval"])
    net = network(rule)
    opt = saver(rule, net)
    train(net, opt, BEGUN)
    getattr(opt, saved_mode)()
    state = through_torch_save(opt.state_dict())
    weights = copy.deepcopy(net.state_dict())
    other = network(rule, seed=1)
    resumed = loader(rule, other)
    train(other, resumed, range(20, 22))
    getattr(resumed, mode_before_load)()
    if load_model_first:
        other.load_state_dict(weights)
    resumed.load_state_dict(state)
    if not load_model_first:
        other.load_state_dict(weights)
    assert resumed.training == (saved_mode == "train")
    assert same(parameters(other), expected[saved_mode])
    resumed.eval()
    assert same(parameters(other), expected["eval"])
    resumed.train()
    assert same(parameters(other), expected["train"])
    train(other, resumed, LATER)
    assert same(parameters(other), expected["end"])


def copied(pair: Any) -> Any:
    return copy.deepcopy(pair)


def pickled(pair: Any) -> Any:
    return pickle.loads(pickle.dumps(pair))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("duplicate", [copied, pickled])
@pytest.mark.parametrize("rule", RULES)
def test_a_copy_made_in_either_mode_goes_on(
    rule: str, duplicate: Callable[[Any], Any], mode: str
) -> None:
    expected = straight(rule)
    net = network(rule)
    opt = plain(rule, net)
    train(net, opt, BEGUN)
    getattr(opt, mode)()
    other, resumed = duplicate((net, opt))
    for model, optimizer in ((net, opt), (other, resumed)):
        assert optimizer.training == (mode == "train")
        assert same(parameters(model), expected[mode])
        train(model, optimizer, LATER)
        assert same(parameters(model), expected["end"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch 2.8's own
def test_a_run_goes_on_from_a_distributed_checkpoint_of_either_mode(
    mode: str, tmp_path: Path
) -> None:
    expected = straight("AdamW")
    net = network("AdamW")
    opt = plain("AdamW", net)
    train(net, opt, BEGUN)
    getattr(opt, mode)()
    weights, state = get_state_dict(net, opt)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=tmp_path)
    other = network("AdamW", seed=1)
    resumed = plain("AdamW", other)
    getattr(resumed, mode)()  # the states to load into are those of a mode
    weights, state = get_state_dict(other, resumed)
    loaded = {"model": weights, "optimizer": state}
    dcp.load(loaded, checkpoint_id=tmp_path)
    set_state_dict(
        other,
        resumed,
        model_state_dict=loaded["model"],
        optim_state_dict=loaded["optimizer"],
    )
    assert same(parameters(other), expected[mode])
    resumed.train()
    assert same(parameters(other), expected["train"])
    train(other, resumed, LATER)
    assert same(parameters(other), expected["end"])


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch 2.8's own
def test_a_distributed_checkpoint_of_the_other_mode_is_refused(tmp_path: Path) -> None:
    net = network("AdamW")
    opt = plain("AdamW", net)
    train(net, opt, BEGUN)
    opt.eval()
    _, state = get_state_dict(net, opt)
    dcp.save({"optimizer": state}, checkpoint_id=tmp_path)
    other = network("AdamW", seed=1)
    resumed = plain("AdamW", other)
    loaded = {"optimizer": get_optimizer_state_dict(other, resumed)}
    dcp.load(loaded, checkpoint_id=tmp_path)
    before = parameters(other)
    with pytest.raises(KeyError, match=r"lacks 'y', .*call eval\(\) before states"):
        set_state_dict(
            other,
            resumed,
            model_state_dict=other.state_dict(),
            optim_state_dict=loaded["optimizer"],
        )
    assert same(parameters(other), before)
    assert resumed.training


AUTHORS: dict[str, tuple[Any, Any]] = {
    "SGD": (schedulefree.SGDScheduleFree, {"lr": 0.1, "momentum": 0.8}),
    "AdamW": (schedulefree.AdamWScheduleFree, {"lr": 0.05, "betas": (0.8, 0.99)}),
    "RAdam": (schedulefree.RAdamScheduleFree, {"lr": 0.05, "betas": (0.9, 0.7)}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", AUTHORS)
def test_a_run_goes_on_from_the_authors_state_of_either_mode(
    name: str, mode: str
) -> None:
    make, options = AUTHORS[name]
    net = network("AdamW")
    theirs = make(net.parameters(), **options)
    train(net, theirs, BEGUN)
    getattr(theirs, mode)()
    other = copy.deepcopy(net)
    ours = getattr(gst, f"ScheduleFree{name}")(other.parameters())
    ours.load_state_dict(through_torch_save(theirs.state_dict()))
    assert ours.training == (mode == "train")
    again = copy.deepcopy(ours.state_dict())  # which can be saved as it is
    ours.load_state_dict(again)
    for _ in range(2):
        train(net, theirs, LATER)
        train(other, ours, LATER)
        for a, b in zip(parameters(net), parameters(other), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-12)
        theirs.eval()
        ours.eval()
        for a, b in zip(parameters(net), parameters(other), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-12)


def test_a_step_at_the_average_is_refused_and_no_byte_changed() -> None:
    net = network("AdamW")
    for make in (plain, offloaded):
        opt = make("AdamW", net)
        train(net, opt, range(2))
        opt.eval()
        before = parameters(net)
        with pytest.raises(RuntimeError, match=r"hold the average; call train\(\)"):
            opt.step()
        assert same(parameters(net), before)
        opt.train()
    fresh = plain("AdamW", net)
    fresh.eval()
    with pytest.raises(RuntimeError, match=r"call train\(\) first"):
        fresh.step()


def test_a_group_added_at_the_average_is_of_its_mode() -> None:
    net = network("AdamW")
    for make in (plain, offloaded):
        opt = make("AdamW", net)
        train(net, opt, range(2))
        opt.eval()
        p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        opt.add_param_group({"params": [("added", p)]})
        assert [group["train_mode"] for group in opt.param_groups] == [False, False]
        opt.train()
        assert opt.training
        p.grad = torch.ones_like(p)
        opt.step()
        assert not torch.equal(p, torch.ones_like(p))


def test_the_mode_is_kept_through_eval_and_train_twice() -> None:
    net = network("AdamW")
    opt = plain("AdamW", net)
    train(net, opt, range(2))
    trained = parameters(net)
    opt.eval()
    average = parameters(net)
    opt.eval()
    assert same(parameters(net), average)
    opt.train()
    assert same(parameters(net), trained)
    opt.train()
    assert same(parameters(net), trained)
    assert all("y" not in state for state in opt.state.values())


def without_y(state: Any) -> None:
    del state["state"][0]["y"]


def said_to_be_trained(state: Any) -> None:
    state["param_groups"][0]["train_mode"] = True


def of_another_shape(state: Any) -> None:
    state["state"][0]["y"] = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (without_y, KeyError, r"state\[0\] lacks 'y'"),
        (said_to_be_trained, ValueError, "has 'y', as after eval.*train_mode=True"),
        (of_another_shape, ValueError, r"\['y'\] has shape \(2,\), its parameter"),
    ],
)
def test_a_state_whose_mode_is_not_that_of_its_group_changes_nothing(
    spoil: Any, error: Any, message: str
) -> None:
    net = network("AdamW")
    opt = plain("AdamW", net)
    train(net, opt, range(2))
    opt.eval()
    state = copy.deepcopy(opt.state_dict())
    spoil(state)
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(error, match=message):
        opt.load_state_dict(state)
    assert not opt.training
    assert opt.state_dict()["param_groups"] == before["param_groups"]
    for key, entry in before["state"].items():
        assert all(
            torch.equal(opt.state_dict()["state"][key][k], entry[k]) for k in entry
        )


def test_a_state_of_before_there_were_modes_is_trained() -> None:
    net = network("AdamW")
    opt = plain("AdamW", net)
    train(net, opt, range(2))
    state = copy.deepcopy(opt.state_dict())
    del state["param_groups"][0]["train_mode"]
    opt.eval()
    opt.load_state_dict(state)
    assert opt.training
