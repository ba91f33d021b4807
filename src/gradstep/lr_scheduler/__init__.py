"""Learning-rate schedulers with torch's names, arguments and manners.

>>> import numpy as np, gradstep as gs
>>> w = np.ones(3)
>>> opt = gs.SGD(w, lr=0.1)
>>> scheduler = gs.lr_scheduler.CosineAnnealingLR(opt, T_max=100)
>>> for _ in range(100):
...     opt.step(2 * w)
...     scheduler.step()
>>> scheduler.get_last_lr()
[0.0]

Each is a pure function of the step (`gradstep.schedules`) and a count of steps, nothing
else. Where that leads to other values than torch's, the class says so.
"""

from gradstep.lr_scheduler.combined import ChainedScheduler, SequentialLR, WarmupLR
from gradstep.lr_scheduler.cycled import CyclicLR, OneCycleLR
from gradstep.lr_scheduler.named import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialDecayLR,
    ExponentialLR,
    ExponentialStepSizeLR,
    InverseSqrtLR,
    InverseTimeLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
    WarmupStableDecayLR,
)
from gradstep.lr_scheduler.plateau import ReduceLROnPlateau
from gradstep.lr_scheduler.scheduler import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialDecayLR",
    "ExponentialLR",
    "ExponentialStepSizeLR",
    "InverseSqrtLR",
    "InverseTimeLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
    "WarmupStableDecayLR",
]
