"""No optimizers: the rooflines of the benchmark."""

from reference.common import Array, Step


def _touch(g: Array, stir: float, **arrays: Array) -> Step:
    """Traffic for every array x: x + stir g."""
    return {name: x + stir * g for name, x in arrays.items()}


def traffic(*, t: int, p: Array, g: Array, stir: float) -> Step:
    """Nothing, at the cost of reading p and g and writing p: a benchmark's roofline.

    No paper: theta_t = theta_{t-1} + stir g_t
    """
    return _touch(g, stir, p=p)


def traffic_state1(*, t: int, p: Array, g: Array, a: Array, stir: float) -> Step:
    """Traffic with one state: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a)


def traffic_state2(
    *, t: int, p: Array, g: Array, a: Array, b: Array, stir: float
) -> Step:
    """Traffic with two states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b)


def traffic_state3(
    *, t: int, p: Array, g: Array, a: Array, b: Array, c: Array, stir: float
) -> Step:
    """Traffic with three states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b, c=c)


def traffic_state4(
    *, t: int, p: Array, g: Array, a: Array, b: Array, c: Array, d: Array, stir: float
) -> Step:
    """Traffic with four states: s_t = s_{t-1} + stir g_t."""
    return _touch(g, stir, p=p, a=a, b=b, c=c, d=d)


def traffic_state2_read1(
    *, t: int, p: Array, g: Array, a: Array, b: Array, read: Array, stir: float
) -> Step:
    """Traffic with two states and one that is read: s_t = s_{t-1} + stir (g_t + r)."""
    return _touch(g + read, stir, p=p, a=a, b=b) | {"read": read}
