"""Every rule of the build beside memory, and some of them beside their fastest peer.

What was asked for stands here, and in the table that `show` prints.
"""

import gc
from typing import Any

import numpy as np
from cases import Result, measure
from peers import present
from rules import RULES, DType, bytes_each, in_build, traffic_bytes

import gradstep as gs

Row = dict[str, Any]

THREADS = (1, 2)
DISTURBED = 0.1  # CPUs that others used: the case is measured again
TRIES = 4

# Asked of steps of one pass: the share of the roofline that they reach.
SHARE = 0.92
# A cube root takes longer than its bytes; threads share the memory, not the arithmetic.
CUBE_ROOT = {1: 0.55, 2: 0.85}
CUBE_ROOTS = ("madgrad", "madgrad_dual", "mirror_madgrad")

# Asked of these: how many times gradstep's time the fastest peer takes, with 2 threads.
LARGE, MANY = 4.0, 20.0
PEERED = ("adabelief", "madgrad", "adan", "rmsprop", "nadam", "schedulefree_adamw")


def quietest(
    case: str, rule: str, dtype: DType, names: list[str], rounds: int
) -> Result:
    """Measure, and again while others use the machine."""
    found: list[Result] = []
    while not found or (found[-1]["others"] > DISTURBED and len(found) < TRIES):
        found.append(measure(case, rule, dtype, names, rounds))
        gc.collect()  # the arrays of this case
    return min(found, key=lambda result: result["others"])


def row(result: Result, rule: str, beside: str, asked: float | None) -> Row:
    """Return what one line of the table says, and how it was measured."""
    return {
        "rule": rule,
        "threads": gs.get_num_threads(),
        "beside": beside,
        "asked": asked,
        "measured": result["ratio"][beside],
        "result": result,
    }


def beside_memory(case: str, rule: str, dtype: DType, rounds: int) -> list[Row]:
    """Time a rule beside the roofline, by each number of threads."""
    rows = []
    for threads in THREADS:
        gs.set_num_threads(threads)
        result = quietest(case, rule, dtype, ["traffic"], rounds)
        asked = CUBE_ROOT[threads] if rule in CUBE_ROOTS else SHARE
        two_pass = rule in in_build(two_pass=True)
        rows.append(row(result, rule, "traffic", None if two_pass else asked))
    return rows


def beside_peers(
    cases: dict[str, float], rule: str, dtype: DType, rounds: int
) -> tuple[list[Row], dict[str, str]]:
    """Time a rule beside the fastest of its peers; and say which there were."""
    gs.set_num_threads(THREADS[-1])
    names, facts = present(rule, dtype)
    rows = []
    for case, asked in cases.items() if names else ():
        result = quietest(case, rule, dtype, names, rounds)
        fastest = min(names, key=lambda name: result["ratio"][name][1])
        rows.append(row(result, rule, fastest, asked))
    return rows, facts


def tell(line: Row, dtype: DType) -> str:
    """Return a line of the table."""
    result, rule, beside = line["result"], line["rule"], line["beside"]
    low, middle, high = line["measured"]
    if beside == "traffic":
        moved = bytes_each(rule, dtype)
        most = traffic_bytes(rule, dtype)
        beside = f"traffic, {most} B" + (f" for {moved}" if moved != most else "")
    asked = line["asked"]
    word = "no target" if asked is None else f">= {asked:g}"
    verdict = "" if asked is None else "holds" if middle >= asked else "MISSED"
    loud = f" (others used {result['others']:.2f} CPUs)"
    return (
        f"  {rule:33} {result['case']:>9} {line['threads']}"
        f"  {np.median(result['seconds']['gradstep']) * 1e3:7.3f}  {beside:26}"
        f"  {word:>9} / {middle:6.3f} [{low:.3f}, {high:.3f}]  {verdict}"
        f"{loud if result['others'] > DISTURBED else ''}"
    )
