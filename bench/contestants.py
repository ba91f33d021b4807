"""Contestants: gradstep, the roofline and its peers, as calls that take one step.

A peer is one entry in `PEERS`: a function of a rule, parameters and gradients that
returns a call without arguments, which takes one step of its own copies. It raises
LookupError where it lacks the rule.
"""

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from rules import ADAM, FREE, MADGRAD, RULES, DType, Options, optimizer, roofline

import gradstep as gs
from gradstep.roofline import STIR, steps
from gradstep.structure import Array

Step = Callable[[], object]
Arrays = list[Array]
Maker = Callable[[str, Arrays, Arrays], Step]

# By package, the rules that it steps and torch does not: its class and options.
BELIEF = ADAM | {"eps": 1e-16, "rectify": True}
PACKAGES: dict[str, dict[str, tuple[str, Options]]] = {
    "adabelief_pytorch": {
        "adabelief": ("AdaBelief", BELIEF | {"print_change_log": False}),
    },
    "madgrad": {
        "madgrad": ("MADGRAD", MADGRAD),
        "madgrad_moving": ("MADGRAD", dict(RULES["madgrad_moving"][1])),
        "mirror_madgrad": ("MirrorMADGRAD", MADGRAD | {"eps": 0.0}),
    },
    "schedulefree": {
        "schedulefree_sgd": ("SGDScheduleFree", {"lr": 1.0, "momentum": 0.9}),
        "schedulefree_adamw": ("AdamWScheduleFree", FREE),
        "schedulefree_radam": ("RAdamScheduleFree", FREE),
    },
    "pytorch_optimizer": {
        "adabelief": ("AdaBelief", BELIEF),
        "adan": ("Adan", ADAM | {"betas": (0.98, 0.92, 0.99)}),
        "madgrad": ("MADGRAD", MADGRAD),
        "schedulefree_adamw": ("ScheduleFreeAdamW", FREE),
    },
}


def step_gradstep(rule: str, params: Arrays, grads: Arrays) -> Step:
    """Step NumPy's own arrays, as a user has them."""
    p, g = ([a.copy() for a in arrays] for arrays in (params, grads))
    alone = len(p) == 1
    stepped = optimizer(rule, p[0] if alone else p)
    # Differences of equal gradients would be zeros, which come from DRAM faster.
    first = [a[::-1].copy() for a in grads]
    stepped.step(first[0] if alone else first)
    return functools.partial(stepped.step, g[0] if alone else g)


def step_traffic(rule: str, params: Arrays, grads: Arrays) -> Step:
    """Move the same bytes, in memory that is aligned as well as it can be."""
    name, _ = roofline(rule, params[0].dtype)
    p, g = ([gs.zeros(a.shape, a.dtype) for a in arrays] for arrays in (params, grads))
    for placed, a in zip(p + g, params + grads):
        np.copyto(placed, a)
    return steps(name, {"stir": STIR}, p, g)


def tensors(params: Arrays, grads: Arrays) -> list[Any]:
    """Copy arrays to memory that torch has allocated, and aligned, itself."""
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(gs.get_num_threads())
    made = [torch.nn.Parameter(torch.from_numpy(a).clone()) for a in params]
    for p, g in zip(made, grads):
        p.grad = torch.from_numpy(g).clone()
    return made


def step_torch(rule: str, params: Arrays, grads: Arrays, **flags: bool) -> Step:
    """Step tensors by `torch.optim`."""
    kind, options = RULES[rule]
    optim: Any = importlib.import_module("torch.optim")
    make = getattr(optim, kind)
    known = inspect.signature(make).parameters
    lacks = {name for name in flags.keys() - known.keys() if flags[name]}
    if lacks := lacks | (options.keys() - known.keys()):
        raise LookupError(f"torch.optim.{kind} has no {', '.join(sorted(lacks))}")
    # A flag that is off says nothing to a class that lacks it.
    flags = {name: on for name, on in flags.items() if name in known}
    step: Step = make(tensors(params, grads), **options, **flags).step
    return step


def step_deepspeed(rule: str, params: Arrays, grads: Arrays, **flags: bool) -> Step:
    """Step tensors by DeepSpeed's CPU Adam, which is compiled at first use."""
    kind, options = RULES[rule]
    adam: Any = importlib.import_module("deepspeed.ops.adam")
    if kind not in ("Adam", "AdamW"):
        raise LookupError(f"DeepSpeedCPUAdam is not {kind}")
    own, mode = tensors(params, grads), kind == "AdamW"
    step: Step = adam.DeepSpeedCPUAdam(own, **options, **flags, adamw_mode=mode).step
    return step


def step_package(
    rule: str, params: Arrays, grads: Arrays, *, package: str, **flags: bool
) -> Step:
    """Step tensors by a package of torch optimizers."""
    kind, options = PACKAGES[package][rule]
    make = getattr(importlib.import_module(package), kind)
    with contextlib.redirect_stdout(None):  # AdaBelief tells of its options
        made: Any = make(tensors(params, grads), **options, **flags)
    if hasattr(made, "train"):  # schedule-free optimizers refuse to step before
        made.train()
    step: Step = made.step
    return step


PEERS: dict[str, functools.partial[Step]] = {
    "torch fused": functools.partial(step_torch, fused=True),
    "torch foreach": functools.partial(step_torch, foreach=True),
    "torch for-loop": functools.partial(step_torch, foreach=False, fused=False),
    "DeepSpeed": functools.partial(step_deepspeed, bias_correction=True),
    "adabelief_pytorch": functools.partial(step_package, package="adabelief_pytorch"),
    "madgrad": functools.partial(step_package, package="madgrad"),
    "schedulefree": functools.partial(step_package, package="schedulefree"),
    "schedulefree for-loop": functools.partial(
        step_package, package="schedulefree", foreach=False
    ),
    "pytorch_optimizer": functools.partial(
        step_package, package="pytorch_optimizer", foreach=True
    ),
    "pytorch_optimizer for-loop": functools.partial(
        step_package, package="pytorch_optimizer", foreach=False
    ),
}


def candidates(rule: str) -> dict[str, functools.partial[Step]]:
    """Return the peers to try for a rule: packages only if they have it."""
    return {
        name: make
        for name, make in PEERS.items()
        if make.func is not step_package or rule in PACKAGES[make.keywords["package"]]
    }


def present(rule: str, dtype: DType) -> tuple[list[str], dict[str, str]]:
    """Return the peers that can take this step; of all of them, flags or why not."""
    found: list[str] = []
    facts: dict[str, str] = {}
    one = [np.ones(1, dtype)]
    for name, make in candidates(rule).items():
        try:
            make(rule, one, one)()
            found.append(name)
            facts[name] = ", ".join(f"{k}={v}" for k, v in make.keywords.items())
        except (ImportError, AttributeError, LookupError, RuntimeError) as e:
            facts[name] = f"ABSENT: {type(e).__name__}: {str(e).splitlines()[0]}"
    return found, facts
