"""Steps with eps = 0: an element whose gradients have all been 0 is not stepped.

Its update and the divisor are both 0 then. Whatever else eps = 0 leads to is as it
would be without such elements.
"""

from typing import Any

import numpy as np
import pytest

import gradstep as gs
from support import floats
from variants import SUMMING, VARIANTS

Array = Any
f4 = np.float32
STEPS = 6
ZEROS = {"eps", "eps_root", "eps_acc", "eps_out"}


def without_eps(variant: str) -> tuple[type[gs.Optimizer], dict[str, Any]]:
    """The class, and its options with every epsilon at 0."""
    optimizer, options = VARIANTS[variant]
    zeros = dict.fromkeys(ZEROS & optimizer.options.keys(), 0.0)
    if optimizer is gs.Adai:  # which bounds a momentum by it
        zeros = {}
    return optimizer, options | zeros | {"weight_decay": 0.0}


HAS_EPS = [k for k, (cls, _) in VARIANTS.items() if ZEROS & cls.options.keys()]
variants = pytest.mark.parametrize("variant", HAS_EPS)
DTYPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "float64": (np.float64, {}),
    "float32": (f4, {}),
    "bfloat16": (gs.bfloat16, {}),
    "float16 with master": (np.float16, {"master": "float32"}),
    "bfloat16 states": (f4, {"state_dtype": "bfloat16"}),
    "uint8 states": (f4, {"state_dtype": "uint8"}),
}


def of_dtype(x: Array, dtype: Any) -> Array:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


def values(x: Array) -> Array:
    return gs.from_bfloat16(x) if x.dtype == gs.bfloat16 else x


@pytest.mark.parametrize("dtype", DTYPES)
@variants
def test_elements_without_a_gradient_stay(variant: str, dtype: str) -> None:
    optimizer, options = without_eps(variant)
    kind, storage = DTYPES[dtype]
    n = 300  # more than a vector, and than a block with a scale
    w = of_dtype(floats(1, n, f4), kind)
    start = values(w).copy()
    is_zero = np.arange(n) % 3 == 1
    opt = optimizer(w, **options, **storage)
    for t in range(STEPS):
        g = np.where(is_zero, 0, floats(10 + t, n, f4))
        opt.step(of_dtype(g, kind))
    after = opt.eval_params() if isinstance(opt, gs.ScheduleFreeSGD) else w
    assert np.isfinite(values(after).astype(float)).all()
    # A start that is kept in fewer bits is rounded when it is first read.
    if not (storage.get("state_dtype") and {"z", "x0"} & opt.state[0].keys()):
        assert (values(w)[is_zero] == start[is_zero]).all()
    # Adadelta's first step is one over no past step.
    if optimizer is not gs.Adadelta:
        assert (values(w)[~is_zero] != start[~is_zero]).any()


@variants
def test_a_whole_array_without_a_gradient_stays(variant: str) -> None:
    optimizer, options = without_eps(variant)
    still, moving = np.ones(17, f4), np.ones(17, f4)
    opt = optimizer([still, moving], **options)
    for t in range(STEPS):
        opt.step([np.zeros(17, f4), floats(10 + t, 17, f4)])
    assert (still == 1).all()
    assert np.isfinite(moving).all()


@pytest.mark.parametrize("dtype", [f4, np.float64])
@pytest.mark.parametrize("variant", [k for k in HAS_EPS if k not in SUMMING])
def test_other_elements_have_the_bits_that_they_have_alone(
    variant: str, dtype: Any
) -> None:
    optimizer, options = without_eps(variant)
    n = 70
    whole, alone = floats(1, 2 * n, dtype), floats(1, 2 * n, dtype)[::2].copy()
    opt, opt2 = optimizer(whole, **options), optimizer(alone, **options)
    for t in range(STEPS):
        g = floats(10 + t, n, dtype)
        both = np.zeros(2 * n, dtype)
        both[::2] = g
        opt.step(both)
        opt2.step(g)
        assert whole[::2].tobytes() == alone.tobytes()
        for name, state in opt2.state[0].items():
            if isinstance(state, np.ndarray):
                assert opt.state[0][name][::2].tobytes() == state.tobytes()


