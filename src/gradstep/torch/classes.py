"""From the registry: for each optimizer of arrays, one of tensors."""

import inspect
import re
from typing import Any

import torch

from gradstep.optimizers.averaging import Averaging as AveragingArrays
from gradstep.torch.averaging import Averaging
from gradstep.torch.optimizer import INERT, Optimizer

_PARAMS = """params : iterable of tensors, of (name, tensor), or of dicts
    float32, float64, bfloat16, float16 or complex; updated in place by `step`, where
    they are on the CPU or, all together, on a CUDA device; else by way of the CPU.
"""


def made(method: Any) -> type[Optimizer]:
    """Return the class over torch tensors of one over arrays."""
    name = method.__name__
    inert = dict(INERT)
    if name in ("Adam", "AdamW"):  # in torch they are one class
        inert["decoupled_weight_decay"] = (name == "AdamW",)
    order = _order(name, method, inert)
    base = Averaging if issubclass(method, AveragingArrays) else Optimizer
    members = {
        "method": method,
        "inert": inert,
        "positional": order,
        "__module__": "gradstep.torch",
        "__doc__": _doc(method),
        "__signature__": _signature(method, order, inert),
    }
    return type(name, (base,), members)


def _order(name: str, method: Any, inert: dict[str, Any]) -> tuple[str, ...]:
    """Return the positional options: torch's, where torch has the rule."""
    theirs = getattr(torch.optim, name, None)
    if theirs is None:
        return ("lr",) if "lr" in method.options else ()
    parameters = inspect.signature(theirs).parameters.values()
    return tuple(
        p.name
        for p in parameters
        if p.kind is p.POSITIONAL_OR_KEYWORD
        and (p.name in method.options or p.name in inert)
    )


def _signature(
    method: Any, order: tuple[str, ...], inert: dict[str, Any]
) -> inspect.Signature:
    kind = inspect.Parameter
    defaults = method.default_options | {k: v[0] for k, v in inert.items()}
    first = [kind("params", kind.POSITIONAL_OR_KEYWORD)]
    first += [
        kind(name, kind.POSITIONAL_OR_KEYWORD, default=defaults[name]) for name in order
    ]
    rest = [
        kind(name, kind.KEYWORD_ONLY, default=value)
        for name, value in defaults.items()
        if name not in order
    ]
    return inspect.Signature(first + rest)


def _doc(method: Any) -> str:
    """Return the docstring of a rule, with tensors in place of arrays."""
    text = inspect.getdoc(method) or ""
    text = re.sub(r"^params : .*\n(    .*\n)+", lambda _: _PARAMS, text, flags=re.M)
    return re.sub(r"\nExamples\n-+\n.*", "\n", text, flags=re.DOTALL)
