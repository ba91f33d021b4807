"""Every default of every public signature, in one table.

Those of schedules and schedulers are in test_lr_scheduler_boundaries.py.
"""

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import analysis, functional, lls
from gradstep.minimization.stopping import Options
from gradstep.sklearn import LLSRegressor

nothing = inspect.Parameter.empty

_COMMON = {
    "maximize": False,
    "master": None,
    "rounding": "nearest",
    "state_dtype": None,
    "seed": 0,
}
_BETAS = (0.9, 0.999)
_ADAM = {"lr": 1e-3, "betas": _BETAS, "eps": 1e-8, "weight_decay": 0.0}
_CORRECTED = {
    "eps_root": 0.0,
    "eps_hat": False,
    "bias_correction": True,
    "amsgrad": False,
    "like": "torch",
}
_MADGRAD = {"momentum": 0.9, "weight_decay": 0.0, "decouple_decay": False}
_FREE = {
    "betas": _BETAS,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decay_at": "y",
    "r": 0.0,
    "weight_lr_power": 2.0,
}

OPTIMIZERS: dict[Any, dict[str, Any]] = {
    gs.SGD: {
        "lr": 1e-3,
        "momentum": 0.0,
        "dampening": 0.0,
        "dampen_first": False,
        "weight_decay": 0.0,
        "decoupled_weight_decay": False,
        "nesterov": False,
        "form": "buffer",
    },
    gs.Adadelta: {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0},
    gs.Adagrad: {
        "lr": 1e-2,
        "lr_decay": 0.0,
        "weight_decay": 0.0,
        "initial_accumulator_value": 0.0,
        "eps": 1e-10,
        "eps_placement": "outside",
    },
    gs.Adam: _ADAM | _CORRECTED,
    gs.AdamW: _ADAM | _CORRECTED | {"weight_decay": 1e-2, "fixed_decay": False},
    gs.Adamax: _ADAM | {"lr": 2e-3, "decoupled_weight_decay": False},
    gs.NAdam: _ADAM
    | {
        "lr": 2e-3,
        "decoupled_weight_decay": False,
        "momentum_decay": 4e-3,
        "like": "torch",
    },
    gs.RAdam: _ADAM | {"decoupled_weight_decay": False, "like": "torch"},
    gs.EAdam: _ADAM | {"decoupled_weight_decay": False, "amsgrad": False},
    gs.Padam: _ADAM
    | {
        "lr": 0.1,
        "decoupled_weight_decay": False,
        "partial": 0.25,
        "amsgrad": True,
        "like": "official",
    },
    gs.AdaBelief: {
        "lr": 1e-3,
        "betas": _BETAS,
        "eps_acc": 1e-16,
        "eps_out": 1e-16,
        "weight_decay": 0.0,
        "weight_decouple": True,
        "fixed_decay": False,
        "rectify": True,
        "degenerated_to_sgd": True,
        "amsgrad": False,
        "like": "official",
    },
    gs.Adai: {
        "lr": 1.0,
        "betas": (0.1, 0.99),
        "eps": 1e-3,
        "weight_decay": 0.0,
        "decoupled_weight_decay": False,
    },
    gs.Adan: {
        "lr": 1e-3,
        "betas": (0.98, 0.92, 0.99),
        "eps": 1e-8,
        "weight_decay": 0.0,
        "no_prox": False,
        "max_grad_norm": 0.0,
        "restart_radius": 0.0,
        "like": "official",
    },
    gs.Lion: {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0},
    gs.Signum: {"lr": 1e-4, "momentum": 0.9, "weight_decay": 0.0},
    gs.RMSprop: {
        "lr": 1e-2,
        "alpha": 0.99,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "momentum": 0.0,
        "nesterov": False,
        "form": "buffer",
        "centered": False,
        "eps_placement": "outside",
        "bias_correction": False,
        "initial_accumulator_value": 0.0,
    },
    gs.Rprop: {
        "lr": 1e-2,
        "etas": (0.5, 1.2),
        "step_sizes": (1e-6, 50.0),
        "variant": "irprop-",
    },
    gs.MADGRAD: {"lr": 1e-2, **_MADGRAD, "eps": 1e-6, "like": "official"},
    gs.MirrorMADGRAD: {"lr": 1e-2, **_MADGRAD, "eps": 0.0},
    gs.LAMB: {
        "lr": 1e-3,
        "betas": _BETAS,
        "eps": 1e-6,
        "weight_decay": 1e-2,
        "decoupled_weight_decay": True,
        "bias_correction": True,
        "adapt": True,
        "max_grad_norm": 0.0,
    },
    gs.LARS: {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "trust_coefficient": 1e-3,
        "eps": 0.0,
        "norm": "parts",
        "form": "velocity",
        "adapt": True,
    },
    gs.ScheduleFreeSGD: {
        "lr": 1.0,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "decay_at": "y",
        "warmup_steps": 0,
        "r": 0.0,
        "weight_lr_power": 2.0,
    },
    gs.ScheduleFreeAdamW: {
        "lr": 2.5e-3,
        **_FREE,
        "warmup_steps": 0,
        "inner_momentum": 0.0,
        "like": "official",
    },
    gs.ScheduleFreeRAdam: {"lr": 2.5e-3, **_FREE, "silent_sgd_phase": True},
    gs.SAM: {"base": nothing, "rho": 0.05, "adaptive": False},
    gs.ScheduleFree: {
        "base": nothing,
        "momentum": 0.9,
        "weight_decay_at_y": 0.0,
        "r": 0.0,
        "weight_lr_power": 2.0,
    },
}
SIGNATURES: dict[Any, dict[str, Any]] = {
    kind: {"params": nothing, **options, **_COMMON}
    for kind, options in OPTIMIZERS.items()
} | {
    gs.Optimizer: {"params": nothing, **_COMMON},
    gs.Optimizer.step: {"self": nothing, "grads": nothing, "how": nothing},
    gs.Optimizer.zero_grad: {"self": nothing, "set_to_none": True},
    gs.ScheduleFreeSGD.eval_params: {"self": nothing, "out": None},
    gs.empty: {"shape": nothing, "dtype": np.float64},
    gs.zeros: {"shape": nothing, "dtype": np.float64},
    gs.minimize: {
        "optimizer": nothing,
        "scheduler": None,
        "hyperparameters": nothing,
    },
    gs.load: {"path": nothing, "objects": nothing},
    gs.save: {"path": nothing, "objects": nothing},
    gs.set_num_threads: {"n": nothing},
    gs.to_bfloat16: {"values": nothing},
    gs.from_bfloat16: {"array": nothing},
    functional.init: {"method": nothing, "params": nothing, "options": nothing},
    functional.step: {
        "method": nothing,
        "params": nothing,
        "grads": nothing,
        "state": nothing,
        "t": nothing,
        "options": nothing,
    },
    lls.fit: {
        "X": nothing,
        "y": None,
        "optimizer": None,
        "batch_size": None,
        "epochs": None,
        "intercept": False,
        "ridge": 0.0,
        "sample_weight": None,
        "reduction": "sum",
        "standardize": None,
        "shuffle": "auto",
        "seed": 0,
        "order": None,
        "scheduler": None,
        "schedule_by": "epoch",
        "average": False,
        "validation": None,
        "tol": None,
        "patience": 5,
        "callback": None,
        "callback_every": None,
        "progress": False,
        "coef0": None,
        "intercept0": None,
    },
    lls.Trainer: {
        "features": nothing,
        "targets": None,
        "optimizer": nothing,
        "dtype": np.float64,
        "batch_size": 256,
        "intercept": False,
        "ridge": 0.0,
        "reduction": "sum",
        "average": False,
        "coef0": None,
        "intercept0": None,
        "standardize": False,
    },
    lls.solve: {
        "X": nothing,
        "y": None,
        "method": None,
        "intercept": False,
        "ridge": 0.0,
        "sample_weight": None,
        "rcond": None,
    },
    lls.max_stable_lr: {
        "X": nothing,
        "batch_size": None,
        "reduction": "sum",
        "intercept": False,
        "sample_weight": None,
        "batches": 16,
        "seed": 0,
    },
    lls.NpyFile: {"X": nothing, "y": nothing, "sample_weight": None},
    lls.ParquetFile: {
        "path": nothing,
        "target": nothing,
        "features": None,
        "sample_weight": None,
    },
    LLSRegressor: {
        "alpha": 0.0,
        "fit_intercept": True,
        "optimizer": None,
        "lr": None,
        "batch_size": None,
        "max_iter": None,
        "tol": None,
        "standardize": None,
        "average": False,
        "shuffle": "auto",
        "early_stopping": False,
        "validation_fraction": 0.1,
        "n_iter_no_change": 5,
        "scheduler": None,
        "warm_start": False,
        "random_state": None,
    },
    analysis.check_gradient: {
        "fun": nothing,
        "grad": nothing,
        "x": nothing,
        "rtol": 1e-5,
    },
    analysis.classify_critical_point: {"hessian": nothing, "rtol": 1e-10},
    analysis.is_convex_on_samples: {
        "fun": nothing,
        "low": nothing,
        "high": nothing,
        "n": 1024,
        "seed": 0,
        "rtol": 1e-9,
    },
}
names = pytest.mark.parametrize("call", SIGNATURES, ids=lambda x: x.__qualname__)


