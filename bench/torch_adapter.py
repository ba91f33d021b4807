"""One step of `gradstep.torch` beside torch's own optimizers and the authors'.

    python bench/torch_adapter.py            # all that was asked: some minutes
    python bench/torch_adapter.py --quick    # 2^20 elements, no GPT-2
    python bench/torch_adapter.py --sections models small --fresh

Both step tensors that torch has allocated. Only ratios within one run mean anything:
each round times every contestant once, in turns. README.md says how to read the tables.
`--fresh` gives each step other gradient tensors than the one before, as after
``zero_grad(set_to_none=True)``; assigning them is part of everybody's time.
"""

import argparse
import gc
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from cases import FEWEST, QUARTILES, in_turns
from contestants import PEERS, Step, present, tensors
from every import DISTURBED
from rules import RULES, in_build
from step import machine, tell, versions

import gradstep as gs
import gradstep.torch as gst

ROUNDS = 15
FLOAT = np.dtype(np.float32)
Shapes = list[tuple[int, ...]]

# Asked: how many times gradstep's time a contestant has to take.
FUSED_LARGE = 1.0  # of one tensor: no slower
FUSED_MODEL = 1.1
FUSED_MANY = 5.0
FUSED_SMALL = 1.0
FOREACH = 4.0

# torch has a fused step for these on the CPU; of all others the fastest peer counts.
FUSED_RULES = ("adam", "adamw", "sgd_momentum", "adagrad")
FUSED, LISTS = "torch fused", "torch foreach"
SECTIONS = {
    "fused": "one large tensor, beside torch fused",
    "others": "one large tensor, beside the fastest of torch foreach and packages",
    "models": "the parameters of real models",
    "small": "many small tensors, and one",
}


class Job(NamedTuple):
    """A case to measure; asked is by contestant, or of the fastest if that is None."""

    section: str
    case: str
    shapes: Shapes
    rule: str
    asked: dict[str | None, float]


def resnet18() -> Shapes:
    """Return the shapes of the 62 parameters of ResNet-18."""

    def conv(out: int, inputs: int, size: int) -> Shapes:
        return [(out, inputs, size, size), (out,), (out,)]  # and its batch norm

    shapes, inputs = conv(64, 3, 7), 64
    for width, block in itertools.product((64, 128, 256, 512), range(2)):
        shapes += conv(width, inputs, 3) + conv(width, width, 3)
        if block == 0 and width != inputs:
            shapes += conv(width, inputs, 1)
        inputs = width
    return [*shapes, (1000, 512), (1000,)]


