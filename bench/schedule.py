"""What a scheduler adds to a training loop, in microseconds for each group.

usage: python bench/schedule.py [--rounds N] [--groups N ...]

Two loops take turns: steps of Adam on 8 floats alone, and the same with a scheduler's
step after each. torch's schedulers are timed beside, on torch's fused Adam.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gradstep as gs

try:
    import torch
except ImportError:
    torch = None

STEPS = 2000
FAR = 10**6

Make = Callable[[Any, Any], Any]
# By name: from a module of schedulers and an optimizer, a scheduler.
OURS_TOO: dict[str, Make] = {
    "StepLR": lambda m, o: m.StepLR(o, 30),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.99999),
    "LinearLR": lambda m, o: m.LinearLR(o, total_iters=FAR),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, FAR, 2.5),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, FAR),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 99, 2),
    "OneCycleLR without momentum": lambda m, o: m.OneCycleLR(
        o, 0.1, FAR, cycle_momentum=False
    ),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 0.1, FAR),
    "CyclicLR without momentum": lambda m, o: m.CyclicLR(
        o, 0.1, 0.2, cycle_momentum=False
    ),
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda t: 1 / (1 + t)),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o), m.ExponentialLR(o, 0.99999)]
    ),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o), m.CosineAnnealingLR(o, FAR)], [100]
    ),
}
ONLY_OURS: dict[str, Make] = {
    "InverseSqrtLR": lambda m, o: m.InverseSqrtLR(o, 100),
    "WarmupStableDecayLR": lambda m, o: m.WarmupStableDecayLR(o, 10, 10, FAR),
    "WarmupLR": lambda m, o: m.WarmupLR(o, m.CosineAnnealingLR(o, FAR), 100),
}


def gradstep_steps(groups: int) -> tuple[Any, Callable[[], object]]:
    """Return an optimizer and a call that steps it."""
    arrays = [np.ones(8, np.float32) for _ in range(groups)]
    opt = gs.Adam([{"params": a} for a in arrays])
    grads = [np.ones(8, np.float32) for _ in arrays]
    return opt, lambda: opt.step(grads)


def torch_steps(groups: int) -> tuple[Any, Callable[[], object]]:
    """Return torch's optimizer and a call that steps it."""
    tensors = [torch.ones(8) for _ in range(groups)]
    for tensor in tensors:
        tensor.grad = torch.ones(8)
    opt = torch.optim.Adam([{"params": [x]} for x in tensors], fused=True)
    return opt, opt.step


def seconds(step: Callable[[], object], schedule: Callable[[], object] | None) -> float:
    """Time one turn of the loop."""
    begin = time.perf_counter()
    if schedule is None:
        for _ in range(STEPS):
            step()
    else:
        for _ in range(STEPS):
            step()
            schedule()
    return (time.perf_counter() - begin) / STEPS


def added(
    steps: Callable[[int], tuple[Any, Callable[[], object]]],
    module: Any,
    make: Make,
    groups: int,
    rounds: int,
) -> float:
    """Return the microseconds that a scheduler adds for each group."""
    _, bare = steps(groups)
    opt, step = steps(groups)
    step()
    scheduler = make(module, opt)
    step()
    pairs = [
        (seconds(step, scheduler.step), seconds(bare, None)) for _ in range(rounds)
    ]
    return statistics.median(a - b for a, b in pairs) / groups * 1e6


def main() -> None:
    """Print a line for each scheduler and number of groups."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 8])
    chosen = parser.parse_args()
    version = "not here" if torch is None else torch.__version__
    print(f"us for each group and step; {gs.isa()}, torch {version}")
    print(f"  {'scheduler':32} {'groups':>6} {'gradstep':>9} {'torch':>7}")
    for name, make in (OURS_TOO | ONLY_OURS).items():
        for n in chosen.groups:
            ours = added(gradstep_steps, gs.lr_scheduler, make, n, chosen.rounds)
            theirs = "-"
            if torch is not None and name in OURS_TOO:
                module = torch.optim.lr_scheduler
                found = added(torch_steps, module, make, n, chosen.rounds)
                theirs = f"{found:.2f}"
            print(f"  {name:32} {n:6} {ours:9.2f} {theirs:>7}", flush=True)


if __name__ == "__main__":
    main()
