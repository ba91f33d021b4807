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

Each is a pure function of the step (`gradstep.schedules`), a count of steps, and where
the hyperparameter stood when the scheduler was built. Where that leads to other values
than torch's, the class says so.

Who else changes the learning rate
----------------------------------
The learning rate belongs to everybody: you, checkpoints, other schedulers. As long as
one scheduler alone sets it, its values are closed forms, with the same bits wherever
a run is interrupted. A scheduler that finds another value than it wrote last builds on
it, as torch's chainable schedulers do:

    new value = value found * f(t + 1) / f(t)

where f is the schedule (of `CosineAnnealingLR`, all relative to ``eta_min``). So
chainable schedulers that are stepped one after the other give torch's values, to
rounding: the product of their factors. `ChainedScheduler` gives it without loss of
bits. `ReduceLROnPlateau` multiplies what it finds by `factor`. Not chainable, as in
torch, are `LambdaLR`, `CosineAnnealingWarmRestarts`, `CyclicLR` and `OneCycleLR`: they
set their own value whatever they find, and warn if that was another scheduler's.

=====================  ===========================  ====================================
after                  torch's scheduler            this one
=====================  ===========================  ====================================
``opt.lr = x``, then   chainable: goes on from x    the same
``step()``             others: their own value      the same
the same at f(t) = 0   x stays, or rises by a       x stays until f rises, and is the
                       part of the base             base from then on
``opt.lr = x``, then   chainable: begins at x       begins at x; `CyclicLR` and
a new scheduler        others: at ``initial_lr``,   `OneCycleLR` at their own value
                       which x is not
``step(epoch)``        the value of that step from  builds on what it finds, as
                       ``initial_lr``               ``step()`` does
a scheduler's end,     chainable: begins where it   the same; warns where the end is 0
then a new one         ended, for ever 0 if at 0
                       others: at ``initial_lr``    the same
a scheduler without    multiplies what it set       the same
steps, then another    others: ``initial_lr``       the same
``SequentialLR``       begins at ``initial_lr``,    the same; the other may not be
beside others          forgets the other at         stepped if it was built before, and
                       milestones                   is not forgotten if after
`load_state_dict`      leaves lr as it is           leaves lr if somebody has set it,
                                                    as the optimizer's `load_state_dict`
                                                    does; else sets it to what was saved
a scheduler for a      overwrites lr, wrongly if    the scheduler's `load_state_dict`
loaded optimizer       its state is loaded next     brings back the saved lr
``last_epoch=t``       multiplies what it finds,    the value of step t + 1 from
                       mostly                       ``initial_lr``; warns if lr was set
                                                    by hand
`add_param_group`      some go on, some fail        refused, with a way to go on
lr is a tensor         is filled                    is filled; values are computed in
                                                    float64 and rounded to its dtype
=====================  ===========================  ====================================

What others multiply a learning rate of exactly 0 by leaves no trace in it; a warm-up
from 0 is better combined by `ChainedScheduler`.

Over optimizers of torch, those of `gradstep.torch` included, schedulers are instances
of torch's classes: see `gradstep.torch.lr_scheduler`.
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
