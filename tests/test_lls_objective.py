"""The objective of an epoch, loss and penalty: its value, and who watches it."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from gradstep import lr_scheduler as lrs
from test_lls_validation import stops_after
from training import (
    HEAVY,
    Array,
    bits,
    by_hand,
    distance,
    mean_square,
    normal,
    permutations,
    problem,
    weights,
)

ROWS = permutations(50, 4)
S = weights(50)


def penalties(rows: list[Array], done: Any, start: Array, **o: Any) -> Array:
    """The mean over the rows of each epoch of ridge |W|^2 / N at their batches."""
    size, before = o["batch_size"], [start, *(w for w, _ in done.path)]
    means, update = [], 0
    for visit in rows:
        total = 0.0
        for i in range(0, len(visit), size):
            total += len(visit[i : i + size]) * float((before[update] ** 2).sum())
            update += 1
        means.append(o["ridge"] * total / len(visit) / 50)
    return np.array(means)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("columns", [4, 37])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_the_objective_is_the_loss_plus_the_penalty_in_units_of_x(
    kind: Any, columns: int, scaled: bool, k: int | None
) -> None:
    X, y = problem(50, columns, k)
    start = np.random.default_rng(1).standard_normal((columns, *y.shape[1:]))
    o = {"optimizer": partial(gs.SGD, lr=1e-3, momentum=0.6), "batch_size": 7}
    o |= {"ridge": 40.0, "intercept": True, "reduction": "mean", "coef0": start}
    o |= {"sample_weight": S, "standardize": scaled}
    want = by_hand(X, y, ROWS, **o)
    objective = np.array(want.loss) + penalties(ROWS, want, start, **o)
    seen: list[lls.Progress] = []
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-5)):
        data = kind(X.astype(dtype)), y.astype(dtype)
        done = lls.fit(
            *data, epochs=4, order=ROWS.__getitem__, callback=seen.append, **o
        )
        assert distance(done.objective, objective) < tolerance
        assert distance(done.loss, want.loss) < tolerance
    assert [at.objective for at in seen[4:]] == done.objective.tolist()


@pytest.mark.parametrize("average", [False, True])
def test_the_objective_of_averages_is_that_of_the_batches(average: bool) -> None:
    X, y = problem(50, 4)
    o: dict[str, Any] = {"optimizer": HEAVY, "batch_size": 7, "ridge": 9.0}
    o |= {"reduction": "mean", "epochs": 4, "order": ROWS.__getitem__}
    done = lls.fit(X, y, average=average, **o)
    assert done.objective.tobytes() == lls.fit(X, y, **o).objective.tobytes()
    assert (done.objective > done.loss)[1:].all()


def test_without_a_penalty_the_objective_is_the_loss() -> None:
    X, y = problem(50, 4)
    done = lls.fit(X, y, optimizer=HEAVY, batch_size=7, reduction="mean", epochs=3)
    assert done.objective.tobytes() == done.loss.tobytes()


def test_a_trainer_has_the_objective_of_the_rows_of_a_call() -> None:
    X, y = problem(50, 4)
    o: dict[str, Any] = {"optimizer": HEAVY, "batch_size": 7, "ridge": 9.0}
    o |= {"reduction": "mean", "coef0": np.arange(1.0, 5.0)}
    trainer = lls.Trainer(4, **o)
    assert np.isnan(trainer.objective)
    trainer.partial_fit(X, y, S)
    done = lls.fit(X, y, sample_weight=S, epochs=1, shuffle=None, **o)
    assert trainer.objective == done.objective[0] > trainer.loss
    other = lls.Trainer(4, **o)
    other.load_state_dict(trainer.state_dict())
    assert other.objective == trainer.objective


def objective(X: Array, y: Array, w: Array, ridge: float) -> float:
    return mean_square(X, y, w, 0.0) + ridge * float(w @ w) / len(X)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", ["arrays", "chunks"])
def test_tol_waits_for_a_penalty_that_still_falls(kind: str, scaled: bool) -> None:
    """From the solution without it, the loss of the data can only rise."""
    X, y = problem(400, 5)
    y += X @ [5.0, -4.0, 3.0, 4.0, -5.0]
    start = np.linalg.lstsq(X, y, rcond=None)[0]
    data = [(X[:150], y[:150]), (X[150:], y[150:])], None
    o: dict[str, Any] = {"ridge": 300.0, "coef0": start, "standardize": scaled}
    o |= {"optimizer": partial(gs.SGD, lr=0.01), "reduction": "mean", "batch_size": 50}
    done = lls.fit(*((X, y) if kind == "arrays" else data), tol=1e-4, epochs=2000, **o)
    least = objective(X, y, normal(X, y, ridge=300.0)[0], 300.0)
    assert objective(X, y, start, 300.0) > 1.2 * least
    assert done.reason == "tol"
    assert objective(X, y, done.coef, 300.0) < 1.01 * least


@pytest.mark.parametrize("tol", [0.0, 1e-3, 0.1])
def test_it_stops_when_the_objective_no_longer_falls(tol: float) -> None:
    X, y = problem(60, 3)
    o: dict[str, Any] = {"ridge": 200.0, "reduction": "mean", "batch_size": 25}
    o |= {"optimizer": partial(gs.SGD, lr=0.004, momentum=0.9), "shuffle": None}
    o |= {"coef0": 3 * normal(X, y)[0], "epochs": 80}
    whole = lls.fit(X, y, **o)
    done = lls.fit(X, y, tol=tol, patience=2, **o)
    assert done.epochs == stops_after(whole.objective, tol, 2) < 80
    assert done.epochs != stops_after(whole.loss, tol, 2)
    assert bits(done) == bits(lls.fit(X, y, **o | {"epochs": done.epochs}))


def test_a_validation_set_is_watched_without_the_penalty() -> None:
    X, y = problem(60, 3)
    held_out = problem(20, 3, seed=5)
    o: dict[str, Any] = {"ridge": 200.0, "reduction": "mean", "batch_size": 25}
    o |= {"optimizer": partial(gs.SGD, lr=0.02), "shuffle": None, "epochs": 40}
    whole = lls.fit(X, y, validation=held_out, **o)
    w, b = whole.coef, whole.intercept
    assert whole.validation_loss[-1] == pytest.approx(mean_square(*held_out, w, b))
    done = lls.fit(X, y, validation=held_out, tol=0.01, patience=2, **o)
    assert done.epochs == stops_after(whole.validation_loss, 0.01, 2) < 40


def test_a_plateau_is_one_of_the_objective() -> None:
    X, y = problem(60, 3)
    shown: list[float] = []

    class Plateau(lrs.ReduceLROnPlateau):
        def step(self, metrics: float) -> None:
            shown.append(metrics)
            super().step(metrics)

    done = lls.fit(
        *(X, y),
        optimizer=HEAVY,
        reduction="mean",
        ridge=30.0,
        epochs=5,
        scheduler=partial(Plateau, patience=0),
    )
    assert shown == done.objective.tolist()
    assert shown != done.loss.tolist()
