"""Arrays and states in fewer bits, and steps of zeros, beside plain ones of float32."""

import functools
from collections.abc import Iterator

import numpy as np

import gradstep as gs
from gradstep.bench.apart import Contestant, Step
from gradstep.bench.row import Row
from gradstep.bench.steps import STORAGES, Shapes, ours
from gradstep.bench.suites.job import Chosen, Job, job, sizes
from gradstep.bench.suites.step import MIXED

RULE = "adamw"
PLAIN = "float32"

# Until the moments would be subnormal numbers, and be stepped slowly: beta2^n < 1e-38.
ZEROS = 200_000
FEW = 10_000  # elements of an array that is stepped so often


def storage(chosen: Chosen) -> Iterator[Job]:
    """Return jobs, of which gradients in two bytes are also for one thread."""
    n = sizes(chosen.most, quick=chosen.quick)["DRAM"]
    for _ in chosen.rule(RULE):
        for word in STORAGES:
            for threads in chosen.threads if word == MIXED else (chosen.most,):
                if word != PLAIN:
                    yield beside_float32(chosen, word, ((n,),), threads)
        yield zeros(chosen)


def beside_float32(chosen: Chosen, word: str, shapes: Shapes, threads: int) -> Job:
    """Time a storage beside float32."""
    return job(
        [ours(RULE, shapes, word), ours(RULE, shapes, PLAIN, PLAIN)],
        chosen.effort(25, 1.5),
        Row(
            suite="storage",
            subject=f"{RULE}, {word}",
            case="DRAM",
            threads=threads,
            # A gradient of 2 bytes makes 26 of 28.
            asked={PLAIN: 1.0} if word == MIXED else {},
            facts={"elements": shapes[0][0]},
        ),
    )


def zeros(chosen: Chosen) -> Job:
    """Time steps of zeros, when states have gone to zero, beside the first of them."""
    return job(
        [
            Contestant("gradstep", functools.partial(step_zeros, ZEROS)),
            Contestant("the first of them", functools.partial(step_zeros, 1)),
        ],
        chosen.effort(25, 0.3),
        Row(
            suite="storage",
            subject=f"{RULE}, after {ZEROS:,} gradients of zero",
            case=f"{FEW:,} elements",
            threads=1,
        ),
    )


def step_zeros(before: int) -> Step:
    """Return a step of zeros, after so many of them."""
    w = np.ones(FEW, np.float32)
    opt, still = gs.AdamW(w), np.zeros_like(w)
    opt.step(np.linspace(-1, 1, w.size, dtype=np.float32))
    for _ in range(before):
        opt.step(still)
    return functools.partial(opt.step, still)
