"""What every rule computes, written from the papers: the oracle of the tests.

One pure function per rule. It takes the 1-based step number `t`, the parameter `p`,
the gradient `g`, the rule's states and its hyperparameters, and returns the new `p`
and the new value of every state by name. These are formulas, not operation orders: a
kernel has to agree with them to within rounding, never bit for bit.

Some rules also keep scalars, the names in SCALARS, from step to step: floats, which
are taken and returned like states. The first step ignores those it is given.
Hyperparameters which choose between forms are 0.0 or 1.0.
"""

import inspect
from collections.abc import Callable
from typing import Any

from reference.adabelief import adabelief, adabelief_amsgrad
from reference.adagrad import adadelta, adagrad, adagrad_inside
from reference.adai import adai
from reference.adam import adam, adam_amsgrad, adamax, adamw, adamw_amsgrad
from reference.adan import adan
from reference.common import Array as Array
from reference.common import Step
from reference.eadam import eadam, eadam_amsgrad
from reference.layerwise import lamb, lars
from reference.lion import lion, signum
from reference.madgrad import madgrad, madgrad_moving, mirror_madgrad
from reference.nadam import nadam
from reference.padam import (
    padam_amsgrad_eighth,
    padam_amsgrad_half,
    padam_amsgrad_quarter,
    padam_eighth,
    padam_half,
    padam_quarter,
)
from reference.radam import radam
from reference.rmsprop import (
    rmsprop,
    rmsprop_centered,
    rmsprop_centered_inside,
    rmsprop_centered_momentum,
    rmsprop_centered_momentum_inside,
    rmsprop_inside,
    rmsprop_momentum,
    rmsprop_momentum_inside,
)
from reference.rprop import rprop, rprop_minus, rprop_plus
from reference.sam import sam_climb, sam_climb_adaptive
from reference.schedulefree import (
    schedulefree_adamw,
    schedulefree_adamw_inner,
    schedulefree_average,
    schedulefree_point,
    schedulefree_radam,
    schedulefree_sgd,
)
from reference.sgd import sgd, sgd_lookahead, sgd_momentum, sgd_nesterov, sgd_velocity
from reference.traffic import (
    traffic,
    traffic_state1,
    traffic_state2,
    traffic_state2_read1,
    traffic_state3,
    traffic_state4,
)

# The scalars which rules keep, and what they are before the first step.
SCALARS = {"mu_product": 1.0, "weight_sum": 0.0, "lr_max": 0.0, "path": 0.0}

RULES: dict[str, Callable[..., Step]] = {
    rule.__name__: rule
    for rule in (
        sgd,
        sgd_momentum,
        sgd_nesterov,
        sgd_velocity,
        sgd_lookahead,
        adam,
        adam_amsgrad,
        adamw,
        adamw_amsgrad,
        adamax,
        lion,
        signum,
        adagrad,
        adagrad_inside,
        adadelta,
        rmsprop,
        rmsprop_momentum,
        rmsprop_centered,
        rmsprop_centered_momentum,
        rmsprop_inside,
        rmsprop_momentum_inside,
        rmsprop_centered_inside,
        rmsprop_centered_momentum_inside,
        rprop,
        rprop_minus,
        rprop_plus,
        nadam,
        radam,
        eadam,
        eadam_amsgrad,
        padam_half,
        padam_quarter,
        padam_eighth,
        padam_amsgrad_half,
        padam_amsgrad_quarter,
        padam_amsgrad_eighth,
        adabelief,
        adabelief_amsgrad,
        madgrad,
        madgrad_moving,
        mirror_madgrad,
        adan,
        schedulefree_sgd,
        schedulefree_adamw,
        schedulefree_adamw_inner,
        schedulefree_radam,
        schedulefree_point,
        schedulefree_average,
        sam_climb,
        sam_climb_adaptive,
        lamb,
        lars,
        adai,
        traffic,
        traffic_state1,
        traffic_state2,
        traffic_state2_read1,
        traffic_state3,
        traffic_state4,
    )
}


def needed(rule: Callable[..., Any]) -> list[str]:
    """Return the names of what a rule must be called with."""
    parameters = inspect.signature(rule).parameters.values()
    return [x.name for x in parameters if x.default is x.empty]
