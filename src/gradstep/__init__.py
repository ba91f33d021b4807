"""Optimizer steps on arrays, at memory speed, with the same bits on every machine."""

from pathlib import Path

from gradstep import functional, lls, lr_scheduler, optimizers, schedules
from gradstep._build import build_config
from gradstep._core import isa
from gradstep.checkpoint import load, save
from gradstep.memory import empty, zeros
from gradstep.minimization import minimize
from gradstep.optimizer import OPTIMIZERS, Optimizer
from gradstep.optimizers import *  # noqa: F403  # every class, by its __all__
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
