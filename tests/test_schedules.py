"""Schedules as functions of the step: their formulas, their bits, their arguments."""

import copy
import hashlib
import itertools
import math
import os
import pickle
import subprocess
import sys
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep import _pinned, schedules

BASE = 0.37
STEPS = range(120)

# One of each, no argument neutral.
EACH: dict[str, schedules.Schedule] = {
    "constant": schedules.Constant(0.3, 7),
    "linear": schedules.Linear(0.2, 1.7, 23),
    "step": schedules.Step(11, 0.83),
    "multistep": schedules.MultiStep([3, 20, 71], 0.37),
    "exponential": schedules.Exponential(0.973),
    "exponential decay": schedules.ExponentialDecay(0.031),
    "inverse time": schedules.InverseTime(0.23),
    "polynomial": schedules.Polynomial(97, 1.7),
    "inverse sqrt": schedules.InverseSqrt(13),
    "exponential step size": schedules.ExponentialStepSize(120, 1.9),
    "lambda": schedules.Lambda(lambda t: 1 / (1 + t * t)),
    "multiplicative": schedules.Multiplicative(lambda i: 1 - 1 / (i + 3)),
    "cosine": schedules.CosineAnnealing(83, 0.011),
    "cosine periodic": schedules.CosineAnnealing(17, 0.011, periodic=True),
    "restarts": schedules.CosineAnnealingWarmRestarts(7, 3, 0.011),
    "restarts even": schedules.CosineAnnealingWarmRestarts(7, 1, 0.011),
    "phases": schedules.Phases([7.3, 31, 90], [0.1, 0.9, 0.3, 0.01]),
    "phases linear": schedules.Phases([7.3, 31, 90], [0.1, 0.9, 0.3, 0.01], "linear"),
    "cyclic": schedules.Cyclic(0.1, 0.7, 9, 14),
    "cyclic halved": schedules.Cyclic(0.1, 0.7, 9, 14, "triangular2"),
    "cyclic decayed": schedules.Cyclic(0.1, 0.7, 9, 14, "exp_range", 0.97),
    "cyclic own": schedules.Cyclic(0.1, 0.7, 9, scale_fn=lambda n: 1 / n),
    "wsd": schedules.WarmupStableDecay(9, 31, 47, "sqrt", 0.07),
    "wsd exponential": schedules.WarmupStableDecay(9, 31, 47, "exponential", 0.07),
    "wsd cosine": schedules.WarmupStableDecay(9, 31, 47, "cosine", 0.07),
    "warmup": schedules.Warmup(schedules.CosineAnnealing(83), 13),
    "warmup from": schedules.Warmup(schedules.Step(11, 0.83), 13, 0.21),
    "sequential": schedules.Sequential(
        [schedules.Linear(0.2, 1.0, 9), schedules.Step(5), schedules.Exponential(0.9)],
        [9, 50],
    ),
    "chained": schedules.Chained(
        [schedules.Constant(0.3, 7), schedules.Exponential(0.97), schedules.Step(11)]
    ),
}
each = pytest.mark.parametrize("name", EACH)


def close(schedule: schedules.Schedule, t: float, expected: float) -> bool:
    return abs(schedule(t, BASE) - expected) <= 4e-16 * BASE


# ---- what the tutorial prints


