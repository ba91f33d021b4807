"""What `order` and `callback` may do to the arrays and optimizer of a running fit."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls


def problem(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 3)), rng.standard_normal(n)


def fit(X: np.ndarray, y: np.ndarray, **changes: Any) -> lls.Fit:
    arguments = {
        "optimizer": partial(gs.SGD, lr=1e-3),
        "batch_size": 5,
        "epochs": 3,
        "shuffle": None,
    }
    return lls.fit(X, y, **({"shuffle": None} | arguments | changes))


@pytest.mark.parametrize("which", [0, 1])
def test_data_that_is_resized_is_refused(which: int) -> None:
    data = problem()

    def shrink(_: lls.Progress) -> None:
        data[which].resize((1,), refcheck=False)

    with pytest.raises(ValueError, match="X, y or sample_weight was resized"):
        fit(*data, callback=shrink)


def test_rows_are_those_that_were_returned() -> None:
    X, y = problem()
    rows = np.arange(40)

    def spoil(_: lls.Progress) -> None:
        rows[:] = 10**12

    with pytest.raises(ValueError, match=r"rows in \[0, 40\), got 1000000000000"):
        fit(X, y, order=lambda _: rows, callback=spoil, callback_every=1)
    expected = fit(X, y, epochs=1).coef
    rows[:] = np.arange(40)
    once = fit(
        X, y, epochs=1, order=lambda _: rows, callback=spoil, callback_every=1
    ).coef
    assert once.tobytes() == expected.tobytes()


def test_other_arrays_are_refused_and_not_stepped() -> None:
    X, y = problem()
    made: list[gs.SGD] = []
    other = np.ones(3)

    def build(w: np.ndarray) -> gs.SGD:
        made.append(gs.SGD([w], lr=1e-3))
        return made[0]

    def interfere(_: lls.Progress) -> None:
        made[0].add_param_group({"params": [other]})
        made[0].step([[None], [np.ones(3)]])

    with pytest.raises(ValueError, match="has been given other arrays"):
        fit(X, y, optimizer=build, callback=interfere)
    assert other.tolist() == [1 - 1e-3] * 3


def test_a_lookahead_that_is_switched_on_is_refused() -> None:
    X, y = problem()
    made: list[gs.SGD] = []

    def build(w: np.ndarray) -> gs.SGD:
        made.append(gs.SGD(w, lr=1e-3, momentum=0.5, form="velocity"))
        return made[0]

    with pytest.raises(ValueError, match="wants gradients at its lookahead"):
        fit(
            X,
            y,
            optimizer=build,
            callback=lambda _: setattr(made[0], "nesterov", True),
        )


def test_what_diverged_is_not_returned_when_stopped() -> None:
    X, y = problem()
    with pytest.raises(FloatingPointError, match="y holds NaN or infinity"):
        fit(X, y * np.inf, callback=lambda _: True)
