"""Numbers in fewer bits than float32, beside codes written from their definition."""

import math
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from coding import NEAREST, VALUES, Array, f4, u2
from gradstep import _core
from reference import codes
from support import floats, words


def patterns(seed: int, n: int) -> Array:
    """Return floats of random bits: subnormal, infinite and NaN among them."""
    x = words(seed, n).astype(np.uint32)
    x[: n // 4] &= 0x807FFFFF  # subnormal
    x[n // 4 : n // 3] |= 0x7F800000  # infinite or NaN
    x[n // 3 : n // 2] &= 0xFFFF8000  # ties of bfloat16 and float16
    x[n // 2 : n // 2 + 8] = [
        *(0x7F7FFFFF, 0x477FF000, 0x477FEFFF, 0x33000000, 0x33000001, 0x80000000),
        *(0x7F800001, 0xFF800000),
    ]
    return x.view(f4)


def same(found: Array, expected: Array, values: Any) -> bool:
    """Whether codes are equal, of NaNs any."""
    both = np.isnan(values(found)) & np.isnan(values(expected))
    return bool(np.all(both | (found == expected)))


@pytest.mark.parametrize("code", NEAREST)
def test_every_code_is_its_value_and_numbers_go_to_the_nearest(code: str) -> None:
    every = np.arange(2**16, dtype=u2)
    found = _core.decode(code, every, None)
    np.testing.assert_array_equal(found, VALUES[code](every))
    assert np.signbit(found).tolist() == np.signbit(VALUES[code](every)).tolist()
    x = patterns(1, 100_003)
    back = np.empty(x.size, u2)
    _core.encode(code, x, back, None)
    assert same(back, NEAREST[code](x), VALUES[code])


def test_halves_make_the_float_again() -> None:
    x = patterns(2, 100_003)
    high, low = np.empty(x.size, u2), np.empty(x.size, u2)
    _core.encode("bf16_split", x, high, low)
    expected = codes.split(x)
    assert same(high, expected[0], codes.bfloat16_values)
    assert low.tolist() == expected[1].tolist()
    found = _core.decode("bf16_split", high, low)
    finite = ~np.isnan(x)
    assert found[finite].tobytes() == x[finite].tobytes()
    assert np.isnan(found[~finite]).all()


def test_halves_that_do_not_belong_together_leave_the_upper_one() -> None:
    high = np.array([0x0000, 0x8000, 0x7F80, 0xFF80, 0x3F80], u2)
    low = np.array([-1, -1, 5, 5, -1], np.int16).view(u2)
    found = _core.decode("bf16_split", high, low)
    assert found[:4].tolist() == [0.0, 0.0, np.inf, -np.inf]
    assert np.signbit(found).tolist() == [False, True, False, True, False]
    assert found[4] == np.nextafter(f4(1), f4(0))


def test_random_rounding_is_right_on_average() -> None:
    value, n = 1.0 + 3 / 1024, 2**18  # 3/8 of the way
    w = gs.to_bfloat16(np.full(n, 1.0))
    opt = gs.SGD(w, lr=1.0, rounding="stochastic")
    opt.step(np.full(n, 1.0 - value, f4))
    found = value_of = gs.from_bfloat16(w)
    assert set(np.unique(value_of)) == {1.0, f4(1 + 1 / 128)}
    # The mean of n draws of 0 or 1 is within 5 standard deviations.
    up = (found > 1).mean()
    assert abs(up - 3 / 8) < 5 * math.sqrt(3 / 8 * 5 / 8 / n)
    # Neighbours, and the same element of the next step, are as good as independent.
    a = (found > 1).astype(float) - up
    assert abs((a[1:] * a[:-1]).mean()) < 5 / math.sqrt(n) / 4
    v = gs.to_bfloat16(np.full(n, 1.0))
    opt = gs.SGD([v, w], lr=0.0, rounding="stochastic")
    opt.step([np.zeros(n, f4)] * 2)
    v[...] = gs.to_bfloat16(np.ones(n))
    opt.param_groups[0]["lr"] = 1.0
    opt.step([np.full(n, 1.0 - value, f4), None])
    b = (gs.from_bfloat16(v) > 1).astype(float) - up
    assert abs((a * b).mean()) < 5 / math.sqrt(n) / 4


@pytest.mark.parametrize("positive", [False, True])
def test_blocks_are_those_of_the_reference(positive: bool) -> None:
    x = floats(3, 5000, f4, positive) * f4(1e-3)
    x[256:512] *= f4(1e-30)
    x[512:768] = 0
    x[1000], x[2000] = np.nan, -np.inf
    x[4000:4100] *= f4(1e-6)
    kept, scale = np.empty(x.size, np.uint8), np.empty(20, f4)
    _core.encode("blocks", x, kept, scale)
    expected = codes.blocks(x, 0)
    np.testing.assert_array_equal(kept, expected[0])
    np.testing.assert_array_equal(scale, expected[1])
    found = _core.decode("blocks", kept, scale)
    np.testing.assert_array_equal(found, codes.block_values(*expected))
    finite = np.isfinite(x).reshape(-1)
    for k in range(20):
        part = slice(256 * k, 256 * k + 256)
        if finite[part].all():
            most = abs(x[part]).max()
            root = np.sqrt(np.sqrt(abs(x[part]) / (most or 1)))
            if (x[part] < 0).any():  # a step of s is at most 1/127, and d(s^2) = 2 s ds
                limit = 2.1 * root**2 / 127 + 1.1 / 127**2
            else:
                limit = 4.1 * root**3 / 255 + 7 / 255**2 * root**2 + 1.1 / 255**4
            assert (abs(found[part] - x[part]) <= (most * limit) + 1e-45).all()


def test_a_mean_square_above_0_stays_above() -> None:
    x = np.geomspace(1e-30, 1, 256).astype(f4)
    kept, scale = np.empty(256, np.uint8), np.empty(1, f4)
    _core.encode("blocks", x, kept, scale)
    assert kept.min() == 1
    assert _core.decode("blocks", kept, scale).min() > 0
