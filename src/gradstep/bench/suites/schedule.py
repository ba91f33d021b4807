"""What a scheduler adds to a step of Adam on 8 floats, in one group and in eight."""

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.bench.apart import Contestant, Step
from gradstep.bench.row import Row
from gradstep.bench.suites.job import Chosen, Job, job

FAR = 10**6

Make = Callable[[Any, Any], Any]


def one_cycle(m: Any, o: Any) -> Any:
    """Return a cycle that leaves momentum alone."""
    return m.OneCycleLR(o, 0.1, FAR, cycle_momentum=False)


def chained(m: Any, o: Any) -> Any:
    """Return a product of two."""
    return m.ChainedScheduler([m.ConstantLR(o), m.ExponentialLR(o, 0.99999)])


def sequential(m: Any, o: Any) -> Any:
    """Return one after the other."""
    return m.SequentialLR(o, [m.LinearLR(o), m.CosineAnnealingLR(o, FAR)], [100])


# By name: from a module of schedulers and an optimizer, a scheduler.
SCHEDULERS: dict[str, Make] = {
    "none": lambda _m, _o: None,
    "StepLR": lambda m, o: m.StepLR(o, 30),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.99999),
    "LinearLR": lambda m, o: m.LinearLR(o, total_iters=FAR),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, FAR, 2.5),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, FAR),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 99, 2),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 0.1, FAR),
    "OneCycleLR without momentum": one_cycle,
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.1, 0.2, cycle_momentum=False),
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda t: 1 / (1 + t)),
    "ChainedScheduler": chained,
    "SequentialLR": sequential,
    "InverseSqrtLR": lambda m, o: m.InverseSqrtLR(o, 100),
    "WarmupStableDecayLR": lambda m, o: m.WarmupStableDecayLR(o, 10, 10, FAR),
    "WarmupLR": lambda m, o: m.WarmupLR(o, m.CosineAnnealingLR(o, FAR), 100),
}
ALWAYS = ("none", "StepLR", "CosineAnnealingLR", "OneCycleLR")


def schedule(chosen: Chosen) -> Iterator[Job]:
    """Return jobs."""
    for name in ALWAYS if chosen.quick else SCHEDULERS:
        for groups in (1, 8):
            yield beside_none(chosen, name, groups)


def beside_none(chosen: Chosen, name: str, groups: int) -> Job:
    """Time steps with a scheduler beside steps without one, and torch's."""
    theirs = functools.partial(torch_steps, name, groups)
    return job(
        [
            Contestant("gradstep", functools.partial(gradstep_steps, name, groups)),
            Contestant("without", functools.partial(gradstep_steps, "none", groups)),
            *chosen.peer("torch", Contestant("torch", theirs, "torch")),
        ],
        chosen.effort(9, 0.3),
        Row(
            suite="schedule",
            subject=name,
            case=f"{groups} group{'s' * (groups > 1)}",
            threads=1,
        ),
    )


def scheduled(name: str, module: Any, opt: Any, step: Step) -> Step:
    """Return a step with that of a scheduler after it."""
    step()
    made = SCHEDULERS[name](module, opt)
    if made is None:
        return step

    def both() -> None:
        step()
        made.step()

    return both


def gradstep_steps(name: str, groups: int) -> Step:
    """Return gradstep's."""
    arrays = [np.ones(8, np.float32) for _ in range(groups)]
    opt = gs.Adam([{"params": a} for a in arrays])
    grads = [np.ones(8, np.float32) for _ in arrays]
    return scheduled(name, gs.lr_scheduler, opt, lambda: opt.step(grads))


def torch_steps(name: str, groups: int) -> Step:
    """Return torch's."""
    torch: Any = importlib.import_module("torch")
    tensors = [torch.ones(8) for _ in range(groups)]
    for tensor in tensors:
        tensor.grad = torch.ones(8)
    opt = torch.optim.Adam([{"params": [x]} for x in tensors], fused=True)

    def step() -> None:
        opt.step()  # which its schedulers wrap

    return scheduled(name, torch.optim.lr_scheduler, opt, step)
