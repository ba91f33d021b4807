"""Optimizers, schedulers and trainers in one file, and back, bit for bit."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from gradstep.checkpoint import container
from gradstep.optimizer import Optimizer
from gradstep.state import matched

__all__ = ["load", "save"]

Path: TypeAlias = str | os.PathLike[str]


def save(path: Path, *objects: Any) -> None:
    """Save objects to a file, whole or not at all.

    Parameters
    ----------
    path : str or path
        Written as another file beside it, which takes its place once it is on disk.
    *objects
        Optimizers, with their parameters; schedulers; `lls.Trainer`. Whatever has a
        `state_dict` of arrays, numbers, strings, lists, tuples and dicts will do.

    Raises
    ------
    TypeError, ValueError
        If an object is of another kind, or has something else in its state.
    OSError
        If the file cannot be written. What stood at `path` still does then.

    Notes
    -----
    A safetensors file: arrays with a SHA-256 of each, and all else as JSON in the
    metadata, with a SHA-256 too, which find damage, not forgery. No pickle. bfloat16 is
    BF16 there, and an array in Fortran's order is stored transposed. Needs
    ``pip install 'gradstep[checkpoint]'``.

    Examples
    --------
    >>> import numpy as np, gradstep as gs, tempfile
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.Adam(w, lr=0.1)
    >>> opt.step(2 * w)
    >>> v = np.zeros(2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gs.save(f"{folder}/run.safetensors", opt)
    ...     again = gs.Adam(v)
    ...     gs.load(f"{folder}/run.safetensors", again)
    >>> bool((v == w).all()), again.lr, again.state[0]["step"]
    (True, 0.1, 1)
    """
    container.write(path, [_exported("save", x) for x in objects])


def load(path: Path, *objects: Any) -> None:
    """Take over what `save` wrote: all of it, or nothing.

    Parameters
    ----------
    path : str or path
    *objects
        As many as were saved, of the same kinds in the same order, built as those were.
        Parameters are written in place, matched as `load_state_dict` matches states.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the file is damaged, or is not of these objects. Nothing has changed then.
    OSError
        If it cannot be read.
    """
    saved = container.read(path)
    where = f"load: {os.fspath(path)!r}"
    kinds = [type(x).__name__ for x in objects]
    found = [_kind(where, entry) for entry in saved]
    if kinds != found:
        raise ValueError(f"{where} has {_list(found)}, expected {_list(kinds)}")
    before = [_before(x) for x in objects] if len(objects) > 1 else []
    try:
        for x, entry in zip(objects, saved, strict=True):
            _take_over(where, x, entry)
    except BaseException:
        for x, then in zip(objects, before, strict=False):
            if then is not None:
                _take_over(where, x, then)
        raise


def _list(kinds: list[str]) -> str:
    return ", ".join(kinds) or "nothing"


def _exported(who: str, x: Any) -> dict[str, Any]:
    """Return all that is saved of an object."""
    if not hasattr(x, "state_dict") or not hasattr(x, "load_state_dict"):
        raise TypeError(
            f"{who}: objects must be optimizers, schedulers or trainers, got "
            f"{type(x).__name__}"
        )
    entry: dict[str, Any] = {"kind": type(x).__name__, "state": x.state_dict()}
    if isinstance(x, Optimizer):
        entry["params"] = [p.copy("K") for p in x.engine.parameters(False)]
    return entry


def _before(x: Any) -> dict[str, Any] | None:
    """Return what an object is, or None for one that has diverged."""
    try:
        return _exported("load", x)
    except (ValueError, RuntimeError):
        return None


def _kind(where: str, entry: Any) -> str:
    if not isinstance(entry, Mapping) or not {"kind", "state"} <= entry.keys():
        raise ValueError(f"{where} is not what gradstep.save writes")
    return str(entry["kind"])


def _take_over(where: str, x: Any, entry: Mapping[str, Any]) -> None:
    if not isinstance(x, Optimizer):
        x.load_state_dict(entry["state"])
        return
    _, keys = matched(where, entry["state"], x.param_groups)
    saved = entry.get("params")
    if not isinstance(saved, list):
        raise ValueError(f"{where} lacks the parameters of {type(x).__name__}")
    parameters = x.engine.parameters(False)
    for p, key in zip(parameters, keys, strict=True):
        if not isinstance(key, int) or not 0 <= key < len(saved):
            raise ValueError(f"{where} has no parameter {key!r}")
        _check_like(f"{where}: parameter {key}", saved[key], p)
    x.load_state_dict(entry["state"])
    for p, key in zip(parameters, keys, strict=True):
        np.copyto(p.view(_raw(p)), saved[key].view(_raw(p)))


def _raw(p: Any) -> Any:
    """Return a type of the same size that all arrays can be copied in."""
    return np.dtype(f"u{p.dtype.itemsize}") if p.dtype.itemsize < 16 else p.dtype


def _check_like(name: str, found: Any, p: Any) -> None:
    if not isinstance(found, np.ndarray):
        raise TypeError(f"{name} is no array, but {type(found).__name__}")
    if container.word(found.dtype) != container.word(p.dtype):
        raise ValueError(f"{name} has dtype {found.dtype}, expected {p.dtype}")
    if found.shape != p.shape:
        raise ValueError(f"{name} has shape {found.shape}, expected {p.shape}")
    if not p.flags.writeable:
        raise ValueError(f"{name} goes to an array that is read-only; pass a copy")
