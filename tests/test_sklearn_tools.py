"""LLSRegressor among scikit-learn's tools: pipelines, searches, data frames."""

from functools import partial
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gradstep as gs
from estimating import distance, exact, problem, weights
from gradstep import lls
from gradstep.sklearn import LLSRegressor


def test_pipelines_train_on_standardised_features() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = LLSRegressor(optimizer="NAdam", lr=0.5, batch_size=32, random_state=2)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    w, b = exact(X, y)
    best = 1 - np.sum((X @ w + b - y) ** 2) / np.sum((y - y.mean()) ** 2)
    assert best - 0.01 < pipeline.score(X, y) <= best


def test_scores_of_folds_are_those_of_ridge() -> None:
    X, y = load_diabetes(return_X_y=True)
    ours = cross_val_score(LLSRegressor(alpha=0.3), X, y)
    assert np.abs(ours - cross_val_score(Ridge(alpha=0.3), X, y)).max() < 1e-7


def test_a_search_finds_the_best_penalty() -> None:
    X, y = problem(n=12, m=4)
    grid = {"alpha": [0.01, 0.3, 2.0, 40.0]}
    found = GridSearchCV(LLSRegressor(), grid, cv=3).fit(X, y)
    theirs = GridSearchCV(Ridge(), grid, cv=3).fit(X, y)
    scores = [search.cv_results_["mean_test_score"] for search in (found, theirs)]
    assert np.abs(scores[0] - scores[1]).max() < 1e-7
    assert found.best_params_ == theirs.best_params_


def test_a_search_goes_over_optimizers() -> None:
    X, y = problem()
    makers: list[Any] = [
        partial(gs.SGD, lr=1e-4),
        partial(gs.SGD, lr=0.05, momentum=0.9),
        partial(gs.Adam, lr=0.1),
        None,
    ]
    grid = {"optimizer": makers}
    with joblib.parallel_config(backend="threading"):
        search = GridSearchCV(
            LLSRegressor(max_iter=20, random_state=5), grid, cv=3, n_jobs=2
        ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] < 0
    assert min(scores[1:]) > 0.9
    rates = GridSearchCV(
        LLSRegressor(optimizer="SGD", random_state=5, max_iter=20),
        {"lr": [1e-4, 0.05]},
        cv=3,
    ).fit(X, y)
    assert rates.best_params_ == {"lr": 0.05}


def test_a_search_says_which_rate_diverges() -> None:
    X, y = problem()
    search = GridSearchCV(
        LLSRegressor(optimizer="SGD", random_state=5), {"lr": [0.05, 1e3]}, cv=3
    )
    told = r"(?s)DivergenceError.*lower lr"
    with (
        pytest.warns(FitFailedWarning, match=told),
        pytest.warns(UserWarning, match="One or more of the test scores are non-fini"),
    ):
        search.fit(X, y)
    assert search.best_params_ == {"lr": 0.05}
    with pytest.raises(lls.DivergenceError):
        search.set_params(error_score="raise").fit(X, y)


def test_weights_are_routed() -> None:
    X, y = problem()
    with sklearn.config_context(enable_metadata_routing=True):
        model = LLSRegressor(alpha=1.3).set_fit_request(sample_weight=True)
        LLSRegressor().set_partial_fit_request(sample_weight=True)
        pipeline = make_pipeline(model).fit(X, y, sample_weight=weights())
    w, _ = exact(X, y, alpha=1.3, s=weights())
    assert distance(pipeline[-1].coef_, w) < 1e-9


def test_data_frames_give_names_to_features() -> None:
    import pandas

    X, y = problem()
    frame = pandas.DataFrame(X, columns=list("qdbp"))
    model = LLSRegressor(optimizer="SGD", lr=0.02, random_state=1)
    model.fit(frame, pandas.Series(y), pandas.Series(weights()))
    assert model.feature_names_in_.tolist() == list("qdbp")
    bare = clone(model).fit(X, y, weights())
    assert model.coef_.tobytes() == bare.coef_.tobytes()
    assert np.allclose(model.predict(frame), bare.predict(X), rtol=1e-13)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("bdqp")])
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(frame[list("bdqp")], y)
    targets = pandas.DataFrame({"first": y, "second": 2 - y})
    assert LLSRegressor().fit(frame, targets).predict(frame).shape == (61, 2)


def test_a_clone_has_the_parameters_and_nothing_found() -> None:
    maker = partial(gs.Adam, lr=0.1)
    model = LLSRegressor(alpha=0.2, optimizer=maker, random_state=3).fit(*problem())
    other = clone(model)
    assert other.get_params()["optimizer"].keywords == {"lr": 0.1}
    assert not hasattr(other, "coef_")
    assert other.fit(*problem()).coef_.tobytes() == model.coef_.tobytes()
    assert repr(LLSRegressor(alpha=0.5)) == "LLSRegressor(alpha=0.5)"


def test_tags_are_true() -> None:
    tags = LLSRegressor().__sklearn_tags__()
    assert tags.estimator_type == "regressor"
    assert tags.input_tags.sparse
    assert tags.target_tags.multi_output
    assert not tags.array_api_support
    assert not tags.non_deterministic
