"""`Trainer(standardize=...)`: by the first rows or given values; the problem stays."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import HEAVY, bits, by_hand, distance, normal, problem, weights

X, y = problem(90, 4)
S = weights(90)
DEVIATION = np.sqrt(S @ (X - S @ X / S.sum()) ** 2 / S.sum())
ROOT = np.sqrt(S @ X**2 / S.sum())


@pytest.mark.parametrize("name", sorted(gs.OPTIMIZERS))
@pytest.mark.parametrize("intercept", [False, True])
def test_the_first_call_is_an_epoch_of_a_standardized_fit(
    name: str, intercept: bool
) -> None:
    """Also of rules that keep where they began; from any coefficients."""
    if name in ("Rprop", "Adan"):  # one takes no mini-batches well, one is another's
        return
    o: dict[str, Any] = {"optimizer": gs.OPTIMIZERS[name], "batch_size": 7}
    o |= {"reduction": "mean", "ridge": 0.7, "intercept": intercept}
    o |= {"coef0": [1.0, -2.0, 3.0, 0.5]} | ({"intercept0": 2.0} if intercept else {})
    for dtype in (np.float64, np.float32):
        data = X.astype(dtype), y.astype(dtype)
        done = lls.fit(
            *data, sample_weight=S, epochs=1, shuffle=None, standardize=True, **o
        )
        trainer = lls.Trainer(4, dtype=dtype, standardize=True, **o)
        assert distance(trainer.coef, o["coef0"]) < 1e-6
        trainer.partial_fit(*data, S)
        assert bits(trainer) == bits(done)
        assert trainer.loss == done.loss[0]


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("intercept", [False, True])
def test_later_calls_keep_the_scaling_of_the_first(
    intercept: bool, kind: Any, k: int | None
) -> None:
    target = y if k is None else np.c_[y, -2 * y]
    o: dict[str, Any] = {"optimizer": HEAVY, "batch_size": 7, "intercept": intercept}
    o |= {"reduction": "mean", "average": 5}
    values = (S @ X / S.sum(), DEVIATION) if intercept else (None, ROOT)
    measured = lls.Trainer(4, k, standardize=True, **o)
    by_values = lls.Trainer(4, k, standardize=values, **o)
    lists = lls.Trainer(4, k, standardize=list(values), **o)
    for factor in (1.0, 0.3, 2.0):
        rows = kind(factor * X), target, S
        for each in (measured, by_values, lists):
            each.partial_fit(*rows)
        assert distance(measured.coef, by_values.coef) < 1e-10
        assert bits(by_values) == bits(lists)


def test_the_problem_and_its_units_stay() -> None:
    """Columns of very unequal sizes, for which plain steps would take for ever."""
    unequal = X * [1, 1e3, 0.1, 1] + [0, 0, 0.5, 50]
    w, b = normal(unequal, y, intercept=True, ridge=0.5)
    o: dict[str, Any] = {"optimizer": partial(gs.SGD, lr=0.1), "batch_size": 90}
    trainer = lls.Trainer(
        4, standardize=True, intercept=True, ridge=0.5, reduction="mean", **o
    )
    for _ in range(3000):
        trainer.partial_fit(unequal, y)
    assert distance(trainer.coef * unequal.std(axis=0), w * unequal.std(axis=0)) < 1e-6
    assert trainer.intercept == pytest.approx(b, rel=1e-5)
    scaled = by_hand(
        *(unequal, y, [np.arange(90)] * 3),
        intercept=True,
        ridge=0.5,
        reduction="mean",
        standardize=True,
        **o,
    )
    few = lls.Trainer(
        4, standardize=True, intercept=True, ridge=0.5, reduction="mean", **o
    )
    for _ in range(3):
        few.partial_fit(unequal, y)
    assert distance(few.coef, scaled.coef) < 1e-10


def test_columns_that_do_not_vary_in_the_first_call_are_not_divided() -> None:
    first = X.copy()
    first[:, 2] = 7
    trainer = lls.Trainer(
        4, optimizer=HEAVY, standardize=True, intercept=True, reduction="mean"
    )
    trainer.partial_fit(first, y).partial_fit(X, y)
    assert np.isfinite(trainer.coef).all()


def test_a_call_without_weight_measures_nothing() -> None:
    o: dict[str, Any] = {"optimizer": HEAVY, "standardize": True, "reduction": "mean"}
    trainer, other = lls.Trainer(4, **o), lls.Trainer(4, **o)
    trainer.partial_fit(5 * X, y, 0 * S)
    assert bits(trainer.partial_fit(X, y)) == bits(other.partial_fit(X, y))


BAD: dict[str, tuple[Any, Any, str]] = {
    "number": (1, TypeError, r"must be True, False or \(mean, deviation\), got 1"),
    "str": ("yes", TypeError, "must be True, False or"),
    "None": (None, TypeError, "must be True, False or"),
    "one": ((np.ones(4),), TypeError, "must be True, False or"),
    "three": ((1, 2, 3), TypeError, "must be True, False or"),
    "shape": ((np.ones(4), np.ones(3)), ValueError, r"\[1\] must have shape \(4,\)"),
    "mean": ((np.ones(3), np.ones(4)), ValueError, r"\[0\] must have shape \(4,\)"),
    "zero": (
        (None, [1, 0, 1, 1]),
        ValueError,
        r"\[1\] must be above 0, .* got 0.0 for column 1; pass 1 for columns",
    ),
    "negative": (
        (None, [1, 1, -1, 1]),
        ValueError,
        "above 0, .* got -1.0 for column 2",
    ),
    "tiny": ((None, [1, 1, 1, 5e-324]), ValueError, "above 0, .* for column 3"),
    "nan": ((None, [np.nan, 1, 1, 1]), ValueError, "above 0, .* got nan for column 0"),
    "inf": ((None, [np.inf, 1, 1, 1]), ValueError, "above 0, .* got inf for column 0"),
    "mean nan": ((X[0] * np.nan, np.ones(4)), ValueError, r"\[0\] must be finite"),
    "complex": ((None, np.ones(4) * 1j), TypeError, r"\[1\] must hold real numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_named(case: str) -> None:
    value, error, words = BAD[case]
    with pytest.raises(error, match=f"Trainer: standardize.*{words}"):
        lls.Trainer(4, optimizer=HEAVY, intercept=True, standardize=value)


def test_a_mean_needs_an_intercept() -> None:
    with pytest.raises(ValueError, match=r"needs intercept=True; pass \(None, deviat"):
        lls.Trainer(4, optimizer=HEAVY, standardize=(np.zeros(4), np.ones(4)))


def test_given_values_are_copied() -> None:
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    o: dict[str, Any] = {"optimizer": HEAVY, "intercept": True, "reduction": "mean"}
    trainer = lls.Trainer(4, standardize=(mean, deviation), **o)
    other = lls.Trainer(4, standardize=(mean.copy(), deviation.copy()), **o)
    mean[:], deviation[:] = np.nan, np.nan
    assert bits(trainer.partial_fit(X, y)) == bits(other.partial_fit(X, y))
