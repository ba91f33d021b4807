"""What chunks and iterables may not do to a fit."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import problem

X, y = problem(60, 3)
BASE: dict[str, Any] = {"optimizer": partial(gs.SGD, lr=0.003), "epochs": 3}
ONE = (X, y)
CHUNKS: dict[str, tuple[Any, type[Exception], str]] = {
    "none": ([], ValueError, "X yields no chunk; pass"),
    "features": ([ONE, (X[:, :2], y)], ValueError, "chunk 1 has features 2, .* 3"),
    "dtype": ([ONE, (X.astype("f4"), y)], ValueError, "chunk 1 has dtype float32"),
    "targets": ([ONE, (X, np.c_[y, y])], ValueError, "chunk 1 has targets 2"),
    "X alone": ([(X,)], TypeError, r"chunk 0 must be a tuple \(X, y\)"),
    "four": ([(X, y, y, y)], TypeError, r"chunk 0 must be a tuple \(X, y\)"),
    "array": ([X], TypeError, r"chunk 0 must be a tuple .* got ndarray"),
    "None": ([None], TypeError, r"chunk 0 must be a tuple"),
    "number": ([3], TypeError, "chunk 0 must be a tuple"),
    "dict": ({"X": X}, TypeError, "chunk 0 must be a tuple"),
    "weight": ([(X, y, -np.ones(60))], ValueError, "chunk 0: sample_weight must be"),
    "rows": ([(X, y[:4])], ValueError, "chunk 0: X has 60 rows, y has 4"),
    "1-d": ([(X[:, 0], y)], ValueError, r"chunk 0: X must have shape \(N, L\)"),
    "sparse": ([ONE, (sparse.csr_matrix(X)[:, :2], y)], ValueError, "chunk 1 has fea"),
}


@pytest.mark.parametrize("case", CHUNKS)
def test_chunks_that_do_not_fit_are_named(case: str) -> None:
    chunks, error, words = CHUNKS[case]
    for o in (BASE, {}, BASE | {"standardize": True}):
        with pytest.raises(error, match=words) as info:
            lls.fit(chunks, **o)
        assert str(info.value).startswith("fit: ")


def test_y_is_given_once_and_once_only(tmp_path: Path) -> None:
    chunks = [(X[:20], y[:20]), (X[20:], y[20:])]
    for data in (X, X.astype("f4"), np.asfortranarray(X)):
        with pytest.raises(TypeError, match="fit: y is missing; pass y"):
            lls.fit(data, **BASE)
    np.save(tmp_path / "X.npy", X)
    file = lls.NpyFile(tmp_path / "X.npy", y)
    for data in (chunks, file, iter(chunks), tuple(chunks)):
        # A list may be meant as an array.
        with pytest.raises((TypeError, ValueError), match=r"^fit: "):
            lls.fit(data, y, **BASE)
        with pytest.raises(TypeError, match="fit: sample_weight needs y; files and"):
            lls.fit(data, sample_weight=y**2, **BASE)


class Again:
    """An iterable that yields other chunks when it is read again."""

    def __init__(self, then: list[Any]) -> None:
        self.then, self.read = then, 0

    def __iter__(self) -> Any:
        self.read += 1
        return self._chunks()

    def _chunks(self) -> Any:
        yield from [ONE, ONE] if self.read <= 3 else self.then


@pytest.mark.parametrize("o", [BASE, BASE | {"standardize": True}, {}])
@pytest.mark.parametrize("then", [[], [(X[:, :2], y)], [(X.astype("f4"), y)]])
def test_chunks_that_change_between_epochs_are_refused(then: list[Any], o: Any) -> None:
    with pytest.raises(ValueError, match=r"fit: (X yields no chunk|chunk 0 has)"):
        lls.fit(Again(then), **{"epochs": 9} | o | {"epochs": 9, "tol": 0.0})


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"shuffle": "rows"}, "chunks come in their own order"),
        ({"shuffle": "blocks"}, "chunks come in their own order"),
        ({"order": lambda _: [0]}, "chunks come in their own order"),
        ({"validation": 0.2}, "validation must be .* an iterable of chunks, got 0.2"),
    ],
)
def test_what_chunks_cannot_do_is_refused(option: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"fit: {words}"):
        lls.fit([ONE, ONE], **BASE | option)


def test_an_error_of_the_iterable_is_its_own() -> None:
    def broken() -> Any:
        yield ONE
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        lls.fit(broken(), **BASE | {"epochs": 1})


@pytest.mark.parametrize(
    ("weight", "error", "words"),
    [
        (
            -np.ones(60),
            ValueError,
            "sample_weight must be finite and at least 0, got -1",
        ),
        (np.full(60, np.nan), ValueError, "sample_weight must be finite"),
        (np.full(60, np.inf), ValueError, "sample_weight must be finite"),
        (np.zeros(60), ValueError, "sample_weight must not be zero for all rows"),
        (
            np.ones(4),
            ValueError,
            r"sample_weight must have shape \(60,\), one weight .*, got \(4,\)",
        ),
        (np.ones((60, 1)), ValueError, r"sample_weight must have shape \(60,\)"),
        (np.ones(60) * 1j, TypeError, "sample_weight must hold real numbers"),
    ],
)
def test_bad_weights_are_named(weight: Any, error: Any, words: str) -> None:
    for o in (BASE, {}):
        with pytest.raises(error, match=f"fit: {words}"):
            lls.fit(X, y, sample_weight=weight, **o)
    with pytest.raises(error, match=f"max_stable_lr: {words}"):
        lls.max_stable_lr(X, sample_weight=weight)


@pytest.mark.parametrize(
    ("option", "error", "words"),
    [
        ({"ridge": -1.0}, ValueError, "ridge must be .* got -1"),
        ({"ridge": np.inf}, ValueError, "ridge must be .* got inf"),
        ({"tol": -1.0}, ValueError, "tol must be .* got -1"),
        ({"patience": 0}, ValueError, "patience must be >= 1, got 0"),
        ({"intercept": 1}, TypeError, "intercept must be True or False, got 1"),
        ({"standardize": 1}, TypeError, "standardize must be True or False, got 1"),
        ({"intercept0": 3.0}, ValueError, "intercept0 needs intercept=True"),
        ({"schedule_by": "step"}, ValueError, "schedule_by must be .* got 'step'"),
        ({"scheduler": 3}, TypeError, "scheduler must be callable"),
        ({"scheduler": lambda _: 7}, TypeError, "scheduler must return .* got int"),
        ({"average": -1}, ValueError, "average must be >= 0, got -1"),
        ({"callback_every": 0}, ValueError, "callback_every must be >= 1, got 0"),
    ],
)
def test_bad_options_are_named(option: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=f"fit: {words}"):
        lls.fit(X, y, **BASE | option)
