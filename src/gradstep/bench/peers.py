"""Peers that take a step: torch, DeepSpeed, optax and the authors' own packages.

A peer is one entry in `PEERS`: its package, the process where it runs, and a function
of a rule and shapes, for float32, that returns a call without arguments, which takes
one step of its own tensors. It raises LookupError where it lacks the rule.
"""

import contextlib
import functools
import importlib
import inspect
import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from gradstep.bench.apart import Contestant, Step
from gradstep.bench.rules import ADAM, FREE, MADGRAD, RULES, Options
from gradstep.bench.steps import Shapes, contents, step_numpy
from gradstep.threads import set_num_threads

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

# optax's name and arguments of a rule.
OPTAX: dict[str, tuple[str, Options]] = {
    "adam": ("adam", {"learning_rate": 1e-3}),
    "adamw": ("adamw", {"learning_rate": 1e-3, "weight_decay": 1e-2}),
    "adabelief": ("adabelief", {"learning_rate": 1e-3}),
    "adadelta": ("adadelta", {"learning_rate": 1.0, "rho": 0.9}),
    "adagrad": ("adagrad", {"learning_rate": 1e-2}),
    "adamax": ("adamax", {"learning_rate": 2e-3}),
    "adan": ("adan", {"learning_rate": 1e-3}),
    "lamb": ("lamb", {"learning_rate": 1e-3}),
    "lars": ("lars", {"learning_rate": 1e-3}),
    "lion": ("lion", {"learning_rate": 1e-4}),
    "nadam": ("nadam", {"learning_rate": 2e-3}),
    "radam": ("radam", {"learning_rate": 1e-3}),
    "rmsprop": ("rmsprop", {"learning_rate": 1e-2, "decay": 0.99}),
    "sgd": ("sgd", {"learning_rate": 1e-3}),
    "sgd_momentum": ("sgd", {"learning_rate": 1e-3, "momentum": 0.9}),
    "sgd_nesterov": (
        "sgd",
        {"learning_rate": 1e-3, "momentum": 0.9, "nesterov": True},
    ),
}


def tensors(shapes: Shapes, threads: int) -> list[Any]:
    """Copy arrays to memory that torch has allocated, and aligned, itself."""
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(threads)
    params, grads = contents(shapes, "float32")
    made = [torch.nn.Parameter(torch.from_numpy(a).clone()) for a in params]
    for p, g in zip(made, grads):
        p.grad = torch.from_numpy(g).clone()
    return made


def step_torch(rule: str, shapes: Shapes, threads: int, **flags: bool) -> Step:
    """Step tensors by `torch.optim`."""
    optim: Any = importlib.import_module("torch.optim")
    kind, options = RULES[rule]
    make = getattr(optim, kind)
    known = inspect.signature(make).parameters
    lacks = {name for name in flags.keys() - known.keys() if flags[name]}
    if lacks := lacks | (options.keys() - known.keys()):
        raise LookupError(f"torch.optim.{kind} has no {', '.join(sorted(lacks))}")
    # A flag that is off says nothing to a class that lacks it.
    flags = {name: on for name, on in flags.items() if name in known}
    step: Step = make(tensors(shapes, threads), **options, **flags).step
    return step


def step_ours(rule: str, shapes: Shapes, threads: int) -> Step:
    """Step tensors by `gradstep.torch`."""
    gst: Any = importlib.import_module("gradstep.torch")
    kind, options = RULES[rule]
    made = getattr(gst, kind)(tensors(shapes, threads), **options)
    set_num_threads(threads)
    if hasattr(made, "train"):
        made.train()
    step: Step = made.step
    return step


