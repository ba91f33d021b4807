"""Optimizers whose steps pass from one rule to another as an option changes."""

from typing import Any, NamedTuple

import pytest

import gradstep as gs

Options = dict[str, Any]

HEAVY = {"lr": 0.03, "weight_decay": 0.12}
MEAN = HEAVY | {"betas": (0.87, 0.95)}
THROUGH_ZERO = [0.8, 0.5, 0.0, 0.0, 0.7, 0.0, 0.6, 0.9]
FROM_ZERO = [0.0, 0.0, 0.7, 0.6, 0.0, 0.8, 0.8]
ON_AND_OFF = [True, True, False, False, True, False, True]
ON_LATE = [False, False, True, True, False, True]


class Case(NamedTuple):
    """An optimizer, and the values of one option in its steps."""

    optimizer: type[gs.Optimizer]
    options: Options
    name: str
    values: list[Any]


def sgd(**own: Any) -> Case:
    return Case(gs.SGD, HEAVY | own, "momentum", THROUGH_ZERO)


def rmsprop(**own: Any) -> Case:
    own = HEAVY | {"alpha": 0.9, "eps": 0.01} | own
    return Case(gs.RMSprop, own, "momentum", THROUGH_ZERO)


def amsgrad(optimizer: type[gs.Optimizer], **own: Any) -> Case:
    return Case(optimizer, MEAN | own, "amsgrad", ON_AND_OFF)


THROUGH = {
    "sgd": sgd(),
    "sgd dampened": sgd(dampening=0.3),
    "sgd dampened first": sgd(dampening=0.3, dampen_first=True),
    "sgd decoupled": sgd(decoupled_weight_decay=True),
    "nesterov": sgd(nesterov=True),
    "rmsprop": rmsprop(),
    "rmsprop centered": rmsprop(centered=True),
    "rmsprop inside": rmsprop(eps_placement="inside"),
    "rmsprop centered inside": rmsprop(centered=True, eps_placement="inside"),
    "rmsprop nesterov": rmsprop(nesterov=True),
    "rmsprop velocity": rmsprop(form="velocity"),
    "adam": amsgrad(gs.Adam, eps=0.01),
    "adamw": amsgrad(gs.AdamW, eps=0.01),
    "eadam": amsgrad(gs.EAdam, eps=0.01),
    "padam": amsgrad(gs.Padam, eps=0.01, partial=0.25),
    "adabelief": amsgrad(gs.AdaBelief, eps_acc=0.001, eps_out=0.002),
}
LATE = {
    f"{name} late": case._replace(
        values=FROM_ZERO if case.name == "momentum" else ON_LATE
    )
    for name, case in THROUGH.items()
    if not case.options.get("nesterov")  # which must not begin without momentum
}
CASES = THROUGH | LATE
cases = pytest.mark.parametrize("name", CASES)
