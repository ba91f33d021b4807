"""`python -m gradstep demo`: the tutorial's fit, and the speed of every rule."""

import functools
from statistics import median

import numpy as np

from gradstep import _core, lls
from gradstep.datasets import wdbc
from gradstep.optimizer import OPTIMIZERS
from gradstep.optimizers import SGD
from gradstep.roofline import bytes_moved, interleaved, steps, traffic
from gradstep.structure import Array
from gradstep.threads import get_num_threads

EPOCHS = 10
ELEMENTS = 1 << 23


def standardised(a: Array) -> Array:
    """Shift and scale each column to mean 0 and standard deviation 1."""
    return np.asarray((a - a.mean(axis=0)) / a.std(axis=0))


def fit() -> None:
    """Fit the perimeter of cell nuclei by their radius and area, epoch by epoch."""
    X, y = (standardised(a) for a in wdbc())
    exact = lls.solve(X, y).coef
    print(f"mean perimeter ~ mean radius, mean area; {len(X)} rows, batches of 10\n")
    print("epoch   w[radius]    w[area]     |Xw - y|^2")

    def row(label: object, w: Array) -> None:
        loss = float(((X @ w - y) ** 2).sum())
        print(f"{label:>5}  {w[0, 0]:10.8f}  {w[1, 0]:10.8f}  {loss:12.6f}")

    lls.fit(
        X,
        y,
        optimizer=functools.partial(SGD, lr=1e-3),
        batch_size=10,
        epochs=EPOCHS,
        # The tutorial starts the generator afresh in each epoch.
        order=lambda _: np.random.RandomState(0).permutation(len(X)),
        callback=lambda at: row(at.epoch, at.coef),
    )
    row("exact", exact)


def throughput() -> None:
    """Print how fast each rule runs, beside a step that only moves the same bytes."""
    print(
        f"\none step of {ELEMENTS:,} float32 elements, {get_num_threads()} threads\n\n"
        f"{'rule':>33}  {'ms':>6}  {'GB/s':>6}  of traffic"
    )
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(ELEMENTS, np.float32) for _ in range(2))
    for kind in OPTIMIZERS.values():
        for rule in kind.rules:
            states = len(_core.find(rule, "f32").state)
            calls = {
                "step": steps(rule, kind.numbers(kind.checked({})), [p], [g]),
                "traffic": traffic(states, [p], [g]),
            }
            times = interleaved(calls, rounds=15)
            pairs = zip(times["traffic"], times["step"], strict=True)
            seconds = median(times["step"])
            rate = bytes_moved(states, ELEMENTS, p.dtype) / seconds / 1e9
            ratio = median(a / b for a, b in pairs)
            print(f"{rule:>33}  {seconds * 1e3:6.2f}  {rate:6.1f}  {ratio:9.0%}")


def main() -> None:
    """Run both parts."""
    fit()
    throughput()
