"""Optimizers that are saved, in every rule and type."""

from typing import Any

import numpy as np

import gradstep as gs
from gradstep import lr_scheduler as lrs
from support import floats
from variants import VARIANTS

f4 = np.float32
STEPS = 5

TYPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "f32": (np.dtype(f4), {}),
    "f64": (np.dtype(float), {}),
    "f16": (np.dtype(np.float16), {}),
    "bf16": (gs.bfloat16, {}),
    "master": (gs.bfloat16, {"master": "float32"}),
    "split": (gs.bfloat16, {"master": "split", "state_dtype": "bfloat16", "seed": 2}),
    "stochastic": (gs.bfloat16, {"rounding": "stochastic", "seed": 3}),
    "uint8": (np.dtype(f4), {"state_dtype": "uint8", "seed": 4}),
}


def of_type(x: Any, dtype: Any) -> Any:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


def make(variant: str, kind: str = "f64") -> tuple[list[Any], gs.Optimizer, Any]:
    """Return parameters, an optimizer of them, and its scheduler."""
    cls, options = VARIANTS[variant]
    dtype, storage = TYPES[kind]
    params = [of_type(floats(k, n, f4), dtype) for k, n in ((1, 300), (2, 7))]
    params[0] = np.asarray(params[0].reshape(20, 15), order="F")
    opt = cls(params, **options, **storage)
    if cls is gs.Rprop:  # whose lr cannot change
        return params, opt, gs.SGD(np.ones(1))
    return params, opt, lrs.ExponentialLR(opt, 0.9)


def run(
    params: list[Any], opt: gs.Optimizer, scheduler: Any, first: int, last: int = STEPS
) -> None:
    for t in range(first, last):
        kind = np.float64 if params[0].dtype == float else f4
        grads = [floats(10 * t + k, p.size, kind) for k, p in enumerate(params)]
        opt.step([grads[0].reshape(20, 15), None if t % 3 == 2 else grads[1]])
        if not isinstance(opt, gs.Rprop):
            scheduler.step()


def image(params: list[Any], opt: gs.Optimizer) -> list[bytes]:
    kept = [np.asarray(a) for state in opt.state for a in state.values()]
    return [a.tobytes("A") for a in (*params, *kept)] + [repr(opt).encode()]


def same(a: Any, b: Any) -> bool:
    """Whether two trees are equal, arrays to the bit, and NaN to NaN."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)  # noqa: PLR0124  # NaN
