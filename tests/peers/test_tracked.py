"""The bounds of tracked.py hold: the reference, in the kernels' types, is within."""

import math
from typing import Any

import numpy as np
import pytest
from harness import FLAGS, RANGES, SIZE, draw_hyper

import reference
from tracked import Scalar, Tracked

SQUARES = {"v", "s", "n", "u", "sum", "vmax", "smax", "step_size"}


def draw_states(
    rule: Any, rng: np.random.Generator, dtype: Any, left: float
) -> dict[str, Any]:
    """Parameter, gradient and states, as the rule might have left them.

    A mean and a mean square of gradients have weights whose sum is `left`.
    """
    names = reference.needed(rule)
    known = {"t", "warmup_steps", *RANGES, *FLAGS, *reference.SCALARS}
    arrays = {name: rng.standard_normal(SIZE) for name in names if name not in known}
    for name in arrays.keys() & SQUARES:
        arrays[name] = arrays[name] ** 2 + 0.01
    if "product" in arrays:
        arrays["product"] = rng.random(SIZE) * 0.9
    if "gbar" in arrays:  # a mean, whose square is at most the mean square
        # By so much that the difference is not for the most part rounding errors.
        arrays["v"] = arrays["v"] + left * arrays["gbar"] ** 2 + 0.1
        arrays["gbar"] = left * arrays["gbar"]
    return {name: x.astype(dtype) for name, x in arrays.items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("t", [1, 2, 7, 100])
@pytest.mark.parametrize("flag", [0.0, 1.0])
@pytest.mark.parametrize("name", reference.RULES)
def test_a_step_in_working_precision_is_within_the_bounds(
    name: str, flag: float, t: int, dtype: Any, rng: np.random.Generator
) -> None:
    rule = reference.RULES[name]
    names = reference.needed(rule)
    known = {*RANGES, "warmup_steps"}
    hyper = draw_hyper(rng, " ".join(n for n in names if n in known))
    hyper |= {n: flag for n in names if n in FLAGS}
    hyper |= {n: 0.3 for n in names if n in reference.SCALARS}
    left = 1 - hyper.get("alpha", 0.0) ** (t - 1)
    arrays = draw_states(rule, rng, dtype, left)
    u = float(np.finfo(dtype).eps) / 2

    rough = rule(t=t, **arrays, **hyper)
    bound = rule(
        t=t,
        **{n: Tracked(x, 0, u) for n, x in arrays.items()},
        **{n: Scalar(x) for n, x in hyper.items()},
    )
    assert rough.keys() == bound.keys()
    for state in rough.keys() - reference.SCALARS:
        exact = bound[state]
        assert np.isfinite(exact.error).all()
        assert (abs(rough[state] - exact.value) <= exact.error).all()
        # A bound this wide would hide anything.
        wide = exact.error / (abs(exact.value) + 1)
        assert wide.max() <= 4000 * u, state


def tracked(value: Any, error: Any = 0.0) -> Tracked:
    return Tracked(value, error, 2.0**-24)


@pytest.mark.parametrize("function", [np.sqrt, np.cbrt])
@pytest.mark.parametrize("error", [0.0, 1e-9, 1e-3, 0.9, 1.0, 5.0])
def test_roots_are_bounded_also_near_zero(function: Any, error: float) -> None:
    root = function(tracked(1.0, error))
    ends = function(
        np.maximum([1 - error, 1 + error], -9 if function is np.cbrt else 0)
    )
    assert (abs(ends - root.value) <= root.error).all()
    zero = function(tracked(0.0, error))
    assert zero.error >= function(error) * (1 - 1e-15)
    assert function(tracked(0.0)).error == 0


def test_comparisons_within_the_error_are_in_doubt() -> None:
    x = tracked([1.0, 1.0, 2.0, 0.0], [0.5, 1.5, 0.5, 0.0])
    for compare in (np.less, np.greater, np.equal):
        holds = compare(x, 0)
        assert (holds.value == compare(x.value, 0)).all()
        assert (holds.error == [0, 1, 0, 0]).all()
    chosen = np.where(x > 0, tracked([5.0] * 4, 0.25), -1)
    assert (chosen.value == [5, 5, 5, -1]).all()
    assert (chosen.error == [0.25, 6.25, 0.25, 0]).all()


def test_signs_within_the_error_are_in_doubt() -> None:
    sign = np.sign(tracked([1.0, -1.0, 0.0, 0.0], [0.5, 1.0, 0.5, 0.0]))
    assert (sign.value == [1, -1, 0, 0]).all()
    assert (sign.error == [0, 2, 2, 0]).all()


def test_sums_are_bounded_in_any_order() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(1001) * 1000).astype(np.float32)
    exact = np.sum(tracked(x))
    for order in (x, np.sort(x), np.sort(x)[::-1]):
        total = np.float32(0)
        for element in order:
            total += element
        assert abs(total - exact.value) <= exact.error
    assert np.sum(tracked(np.zeros(0))).error == 0


def test_scalars_follow_errors_through_cancellation() -> None:
    beta = Scalar(0.999)
    left = 1 - beta**1000
    assert isinstance(left, Scalar)
    assert left == 1 - 0.999**1000
    # A thousand roundings of 0.368, and one of the difference.
    assert left.error == pytest.approx(2.0**-53 * (1000 * 0.3677 + 0.6323), rel=1e-3)
    small = (1 + Scalar(1e-8)) - 1
    assert small.error >= abs(float(small) - 1e-8)
    assert math.sqrt(Scalar(4.0)) == 2
    product = Scalar(0.1) * tracked(np.ones(3))
    assert isinstance(product, Tracked)


@pytest.mark.parametrize("seed", range(20))
def test_scalars_bound_their_errors(seed: int) -> None:
    """In the quantity that cancels most, the rectification."""
    rng = np.random.default_rng(seed)
    beta2, t = rng.uniform(0.7, 0.9999), int(rng.integers(2, 300))
    rough = reference.common.rectification(t, Scalar(beta2), 4, 0)
    wide = reference.common.rectification(t, np.longdouble(beta2), 4, 0)
    assert (rough is None) == (wide is None)
    if rough is not None:
        assert abs(np.longdouble(float(rough)) - wide) <= rough.error
        assert rough.error <= 1e-9 * rough
