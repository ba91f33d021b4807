"""The rules there are to time: what leads to each, and the bytes that it moves."""

import re
from typing import Any

import numpy as np

import gradstep as gs
from gradstep import _core
from gradstep.assembly import find_kernel
from gradstep.roofline import bytes_moved

DType = np.dtype[Any]
Options = dict[str, Any]

# Kernels that take no step of an optimizer: the roofline, sums, points between steps.
NO_STEP = re.compile(
    "traffic.*|norm.*|adan_moved|.*_lookahead|.*_point|sam_climb.*|schedulefree_average"
)

# How many states a step reads and leaves as they are: x0, where MADGRAD began. Every
# other state is written: in write-protected memory a step faults.
ONLY_READ = {"madgrad": 1}

ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
ADAMW = ADAM | {"weight_decay": 1e-2}
AMSGRAD = {"amsgrad": True}
CENTERED = {"centered": True}
FREE = ADAM | {"lr": 2.5e-3}
INSIDE = {"eps_placement": "inside"}
MADGRAD = {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.0, "eps": 1e-6}
MOMENTUM = {"momentum": 0.9}
RMS = {"lr": 1e-2}
SGD = {"lr": 1e-3}

# C's name of a rule: the class and its options, here and in torch. Rules to which a
# class's defaults lead need not be listed. These are torch's defaults or the authors':
# where a decay is 0 peers leave it out, and gradstep computes it even so.
RULES: dict[str, tuple[str, Options]] = {
    **{kind.rule(kind.checked({})): (name, {}) for name, kind in gs.OPTIMIZERS.items()},
    "adam": ("Adam", ADAM),
    "adamw": ("AdamW", ADAMW),
    "adam_amsgrad": ("Adam", ADAM | AMSGRAD),
    "adamw_amsgrad": ("AdamW", ADAMW | AMSGRAD),
    "sgd": ("SGD", SGD),
    "sgd_momentum": ("SGD", SGD | MOMENTUM),
    "sgd_nesterov": ("SGD", SGD | MOMENTUM | {"nesterov": True}),
    "sgd_velocity": ("SGD", SGD | MOMENTUM | {"form": "velocity"}),
    "adadelta": ("Adadelta", {"lr": 1.0}),
    "adagrad": ("Adagrad", {"lr": 1e-2}),
    "adagrad_inside": ("Adagrad", {"lr": 1e-2} | INSIDE),
    "adamax": ("Adamax", {"lr": 2e-3}),
    "rmsprop": ("RMSprop", RMS),
    "rmsprop_centered": ("RMSprop", RMS | CENTERED),
    "rmsprop_momentum": ("RMSprop", RMS | MOMENTUM),
    "rmsprop_centered_momentum": ("RMSprop", RMS | CENTERED | MOMENTUM),
    "rmsprop_inside": ("RMSprop", RMS | INSIDE),
    "rmsprop_centered_inside": ("RMSprop", RMS | CENTERED | INSIDE),
    "rmsprop_momentum_inside": ("RMSprop", RMS | MOMENTUM | INSIDE),
    "rmsprop_centered_momentum_inside": (
        "RMSprop",
        RMS | CENTERED | MOMENTUM | INSIDE,
    ),
    "lion": ("Lion", {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}),
    "rprop": ("Rprop", {"lr": 1e-2}),
    "rprop_minus": ("Rprop", {"lr": 1e-2, "variant": "rprop-"}),
    "rprop_plus": ("Rprop", {"lr": 1e-2, "variant": "rprop+"}),
    "nadam": ("NAdam", ADAM | {"lr": 2e-3}),
    "radam": ("RAdam", ADAM),
    "eadam_amsgrad": ("EAdam", AMSGRAD),
    "padam_half": ("Padam", {"partial": 0.5, "amsgrad": False}),
    "padam_quarter": ("Padam", {"partial": 0.25, "amsgrad": False}),
    "padam_eighth": ("Padam", {"partial": 0.125, "amsgrad": False}),
    "padam_amsgrad_half": ("Padam", {"partial": 0.5} | AMSGRAD),
    "padam_amsgrad_quarter": ("Padam", {"partial": 0.25} | AMSGRAD),
    "padam_amsgrad_eighth": ("Padam", {"partial": 0.125} | AMSGRAD),
    "adabelief": (
        "AdaBelief",
        {k: v for k, v in ADAM.items() if k != "eps"}
        | {"eps_acc": 1e-16, "eps_out": 1e-16, "rectify": True},
    ),
    "adabelief_amsgrad": ("AdaBelief", AMSGRAD),
    "madgrad": ("MADGRAD", MADGRAD),
    "madgrad_moving": (
        "MADGRAD",
        {"momentum": 0.0, "decouple_decay": True, "weight_decay": 1e-2},
    ),
    "mirror_madgrad": ("MirrorMADGRAD", MADGRAD | {"eps": 0.0}),
    "adan": ("Adan", ADAM | {"betas": (0.98, 0.92, 0.99)}),
    "schedulefree_sgd": ("ScheduleFreeSGD", {"lr": 1.0} | MOMENTUM),
    "schedulefree_adamw": ("ScheduleFreeAdamW", FREE),
    "schedulefree_adamw_inner": ("ScheduleFreeAdamW", FREE | {"inner_momentum": 0.9}),
    "schedulefree_radam": ("ScheduleFreeRAdam", FREE),
}


def in_build(*, two_pass: bool) -> list[str]:
    """Return the names of this build's rules, those of one pass or of two."""
    return [
        kernel.rule
        for kernel in _core.kernels()
        if kernel.dtype == "f32"
        and not NO_STEP.fullmatch(kernel.rule)
        and (kernel.sums > 0) == two_pass
    ]


def optimizer(rule: str, params: Any, **storage: Any) -> gs.Optimizer:
    """Make the optimizer that steps by this rule, with its states stored so."""
    kind, options = RULES[rule]
    made: gs.Optimizer = gs.OPTIMIZERS[kind](params, **options, **storage)
    if (found := made.rule(made.param_groups[0])) != rule:
        raise LookupError(f"{kind} {options} steps by {found}, not {rule}; see RULES")
    return made


def states_of(rule: str, dtype: DType) -> int:
    """Return how many state arrays a rule has for each parameter."""
    return len(find_kernel("params", rule, np.empty(0, dtype)).state)


def states_written(rule: str, dtype: DType) -> int:
    """Return how many of them a step writes."""
    return states_of(rule, dtype) - ONLY_READ.get(rule, 0)


def bytes_each(rule: str, dtype: DType) -> int:
    """Return the bytes that one pass moves for each element.

    All is read and written but the gradient, and states that are only read.
    """
    all_written = bytes_moved(states_of(rule, dtype), 1, dtype)
    return all_written - ONLY_READ.get(rule, 0) * dtype.itemsize


def roofline(rule: str, dtype: DType) -> tuple[str, int]:
    """Return the rule that moves the bytes of another, and how many those are.

    If this build has none that also reads without writing, it is one that moves less,
    which asks more of the rule.
    """
    read = ONLY_READ.get(rule, 0)
    written = states_of(rule, dtype) - read
    name = "traffic" + (f"_state{written}" if written else "")
    exact = name + (f"_read{read}" if read else "")
    if any(kernel.rule == exact for kernel in _core.kernels()):
        return exact, bytes_each(rule, dtype)
    return name, bytes_moved(written, 1, dtype)
