"""Arrays in few bits: made, and read, by the reference's codes."""

from typing import Any

import numpy as np
import pytest

import gradstep as gs
from reference import codes

Array = Any
f4, u2 = np.float32, np.uint16

NEAREST = {"bf16": codes.bfloat16_nearest, "f16": codes.float16_nearest}
VALUES = {"bf16": codes.bfloat16_values, "f16": codes.float16_values}
DTYPES = {"bf16": gs.bfloat16, "f16": np.dtype(np.float16)}
STORAGES = [
    ("bf16", {}),
    ("f16", {}),
    ("bf16", {"master": "float32"}),
    ("f16", {"master": "float32"}),
    ("bf16", {"master": "split"}),
    ("bf16", {"rounding": "stochastic", "seed": 7}),
    ("bf16", {"state_dtype": "bfloat16", "seed": 5, "master": "split"}),
    ("bf16", {"state_dtype": "uint8", "seed": 5, "master": "float32"}),
    ("f32", {"state_dtype": "bfloat16", "seed": 6}),
    ("f32", {"state_dtype": "uint8"}),
]
storages = pytest.mark.parametrize(("code", "options"), STORAGES)


def coded(x: Array, code: str) -> Array:
    """Return float32 numbers in a code, in a type that optimizers take."""
    if code == "f32":
        return x.astype(f4)
    return NEAREST[code](x.ravel()).view(DTYPES[code]).reshape(x.shape)


def value(a: Array) -> Array:
    """Return the float32 numbers of such an array."""
    for code, dtype in DTYPES.items():
        if a.dtype == dtype:
            return VALUES[code](a.view(u2).ravel()).reshape(a.shape)
    return a.astype(f4)


def image(opt: gs.Optimizer) -> list[bytes]:
    params = [p for group in opt.param_groups for p in group["params"]]
    states = [
        a if isinstance(a, np.ndarray) else np.array(a)
        for state in opt.state
        for a in state.values()
    ]
    return [a.tobytes() for a in (*params, *states)]
