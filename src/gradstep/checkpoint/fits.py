"""An `lls.Fit` as a tree that a file can hold, and a new one from it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gradstep.lls.result import Fit
from gradstep.optimizer import OPTIMIZERS, Optimizer


def exported(fit: Fit) -> dict[str, Any]:
    """Return all that is saved of a fit.

    Raises
    ------
    TypeError
        If its optimizer is of a class that is not gradstep's.
    """
    names = [field.name for field in dataclasses.fields(fit)]
    state = {name: getattr(fit, name) for name in names}
    state["optimizer"] = _described(fit.optimizer)
    return {"kind": "Fit", "state": state}


def rebuilt(where: str, state: Any) -> Fit:
    """Return a new fit, equal to the saved one.

    Raises
    ------
    ValueError
        If the state is not one that `exported` returns.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"{where} has a Fit that is no dict")
    fields = dataclasses.fields(Fit)
    required = {f.name for f in fields if f.default is dataclasses.MISSING}
    missing_names = required - state.keys()
    unknown_names = state.keys() - {f.name for f in fields}
    if missing_names or unknown_names:
        raise ValueError(
            f"{where} has a Fit of another version of gradstep: it lacks "
            f"{sorted(missing_names)}, and {sorted(unknown_names)} are unknown here"
        )
    try:
        optimizer = _built(state["optimizer"])
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"{where} has a Fit whose optimizer cannot be built: {error}"
        ) from error
    return Fit(**{**state, "optimizer": optimizer})


def _described(optimizer: Optimizer) -> dict[str, Any]:
    """Return an optimizer's class by name, and what pickle keeps of it."""
    name = type(optimizer).__name__
    if OPTIMIZERS.get(name) is not type(optimizer):
        raise TypeError(
            f"save: the Fit's optimizer is of the class {name}, which is not "
            "gradstep's, so that load could not build it; use pickle.dump(fit, file)"
        )
    return {"class": name, "contents": optimizer.__getstate__()}


def _built(described: Mapping[str, Any]) -> Optimizer:
    optimizer_class = OPTIMIZERS[described["class"]]
    optimizer: Optimizer = optimizer_class.__new__(optimizer_class)
    optimizer.__setstate__(described["contents"])
    return optimizer
