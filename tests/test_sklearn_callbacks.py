"""Callbacks of scikit-learn see the epochs of a fit, and end it."""

from typing import Any

import numpy as np
import pytest
from sklearn.callback import ScoringMonitor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from estimating import Recorder, problem, weights
from gradstep.sklearn import LLSRegressor

EPOCHS = LLSRegressor(optimizer="SGD", lr=0.02, max_iter=4, shuffle=None)


class Everywhere(Recorder):
    """Is handed on by pipelines, as progress bars are."""

    max_propagation_depth = None


def model(**changes: Any) -> LLSRegressor:
    return LLSRegressor(**(EPOCHS.get_params() | changes))


def tasks(recorder: Recorder, kind: str) -> list[int]:
    return [call[2] for call in recorder.calls if call[:2] == (kind, "epoch")]


@pytest.mark.parametrize("optimizer", ["SGD", None])
def test_an_epoch_is_a_task_and_begins_when_the_last_has_ended(optimizer: Any) -> None:
    X, y = problem()
    recorder = Recorder()
    fitted = model(optimizer=optimizer)
    if optimizer is None:  # as many steps as columns, so that none is left over
        fitted.set_params(lr=None, max_iter=4, fit_intercept=False)
    fitted.set_callbacks(recorder).fit(X, y)
    n = fitted.n_iter_
    expected: list[tuple[Any, ...]] = [("setup",), ("begin", "fit", 0)]
    for k in range(n):
        expected += [("begin", "epoch", k), ("end", "epoch", k)]
    assert recorder.calls == [*expected, ("end", "fit", 0), ("teardown",)]
    assert n == fitted.max_iter
    silent = LLSRegressor(**fitted.get_params()).fit(X, y)
    assert silent.coef_.tobytes() == fitted.coef_.tobytes()


@pytest.mark.parametrize("k", [None, 2])
def test_tasks_are_given_what_has_been_found_so_far(k: int | None) -> None:
    X, y = problem(k=k)
    recorder = Recorder()
    fitted = model().set_callbacks(recorder).fit(X, y, weights())
    for epoch, given in enumerate(recorder.given[:-1], 1):
        part = model(max_iter=epoch).fit(X, y, weights())
        assert given["fitted"].coef_.tobytes() == part.coef_.tobytes()
        assert given["fitted"].predict(X).tobytes() == part.predict(X).tobytes()
        assert given["X"] is recorder.given[-1]["X"]
        assert given["y"].shape == y.shape
        assert given["metadata"]["sample_weight"].tolist() == weights().tolist()
    assert recorder.given[-1]["fitted"].coef_.tobytes() == fitted.coef_.tobytes()
    fitted.fit(X, y)
    assert recorder.given[-1]["metadata"] is None


def test_a_callback_ends_the_fit() -> None:
    X, y = problem()
    recorder = Recorder(stop=1)
    fitted = model(tol=1e-9).set_callbacks(recorder, Recorder()).fit(X, y)
    assert fitted.n_iter_ == 2
    assert fitted.coef_.tobytes() == model(max_iter=2).fit(X, y).coef_.tobytes()
    assert tasks(recorder, "begin") == tasks(recorder, "end") == [0, 1]
    assert recorder.calls[-2:] == [("end", "fit", 0), ("teardown",)]
    solved = LLSRegressor().set_callbacks(recorder).fit(X, y)
    assert solved.n_iter_ == 2


def test_a_task_that_never_ran_is_ended_without_a_model() -> None:
    X, y = problem()
    recorder = Recorder()
    fitted = LLSRegressor().set_callbacks(recorder).fit(X, y)
    n = fitted.n_iter_
    assert tasks(recorder, "begin") == tasks(recorder, "end") == list(range(n + 1))
    assert recorder.given[n]["fitted"] is None
    assert all(given["fitted"] for given in recorder.given[:n])


@pytest.mark.parametrize(
    ("optimizer", "features", "most"),
    [(None, 4, 1000), (None, 103, 1030), ("SGD", 103, 100)],
)
def test_progress_is_out_of_what_lls_fit_does_at_most(
    optimizer: Any, features: int, most: int
) -> None:
    X, y = problem(n=9, m=features)
    seen = []

    class Total(Recorder):
        def setup(self, *, context: Any, **_: Any) -> None:
            seen.append(context.max_subtasks)

    LLSRegressor(optimizer=optimizer, random_state=1).set_callbacks(Total()).fit(X, y)
    assert seen == [most]


def test_callbacks_are_dismissed_when_a_fit_fails() -> None:
    X, y = problem()
    recorder = Recorder()
    fitted = model(lr=1e6, max_iter=50).set_callbacks(recorder)
    with pytest.raises(FloatingPointError):
        fitted.fit(X, y)
    assert recorder.calls[-1] == ("teardown",)
    assert not hasattr(fitted, "coef_")


def test_scores_are_monitored() -> None:
    X, y = problem()
    monitor = ScoringMonitor(scoring="r2")
    fitted = model().set_callbacks(monitor).fit(X, y, weights())
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    for epoch, row in enumerate(rows, 1):
        part = model(max_iter=epoch).fit(X, y, weights())
        assert row["r2"] == part.score(X, y, weights())
    assert len(rows) == 4
    assert rows[-1]["r2"] == fitted.score(X, y, weights())


def test_pipelines_hand_their_callbacks_on() -> None:
    X, y = problem()
    recorder = Everywhere()
    steps = make_pipeline(StandardScaler(), model())
    steps.set_callbacks(recorder).fit(X, y)
    assert tasks(recorder, "end") == [0, 1, 2, 3]
    assert recorder.calls.count(("teardown",)) == 1
    assert np.isfinite(steps.predict(X)).all()
