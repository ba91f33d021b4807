"""Calls that take one step: gradstep's, the roofline's, and Adam as written in NumPy.

Each gets the name of a rule, shapes, and a word for what parameters, gradients and
states are kept in; the numbers in them are the same for all.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import gradstep as gs
from gradstep.bench.apart import Contestant, Step
from gradstep.bench.rules import DType, optimizer, roofline
from gradstep.roofline import STIR, steps
from gradstep.structure import Array

Shapes = tuple[tuple[int, ...], ...]
Arrays = list[Array]

LR, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8  # of Adam in NumPy: `rules.ADAM`

BLOCK = 1 << 20  # numbers that are drawn; longer arrays repeat them
KEPT = 1 << 25  # elements that are kept for the next case


class Storage(NamedTuple):
    """What parameters and gradients are kept in, and options that say more."""

    params: str
    grads: str
    options: dict[str, Any]


STORAGES = {
    "float32": Storage("f4", "f4", {}),
    "float64": Storage("f8", "f8", {}),
    "bfloat16 gradients": Storage("f4", "bf16", {}),
    "float16 gradients": Storage("f4", "f2", {}),
    "bfloat16": Storage("bf16", "bf16", {}),
    "float16": Storage("f2", "f2", {}),
    "bfloat16, stochastic": Storage("bf16", "bf16", {"rounding": "stochastic"}),
    "bfloat16, master": Storage("bf16", "bf16", {"master": "float32"}),
    "bfloat16, split": Storage("bf16", "bf16", {"master": "split"}),
    "bfloat16 states": Storage("f4", "f4", {"state_dtype": "bfloat16"}),
    "uint8 states": Storage("f4", "f4", {"state_dtype": "uint8"}),
    "bfloat16, split, uint8 states": Storage(
        "bf16", "bf16", {"master": "split", "state_dtype": "uint8"}
    ),
}


def computed_in(word: str) -> DType:
    """Return the type of the arithmetic."""
    return np.dtype(np.float64 if word == "float64" else np.float32)


def elements(shapes: Shapes) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(map(math.prod, shapes))


def contents(shapes: Shapes, word: str) -> tuple[Arrays, Arrays]:
    """Return parameters and gradients, which each contestant copies."""
    # Most cases have those of the case before; a model's would only fill the memory.
    return (_drawn if elements(shapes) <= KEPT else _drawn.__wrapped__)(shapes, word)


@functools.lru_cache(maxsize=1)
def _drawn(shapes: Shapes, word: str) -> tuple[Arrays, Arrays]:
    rng, storage = np.random.default_rng(0), STORAGES[word]
    made = []
    for kind in (storage.params, storage.grads):
        drawn = rng.standard_normal(min(BLOCK, elements(shapes)), np.float32)
        made.append([_kept(_filled(drawn, shape), kind) for shape in shapes])
    return made[0], made[1]


def _filled(drawn: Array, shape: tuple[int, ...]) -> Array:
    """Return an array of its own, with as many of the drawn numbers as it takes."""
    a: Array = np.empty(math.prod(shape), drawn.dtype)
    for at in range(0, a.size, drawn.size):
        part = a[at : at + drawn.size]
        part[:] = drawn[: part.size]
    return a.reshape(shape)


def _kept(a: Array, kind: str) -> Array:
    return gs.to_bfloat16(a) if kind == "bf16" else a.astype(kind, copy=False)


def step_gradstep(rule: str, shapes: Shapes, word: str, **asked: Any) -> Step:
    """Step NumPy's own arrays, as a user has them."""
    p, g = ([a.copy() for a in arrays] for arrays in contents(shapes, word))
    alone = len(p) == 1
    stepped = optimizer(rule, p[0] if alone else p, **STORAGES[word].options)
    # Differences of equal gradients would be zeros, which come from DRAM faster.
    first = [np.flip(a).copy() for a in g]
    stepped.step(first[0] if alone else first)
    return functools.partial(stepped.step, g[0] if alone else g, **asked)


def step_traffic(rule: str, shapes: Shapes, word: str) -> Step:
    """Move the same bytes, in memory that is aligned as well as it can be."""
    arrays = contents(shapes, word)
    name, _ = roofline(rule, arrays[0][0].dtype)
    p, g = ([gs.zeros(a.shape, a.dtype) for a in given] for given in arrays)
    for placed, a in zip(p + g, arrays[0] + arrays[1]):
        np.copyto(placed, a)
    return steps(name, {"stir": STIR}, p, g)


def step_numpy(shapes: Shapes, *, in_place: bool) -> Step:
    """Step by Adam as people write it: with temporaries, or in buffers of its own."""
    params, grads = contents(shapes, "float32")
    write = adam_in_place if in_place else adam_textbook
    calls = [write(p.copy(), g.copy()) for p, g in zip(params, grads)]

    def step() -> None:
        for call in calls:
            call()

    return step


def adam_textbook(p: Array, g: Array) -> Callable[[], None]:
    """Return a step with an array for every intermediate result."""
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0

    def step() -> None:
        nonlocal m, v, t, p
        t += 1
        m = B1 * m + (1 - B1) * g
        v = B2 * v + (1 - B2) * g**2
        p -= LR * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)

    return step


def adam_in_place(p: Array, g: Array) -> Callable[[], None]:
    """Return a step in two buffers."""
    m, v, a, b = (np.zeros_like(p) for _ in range(4))
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        np.multiply(m, B1, out=m)
        np.add(m, np.multiply(g, 1 - B1, out=a), out=m)
        np.multiply(v, B2, out=v)
        np.multiply(np.multiply(g, g, out=a), 1 - B2, out=a)
        np.add(v, a, out=v)
        np.sqrt(np.multiply(v, 1 / (1 - B2**t), out=a), out=a)
        np.add(a, EPS, out=a)
        np.divide(np.multiply(m, LR / (1 - B1**t), out=b), a, out=b)
        np.subtract(p, b, out=p)

    return step


def ours(rule: str, shapes: Shapes, word: str, name: str = "gradstep") -> Contestant:
    """Return gradstep as a contestant."""
    return Contestant(name, functools.partial(step_gradstep, rule, shapes, word))


def traffic(rule: str, shapes: Shapes, word: str) -> Contestant:
    """Return the roofline as a contestant."""
    return Contestant("traffic", functools.partial(step_traffic, rule, shapes, word))
