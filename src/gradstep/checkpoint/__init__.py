"""Optimizers, schedulers and trainers in one file, and back, bit for bit."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias, overload

import numpy as np

from gradstep.checkpoint import container, files, fits
from gradstep.lls.result import Fit
from gradstep.optimizer import Optimizer
from gradstep.state import matched

__all__ = ["load", "save"]

# What torch.save is best passed, by class.
_TORCH = {
    "Optimizer": "opt.state_dict()",
    "Module": "model.state_dict()",
    "Tensor": "tensor",
}

Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def save(path: Path, *objects: Any) -> None:
    """Save objects to a file, whole or not at all.

    Parameters
    ----------
    path : str, bytes or path
        Written as another file beside it, which takes its place once it is on disk.
        Links are followed.
    *objects
        Optimizers, with their parameters; schedulers; `lls.Trainer`. Whatever has a
        `state_dict` of arrays, numbers, strings, lists, tuples and dicts will do. Or an
        `lls.Fit`, alone, which `load` returns.

    Raises
    ------
    TypeError, ValueError
        If an object is of another kind, or has something else in its state; for
        objects of torch and scikit-learn with the call that saves them.
    OSError
        If `path` is a folder, device, pipe or socket, a file that may not be written,
        or in a folder that does not exist or lets no file be created; or if the disk is
        full. What stood at `path` still does then.

    Notes
    -----
    A safetensors file: arrays with a SHA-256 of each, and all else as JSON in the
    metadata, with a SHA-256 too, which find damage, not forgery. No pickle. bfloat16 is
    BF16 there, and an array in Fortran's order is stored transposed.

    A new file has the permissions that ``umask`` leaves. One that replaces another has
    its owner, group, permissions, access list and ``user.`` attributes, as far as this
    user may set them; other hard links keep what they had. Several processes may save
    to one path, and others load from it meanwhile: each load reads what one of them
    saved.

    While it is written the file is called ``.NAME.TOKEN.gradstep-tmp``. A process that
    is killed leaves it behind, and the next save to the same path removes it.

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
    text = files.as_text("save", path)
    if len(objects) > 1 and any(isinstance(x, Fit) for x in objects):
        kinds = _list([type(x).__name__ for x in objects])
        raise TypeError(
            f"save: a Fit is saved alone, got {kinds}; save the others to another file"
        )
    container.write(text, [_exported("save", x) for x in objects])


@overload
def load(path: Path) -> Any: ...
@overload
def load(path: Path, first: Any, /, *others: Any) -> None: ...
def load(path: Path, *objects: Any) -> Any:
    """Restore what `save` wrote: all of it, or nothing.

    Parameters
    ----------
    path : str, bytes or path
        Opened once: a file that is replaced meanwhile is read as it was.
    *objects
        As many as were saved, of the same kinds in the same order, built as those were.
        Parameters are written in place, matched as `load_state_dict` matches states.
        None for a file with an `lls.Fit`.

    Returns
    -------
    lls.Fit or None
        The fit with its optimizer, if the file holds one.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the file is damaged, or is not of these objects. Nothing has changed then.
    OSError
        If it cannot be read, or is a folder, device, pipe or socket.

    Examples
    --------
    >>> import gradstep as gs, tempfile
    >>> fit = gs.lls.fit([[1.0], [2.0]], [2.0, 4.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gs.save(f"{folder}/fit.safetensors", fit)
    ...     again = gs.load(f"{folder}/fit.safetensors")
    >>> bool((again.coef == fit.coef).all())
    True
    """
    text = files.as_text("load", path)
    if any(isinstance(x, Fit) for x in objects):
        raise TypeError("load: a Fit is returned, not written to; fit = gs.load(path)")
    saved = container.read(text)
    where = f"load: {text!r}"
    kinds = [type(x).__name__ for x in objects]
    saved_kinds = [_kind(where, entry) for entry in saved]
    if saved_kinds == ["Fit"] and not kinds:
        return fits.rebuilt(where, saved[0]["state"])
    if kinds != saved_kinds:
        raise ValueError(f"{where} has {_list(saved_kinds)}, expected {_list(kinds)}")
    before = [_before(x) for x in objects] if len(objects) > 1 else []
    try:
        for x, entry in zip(objects, saved, strict=True):
            _take_over(where, x, entry)
    except BaseException:
        for x, entry in zip(objects, before, strict=False):
            if entry is not None:
                _take_over(where, x, entry)
        raise
    return None


def _list(kinds: list[str]) -> str:
    return ", ".join(kinds) or "nothing"


def _exported(who: str, x: Any) -> dict[str, Any]:
    """Return all that is saved of an object."""
    if isinstance(x, Fit):
        return fits.exported(x)
    if advice := _advice(x):
        raise TypeError(f"{who}: {type(x).__name__} is not saved here; {advice}")
    if not hasattr(x, "state_dict") or not hasattr(x, "load_state_dict"):
        raise TypeError(
            f"{who}: objects must be optimizers, schedulers or trainers, got "
            f"{type(x).__name__}"
        )
    entry: dict[str, Any] = {"kind": type(x).__name__, "state": x.state_dict()}
    if isinstance(x, Optimizer):
        entry["params"] = [p.copy("K") for p in x.engine.parameters(False)]
    return entry


def _advice(x: Any) -> str | None:
    """Return how to save what `save` does not; None for everything else."""
    bases = {(base.__module__.split(".")[0], base.__name__) for base in type(x).__mro__}
    for base, expression in _TORCH.items():
        if ("torch", base) in bases:
            return f"use torch.save({expression}, path)"
    if hasattr(x, "get_params") and hasattr(x, "fit"):
        return "use joblib.dump(x, path), as for every estimator of scikit-learn"
    if hasattr(x, "coef") and hasattr(x, "intercept") and not hasattr(x, "state_dict"):
        return "use numpy.savez(path, coef=x.coef, intercept=x.intercept)"
    return None


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
