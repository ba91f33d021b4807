"""Checkpoints of torch and of the authors' packages: a run goes on where it was."""

import contextlib
import copy
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import madgrad
import pytest
import pytorch_optimizer
import schedulefree
import torch
from adabelief_pytorch import AdaBelief

import gradstep.torch as gst

Make = Callable[[Any], Any]


def parameters(dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    g = torch.Generator().manual_seed(3)
    shapes = [(3, 4), (5,), ()]
    return [
        torch.nn.Parameter(torch.randn(shape, generator=g, dtype=dtype))
        for shape in shapes
    ]


def take(optimizer: Any, params: list[Any], steps: range) -> None:
    for t in steps:
        g = torch.Generator().manual_seed(100 + t)
        for p in params:
            p.grad = torch.randn(p.shape, generator=g, dtype=p.dtype)
        optimizer.step()


def distance(a: list[Any], b: list[Any]) -> float:
    pairs = zip(a, b, strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def goes_on(theirs: Make, ours: Make, tolerance: float) -> None:
    """Three steps of theirs; then four of both, ours from their checkpoint."""
    p = parameters()
    first = theirs(p)
    take(first, p, range(3))
    q = copy.deepcopy(p)
    second = ours(q)
    second.load_state_dict(first.state_dict())
    take(first, p, range(3, 7))
    take(second, q, range(3, 7))
    assert distance(p, q) <= tolerance
    assert distance(p, parameters()) > 1e-3  # it moved at all


TORCH: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.1, "weight_decay": 0.02},
        {"lr": 0.1, "momentum": 0.8, "dampening": 0.1, "maximize": True},
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    ],
    "Adam": [{"lr": 0.05, "weight_decay": 0.03}, {"lr": 0.05, "amsgrad": True}],
    "AdamW": [{"lr": 0.05, "weight_decay": 0.3}, {"lr": 0.05, "amsgrad": True}],
    "Adagrad": [{"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.3}],
    "Adadelta": [{"lr": 0.7, "weight_decay": 0.02}],
    "RMSprop": [
        {"lr": 0.02, "weight_decay": 0.02},
        {"lr": 0.02, "momentum": 0.7, "centered": True},
    ],
    "Rprop": [{"lr": 0.02, "etas": (0.4, 1.3)}],
    "NAdam": [{"lr": 0.02, "weight_decay": 0.02, "decoupled_weight_decay": True}],
    "RAdam": [{"lr": 0.05, "betas": (0.8, 0.6), "weight_decay": 0.02}],
    "Adamax": [{"lr": 0.05, "weight_decay": 0.02}],
}
CASES = [(name, o) for name, many in TORCH.items() for o in many]

# torch keeps the product of NAdam's momenta in float32.
NARROW = {"NAdam": 1e-7}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_checkpoint_of_torch_goes_on(name: str, options: dict[str, Any]) -> None:
    goes_on(
        partial(getattr(torch.optim, name), **options),
        partial(getattr(gst, name)),
        NARROW.get(name, 1e-13),
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_torch_goes_on_from_a_checkpoint_of_ours(
    name: str, options: dict[str, Any]
) -> None:
    p = parameters()
    first = getattr(gst, name)(p, **options)
    take(first, p, range(3))
    q = copy.deepcopy(p)
    second = getattr(torch.optim, name)(q)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take(first, p, range(3, 7))
    take(second, q, range(3, 7))
    assert distance(p, q) <= NARROW.get(name, 1e-13)


def quietly(make: Make) -> Make:
    def made(p: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return make(p)

    return made


def training(make: Make) -> Make:
    def made(p: Any) -> Any:
        found = make(p)
        found.train()
        return found

    return made


AUTHORS: dict[str, tuple[Make, Make]] = {
    "AdaBelief": (
        quietly(partial(AdaBelief, lr=0.05, eps=1e-12, weight_decay=0.02)),
        gst.AdaBelief,
    ),
    "AdaBelief, amsgrad": (
        quietly(partial(AdaBelief, lr=0.05, eps=1e-12, amsgrad=True, rectify=False)),
        partial(gst.AdaBelief, rectify=False),
    ),
    "MADGRAD": (
        partial(madgrad.MADGRAD, lr=0.05, momentum=0.8, weight_decay=0.02),
        gst.MADGRAD,
    ),
    "MADGRAD without momentum": (
        partial(madgrad.MADGRAD, lr=0.05, momentum=0, weight_decay=0.02),
        partial(gst.MADGRAD, momentum=0),
    ),
    "Adan": (
        partial(pytorch_optimizer.Adan, lr=0.05, weight_decay=0.02),
        partial(gst.Adan, no_prox=False),
    ),
    "schedule-free SGD": (
        training(partial(schedulefree.SGDScheduleFree, lr=0.1, weight_decay=0.02)),
        gst.ScheduleFreeSGD,
    ),
    "schedule-free AdamW": (
        training(partial(schedulefree.AdamWScheduleFree, lr=0.05, warmup_steps=2)),
        gst.ScheduleFreeAdamW,
    ),
    "schedule-free RAdam": (
        training(partial(schedulefree.RAdamScheduleFree, lr=0.05, betas=(0.9, 0.7))),
        gst.ScheduleFreeRAdam,
    ),
}


@pytest.mark.parametrize("name", AUTHORS)
def test_a_checkpoint_of_the_authors_goes_on(name: str) -> None:
    # Two ways to a cube root, and x0 found again from where p is.
    goes_on(*AUTHORS[name], 1e-12)


def test_parameters_are_matched_by_name() -> None:
    p = parameters()
    names = ["a", "b", "c"]
    first = gst.AdamW(zip(names, p, strict=True), lr=0.05)
    take(first, p, range(3))
    order = [2, 0, 1]
    q = [copy.deepcopy(p[i]) for i in order]
    second = gst.AdamW([(names[i], x) for i, x in zip(order, q, strict=True)])
    second.load_state_dict(first.state_dict())
    for i, x in zip(order, q, strict=True):
        assert torch.equal(second.state[x]["exp_avg"], first.state[p[i]]["exp_avg"])


def test_a_state_is_a_copy_and_keeps_its_type() -> None:
    p = parameters()
    first = gst.Adam(p, lr=0.05)
    take(first, p, range(2))
    saved = first.state_dict()
    second = gst.Adam(copy.deepcopy(p))
    second.load_state_dict(saved)
    (state, *_) = second.state.values()
    assert state["exp_avg"].data_ptr() != saved["state"][0]["exp_avg"].data_ptr()
    assert state["exp_avg"].dtype == torch.float64
    assert state["step"].dtype == torch.float32
    narrow = gst.Adam([torch.nn.Parameter(x.detach().float()) for x in p])
    with pytest.raises(ValueError, match="which would round it"):
        narrow.load_state_dict(saved)
    assert not narrow.state


def test_a_narrower_state_is_widened() -> None:
    p = parameters(torch.float32)
    first = gst.Adam(p, lr=0.05)
    take(first, p, range(2))
    wide = [torch.nn.Parameter(x.detach().double()) for x in p]
    second = gst.Adam(wide)
    second.load_state_dict(first.state_dict())
    got = second.state[wide[0]]["exp_avg"]
    assert got.dtype == torch.float64
    assert torch.equal(got, first.state[p[0]]["exp_avg"].double())


def test_what_does_not_fit_changes_nothing() -> None:
    p = parameters()
    first = gst.Adam(p, lr=0.05)
    take(first, p, range(2))
    saved = copy.deepcopy(first.state_dict())
    before = copy.deepcopy(first.state_dict())
    for spoil, error, message in (
        (lambda d: d["state"][0].update(exp_avg=torch.ones(5)), ValueError, "shape"),
        (lambda d: d["param_groups"][0].update(lr=-1.0), ValueError, "lr must be in"),
        (lambda d: d["param_groups"][0]["params"].pop(), ValueError, "doesn't match"),
        (lambda d: d["param_groups"].pop(), ValueError, "different number"),
        (
            lambda d: d["param_groups"][0].update(decoupled_weight_decay=True),
            ValueError,
            "decoupled_weight_decay must be one of False",
        ),
    ):
        wrong = copy.deepcopy(saved)
        spoil(wrong)
        with pytest.raises(error, match=message):
            first.load_state_dict(wrong)
        now = first.state_dict()
        assert now["param_groups"] == before["param_groups"]
        for key, state in before["state"].items():
            for name, value in state.items():
                assert torch.equal(now["state"][key][name], value)
