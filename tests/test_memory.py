"""Where state arrays stand, on which the speed of a step depends (csrc/memory.h)."""

import numpy as np
import pytest

import gradstep as gs
from support import at_offset


@pytest.mark.parametrize("n", [33, 600_000])
@pytest.mark.parametrize("offset", [0, 4, 16, 60, 7])
def test_states_start_as_far_past_a_line_as_their_parameter(
    n: int, offset: int
) -> None:
    w = at_offset(np.ones(n, np.float32), offset)
    state = gs.Adam(w).state[0]
    for name in ("m", "v"):
        address = state[name].ctypes.data
        # A state is always aligned to its type, even where its parameter is not.
        assert address % 64 == offset // 4 * 4
        if n * 4 >= 1 << 21:
            assert address % (1 << 21) == offset // 4 * 4


def test_states_keep_the_order_of_their_parameter() -> None:
    for w in (np.ones((3, 4)), np.ones((3, 4), order="F"), np.ones((1, 4)).T):
        m = gs.Adam(w).state[0]["m"]
        assert m.shape == w.shape
        assert m.flags.f_contiguous or not w.flags.f_contiguous or w.flags.c_contiguous
        assert m.flags.c_contiguous == w.flags.c_contiguous
