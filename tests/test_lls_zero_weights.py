"""Rows of weight 0: a call that has no others does nothing, and a fit refuses them."""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import HEAVY, bits, by_hand, distance, problem, weights

X, y = problem(50, 4)
OPTIMIZERS: dict[str, Any] = {
    "momentum": HEAVY,
    "Adam": partial(gs.Adam, lr=0.02),
    "Adagrad": partial(gs.Adagrad, lr=0.1),
    "ScheduleFreeSGD": partial(gs.ScheduleFreeSGD, lr=0.02),
}
NOTHING = {
    "no rows": (X[:0], y[:0], None),
    "no rows, weights": (X[:0], y[:0], y[:0]),
    "no weight": (X, y, 0 * y),
    "no weight, NaN": (X * np.nan, y, 0 * y),
    "minus zero": (X, y, -0.0 * np.ones(50)),
}


def image(trainer: lls.Trainer) -> Any:
    return pickle.dumps(trainer.state_dict()), repr(trainer), trainer.objective


@pytest.mark.parametrize("case", NOTHING)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_call_without_weight_does_nothing(name: str, case: str) -> None:
    rows = NOTHING[case]
    for kind in (np.asarray, sparse.csr_array):
        for more in (
            {"ridge": 0.7, "average": True, "intercept": True, "batch_size": 7},
            {"average": 3, "standardize": True, "batch_size": 100},
            {"batch_size": 1},
        ):
            o = {"optimizer": OPTIMIZERS[name], "reduction": "mean"} | more
            trainer, other = lls.Trainer(4, **o), lls.Trainer(4, **o)
            for part in (slice(0, 30), slice(30, 50)):
                before = image(trainer)
                assert trainer.partial_fit(kind(rows[0]), *rows[1:]) is trainer
                assert image(trainer) == before
                data = kind(X[part]), y[part], weights(50)[part]
                trainer.partial_fit(*data)
                other.partial_fit(*data)
                assert image(trainer) == image(other)


def test_a_call_without_weight_is_checked_like_any_other() -> None:
    trainer = lls.Trainer(4, optimizer=HEAVY)
    with pytest.raises(ValueError, match="features 3, expected 4"):
        trainer.partial_fit(X[:, :3], y, 0 * y)
    with pytest.raises(ValueError, match="dtype float32, expected float64"):
        trainer.partial_fit(X[:0].astype("f4"), y[:0])


def test_a_batch_without_weight_is_a_gradient_of_the_penalty_alone() -> None:
    """So how rows are cut into chunks does not matter, and no penalty is lost."""
    s = weights(50)
    s[7:21] = 0  # two batches, and a whole chunk
    o: dict[str, Any] = {"optimizer": HEAVY, "batch_size": 7, "ridge": 2.0}
    o |= {"reduction": "mean", "intercept": True}
    want = by_hand(X, y, [np.arange(50)] * 3, sample_weight=s, **o)
    cuts = [(0, 7), (7, 21), (21, 50)]
    chunks = [(X[i:j], y[i:j], s[i:j]) for i, j in cuts]
    for data in ((X, y), (chunks,)):
        weight = s if len(data) == 2 else None
        done = lls.fit(*data, sample_weight=weight, shuffle=None, epochs=3, **o)
        assert distance(done.coef, want.coef) < 1e-12
        assert done.n_updates == 24
    trainer = lls.Trainer(4, **o).partial_fit(X, y, s)
    first = lls.fit(X, y, sample_weight=s, shuffle=None, epochs=1, **o)
    assert bits(trainer) == bits(first)


def test_an_epoch_without_weight_is_refused() -> None:
    s = np.ones(50)
    s[:20] = 0
    o: dict[str, Any] = {"optimizer": HEAVY, "epochs": 3}
    orders = [np.arange(50), np.arange(20)]
    with pytest.raises(ValueError, match="zero for all rows of epoch 1"):
        lls.fit(X, y, sample_weight=s, order=orders.__getitem__, **o)
    with pytest.raises(ValueError, match="zero for all rows of epoch 0"):
        lls.fit(X, y, sample_weight=s, order=lambda _: np.arange(20), **o)


@pytest.mark.parametrize("kind", ["tuple", "list", "fraction", "file"])
def test_a_validation_set_without_weight_is_refused(kind: str, tmp_path: Path) -> None:
    """Its loss would be 0 for all coefficients, and the first epoch the best."""
    held, s = problem(20, 4, seed=3), None
    validation: Any = (*held, np.zeros(20))
    if kind == "list":
        validation = list(validation)
    elif kind == "file":
        np.save(tmp_path / "X.npy", held[0])
        validation = lls.NpyFile(
            tmp_path / "X.npy", held[1], sample_weight=np.zeros(20)
        )
    elif kind == "fraction":
        validation = 0.1
        s = np.zeros(50)
        for row in range(50):  # to find the 5 rows that are held out
            weight = np.ones(50)
            weight[row] = 0
            done = lls.fit(
                *(X, y), sample_weight=weight, validation=0.1, optimizer=HEAVY, epochs=1
            )
            full = lls.fit(X, y, validation=0.1, optimizer=HEAVY, epochs=1)
            s[row] = bits(done) != bits(full)
        assert s.sum() == 45
    with pytest.raises(ValueError, match=r"sample_weight .*zero for all rows of the"):
        lls.fit(X, y, sample_weight=s, validation=validation, optimizer=HEAVY, epochs=3)
