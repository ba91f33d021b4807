"""Trainer: a fit in portions, saved and resumed."""

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from training import HEAVY, SGD, bits, by_hand, distance, problem, weights

X, y = problem(50, 4)
S = weights(50)
OPTIMIZERS: dict[str, Any] = {
    "momentum": HEAVY,
    "Adam": partial(gs.Adam, lr=0.02),
    "ScheduleFreeSGD": partial(gs.ScheduleFreeSGD, lr=0.02),
    "ScheduleFreeAdamW": partial(gs.ScheduleFreeAdamW, lr=0.02),
    "LAMB": partial(gs.LAMB, lr=0.02),
}
CASES = [
    (name, {"average": average, "intercept": intercept, "ridge": ridge})
    for name in OPTIMIZERS
    for average in (False, True, 9)
    for intercept, ridge in ((False, 0.0), (True, 0.7))
]


@pytest.mark.parametrize(("name", "o"), CASES)
def test_portions_of_an_epoch_each_are_a_fit(name: str, o: dict[str, Any]) -> None:
    o = {"optimizer": OPTIMIZERS[name], "batch_size": 7, "reduction": "mean"} | o
    for dtype in (np.float32, np.float64):
        data = X.astype(dtype), y.astype(dtype)
        done = lls.fit(*data, epochs=4, shuffle=None, sample_weight=S, **o)
        trainer = lls.Trainer(4, dtype=dtype, **o)
        for epoch in range(4):
            trainer.begin_epoch()
            assert trainer.partial_fit(*data, S) is trainer
            assert trainer.loss == pytest.approx(done.loss[epoch], rel=1e-12)
        assert bits(trainer) == bits(done)
        assert (trainer.n_updates, trainer.waiting) == (done.n_updates, 0)
        assert trainer.lr == done.lr[-1]


@pytest.mark.parametrize(("name", "o"), CASES)
def test_what_was_saved_goes_on_bit_for_bit(name: str, o: dict[str, Any]) -> None:
    o = {"optimizer": OPTIMIZERS[name], "batch_size": 7} | o
    whole, part = lls.Trainer(4, **o), lls.Trainer(4, **o)
    for first in range(0, 50, 11):
        rows = slice(first, first + 11)
        whole.partial_fit(X[rows] / 9, y[rows], S[rows])
        part.partial_fit(X[rows] / 9, y[rows], S[rows])
        saved = part.state_dict()
        kept = pickle.dumps(saved)
        part.partial_fit(X, y)  # what was saved is a copy
        assert pickle.dumps(saved) == kept
        part = lls.Trainer(4, **o)
        part.load_state_dict(pickle.loads(kept))
        assert bits(part) == bits(whole)
        assert (part.n_updates, part.waiting) == (whole.n_updates, whole.waiting)


def test_the_loss_goes_on_too() -> None:
    o = {"optimizer": HEAVY, "batch_size": 7, "reduction": "mean"}
    part = lls.Trainer(4, **o).partial_fit(X, y)
    saved, loss = part.state_dict(), part.loss
    part = lls.Trainer(4, **o)
    part.load_state_dict(saved)
    assert part.loss == loss


def test_the_penalty_stands_for_the_rows_of_a_portion() -> None:
    o = {"optimizer": SGD, "batch_size": 7, "ridge": 2.0}
    trainer, w = lls.Trainer(4, **o), np.zeros(4)
    for first, end in ((0, 21), (21, 35), (35, 40)):
        part = X[first:end], y[first:end]
        trainer.partial_fit(*part)
        w = by_hand(*part, [np.arange(end - first)], coef0=w, **o).coef
        assert distance(trainer.coef, w) < 1e-14


def test_a_trainer_before_any_row() -> None:
    trainer = lls.Trainer(
        *(4, 2),
        optimizer=SGD,
        intercept=True,
        coef0=np.arange(8.0).reshape(4, 2),
        intercept0=[3, 4],
    )
    assert trainer.coef.tolist() == np.arange(8.0).reshape(4, 2).tolist()
    assert trainer.intercept.tolist() == [3, 4]
    assert np.isnan(trainer.loss)
    assert (trainer.n_updates, trainer.waiting, trainer.lr) == (0, 0, 0.003)
    before = bits(trainer)
    trainer.partial_fit(X[:0], np.ones((0, 2)))
    assert bits(trainer) == before
    trainer.coef[:] = 9  # a copy
    assert bits(trainer) == before


