"""Rows that are kept from training, and when a fit stops by its losses."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from training import bits, by_hand, distance, mean_square, problem, weights

X, y = problem(60, 3)
HELD = problem(20, 3, seed=5)
BASE: dict[str, Any] = {
    "optimizer": partial(gs.SGD, lr=0.01, momentum=0.6),
    "batch_size": 7,
    "reduction": "mean",
    "shuffle": None,
}


def kept(fraction: float, seed: int = 0, n: int = 60) -> list[int]:
    """The rows on which coefficients do not depend."""
    o = BASE | {"epochs": 1, "validation": fraction, "seed": seed, "average": True}
    without = bits(lls.fit(X[:n], y[:n], **o))
    found = []
    for row in range(n):
        changed = y[:n].copy()
        changed[row] += 0.1
        if bits(lls.fit(X[:n], changed, **o)) == without:
            found.append(row)
    return found


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.98])
def test_a_fraction_is_of_as_many_rows_chosen_by_seed(fraction: float) -> None:
    rows = kept(fraction)
    assert len(rows) == round(60 * fraction)
    assert rows != kept(fraction, seed=1)
    assert rows == kept(fraction)
    assert rows != list(range(len(rows)))


@pytest.mark.parametrize("shuffle", [None, "rows", "blocks"])
@pytest.mark.parametrize("scaled", [False, True])
def test_rows_that_are_kept_do_not_train(scaled: bool, shuffle: Any) -> None:
    rows = kept(0.3)
    o = BASE | {"validation": 0.3, "epochs": 3, "ridge": 4.0, "intercept": True}
    o |= {"standardize": scaled, "shuffle": shuffle}
    spoiled, target, weight = X.copy(), y.copy(), weights(60) + 0.1
    done = lls.fit(X, y, sample_weight=weight, **o)
    spoiled[rows], target[rows] = 1e30, -1e30
    other = weight.copy()
    other[rows] = 7
    again = lls.fit(spoiled, target, sample_weight=other, **o)
    assert bits(again) == bits(done)
    assert again.loss.tobytes() == done.loss.tobytes()
    assert again.validation_loss.tobytes() != done.validation_loss.tobytes()


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("value", [5.0, 1e30])
def test_the_first_row_does_not_train_either(value: float, intercept: bool) -> None:
    o = BASE | {"validation": 0.3, "epochs": 3, "standardize": True, "seed": 3}
    assert 0 in kept(0.3, seed=3)
    spoiled = X.copy()
    spoiled[0] = value
    done = lls.fit(X, y, intercept=intercept, **o)
    assert bits(lls.fit(spoiled, y, intercept=intercept, **o)) == bits(done)


@pytest.mark.parametrize("scaled", [False, True])
def test_what_is_left_is_a_problem_of_its_own(scaled: bool) -> None:
    rows, weight = kept(0.3), weights(60)
    left = np.setdiff1d(np.arange(60), rows)
    o = BASE | {"ridge": 4.0, "intercept": True, "standardize": scaled}
    done = lls.fit(X, y, epochs=3, validation=0.3, sample_weight=weight, **o)
    want = by_hand(
        X[left], y[left], [np.arange(len(left))] * 3, sample_weight=weight[left], **o
    )
    assert distance(done.coef, want.coef) < 1e-12
    held = X[rows], y[rows]
    losses = [mean_square(*held, w, b, weight[rows]) for w, b in want.path[5::6]]
    assert distance(done.validation_loss, losses) < 1e-12
    order = [np.arange(len(left))[::-1]] * 2
    done = lls.fit(
        X, y, epochs=2, validation=0.3, **BASE | {"order": order.__getitem__}
    )
    assert distance(done.coef, by_hand(X[left], y[left], order, **BASE).coef) < 1e-12


@pytest.mark.parametrize("average", [False, True, 12])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_loss_of_a_set_is_that_of_the_coefficients_to_be_returned(
    scaled: bool, average: Any
) -> None:
    weight = weights(20)
    o = BASE | {"intercept": True, "standardize": scaled}
    done = lls.fit(X, y, epochs=4, validation=(*HELD, weight), average=average, **o)
    path = by_hand(X, y, [np.arange(60)] * 4, **o).path
    for epoch, loss in enumerate(done.validation_loss):
        first = 0 if average is True else average
        part = path[: 9 * epoch + 9]
        part = part[first:] if average is not False and len(part) > first else part[-1:]
        w, b = (np.mean([at[k] for at in part], axis=0) for k in (0, 1))
        assert loss == pytest.approx(mean_square(*HELD, w, b, weight), rel=1e-12)


def test_a_set_does_not_train() -> None:
    o = BASE | {"epochs": 3}
    done = lls.fit(X, y, validation=HELD, **o)
    assert bits(done) == bits(lls.fit(X, y, **o))
    chunks = [(X[:11], y[:11]), (X[11:], y[11:])]
    again = lls.fit(chunks, validation=HELD, **o)
    assert again.validation_loss.tobytes() == done.validation_loss.tobytes()


def stops_after(losses: Any, tol: float, patience: int) -> int:
    """Epochs until for `patience` of them none fell below (1 - tol) times the least.

    The least is of all epochs before: a slow fall is not progress for ever.
    """
    least, waited = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        waited = 0 if loss < (1 - tol) * least else waited + 1
        least = min(least, loss)
        if waited >= patience:
            return epoch
    return len(losses)


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("tol", [0, 1e-4, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("held", [False, True])
def test_it_stops_when_the_loss_no_longer_falls(
    held: bool, tol: float, patience: int
) -> None:
    o = BASE | {"optimizer": partial(gs.SGD, lr=0.004, momentum=0.9), "batch_size": 25}
    o |= {"epochs": 60} | ({"validation": HELD} if held else {})
    whole = lls.fit(X, y, **o)
    done = lls.fit(X, y, tol=tol, patience=patience, **o)
    losses = whole.validation_loss if held else whole.loss
    assert done.epochs == stops_after(losses, tol, patience)
    assert done.reason == ("tol" if done.epochs < 60 else "epochs")
    best = int(np.argmin(done.validation_loss)) + 1 if held else done.epochs
    if done.reason == "tol":
        assert bits(done) == bits(lls.fit(X, y, **o | {"epochs": best}))


@pytest.mark.parametrize("average", [False, True])
def test_the_least_validation_loss_is_restored(average: bool) -> None:
    """Neither the first nor the last, where there is no average."""
    o = BASE | {"optimizer": partial(gs.SGD, lr=0.05, momentum=0.9), "intercept": True}
    o |= {"average": average, "validation": HELD, "standardize": True}
    done = lls.fit(X, y, epochs=60, tol=0.02, patience=6, **o)
    best = int(np.argmin(done.validation_loss))
    assert done.reason == "tol"
    assert best < done.epochs - 1
    assert average or best > 0
    assert bits(done) == bits(lls.fit(X, y, epochs=best + 1, **o))
    w, b = done.coef, done.intercept
    assert mean_square(*HELD, w, b) == pytest.approx(min(done.validation_loss))
    assert done.n_updates == 9 * done.epochs


def test_a_fall_too_small_for_tol_is_still_the_least() -> None:
    """Losses that fall by less than tol, then rise: the bottom is restored."""
    o = BASE | {"optimizer": partial(gs.SGD, lr=0.002), "intercept": True}
    far = HELD[0], HELD[1] + 4
    done = lls.fit(X, y, epochs=60, tol=0.95, patience=25, validation=far, **o)
    best = int(np.argmin(done.validation_loss))
    assert done.epochs == 26
    assert 0 < best < 20
    assert done.validation_loss[-1] < done.validation_loss[0]
    assert bits(done) == bits(lls.fit(X, y, epochs=best + 1, **o))


def test_a_loss_that_stays_the_same_has_not_fallen() -> None:
    o = BASE | {"optimizer": partial(gs.SGD, lr=1e-300), "epochs": 50}
    done = lls.fit(X, y, tol=0.0, patience=3, **o)
    assert (done.epochs, done.reason) == (4, "tol")


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "0": (0.0, ValueError, "validation must be .* 0.0"),
    "1": (1.0, ValueError, "validation must be .* 1.0"),
    "negative": (-0.1, ValueError, "validation must be .* -0.1"),
    "nan": (float("nan"), ValueError, "validation must be .* nan"),
    "few": (0.001, ValueError, "leaves rows on both sides, got 0.001 of 60 rows"),
    "str": ("half", TypeError, "validation must be"),
    "X alone": ((X,), TypeError, "validation must be"),
    "columns": ((X[:, :2], y), ValueError, "validation has features 2, .* 3"),
    "targets": ((X, np.c_[y, y]), ValueError, "validation has targets 2"),
    "length": ((X, y[:4]), ValueError, "validation.* 60 .*4"),
    "no rows": ((X[:0], y[:0]), ValueError, "validation has no rows"),
    "type": ((X.astype("f4"), y), ValueError, "validation has dtype float32"),
    "weight": (
        (X, y, -np.ones(60)),
        ValueError,
        "sample_weight must be finite and at least 0",
    ),
    "X nan": ((X * np.nan, y), ValueError, "validation.* NaN"),
    "y inf": ((X, y * np.inf), ValueError, "validation.* infinity"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_set_that_does_not_fit_is_refused(case: str) -> None:
    validation, error, words = REFUSED[case]
    with pytest.raises(error, match=words) as info:
        lls.fit(X, y, epochs=2, validation=validation, **BASE)
    assert str(info.value).startswith("fit: ")
