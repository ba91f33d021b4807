"""Zeros, subnormal, infinite and NaN numbers, in any shape at any address."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradstep as gs
from gradstep import _core
from guarded import GUARD, guarded
from support import floats
from variants import VARIANTS

f4 = np.float32

# Those of which one element does not depend on others, nor Python on all.
SINGLE = sorted(
    name
    for name, (cls, options) in VARIANTS.items()
    if not any(k.sums for k in _core.kernels() if k.rule in cls.rules)
    and not options.get("max_grad_norm")
    and not options.get("restart_radius")
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3e38, 1.2e-38, 6e-8]


def numbers(n: int, dtype: Any) -> Any:
    width = 8 * np.dtype(dtype).itemsize
    special = st.sampled_from(SPECIAL).map(lambda x: float(np.dtype(dtype).type(x)))
    some = st.one_of(special, st.floats(width=width))
    return st.lists(some, min_size=n, max_size=n)


def same(a: Any, b: Any) -> bool:
    """Whether bits are equal, but for which NaN it is."""
    nan = np.isnan(a) & np.isnan(b)
    return bool(np.all(nan | (a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}"))))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
@np.errstate(all="ignore")
def test_elements_do_not_see_one_another(data: Any) -> None:
    cls, options = VARIANTS[data.draw(st.sampled_from(SINGLE))]
    dtype = data.draw(st.sampled_from([f4, np.float64]))
    shape = data.draw(SHAPES)
    n = int(np.prod(shape, dtype=int))
    order: Any = data.draw(st.sampled_from("CF"))
    x = np.array(data.draw(numbers(n, dtype)), dtype).reshape(shape, order=order)
    line, buffer = guarded(x.ravel("K"), data.draw(st.integers(0, 63)))
    p = line.reshape(shape, order=order)
    opt = cls(p, **options)
    alone = [x.ravel("K")[k : k + 1].copy() for k in range(n)]
    others = [cls(a, **options) for a in alone]
    for _ in range(3):
        flat = np.array(data.draw(numbers(n, dtype)), dtype)
        g = np.asarray(flat.reshape(shape, order=order), order=order)
        opt.step(g)
        for k, other in enumerate(others):
            other.step(g.ravel("K")[k : k + 1].copy())
    found = p.ravel("K")
    assert all(same(found[k : k + 1], alone[k]) for k in range(n))
    for state, array in opt.state[0].items():
        if isinstance(array, np.ndarray):
            flat = array.ravel("K")
            for k in range(n):
                assert same(flat[k : k + 1], others[k].state[0][state])
    assert buffer.tobytes().count(0xA5) - line.tobytes().count(0xA5) == 2 * GUARD


@pytest.mark.parametrize("dtype", [f4, np.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_state_is_subnormal(variant: str, dtype: Any) -> None:
    cls, options = VARIANTS[variant]
    tiny = np.finfo(dtype).smallest_normal
    opt = cls(np.ones(64, dtype), **options)
    opt.step(floats(1, 64, dtype))
    still, seen = np.zeros(64, dtype), 0
    for scale in (1, tiny**0.5, tiny * 8, 0, 0):
        g = floats(2, 64, dtype) * dtype(scale)
        for _ in range(5):
            opt.step(g if scale else still)
            for array in opt.state[0].values():
                if isinstance(array, np.ndarray):
                    size = abs(array[array != 0])
                    assert not (size < tiny).any()
                    seen += array.size
    assert seen or not opt.state[0].keys() - {"step"}


def test_zeros_keep_steps_as_they_are_for_ever() -> None:
    w = np.ones(100, f4)
    opt = gs.Adam(w)
    opt.step(floats(1, 100, f4))
    still = np.zeros(100, f4)
    for _ in range(2000):
        opt.step(still)
    for name in ("m", "v"):
        rest = opt.state[0][name]
        assert not np.any((rest != 0) & (abs(rest) < np.finfo(f4).smallest_normal))
    assert not opt.state[0]["m"].any()
