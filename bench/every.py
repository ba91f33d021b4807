"""Every rule of the build beside memory, and some of them beside their fastest peer.

What was asked for stands here, and in the table that `table` prints.
"""

import functools
import gc
import sys

import numpy as np
from cases import Result, measure
from contestants import present
from rules import RULES, DType, bytes_each, in_build, roofline

import gradstep as gs

THREADS = (1, 2)
DISTURBED = 0.1  # CPUs that others used: the case is measured again, after all others
TRIES = 2
PEER_ROUNDS = 9  # of whole seconds

# Asked of steps of one pass: the share of the roofline that they reach.
SHARE = 0.92
# Cube roots take longer than their bytes. Threads share memory, not arithmetic.
CUBE_ROOT = {1: 0.55, 2: 0.85}
CUBE_ROOTS = ("madgrad", "madgrad_moving", "mirror_madgrad")

# Asked of these, in two cases: how many times gradstep's time their fastest peer takes.
PEERED = ("adabelief", "madgrad", "adan", "rmsprop", "nadam", "schedulefree_adamw")
LARGE, MANY = "2^24", "1000x1000"
TIMES = {LARGE: 4.0, MANY: 20.0}

SECTIONS = {
    "memory": "one pass, beside what moves the same bytes",
    "peer": "beside the fastest peer",
    "two passes": "two passes, beside one that moves the states' bytes",
}
HEAD = f"  {'rule':32}  {'case':>9} threads    ms  {'beside':26}    asked / measured"

Job = functools.partial[Result]


def beside_memory(rule: str, threads: int, dtype: DType, rounds: int) -> Result:
    """Time a rule beside the roofline."""
    gs.set_num_threads(threads)
    asked = CUBE_ROOT[threads] if rule in CUBE_ROOTS else SHARE
    two_pass = rule in in_build(two_pass=True)
    moved, least = bytes_each(rule, dtype), roofline(rule, dtype)[1]
    result = measure(LARGE, rule, dtype, ["traffic"], rounds)
    return result | {
        "section": "two passes" if two_pass else "memory",
        "asked": None if two_pass else asked,
        "measured": result["ratio"]["traffic"],
        "beside": f"traffic, {least} B" + f" for {moved}" * (moved != least),
    }


def beside_peer(case: str, rule: str, dtype: DType, rounds: int) -> Result:
    """Time a rule beside its peers, of which the fastest counts."""
    gs.set_num_threads(max(THREADS))
    names, _ = present(rule, dtype)
    result = measure(case, rule, dtype, names, rounds)
    ratio = {name: result["ratio"][name] for name in names}
    fastest = min(ratio, key=lambda name: ratio[name][1], default="no peer is here")
    return result | {
        "section": "peer",
        "asked": TIMES[case],
        "measured": ratio.get(fastest),
        "beside": fastest,
    }


def jobs(rules: list[str], dtype: DType, rounds: int) -> list[Job]:
    """Return what there is to measure."""
    # Memory first: torch, once imported, has threads of its own.
    memory = [
        Job(beside_memory, rule, threads, dtype, rounds)
        for rule in rules
        for threads in THREADS
    ]
    peers = [
        Job(beside_peer, case, rule, dtype, min(rounds, PEER_ROUNDS))
        for case in TIMES
        for rule in PEERED
        if rule in rules
    ]
    return memory + peers


def run(rules: list[str], dtype: DType, rounds: int, *, tries: int) -> list[Result]:
    """Measure; what others disturbed again, of which the quietest counts."""
    every = in_build(two_pass=False) + in_build(two_pass=True)
    chosen = every if rules == ["all"] else rules
    if unknown := set(chosen) - set(every):
        sys.exit(f"not rules of this build: {', '.join(sorted(unknown))}")
    if unknown := set(chosen) - set(RULES):
        sys.exit(f"bench/rules.py lacks {', '.join(sorted(unknown))}")
    rows: dict[Job, Result] = {}
    todo = jobs(chosen, dtype, rounds)
    for _ in range(tries):
        for job in todo:
            row = job()
            gc.collect()  # the arrays of this case
            print(line(row), file=sys.stderr)
            if job not in rows or row["others"] < rows[job]["others"]:
                rows[job] = row
        todo = [job for job, row in rows.items() if row["others"] > DISTURBED]
    return list(rows.values())


def holds(row: Result) -> bool:
    """Return whether a row reaches what was asked, if anything was."""
    if row["asked"] is None:
        return True
    return row["measured"] is not None and row["measured"][1] >= row["asked"]


def line(row: Result) -> str:
    """Return a row of the table."""
    milliseconds = np.median(row["seconds"]["gradstep"]) * 1e3
    asked = "-" if row["asked"] is None else f">= {row['asked']:g}"
    measured = "not measured"
    if row["measured"]:
        low, middle, high = row["measured"]
        measured = f"{middle:6.3f} [{low:.3f}, {high:.3f}]"
    verdict = "" if row["asked"] is None else "holds" if holds(row) else "MISSED"
    loud = f" (others used {row['others']:.2f} CPUs)" * (row["others"] > DISTURBED)
    return (
        f"  {row['rule']:32}  {row['case']:>9} {row['threads']:7}  {milliseconds:6.2f}"
        f"  {row['beside']:26}  {asked:>7} / {measured}  {verdict}{loud}".rstrip()
    )


def table(rows: list[Result]) -> None:
    """Print what was asked for beside what was measured."""
    for section, title in SECTIONS.items():
        print(f"\n{title}\n{HEAD}")
        for row in rows:
            if row["section"] == section:
                print(line(row))
    asked = [row for row in rows if row["asked"] is not None]
    print(f"\n{sum(map(holds, asked))} of {len(asked)} hold")