@pytest.mark.parametrize("t", STEPS)
def test_the_tutorials_formulas(t: int) -> None:
    a0, k = BASE, 0.07
    step = schedules.Step(5, 0.5)  # "by a half every 5 epochs"
    assert close(step, t, a0 * 0.5 ** (t // 5))
    tenth = schedules.Step(20, 0.1)  # "or by 0.1 every 20 epochs"
    assert close(tenth, t, a0 * 0.1 ** (t // 20))
    assert close(schedules.ExponentialDecay(k), t, a0 * math.exp(-k * t))
    assert close(schedules.InverseTime(k), t, a0 / (1 + k * t))
    least, t_max = 0.02, 119
    cosine = least + 0.5 * (a0 - least) * (1 + math.cos(t / t_max * math.pi))
    assert close(schedules.CosineAnnealing(t_max, least), t, cosine)


# ---- those that torch has not (tests/peers compares the others)


def test_inverse_sqrt_is_the_transformers() -> None:
    """Vaswani et al., equation 3, whose steps count from 1."""
    d, w = 512, 13
    noam = schedules.InverseSqrt(w)
    for step in range(1, 400):
        rate = d**-0.5 * min(step**-0.5, step * w**-1.5)
        assert math.isclose(noam(step - 1, (d * w) ** -0.5), rate, rel_tol=1e-14)


@pytest.mark.parametrize("beta", [1.0, 3.7])
def test_exponential_step_sizes_end_at_beta_over_t(beta: float) -> None:
    """Li, Zhuang & Orabona: a_t = a_0 alpha^t, alpha = (beta / T)^(1/T), from 1."""
    n = 90
    found = schedules.ExponentialStepSize(n, beta)
    alpha = (beta / n) ** (1 / n)
    for t in range(1, n + 1):
        assert math.isclose(found(t - 1, BASE), BASE * alpha**t, rel_tol=1e-13)
    assert found(n - 1, BASE) == BASE * (beta / n)


@pytest.mark.parametrize(
    ("decay", "shape"),
    [
        ("linear", lambda q: 1 - q),
        ("sqrt", lambda q: 1 - math.sqrt(q)),
        ("square", lambda q: 1 - q * q),
        ("cosine", lambda q: (1 + math.cos(math.pi * q)) / 2),
    ],
)
def test_warmup_stable_decay(decay: str, shape: Any) -> None:
    w, s, d, m = 5, 12, 20, 0.07
    found = schedules.WarmupStableDecay(w, s, d, decay, m)
    for t in range(60):
        if t < w:
            factor = (t + 1) / (w + 1)
        elif t < w + s:
            factor = 1.0
        else:
            factor = m + (1 - m) * shape(min((t - w - s) / d, 1))
        assert math.isclose(found(t, BASE), BASE * factor, rel_tol=1e-14)
    assert found(w + s + d, BASE) == found(10**9, BASE) == BASE * m


def test_exponential_decay_of_wsd_ends_without_a_jump() -> None:
    found = schedules.WarmupStableDecay(0, 0, 10, "exponential", 0.01)
    assert [round(found(t), 12) for t in (0, 5, 10, 11)] == [1, 0.1, 0.01, 0.01]


def test_warmup_goes_evenly_to_where_the_schedule_begins() -> None:
    after = schedules.Cyclic(0.6, 0.9, 3)
    found = schedules.Warmup(after, 4)
    assert found(range(5)) == pytest.approx([0.12, 0.24, 0.36, 0.48, 0.6])
    assert [found(t + 4) for t in range(20)] == [after(t) for t in range(20)]
    zero = schedules.Warmup(after, 4, 0.0)
    assert zero(range(5)) == pytest.approx([0, 0.15, 0.3, 0.45, 0.6])
    assert schedules.Warmup(after, 0)(0) == 0.6


# ---- properties


@each
@settings(max_examples=25, deadline=None)
@given(
    t=st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    base=st.floats(1e-6, 10),
)
def test_an_array_of_steps_gives_each_its_value(
    name: str, t: list[int], base: float
) -> None:
    schedule = EACH[name]
    expected = [schedule(k, base) for k in t]
    assert schedule(t, base).tolist() == expected
    assert schedule(np.array(t)[:, np.newaxis], base).tolist() == [
        [x] for x in expected
    ]
    assert schedule(np.array(t, float), base).tolist() == expected
    assert schedule(np.int64(t[0]), base) == expected[0]
    assert all(type(x) is float for x in expected)


@each
def test_a_schedule_remembers_nothing(name: str) -> None:
    """The values of steps in any order are those of a copy that takes them in turn."""
    schedule = EACH[name]
    forward = [schedule(t, BASE) for t in STEPS]
    fresh = copy.deepcopy(schedule)
    assert [fresh(t, BASE) for t in reversed(STEPS)] == forward[::-1]
    assert fresh == schedule


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(list(EACH)), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 40), min_size=3, max_size=3),
    base=st.floats(1e-3, 2),
)
def test_a_sequences_parts_are_the_parts(
    names: list[str], lengths: list[int], base: float
) -> None:
    parts = [EACH[name] for name in names]
    milestones = list(itertools.accumulate(lengths[: len(parts) - 1]))
    whole = schedules.Sequential(parts, milestones)
    for start, end, part in zip([0, *milestones], [*milestones, 200], parts):
        for t in range(start, end):
            assert whole(t, base) == part(t - start, base)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(list(EACH)), min_size=1, max_size=4),
    t=st.integers(0, 300),
)
def test_a_chains_parts_are_bases_of_each_other(names: list[str], t: int) -> None:
    parts = [EACH[name] for name in names]
    value = BASE
    for part in parts:
        value = part(t, value)
    assert schedules.Chained(parts)(t, BASE) == value


