"""The progress bar: epochs that have ended, and their losses."""

import re
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from training import problem

X, y = problem(60, 3)
SGD = partial(gs.SGD, lr=0.01)


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return re.split(r"[\r\n]+", capsys.readouterr().err.strip())[-1]


def fit(capsys: pytest.CaptureFixture[str], **o: Any) -> tuple[lls.Fit, str]:
    o = {"optimizer": SGD, "reduction": "mean", "epochs": 9} | o
    done = lls.fit(X, y, progress=True, **o)
    return done, last_line(capsys)


def test_the_losses_of_the_last_epoch_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done, line = fit(capsys)
    assert "9/9" in line
    assert f"loss={done.loss[-1]:.4g}]" in line
    assert "validation" not in line
    done, line = fit(capsys, validation=0.25)
    assert f"loss={done.loss[-1]:.4g}, " in line
    assert f"validation_loss={done.validation_loss[-1]:.4g}]" in line


@pytest.mark.parametrize(
    "o",
    [
        {"tol": 0.5, "patience": 2},
        {"tol": 0.5, "patience": 2, "validation": 0.25},
        {"callback": lambda at: at.epoch == 3},
        {"callback": lambda at: at.update == 10, "callback_every": 1, "batch_size": 7},
    ],
)
def test_an_early_stop_counts_the_epochs_of_the_fit(
    o: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    done, line = fit(capsys, **o)
    assert done.reason in ("tol", "callback")
    assert f" {done.epochs}/9 " in line
    assert f"loss={done.loss[-1]:.4g}" in line


def test_the_default_counts_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    done = lls.fit(X, y, progress=True, epochs=50)
    line = last_line(capsys)
    assert f" {done.epochs}/50 " in line
    assert f"loss={done.loss[-1]:.4g}]" in line


def test_a_bar_is_closed_where_a_fit_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(at: lls.Progress) -> None:
        if at.epoch == 2:
            raise OSError("the log is full")

    for o in ({"optimizer": SGD}, {"tol": 0.0}):
        with pytest.raises(OSError, match="the log is full"):
            lls.fit(X, y + np.sin(9 * X[:, 0]), progress=True, callback=failing, **o)
        assert capsys.readouterr().err.endswith("\n")


def test_no_epochs_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    done, line = fit(capsys, epochs=0)
    assert (done.epochs, done.n_updates) == (0, 0)
    assert "fit: 0epoch" in line
