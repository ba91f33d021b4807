"""Nested dicts, lists and tuples with arrays in them, as JSON and a dict of arrays."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstep.checks import base_array

# What JSON has no form for is a dict with one of these keys alone.
_ARRAY, _TUPLE, _ITEMS, _FLOAT = "$array", "$tuple", "$items", "$float"
_WORDS = {_ARRAY, _TUPLE, _ITEMS, _FLOAT}
_DEEPEST = 200


def flatten(tree: Any) -> tuple[str, dict[str, Any]]:
    """Return JSON, and the arrays that it names."""
    arrays: dict[str, Any] = {}

    def coded(x: Any, where: str, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"save: {where} is nested too deeply")
        if isinstance(x, np.ndarray):
            while where in arrays:  # names with dots may lead to the same
                where += "'"
            arrays[where] = base_array(f"save: {where}", x)
            return {_ARRAY: where}
        if x is None or isinstance(x, (bool, str)):
            return x
        if isinstance(x, (int, np.integer)) and not isinstance(x, np.timedelta64):
            return int(x)
        if isinstance(x, (float, np.floating)):
            value = float(x)
            return value if math.isfinite(value) else {_FLOAT: repr(value)}
        if isinstance(x, (list, tuple)):
            parts = [
                coded(part, within(where, k), depth + 2) for k, part in enumerate(x)
            ]
            return {_TUPLE: parts} if isinstance(x, tuple) else parts
        if isinstance(x, Mapping):
            return of_mapping(x, where, depth)
        raise TypeError(
            f"save: {where} is of type {type(x).__name__}, which a file cannot hold"
        )

    def of_mapping(x: Mapping[Any, Any], where: str, depth: int) -> Any:
        parts = {
            key: coded(part, within(where, key), depth + 3) for key, part in x.items()
        }
        if all(isinstance(key, str) for key in parts) and not parts.keys() & _WORDS:
            return parts
        return {
            _ITEMS: [
                [coded(k, within(where, "key"), depth), v] for k, v in parts.items()
            ]
        }

    def within(where: str, key: Any) -> str:
        return f"{where}.{key}" if where else str(key)

    return json.dumps(coded(tree, ""), allow_nan=False), arrays


def restored(text: str, arrays: Mapping[str, Any]) -> Any:
    """Return the tree again.

    Raises
    ------
    ValueError
        If the text is not what `flatten` writes, or names an array twice or one that is
        not there.
    """
    left = dict(arrays)

    def decoded(x: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("is nested too deeply")
        if isinstance(x, list):
            return [decoded(part, depth + 1) for part in x]
        if not isinstance(x, dict):
            return x
        if len(x) != 1 or not x.keys() <= _WORDS:
            return {key: decoded(part, depth + 1) for key, part in x.items()}
        ((word, value),) = x.items()
        return special(word, value, depth)

    def special(word: str, value: Any, depth: int) -> Any:
        if word == _ARRAY and isinstance(value, str) and value in left:
            return left.pop(value)
        if word == _FLOAT and value in ("inf", "-inf", "nan"):
            return float(value)
        if word in (_TUPLE, _ITEMS) and isinstance(value, list):
            parts = decoded(value, depth + 1)
            if word == _TUPLE:
                return tuple(parts)
            if all(isinstance(part, list) and len(part) == 2 for part in parts):
                return dict(parts)
        raise ValueError(f"has {word} {value!r}, which is none")

    try:
        found = decoded(json.loads(text), 0)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"is not readable: {error}") from None
    if left:
        raise ValueError(f"has an array too many, {min(left)!r}")
    return found
