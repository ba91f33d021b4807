"""Every class with every option that chooses a rule; no hyperparameter is neutral."""

from typing import Any

import gradstep as gs

DECAY = {"weight_decay": 0.12, "lr": 0.03}
MEAN = DECAY | {"betas": (0.87, 0.95)}
HEAVY = DECAY | {"momentum": 0.83}
ROOT = DECAY | {"eps": 0.01}
DECOUPLED = {"decoupled_weight_decay": True}
OPTAX = {"eps_root": 0.007, "amsgrad": True, "like": "optax"}
BELIEF = {"eps_acc": 0.0017, "eps_out": 0.0031}
ADAN = {"betas": (0.87, 0.95, 0.93)}
FREE = {"warmup_steps": 4, "r": 0.7, "weight_lr_power": 1.6}
INSIDE = {"eps_placement": "inside"}

VARIANTS: dict[str, tuple[type[gs.Optimizer], dict[str, Any]]] = (
    {
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
        "signum": (gs.Signum, HEAVY),
    }
    | {
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
    | {
        "rprop": (
            gs.Rprop,
            {"lr": 0.3, "etas": (0.57, 1.31), "step_sizes": (0.21, 7.3)},
        ),
        "rprop-": (gs.Rprop, {"lr": 0.3, "variant": "rprop-", "etas": (0.57, 1.31)}),
        "rprop+": (gs.Rprop, {"lr": 0.3, "variant": "rprop+", "etas": (0.57, 1.31)}),
        "nadam": (gs.NAdam, MEAN | ROOT | {"momentum_decay": 0.29}),
        "nadam paper": (gs.NAdam, MEAN | ROOT | {"like": "paper"}),
        "nadam optax": (gs.NAdam, MEAN | ROOT | {"like": "optax"}),
        "nadam decoupled": (gs.NAdam, MEAN | ROOT | DECOUPLED),
        "radam": (gs.RAdam, MEAN | ROOT),
        "radam paper": (gs.RAdam, MEAN | ROOT | {"like": "paper"}),
        "radam official": (gs.RAdam, MEAN | ROOT | {"like": "official"} | DECOUPLED),
        "radam optax": (gs.RAdam, MEAN | ROOT | {"like": "optax"}),
        "eadam": (gs.EAdam, MEAN | ROOT),
        "eadam amsgrad": (gs.EAdam, MEAN | ROOT | DECOUPLED | {"amsgrad": True}),
        "adabelief": (gs.AdaBelief, MEAN | BELIEF),
        "adabelief amsgrad": (gs.AdaBelief, MEAN | BELIEF | {"amsgrad": True}),
        "adabelief plain": (gs.AdaBelief, MEAN | BELIEF | {"rectify": False}),
        "adabelief fixed": (gs.AdaBelief, MEAN | BELIEF | {"fixed_decay": True}),
        "adabelief skips": (
            gs.AdaBelief,
            MEAN | BELIEF | {"degenerated_to_sgd": False},
        ),
        "madgrad": (gs.MADGRAD, ROOT | {"momentum": 0.83}),
        "madgrad paper": (gs.MADGRAD, ROOT | {"like": "paper", "decouple_decay": True}),
        "madgrad plain": (gs.MADGRAD, ROOT | {"momentum": 0.0}),
        "madgrad moving": (
            gs.MADGRAD,
            ROOT | {"momentum": 0.0, "decouple_decay": True},
        ),
        "mirror": (gs.MirrorMADGRAD, ROOT | {"momentum": 0.83}),
        "mirror decoupled": (gs.MirrorMADGRAD, ROOT | {"decouple_decay": True}),
        "adan": (gs.Adan, ROOT | ADAN),
        "adan no prox": (
            gs.Adan,
            ROOT | ADAN | {"no_prox": True, "max_grad_norm": 0.7},
        ),
        "adan paper": (gs.Adan, ROOT | ADAN | {"like": "paper", "restart_radius": 3.0}),
        "schedulefree sgd": (gs.ScheduleFreeSGD, HEAVY | FREE),
        "schedulefree at z": (gs.ScheduleFreeSGD, HEAVY | FREE | {"decay_at": "z"}),
        "schedulefree adamw": (gs.ScheduleFreeAdamW, MEAN | ROOT | FREE),
        "schedulefree first": (gs.ScheduleFreeAdamW, MEAN | ROOT | {"like": "first"}),
        "schedulefree inner": (
            gs.ScheduleFreeAdamW,
            MEAN | FREE | {"inner_momentum": 0.7},
        ),
        "schedulefree radam": (gs.ScheduleFreeRAdam, MEAN | ROOT | {"r": 0.7}),
        "schedulefree loud": (gs.ScheduleFreeRAdam, MEAN | {"silent_sgd_phase": False}),
        "lamb": (gs.LAMB, MEAN | ROOT | {"max_grad_norm": 1.3}),
        "lamb coupled": (gs.LAMB, MEAN | ROOT | {"decoupled_weight_decay": False}),
        "lars": (gs.LARS, HEAVY | {"trust_coefficient": 0.13}),
        "lars sum": (gs.LARS, HEAVY | {"norm": "sum", "form": "buffer", "eps": 0.01}),
        "adai": (gs.Adai, ROOT | {"betas": (0.13, 0.95)}),
        "adai decoupled": (gs.Adai, ROOT | DECOUPLED),
    }
    | {
        f"padam {power} {amsgrad}": (
            gs.Padam,
            MEAN | ROOT | {"partial": power, "amsgrad": amsgrad},
        )
        for power in (0.5, 0.25, 0.125)
        for amsgrad in (True, False)
    }
)

# Steps that depend on sums over arrays, which are taken in the order of memory.
SUMMING = {
    *("adan no prox", "adan paper", "lamb", "lamb coupled", "lars", "lars sum"),
    *("adai", "adai decoupled"),
}
