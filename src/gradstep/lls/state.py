"""What a trainer saves, checked before any of it is taken over."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradstep import dtypes
from gradstep.checks import base_array
from gradstep.lls import arguments as check
from gradstep.lls.model import Model, Scaling
from gradstep.structure import Array

_MOST = 2**62  # counts that C can go on from

# Arguments of a trainer, saved to be compared: with others, the same state would go on
# as another problem, or by other steps.
ARGUMENTS = (
    *("features", "targets", "dtype", "batch_size", "intercept", "ridge"),
    *("reduction", "average", "standardize"),
)


class Saved(NamedTuple):
    """The entries of `Trainer.state_dict` beside `ARGUMENTS`."""

    coef: Array
    offset: Array | None
    total: Array | None
    averaged: int
    n_updates: int
    counted: tuple[int, float]  # rows, and their sum of s |r|^2
    penalties: float
    scaling: Scaling | None
    optimizer: Mapping[str, Any]


def read(
    who: str, state: Mapping[str, Any], model: Model, arguments: Mapping[str, Any]
) -> Saved:
    """Return the entries, each as it fits a trainer with this model and arguments."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{who}: state must be a mapping that state_dict() returned, got "
            f"{type(state).__name__}"
        )
    for name in (*ARGUMENTS, *Saved._fields):
        if name not in state:
            raise KeyError(
                f"{who}: the state lacks {name!r}; pass what state_dict() of this "
                "version of gradstep returned"
            )
    for name in ARGUMENTS:
        _check_argument(who, name, state[name], arguments[name])
    averaged = _count(f"{who}: averaged", state["averaged"])
    has_total = arguments["average"] is not False and averaged
    coef, offset, total = (
        _array_like(f"{who}: {name}", state[name], like)
        for name, like in (
            ("coef", model.coef),
            ("offset", model.offset),
            ("total", np.zeros(model.size) if has_total else None),
        )
    )
    counted = state["counted"]
    if not isinstance(counted, (tuple, list)) or len(counted) != 2:
        raise TypeError(f"{who}: counted must be (rows, squares), got {counted!r}")
    return Saved(
        coef,
        offset,
        total,
        averaged,
        _count(f"{who}: n_updates", state["n_updates"]),
        (
            _count(f"{who}: counted[0]", counted[0]),
            _sum(f"{who}: counted[1]", counted[1]),
        ),
        _sum(f"{who}: penalties", state["penalties"]),
        _scaling(f"{who}: scaling", state["scaling"], model.scaling),
        state["optimizer"],
    )


def check_same_scaling(who: str, saved: Scaling | None, ours: Scaling) -> None:
    """Refuse a state whose features were scaled by other values than those given."""
    if saved is None:
        raise ValueError(
            f"{who}: the state was saved before means and deviations were measured, "
            "but this trainer was given some; build it with standardize=True"
        )
    for what, theirs, values in (
        ("mean", saved.mean, ours.mean),
        ("1 / deviation", saved.inverse, ours.inverse),
    ):
        if theirs is None or values is None or (theirs == values).all():
            continue
        j = int((theirs != values).argmax())
        raise ValueError(
            f"{who}: the state was saved with standardize where the {what} of column "
            f"{j} is {float(theirs[j])}, but this trainer has {float(values[j])}; "
            "build it with the former"
        )


def _check_argument(who: str, name: str, saved: Any, ours: Any) -> None:
    if type(saved) is not type(ours) or saved != ours:
        raise ValueError(
            f"{who}: the state was saved with {name}={saved!r}, but this trainer has "
            f"{name}={ours!r}; load it into a trainer that is built with the former"
        )


def _scaling(name: str, saved: Any, ours: Scaling | None) -> Scaling | None:
    """Return the saved means and deviations; None if none have been measured."""
    if saved is None:
        return None
    if ours is None:
        raise ValueError(f"{name} must be None for a trainer with standardize=False")
    if not isinstance(saved, Mapping) or set(saved) != {"mean", "inverse"}:
        raise TypeError(f"{name} must be a mapping of 'mean' and 'inverse'")
    mean = _array_like(f"{name}['mean']", saved["mean"], ours.mean)
    inverse = _array_like(f"{name}['inverse']", saved["inverse"], ours.inverse)
    for key, values in (("mean", mean), ("inverse", inverse)):
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"{name}[{key!r}] must be finite")
    if not (inverse > 0).all():
        raise ValueError(f"{name}['inverse'] must be above 0")
    return Scaling(mean, inverse)


def _count(name: str, value: Any) -> int:
    count = check.whole(name, value, 0)
    if count >= _MOST:
        raise ValueError(f"{name} must be below 2**62, got {count}")
    return count


def _sum(name: str, value: Any) -> float:
    """Return a sum of squares, which may have left the range of float64."""
    is_infinite = isinstance(value, float) and value == np.inf
    return value if is_infinite else check.number(name, value, 0)


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
