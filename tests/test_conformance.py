"""Every kernel against the paper: a step from a random state, with nothing neutral."""

import math

import numpy as np
import pytest

import reference
from gradstep import _core
from support import (
    NUMPY,
    SCALARS,
    SIZES,
    floats,
    hyper_of,
    hypers_of,
    kernels,
    label,
    random_state,
    step_by,
)
from tracked import Tracked

# Errors allowed, in units of the running bound of the reference. Not 1, because kernels
# associate some operations otherwise than the reference does.
TOLERANCE = 1.5


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("t", [1, 2, 5, 1000])
@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_one_step_agrees_with_the_paper(kernel: _core.Kernel, t: int, n: int) -> None:
    _compare(kernel, t, n, hyper_of(kernel))


@pytest.mark.parametrize("t", [1, 2, 5, 1000])
@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_every_combination_of_flags_agrees(kernel: _core.Kernel, t: int) -> None:
    for hyper in hypers_of(kernel):
        _compare(kernel, t, 65, hyper)


def _compare(kernel: _core.Kernel, t: int, n: int, hyper: dict[str, float]) -> None:
    dtype = NUMPY[kernel.dtype]
    seed = 100 * t + n
    inputs = {"p": floats(seed, n, dtype), "g": floats(seed + 99, n, dtype)}
    states = random_state(kernel, seed, n)
    for name in kernel.copies if t == 1 else ():
        states[name][...] = inputs["p"]
    _assert_spread(n, *inputs.values(), *states.values())

    u = float(np.finfo(dtype).eps) / 2
    exact = {k: Tracked(v, 0, u) for k, v in (inputs | states).items()}
    kept = {name: SCALARS[name] for name in kernel.scalar}
    expected = reference.RULES[kernel.rule](t=t, **exact, **kept, **hyper)

    kept = step_by(kernel, inputs["p"], inputs["g"], list(states.values()), hyper, t)
    got = {"p": inputs["p"], **states}
    assert set(got) | set(kept) == set(expected)
    for name, value in got.items():
        where = f"{label(kernel)} t={t} n={n} {hyper} {name}"
        _assert_close(value, expected[name], where)
    for name, scalar in kept.items():
        assert math.isclose(scalar, expected[name], rel_tol=1e-14), name


@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_grad_scale_multiplies_the_gradient(kernel: _core.Kernel) -> None:
    # A power of two, so that scaling first is exact and the bits must be the same.
    p, g = floats(1, 65, NUMPY[kernel.dtype]), floats(2, 65, NUMPY[kernel.dtype])
    states = [list(random_state(kernel, 3, 65).values()) for _ in range(2)]
    q = p.copy()
    step_by(kernel, p, g, states[0], hyper_of(kernel), 3, grad_scale=-0.25)
    step_by(kernel, q, -0.25 * g, states[1], hyper_of(kernel), 3)
    assert p.tobytes() == q.tobytes()
    assert [a.tobytes() for a in states[0]] == [a.tobytes() for a in states[1]]


@pytest.mark.parametrize("kernel", kernels(), ids=label)
def test_a_long_run_stays_with_the_reference(kernel: _core.Kernel) -> None:
    """Step counts, coefficients and states carry over from step to step."""
    n, dtype = 33, NUMPY[kernel.dtype]
    p = floats(5, n, dtype)
    states = {name: np.zeros(n, dtype) for name in kernel.state}
    hyper = hyper_of(kernel)
    engine = _core.Engine(kernel.rule, (p,), ("",), (0,), 1, single=True)
    engine.bind(0, kernel, tuple(states.values()))
    engine.set_group(0, tuple(hyper.values()), 1.0)
    engine.bound()
    wide = {"p": p.astype(np.float64)}
    wide |= {name: np.zeros(n) for name in states} | dict.fromkeys(kernel.scalar, 0.0)
    wide |= {name: wide["p"].copy() for name in kernel.copies}
    for t in range(1, 21):
        g = floats(100 + t, n, dtype)
        engine.step(g)
        wide |= reference.RULES[kernel.rule](t=t, g=g.astype(float), **wide, **hyper)
    # Errors of 20 steps add up and pass through roots: 1000 units in the largest value.
    tolerance = 1000 * float(np.finfo(dtype).eps)
    for name, value in {"p": p, **states}.items():
        scale = abs(wide[name]).max() + 1e-30
        assert abs(value - wide[name]).max() <= tolerance * scale, name
    assert engine.get_t(0) == 20


def _assert_spread(n: int, *arrays: np.ndarray) -> None:
    """The generator must not hand out zeros, or one magnitude only."""
    for a in arrays:
        assert (a != 0).all()
        if n >= 31:
            assert abs(a).max() > 30 * abs(a).min()


def _assert_close(got: np.ndarray, expected: Tracked, where: str) -> None:
    # Below the normal range, one unit of the last place is no longer relative.
    floor = float(np.finfo(got.dtype).smallest_subnormal)
    error = abs(got.astype(expected.value.dtype) - expected.value)
    allowed = TOLERANCE * expected.error + floor
    bad = np.flatnonzero(~(error <= allowed))
    assert bad.size == 0, (
        f"{where} isa={_core.isa()}: {bad.size} of {got.size} elements off, first at "
        f"{bad[0]}: got {got[bad[0]]!r}, expected {expected.value[bad[0]]!r} "
        f"+- {allowed[bad[0]]:.3g}"
    )
