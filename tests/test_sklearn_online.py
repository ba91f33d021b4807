"""LLSRegressor.partial_fit: state is kept, saved and resumed."""

import copy
import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from estimating import problem, weights
from gradstep import lls
from gradstep.sklearn import LLSRegressor

PLATEAU = partial(gs.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=0)
STEP = partial(gs.lr_scheduler.StepLR, step_size=2, gamma=0.7)
OPTIMIZERS = [
    partial(gs.SGD, lr=0.02, momentum=0.7),
    partial(gs.NAdam, lr=0.03),
    partial(gs.ScheduleFreeAdamW, lr=0.05),
]


def calls(k: int | None = None) -> list[tuple[Any, ...]]:
    X, y = problem(k=k)
    s = weights()
    return [(X[at : at + 19], y[at : at + 19], s[at : at + 19]) for at in (0, 19, 38)]


def same(a: LLSRegressor, b: LLSRegressor) -> bool:
    return (
        a.coef_.tobytes() == b.coef_.tobytes()
        and np.asarray(a.intercept_).tobytes() == np.asarray(b.intercept_).tobytes()
        and (a.n_iter_, a.n_updates_) == (b.n_iter_, b.n_updates_)
        and a.loss_curve_ == b.loss_curve_
        and a.optimizer_.lr == b.optimizer_.lr
    )


@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_calls_are_those_of_a_trainer(optimizer: Any, kind: Any, k: int | None) -> None:
    model = LLSRegressor(
        optimizer=optimizer, alpha=0.6, batch_size=5, average=3, scheduler=STEP
    )
    trainer = lls.Trainer(
        *(4, k),
        optimizer=optimizer,
        batch_size=5,
        intercept=True,
        ridge=0.6,
        reduction="mean",
        average=3,
    )
    scheduler, losses = STEP(trainer.optimizer), []
    for X, y, s in calls(k):
        assert model.partial_fit(kind(X), y, s) is model
        trainer.partial_fit(kind(X), y, s)
        losses.append(trainer.loss)
        scheduler.step()
    assert model.coef_.T.tobytes() == trainer.coef.tobytes()
    assert np.array_equal(model.intercept_, trainer.intercept)
    assert (model.n_iter_, model.n_updates_) == (3, 12)
    assert model.loss_curve_ == losses
    assert model.optimizer_.lr == trainer.lr != optimizer.keywords["lr"]
    assert model.predict(kind(X)).shape == y.shape


def through_joblib(model: LLSRegressor, folder: Path) -> LLSRegressor:
    joblib.dump(model, folder / "model")
    return joblib.load(folder / "model", mmap_mode="r")


@pytest.mark.parametrize("scheduler", [None, STEP, PLATEAU])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("save", [0, 1, 2, 3])
def test_a_saved_model_goes_on_bit_for_bit(
    save: int, optimizer: Any, scheduler: Any, tmp_path: Path
) -> None:
    whole = LLSRegressor(
        optimizer=optimizer, batch_size=5, scheduler=scheduler, average=3
    )
    parts = [copy.deepcopy(whole) for _ in range(3)]
    for at, call in enumerate(calls()):
        if at == save:
            parts[0] = pickle.loads(pickle.dumps(parts[0]))
            parts[1] = copy.deepcopy(parts[1])
            parts[2] = through_joblib(parts[2], tmp_path)
        for model in (whole, *parts):
            model.partial_fit(*call)
    assert all(same(part, whole) for part in parts)
    if save == 3:
        part = pickle.loads(pickle.dumps(whole))
        assert same(part, whole)
        part.optimizer_.param_groups[0]["lr"] = 0.0011
        assert part.partial_fit(*call).optimizer_.lr != whole.optimizer_.lr
        assert not same(part, whole.partial_fit(*call))


@pytest.mark.parametrize("optimizer", [None, *OPTIMIZERS])
def test_a_fitted_model_is_saved_with_its_optimizer(
    optimizer: Any, tmp_path: Path
) -> None:
    X, y = problem(k=2)
    whole = LLSRegressor(optimizer=optimizer, random_state=1).fit(X, y)
    for part in (
        pickle.loads(pickle.dumps(whole)),
        copy.deepcopy(whole),
        through_joblib(whole, tmp_path),
    ):
        assert same(part, whole)
        assert part.predict(X).tobytes() == whole.predict(X).tobytes()
        for a, b in zip(part.optimizer_.state, whole.optimizer_.state, strict=True):
            assert repr(a) == repr(b)


def test_calls_after_a_fit_begin_at_its_coefficients() -> None:
    X, y = problem(k=2)
    model = LLSRegressor(optimizer="Adam", lr=0.05, max_iter=3, random_state=4)
    model.fit(X, y)
    trainer = lls.Trainer(
        *(4, 2),
        optimizer=partial(gs.Adam, lr=0.05),
        intercept=True,
        reduction="mean",
        coef0=model.coef_.T,
        intercept0=model.intercept_,
    ).partial_fit(X, y)
    model.partial_fit(X, y)
    assert model.coef_.T.tobytes() == trainer.coef.tobytes()
    assert model.intercept_.tobytes() == trainer.intercept.tobytes()
    assert (model.n_iter_, model.n_updates_, len(model.loss_curve_)) == (1, 1, 1)
    again = LLSRegressor(optimizer="Adam", lr=0.05, max_iter=3, random_state=4)
    assert same(model.fit(X, y), again.fit(X, y))
    with pytest.raises(ValueError, match="dtype float32, expected float64"):
        model.partial_fit(X.astype(np.float32), y)
    narrow = model.fit(X.astype(np.float32), y)
    assert narrow.partial_fit(X.astype(np.float32), y).coef_.dtype == np.float32


