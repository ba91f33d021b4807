"""The same double from a schedule on every machine, and an accurate one."""

import hashlib
import math
import os
import subprocess
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest

from gradstep import _pinned, schedules
from scheduling import BASE, SCHEDULES

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
    values = SCHEDULES[name](range(3000), BASE)
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]


def test_bits_are_pinned() -> None:
    """A change here is a "numerics" line in CHANGELOG.md."""
    assert {name: digest(name) for name in SCHEDULES} == GOLDEN


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


if __name__ == "__main__":
    print(*(digest(name) for name in SCHEDULES))
