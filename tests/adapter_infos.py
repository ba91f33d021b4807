"""Entries of torch's database of optimizers for tests, with our classes in them.

What torch has is taken from its own entries; other rules have inputs of ours. On the
CPU torch's entries give no input with capturable or differentiable, which our classes
refuse if true; were one to come, it is left out here.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch.testing._internal.common_optimizers import (
    OptimizerInfo,
    OptimizerInput,
    optim_db,
)

import gradstep.torch as gst

Options = dict[str, Any]

UP = {"maximize": True}
DECAY = {"weight_decay": 0.1}
COUPLED = {"decoupled_weight_decay": False}
DECOUPLED = {"decoupled_weight_decay": True}
FREE = {"lr": 0.01, "r": 0.7, "weight_lr_power": 1.6}

# Where a rule's default rate is made for large models, a smaller one stands, with which
# the small problems of these tests get better within some 20 steps.
OWN: dict[str, list[Options]] = {
    "AdaBelief": [
        {},
        {"lr": 0.01, "eps_acc": 1e-8, "eps_out": 1e-6, "betas": (0.8, 0.97)},
        DECAY | {"weight_decouple": False, "amsgrad": True},
        DECAY | {"fixed_decay": True, "rectify": False},
        DECAY | {"degenerated_to_sgd": False, "lr": 0.01},
        DECAY | UP | {"rectify": False},
    ],
    "Adai": [
        {"lr": 0.005},
        DECAY | {"lr": 0.004, "betas": (0.2, 0.97), "eps": 0.002},
        DECAY | DECOUPLED | {"lr": 0.005},
        DECAY | UP | {"lr": 0.003},
    ],
    "Adan": [
        {},
        DECAY | {"lr": 0.01, "betas": (0.95, 0.9, 0.97), "eps": 1e-6},
        DECAY | {"no_prox": True, "max_grad_norm": 1.5},
        DECAY | {"like": "paper"},
        DECAY | UP,
    ],
    "EAdam": [
        {},
        DECAY | {"lr": 0.01, "betas": (0.8, 0.97), "eps": 1e-6},
        DECAY | DECOUPLED | {"amsgrad": True},
        DECAY | UP,
    ],
    "Padam": [
        {"lr": 0.01},
        DECAY | {"lr": 0.005, "partial": 0.125, "betas": (0.8, 0.97), "eps": 1e-6},
        DECAY | DECOUPLED | {"lr": 0.01, "partial": 0.5, "amsgrad": False},
        DECAY | UP | {"lr": 0.01, "like": "paper"},
    ],
    "LAMB": [
        {},
        {"lr": 0.01, "betas": (0.8, 0.97), "eps": 1e-5, "weight_decay": 0.2},
        DECAY | COUPLED | {"bias_correction": False, "max_grad_norm": 1.5},
        DECAY | {"adapt": False},
        DECAY | UP,
    ],
    "LARS": [
        {},
        DECAY | {"momentum": 0.7, "trust_coefficient": 0.004, "eps": 1e-6},
        DECAY | {"norm": "sum", "form": "buffer", "lr": 0.2},
        DECAY | {"adapt": False, "lr": 0.002},
        DECAY | UP,
    ],
    "Lion": [{}, DECAY | {"lr": 0.001, "betas": (0.8, 0.97)}, DECAY | UP],
    "MADGRAD": [
        {},
        DECAY | {"lr": 0.02, "momentum": 0.7, "eps": 1e-5},
        DECAY | {"decouple_decay": True, "like": "paper"},
        DECAY | UP,
    ],
    "MirrorMADGRAD": [
        {},
        DECAY | {"lr": 0.02, "momentum": 0.7, "eps": 1e-5},
        DECAY | {"decouple_decay": True},
        DECAY | UP,
    ],
    "ScheduleFreeSGD": [
        {"lr": 0.01},
        DECAY | FREE | {"momentum": 0.8, "warmup_steps": 4},
        DECAY | {"lr": 0.01, "decay_at": "z"},
        DECAY | UP | {"lr": 0.01},
    ],
    "ScheduleFreeAdamW": [
        {},
        DECAY | FREE | {"betas": (0.8, 0.97), "eps": 1e-6, "warmup_steps": 4},
        DECAY | {"decay_at": "z", "inner_momentum": 0.3, "like": "first"},
        DECAY | UP,
    ],
    "ScheduleFreeRAdam": [
        {"silent_sgd_phase": False},
        DECAY | FREE | {"betas": (0.8, 0.97), "eps": 1e-6},
        DECAY | {"decay_at": "z", "lr": 0.01},
        DECAY | UP | {"lr": 0.01},
    ],
    "Signum": [{}, DECAY | {"lr": 0.001, "momentum": 0.7}, DECAY | UP],
}

THEIRS = {
    entry.optim_cls.__name__: entry
    for entry in optim_db
    if entry.optim_cls.__name__ in gst.__all__
}


def _inputs_of(theirs: Any) -> Callable[..., list[OptimizerInput]]:
    def inputs(device: Any, dtype: Any = None) -> list[OptimizerInput]:
        return [
            given
            for given in theirs.optim_inputs_func(device=device, dtype=dtype)
            if not given.kwargs.keys() & {"capturable", "differentiable"}
        ]

    return inputs


def _own_inputs(name: str) -> Callable[..., list[OptimizerInput]]:
    def inputs(device: Any, dtype: Any = None) -> list[OptimizerInput]:
        return [
            OptimizerInput(params=None, kwargs=deepcopy(given), desc=_described(given))
            for given in OWN[name]
        ]

    return inputs


def _described(given: Options) -> str:
    return ", ".join(given) or "default"


def _info(name: str) -> OptimizerInfo:
    """Return the entry of one of our classes: all take foreach and fused."""
    flags = {"supported_impls": ("foreach", "fused"), "supports_fused_on": ("cpu",)}
    ours, theirs = getattr(gst, name), THEIRS.get(name)
    if theirs is None:
        return OptimizerInfo(ours, optim_inputs_func=_own_inputs(name), **flags)
    return OptimizerInfo(
        ours,
        optim_inputs_func=_inputs_of(theirs),
        scheduler_inputs=theirs.scheduler_inputs,
        not_og_supported_flags=theirs.not_og_supported_flags,
        supports_sparse=theirs.supports_sparse,
        metadata_for_sparse=theirs.metadata_for_sparse,
        optim_error_inputs_func=theirs.optim_error_inputs_func,
        **flags,
    )


INFOS = {name: _info(name) for name in (*THEIRS, *OWN)}


class Case(NamedTuple):
    """An optimizer with one of its inputs."""

    name: str
    place: int
    title: str
    flags: Options

    @property
    def make(self) -> Any:
        return getattr(gst, self.name)

    def options(self) -> Options:
        """Return the options, made anew: a scheduler writes to a rate in a tensor."""
        given = INFOS[self.name].optim_inputs_func(device="cpu")[self.place]
        found: Options = given.kwargs | self.flags
        return found


def cases(*names: str, flags: bool = False) -> list[Case]:
    """Return the inputs of some optimizers, of all by default.

    With flags, they come with neither of foreach and fused, the one and the other, in
    turn. This is not left to torch, which tries foreach on accelerators only.
    """
    found = []
    for name in names or INFOS:
        info = INFOS[name]
        ways = [dict.fromkeys(info.supported_impls, False)]
        ways += [ways[0] | {flag: True} for flag in info.supported_impls]
        for i, given in enumerate(info.optim_inputs_func(device="cpu")):
            way = ways[i % len(ways)] if flags else {}
            on = "".join(f" & {flag}" for flag in way if way[flag])
            found.append(Case(name, i, f"{name}: {given.desc}{on}", way))
    return found


def titles(given: list[Case]) -> list[str]:
    return [case.title for case in given]


class Problem:
    """A small sum of squares, and how its loss and gradients come about."""

    def __init__(
        self, dtype: torch.dtype = torch.float32, *, gaps: bool = False, seed: int = 3
    ) -> None:
        source = torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(shape, dtype=dtype, generator=source)

        weight, bias = drawn(10, 5, 2), drawn(10, 2)
        weight, bias = weight[..., 0], bias[..., 0]
        if not gaps:
            weight, bias = weight.contiguous(), bias.contiguous()
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)
        self.input = drawn(5)

    @property
    def params(self) -> list[torch.nn.Parameter]:
        return [self.weight, self.bias]

    def named(self, names: bool) -> list[Any]:
        if not names:
            return self.params
        return [("weight", self.weight), ("bias", self.bias)]

    def loss(self) -> torch.Tensor:
        """Return the loss, with gradients of it in the parameters."""
        for p in self.params:
            p.grad = None
        loss = (self.weight.mv(self.input) + self.bias).pow(2).sum()
        loss.backward()
        return loss.detach()

    def clone(self) -> "Problem":
        """Return the same problem with parameters of its own."""
        other = Problem(self.input.dtype)
        other.weight = torch.nn.Parameter(self.weight.detach().clone())
        other.bias = torch.nn.Parameter(self.bias.detach().clone())
        other.input = self.input
        return other

    def run(self, optimizer: Any, steps: int) -> None:
        for _ in range(steps):
            self.loss()
            optimizer.step()


def same(a: Problem, b: Problem) -> bool:
    """Return whether the parameters of two problems have the same bits."""
    return all(torch.equal(p, q) for p, q in zip(a.params, b.params, strict=True))
