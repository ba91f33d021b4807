"""One step of an optimizer, beside what memory allows and beside its peers.

    python bench/step.py --rule adamw --cases 1 2^24 1000x1000 --threads 1

Only ratios within one run mean anything: each round times every contestant once, in
turns, and a ratio is taken within its round. README.md says how to read the tables.
"""

import argparse
import functools
import gc
import importlib
import inspect
import json
import os
import re
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep import _core
from gradstep.optimizer import DTYPE_WORDS
from gradstep.roofline import bytes_moved, interleaved, traffic
from gradstep.structure import Array

Step = Callable[[], object]
Arrays = list[Array]
DType = np.dtype[Any]
Result = dict[str, Any]

WARM_UP = 3  # steps: peers allocate their states in the first
SHORTEST = 2e-3  # seconds of one timing, far above what the clock resolves
ROUNDS = 25
FEWEST = 7  # rounds, below which quartiles say nothing
BUDGET = 40.0  # seconds of a case; slow ones get fewer rounds

CASES = ("1", "2^10", "2^16", "2^20", "2^24", "2^26", "1000x1000")
QUICK = ("1", "2^16", "2^22", "1000x1000")
QUARTILES = (0.25, 0.5, 0.75)

ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
# C's name of a rule: the class and its options, here and in peers. These are torch's
# defaults: where a decay is 0 peers leave it out, and gradstep computes it even so.
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("Adam", ADAM),
    "adamw": ("AdamW", ADAM | {"weight_decay": 1e-2}),
    "adam_amsgrad": ("Adam", ADAM | {"amsgrad": True}),
    "sgd": ("SGD", {"lr": 1e-3}),
    "sgd_momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 1e-3, "momentum": 0.9, "nesterov": True}),
    "adadelta": ("Adadelta", {"lr": 1.0}),
    "adagrad": ("Adagrad", {"lr": 1e-2}),
    "adamax": ("Adamax", {"lr": 2e-3}),
    "rmsprop": ("RMSprop", {"lr": 1e-2}),
    "rmsprop_centered": ("RMSprop", {"lr": 1e-2, "centered": True}),
    "rmsprop_momentum": ("RMSprop", {"lr": 1e-2, "momentum": 0.9}),
    "lion": ("Lion", {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}),
}

# Asked of Adam in float32: how many times gradstep's time a contestant has to take.
LARGE = {"traffic": 0.95, "torch fused": 1.0, "DeepSpeed": 1.0}
TARGETS = {
    **{(case, name): r for case in ("2^24", "2^26") for name, r in LARGE.items()},
    ("2^16", "torch fused"): 2.5,
    ("1000x1000", "torch fused"): 10.0,
    ("1", "torch fused"): 15.0,
}


def step_gradstep(rule: str, params: Arrays, grads: Arrays) -> Step:
    """Step NumPy's own arrays, as a user has them."""
    kind, options = RULES[rule]
    p, g = ([a.copy() for a in arrays] for arrays in (params, grads))
    alone = len(p) == 1
    optimizer = gs.OPTIMIZERS[kind](p[0] if alone else p, **options)
    return functools.partial(optimizer.step, g[0] if alone else g)


def step_traffic(rule: str, params: Arrays, grads: Arrays) -> Step:
    """Move the same bytes, in memory that is aligned as well as it can be."""
    return traffic(states_of(rule, params[0].dtype), params, grads)


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
    if any(flags[name] for name in flags.keys() - known.keys()):
        raise LookupError(f"torch.optim.{kind} has no {', '.join(flags)}")
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


# A peer returns a call that takes one step of its own copies.
PEERS: dict[str, functools.partial[Step]] = {
    "torch fused": functools.partial(step_torch, fused=True),
    "torch foreach": functools.partial(step_torch, foreach=True),
    "torch for-loop": functools.partial(step_torch, foreach=False, fused=False),
    "DeepSpeed": functools.partial(step_deepspeed, bias_correction=True),
}


def states_of(rule: str, dtype: DType) -> int:
    """Return how many state arrays a rule has for each parameter."""
    return len(_core.find(rule, DTYPE_WORDS[dtype]).state)


def sizes(case: str) -> list[int]:
    """Read ``"1000"``, ``"2^20"`` or ``"1000x1000"`` (arrays x elements of each)."""
    count, _, size = case.rpartition("x")
    base, _, exponent = size.partition("^")
    return [int(base) ** int(exponent or 1)] * int(count or 1)


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


