"""The threads of the BLAS that SciPy calls."""

import functools
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController


@functools.cache
def _libraries() -> Any:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which every BLAS keeps to the thread that calls it."""
    limits: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limits
