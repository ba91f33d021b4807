"""LLSRegressor: what it finds, in which shapes and types."""

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.utils.estimator_checks import parametrize_with_checks

import gradstep as gs
from estimating import distance, exact, problem, weights
from gradstep import lls
from gradstep.sklearn import LLSRegressor

ADAM = LLSRegressor(optimizer="Adam", lr=0.3, batch_size=4)
CAREFUL = LLSRegressor(
    optimizer=partial(gs.SGD, momentum=0.7),
    lr=0.02,
    batch_size=3,
    standardize=True,
    early_stopping=True,
    validation_fraction=0.2,
    max_iter=500,
)
_ORDER = "rows that are removed or repeated make other batches"
_FAILS = {
    "check_sample_weight_equivalence_on_dense_data": _ORDER,
    "check_sample_weight_equivalence_on_sparse_data": _ORDER,
}


def expected_failures(estimator: LLSRegressor) -> dict[str, str]:
    return {} if estimator.optimizer is None else _FAILS


@parametrize_with_checks(
    [LLSRegressor(), LLSRegressor(alpha=0.7, fit_intercept=False), ADAM, CAREFUL],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_has_nothing_to_object(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer"])
def test_by_default_the_solution_is_exact(name: str) -> None:
    load = {"diabetes": load_diabetes, "breast_cancer": load_breast_cancer}[name]
    X, y = load(return_X_y=True)
    found = LLSRegressor().fit(X, y)
    w, b = exact(X, y.astype(float))
    assert distance(found.coef_, w) < 1e-6
    assert np.abs(found.coef_ / w - 1).max() < 1e-6
    assert abs(found.intercept_ / b - 1) < 1e-6
    assert found.score(X, y) == pytest.approx(
        1 - np.sum((X @ w + b - y) ** 2) / np.sum((y - y.mean()) ** 2), abs=1e-9
    )


@pytest.mark.parametrize("b", [True, False])
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.csc_matrix])
def test_penalty_and_weights_are_part_of_it(kind: Any, k: int | None, b: bool) -> None:
    X, y = problem(k=k)
    s = weights()
    found = LLSRegressor(alpha=1.9, fit_intercept=b).fit(kind(X), y, s)
    w, offset = exact(X, y, alpha=1.9, s=s, b=b)
    assert found.coef_.shape == (4,) if k is None else (k, 4)
    assert np.shape(found.intercept_) == (() if k is None else (k,))
    assert distance(found.coef_, w) < 1e-9
    assert np.abs(found.intercept_ - offset).max() < 1e-9
    predicted = found.predict(kind(X))
    assert predicted.shape == y.shape
    assert np.abs(predicted - (X @ w.T + offset)).max() < 1e-9


@pytest.mark.parametrize("optimizer", [None, partial(gs.SGD, lr=0.05)])
@pytest.mark.parametrize("k", [None, 2])
def test_float32_stays_so_and_all_else_becomes_float64(
    k: int | None, optimizer: Any
) -> None:
    X, y = problem(k=k)
    model = LLSRegressor(optimizer=optimizer, random_state=3)
    wide = model.fit(X, y).coef_
    narrow = model.fit(X.astype(np.float32), y)
    assert narrow.coef_.dtype == np.float32
    assert narrow.coef_.flags.c_contiguous
    assert narrow.predict(X.astype(np.float32)).dtype == np.float32
    assert narrow.predict(X).dtype == np.float64
    assert distance(narrow.coef_, wide) < 1e-4
    for dtype in (np.float16, np.int32, bool):
        assert model.fit(X.astype(dtype), y).coef_.dtype == np.float64