def test_ends_are_exact() -> None:
    cosine = schedules.CosineAnnealing(90, 0.013)
    assert (cosine(0, 0.1), cosine(90, 0.1), cosine(10**9, 0.1)) == (0.1, 0.013, 0.013)
    assert schedules.CosineAnnealing(90)(45, 0.1) == 0.05
    periodic = schedules.CosineAnnealing(90, 0.013, periodic=True)
    assert [periodic(90 * k, 0.1) for k in range(4)] == [0.1, 0.013, 0.1, 0.013]
    assert schedules.Linear(0.3, 0.1, 7)(7, 1.0) == 0.1
    assert schedules.Polynomial(7, 0.5)(7, 1.0) == 0
    assert schedules.Exponential(0.5)(30, 1.0) == 2.0**-30
    phases = schedules.Phases([3, 9], [0.1, 0.7, 0.01])
    assert (phases(0), phases(3), phases(9), phases(99)) == (0.1, 0.7, 0.01, 0.01)
    restarts = schedules.CosineAnnealingWarmRestarts(5, 2)
    assert [restarts(t, 0.1) for t in (0, 5, 15, 35, 75)] == [0.1] * 5


def test_far_steps_are_found_at_once() -> None:
    far = 10**15
    assert schedules.CosineAnnealingWarmRestarts(5, 1)(far, 0.1) == 0.1
    restarts = schedules.CosineAnnealingWarmRestarts(5, 2)
    assert restarts(5 * (2**40 - 1), 0.1) == 0.1
    assert schedules.Exponential(1 - 2.0**-46)(2**46) == pytest.approx(math.exp(-1))
    assert schedules.Step(10**12, 0.9)(far) == pytest.approx(0.9**1000)


def test_fractional_steps() -> None:
    assert schedules.Exponential(0.25)(1.5) == pytest.approx(0.125)
    assert schedules.Step(2, 0.1)(3.9) == 0.1
    assert schedules.CosineAnnealing(4)(1.0) == schedules.CosineAnnealing(4)(1)
    restarts = schedules.CosineAnnealingWarmRestarts(2, 2)
    assert restarts(3.5) == schedules.CosineAnnealing(8)(3)


# ---- the same bits everywhere

GOLDEN = {
    "constant": "5d1893b657c701d4",
    "linear": "df877f27c38e21c3",
    "step": "c3a46d1a38824838",
    "multistep": "031dfa4e06d0b902",
    "exponential": "7a10fc6e09b3818d",
    "exponential decay": "0cfc6aa33b225796",
    "inverse time": "513a202145f9c9d7",
    "polynomial": "6c56a7da3cb2238e",
    "inverse sqrt": "3945f53f90fe1dad",
    "exponential step size": "8a9cc16616d93f32",
    "lambda": "82b66c652f870652",
    "multiplicative": "7223da9c4ad41279",
    "cosine": "0f4cc628d03ca6a8",
    "cosine periodic": "d7f102340731c9e9",
    "restarts": "63157bd5bb6fd260",
    "restarts even": "c18653476e223ec5",
    "phases": "749e78fe818bf7cf",
    "phases linear": "ab3f5da2ce74fff3",
    "cyclic": "08e22c09e36144a3",
    "cyclic halved": "24dfdb2832e52d65",
    "cyclic decayed": "37dbaf8ab73bdc7c",
    "cyclic own": "29263a8234e58b74",
    "wsd": "37bcb8010917fb29",
    "wsd exponential": "86e773b754ce9f81",
    "wsd cosine": "05f346c2fb713abd",
    "warmup": "b51a01487fc0d10c",
    "warmup from": "b157557663303196",
    "sequential": "4529d375ece77bfe",
    "chained": "5331763970340614",
}


