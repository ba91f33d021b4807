"""Schedules as functions of the step: their formulas and their properties."""

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep import schedules
from scheduling import BASE, SCHEDULES

STEPS = range(120)


each = pytest.mark.parametrize("name", SCHEDULES)


def close(schedule: schedules.Schedule, t: float, expected: float) -> bool:
    return abs(schedule(t, BASE) - expected) <= 4e-16 * BASE


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


@each
@settings(max_examples=25, deadline=None)
@given(
    t=st.lists(st.integers(0, 5000), min_size=1, max_size=6),
    base=st.floats(1e-6, 10),
)
def test_an_array_of_steps_gives_each_its_value(
    name: str, t: list[int], base: float
) -> None:
    schedule = SCHEDULES[name]
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
    schedule = SCHEDULES[name]
    forward = [schedule(t, BASE) for t in STEPS]
    fresh = copy.deepcopy(schedule)
    assert [fresh(t, BASE) for t in reversed(STEPS)] == forward[::-1]
    assert fresh == schedule


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(list(SCHEDULES)), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 40), min_size=3, max_size=3),
    base=st.floats(1e-3, 2),
)
def test_a_sequences_parts_are_the_parts(
    names: list[str], lengths: list[int], base: float
) -> None:
    parts = [SCHEDULES[name] for name in names]
    milestones = list(itertools.accumulate(lengths[: len(parts) - 1]))
    whole = schedules.Sequential(parts, milestones)
    for start, end, part in zip([0, *milestones], [*milestones, 200], parts):
        for t in range(start, end):
            assert whole(t, base) == part(t - start, base)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(list(SCHEDULES)), min_size=1, max_size=4),
    t=st.integers(0, 300),
)
def test_a_chains_parts_are_bases_of_each_other(names: list[str], t: int) -> None:
    parts = [SCHEDULES[name] for name in names]
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
