"""Optimizer steps on arrays, at memory speed, with the same bits on every machine."""

from gradstep._build import build_config
from gradstep._core import isa
from gradstep.memory import empty, zeros
from gradstep.optimizer import OPTIMIZERS, Optimizer
from gradstep.optimizers import SGD, Adam, AdamW, Lion
from gradstep.threads import get_num_threads, set_num_threads

__version__ = build_config()["version"]

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Lion",
    "Optimizer",
    "build_config",
    "empty",
    "get_num_threads",
    "isa",
    "set_num_threads",
    "zeros",
]
