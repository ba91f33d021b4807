"""What a scheduler's state says of the caller's functions, and what it restores.

A function cannot be saved, so a state describes it: by its name without the scopes
around it, by the arguments of a `functools.partial`, and by default and captured
numbers. As in torch, the attributes of callable objects are saved and restored.
"""

import contextlib
import copy
import functools
import hashlib
import numbers
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gradstep.schedules import Schedule
from gradstep.schedules.schedule import arguments_of
from gradstep.state import check_type

_LONGEST = 64  # of what longer sequences have, a state has a digest

Path: TypeAlias = tuple[int, ...]  # of what is being described, which may hold itself
# Where a state and a scheduler differ, and what stands there in either.
Difference: TypeAlias = tuple[str, Any, Any]


def describe(x: Any, path: Path = ()) -> Any:
    """Return a tree of dicts, lists, numbers and strings that says what x is."""
    inner = (*path, id(x))
    description: Any = {"type": type(x).__name__}
    if x is None or isinstance(x, (bool, int, float, str)):
        description = x
    elif isinstance(x, (np.generic, np.ndarray)) and x.dtype.kind in "biuf":
        description = _shortened(x.tolist())
    elif id(x) in path:
        pass
    elif isinstance(x, Schedule):
        arguments = describe(arguments_of(x), inner)
        description = {"schedule": type(x).__name__, "arguments": arguments}
    elif callable(x):
        description = _describe_function(x, inner)
    elif isinstance(x, (list, tuple)):
        description = _shortened([describe(part, inner) for part in x])
    elif isinstance(x, Mapping):
        parts = {str(key): describe(part, inner) for key, part in x.items()}
        description = _shortened(parts)
    return description


def _shortened(parts: Any) -> Any:
    """Return a description, or the digest of a long one."""
    if not isinstance(parts, (list, dict)) or len(parts) <= _LONGEST:
        return parts
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    return {"length": len(parts), "sha256": digest}


def _describe_function(fn: Any, path: Path) -> dict[str, Any]:
    if isinstance(fn, functools.partial):
        return {
            "partial": describe(fn.func, path),
            "args": describe(fn.args, path),
            "keywords": describe(fn.keywords, path),
        }
    if isinstance(fn, types.FunctionType):
        return {
            "function": fn.__name__,
            "defaults": _plain_only(_defaults(fn)),
            "captured": _plain_only(_captured(fn)),
        }
    owner = getattr(fn, "__self__", None)
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        return {"method": fn.__name__, "of": describe(owner, path)}
    if hasattr(fn, "__wrapped__"):
        return {"wrapper of": describe(fn.__wrapped__, path)}
    if isinstance(fn, type) or not _has_attributes(fn):
        return {"function": getattr(fn, "__name__", type(fn).__name__)}
    return {"object": type(fn).__name__}


def _defaults(fn: types.FunctionType) -> dict[str, Any]:
    """Return default values by the names of their parameters."""
    values = fn.__defaults__ or ()
    count = fn.__code__.co_argcount
    names = fn.__code__.co_varnames[count - len(values) : count]
    return dict(zip(names, values, strict=True)) | (fn.__kwdefaults__ or {})


def _captured(fn: types.FunctionType) -> dict[str, Any]:
    """Return the variables of enclosing functions that a function refers to."""
    values = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            values[name] = cell.cell_contents
    return values


def _plain_only(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in values.items() if _is_constant(x)}


def _is_constant(x: Any) -> bool:
    if isinstance(x, tuple):
        return all(map(_is_constant, x))
    return x is None or isinstance(x, (bool, int, float, str))


def difference(path: str, saved: Any, ours: Any) -> Difference | None:
    """Return where two descriptions first differ."""
    if isinstance(saved, Mapping) and isinstance(ours, Mapping):
        names = list(dict.fromkeys([*saved, *ours]))
        if path.endswith((".defaults", ".captured")):
            # A function that has moved captures what was global before.
            names = [name for name in names if name in saved and name in ours]
        for name in names:
            if name not in saved or name not in ours:
                return f"{path}.{name}", saved.get(name), ours.get(name)
        parts = [(f"{path}.{name}", saved[name], ours[name]) for name in names]
    elif _is_list(saved) and _is_list(ours) and len(saved) == len(ours):
        pairs = enumerate(zip(saved, ours, strict=True))
        parts = [(f"{path}[{i}]", one, other) for i, (one, other) in pairs]
    else:
        return None if _equal(saved, ours) else (path, saved, ours)
    return next(filter(None, (difference(*part) for part in parts)), None)


