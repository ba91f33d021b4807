"""One small class for each update rule: its options and its documentation."""

from gradstep.optimizers.adagrad import Adadelta, Adagrad
from gradstep.optimizers.adam import Adam, Adamax, AdamW
from gradstep.optimizers.lion import Lion
from gradstep.optimizers.rmsprop import RMSprop
from gradstep.optimizers.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "RMSprop"]