def gpt2() -> Shapes:
    """Return the shapes of the 148 parameters of GPT-2 small."""
    d = 768
    norm: Shapes = [(d,), (d,)]
    attention: Shapes = [(d, 3 * d), (3 * d,), (d, d), (d,)]
    perceptron: Shapes = [(d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    block = norm + attention + norm + perceptron
    return [(50257, d), (1024, d), *block * 12, *norm]


def jobs(*, quick: bool) -> Iterator[Job]:
    """Return what there is to measure."""
    name = "2^20" if quick else "2^24"
    large: Shapes = [(2 ** int(name[2:]),)]
    for rule in FUSED_RULES:
        yield Job("fused", name, large, rule, {FUSED: FUSED_LARGE})
    for rule in in_build(two_pass=False) + in_build(two_pass=True):
        if rule in RULES and rule not in FUSED_RULES:
            yield Job("others", name, large, rule, {None: FOREACH})
    both: dict[str | None, float] = {FUSED: FUSED_MODEL, LISTS: FOREACH}
    yield Job("models", "ResNet-18", resnet18(), "adamw", both)
    if not quick:
        yield Job("models", "GPT-2", gpt2(), "adamw", both)
    yield Job("small", "1000x1000", [(1000,)] * 1000, "adamw", {FUSED: FUSED_MANY})
    yield Job("small", "1000", [(1000,)], "adamw", {FUSED: FUSED_SMALL})


def step_ours(rule: str, params: Any, grads: Any) -> Step:
    """Step tensors by `gradstep.torch`."""
    kind, options = RULES[rule]
    made = getattr(gst, kind)(tensors(params, grads), **options)
    if hasattr(made, "train"):
        made.train()
    step: Step = made.step
    return step


def with_fresh(step: Any) -> Step:
    """Return a step that other gradient tensors precede, of two sets in turns."""
    made = step.__self__
    owned = [p for group in made.param_groups for p in group["params"]]
    sets = itertools.cycle(
        [[p.grad for p in owned], [p.grad.flip(0).contiguous() for p in owned]]
    )

    def call() -> None:
        for p, g in zip(owned, next(sets), strict=True):
            p.grad = g
        step()

    return call


def names_of(job: Job) -> list[str]:
    """Return the contestants of a case that are here, whatever was asked of them."""
    found, _ = present(job.rule, FLOAT)
    if None not in job.asked:
        return [name for name in found if name in (FUSED, LISTS)]
    return [n for n in found if n not in (FUSED, "DeepSpeed") and "for-loop" not in n]


def measure(job: Job, most: int, *, fresh: bool) -> dict[str, Any]:
    """Time ours and the contestants of one case in turns."""
    rng = np.random.default_rng(0)
    params, grads = (
        [rng.standard_normal(shape, FLOAT.type) for shape in job.shapes] for _ in "pg"
    )
    makers: dict[str, Callable[..., Step]] = {"gradstep": step_ours}
    makers |= {name: PEERS[name] for name in names_of(job)}
    calls = {name: make(job.rule, params, grads) for name, make in makers.items()}
    if fresh:
        calls = {name: with_fresh(call) for name, call in calls.items()}
    times, _, elsewhere = in_turns(calls, most)
    ours = np.array(times.pop("gradstep"))
    return {
        "section": job.section,
        "case": job.case,
        "rule": job.rule,
        "elements": sum(map(math.prod, job.shapes)),
        "tensors": len(job.shapes),
        "seconds": {"gradstep": ours.tolist(), **times},
        "ratio": {
            name: np.quantile(np.array(t) / ours, QUARTILES).tolist()
            for name, t in times.items()
        },
        "others": elsewhere,
        "asked": asked_of(job, {k: float(np.median(t)) for k, t in times.items()}),
    }


def asked_of(job: Job, seconds: dict[str, float]) -> dict[str, float]:
    """Return what is asked, by contestant: None is the fastest."""
    if None not in job.asked:
        return {str(name): value for name, value in job.asked.items()}
    if not seconds:
        return {}
    return {min(seconds, key=lambda name: seconds[name]): job.asked[None]}


def holds(row: dict[str, Any], name: str) -> bool:
    """Return whether a contestant takes as many times ours as was asked."""
    found = row["ratio"].get(name)
    return found is not None and found[1] >= row["asked"][name]


def lines(row: dict[str, Any]) -> Iterator[str]:
    """Return the rows of the table, one for each contestant."""
    milliseconds = np.median(row["seconds"]["gradstep"]) * 1e3
    head = f"  {row['rule']:28} {row['case']:>9} {milliseconds:8.3f}"
    loud = f" (others used {row['others']:.2f} CPUs)" * (row["others"] > DISTURBED)
    if not row["ratio"] and not row["asked"]:
        yield f"{head}  no peer is here"
    for name in dict.fromkeys([*row["asked"], *row["ratio"]]):
        asked = row["asked"].get(name)
        word, verdict = "-", ""
        if asked is not None:
            word = f">= {asked:g}"
            verdict = "holds" if holds(row, name) else "MISSED"
        measured = "not measured"
        if name in row["ratio"]:
            low, middle, high = row["ratio"][name]
            measured = f"{middle:6.3f} [{low:.3f}, {high:.3f}]"
        text = f"{head}  {name:18} {word:>7} / {measured}  {verdict}{loud}"
        yield text.rstrip()


def table(rows: list[dict[str, Any]]) -> None:
    """Print what was asked beside what was measured."""
    for section, title in SECTIONS.items():
        chosen = [row for row in rows if row["section"] == section]
        if chosen:
            print(
                f"\n{title}\n  {'rule':28} {'case':>9} {'ms':>8}  {'beside':18}", end=""
            )
            print("   asked / ratio to gradstep [quartiles]")
        for line in itertools.chain.from_iterable(map(lines, chosen)):
            print(line)
    verdicts = [holds(row, name) for row in rows for name in row["asked"]]
    print(f"\n{sum(verdicts)} of {len(verdicts)} hold")


def flags() -> dict[str, str]:
    """Return what each peer is called with, beside its version."""
    return {
        f"{name}, as": ", ".join(f"{k}={v}" for k, v in make.keywords.items())
        for name, make in PEERS.items()
        if "for-loop" not in name and name != "DeepSpeed"
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time one step of gradstep.torch.")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=[*SECTIONS])
    parser.add_argument("--rules", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--threads", type=int, default=gs.get_num_threads())
    parser.add_argument("--rounds", type=int, help=f"at most; default {ROUNDS}")
    parser.add_argument(
        "--fresh", action="store_true", help="other gradients each step"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all timings")
    parser.add_argument("--quick", action="store_true", help="few rounds, small cases")
    return parser.parse_args()


def main() -> None:
    """Measure, print, save."""
    chosen = arguments()
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    gs.set_num_threads(chosen.threads)
    torch.set_num_threads(chosen.threads)
    facts = machine() | versions() | flags()
    facts["gradients"] = "others in each step" if chosen.fresh else "the same tensors"
    tell(facts)
    rounds = chosen.rounds or (FEWEST if chosen.quick else ROUNDS)
    gc.disable()  # as timeit does: a collection would hit one contestant by chance
    rows = []
    for job in jobs(quick=chosen.quick):
        wanted = not chosen.rules or job.rule in chosen.rules
        if job.section in chosen.sections and wanted:
            rows.append(measure(job, rounds, fresh=chosen.fresh))
            gc.collect()  # the tensors of this case
            print(*lines(rows[-1]), sep="\n", file=sys.stderr)
    table(rows)
    if chosen.json:
        chosen.json.write_text(json.dumps({"facts": facts, "cases": rows}, indent=1))


if __name__ == "__main__":
    main()
