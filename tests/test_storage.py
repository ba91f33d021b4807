"""Steps of parameters, gradients and states in fewer bits than their arithmetic has."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from coding import NEAREST, Array, coded, f4, image, u2, value
from gradstep import _core
from reference import codes
from support import floats
from variants import VARIANTS

# Those of which one element does not depend on others.
SINGLE = {
    name: (cls, options)
    for name, (cls, options) in VARIANTS.items()
    if not any(k.sums for k in _core.kernels() if k.rule in cls.rules)
    and not options.get("max_grad_norm")
    and not options.get("restart_radius")
}
variants = pytest.mark.parametrize("variant", VARIANTS)
# Without what a step does beyond that of the rule.
simple = pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"adan paper"}))
single = pytest.mark.parametrize("variant", SINGLE)


def start(code: str, n: int = 700) -> tuple[Array, Array]:
    p = coded(floats(1, n, f4), code)
    return p, value(p)


def run_beside(variant: str, code: str, grad: str, options: dict[str, Any]) -> Any:
    """Yield a coded optimizer, and one of float32 that took the same steps."""
    cls, given = VARIANTS[variant]
    p, exact = start(code)
    ours, theirs = cls(p, **given, **options), cls(exact, **given)
    for t in range(2, 6):
        g = coded(floats(t, p.size, f4), grad)
        ours.step(g)
        theirs.step(value(g))
        yield ours, p, theirs, exact


@simple
@pytest.mark.parametrize("code", NEAREST)
def test_a_step_of_few_bits_is_that_of_float32_rounded(variant: str, code: str) -> None:
    for ours, p, _, exact in run_beside(variant, code, code, {}):
        assert p.view(u2).tolist() == NEAREST[code](exact).tolist()
        exact[...] = value(p)
        assert {a.dtype for a in ours.state[0].values() if hasattr(a, "shape")} <= {
            np.dtype(f4)
        }


@variants
@pytest.mark.parametrize("grad", ["bf16", "f16"])
def test_gradients_of_few_bits_are_those_numbers(variant: str, grad: str) -> None:
    for ours, p, theirs, exact in run_beside(variant, "f32", grad, {}):
        assert p.tobytes() == exact.tobytes()
        assert image(ours) == image(theirs)


@variants
@pytest.mark.parametrize("code", NEAREST)
@pytest.mark.parametrize("grad", ["f32", "bf16"])
def test_a_master_takes_the_steps_of_float32(
    variant: str, code: str, grad: str
) -> None:
    how = {"master": "float32"}
    for ours, p, theirs, exact in run_beside(variant, code, grad, how):
        kept = dict(ours.state[0])
        assert kept.pop("master").tobytes() == exact.tobytes()
        assert p.view(u2).tolist() == NEAREST[code](exact).tolist()
        assert image(theirs)[1:] == [np.asarray(a).tobytes() for a in kept.values()]


@variants
def test_two_halves_take_the_steps_of_float32(variant: str) -> None:
    for ours, p, _, exact in run_beside(variant, "bf16", "bf16", {"master": "split"}):
        low = ours.state[0]["remainder"]
        assert codes.joined(p.view(u2), low).tobytes() == exact.tobytes()
        assert p.view(u2).tolist() == codes.split(exact)[0].tolist()


@single
def test_random_rounding_is_that_of_seed_step_array_and_element(variant: str) -> None:
    cls, given = SINGLE[variant]
    p, exact = start("bf16")
    first = coded(floats(9, 5, f4), "bf16")
    ours = cls([first, p], **given, rounding="stochastic", seed=11)
    theirs = cls(exact, **given)
    for t in range(1, 4):
        g = floats(t + 3, p.size, f4)
        ours.step([np.ones(5, f4), g])
        theirs.step(g)
        key = codes.array_key(11, 1, 0, t)
        assert p.view(u2).tolist() == codes.bfloat16_random(exact, key).tolist()
        exact[...] = value(p)


def copy_of_states(ours: Any, theirs: Any, kernel: _core.Kernel) -> None:
    """Write what states in code are to those in float32."""
    for name in kernel.state:
        if name + "_scale" in ours:
            found = codes.block_values(ours[name], ours[name + "_scale"])
        else:
            found = codes.bfloat16_values(ours[name].view(u2))
        theirs[name][...] = found


@single
@pytest.mark.parametrize("kind", ["bfloat16", "uint8"])
def test_states_of_few_bits_are_those_of_float32_encoded(
    variant: str, kind: str
) -> None:
    cls, given = SINGLE[variant]
    p, exact = start("f32")
    ours = cls([np.ones(3, f4), p], **given, state_dtype=kind, seed=3)
    theirs = cls([np.ones(3, f4), exact], **given)
    kernel = _core.find(cls.rule(ours.param_groups[0]), "f32")
    copy_of_states(ours.state[1], theirs.state[1], kernel)
    if kernel.copies:  # such states begin in the first step, as they are in code
        for opt in (ours, theirs):
            opt.step([None, floats(3, p.size, f4)])
        copy_of_states(ours.state[1], theirs.state[1], kernel)
        exact[...] = p
    for t in range(1, 5):
        g = floats(t + 3, p.size, f4)
        ours.step([None, g])
        theirs.step([None, g])
        assert p.tobytes() == exact.tobytes()
        for k, name in enumerate(kernel.state):
            key = codes.array_key(3, 1, 1 + k, ours.state[1]["step"])
            x, found = theirs.state[1][name], ours.state[1][name]
            if kind == "bfloat16":
                assert found.dtype == gs.bfloat16
                found = found.view(u2)
                expected = codes.bfloat16_random(x, key)
            else:
                expected, scale = codes.blocks(x, key)
                np.testing.assert_array_equal(ours.state[1][name + "_scale"], scale)
            np.testing.assert_array_equal(found, expected, err_msg=name)
        copy_of_states(ours.state[1], theirs.state[1], kernel)


# -- what is lost, and what keeps it


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({}, 1.0, 1.0),
        ({"master": "float32"}, 0.89, 0.91),
        ({"master": "split"}, 0.89, 0.91),
        ({"rounding": "stochastic"}, 0.899, 0.901),
    ],
)
def test_small_steps_move_a_parameter_of_one(
    options: dict[str, Any], low: float, high: float
) -> None:
    w = gs.to_bfloat16(np.ones(10_000))
    opt = gs.SGD(w, lr=0.01, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", gs.PrecisionWarning)
        for _ in range(1000):
            opt.step(np.full(10_000, 0.01, f4))
    assert len(caught) == (not options)
    assert low <= gs.from_bfloat16(w).mean(dtype=float) <= high