@pytest.mark.parametrize("n", [1, 3, 7, 8, 9, 15, 16, 17, 33, 63, 65])
@pytest.mark.parametrize("dtype", [f4, np.float64])
def test_every_place_in_a_vector(dtype: Any, n: int) -> None:
    for k in range(n):
        w = np.ones(n, dtype)
        g = floats(3, n, dtype)
        g[k] = 0
        gs.Adam(w, lr=0.5, eps=0.0).step(g)
        np.testing.assert_allclose(w, 1 - 0.5 * np.sign(g), rtol=1e-6)


@pytest.mark.parametrize("fixed", [False, True])
def test_decay_goes_on_where_no_gradient_is(fixed: bool) -> None:
    w = np.full(20, 8.0)
    opt = gs.AdamW(w, lr=0.5, weight_decay=0.25, fixed_decay=fixed, eps=0.0)
    g = np.where(np.arange(20) % 2, 1.0, 0.0)
    opt.step(g)
    opt.step(g)
    assert (w[::2] == 8 * (0.75 if fixed else 0.875) ** 2).all()


def test_a_penalty_is_a_gradient() -> None:
    w = np.array([2.0, 0.0])
    gs.Adam(w, lr=0.5, weight_decay=0.25, eps=0.0).step(np.zeros(2))
    assert w.tolist() == [1.5, 0.0]


def test_reddis_form_of_amsgrad_steps_past_zeros() -> None:
    """Algorithm 2 of Reddi et al., in NumPy, with their 0/0 left out."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(9)
    p, m, v, vmax = w.copy(), np.zeros(9), np.zeros(9), np.zeros(9)
    opt = gs.Adam(w, lr=0.1, amsgrad=True, bias_correction=False, eps=0.0)
    for _ in range(8):
        g = rng.standard_normal(9) * (np.arange(9) % 3 > 0)
        opt.step(g)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        vmax = np.maximum(vmax, v)
        p[g != 0] -= 0.1 * m[g != 0] / np.sqrt(vmax[g != 0])
    np.testing.assert_allclose(w, p, rtol=1e-12)


def test_lamb_does_not_lose_an_array_to_one_element() -> None:
    w, v = np.array([3.0, -2.0, 1.0]), np.array([3.0, -2.0])
    opt = gs.LAMB(w, lr=0.1, weight_decay=0.0, eps=0.0)
    opt.step(np.array([6.0, -4.0, 0.0]))
    # All of |p| goes to the two that have a direction, of size 1 each.
    step = 0.1 * np.linalg.norm([3.0, -2.0, 1.0]) / np.sqrt(2)
    np.testing.assert_allclose(w, [3 - step, -2 + step, 1], rtol=1e-14)
    gs.LAMB(v, lr=0.1, weight_decay=0.0, eps=0.0).step(np.array([6.0, -4.0]))
    np.testing.assert_allclose(v, [3 - 0.1 * 6.5**0.5, -2 + 0.1 * 6.5**0.5], rtol=1e-14)


def test_an_update_over_zero_is_infinite_where_it_is_not_zero() -> None:
    """Squares below the range of float32 count as 0; that must show, not pass."""
    w = np.ones(20, f4)
    opt = gs.Adam(w, lr=0.5, eps=0.0)
    opt.step(np.where(np.arange(20) % 2, f4(1e-25), f4(0)))
    assert (w[::2] == 1).all()
    assert np.isneginf(w[1::2]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_not_taken_for_zero(bad: float) -> None:
    w = np.ones(20, f4)
    gs.Adam(w, eps=0.0).step(np.where(np.arange(20) == 7, f4(bad), f4(0)))
    assert np.flatnonzero(np.isnan(w)).tolist() == [7]
    assert (w[:7] == 1).all()


def test_functional_steps_are_the_same() -> None:
    w, v = np.ones(20), np.ones(20)
    g = np.where(np.arange(20) % 2, 0.3, 0.0)
    gs.Adam(w, eps=0.0).step(g)
    gs.functional.step("Adam", v, g, gs.functional.init("Adam", v), 1, eps=0.0)
    assert v.tobytes() == w.tobytes()
