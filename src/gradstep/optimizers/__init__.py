"""One small class for each update rule: its options and its documentation."""

from gradstep.optimizers.adabelief import AdaBelief
from gradstep.optimizers.adagrad import Adadelta, Adagrad
from gradstep.optimizers.adai import Adai
from gradstep.optimizers.adam import Adam, Adamax, AdamW
from gradstep.optimizers.adan import Adan
from gradstep.optimizers.eadam import EAdam, Padam
from gradstep.optimizers.layerwise import LAMB, LARS
from gradstep.optimizers.lion import Lion
from gradstep.optimizers.madgrad import MADGRAD, MirrorMADGRAD
from gradstep.optimizers.nadam import NAdam, RAdam
from gradstep.optimizers.rmsprop import RMSprop
from gradstep.optimizers.rprop import Rprop
from gradstep.optimizers.sam import SAM
from gradstep.optimizers.schedulefree import (
    ScheduleFreeAdamW,
    ScheduleFreeRAdam,
    ScheduleFreeSGD,
)
from gradstep.optimizers.sgd import SGD
from gradstep.optimizers.signum import Signum
from gradstep.optimizers.wrappers import ScheduleFree

__all__ = [
    "LAMB",
    "LARS",
    "MADGRAD",
    "SAM",
    "SGD",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adai",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "EAdam",
    "Lion",
    "MirrorMADGRAD",
    "NAdam",
    "Padam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFree",
    "ScheduleFreeAdamW",
    "ScheduleFreeRAdam",
    "ScheduleFreeSGD",
    "Signum",
]