REFUSED: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "columns": ((X[:, :3], y), ValueError, "features 3, expected 4"),
    "targets": ((X, np.c_[y, y]), ValueError, "targets 2, expected None"),
    "rows": ((X, y[:3]), ValueError, "X has 50 rows, y has 3"),
    "type": ((X.astype("f4"), y), ValueError, "dtype float32, expected float64"),
    "weight": (
        (X, y, -S - 1),
        ValueError,
        "sample_weight must be finite and at least 0, got -",
    ),
    "weight nan": ((X, y, S * np.nan), ValueError, "sample_weight must be finite"),
    "weights": (
        (X, y, S[:4]),
        ValueError,
        r"sample_weight must .*\(50,\), .* got \(4,\)",
    ),
    "complex": ((X * 1j, y), TypeError, "X must hold real numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_do_not_fit_change_nothing(case: str) -> None:
    trainer = lls.Trainer(4, optimizer=HEAVY, batch_size=7, reduction="mean")
    before = pickle.dumps(trainer.partial_fit(X[:20], y[:20]).state_dict())
    rows, error, words = REFUSED[case]
    with pytest.raises(error, match=words) as info:
        trainer.partial_fit(*rows)
    assert str(info.value).startswith("Trainer.partial_fit: ")
    assert pickle.dumps(trainer.state_dict()) == before


KEYS = ["coef", "offset", "total", "averaged", "n_updates", "optimizer"]
BASE: dict[str, Any] = {"optimizer": HEAVY, "batch_size": 7, "intercept": True}


@pytest.mark.parametrize("value", [None, "x", np.ones(99), -1, float("nan")])
@pytest.mark.parametrize("key", KEYS)
def test_a_state_that_does_not_fit_changes_nothing(key: str, value: Any) -> None:
    trainer = lls.Trainer(4, average=True, **BASE).partial_fit(X / 9, y)
    saved = trainer.state_dict()
    before = pickle.dumps(lls.Trainer(4, average=True, **BASE).state_dict())
    trainer = lls.Trainer(4, average=True, **BASE)
    for state in (saved | {key: value}, {k: saved[k] for k in saved if k != key}):
        with pytest.raises((TypeError, ValueError, KeyError)):
            trainer.load_state_dict(state)
        assert pickle.dumps(trainer.state_dict()) == before


OTHERS: dict[str, dict[str, Any]] = {
    "features": {"features": 5},
    "targets": {"targets": 2},
    "dtype": {"dtype": "f4"},
    "intercept": {"intercept": False},
    "optimizer": {"optimizer": partial(gs.Adam, lr=0.1)},
    "average": {"average": False},
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_state_of_another_trainer_is_refused(case: str) -> None:
    o = {"features": 4, "average": True} | BASE
    saved = lls.Trainer(**o).partial_fit(X / 9, y).state_dict()
    other = lls.Trainer(**o | OTHERS[case])
    before = pickle.dumps(other.state_dict())
    with pytest.raises((TypeError, ValueError, KeyError)):
        other.load_state_dict(saved)
    assert pickle.dumps(other.state_dict()) == before


ARGUMENTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "dtype": ({"dtype": "i4"}, TypeError, "dtype must be float32 or float64, got 'i4'"),
    "features": ({"features": -1}, ValueError, "features must be >= 0, got -1"),
    "targets": ({"targets": -1}, ValueError, "targets must be >= 0, got -1"),
    "batch": ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
    "ridge": ({"ridge": -1}, ValueError, "ridge must be .* got -1"),
    "ridge inf": ({"ridge": np.inf}, ValueError, "ridge must be .* got inf"),
    "average": ({"average": -1}, ValueError, "average must be >= 0, got -1"),
    "mean": ({"average": 1.5}, TypeError, "average must be int, got float"),
    "reduction": ({"reduction": "avg"}, ValueError, "'sum' or 'mean', got 'avg'"),
    "intercept": ({"intercept": 3}, TypeError, "intercept must be True or False"),
    "intercept0": ({"intercept0": 4.0}, ValueError, "intercept0 needs intercept=True"),
    "coef0": ({"coef0": np.ones(3)}, ValueError, r"coef0 has shape \(3,\), exp"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments_are_named(case: str) -> None:
    changes, error, words = ARGUMENTS[case]
    with pytest.raises(error, match=words) as info:
        lls.Trainer(**{"features": 4, "optimizer": HEAVY} | changes)
    assert str(info.value).startswith("Trainer: ")