def test_mini_batches_follow_the_gradient_of_their_mean() -> None:
    X, y = problem()
    s = weights()
    model = LLSRegressor(
        alpha=2.3,
        optimizer=gs.SGD,
        lr=0.03,
        batch_size=7,
        max_iter=3,
        shuffle=None,
    ).fit(X, y, s)
    w, b, losses = np.zeros(4), 0.0, []
    for _ in range(3):
        squares = 0.0
        for at in range(0, 61, 7):
            Xb, sb = X[at : at + 7], s[at : at + 7]
            r = Xb @ w + b - y[at : at + 7]
            squares += np.sum(sb * r**2)
            g = 2 * Xb.T @ (sb * r) / len(Xb) + 2 * 2.3 / 61 * w
            w, b = w - 0.03 * g, b - 0.03 * 2 * np.mean(sb * r)
        losses.append(squares / 61)
    assert distance(model.coef_, w) < 1e-13
    assert model.intercept_ == pytest.approx(b, rel=1e-12)
    assert model.loss_curve_ == pytest.approx(losses, rel=1e-12)
    assert (model.n_iter_, model.n_updates_) == (3, 27)
    assert model.validation_loss_curve_ is None
    assert type(model.optimizer_) is gs.SGD
    assert model.optimizer_.lr == 0.03


def test_every_parameter_reaches_lls_fit() -> None:
    X, y = problem(k=2)
    adam = partial(gs.Adam, lr=0.31)
    scheduler = partial(gs.lr_scheduler.StepLR, step_size=2, gamma=0.6)
    model = LLSRegressor(
        alpha=0.4,
        optimizer=adam,
        batch_size=5,
        max_iter=40,
        tol=0.05,
        standardize=True,
        average=11,
        shuffle="blocks",
        early_stopping=True,
        validation_fraction=0.23,
        n_iter_no_change=3,
        scheduler=scheduler,
        random_state=2**63 + 17,
    ).fit(X, y, weights())
    done = lls.fit(
        X,
        y,
        optimizer=adam,
        batch_size=5,
        epochs=40,
        intercept=True,
        ridge=0.4,
        sample_weight=weights(),
        reduction="mean",
        standardize=True,
        shuffle="blocks",
        seed=2**63 + 17,
        scheduler=scheduler,
        average=11,
        validation=0.23,
        tol=0.05,
        patience=3,
    )
    assert done.reason == "tol"
    assert model.coef_.tobytes() == done.coef.T.tobytes()
    assert model.intercept_.tobytes() == done.intercept.tobytes()
    assert model.loss_curve_ == done.loss.tolist()
    assert model.validation_loss_curve_ == list(done.validation_loss)
    assert (model.n_iter_, model.n_updates_) == (done.epochs, done.n_updates)
    assert model.optimizer_.lr == done.optimizer.lr


def test_names_classes_and_partials_of_optimizers_are_one() -> None:
    X, y = problem()
    found = {
        LLSRegressor(optimizer=made, lr=lr, random_state=5).fit(X, y).coef_.tobytes()
        for made, lr in [
            ("NAdam", 0.04),
            (gs.NAdam, 0.04),
            (partial(gs.NAdam, lr=0.04), None),
            (partial(gs.NAdam, lr=0.9), 0.04),
            (lambda params: gs.NAdam(params, lr=0.04), None),
        ]
    }
    assert len(found) == 1


def test_defaults_are_those_of_lls_fit() -> None:
    X, y = problem(n=600)
    model = LLSRegressor(optimizer="Adam", random_state=0).fit(X, y)
    done = lls.fit(X, y, optimizer=gs.Adam, intercept=True, reduction="mean")
    assert model.coef_.tobytes() == done.coef.tobytes()
    assert (model.n_iter_, model.n_updates_) == (100, 300)


def test_orders_are_those_of_the_random_state() -> None:
    X, y = problem()
    model = LLSRegressor(optimizer="SGD", lr=0.05, batch_size=4, max_iter=2)

    def coef(state: Any) -> bytes:
        return model.set_params(random_state=state).fit(X, y).coef_.tobytes()

    assert coef(7) == coef(np.int64(7)) != coef(8)
    rng = np.random.RandomState(7)
    assert coef(rng) != coef(rng)
    assert coef(np.random.RandomState(7)) == coef(np.random.RandomState(7))
    np.random.seed(3)  # what None means to scikit-learn
    first = coef(None)
    assert coef(None) != first
    np.random.seed(3)
    assert coef(None) == first