def step_deepspeed(rule: str, shapes: Shapes, threads: int) -> Step:
    """Step tensors by DeepSpeed's CPU Adam, which is compiled at first use."""
    kind, options = RULES[rule]
    with contextlib.redirect_stdout(io.StringIO()):  # where its build writes
        adam: Any = importlib.import_module("deepspeed.ops.adam")
        own, mode = tensors(shapes, threads), kind == "AdamW"
        made = adam.DeepSpeedCPUAdam(own, **options, adamw_mode=mode)
    step: Step = made.step
    return step


def step_optax(rule: str, shapes: Shapes, threads: int) -> Step:
    """Step arrays by optax, compiled by XLA, which may reuse the memory of all."""
    jax: Any = importlib.import_module("jax")
    optax: Any = importlib.import_module("optax")
    if threads != len(os.sched_getaffinity(0)):
        raise LookupError("XLA uses as many threads as there are CPUs")
    name, options = OPTAX[rule]
    made = getattr(optax, name)(**options)
    params, grads = (list(map(jax.numpy.array, a)) for a in contents(shapes, "float32"))
    state = made.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = made.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def step() -> None:
        nonlocal params, state
        params, state = update(params, state, grads)
        jax.block_until_ready(params)

    return step


def step_package(
    rule: str, shapes: Shapes, threads: int, *, package: str, **flags: bool
) -> Step:
    """Step tensors by a package of torch optimizers."""
    kind, options = PACKAGES[package][rule]
    make = getattr(importlib.import_module(package), kind)
    with contextlib.redirect_stdout(None):  # AdaBelief tells of its options
        made: Any = make(tensors(shapes, threads), **options, **flags)
    if hasattr(made, "train"):  # schedule-free optimizers refuse to step before
        made.train()
    step: Step = made.step
    return step


def step_plain(rule: str, shapes: Shapes, threads: int, *, in_place: bool) -> Step:
    """Step arrays by NumPy, which uses one thread, and by the one rule written out."""
    del rule, threads
    return step_numpy(shapes, in_place=in_place)


class Peer(NamedTuple):
    """A peer's package, the process where it runs, what makes its step, and flags."""

    package: str
    home: str
    make: Callable[..., Step]
    flags: dict[str, Any]


FOR_LOOP = {"foreach": False, "fused": False}
PEERS = {
    "gradstep.torch": Peer("torch", "gradstep.torch", step_ours, {}),
    "torch fused": Peer("torch", "torch", step_torch, {"fused": True}),
    "torch foreach": Peer("torch", "torch", step_torch, {"foreach": True}),
    "torch for-loop": Peer("torch", "torch", step_torch, FOR_LOOP),
    "DeepSpeed": Peer("deepspeed", "deepspeed", step_deepspeed, {}),
    "optax": Peer("optax", "optax", step_optax, {}),
    "NumPy": Peer("numpy", "", step_plain, {"in_place": False}),
    "NumPy, in place": Peer("numpy", "", step_plain, {"in_place": True}),
} | {
    name: Peer(name, "torch", step_package, {"package": name} | flags)
    for name, flags in {
        "adabelief_pytorch": {},
        "madgrad": {},
        "schedulefree": {},
        "pytorch_optimizer": {"foreach": True},
    }.items()
}

# The rules of a package, where not all can be looked for there.
ONLY: dict[str, Collection[str]] = {
    **PACKAGES,
    "numpy": ("adam",),
    "deepspeed": ("adam", "adamw"),
    "optax": OPTAX,
}

# Whose steps are ours: no peers that gradstep is compared with.
OURS = ("gradstep", "gradstep.torch", "traffic")


def peers(
    rule: str, shapes: Shapes, threads: int, packages: Sequence[str], *, slow: bool
) -> Iterator[Contestant]:
    """Return the peers from these packages that may have a rule, for-loops if slow."""
    for name, (package, home, make, flags) in PEERS.items():
        if package not in packages or (not slow and "for-loop" in name):
            continue
        if rule not in ONLY.get(package, [rule]):
            continue
        made = functools.partial(make, rule, shapes, threads, **flags)
        yield Contestant(name, made, home)
