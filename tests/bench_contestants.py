"""What the tests of the benchmark make in processes of their own."""

import os
from collections.abc import Callable


def one_that_counts() -> Callable[[], object]:
    """Return a call that does nothing else."""
    calls: list[None] = []
    return lambda: calls.append(None)


def one_that_lacks(what: str) -> Callable[[], object]:
    raise LookupError(f"no {what} here")


def one_that_ends_its_process() -> Callable[[], object]:
    return lambda: os._exit(3)


def one_that_fails() -> Callable[[], object]:
    return lambda: 1 / 0


def one_that_looks_at(name: str, expected: str) -> Callable[[], object]:
    if os.environ.get(name) != expected:
        raise LookupError(f"{name} is {os.environ.get(name)}")
    return lambda: None
