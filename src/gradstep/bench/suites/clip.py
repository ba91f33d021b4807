"""Gradients clipped by the norm of all, or looked at for what is not finite."""

import functools
import importlib
from collections.abc import Iterator
from typing import Any

from gradstep.bench.apart import Contestant, Step
from gradstep.bench.peers import step_torch
from gradstep.bench.row import Row
from gradstep.bench.steps import Shapes, step_gradstep
from gradstep.bench.suites.job import Chosen, Job, job, sizes

RULE, WORD = "adamw", "float32"

# Asked: a step that clips takes at most 1.25 times a plain one.
PLAIN = 0.8


def clip(chosen: Chosen) -> Iterator[Job]:
    """Return jobs: one large array, and many small ones."""
    n = sizes(chosen.most, quick=chosen.quick)["DRAM"]
    cases: dict[str, Shapes] = {"DRAM": ((n,),), "1000 x 1000": ((1000,),) * 1000}
    options: dict[str, dict[str, Any]] = {
        "clip_norm=1.0": {"clip_norm": 1.0},
        "nonfinite='skip'": {"nonfinite": "skip"},
    }
    for _ in chosen.rule(RULE):
        for case, shapes in cases.items():
            for what, asked in options.items():
                yield beside_plain(chosen, case, shapes, what, asked)


def beside_plain(
    chosen: Chosen, case: str, shapes: Shapes, what: str, options: dict[str, Any]
) -> Job:
    """Time a step with options beside one without, and torch's two calls."""
    plain = functools.partial(step_gradstep, RULE, shapes, WORD)
    contestants = [
        Contestant("gradstep", functools.partial(plain, **options)),
        Contestant("without", plain),
    ]
    if "clip_norm" in options:
        both = functools.partial(clipped, shapes, chosen.most)
        theirs = Contestant("torch: clip_grad_norm_, fused", both, "torch")
        contestants += chosen.peer("torch", theirs)
    return job(
        contestants,
        chosen.effort(25, 1.5),
        Row(
            suite="clip",
            subject=f"{RULE}, {what}",
            case=case,
            threads=chosen.most,
            asked={"without": PLAIN} if "clip_norm" in options else {},
        ),
    )


def clipped(shapes: Shapes, threads: int) -> Step:
    """Return torch's clipping and its fused step."""
    torch: Any = importlib.import_module("torch")
    step: Any = step_torch(RULE, shapes, threads, fused=True)
    params = step.__self__.param_groups[0]["params"]

    def both() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        step()

    return both
