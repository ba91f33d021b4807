"""Nested dicts, lists and tuples with arrays in them, as JSON and a dict of arrays."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstep.checkpoint import strict_json
from gradstep.checks import base_array

# What JSON has no form for is an object with one of these names and no other.
_ARRAY, _TUPLE, _ITEMS, _FLOAT = "$array", "$tuple", "$items", "$float"
_WORDS = {_ARRAY, _TUPLE, _ITEMS, _FLOAT}
_DEEPEST = 200
_DEEPEST_READ = _DEEPEST + 1  # an empty tuple is an object with a list in it
_MOST_BITS = 2000  # of an int: below every limit that Python may have on its digits


def flatten(tree: Any) -> tuple[str, dict[str, Any]]:
    """Return JSON, and the arrays that it names."""
    arrays: dict[str, Any] = {}

    def encoded(x: Any, where: str, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"save: {where} is nested too deeply")
        if isinstance(x, np.ndarray):
            return {_ARRAY: add(x, where)}
        if isinstance(x, (list, tuple)):
            parts = [
                encoded(part, within(where, k), depth + 2) for k, part in enumerate(x)
            ]
            return {_TUPLE: parts} if isinstance(x, tuple) else parts
        if isinstance(x, Mapping):
            return of_mapping(x, where, depth)
        return _scalar(x, where)

    def add(array: Any, name: str) -> str:
        if isinstance(array, np.ma.MaskedArray):
            raise TypeError(
                f"save: {name} is a masked array, and a file holds no masks; use "
                "array.filled(...)"
            )
        while name in arrays:  # names with dots may lead to the same
            name += "'"
        arrays[name] = base_array(f"save: {name}", array)
        return name

    def of_mapping(x: Mapping[Any, Any], where: str, depth: int) -> Any:
        parts = {
            key: encoded(part, within(where, key), depth + 3) for key, part in x.items()
        }
        if all(isinstance(key, str) for key in parts) and not parts.keys() & _WORDS:
            return parts
        return {
            _ITEMS: [
                [encoded(k, within(where, "key"), depth + 3), v]
                for k, v in parts.items()
            ]
        }

    def within(where: str, key: Any) -> str:
        return f"{where}.{key}" if where else str(key)

    return json.dumps(encoded(tree, ""), allow_nan=False), arrays


def _scalar(x: Any, where: str) -> Any:
    """Return what JSON has for a value that is no container."""
    if x is None or isinstance(x, (bool, str)):
        return x
    if isinstance(x, np.bool_):
        return bool(x)
    if isinstance(x, (int, np.integer)) and not isinstance(x, np.timedelta64):
        if int(x).bit_length() > _MOST_BITS:
            raise ValueError(f"save: {where} is an int of more than {_MOST_BITS} bits")
        return int(x)
    if isinstance(x, (float, np.floating)):
        value = float(x)
        if value != x and x == x:  # noqa: PLR0124  # NaN
            raise TypeError(f"save: {where} is {x!r}, which is not a float64")
        return value if math.isfinite(value) else {_FLOAT: repr(value)}
    raise TypeError(
        f"save: {where} is of type {type(x).__name__}, which a file cannot hold"
    )


def restored(text: str, arrays: Mapping[str, Any]) -> Any:
    """Return the tree again.

    Raises
    ------
    ValueError
        If the text is not what `flatten` writes, or names an array twice or one that is
        not there.
    """
    unnamed = dict(arrays)

    def decoded(x: Any, depth: int) -> Any:
        if depth > _DEEPEST_READ:
            raise ValueError("is nested too deeply")
        if isinstance(x, list):
            return [decoded(part, depth + 1) for part in x]
        if not isinstance(x, dict):
            return x
        if not x.keys() & _WORDS:
            return {key: decoded(part, depth + 1) for key, part in x.items()}
        if len(x) > 1:
            word = min(x.keys() & _WORDS)
            raise ValueError(f"has {word} beside {min(x.keys() - {word})!r}")
        ((word, value),) = x.items()
        return special(word, value, depth)

    def special(word: str, value: Any, depth: int) -> Any:
        if word == _ARRAY and isinstance(value, str) and value in unnamed:
            return unnamed.pop(value)
        if word == _FLOAT and value in ("inf", "-inf", "nan"):
            return float(value)
        if word in (_TUPLE, _ITEMS) and isinstance(value, list):
            parts = decoded(value, depth + 1)
            if word == _TUPLE:
                return tuple(parts)
            if all(isinstance(part, list) and len(part) == 2 for part in parts):
                return as_dict(parts)
        raise ValueError(f"has {word} {value!r}, which is none")

    def as_dict(parts: list[list[Any]]) -> dict[Any, Any]:
        try:
            members = dict(parts)
        except TypeError:
            raise ValueError(f"has {_ITEMS} with a key that none can be") from None
        if len(members) < len(parts):
            raise ValueError(f"has {_ITEMS} with a key twice")
        return members

    tree = decoded(strict_json.loads(text), 0)
    if unnamed:
        raise ValueError(f"has an array too many, {min(unnamed)!r}")
    return tree
