"""Hyperparameters in param_groups, numbers or tensors: read, written and compared."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.hyper import is_real


def is_tensor(value: object) -> bool:
    """Return whether a value is a tensor of torch, without loading torch."""
    torch: Any = sys.modules.get("torch")
    return hasattr(torch, "Tensor") and isinstance(value, torch.Tensor)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, or a tensor of one such number."""
    if is_tensor(value):
        return bool(value.numel() == 1 and value.is_floating_point())
    return is_real(value)


def part_of(group: Mapping[str, Any], key: str, part: int | None) -> Any:
    """Return a hyperparameter of a group, or a part of one, as it is there."""
    return group[key] if part is None else group[key][part]


def as_number(where: str, value: Any) -> float:
    """Return a hyperparameter as a float, or raise; a tensor on a device is waited for.

    It may be negative, infinite or NaN.
    """
    if type(value) is float:
        return value
    if not is_number(value):
        raise TypeError(f"{where} must be a number, got {type(value).__name__}")
    try:
        return float(value.detach() if is_tensor(value) else value)
    except OverflowError:  # an int beyond all floats
        return math.inf if value > 0 else -math.inf


class Mark:
    """What a scheduler wrote last, to see later whether it still stands there.

    A tensor is compared by its identity and count of writes (``Tensor._version``), so
    that a step does not wait for the device that it is on.
    """

    __slots__ = ("entry", "number", "origin", "tensor", "version")

    entry: float  # what stood here before the scheduler
    number: float  # what is read back: a tensor rounds to its dtype
    origin: float  # what stood here before all schedulers
    tensor: Any
    version: int | None

    def __init__(self, number: float, origin: float, value: Any = None) -> None:
        self.origin = self.entry = origin
        self.update(number, value)

    def update(self, number: float, value: Any = None) -> None:
        """Note what was written, and the tensor it was written to, if it is one."""
        self.number = number
        self.tensor = value if is_tensor(value) else None
        self.version = None if self.tensor is None else _version(self.tensor)

    def stands(self, value: Any) -> bool:
        """Return whether a hyperparameter has the value that was written."""
        if (
            self.version is not None
            and value is self.tensor
            and _version(value) == self.version
        ):
            return True
        return is_number(value) and as_number("", value) == self.number


def _version(tensor: Any) -> int | None:
    """Return the count of writes to a tensor, where torch keeps one."""
    return None if tensor.is_inference() else int(tensor._version)  # noqa: SLF001


def rounded(value: Any, number: float) -> float:
    """Return what a hyperparameter will be read as once a number is written to it."""
    if not is_tensor(value):
        return number
    torch: Any = sys.modules["torch"]
    return float(torch.tensor(number, dtype=value.dtype, device="cpu"))


def write_all(changes: Sequence[tuple[dict[str, Any], str, int | None, float]]) -> None:
    """Set hyperparameters (group, key, part) to numbers: all of them, or none."""
    done: list[tuple[dict[str, Any], str, int | None, Any]] = []
    try:
        for group, key, part, number in changes:
            value = part_of(group, key, part)
            before = value.clone() if is_tensor(value) else value
            write(group, key, part, number)
            done.append((group, key, part, before))
    except BaseException:
        for group, key, part, before in reversed(done):
            write(group, key, part, before)
        raise


def write(group: dict[str, Any], key: str, part: int | None, number: Any) -> None:
    """Set one: a tensor is filled, since graphs and other groups refer to it."""
    value = part_of(group, key, part)
    if is_tensor(value):
        torch: Any = sys.modules["torch"]
        with torch.no_grad():
            value.copy_(number) if is_tensor(number) else value.fill_(number)
    elif part is None:
        group[key] = number
    else:
        parts = list(group[key])
        parts[part] = number
        group[key] = tuple(parts)
