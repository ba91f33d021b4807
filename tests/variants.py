"""Every class with every option that chooses a rule; no hyperparameter is neutral."""

from typing import Any

import gradstep as gs

DECAY = {"weight_decay": 0.12, "lr": 0.03}
MEAN = DECAY | {"betas": (0.87, 0.95)}
HEAVY = DECAY | {"momentum": 0.83}
ROOT = DECAY | {"eps": 0.01}
INSIDE = {"eps_placement": "inside"}

VARIANTS: dict[str, tuple[type[gs.Optimizer], dict[str, Any]]] = {
    "sgd": (gs.SGD, DECAY),
    "momentum": (gs.SGD, HEAVY),
    "dampening": (gs.SGD, HEAVY | {"dampening": 0.21}),
    "nesterov": (gs.SGD, HEAVY | {"nesterov": True}),
    "velocity": (gs.SGD, HEAVY | {"form": "velocity"}),
    "shifted": (gs.SGD, HEAVY | {"form": "velocity", "nesterov": True}),
    "adadelta": (gs.Adadelta, ROOT | {"rho": 0.89}),
    "adagrad": (
        gs.Adagrad,
        ROOT | {"lr_decay": 0.05, "initial_accumulator_value": 0.3},
    ),
    "adagrad inside": (gs.Adagrad, ROOT | INSIDE | {"lr_decay": 0.05}),
    "adam": (gs.Adam, MEAN | ROOT),
    "adam amsgrad": (gs.Adam, MEAN | ROOT | {"amsgrad": True}),
    "adamax": (gs.Adamax, MEAN | ROOT),
    "adamw": (gs.AdamW, MEAN | ROOT),
    "adamw amsgrad": (gs.AdamW, MEAN | ROOT | {"amsgrad": True}),
    "lion": (gs.Lion, MEAN),
} | {
    f"rmsprop {momentum} {centered} {placement}": (
        gs.RMSprop,
        ROOT
        | {"alpha": 0.91, "momentum": momentum}
        | {"centered": centered, "eps_placement": placement},
    )
    for momentum in (0.0, 0.83)
    for centered in (False, True)
    for placement in ("outside", "inside")
}
