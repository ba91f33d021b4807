"""What a trainer saves, checked before any of it is taken over."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradstep import dtypes
from gradstep.checks import base_array
from gradstep.lls import arguments as check
from gradstep.lls.model import Model
from gradstep.structure import Array

_MOST = 2**62  # counts that C can go on from


class Saved(NamedTuple):
    """The entries of `Trainer.state_dict`."""

    coef: Array
    offset: Array | None
    total: Array | None
    averaged: int
    n_updates: int
    counted: tuple[int, float]
    optimizer: Mapping[str, Any]


def read(who: str, state: Mapping[str, Any], model: Model, *, averages: bool) -> Saved:
    """Return the entries, each as it fits a trainer of this model."""
    for name in Saved._fields:
        if name not in state:
            raise KeyError(f"{who}: the state lacks {name!r}")
    averaged = _count(f"{who}: averaged", state["averaged"])
    total = np.zeros(model.size) if averages and averaged else None
    coef, offset, sums = (
        _array_like(f"{who}: {name}", state[name], like)
        for name, like in (
            ("coef", model.coef),
            ("offset", model.offset),
            ("total", total),
        )
    )
    counted = state["counted"]
    if not isinstance(counted, (tuple, list)) or len(counted) != 2:
        raise TypeError(f"{who}: counted must be (rows, squares), got {counted!r}")
    return Saved(
        coef,
        offset,
        sums,
        averaged,
        _count(f"{who}: n_updates", state["n_updates"]),
        (
            _count(f"{who}: counted[0]", counted[0]),
            check.number(f"{who}: counted[1]", counted[1], 0),
        ),
        state["optimizer"],
    )


def _count(name: str, value: Any) -> int:
    found = check.whole(name, value, 0)
    if found >= _MOST:
        raise ValueError(f"{name} must be below 2**62, got {found}")
    return found


def _array_like(name: str, saved: Any, like: Array | None) -> Any:
    """Return a copy of a saved array of the shape and dtype of another, or None."""
    if like is None:
        if saved is not None:
            raise ValueError(f"{name} must be None for this trainer, which has none")
        return None
    a = base_array(name, saved, "an array")
    if a.shape != like.shape or not dtypes.is_same(a.dtype, like.dtype):
        raise ValueError(
            f"{name} must be {like.dtype} of shape {like.shape}, got {a.dtype} of "
            f"shape {a.shape}"
        )
    return a.copy()
