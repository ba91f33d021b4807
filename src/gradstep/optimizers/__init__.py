"""One small class for each update rule: its options and its documentation."""

from gradstep.optimizers.adam import Adam, AdamW
from gradstep.optimizers.lion import Lion
from gradstep.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Lion"]
