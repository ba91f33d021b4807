"""LLSRegressor refuses what does not fit, and says how to go on."""

import os
import pickle
import subprocess
import sys
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import exceptions

import gradstep as gs
from estimating import problem
from gradstep import lls
from gradstep.sklearn import ConvergenceWarning, LLSRegressor

SGD = {"optimizer": "SGD", "lr": 0.02, "random_state": 1}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": -1.5}, ValueError, r"alpha must be finite and >= 0, got -1\.5"),
        ({"alpha": "much"}, TypeError, "alpha must be float, got str"),
        ({"fit_intercept": 1}, TypeError, "fit_intercept must be True or False, got 1"),
        ({"optimizer": "Sgd"}, ValueError, "optimizer must be one of Ada.*, got 'Sgd'"),
        ({"optimizer": 0.1}, TypeError, r"optimizer must be callable, such as func"),
        ({"optimizer": "SGD", "lr": -2.0}, ValueError, "lr must be .*-2"),
        ({"optimizer": print}, TypeError, "fit: optimizer must return a gradstep"),
        (
            {"optimizer": lambda p: gs.SGD(p, lr=1.0), "lr": 0.1},
            ValueError,
            "lr needs the name or class of an optimizer, or a .*partial .*got function",
        ),
        ({**SGD, "batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
        ({**SGD, "batch_size": 2.5}, TypeError, "batch_size must be int, got float"),
        ({"max_iter": 0}, ValueError, "max_iter must be >= 1, got 0"),
        ({"tol": -1e-3}, ValueError, r"tol must be finite and >= 0, got -0\.001"),
        ({"standardize": "yes"}, TypeError, "standardize must be True or False"),
        ({**SGD, "average": -1}, ValueError, "average must be >= 0, got -1"),
        ({**SGD, "average": "all"}, TypeError, "average must be int, got str"),
        ({"shuffle": True}, ValueError, "shuffle must be 'auto', 'rows', .*got True"),
        ({"early_stopping": 1}, TypeError, "early_stopping must be True or False"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            r"validation_fraction must be in \(0, 1\), got 1\.0",
        ),
        (
            {**SGD, "early_stopping": True, "validation_fraction": 0.003},
            ValueError,
            r"validation_fraction must leave rows .* got 0\.003 of n_samples=61",
        ),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be >= 1, got 0"),
        ({**SGD, "scheduler": 3}, TypeError, "scheduler must be callable, such as"),
        (
            {**SGD, "scheduler": str},
            TypeError,
            "scheduler must return one of .*got str",
        ),
        ({"warm_start": None}, TypeError, "warm_start must be True or False, got None"),
        (
            {"optimizer": "SGD", "random_state": -3},
            ValueError,
            "random_state must be >= 0, got -3",
        ),
        (
            {"optimizer": "SGD", "random_state": 2**64},
            ValueError,
            r"random_state must be below 2",
        ),
        (
            {"optimizer": "SGD", "random_state": np.random.default_rng(1)},
            TypeError,
            "random_state must be None, an int or .*RandomState, got Generator",
        ),
        ({"lr": 0.1}, ValueError, r"lr needs an optimizer, .* got lr=0\.1"),
        ({"batch_size": 9}, ValueError, "batch_size needs an optimizer"),
        ({"average": 0}, ValueError, "average needs an optimizer"),
        ({"early_stopping": True}, ValueError, "early_stopping needs an optimizer"),
        ({"scheduler": print}, ValueError, "scheduler needs an optimizer"),
    ],
)
def test_parameters_are_named_with_their_value(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = LLSRegressor(**options)
    with pytest.raises(error, match=message):
        model.fit(*problem())
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": -1.5}, ValueError, "partial_fit: alpha must be"),
        ({"batch_size": 0}, ValueError, "partial_fit: batch_size must be"),
        ({"scheduler": 3}, TypeError, "partial_fit: scheduler must be callable"),
        ({"scheduler": str}, TypeError, "partial_fit: scheduler must return one of"),
        ({"optimizer": "sgd"}, ValueError, "partial_fit: optimizer must be one of"),
    ],
)
def test_so_does_partial_fit(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = LLSRegressor(**(SGD | options))
    with pytest.raises(error, match=message):
        model.partial_fit(*problem())
    assert not hasattr(model, "coef_")


def test_indices_out_of_range_are_seen_before_c_follows_them() -> None:
    X, y = problem()
    good = sparse.csr_array(X)
    model = LLSRegressor(**SGD).fit(good, y)
    for make in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array):
        bad = make(X)
        bad.indices[3] = 10**6
        for call in (
            lambda X: model.fit(X, y),
            lambda X: model.partial_fit(X, y),
            model.predict,
        ):
            with pytest.raises(ValueError, match="X is no valid sparse matrix: ind"):
                call(bad)
    assert model.predict(good).shape == (61,)


