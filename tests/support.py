"""What test files share: kernels by hand, and numbers that no library chooses."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any, TypeVar

import numpy as np

import gradstep as gs
from gradstep import _core

In = TypeVar("In")
Out = TypeVar("Out")

NUMPY = {"f32": np.float32, "f64": np.float64}

# Sizes that straddle every vector width, and the chunk of csrc/run.c.
SIZES = [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 1000, 4097]

# One value for every hyperparameter of every rule; none makes a term vanish, and no two
# are alike, so that no exchange of two goes unnoticed.
HYPER = {
    "lr": 0.0123,
    "beta1": 0.87,
    "beta2": 0.952,
    "eps": 0.0031,
    "eps_root": 0.0053,
    "weight_decay": 0.117,
    "alpha": 0.913,
    "rho": 0.889,
    "lr_decay": 0.057,
    "momentum": 0.83,
    "dampening": 0.21,
    "stir": 0.37,
    "eta_minus": 0.57,
    "eta_plus": 1.31,
    "step_min": 0.21,
    "step_max": 7.3,
    "momentum_decay": 0.29,
    "warm": 0.44,
    # Between RAdam's rho at the steps that are tested.
    "threshold": 4.6,
    "eps_acc": 0.0017,
    "beta3": 0.933,
    "warmup_steps": 4.0,
    "r": 0.71,
    "weight_lr_power": 1.63,
    "inner_momentum": 0.79,
    "weight": 0.23,
    "trust_coefficient": 0.137,
    "beta0": 0.41,
    "initial": 0.67,
}

# Hyperparameters that are 0 or 1: tests go through both.
FLAGS = {
    *("decoupled", "fixed", "dozat", "inclusive", "momentum_below", "eps_hat"),
    *("bias_correction", "rectify", "degenerated", "eps_in_lr", "prox", "paper"),
    *("max_corrected", "nesterov", "dampen_first"),
    *("decay_at_z", "silent", "norm_of_sum", "lr_inside", "adapt"),
}

# Kernels that only gather sums.
SUMS_ONLY = {k.rule for k in _core.kernels() if not k.steps}

# What prepare() may have kept from the steps before; at step 1 it must not look.
SCALARS = {"mu_product": 0.61, "weight_sum": 0.031, "lr_max": 0.0171, "path": 1.9}

# States that are squares, sizes or products of numbers below 1.
NONNEGATIVE = {"v", "vmax", "u", "sum", "n", "smax", "step_size", "product"}


def kernels() -> list[_core.Kernel]:
    """All kernels of the build that step: the registry that tests run over."""
    return [k for k in _core.kernels() if k.steps]


def label(kernel: _core.Kernel) -> str:
    """How a kernel is called in test names."""
    return f"{kernel.rule}-{kernel.dtype}"


def hyper_of(kernel: _core.Kernel) -> dict[str, float]:
    """The kernel's hyperparameters, every flag set."""
    return {name: HYPER.get(name, 1.0) for name in kernel.hyper}


def hypers_of(kernel: _core.Kernel) -> Iterator[dict[str, float]]:
    """The kernel's hyperparameters, with every combination of its flags."""
    flags = [name for name in kernel.hyper if name in FLAGS]
    for values in product((0.0, 1.0), repeat=len(flags)):
        yield hyper_of(kernel) | dict(zip(flags, values))


def words(seed: int, n: int) -> np.ndarray:
    """n pseudo-random uint64 by splitmix64, the same with every version of NumPy."""
    with np.errstate(over="ignore"):
        start = np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        z = start + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def floats(seed: int, n: int, dtype: Any, positive: bool = False) -> np.ndarray:
    """n numbers over six binary decades, none of them zero, of either sign."""
    w = words(seed, n)
    mantissa = 1 + (w >> np.uint64(41)).astype(np.float64) / 2**23
    exponent = (w & np.uint64(7)).astype(np.int64) - 3
    sign = np.where((w & np.uint64(8)).astype(bool) & (not positive), -1.0, 1.0)
    return (sign * np.ldexp(mantissa, exponent)).astype(dtype)


def random_state(kernel: _core.Kernel, seed: int, n: int) -> dict[str, np.ndarray]:
    """State arrays as a rule might have left them, away from zero."""
    dtype = NUMPY[kernel.dtype]
    squares = NONNEGATIVE | ({"s"} if kernel.rule.startswith("adabelief") else set())
    states = {
        name: floats(seed + 1 + k, n, dtype, positive=name in squares)
        for k, name in enumerate(kernel.state)
    }
    if "product" in states:
        states["product"] /= 20
    if "gbar" in states:  # a mean, whose square is at most the mean square
        states["v"] += states["gbar"] ** 2
    return states


def at_offset(a: np.ndarray, offset: int) -> np.ndarray:
    """A copy that starts `offset` bytes past a cache line, aligned or not."""
    raw = np.empty(a.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + offset
    copy = np.ndarray(a.shape, a.dtype, raw.data, start)
    copy[...] = a
    return copy


def step_by(
    kernel: _core.Kernel,
    p: np.ndarray,
    g: np.ndarray,
    states: Sequence[np.ndarray],
    hyper: Mapping[str, float],
    t: int = 1,
    grad_scale: float = 1.0,
) -> dict[str, float]:
    """Step t of one array, in place, by a kernel; returns its scalars after it."""
    engine = _core.Engine(kernel.rule, (p,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, tuple(states))
    engine.set_group(0, tuple(hyper[name] for name in kernel.hyper), grad_scale)
    engine.set_t(0, t - 1)
    engine.set_scalars(0, {name: SCALARS[name] for name in kernel.scalar})
    engine.bound()
    engine.step(g)
    return engine.get_scalars(0)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shape, dtype and bytes."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def precision_warnings(file: str, run: Callable[[], object]) -> list[str]:
    """Call a function, and return the warnings of lost steps, at lines of a file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    assert all(w.category is gs.PrecisionWarning for w in caught)
    assert all(w.filename == file for w in caught)
    return [str(w.message) for w in caught]


def side_by_side(wait: Callable[[In], Out], chosen: Iterable[In]) -> list[Out]:
    """Call what waits for a process, two at a time; return all results, in order."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(wait, chosen))