def test_a_plateau_is_one_of_the_losses_of_calls() -> None:
    X, y, _ = calls()[0]
    model = LLSRegressor(optimizer="SGD", lr=0.02, scheduler=PLATEAU)
    rates = [model.partial_fit(X, y * k).optimizer_.lr for k in (3, 2, 4, 1, 5)]
    assert rates == [0.02, 0.02, 0.01, 0.01, 0.005]
    losses = model.loss_curve_
    assert losses[1] < losses[0] < losses[2]
    assert losses[3] < losses[1] < losses[4]


def test_a_call_that_fails_changes_nothing() -> None:
    model = LLSRegressor(optimizer=OPTIMIZERS[0], batch_size=5, scheduler=STEP)
    other = copy.deepcopy(model)
    first, second, third = calls()
    X, y, s = second
    model.partial_fit(*first)
    other.partial_fit(*first)
    for bad, error in [
        ((X[:, :3], y), ValueError),
        ((X, y[:, np.newaxis]), ValueError),
        ((X.astype(np.float32), y), ValueError),
        ((X, y, -s), ValueError),
        ((1e5 * X, y), lls.DivergenceError),
    ]:
        with pytest.raises(error):
            model.partial_fit(*bad)
        assert same(model, other)
    assert same(model.partial_fit(*third), other.partial_fit(*third))
    unborn = LLSRegressor(optimizer="SGD")
    with pytest.raises(ValueError, match="sample_weight must be finite and at least 0"):
        unborn.partial_fit(X, y, -s)
    assert not hasattr(unborn, "coef_")
    assert unborn.partial_fit(X[:, :2], y).n_features_in_ == 2


def test_a_call_that_is_interrupted_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = LLSRegressor(optimizer=OPTIMIZERS[0], batch_size=5)
    other = copy.deepcopy(model)
    first, second, third = calls()
    model.partial_fit(*first)
    other.partial_fit(*first)

    def interrupt(_: lls.Trainer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lls.Trainer, "flush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(*second)
    pickle.Pickler(io.BytesIO()).dump(model)
    assert same(model.partial_fit(*third), other.partial_fit(*third))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.3),
        ("average", True),
        ("batch_size", 6),
        ("fit_intercept", False),
        ("lr", 0.01),
        ("optimizer", gs.Adam),
        ("scheduler", PLATEAU),
    ],
)
def test_parameters_stay_until_a_fit_begins_anew(name: str, value: Any) -> None:
    model = LLSRegressor(optimizer=OPTIMIZERS[0], scheduler=STEP)
    first, second, _ = calls()
    model.partial_fit(*first)
    model = pickle.loads(pickle.dumps(model)).partial_fit(*second)
    before = getattr(model, name)
    model.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"partial_fit: {name} was .* call fit to"):
        model.partial_fit(*second)
    model.set_params(**{name: before}).partial_fit(*second)
    assert model.n_iter_ == 3
    model.set_params(**{name: value}).fit(*first)
    assert model.partial_fit(*second).n_iter_ == 1


def test_rates_are_changed_in_the_optimizer() -> None:
    model = LLSRegressor(optimizer="SGD", lr=0.02)
    X, y, _ = calls()[0]
    before = model.partial_fit(X, y).coef_
    model.optimizer_.param_groups[0]["lr"] = 0.0
    assert model.partial_fit(X, y).coef_.tobytes() == before.tobytes()
    assert model.optimizer_.lr == 0


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, r"optimizer is None, for which all rows are needed .*gradstep\.SGD"),
        ({"optimizer": "SGD", "standardize": True}, "standardize needs all rows"),
        ({"optimizer": "SGD", "early_stopping": True}, "early_stopping needs all"),
    ],
)
def test_what_needs_all_rows_has_no_partial_fit(
    options: dict[str, Any], cause: str
) -> None:
    model = LLSRegressor(**options)
    assert not hasattr(model, "partial_fit")
    words = "This 'LLSRegressor' has no attribute 'partial_fit' with its parameters. "
    with pytest.raises(
        AttributeError, match=rf"{words}LLSRegressor.*{cause}"
    ) as caught:
        model.partial_fit([[1.0]], [1.0])
    with pytest.raises(AttributeError, match=rf"{words}LLSRegressor.*{cause}"):
        LLSRegressor.partial_fit(model, [[1.0]], [1.0])
    assert LLSRegressor.partial_fit.__name__ == "partial_fit"
    assert "Go through these rows once" in LLSRegressor.partial_fit.__doc__
    with pytest.raises(AttributeError, match=cause):
        raise caught.value.__cause__
    assert hasattr(LLSRegressor(optimizer="SGD", standardize=False), "partial_fit")
