"""Every rule of the build beside memory, and some of them beside their fastest peer.

What was asked for stands here, and in the table that `table` prints.
"""

import functools
import gc
import sys
from collections.abc import Iterator

import numpy as np
from cases import Result, measure
from contestants import present
from rules import RULES, DType, bytes_each, in_build, roofline

import gradstep as gs

THREADS = (1, 2)
DISTURBED = 0.1  # CPUs that others used: the case is measured again
TRIES = 3

# Asked of steps of one pass: the share of the roofline that they reach.
SHARE = 0.92
# Cube roots take longer than their bytes. Threads share memory, not arithmetic.
CUBE_ROOT = {1: 0.55, 2: 0.85}
CUBE_ROOTS = ("madgrad", "madgrad_dual", "mirror_madgrad")

# Asked of these: how many times gradstep's time their fastest peer takes.
PEERED = ("adabelief", "madgrad", "adan", "rmsprop", "nadam", "schedulefree_adamw")
LARGE, MANY = 4.0, 20.0
MANY_CASE = "1000x1000"

HEAD = f"  {'rule':32}  {'case':>9} threads    ms  {'beside':26}    asked / measured"


def quietest(measured: functools.partial[Result]) -> Result:
    """Measure, and again while others use the machine."""
    found: list[Result] = []
    while not found or (found[-1]["others"] > DISTURBED and len(found) < TRIES):
        found.append(measured())
        gc.collect()  # the arrays of this case
    return min(found, key=lambda result: result["others"])


def beside_memory(case: str, dtype: DType, rounds: int, rule: str) -> Iterator[Result]:
    """Time a rule beside the roofline, with each number of threads."""
    for threads in THREADS:
        gs.set_num_threads(threads)
        asked = CUBE_ROOT[threads] if rule in CUBE_ROOTS else SHARE
        moved, least = bytes_each(rule, dtype), roofline(rule, dtype)[1]
        yield quietest(
            functools.partial(measure, case, rule, dtype, ["traffic"], rounds)
        ) | {
            "rule": rule,
            "threads": threads,
            "beside": "traffic",
            "words": f"traffic, {least} B" + f" for {moved}" * (moved != least),
            "asked": None if rule in in_build(two_pass=True) else asked,
        }


def beside_peers(case: str, dtype: DType, rounds: int, rule: str) -> Iterator[Result]:
    """Time a rule beside its peers, of which the fastest counts."""
    gs.set_num_threads(THREADS[-1])
    names, _ = present(rule, dtype)
    asked = {case: LARGE, MANY_CASE: MANY}
    for shape in asked if names else ():
        result = quietest(functools.partial(measure, shape, rule, dtype, names, rounds))
        fastest = min(names, key=lambda name: result["ratio"][name][1])
        yield result | {
            "rule": rule,
            "threads": THREADS[-1],
            "beside": fastest,
            "words": fastest,
            "asked": asked[shape],
        }


def run(
    rules: list[str], case: str, dtype: DType, rounds: int
) -> tuple[list[Result], list[str]]:
    """Measure; returns the rows of the table, and what could not be measured."""
    every = in_build(two_pass=False) + in_build(two_pass=True)
    chosen = every if rules == ["all"] else rules
    if unknown := set(chosen) - set(every):
        sys.exit(f"not rules of this build: {', '.join(sorted(unknown))}")
    known = [rule for rule in chosen if rule in RULES]
    rows: list[Result] = []
    missing = [f"{rule}: not in bench/rules.py" for rule in chosen if rule not in RULES]
    # Memory first: torch, once imported, has threads of its own.
    for beside, among in ((beside_memory, known), (beside_peers, PEERED)):
        for rule in [rule for rule in known if rule in among]:
            before = len(rows)
            for row in beside(case, dtype, rounds, rule):
                print(line(row), file=sys.stderr)
                rows.append(row)
            if len(rows) == before:
                missing.append(f"{rule}: no peer is installed")
    return rows, missing


def holds(row: Result) -> bool:
    """Return whether a row reaches what was asked, if anything was."""
    reached: float = row["ratio"][row["beside"]][1]
    return row["asked"] is None or reached >= row["asked"]


def line(row: Result) -> str:
    """Return a row of the table."""
    low, middle, high = row["ratio"][row["beside"]]
    asked = "-" if row["asked"] is None else f">= {row['asked']:g}"
    verdict = "holds" if holds(row) else "MISSED"
    loud = f" (others used {row['others']:.2f} CPUs)"
    return (
        f"  {row['rule']:32}  {row['case']:>9} {row['threads']:7}"
        f"  {np.median(row['seconds']['gradstep']) * 1e3:6.2f}  {row['words']:26}"
        f"  {asked:>7} / {middle:6.3f} [{low:.3f}, {high:.3f}]"
        f"  {verdict if row['asked'] else ''}{loud * (row['others'] > DISTURBED)}"
    )


def table(rows: list[Result], missing: list[str]) -> None:
    """Print what was asked for beside what was measured."""
    two_pass = in_build(two_pass=True)
    sections = {
        "one pass, beside what moves the same bytes": lambda row: (
            row["beside"] == "traffic" and row["rule"] not in two_pass
        ),
        "beside the fastest peer": lambda row: row["beside"] != "traffic",
        "two passes, beside one that moves the states' bytes": lambda row: (
            row["rule"] in two_pass
        ),
    }
    for title, belongs in sections.items():
        print(f"\n{title}\n{HEAD}")
        for row in filter(belongs, rows):
            print(line(row))
    print(*(f"\nMISSED, not measured: {why}" for why in missing))
    asked = [row for row in rows if row["asked"] is not None]
    print(f"{sum(map(holds, asked))} of {len(asked) + len(missing)} hold")
