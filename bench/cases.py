"""One case: all contestants timed in turns, and the table of what came out."""

import functools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from contestants import PEERS, Arrays, Maker, Step, step_gradstep, step_traffic
from rules import DType, bytes_each

import gradstep as gs
from gradstep.roofline import interleaved

Result = dict[str, Any]
Times = dict[str, list[float]]

WARM_UP = 3  # steps: peers allocate their states in the first
SHORTEST = 2e-3  # seconds of one timing, far above what the clock resolves
FEWEST = 7  # rounds, below which quartiles say nothing
BUDGET = 40.0  # seconds of a case; slow ones get fewer rounds

QUARTILES = (0.25, 0.5, 0.75)


def sizes(case: str) -> list[int]:
    """Read ``"1000"``, ``"2^20"`` or ``"1000x1000"`` (arrays x elements of each)."""
    count, _, size = case.rpartition("x")
    base, _, exponent = size.partition("^")
    return [int(base) ** int(exponent or 1)] * int(count or 1)


@functools.lru_cache(maxsize=1)
def contents(case: str, dtype: DType) -> tuple[Arrays, Arrays]:
    """Return parameters and gradients, which each contestant copies."""
    rng, shape = np.random.default_rng(0), sizes(case)
    params, grads = ([rng.standard_normal(n, dtype.type) for n in shape] for _ in "pg")
    return params, grads


def repeats(calls: dict[str, Step]) -> tuple[int, int]:
    """Return how many steps make a timing long enough, and rounds within the budget."""
    trial = {name: min(t) for name, t in interleaved(calls, rounds=2).items()}
    fastest = {"": calls[min(trial, key=lambda name: trial[name])]}
    repeat = 1
    while min(interleaved(fastest, rounds=3, repeat=repeat)[""]) * repeat < SHORTEST:
        repeat *= 2
    return repeat, max(FEWEST, int(BUDGET / (repeat * sum(trial.values()))))


def others() -> float:
    """Return the seconds of CPU that went elsewhere since the machine started."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _, _, _, _, stolen, *_ = map(int, line.split()[1:])
    busy = (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def in_turns(calls: dict[str, Step], most: int) -> tuple[Times, int, float]:
    """Time all contestants in turns, when their states are warm.

    Returns the times of each, the steps of a timing, and how many CPUs others used.
    """
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    repeat, affordable = repeats(calls)
    start, before = time.perf_counter(), others()
    times = interleaved(calls, rounds=min(most, affordable), repeat=repeat)
    elsewhere = max(0.0, others() - before) / (time.perf_counter() - start)
    return times, repeat, elsewhere


def measure(case: str, rule: str, dtype: DType, names: list[str], most: int) -> Result:
    """Time gradstep and the contestants of one case in turns."""
    params, grads = contents(case, dtype)
    makers: dict[str, Maker] = {"gradstep": step_gradstep, "traffic": step_traffic}
    makers |= PEERS
    calls = {name: makers[name](rule, params, grads) for name in ("gradstep", *names)}
    times, repeat, elsewhere = in_turns(calls, most)
    ours = np.array(times["gradstep"])
    ratio = {k: np.quantile(np.array(t) / ours, QUARTILES) for k, t in times.items()}
    return {
        "rule": rule,
        "case": case,
        "threads": gs.get_num_threads(),
        "repeat": repeat,
        "others": elsewhere,
        "bytes": bytes_each(rule, dtype) * sum(sizes(case)),
        "seconds": times,
        "ratio": {name: quartiles.tolist() for name, quartiles in ratio.items()},
    }


def show(case: Result) -> None:
    """Print the table of one case."""
    print(
        f"\n{case['case']}: {len(case['seconds']['gradstep'])} rounds of "
        f"{case['repeat']} steps; others used {case['others']:.2f} CPUs\n"
        f"  {'':14}  {'time, us':>10}  {'GB/s':>7}  ratio to gradstep [quartiles]"
    )
    for name, times in case["seconds"].items():
        seconds = float(np.median(times))
        low, middle, high = case["ratio"][name]
        print(
            f"  {name:14}  {seconds * 1e6:10.5g}  {case['bytes'] / seconds / 1e9:7.3g}"
            f"  {middle:7.3f}  [{low:.3f}, {high:.3f}]"
        )