def test_predictions_need_a_fit() -> None:
    X, y = problem()
    with pytest.raises(exceptions.NotFittedError):
        LLSRegressor().predict(X)
    model = LLSRegressor()
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        model.fit(X, y, np.ones(3))
    with pytest.raises(exceptions.NotFittedError):
        model.predict(X)
    assert not hasattr(model, "optimizer_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 1}, "after 1 steps the gradient is not .* raise max_iter or al"),
        ({**SGD, "max_iter": 3, "tol": 0.0}, "after 3 epochs the loss .* tol=0 of it"),
        (
            {**SGD, "max_iter": 3, "early_stopping": True},
            r"after 3 epochs the loss .* tol=0\.0001 of it; raise max_iter",
        ),
    ],
)
def test_a_fit_that_ends_too_early_says_so_once(
    options: dict[str, Any], message: str
) -> None:
    model = LLSRegressor(**options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*problem())
    (warning,) = caught
    assert warning.category is ConvergenceWarning
    assert warning.filename == __file__
    with pytest.warns(exceptions.ConvergenceWarning, match=message):
        model.fit(*problem())
    with pytest.warns(lls.ConvergenceWarning, match=f"LLSRegressor.fit: {message}"):
        model.fit(*problem())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        model.fit(*problem())


def test_a_fit_that_was_not_to_wait_for_anything_says_nothing() -> None:
    LLSRegressor(**SGD, max_iter=2).fit(*problem())
    ended = LLSRegressor(**SGD, early_stopping=True, max_iter=9999)
    assert ended.fit(*problem()).n_iter_ < 9999
    LLSRegressor().fit(*problem())


def test_divergence_is_told_with_a_rate_that_works() -> None:
    X, y = problem()
    model = LLSRegressor(optimizer="SGD", lr=30.0, batch_size=7, random_state=1)
    with pytest.raises(lls.DivergenceError, match=r"stable up to about .* lower lr"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")
    lr = lls.max_stable_lr(X, batch_size=7, intercept=True, reduction="mean")
    assert model.set_params(lr=0.5 * lr).fit(X, y).score(X, y) > 0.9


def test_tensors_are_refused_where_they_are_not_copied() -> None:
    code = (
        "import numpy as np, sklearn\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        "from gradstep.sklearn import LLSRegressor\n"
        "class Tensor:\n"
        "    def __array__(self, *_, **__): return np.ones((5, 2))\n"
        "    def __dlpack__(self): return None\n"
        "for model, check in estimator_checks_generator(LLSRegressor()):\n"
        "    if 'array_api' in str(check): print('checked', check(model))\n"
        "y = np.arange(5.0)\n"
        "model = LLSRegressor().fit(Tensor(), y)\n"
        "with sklearn.config_context(array_api_dispatch=True):\n"
        "    model.fit(np.ones((5, 2)), y)\n"
        "    for call in (lambda: model.fit(Tensor(), y), lambda: model.predict("
        "Tensor())):\n"
        "        try: call()\n"
        "        except TypeError as error: print(error)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
    ).stdout.splitlines()
    assert out[0] == "checked None"
    assert len(out) == 3
    for line, method in zip(out[1:], ("fit", "predict")):
        assert line.startswith(f"LLSRegressor.{method}: X must be a NumPy array where")
        assert "__main__.Tensor; copy it to the CPU and pass numpy.asarray" in line


def test_lambdas_do_not_hinder_but_pickles() -> None:
    model = LLSRegressor(optimizer=lambda p: gs.SGD(p, lr=0.01)).fit(*problem())
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(model)
    again = LLSRegressor(optimizer=partial(gs.SGD, lr=0.01)).fit(*problem())
    assert pickle.loads(pickle.dumps(again)).optimizer_.lr == 0.01