def _is_list(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, numbers.Real) and isinstance(b, numbers.Real):
        same_kind = isinstance(a, bool) == isinstance(b, bool)
        return same_kind and bool(a == b or (a != a and b != b))  # noqa: PLR0124  # NaN
    return type(a) is type(b) and bool(a == b)


# -- attributes of callable objects


def objects(x: Any, path: Path = ()) -> Iterator[Any]:
    """Yield the callable objects within schedules and functions, in a fixed order."""
    parts: Sequence[Any] = ()
    if id(x) in path:
        return
    if isinstance(x, Schedule):
        parts = list(arguments_of(x).values())
    elif isinstance(x, functools.partial):
        parts = [x.func, *x.args, *x.keywords.values()]
    elif isinstance(x, (list, tuple)):
        parts = x
    elif isinstance(x, types.MethodType):
        if _has_attributes(x.__self__):
            yield x.__self__
    elif callable(x) and _has_attributes(x):
        yield x
    for part in parts:
        yield from objects(part, (*path, id(x)))


def _has_attributes(x: Any) -> bool:
    """Return whether x is an instance of a class of the caller's."""
    functions = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
    if isinstance(x, (*functions, np.ufunc, type)):
        return False
    return hasattr(x, "__dict__") or bool(_slots(x))


def _slots(x: Any) -> list[str]:
    """Return the names in ``__slots__`` that have a value."""
    names = [
        name
        for cls in type(x).__mro__
        for name in _as_tuple(vars(cls).get("__slots__", ()))
    ]
    return [name for name in names if name != "__dict__" and hasattr(x, name)]


def _as_tuple(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _values(x: Any) -> dict[str, Any]:
    return {name: getattr(x, name) for name in _slots(x)} | getattr(x, "__dict__", {})


def _assign(x: Any, values: Mapping[str, Any]) -> None:
    """Set attributes past `__setattr__`, which a frozen dataclass refuses."""
    slots = _slots(x)
    for name, value in values.items():
        if name in slots:
            object.__setattr__(x, name, value)
        else:
            vars(x)[name] = value


def attributes(x: Any) -> dict[str, Any] | None:
    """Return copies of an object's attributes; None if a file could not hold them.

    Half of the attributes would make another object than either.
    """
    values = _values(x)
    if "__wrapped__" in values or not _is_plain(values):
        return None
    return copy.deepcopy(values)


def _is_plain(x: Any, path: Path = ()) -> bool:
    """Return whether a file can hold x: numbers, strings, arrays, and what has them."""
    if isinstance(x, (list, tuple, dict)):
        parts = [*x, *x.values()] if isinstance(x, dict) else x
        inner = (*path, id(x))
        return id(x) not in path and all(_is_plain(part, inner) for part in parts)
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind in "biuf"
    return x is None or isinstance(x, (bool, int, float, str))


def restore(where: str, saved: Any, targets: Sequence[Any]) -> Callable[[], None]:
    """Put saved attributes into callable objects; return a function that undoes it."""
    check_type(where, saved, Sequence)
    if len(saved) != len(targets):
        raise ValueError(
            f"{where} are of {len(saved)} callable objects, expected {len(targets)}"
        )
    for i, values in enumerate(saved):
        if values is not None:
            check_type(f"{where}[{i}]", values, Mapping)
    before = [(x, _values(x)) for x in targets]

    def undo() -> None:
        for x, values in before:
            getattr(x, "__dict__", {}).clear()
            _assign(x, values)

    try:
        for x, values in zip(targets, saved, strict=True):
            if values is not None:
                _assign(x, copy.deepcopy(dict(values)))
    except BaseException:
        undo()
        raise
    return undo
