"""What memory allows: the time of a step that moves the bytes and computes nothing.

A machine's speed drifts, and differs from the next one's; only ratios within one run
mean anything. Hence `interleaved`, and `traffic`, the roofline to stand beside.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from gradstep import _core
from gradstep.memory import zeros
from gradstep.optimizer import DTYPE_WORDS
from gradstep.structure import Array


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, repeat: int = 1
) -> dict[str, list[float]]:
    """Time several calls in turns, A B C A B C, after one round that is not counted.

    Parameters
    ----------
    calls : mapping of str to callable
    rounds : int
        How many times to go round.
    repeat : int
        Calls within one timing, for those too short for the clock.

    Returns
    -------
    dict of str to list of float
        Seconds for one call, a list of `rounds` numbers for each.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-1, rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            if turn >= 0:
                times[name].append((time.perf_counter() - start) / repeat)
    return times


def traffic(states: int, n: int, dtype: npt.DTypeLike) -> Callable[[], None]:
    """Return a call that streams a parameter, a gradient and states of n elements each.

    It runs by the same threads in the same shares as a step, on memory that is aligned
    as well as it can be (`gradstep.zeros`).
    """
    rule = "traffic" + (f"_state{states}" if states else "")
    return one_step(rule, {"zero": 0.0}, zeros(n, dtype), zeros(n, dtype))


def one_step(
    rule: str, hyper: Mapping[str, float], p: Array, g: Array
) -> Callable[[], None]:
    """Return a call that takes one step of p by the C rule of this name."""
    kernel = _core.find(rule, DTYPE_WORDS[p.dtype])
    states = tuple(_core.allocate((), p.dtype, True, p) for _ in kernel.state)
    engine = _core.Engine(rule, (p,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, states)
    engine.set_group(0, tuple(hyper[name] for name in kernel.hyper), 1.0)
    engine.bound()
    return lambda: engine.step(g)


def bytes_moved(states: int, n: int, dtype: npt.DTypeLike) -> int:
    """Return the bytes of one step: all but the gradient are read and written."""
    return (1 + 2 * (1 + states)) * n * np.dtype(dtype).itemsize
