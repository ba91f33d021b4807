"""JSON as this package writes it: names once in an object, numbers finite."""

import json
import math
from typing import Any


def loads(text: str) -> Any:
    """Return what a text says.

    Raises
    ------
    ValueError
        If it is not JSON, says a name twice in an object, or has a number that is
        infinite, not a number, or beyond all floats.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"has the name {twice!r} twice in an object")
    return members


def _refuse(word: str) -> Any:
    raise ValueError(f"has {word}, which is not in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"has {text[:20]}, which is beyond all floats")
    return value