def test_only_orders_draw_from_the_global_state_of_numpy() -> None:
    X, y = problem()

    def draws(fit: Any) -> bool:
        before = np.random.get_state()[1:3]
        fit(X, y)
        after = np.random.get_state()[1:3]
        return not (np.array_equal(before[0], after[0]) and before[1] == after[1])

    sgd = LLSRegressor(optimizer="SGD", lr=0.05)
    for fit in (
        *(LLSRegressor().fit, LLSRegressor(alpha=2.0).fit, sgd.partial_fit),
        *(LLSRegressor(optimizer="SGD", lr=0.05, random_state=3).fit, lls.fit),
        lambda X, y: lls.fit(X, y, optimizer=partial(gs.SGD, lr=1e-4), validation=0.3),
        *(partial(lls.solve, method=method) for method in ("svd", "cg", "normal")),
        lambda X, _: lls.max_stable_lr(X),
    ):
        assert not draws(fit)
    assert draws(sgd.fit)


def test_warm_starts_begin_at_the_last_coefficients() -> None:
    X, y = problem(k=2)
    options: dict[str, Any] = {"optimizer": partial(gs.SGD, lr=0.01), "batch_size": 9}
    model = LLSRegressor(max_iter=2, random_state=3, warm_start=True, **options)
    first = lls.fit(
        *(X, y), epochs=2, seed=3, intercept=True, reduction="mean", **options
    )
    assert model.fit(X, y).coef_.T.tobytes() == first.coef.tobytes()
    second = lls.fit(
        *(X, y),
        epochs=2,
        seed=3,
        intercept=True,
        reduction="mean",
        coef0=first.coef,
        intercept0=first.intercept,
        **options,
    )
    assert model.fit(X, y).coef_.T.tobytes() == second.coef.tobytes()
    assert model.intercept_.tobytes() == second.intercept.tobytes()
    for X0, y0 in ((X[:, :3], y), (X, y[:, 0]), (X, y[:, :1])):
        with pytest.raises(ValueError, match=r"3 features, but|targets of coef_"):
            model.fit(X0, y0)
    model.predict(X)
    assert model.set_params(warm_start=False).fit(X, y[:, 0]).coef_.shape == (4,)
    flat = LLSRegressor(optimizer="SGD", warm_start=True).fit(X, y[:, 0])
    assert flat.set_params(fit_intercept=False).fit(X, y[:, 0]).intercept_ == 0
    solved = LLSRegressor(warm_start=True).fit(X, y)
    assert solved.fit(X, y).coef_.tobytes() == LLSRegressor().fit(X, y).coef_.tobytes()


# Made as scikit-learn's own tests of SGDRegressor make them.
@pytest.mark.parametrize("optimizer", [None, "SGD"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_a_line_scores_as_scikit_learn_demands(kind: Any, optimizer: Any) -> None:
    rng = np.random.RandomState(0)
    X = np.linspace(-5, 5, 100).reshape(100, 1)
    y = 0.5 * X.ravel()
    lr = None if optimizer is None else 0.01
    model = LLSRegressor(
        alpha=0.1, max_iter=20, fit_intercept=False, optimizer=optimizer, lr=lr
    )
    assert model.fit(kind(X), y).score(kind(X), y) > 0.99
    y += rng.randn(100)
    assert model.fit(kind(X), y).score(kind(X), y) > 0.5


def test_gradstep_needs_no_scikit_learn() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import gradstep\n"
        "try: import gradstep.sklearn\n"
        "except ImportError as error: print(error)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "pip install 'gradstep[sklearn]'" in out.stdout
