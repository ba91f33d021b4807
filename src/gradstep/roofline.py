"""What memory allows: the time of a step that moves the bytes and computes nothing.

A machine's speed drifts, and differs from the next one's; only ratios within one run
mean anything. Hence `turns`, and `traffic`, the roofline to stand beside.
"""

import collections
import functools
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gradstep import _core
from gradstep.assembly import find_kernel
from gradstep.declared import hyper_names
from gradstep.memory import zeros
from gradstep.structure import Array

STIR = 2.0**-10
"""What `traffic` adds of the gradient. Contents matter: zeros, which would stay zeros,
come from DRAM 2 to 6 % faster than numbers on a Zen 5 machine."""


Clock = Callable[[int], float]
"""Of a number of calls, the seconds that one of them took."""


def clock(call: Callable[[], object]) -> Clock:
    """Return what times a call of this process.

    Of many calls the first find cold caches, and a CPU that was asleep: half as many
    go before, which are not timed.
    """

    def timed(repeat: int) -> float:
        for _ in range(repeat // 2):
            call()
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        return (time.perf_counter() - start) / repeat

    return timed


def turns(
    clocks: Mapping[str, Clock], repeat: Mapping[str, int], *, rounds: int
) -> dict[str, list[float]]:
    """Time contestants in turns, A B C, B C A, C A B, after a round not counted.

    So nobody always follows the same one, whose data are in the caches.

    Parameters
    ----------
    clocks : mapping of str to callable
    repeat : mapping of str to int
        Calls within one timing of each, for those too short for the clock.
    rounds : int
        How many times to go round.

    Returns
    -------
    dict of str to list of float
        Seconds for one call, a list of `rounds` numbers for each.
    """
    times: dict[str, list[float]] = {name: [] for name in clocks}
    order = collections.deque(clocks)
    for turn in range(-1, rounds):
        for name in order:
            seconds = clocks[name](repeat[name])
            if turn >= 0:
                times[name].append(seconds)
        order.rotate(-1)
    return times


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, repeat: int = 1
) -> dict[str, list[float]]:
    """Time calls of this process in turns; see `turns`."""
    clocks = {name: clock(call) for name, call in calls.items()}
    return turns(clocks, dict.fromkeys(calls, repeat), rounds=rounds)


def traffic(
    states: int, params: Sequence[Array], grads: Sequence[Array]
) -> Callable[[], object]:
    """Return a call that streams copies of parameters and gradients, and some states.

    It runs by the same threads in the same shares as a step, on memory that is aligned
    as well as it can be (`gradstep.zeros`), and adds next to nothing to what it finds.
    """
    p, g = ([_placed(a) for a in arrays] for arrays in (params, grads))
    rule = "traffic" + (f"_state{states}" if states else "")
    return steps(rule, {"stir": STIR}, p, g)


def _placed(a: Array) -> Array:
    copy = zeros(a.shape, a.dtype)
    copy[...] = a
    return copy


def steps(
    rule: str,
    hyper: Mapping[str, float],
    params: Sequence[Array],
    grads: Sequence[Array],
) -> Callable[[], object]:
    """Return a call that takes one step of all parameters by a C rule."""
    n, alone = len(params), len(params) == 1
    engine = _core.Engine(rule, tuple(params), ("",) * n, (0,) * n, 1, single=alone)
    for i, p in enumerate(params):
        kernel = find_kernel("params", rule, p)
        engine.bind(
            i,
            kernel,
            tuple(_core.allocate_like([(p, p.dtype, p.shape)] * len(kernel.state))),
        )
    engine.set_group(0, tuple(hyper[name] for name in hyper_names(rule)), 1.0)
    engine.bound()
    return functools.partial(engine.step, grads[0] if alone else list(grads))


def bytes_moved(states: int, n: int, dtype: npt.DTypeLike) -> int:
    """Return the bytes of one step: all but the gradient are read and written."""
    return (1 + 2 * (1 + states)) * n * np.dtype(dtype).itemsize
