"""What a fit and a trainer predict, and how they are shown."""

import pickle
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import HEAVY, problem

N, L = 40, 5
OPTIONS: list[dict[str, Any]] = [{}, {"optimizer": HEAVY, "epochs": 3}]


def fitted(how: str, X: Any, y: Any, **o: Any) -> Any:
    if how != "Trainer":
        return lls.fit(X, y, **({} if how == "default" else OPTIONS[1]) | o)
    trainer = lls.Trainer(
        L, None if y.ndim == 1 else y.shape[1], dtype=X.dtype, optimizer=HEAVY, **o
    )
    return trainer.partial_fit(X, y)


@pytest.mark.parametrize("how", ["default", "SGD", "Trainer"])
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_predictions_are_the_product_and_the_intercept(
    dtype: str, intercept: bool, k: int | None, how: str
) -> None:
    X, y = problem(N, L, k, dtype)
    o = {"intercept": intercept, "reduction": "mean"}
    model = fitted(how, X, y, **(o if how != "default" else {"intercept": intercept}))
    new = np.random.default_rng(1).standard_normal((7, L)).astype(dtype)
    want = new.astype("f8") @ model.coef.astype("f8") + model.intercept
    error = 1e-5 if dtype == "f4" else 1e-13
    for kind in (
        new,
        np.asfortranarray(new),
        new[::-1][::-1],
        sparse.csr_array(new),
        sparse.csr_matrix(new),
        sparse.csc_array(new),
        sparse.coo_matrix(new),
    ):
        predictions = model.predict(kind)
        assert type(predictions) is np.ndarray
        assert (predictions.dtype, predictions.shape) == (np.dtype(dtype), want.shape)
        np.testing.assert_allclose(predictions, want, rtol=error, atol=error)
    for kind in (new.tolist(), new.astype("f2"), pd.DataFrame(new.astype("f8"))):
        predictions = model.predict(kind)
        assert predictions.dtype == np.float64
        np.testing.assert_allclose(predictions, want, rtol=4e-3, atol=4e-3)
    integers = np.arange(2 * L).reshape(2, L)
    want = integers @ model.coef.astype("f8") + model.intercept
    for kind in (integers, integers.tolist(), sparse.csr_array(integers)):
        np.testing.assert_allclose(model.predict(kind), want, rtol=1e-6)
    for empty in (new[:0], sparse.csr_array((0, L), dtype=dtype)):
        assert model.predict(empty).shape == (0, *want.shape[1:])


@pytest.mark.parametrize("how", ["default", "SGD", "Trainer"])
@pytest.mark.parametrize("k", [None, 2])
def test_one_row_more_or_less_does_not_matter(how: str, k: int | None) -> None:
    X, y = problem(N, L, k)
    model = fitted(how, X, y)
    whole = model.predict(X)
    for row in (0, 17, N - 1):
        np.testing.assert_allclose(model.predict(X[row : row + 1])[0], whole[row])


@pytest.mark.parametrize("how", ["default", "SGD", "Trainer"])
def test_what_does_not_fit_is_not_predicted(how: str) -> None:
    X, y = problem(N, L)
    model = fitted(how, X, y)
    who = "Trainer.predict" if how == "Trainer" else "Fit.predict"
    wrong = sparse.csr_array(X)
    wrong.indices[3] = 10**6
    for bad, error, words in (
        (X[:, :4], ValueError, "X has 4 columns, but there are 5 coefficients; pass"),
        (sparse.csr_array(X[:, :4]), ValueError, "X has 4 columns, but there are 5 c"),
        (X[0], ValueError, r"X must have shape \(N, L\), got \(5,\)"),
        (1.0, ValueError, r"X must have shape \(N, L\), got \(\)"),
        (X * 1j, TypeError, "X must hold real numbers, got complex128"),
        ([["a"] * 5], TypeError, "X must hold real numbers"),
        ("X.npy", TypeError, "X must hold real numbers, got 'X.npy'"),
        (wrong, ValueError, "X is no valid sparse matrix"),
    ):
        with pytest.raises(error, match=f"{who}: {words}"):
            model.predict(bad)


def test_values_that_are_not_finite_stay_in_their_row() -> None:
    X, y = problem(N, L)
    model = lls.fit(X, y)
    X[3, 2], X[9, 0] = np.nan, np.inf
    assert np.flatnonzero(~np.isfinite(model.predict(X))).tolist() == [3, 9]


def test_a_trainer_predicts_by_its_average() -> None:
    X, y = problem(N, L)
    for o in (
        {"average": True, "optimizer": HEAVY},
        {"optimizer": partial(gs.ScheduleFreeSGD, lr=0.01)},
        {"standardize": True, "optimizer": HEAVY},
    ):
        trainer = lls.Trainer(L, reduction="mean", intercept=True, **o)
        assert trainer.predict(X).tolist() == [0] * N
        trainer.partial_fit(X, y)
        want = X @ trainer.coef + trainer.intercept
        np.testing.assert_allclose(trainer.predict(X), want, rtol=1e-13)


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("columns", [1, 2000])
def test_a_repr_is_one_line_however_large_the_fit(columns: int, k: int | None) -> None:
    X, y = problem(30, columns, k, "f4")
    shape = (columns,) if k is None else (columns, k)
    done = lls.fit(X, y, optimizer=partial(gs.SGD, lr=1e-6), epochs=3, batch_size=10)
    assert repr(done) == (
        f"Fit(float32 coef of shape {shape}, reason='epochs', epochs=3, n_updates=9, "
        f"loss={done.loss[-1]:.6g})"
    )
    watched = lls.fit(
        *(X, y), optimizer=partial(gs.SGD, lr=1e-6), epochs=2, validation=0.5
    )
    assert repr(watched).endswith(
        f", validation_loss={watched.validation_loss[-1]:.6g})"
    )
    none = lls.fit(X, y, optimizer=partial(gs.SGD, lr=1e-6), epochs=0)
    assert repr(none).endswith("epochs=0, n_updates=0, loss=nan)")
    trainer = lls.Trainer(columns, k, dtype="f4", optimizer=partial(gs.Adam, lr=1e-6))
    trainer.partial_fit(X, y)
    assert repr(trainer) == (
        f"Trainer({columns}, {k}, optimizer=Adam, dtype=float32, batch_size=256, "
        f"n_updates=1, loss={trainer.loss:.6g})"
    )


def test_fits_are_compared_by_identity_and_pickled() -> None:
    """Arrays have no truth value: two fits were an error, and no key of a dict."""
    X, y = problem(N, L)
    one, other = lls.fit(X, y), lls.fit(X, y)
    assert one == one  # noqa: PLR0124
    assert one != other
    assert len({one, other}) == 2
    again = pickle.loads(pickle.dumps(one))
    assert again.predict(X).tobytes() == one.predict(X).tobytes()
    with pytest.raises(AttributeError, match="cannot assign to field 'coef'"):
        one.coef = 3  # type: ignore[misc]
