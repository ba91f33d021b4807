"""Numbers that do something when they are converted."""

import numbers
from collections.abc import Callable


class Number(numbers.Real):
    """A number whose conversion to float runs users' code."""

    def __init__(self, value: float, code: Callable[[], object]) -> None:
        self.value, self.code = value, code

    def __float__(self) -> float:
        self.code()
        return self.value


for name in Number.__abstractmethods__:
    setattr(Number, name, lambda *_: NotImplemented)
Number.__abstractmethods__ = frozenset()