def digest(name: str) -> str:
    values = EACH[name](range(3000), BASE)
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]


def test_bits_are_pinned() -> None:
    """A change here is a "numerics" line in CHANGELOG.md."""
    assert {name: digest(name) for name in EACH} == GOLDEN


def test_a_cpu_without_fused_multiply_add_finds_the_same_bits() -> None:
    """C's fma() is correctly rounded whether the CPU has it or not."""
    env = os.environ | {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2,-AVX"}
    done = subprocess.run(
        [sys.executable, __file__],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.split() == list(GOLDEN.values())


def test_whole_powers_are_correctly_rounded() -> None:
    rng = np.random.default_rng(0)
    cases = [(float(b), int(n)) for b in rng.uniform(0, 1, 300) for n in (2, 7, 30)]
    cases += [(1 - 10.0**-k, 3 * 10**k + 1) for k in range(1, 9)]
    cases += [(1 + 10.0**-k, 3 * 10**k + 1) for k in range(1, 9)]
    with localcontext() as context:
        context.prec = 120
        for b, n in cases:
            assert _pinned.power(b, n) == float(Decimal(b) ** n)


def test_powers_at_the_edges() -> None:
    cases = {
        (0.0, 0): 1.0,
        (0.0, 3): 0.0,
        (0.0, 0.5): 0.0,
        (1.0, 2**52): 1.0,
        (2.0, 1023): 2.0**1023,
        (2.0, 1024): math.inf,
        (1e200, 2): math.inf,
        (0.5, 1074): 5e-324,
        (0.5, 1080): 0.0,
        (0.25, 0.5): 0.5,
        (3.0, 0.0): 1.0,
    }
    for (b, x), expected in cases.items():
        assert _pinned.power(b, x) == expected, (b, x)


def test_exp_is_within_two_units_of_the_last_place() -> None:
    with localcontext() as context:
        context.prec = 50
        for x in np.random.default_rng(1).uniform(-700, 1, 2000):
            exact = Decimal(float(x)).exp()
            assert abs(Decimal(_pinned.exp(float(x))) / exact - 1) < 4.5e-16


def half_cosine(t: int, length: int) -> Decimal:
    """(1 + cos(pi t / length)) / 2 by its series, to 50 digits."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097")
    y, term, total = pi * t / length, Decimal(1), Decimal(1)
    for k in range(1, 40):
        term = -term * y * y / (2 * k * (2 * k - 1))
        total += term
    return (1 + total) / 2


@pytest.mark.parametrize("length", [3, 10, 3000, 2**30])
def test_cosines_lose_no_digits_near_their_zero(length: int) -> None:
    random = np.random.default_rng(2).integers(1, length, 300).tolist()
    near = [2**k for k in range(30) if 2**k < length]
    with localcontext() as context:
        context.prec = 50
        for t in {*near, *(length - x for x in near), *random}:
            part = half_cosine(t, length)
            for turn in (0, 2 * length, 2 * length * 10**4):
                found = _pinned.cosine(1.0, 0.0, turn + t, length)
                rest = _pinned.cosine(0.0, 1.0, turn + 2 * length - t, length)
                assert abs(Decimal(found) / part - 1) < 1.5e-15
                assert abs(Decimal(rest) / (1 - part) - 1) < 1.5e-15


@pytest.mark.parametrize("decay", ["linear", "sqrt", "square"])
def test_decays_lose_no_digits_near_their_zero(decay: str) -> None:
    n = 3000
    found = schedules.WarmupStableDecay(0, 0, n, decay)
    falls = schedules.Linear(1.0, 0.0, n)
    with localcontext() as context:
        context.prec = 50
        for t in (1, 7, 1500, 2990, 2999):
            q = Decimal(t) / n
            exact = {"linear": 1 - q, "sqrt": 1 - q.sqrt(), "square": 1 - q * q}[decay]
            assert abs(Decimal(found(t)) / exact - 1) < 4e-16
            assert abs(Decimal(falls(t)) / (1 - q) - 1) < 4e-16


# ---- arguments

BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (
        schedules.Step,
        {"step_size": 0},
        ValueError,
        "Step: step_size must be at least 1",
    ),
    (schedules.Step, {"step_size": 2.0}, TypeError, "step_size must be int, got float"),
    (schedules.Step, {"step_size": True}, TypeError, "step_size must be int, got bool"),
    (schedules.Step, {"step_size": 2, "gamma": -1.0}, ValueError, r"gamma must be in"),
    (schedules.Exponential, {"gamma": math.nan}, ValueError, "gamma must be in.*nan"),
    (schedules.Exponential, {"gamma": "0.9"}, TypeError, "gamma must be a real number"),
    (schedules.ExponentialDecay, {"k": math.inf}, ValueError, "k must be in"),
    (schedules.InverseTime, {"k": -0.1}, ValueError, "InverseTime: k must be in"),
    (schedules.Constant, {"total_iters": -1}, ValueError, "total_iters must be in"),
    (schedules.Linear, {"start_factor": -0.1}, ValueError, "start_factor must be in"),
    (
        schedules.MultiStep,
        {"milestones": [3, 3]},
        ValueError,
        "must rise, got 3 after 3",
    ),
    (
        schedules.MultiStep,
        {"milestones": [3, 2]},
        ValueError,
        "must rise, got 2 after 3",
    ),
    (schedules.MultiStep, {"milestones": [-3]}, ValueError, r"milestones\[0\] must be"),
    (
        schedules.MultiStep,
        {"milestones": 3},
        TypeError,
        "milestones must be a sequence",
    ),
    (
        schedules.MultiStep,
        {"milestones": [1.5]},
        TypeError,
        r"milestones\[0\] must be int",
    ),
    (schedules.Polynomial, {"power": -1.0}, ValueError, "power must be in"),
    (schedules.InverseSqrt, {"warmup_steps": 0}, ValueError, "at least 1, got 0"),
    (schedules.ExponentialStepSize, {"T": 0}, ValueError, "T must be at least 1"),
    (
        schedules.ExponentialStepSize,
        {"T": 9, "beta": 0.5},
        ValueError,
        "beta must be in",
    ),
    (schedules.Lambda, {"fn": 3.0}, TypeError, "fn must be callable, got float"),
    (schedules.Multiplicative, {"fn": None}, TypeError, "fn must be callable"),
    (schedules.CosineAnnealing, {"T_max": 0}, ValueError, "T_max must be at least 1"),
    (schedules.CosineAnnealing, {"T_max": 9, "eta_min": -1.0}, ValueError, "eta_min"),
    (
        schedules.CosineAnnealing,
        {"T_max": 9, "periodic": 1},
        ValueError,
        "periodic must",
    ),
    (schedules.CosineAnnealingWarmRestarts, {"T_0": 0}, ValueError, "T_0 must be at"),
    (
        schedules.CosineAnnealingWarmRestarts,
        {"T_0": 3, "T_mult": 0},
        ValueError,
        "T_mult must be at least 1",
    ),
    (schedules.Cyclic, {"first": -1.0, "peak": 1.0}, ValueError, "first must be in"),
    (schedules.Cyclic, {"first": 0.1, "peak": 1.0, "mode": "x"}, ValueError, "one of"),
    (
        schedules.Cyclic,
        {"first": 0.1, "peak": 1.0, "step_size_down": 0},
        ValueError,
        "step_size_down must be at least 1",
    ),
    (
        schedules.Phases,
        {"ends": [3], "values": [1.0]},
        ValueError,
        "one more than the 1",
    ),
    (
        schedules.Phases,
        {"ends": [3, 2], "values": [1.0, 2.0, 3.0]},
        ValueError,
        "ends must not fall",
    ),
    (
        schedules.WarmupStableDecay,
        {
            "warmup_steps": 1,
            "stable_steps": 1,
            "decay_steps": 1,
            "decay": "exponential",
        },
        ValueError,
        "min_factor must be above 0",
    ),
    (
        schedules.WarmupStableDecay,
        {"warmup_steps": 1, "stable_steps": 1, "decay_steps": 1, "min_factor": 1.5},
        ValueError,
        r"min_factor must be in \[0, 1\]",
    ),
    (schedules.Sequential, {"schedules": [], "milestones": []}, ValueError, "is empty"),
    (
        schedules.Sequential,
        {"schedules": [EACH["step"]] * 2, "milestones": []},
        ValueError,
        "one fewer than the 2",
    ),
    (
        schedules.Sequential,
        {"schedules": [EACH["step"]] * 2, "milestones": [0]},
        ValueError,
        "milestones must be at least 1",
    ),
    (
        schedules.Sequential,
        {"schedules": [EACH["step"]] * 3, "milestones": [4, 4]},
        ValueError,
        "must rise",
    ),
    (
        schedules.Chained,
        {"schedules": [0.5]},
        TypeError,
        r"schedules\[0\] must be a sch",
    ),
    (schedules.Warmup, {"schedule": abs, "steps": 3}, TypeError, "must be a schedule"),
    (
        schedules.Warmup,
        {"schedule": EACH["step"], "steps": 3, "start_factor": 2.0},
        ValueError,
        "start_factor must be in",
    ),
]


@pytest.mark.parametrize(("kind", "options", "error", "words"), BAD)
def test_bad_arguments_are_named(
    kind: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        kind(**options)
    assert str(caught.value).startswith(f"{kind.__name__}: ")


@pytest.mark.parametrize("t", [-1, -0.5, math.nan, math.inf, [3, -1]])
def test_steps_before_the_first_are_refused(t: Any) -> None:
    with pytest.raises(ValueError, match="t must be >= 0"):
        EACH["step"](t)


@pytest.mark.parametrize("t", ["3", None, True, [True], [None]])
def test_steps_are_numbers(t: Any) -> None:
    with pytest.raises(TypeError, match="t must be numbers"):
        EACH["step"](t)


@pytest.mark.parametrize("base", [-0.1, math.nan, math.inf])
def test_a_base_out_of_range_is_refused(base: float) -> None:
    with pytest.raises(ValueError, match="Step: base must be in"):
        EACH["step"](3, base)
    with pytest.raises(TypeError, match="base must be a real number"):
        EACH["phases"]([3], "0.1")  # type: ignore[call-overload]


def test_a_value_out_of_the_range_of_floats_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Exponential\(gamma=2.0\).*step 2000 is inf"):
        schedules.Exponential(2.0)(2000, 0.1)
    with pytest.raises(ValueError, match="step 7 is nan"):
        schedules.Lambda(lambda _: math.nan)(7)


def test_peaks_of_cycles_are_exact() -> None:
    for peak in np.random.default_rng(3).random(300).tolist():
        cyclic = schedules.Cyclic(0.013, peak, 7, 5)
        assert (cyclic(0), cyclic(7), cyclic(12)) == (0.013, peak, 0.013)
        assert max(cyclic(range(24))) == max(peak, 0.013)


def test_schedules_are_values() -> None:
    one = schedules.Warmup(schedules.CosineAnnealing(90, eta_min=0.1), 10)
    assert repr(one) == (
        "Warmup(schedule=CosineAnnealing(T_max=90, eta_min=0.1), steps=10)"
    )
    same = eval(repr(one), vars(schedules))
    assert same == one
    assert hash(same) == hash(one)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != schedules.Warmup(schedules.CosineAnnealing(91, eta_min=0.1), 10)
    with pytest.raises(AttributeError):
        one.steps = 3  # type: ignore[misc]


def test_every_schedule_is_tried_here() -> None:
    kinds = {getattr(schedules, name) for name in schedules.__all__}
    tried = {type(schedule) for schedule in EACH.values()}
    assert tried == kinds - {schedules.Schedule}
    assert {kind for kind, *_ in BAD} | {schedules.Schedule} == kinds


if __name__ == "__main__":
    assert Path(gs.__file__).exists()
    print(*(digest(name) for name in EACH))
