"""Arrays among canaries, and an optimizer of such: to see that nothing is written."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs

Array: TypeAlias = Any
f4, f8 = np.float32, np.float64
GUARD = 64


def guarded(a: Array, shift: int = 0) -> tuple[Array, Array]:
    """Copy `a` into the middle of a buffer of canaries; return the copy, the buffer."""
    buffer = np.full(a.nbytes + 2 * GUARD, 0xA5, np.uint8)
    start = GUARD - shift
    inside = buffer[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    inside[...] = a
    return inside, buffer


@contextmanager
def refused(exc: type | tuple[type, ...], *words: str) -> Iterator[None]:
    with pytest.raises(exc) as info:
        yield
    message = str(info.value.args[0])  # str() of a KeyError would quote it
    for word in words:
        assert re.search(word, message), f"{word!r} is not in {message!r}"


class Scene:
    """An optimizer that has taken one step, its arrays and gradients among canaries."""

    def __init__(self, kind: str, cls: type = gs.Adam, **options: Any) -> None:
        rng = np.random.default_rng(7)
        shapes = ((3, f4), ((2, 2), f8)) * 2
        made = [guarded(rng.standard_normal(n).astype(d)) for n, d in shapes]
        (self.a, self.b, self.ga, self.gb), self.buffers = zip(*made, strict=True)

        def arranged(a: Array, b: Array) -> Any:
            both = {"a": a, "b": b}
            kinds = {"list": [a, b], "dict": both, "groups": [[a], {"b": b}]}
            return kinds.get(kind, a)

        self.good, params = arranged(self.ga, self.gb), arranged(self.a, self.b)
        if kind == "groups":
            params = [{"params": params[0]}, {"params": params[1], "lr": 0.25}]
        self.opt = cls(params, **options)
        self.opt.step(self.good)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        before = self.image()
        yield
        assert self.image() == before

    def image(self) -> list[Any]:
        """Return all bytes that a refused call could have spoilt."""
        return [b.tobytes() for b in self.buffers] + [
            {k: bits(v) for k, v in s.items()} for s in self.opt.state
        ]

    def other(self, name: str) -> Array:
        return self.opt.state[1][name].ravel()


def bits(value: Any) -> Any:
    """Return an array's bytes, a number as it is."""
    return value.tobytes() if isinstance(value, np.ndarray) else value
