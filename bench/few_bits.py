"""What fewer bits, clipping and zeros cost: steps beside plain ones of float32.

    python bench/few_bits.py            # 2 minutes
    python bench/few_bits.py --quick    # 2^20 elements in place of 2^24 and 2^26

Each row is a time, and its ratio to the plain step of the same run, in turns: below 1
it takes longer than that. `bytes` are those of parameter, states and what is beside.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import in_turns, sizes
from step import machine, tell, versions

import gradstep as gs

ROUNDS = 25
CLIPPED = 1.25  # times a plain step: asked at most
STEPS_OF_ZEROS = 200_000
QUARTILES = (0.25, 0.5, 0.75)
Step = Callable[[], object]

STORAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "float32": ("f4", {}),
    "bfloat16": ("bf16", {}),
    "bfloat16, stochastic": ("bf16", {"rounding": "stochastic"}),
    "bfloat16, master": ("bf16", {"master": "float32"}),
    "bfloat16, split": ("bf16", {"master": "split"}),
    "float16": ("f2", {}),
    "float32, bfloat16 states": ("f4", {"state_dtype": "bfloat16"}),
    "float32, uint8 states": ("f4", {"state_dtype": "uint8"}),
    "bfloat16 split, uint8 states": (
        "bf16",
        {"master": "split", "state_dtype": "uint8"},
    ),
}


def numbers(case: str, kind: str, seed: int) -> list[Any]:
    """Return arrays where steps are fastest."""
    rng, found = np.random.default_rng(seed), []
    for n in sizes(case):
        x = rng.standard_normal(n, np.float32)
        a = gs.empty(n, gs.bfloat16 if kind == "bf16" else kind)
        a[...] = gs.to_bfloat16(x) if kind == "bf16" else x
        found.append(a)
    return found


def adamw(case: str, kind: str, grad: str, **options: Any) -> tuple[Any, list[Any]]:
    """Return an optimizer, and gradients for it."""
    return gs.AdamW(numbers(case, kind, 1), **options), numbers(case, grad, 2)


def bytes_of(opt: gs.Optimizer) -> float:
    """Return how many bytes are kept for each element."""
    params = opt.param_groups[0]["params"]
    kept = [a for s in opt.state for a in s.values() if isinstance(a, np.ndarray)]
    return sum(a.nbytes for a in (*params, *kept)) / sum(p.size for p in params)


def compare(title: str, calls: dict[str, Step], notes: dict[str, str]) -> None:
    """Time calls in turns, and print each beside the first."""
    times, _, elsewhere = in_turns(calls, ROUNDS)
    first = np.array(times[next(iter(times))])
    busy = f"  (others used {elsewhere:.2f} CPUs)" if elsewhere > 0.1 else ""
    print(f"\n{title}{busy}")
    for name, found in times.items():
        low, middle, high = np.quantile(first / np.array(found), QUARTILES)
        print(
            f"  {name:30}{np.median(found) * 1e3:10.3f} ms  x {middle:.3f} "
            f"[{low:.3f}, {high:.3f}]  {notes.get(name, '')}"
        )


def clipping(case: str) -> None:
    """Time a step with a norm, and torch's two calls if torch is here."""
    opt, grads = adamw(case, "f4", "f4")
    calls: dict[str, Step] = {
        "plain": lambda: opt.step(grads),
        "clip_norm": lambda: opt.step(grads, clip_norm=1.0),
        "nonfinite='skip'": lambda: opt.step(grads, nonfinite="skip"),
    }
    try:
        import torch  # noqa: PLC0415  # optional
    except ImportError:
        print("torch: ABSENT")
    else:
        params = [torch.from_numpy(p.copy()) for p in numbers(case, "f4", 1)]
        for p, g in zip(params, grads, strict=True):
            p.grad = torch.from_numpy(g.copy())
        fused = torch.optim.AdamW(params, fused=True)

        def both() -> None:
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            fused.step()

        calls["torch: clip_grad_norm_, fused"] = both
    asked = f"asked: at least x {1 / CLIPPED:.3f}"
    compare(f"clipping, {case}", calls, {"clip_norm": asked})


def gradients(case: str, threads: int) -> None:
    """Time gradients in two bytes beside those in four."""
    gs.set_num_threads(threads)
    calls: dict[str, Step] = {}
    for name, kind in (("float32", "f4"), ("bfloat16", "bf16"), ("float16", "f2")):
        opt, grads = adamw(case, "f4", kind)
        calls[name] = lambda opt=opt, grads=grads: opt.step(grads)
    title = f"gradients of float32 parameters, {case}, {threads} threads"
    compare(title, calls, {"bfloat16": "asked: at least x 1"})
    gs.set_num_threads(None)


def storages(case: str) -> None:
    """Time what parameters and states are kept in."""
    calls: dict[str, Step] = {}
    notes = {}
    for name, (kind, options) in STORAGES.items():
        opt, grads = adamw(case, kind, kind, **options)
        calls[name] = lambda opt=opt, grads=grads: opt.step(grads)
        notes[name] = f"{bytes_of(opt):.2f} bytes"
    compare(f"storage, {case}", calls, notes)


def zeros() -> None:
    """Time steps of zeros before and after states have gone to 0."""
    w = np.ones(10_000, np.float32)
    opt, still = gs.Adam(w), np.zeros_like(w)
    opt.step(np.linspace(-1, 1, w.size, dtype=np.float32))

    def some(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            opt.step(still)
        return (time.perf_counter() - start) / n * 1e6

    parts = [some(1000) for _ in range(STEPS_OF_ZEROS // 1000)]
    print(f"\nAdam on 10,000 elements, {STEPS_OF_ZEROS} steps of zeros, by thousands")
    low, middle, high = np.quantile(parts, QUARTILES)
    print(
        f"  first {parts[0]:.2f} us, median {middle:.2f} [{low:.2f}, {high:.2f}], last "
        f"{parts[-1]:.2f}"
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    tell(machine())
    tell(versions())
    large, larger = ("2^20", "2^20") if quick else ("2^24", "2^26")
    clipping(large)
    clipping("1000x1000")
    for threads in dict.fromkeys((1, gs.get_num_threads())):
        gradients(larger, threads)
    storages(large)
    zeros()


if __name__ == "__main__":
    main()
