"""How fast steps on CUDA are, beside a copy of the device's memory and torch's own.

Parts of `cuda_check.py`. Times on the device are of events around each step, in turns.
"""

import contextlib
import importlib.util
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import gradstep.torch as gst
from gradstep.bench.peers import PACKAGES
from gradstep.bench.rules import RULES, bytes_each
from gradstep.bench.steps import Shapes
from gradstep.bench.suites.small import gpt2

FLOAT = np.dtype(np.float32)
ROUNDS, WARM_UP = 15, 3
TIMED = (
    *("adam", "adamw", "sgd_momentum", "adagrad", "adabelief", "adan", "madgrad"),
    *("schedulefree_adamw", "rmsprop", "lion", "nadam", "radam", "lamb"),
)
# What torch has: its class, and whether there is a fused step.
THEIRS: dict[str, tuple[str, bool]] = {
    "adam": ("Adam", True),
    "adamw": ("AdamW", True),
    "sgd_momentum": ("SGD", True),
    "adagrad": ("Adagrad", False),
    "rmsprop": ("RMSprop", False),
    "nadam": ("NAdam", False),
    "radam": ("RAdam", False),
}
Step = Callable[[], object]
Row = dict[str, Any]


def tensors(shapes: Shapes, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Return parameters with gradients."""
    found = [torch.randn(s, device="cuda").to(dtype).requires_grad_() for s in shapes]
    for p in found:
        p.grad = torch.randn(p.shape, device="cuda").to(dtype) * 1e-3
    return found


def ours(rule: str, shapes: Shapes, **storage: Any) -> Step:
    """Return a step of gradstep."""
    kind, options = RULES[rule]
    dtype = storage.pop("dtype", torch.float32)
    step: Step = getattr(gst, kind)(tensors(shapes, dtype), **options, **storage).step
    return step


def theirs(rule: str, shapes: Shapes) -> dict[str, Step]:
    """Return torch's own steps of a rule."""
    if rule not in THEIRS:
        return {}
    name, fused = THEIRS[rule]
    _, options = RULES[rule]
    ways: dict[str, dict[str, bool]] = {"torch foreach": {"foreach": True}}
    if fused:
        ways["torch fused"] = {"fused": True}
    known = {k: v for k, v in options.items() if k in _arguments(name)}
    return {
        way: getattr(torch.optim, name)(tensors(shapes), **known, **flag).step
        for way, flag in ways.items()
    }


def packages(rule: str, shapes: Shapes) -> dict[str, Step]:
    """Return the steps of the authors' own packages, and of a collection, if here."""
    found = {}
    for package, rules in PACKAGES.items():
        if rule not in rules or not importlib.util.find_spec(package):
            continue
        kind, options = rules[rule]
        make = getattr(importlib.import_module(package), kind)
        with contextlib.redirect_stdout(None):  # AdaBelief tells of its options
            made: Any = make(tensors(shapes), **options)
        if hasattr(made, "train"):
            made.train()
        found[package] = made.step
    return found


def _arguments(name: str) -> Any:
    return getattr(torch.optim, name).__init__.__code__.co_varnames


def milliseconds(calls: dict[str, Step]) -> dict[str, float]:
    """Return the median time that each call takes on the device, in turns."""
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            found[name].append(begin.elapsed_time(end))
    return {name: float(np.median(times)) for name, times in found.items()}


def copying(n: int) -> Step:
    """Return a copy of n float32 numbers within the device's memory."""
    x, y = (torch.randn(n, device="cuda") for _ in range(2))
    return lambda: y.copy_(x)


def one_tensor(rule: str, n: int) -> Row:
    """Time a rule on one tensor beside a copy, and beside torch."""
    calls = {"copy": copying(n), "gradstep": ours(rule, ((n,),))}
    calls |= theirs(rule, ((n,),)) | packages(rule, ((n,),))
    times = milliseconds(calls)
    rates = {"copy": 8 * n / times["copy"], "gradstep": bytes_each(rule, FLOAT) * n}
    rates["gradstep"] /= times["gradstep"]
    return row(rule, f"2^{int(math.log2(n))}", times) | {
        "bytes": bytes_each(rule, FLOAT),
        "gigabytes_per_second": {k: v / 1e6 for k, v in rates.items()},
        "of_copy": rates["gradstep"] / rates["copy"],
    }


def row(rule: str, case: str, times: dict[str, float]) -> Row:
    """Return times, and how many times ours the others take."""
    mine = times["gradstep"]
    peers = {k: t / mine for k, t in times.items() if k not in ("gradstep", "copy")}
    return {"rule": rule, "case": case, "milliseconds": times, "ratio": peers}


def model() -> list[Row]:
    """Time the parameters of GPT-2 small, and as 300 tensors."""
    shapes, found = gpt2(), []
    many = shapes + ((768,),) * (300 - len(shapes))
    for case, these in (("GPT-2", shapes), ("GPT-2, 300 tensors", many)):
        calls = {"gradstep": ours("adamw", these)} | theirs("adamw", these)
        found.append(row("adamw", case, milliseconds(calls)))
    return found


def not_aligned(n: int) -> Row:
    """Time gradients that begin at any element, as in a bucket of DDP's."""
    params = tensors(((n,),))
    bucket = torch.randn(n + 1, device="cuda")
    params[0].grad = bucket[1:]
    calls: dict[str, Step] = {"copy": copying(n), "gradstep": gst.Adam(params).step}
    times = milliseconds(calls)
    rate, copy = 28 * n / times["gradstep"], 8 * n / times["copy"]
    return row("adam", "gradient not aligned", times) | {"of_copy": rate / copy}


def storages(n: int) -> list[Row]:
    """Time Adam in fewer bits on one tensor."""
    half = {"dtype": torch.bfloat16}
    kept: dict[str, tuple[int, dict[str, Any]]] = {
        "bfloat16": (22, half),
        "bfloat16, master": (30, half | {"master": "float32"}),
        "bfloat16, split": (26, half | {"master": "split"}),
        "float32, bfloat16 states": (20, {"state_dtype": "bfloat16"}),
        "float32, uint8 states": (16, {"state_dtype": "uint8"}),
    }
    found = []
    for case, (bytes_, storage) in kept.items():
        calls = {"copy": copying(n), "gradstep": ours("adam", ((n,),), **storage)}
        times = milliseconds(calls)
        rate, copy = bytes_ * n / times["gradstep"], 8 * n / times["copy"]
        found.append(
            row("adam", case, times) | {"bytes": bytes_, "of_copy": rate / copy}
        )
    return found


def clipping(n: int) -> Row:
    """Time a step that clips beside a plain one, and torch's clip_grad_norm_."""
    step, plain = ours("adam", ((n,),)), ours("adam", ((n,),))
    params = tensors(((n,),))
    fused = torch.optim.Adam(params, fused=True)

    def clipped() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        fused.step()

    calls = {"gradstep": lambda: step(clip_norm=1.0), "plain": plain}
    return row("adam", "clip_norm", milliseconds(calls | {"torch fused": clipped}))


def host(tensors_: int) -> Row:
    """Time what a step of many small tensors takes on the host, in microseconds."""
    shapes: Shapes = ((100,),) * tensors_
    calls = {"gradstep": ours("adamw", shapes)} | theirs("adamw", shapes)
    times: dict[str, float] = {}
    for name, call in calls.items():
        taken = []
        for _ in range(40):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
        times[name] = float(np.median(taken)) * 1e6
    return row("adamw", f"host, us, {tensors_} tensors", times)
