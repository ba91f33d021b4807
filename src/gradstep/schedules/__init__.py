"""Learning-rate schedules, or schedules of any number: pure functions of the step.

>>> import gradstep as gs
>>> schedule = gs.schedules.CosineAnnealing(T_max=100)
>>> schedule(50, base=0.1)
0.05
>>> schedule([0, 50, 100], base=0.1).tolist()
[0.1, 0.05, 0.0]

`gradstep.lr_scheduler` has them as torch's objects, which set the hyperparameters of an
optimizer.
"""

from gradstep.schedules.combine import Chained, Sequential, Warmup
from gradstep.schedules.cycle import (
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    Cyclic,
    Phases,
    WarmupStableDecay,
)
from gradstep.schedules.decay import (
    Constant,
    Exponential,
    ExponentialDecay,
    ExponentialStepSize,
    InverseSqrt,
    InverseTime,
    Lambda,
    Linear,
    Multiplicative,
    MultiStep,
    Polynomial,
    Step,
)
from gradstep.schedules.schedule import Schedule

__all__ = [
    "Chained",
    "Constant",
    "CosineAnnealing",
    "CosineAnnealingWarmRestarts",
    "Cyclic",
    "Exponential",
    "ExponentialDecay",
    "ExponentialStepSize",
    "InverseSqrt",
    "InverseTime",
    "Lambda",
    "Linear",
    "MultiStep",
    "Multiplicative",
    "Phases",
    "Polynomial",
    "Schedule",
    "Sequential",
    "Step",
    "Warmup",
    "WarmupStableDecay",
]
