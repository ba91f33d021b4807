"""Where state arrays stand, on which the speed of a step depends (csrc/memory.h)."""

import itertools

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


def test_small_states_lie_side_by_side_once_they_fill_a_huge_page() -> None:
    """Each as far past a line as its own parameter, whole, and apart from others."""
    offsets = [0, 4, 60, 7] * 100
    params = [at_offset(np.ones(1000, np.float32), offset) for offset in offsets]
    large = np.ones(600_000, np.float32)
    transposed = np.ones((3, 4), np.float32).T
    opt = gs.Adam([*params, large, transposed])
    small = [s[k] for s in (*opt.state[:400], opt.state[401]) for k in ("m", "v")]
    spans = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in small)
    gaps = [b - a for (_, a), (b, _) in itertools.pairwise(spans)]
    assert all(0 <= gap < 2 * 64 for gap in gaps)
    assert spans[0][0] % (1 << 21) < 64
    for offset, state in zip(offsets, opt.state, strict=False):
        assert state["v"].ctypes.data % 64 == offset // 4 * 4
        assert not state["v"].any()
    assert opt.state[400]["m"].ctypes.data % (1 << 21) == large.ctypes.data % 64
    assert opt.state[401]["m"].shape == (4, 3)
    assert opt.state[401]["m"].flags.f_contiguous


def test_states_keep_the_order_of_their_parameter() -> None:
    for w in (np.ones((3, 4)), np.ones((3, 4), order="F"), np.ones((1, 4)).T):
        m = gs.Adam(w).state[0]["m"]
        assert m.shape == w.shape
        assert m.flags.f_contiguous or not w.flags.f_contiguous or w.flags.c_contiguous
        assert m.flags.c_contiguous == w.flags.c_contiguous