def measure(case: str, rule: str, dtype: DType, peers: list[str], most: int) -> Result:
    """Time all contestants of one case in turns."""
    rng, shape = np.random.default_rng(0), sizes(case)
    params, grads = ([rng.standard_normal(n, dtype.type) for n in shape] for _ in "pg")
    makers = {"gradstep": step_gradstep, "traffic": step_traffic}
    makers |= {name: PEERS[name] for name in peers}
    calls = {name: make(rule, params, grads) for name, make in makers.items()}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    repeat, affordable = repeats(calls)
    start, before = time.perf_counter(), others()
    times = interleaved(calls, rounds=min(most, affordable), repeat=repeat)
    elsewhere = max(0.0, others() - before) / (time.perf_counter() - start)
    ours = np.array(times["gradstep"])
    ratio = {k: np.quantile(np.array(t) / ours, QUARTILES) for k, t in times.items()}
    return {
        "case": case,
        "repeat": repeat,
        "others": elsewhere,
        "bytes": bytes_moved(states_of(rule, dtype), sum(sizes(case)), dtype),
        "seconds": times,
        "ratio": {name: quartiles.tolist() for name, quartiles in ratio.items()},
    }


def present(rule: str, dtype: DType) -> tuple[list[str], dict[str, str]]:
    """Return the peers that can take this step; of all of them, flags or why not."""
    found: list[str] = []
    facts: dict[str, str] = {}
    one = [np.ones(1, dtype)]
    for name, make in PEERS.items():
        try:
            make(rule, one, one)()
            found.append(name)
            facts[name] = ", ".join(f"{k}={v}" for k, v in make.keywords.items())
        except (ImportError, AttributeError, LookupError, RuntimeError) as e:
            facts[name] = f"ABSENT: {type(e).__name__}: {str(e).splitlines()[0]}"
    return found, facts


def header(rule: str, dtype: DType) -> dict[str, str]:
    """Return what the figures depend on; the peers have been imported."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    built = ", ".join(f"{k} {v}" for k, v in gs.build_config().items())
    facts = {
        "machine": f"{cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} CPUs",
        "huge pages": huge.read_text().strip() if huge.exists() else "unknown",
        "gradstep": f"isa {gs.isa()}, {gs.get_num_threads()} threads; {built}",
        "step": f"{rule} {dtype.name}: {RULES[rule][0]} {RULES[rule][1]}",
    }
    for name in ("numpy", "torch", "deepspeed"):
        facts[name] = getattr(sys.modules.get(name), "__version__", "ABSENT")
    if "deepspeed.ops.op_builder" in sys.modules:
        builder = sys.modules["deepspeed.ops.op_builder"].CPUAdamBuilder()
        mode = f"adamw_mode={RULES[rule][0] == 'AdamW'}, compiled with"
        facts["deepspeed"] = " ".join((facts["deepspeed"], mode, *builder.cxx_args()))
    return facts


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


def targets(cases: list[Result]) -> None:
    """Print what was asked for beside what was measured."""
    print("\ntargets: ratio to gradstep, asked / measured")
    ratios = {(x["case"], name): r[1] for x in cases for name, r in x["ratio"].items()}
    for (case, name), asked in TARGETS.items():
        word = "not measured"
        if (case, name) in ratios:
            measured = ratios[case, name]
            word = f"{measured:.3f}  {'holds' if measured >= asked else 'MISSED'}"
        print(f"  {case:>9}  {name:11}  >= {asked:g} / {word}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time one optimizer step.")
    parser.add_argument("--rule", choices=RULES, default="adam")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=gs.get_num_threads())
    parser.add_argument("--cases", nargs="+", metavar="N", help="1000, 2^20, 1000x1000")
    parser.add_argument("--rounds", type=int, help=f"at most; default {ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all timings")
    parser.add_argument("--quick", action="store_true", help="few rounds, small cases")
    return parser.parse_args()


def main() -> None:
    """Measure, print, save."""
    chosen = arguments()
    gs.set_num_threads(chosen.threads)
    # For DeepSpeed, if the OpenMP library that it loads is not the one in use already.
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)
    os.environ.setdefault(
        "DS_ACCELERATOR", "cpu"
    )  # else it looks for others, and warns
    # It runs `ninja`, which may be installed beside this very Python.
    os.environ["PATH"] += os.pathsep + sysconfig.get_path("scripts")
    dtype = np.dtype(chosen.dtype)
    found, peers = present(chosen.rule, dtype)
    facts = header(chosen.rule, dtype) | peers
    for name, fact in facts.items():
        print(f"{name:>14}: {fact}")
    rounds = chosen.rounds or (FEWEST if chosen.quick else ROUNDS)
    gc.disable()  # as timeit does: a collection would hit one contestant by chance
    cases = []
    for case in chosen.cases or (QUICK if chosen.quick else CASES):
        cases.append(measure(case, chosen.rule, dtype, found, rounds))
        show(cases[-1])
        gc.collect()  # the arrays of this case
    if (chosen.rule, chosen.dtype) == ("adam", "float32"):
        targets(cases)
    if chosen.json:
        chosen.json.write_text(json.dumps({"facts": facts, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
