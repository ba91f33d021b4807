"""What torch and the official packages call the states of the rules."""

from collections.abc import Mapping

from gradstep.storage import SCALE

_MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq", "vmax": "max_exp_avg_sq"}

# Where a rule's own name stands, that of its C header is taken.
STATES: Mapping[str, Mapping[str, str]] = {
    "AdaBelief": {"m": "exp_avg", "s": "exp_avg_var", "smax": "max_exp_avg_var"},
    "Adadelta": {"v": "square_avg", "u": "acc_delta"},
    "Adam": _MOMENTS,
    "AdamW": _MOMENTS,
    "Adamax": {"m": "exp_avg", "u": "exp_inf"},
    "Adan": {
        "m": "exp_avg",
        "w": "exp_avg_diff",
        "n": "exp_avg_sq",
        "prev": "pre_grad",
    },
    "EAdam": _MOMENTS,
    "LAMB": _MOMENTS,
    "LARS": {"b": "momentum_buffer"},
    "Lion": {"m": "exp_avg"},
    "MADGRAD": {"v": "grad_sum_sq", "s": "s", "x0": "x0"},
    "MirrorMADGRAD": {"v": "grad_sum_sq", "z": "z"},
    "NAdam": _MOMENTS,
    "Padam": _MOMENTS,
    "RAdam": _MOMENTS,
    "RMSprop": {"v": "square_avg", "gbar": "grad_avg", "b": "momentum_buffer"},
    "SGD": {"b": "momentum_buffer"},
    "ScheduleFreeAdamW": {"v": "exp_avg_sq"},
    "ScheduleFreeRAdam": {"v": "exp_avg_sq"},
    "Signum": {"m": "momentum_buffer"},
}

# torch counts no steps of these: a buffer that is there has taken one.
UNCOUNTED = frozenset({"SGD"})


def state_name(method: str, name: str) -> str:
    """Return what a state array of an optimizer is called in `optimizer.state`."""
    whole = name.removesuffix(SCALE)
    return STATES.get(method, {}).get(whole, whole) + name[len(whole) :]