@names
def test_arguments_have_these_names_in_this_order_and_these_defaults(call: Any) -> None:
    parameters = [
        p
        for p in inspect.signature(call).parameters.values()
        if not p.name.startswith("_")
    ]
    assert {p.name: p.default for p in parameters} == SIGNATURES[call]
    assert all(type(p.default) is type(SIGNATURES[call][p.name]) for p in parameters)
    if call not in OPTIMIZERS:  # whose order is that of their classes' options
        assert [p.name for p in parameters] == list(SIGNATURES[call])


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda x: x.__name__)
def test_a_new_optimizer_has_the_defaults_of_its_signature(kind: Any) -> None:
    base = {"base": gs.SGD} if OPTIMIZERS[kind].get("base") else {}
    optimizer = kind(np.ones(2), **base)
    expected = {k: v for k, v in (OPTIMIZERS[kind] | _COMMON).items() if k != "base"}
    assert dict(optimizer.defaults) == expected
    (group,) = optimizer.param_groups
    assert {k: group[k] for k in expected} == expected


def test_options_of_minimize_have_these_defaults() -> None:
    assert {x.name: x.default for x in fields(Options)} == {
        "maxiter": 15000,
        "maxfev": None,
        "gtol": 1e-5,
        "xtol": 0.0,
        "ftol": 0.0,
        "eps": 2.0**-26,
        "disp": False,
    }


def test_every_public_call_is_in_the_table() -> None:
    """Of those that take arguments, and are no results."""
    results = {"Fit", "Solution", "Progress", "DivergenceError", "ConvergenceWarning"}
    results |= {"PrecisionWarning", "Chord", "Convexity", "CriticalPoint"}
    results |= {"GradientCheck", "NonFiniteError"}
    without_arguments = {"build_config", "get_include", "get_num_threads", "isa"}
    for module in (gs, lls, functional, analysis):
        for name in set(module.__all__) - results - without_arguments:
            call = getattr(module, name)
            if callable(call) and not inspect.ismodule(call):
                assert call in SIGNATURES, name
