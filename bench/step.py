"""One step of an optimizer, beside what memory allows and beside its peers.

    python bench/step.py --rule adamw --cases 1 2^24 1000x1000 --threads 1
    python bench/step.py --rules all

Only ratios within one run mean anything: each round times every contestant once, in
turns, and a ratio is taken within its round. README.md says how to read the tables.
"""

import argparse
import gc
import json
import os
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

import every
import numpy as np
from cases import FEWEST, Result, measure, show
from contestants import PACKAGES, present
from rules import RULES, DType

import gradstep as gs

ROUNDS = 25

CASES = ("1", "2^10", "2^16", "2^20", "2^24", "2^26", "1000x1000")
QUICK = ("1", "2^16", "2^22", "1000x1000")

# Asked of Adam in float32: how many times gradstep's time a contestant has to take.
LARGE = {"traffic": 0.95, "torch fused": 1.0, "DeepSpeed": 1.0}
TARGETS = {
    **{(case, name): r for case in ("2^24", "2^26") for name, r in LARGE.items()},
    ("2^16", "torch fused"): 2.5,
    ("1000x1000", "torch fused"): 10.0,
    ("1", "torch fused"): 15.0,
}


def machine() -> dict[str, str]:
    """Return what all figures depend on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    built = ", ".join(f"{k} {v}" for k, v in gs.build_config().items())
    return {
        "machine": f"{cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} CPUs",
        "huge pages": huge.read_text().strip() if huge.exists() else "unknown",
        "gradstep": f"isa {gs.isa()}, {gs.get_num_threads()} threads; {built}",
    }


def header(rule: str, dtype: DType) -> dict[str, str]:
    """Return what the figures of a rule depend on; the peers have been imported."""
    facts = machine()
    facts["step"] = f"{rule} {dtype.name}: {RULES[rule][0]} {RULES[rule][1]}"
    for name in ("numpy", "torch", "deepspeed"):
        facts[name] = getattr(sys.modules.get(name), "__version__", "ABSENT")
    if "deepspeed.ops.op_builder" in sys.modules:
        builder = sys.modules["deepspeed.ops.op_builder"].CPUAdamBuilder()
        mode = f"adamw_mode={RULES[rule][0] == 'AdamW'}, compiled with"
        facts["deepspeed"] = " ".join((facts["deepspeed"], mode, *builder.cxx_args()))
    return facts


def versions() -> dict[str, str]:
    """Return the versions of the packages that `every` compares with."""
    found = {}
    for name in ("numpy", "torch", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "ABSENT"
    return found


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


def tell(facts: dict[str, str]) -> None:
    """Print facts."""
    for name, fact in facts.items():
        print(f"{name:>14}: {fact}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time one optimizer step.")
    parser.add_argument("--rule", choices=RULES, default="adam")
    parser.add_argument("--rules", nargs="+", metavar="NAME", help="all, or these")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=gs.get_num_threads())
    parser.add_argument("--cases", nargs="+", metavar="N", help="1000, 2^20, 1000x1000")
    parser.add_argument("--rounds", type=int, help=f"at most; default {ROUNDS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all timings")
    parser.add_argument("--quick", action="store_true", help="few rounds, small cases")
    return parser.parse_args()


def one_rule(chosen: argparse.Namespace, dtype: DType, rounds: int) -> dict[str, Any]:
    """Time a rule in cases of many sizes, beside all of its peers."""
    gs.set_num_threads(chosen.threads)
    found, peers = present(chosen.rule, dtype)
    facts = header(chosen.rule, dtype) | peers
    tell(facts)
    cases = []
    for case in chosen.cases or (QUICK if chosen.quick else CASES):
        cases.append(measure(case, chosen.rule, dtype, ["traffic", *found], rounds))
        show(cases[-1])
        gc.collect()  # the arrays of this case
    if (chosen.rule, chosen.dtype) == ("adam", "float32"):
        targets(cases)
    return {"facts": facts, "cases": cases}


def many_rules(chosen: argparse.Namespace, dtype: DType, rounds: int) -> dict[str, Any]:
    """Time many rules in the cases of which something was asked."""
    facts = machine() | versions()
    tell(facts)
    tries = 1 if chosen.quick else every.TRIES
    rows = every.run(chosen.rules, dtype, rounds, tries=tries)
    every.table(rows)
    return {"facts": facts, "cases": rows}


def main() -> None:
    """Measure, print, save."""
    chosen = arguments()
    # For DeepSpeed, if the OpenMP library that it loads is not the one in use already.
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)
    os.environ.setdefault(
        "DS_ACCELERATOR", "cpu"
    )  # else it looks for others, and warns
    # It runs `ninja`, which may be installed beside this very Python.
    os.environ["PATH"] += os.pathsep + sysconfig.get_path("scripts")
    rounds = chosen.rounds or (FEWEST if chosen.quick else ROUNDS)
    gc.disable()  # as timeit does: a collection would hit one contestant by chance
    run = many_rules if chosen.rules else one_rule
    results = run(chosen, np.dtype(chosen.dtype), rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
