"""The cube root of csrc/cbrt.h, seen through MADGRAD: z = x0 - s / cbrt(v)."""

import numpy as np
import pytest

from gradstep import _core
from support import NUMPY, step_by

HYPER = dict.fromkeys(
    ("lr", "momentum", "eps", "weight_decay", "decoupled", "eps_in_lr"), 0.0
)


def quotient(s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """s / cbrt(v), rounded once more than the cube root."""
    kernel = _core.find("madgrad", {"f4": "f32", "f8": "f64"}[v.dtype.str[1:]])
    p, zero = np.zeros_like(v), np.zeros_like(v)
    step_by(kernel, p, zero, [v.copy(), s.copy(), np.zeros_like(v)], HYPER)
    return -p


@pytest.mark.parametrize("exponent", [0, 1, 2])
def test_every_float32_significand_is_correctly_rounded(exponent: int) -> None:
    # A double cube root is close enough to round right: no float32 has one within
    # 1.7e-15 of a rounding boundary. Only the quotient of equals is 1.
    x = ((np.uint32(127 + exponent) << 23) + np.arange(2**23, dtype=np.uint32)).view(
        "f4"
    )
    root = np.cbrt(x.astype(np.float64)).astype(np.float32)
    assert (quotient(root, x) == 1).all()
    assert not (quotient(np.nextafter(root[:9], np.float32(9)), x[:9]) == 1).any()


def test_every_float32_exponent_too() -> None:
    x = (np.arange(1, 2**31 - 2**23, 99_991, dtype=np.uint32)).view("f4")
    assert x[0] < 1e-44
    assert x[-1] > 3e38
    root = np.cbrt(x.astype(np.float64)).astype(np.float32)
    assert (quotient(root, x) == 1).all()


def test_float64_is_within_a_unit_of_the_last_place() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(1, 0x7FF0000000000000, 2**18)
    bits[: 2**12] = rng.integers(1, 2**52, 2**12)  # subnormals
    x = bits.view("f8")
    exact = np.cbrt(x.astype(np.longdouble))
    root = exact.astype(np.float64)
    # quotient = root / ours: off by ours, and by the rounding of root and of itself.
    error = abs(quotient(root, x).astype(np.longdouble) - 1)
    assert error.max() <= 4 * np.finfo(np.float64).eps / 2
    assert (error == 0).mean() > 0.5


@pytest.mark.parametrize("dtype", NUMPY.values())
def test_special_values(dtype: type) -> None:
    v = np.array([0, -0.0, np.inf, np.nan, 8, 27, 0.125], dtype)
    found = quotient(np.full_like(v, 6), v)
    # 0 where the denominator is 0.
    np.testing.assert_array_equal(found, np.array([0, 0, 0, np.nan, 3, 2, 12], dtype))
