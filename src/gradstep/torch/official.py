"""Checkpoints of the authors' own packages, told in the names of ours.

Each function takes the `state_dict` of a package, shallow copies of its dicts, and the
parameters by their keys; it changes the copies. What is ours already stays as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from gradstep.state import MODE, TRAINED

States = dict[Any, dict[str, Any]]


def _adabelief(where: str, states: Any, groups: Any, params: Mapping[Any, Any]) -> None:
    """adabelief-pytorch: one eps for both places."""
    del where, states, params
    for group in groups:
        if "eps" in group and "eps_acc" not in group:
            group["eps_acc"] = group["eps_out"] = group.pop("eps")


def _madgrad(where: str, states: Any, groups: Any, params: Mapping[Any, Any]) -> None:
    """facebookresearch/madgrad: one count for all, and no x0 without momentum."""
    del where
    count = states.pop("k", None)
    if count is None:
        return
    eps = {key: group["eps"] for group in groups for key in group["params"]}
    for key, state in states.items():
        state["step"] = float(count)
        if "x0" not in state:
            root = torch.pow(state["grad_sum_sq"].double(), 1 / 3) + eps[key]
            x0 = params[key].detach().double() + state["s"].double() / root
            state["x0"] = x0.to(state["s"].dtype)


def _adan(where: str, states: Any, groups: Any, params: Mapping[Any, Any]) -> None:
    """sail-sg/Adan, pytorch_optimizer: a count a group, the negated last gradient."""
    del where, params
    for group in groups:
        count = group.pop("step", None)
        for key in group["params"]:
            state = states.get(key, {})
            for name in ("neg_pre_grad", "previous_grad"):
                if name in state:
                    state["pre_grad"] = -state.pop(name)
            if count is not None and state:
                state["step"] = float(count)


def _schedulefree(
    where: str, states: Any, groups: Any, params: Mapping[Any, Any]
) -> None:
    """facebookresearch/schedule_free: counts and sums of each group.

    After eval() it keeps no copy of where parameters are trained: train() computes it.
    """
    del where, params
    for group in groups:
        if "k" not in group:
            continue
        counts = {name: group.pop(name) for name in ("k", "weight_sum", "lr_max")}
        for key in group["params"]:
            if key in states:
                states[key].update(
                    step=float(counts["k"]),
                    weight_sum=float(counts["weight_sum"]),
                    lr_max=max(0.0, float(counts["lr_max"])),  # -1 before a step
                )
                if not group.get(MODE, True):
                    states[key][TRAINED] = None


TRANSLATIONS: Mapping[str, Callable[[str, Any, Any, Mapping[Any, Any]], None]] = {
    "AdaBelief": _adabelief,
    "Adan": _adan,
    "MADGRAD": _madgrad,
    "ScheduleFreeAdamW": _schedulefree,
    "ScheduleFreeRAdam": _schedulefree,
    "ScheduleFreeSGD": _schedulefree,
}
