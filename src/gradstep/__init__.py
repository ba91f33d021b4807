"""Optimizer steps on arrays, at memory speed, with the same bits on every machine.

>>> import numpy as np, gradstep as gs
>>> w = np.array([3.0, -2.0])
>>> opt = gs.Adam(w, lr=0.1)
>>> opt.step(2 * w)  # the gradient of w @ w; w is updated in place
>>> w
array([ 2.9, -1.9])

What there is, each with its own `help`:

Optimizers of NumPy arrays, by name in `OPTIMIZERS`; `Optimizer` is their base
    `SGD`, `Adam`, `AdamW`, `Adamax`, `NAdam`, `RAdam`, `EAdam`, `Padam`, `AdaBelief`,
    `Adagrad`, `Adadelta`, `RMSprop`, `Rprop`, `Lion`, `Signum`, `MADGRAD`,
    `MirrorMADGRAD`, `Adan`, `Adai`, `LAMB`, `LARS`, `ScheduleFreeSGD`,
    `ScheduleFreeAdamW`, `ScheduleFreeRAdam`; around another one `ScheduleFree`, `SAM`
Schedules of the learning rate, or of any other option
    `lr_scheduler` (objects, as in torch), `schedules` (functions of the step)
Steps of arrays whose states the caller keeps
    `functional`
Least squares
    `lls` (by mini-batches, or exact), ``gradstep.sklearn`` (an estimator)
Minimization
    `minimize` (a method of `scipy.optimize.minimize`), ``gradstep.testfunctions``,
    ``gradstep.analysis``, ``gradstep.plot``
PyTorch
    ``gradstep.torch`` (the same optimizers, of tensors)
Checkpoints
    `save`, `load`
Memory and reduced precision
    `empty`, `zeros` (arrays where steps are fastest), `bfloat16`, `to_bfloat16`,
    `from_bfloat16`, ``gradstep.storage`` (what `master`, `rounding` and `state_dtype`
    mean), `PrecisionWarning`
Threads, and this build
    `set_num_threads`, `get_num_threads`, `isa`, `build_config`, `get_include`;
    ``python -m gradstep`` runs a demonstration and benchmarks
"""

from pathlib import Path

from gradstep import functional, lls, lr_scheduler, optimizers, schedules
from gradstep._build import build_config
from gradstep._core import isa
from gradstep.checkpoint import load, save
from gradstep.memory import empty, zeros
from gradstep.minimization import minimize
from gradstep.optimizer import OPTIMIZERS, Optimizer
from gradstep.optimizers import *  # noqa: F403  # every class, by its __all__
from gradstep.precision import PrecisionWarning
from gradstep.storage import bfloat16, from_bfloat16, to_bfloat16
from gradstep.threads import get_num_threads, set_num_threads

__version__ = build_config()["version"]


def get_include() -> str:
    """Return the folder of the C headers, for Cython code that cimports gradstep.

    Examples
    --------
    >>> import gradstep as gs, os
    >>> sorted(os.listdir(gs.get_include()))
    ['codec.h', 'gradstep.h', 'kernel.h', 'lls.h', 'lls_run.h', 'plan.h']
    """
    return str(Path(__file__).parent / "include")


__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "PrecisionWarning",
    "bfloat16",
    "build_config",
    "empty",
    "from_bfloat16",
    "functional",
    "get_include",
    "get_num_threads",
    "isa",
    "lls",
    "load",
    "lr_scheduler",
    "minimize",
    "save",
    "schedules",
    "set_num_threads",
    "to_bfloat16",
    "zeros",
]
__all__ += optimizers.__all__
