"""Cost against elements, arrays and threads, with the lines that are fitted to it."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradstep.bench.apart import Contestant
from gradstep.bench.peers import PEERS
from gradstep.bench.row import Row
from gradstep.bench.steps import Shapes, ours
from gradstep.bench.suites.job import Chosen, Job, job, sizes

RULE, WORD = "adam", "float32"
PEER = "torch fused"

ELEMENTS, ARRAYS, SIZE = "elements", "arrays of 1000", 1000


def scaling(chosen: Chosen) -> Iterator[Job]:
    """Return jobs."""
    of = sizes(chosen.most, quick=chosen.quick)
    powers = range(0, of["DRAM"].bit_length(), 4 if chosen.quick else 2)
    counts = [4**k for k in range(5 if chosen.quick else 7)]
    for _ in chosen.rule(RULE):
        for n in [1 << k for k in powers]:
            yield point(chosen, ELEMENTS, n, ((n,),), chosen.most)
        for k in counts:
            yield point(chosen, ARRAYS, k, ((SIZE,),) * k, chosen.most)
        for size in ("L2", "DRAM"):
            # The same elements for every number of threads.
            n = sizes(1, quick=chosen.quick)[size]
            for threads in range(1, chosen.most + 1):
                yield point(chosen, f"threads, {size}", threads, ((n,),), threads)


def point(chosen: Chosen, against: str, x: int, shapes: Shapes, threads: int) -> Job:
    """Time one point of a curve."""
    package, home, make, flags = PEERS[PEER]
    theirs = functools.partial(make, RULE, shapes, threads, **flags)
    return job(
        [
            ours(RULE, shapes, WORD),
            *chosen.peer(package, Contestant(PEER, theirs, home)),
        ],
        chosen.effort(15, 0.6),
        Row(
            suite="scaling",
            subject=f"{RULE} against {against}",
            case=f"{x:,}",
            threads=threads,
            facts={"x": x},
        ),
    )


def fits(rows: Sequence[Row]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return by curve and contestant the intercept and slope, in seconds.

    The line a + b x is that of least relative error, so that small costs count as much
    as large ones. Beyond the cache a step of one array has another slope; the line
    against elements is that of what fits into it.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    curves = dict.fromkeys(row.subject for row in rows if row.suite == "scaling")
    for curve in curves:
        if "threads" in curve:
            continue
        of = [row for row in rows if row.subject == curve]
        cached = sizes(max(row.threads for row in of), quick=False)["L2"]
        if curve.endswith(ELEMENTS):
            of = [row for row in of if row.facts["x"] <= cached]
        names = dict.fromkeys(name for row in of for name in row.seconds)
        found[curve] = {name: _line(of, name) for name in names}
    return found


def _line(rows: Sequence[Row], name: str) -> tuple[float, float]:
    here = [row for row in rows if name in row.seconds]
    x = np.array([row.facts["x"] for row in here], float)
    t: Any = np.array([row.seconds[name][1] for row in here])
    if len(here) < 2:
        return float("nan"), float("nan")
    slope, intercept = np.polyfit(x, t, 1, w=1 / t)
    return float(intercept), float(slope)
