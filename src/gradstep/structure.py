"""How parameters are handed over, and gradients in the same structure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep import checks

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = Array | Iterable[Array] | Mapping[str, Array]
Params: TypeAlias = Arrays | Iterable[Mapping[str, Any]]
Gradients: TypeAlias = Array | Iterable[Array | None] | Mapping[str, Array | None]
Grads: TypeAlias = Gradients | Iterable[Gradients]  # the latter for groups


@dataclass(frozen=True)
class Bundle:
    """The arrays of one group, and where each name is if they came in a mapping."""

    arrays: tuple[Any, ...]
    names: dict[str, int] | None
    single: bool

    def suffixes(self) -> tuple[str, ...]:
        """How to index each array in what the user passed: '', '[3]' or "['w']"."""
        if self.single:
            return ("",)
        keys: Iterable[object] = self.names or range(len(self.arrays))
        return tuple(f"[{key!r}]" for key in keys)

    def rebuilt(self, arrays: Sequence[Any]) -> Any:
        """Return arrays, one for each of ours, in the structure that was passed."""
        if self.single:
            return arrays[0]
        if self.names is not None:
            return dict(zip(self.names, arrays, strict=True))
        return list(arrays)

    def flatten(self, where: str, grads: Any) -> tuple[Any, ...]:
        """Return gradients of this structure in the order of the arrays."""
        if self.single:
            return (grads,)
        return checks.ordered(where, self.names, len(self.arrays), grads)


def bundle(owner: str, params: object) -> Bundle:
    """Take an array, a mapping or a list of arrays apart."""
    if isinstance(params, np.ndarray):
        return Bundle((params,), None, True)
    if isinstance(params, Mapping):
        for name in params:
            if not isinstance(name, str):
                raise TypeError(
                    f"{owner}: a parameter's name must be str, got {name!r}"
                )
        names = {name: i for i, name in enumerate(params)}
        return Bundle(tuple(params.values()), names, False)
    if isinstance(params, Iterable) and not isinstance(params, str):
        return Bundle(tuple(params), None, False)
    raise TypeError(
        f"{owner}: params must be an array, a list or dict of arrays, or a list of "
        f"groups, got {type(params).__name__}"
    )


def as_groups(owner: str, params: object) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the parameter groups, and whether there is one only for lack of groups."""
    if isinstance(params, (np.ndarray, Mapping, str)) or not isinstance(
        params, Iterable
    ):
        return [{"params": params}], True
    found: list[Any] = list(params)  # once, since it may be a generator
    if not any(isinstance(x, Mapping) for x in found):
        return [{"params": found}], True
    for j, group in enumerate(found):
        check_group(f"{owner}: params[{j}]", group)
    return found, False


def check_group(where: str, group: object) -> None:
    """Check that a group is a mapping with arrays."""
    if not isinstance(group, Mapping) or "params" not in group:
        got = sorted(group) if isinstance(group, Mapping) else type(group).__name__
        raise TypeError(f"{where} must be a dict with the key 'params', got {got}")
