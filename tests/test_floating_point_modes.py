"""The same bits under every rounding mode of the caller, and its mode afterwards."""

import ctypes
import functools
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import gradstep as gs
from gradstep import lls, schedules
from gradstep import lr_scheduler as lrs

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="sets the control registers of x86-64"
)

# Words of glibc's fenv_t: the first is x87's control word, the last is MXCSR.
X87, MXCSR = 0, 7
MODES: dict[str, dict[int, tuple[int, int]]] = {  # word: bits cleared, bits set
    "upward": {X87: (0xC00, 0x800), MXCSR: (0x6000, 0x4000)},
    "downward": {X87: (0xC00, 0x400), MXCSR: (0x6000, 0x2000)},
    "toward zero": {X87: (0xC00, 0xC00), MXCSR: (0x6000, 0x6000)},
    "x87 single precision": {X87: (0x300, 0)},
    "subnormals as zero": {MXCSR: (0, 0x8040)},
}


@contextmanager
def mode(name: str) -> Iterator[None]:
    """Compute in a mode, and check that nothing has changed it."""
    libm = ctypes.CDLL("libm.so.6")
    before, during, after = ((ctypes.c_uint32 * 8)() for _ in range(3))
    assert libm.fegetenv(before) == 0
    assert libm.fegetenv(during) == 0
    for word, (cleared, added) in MODES[name].items():
        during[word] = during[word] & ~cleared | added
    try:
        assert libm.fesetenv(during) == 0
        yield
        assert libm.fegetenv(after) == 0
    finally:
        libm.fesetenv(before)
    for word, (cleared, added) in MODES[name].items():
        assert after[word] & (cleared | added) == added, "the caller's mode has changed"


RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)) * [1, 10, 0.1, 3, 7] + 5
Y, WEIGHTS = RNG.normal(size=200), RNG.uniform(size=200)
TINY = RNG.normal(size=200) * 1e-150
SPARSE = scipy.sparse.random_array((200, 30), density=0.1, rng=RNG, format="csr")
LOSSES = RNG.uniform(size=15)
START = RNG.normal(size=300)

sgd = functools.partial(gs.SGD, lr=1e-4, momentum=0.5)


def fit(*arguments: Any, **options: Any) -> Any:
    result = lls.fit(*arguments, **options)
    return [*result.coef.ravel(), *np.ravel(result.intercept), *result.loss]


def trained() -> Any:
    trainer = lls.Trainer(5, optimizer=sgd, batch_size=7, intercept=True, average=True)
    trainer.partial_fit(X, Y, WEIGHTS)
    return [*trainer.coef, trainer.intercept, trainer.loss]


def rates(make: Callable[[Any], Any]) -> list[float]:
    """Return the learning rates, and momenta, that a scheduler sets."""
    opt = gs.SGD(np.ones(2), lr=0.1, momentum=0.9)
    scheduler, values = make(opt), []
    for loss in LOSSES:
        opt.step(np.ones(2))
        by_loss = isinstance(scheduler, lrs.ReduceLROnPlateau)
        scheduler.step(*([float(loss)] if by_loss else []))
        values += [opt.lr, opt.momentum, *scheduler.get_last_lr()]
    return values


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.9),
    "StepLR": lambda o: lrs.StepLR(o, 3, 0.7),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [2, 7], 0.3),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.3, 1.0, 7),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 9, power=0.7),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 4, 2),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.3, total_steps=19),
    "CyclicLR": lambda o: lrs.CyclicLR(
        o, 0.01, 0.3, step_size_up=4, mode="exp_range", gamma=0.97
    ),
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda t: 1 / (1 + 0.1 * t)),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda t: 1 - 0.1 / t),
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(
        o, factor=0.3, patience=0, threshold=0.1
    ),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.ConstantLR(o, 0.3), lrs.ExponentialLR(o, 0.9)], [4]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.LinearLR(o, 0.3), lrs.ExponentialLR(o, 0.9)]
    ),
}


def minimum() -> Any:
    adam = gs.minimize(gs.Adam)
    return scipy.optimize.minimize(
        lambda w: (float(w @ w), 2 * w),
        START[:3],
        jac=True,
        method=adam,
        options={"maxiter": 20},
    ).x


def averaged() -> Any:
    w = START.copy()
    opt = gs.ScheduleFreeAdamW(w, lr=0.01)
    for _ in range(9):
        opt.step(w.copy(), clip_norm=0.1)
    return [*w, *opt.eval_params(), opt.last_step.grad_norm]


CASES: dict[str, Callable[[], Any]] = {
    "the default fit": lambda: fit(X, Y, intercept=True, sample_weight=WEIGHTS),
    "the default fit, tiny targets": lambda: fit(X, TINY),
    "the default fit, sparse": lambda: fit(SPARSE, Y, ridge=0.1),
    "standardize": lambda: fit(
        X, Y, optimizer=sgd, epochs=3, standardize=True, intercept=True
    ),
    "a fit with validation": lambda: (
        lls.fit(
            X, Y, optimizer=sgd, epochs=3, batch_size=10, validation=(X[:20], Y[:20])
        ).validation_loss
    ),
    "max_stable_lr": lambda: lls.max_stable_lr(X),
    "Trainer": trained,
    **{
        f"solve by {method}": functools.partial(
            lambda method: lls.solve(X, Y, method=method, intercept=True).coef, method
        )
        for method in ("svd", "qr", "normal", "cg")
    },
    **{name: functools.partial(rates, make) for name, make in SCHEDULERS.items()},
    "a schedule": lambda: schedules.CosineAnnealing(9)(np.arange(12), 0.3),
    "minimize": minimum,
    "schedule-free steps": averaged,
}


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("case", CASES)
def test_no_bit_depends_on_the_callers_mode(case: str, name: str) -> None:
    expected = np.asarray(CASES[case]()).tobytes()
    with mode(name):
        result = np.asarray(CASES[case]())
    assert result.tobytes() == expected


def test_an_error_restores_the_callers_mode() -> None:
    with mode("upward"), pytest.raises(ValueError, match="method must be"):
        lls.solve(X, Y, method="none")


CHILD = """
import ctypes, numpy as np
from gradstep import lls
X, y = np.linspace(0, 1, 30).reshape(10, 3) ** 2, np.linspace(-1, 2, 10)
for mode in 0, 0x400, 0x800, 0xC00:
    ctypes.CDLL("libm.so.6").fesetround(mode)
    fit = lls.fit(X, y, intercept=True)
    assert ctypes.CDLL("libm.so.6").fegetround() == mode
    print(fit.coef.tobytes().hex())
"""


def test_fesetround_changes_no_bit_of_a_fit() -> None:
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(set(done.stdout.split())) == 1
