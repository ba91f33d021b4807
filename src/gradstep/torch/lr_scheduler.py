"""The schedulers of `gradstep.lr_scheduler` as classes of torch's schedulers.

A scheduler of `gradstep.lr_scheduler` that is built over an optimizer of torch, such as
those of `gradstep.torch`, is an instance of the class of its name here, which derives
from torch's. Import from here where a framework wants the class itself.

Examples
--------
>>> import torch
>>> import gradstep as gs, gradstep.torch as gst
>>> from gradstep.torch.lr_scheduler import StepLR
>>> opt = gst.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1)
>>> scheduler = gs.lr_scheduler.StepLR(opt, step_size=10)
>>> type(scheduler) is StepLR, issubclass(StepLR, torch.optim.lr_scheduler.StepLR)
(True, True)
"""

from gradstep import lr_scheduler
from gradstep.lr_scheduler.torch_classes import torch_class

__all__ = list(lr_scheduler.__all__)

globals().update({name: torch_class(getattr(lr_scheduler, name)) for name in __all__})
