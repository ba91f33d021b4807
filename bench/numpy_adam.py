"""Adam as people write it in NumPy, beside gradstep.Adam, on one array.

usage: python bench/numpy_adam.py [ELEMENTS ...]

`textbook` follows the formula; `in place` is what is left after its temporaries went
into buffers that are kept. Both use one thread, gradstep all that it is given.
"""

import sys
from collections.abc import Callable
from statistics import median

import numpy as np

import gradstep as gs
from gradstep.roofline import interleaved
from gradstep.structure import Array

LR, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8


def textbook(p: Array, g: Array) -> Callable[[], None]:
    """Return a call that takes a step with an array for every intermediate result."""
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0

    def step() -> None:
        nonlocal m, v, t, p
        t += 1
        m = B1 * m + (1 - B1) * g
        v = B2 * v + (1 - B2) * g**2
        p -= LR * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)

    return step


def in_place(p: Array, g: Array) -> Callable[[], None]:
    """Return a call that takes a step in two buffers."""
    m, v, a, b, t = *(np.zeros_like(p) for _ in range(4)), 0

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


def main() -> None:
    """Print times, and ratios within each round."""
    for n in [int(a) for a in sys.argv[1:]] or [1000, 100_000, 10_000_000]:
        rng = np.random.default_rng(0)
        p, g = (rng.standard_normal(n, np.float32) for _ in range(2))
        optimizer, threads = gs.Adam(p.copy(), lr=LR), gs.get_num_threads()
        calls: dict[str, Callable[[], None]] = {
            f"gradstep, {threads} threads": lambda o=optimizer, g=g: o.step(g),
            "NumPy, in place": in_place(p.copy(), g),
            "NumPy, textbook": textbook(p.copy(), g),
        }
        times = interleaved(calls, rounds=11, repeat=max(1, 1_000_000 // n))
        ours = next(iter(times.values()))
        print(f"{n:,} float32 elements")
        for name, seconds in times.items():
            ratio = median(a / b for a, b in zip(seconds, ours, strict=True))
            print(f"{name:>20}: {median(seconds) * 1e6:10.1f} us, {ratio:5.1f} x")


if __name__ == "__main__":
    main()
