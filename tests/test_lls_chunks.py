"""Chunks: the penalty over rows that are counted first, and lists of matrices."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import HEAVY, bits, by_hand, distance, normal, problem, weights

X, y = problem(60, 3)
S = weights(60)
CUTS = [(0, 7), (7, 7), (7, 40), (40, 60)]
CHUNKS = [(X[i:j], y[i:j], S[i:j]) for i, j in CUTS]
OPTIONS: list[dict[str, Any]] = [
    {"optimizer": HEAVY, "batch_size": 7, "reduction": "mean", "shuffle": None},
    {"optimizer": HEAVY, "batch_size": 7, "standardize": True, "shuffle": None},
    {"optimizer": partial(gs.Adam, lr=0.02), "average": True, "shuffle": None},
    {},
]


class Passes:
    """Chunks that are loaded anew in each pass, which are counted."""

    def __init__(self, *passes: list[Any]) -> None:
        self.passes, self.begun = passes, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        return iter(self.passes[min(self.begun, len(self.passes)) - 1])


@pytest.mark.parametrize("o", OPTIONS)
def test_a_penalty_over_chunks_is_that_over_arrays(o: dict[str, Any]) -> None:
    for ridge in (2.0, 300.0):
        want = lls.fit(X, y, sample_weight=S, intercept=True, ridge=ridge, **o)
        for chunks in (CHUNKS, tuple(CHUNKS), Passes(CHUNKS)):
            done = lls.fit(chunks, intercept=True, ridge=ridge, **o)
            assert bits(done) == bits(want)
            assert done.loss.tobytes() == want.loss.tobytes()
        w, b = normal(X, y, sample_weight=S, intercept=True, ridge=ridge)
        if not o:
            assert distance(done.coef, w) < 1e-9
            assert distance(done.intercept, b) < 1e-9


def test_a_penalty_over_chunks_is_the_one_of_the_definition() -> None:
    o: dict[str, Any] = OPTIONS[0] | {"ridge": 40.0, "epochs": 3}
    want = by_hand(X, y, [np.arange(60)] * 3, sample_weight=S, **o)
    assert distance(lls.fit(CHUNKS, **o).coef, want.coef) < 1e-12


def test_rows_are_counted_only_for_a_penalty() -> None:
    for ridge, passes in ((0.0, 3), (1.0, 4)):
        chunks = Passes(CHUNKS)
        lls.fit(chunks, optimizer=HEAVY, epochs=2, ridge=ridge)
        assert chunks.begun == passes + 1  # one pass looks at the first chunk, or two


def test_chunks_of_another_number_of_rows_than_counted_are_refused() -> None:
    shorter = Passes(CHUNKS, CHUNKS, CHUNKS, CHUNKS[:3])
    with pytest.raises(ValueError, match=r"X yields 40 rows in epoch .*, but 60 when"):
        lls.fit(shorter, optimizer=HEAVY, ridge=1.0, epochs=5)


def test_an_iterator_that_is_read_once_has_no_penalty() -> None:
    for o in OPTIONS[:1]:
        with pytest.raises(
            ValueError, match="ridge needs the number of rows, which an"
        ):
            lls.fit(iter(CHUNKS), ridge=1.0, **o)
        assert lls.fit(iter(CHUNKS), **o).epochs == 1


KINDS: dict[str, Any] = {
    "arrays": np.asarray,
    "float32": lambda a: a.astype("f4"),
    "sparse": sparse.csr_array,
    "tables": pd.DataFrame,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("o", OPTIONS)
def test_lists_of_matrices_are_chunks(o: dict[str, Any], kind: str) -> None:
    dtype = "f4" if kind == "float32" else "f8"
    parts = [KINDS[kind](X[i:j]) for i, j in CUTS]
    targets = [y[i:j].astype(dtype) for i, j in CUTS]
    shares = [S[i:j] for i, j in CUTS]
    for ridge in (0.0, 2.0):
        want = lls.fit(list(zip(parts, targets, shares, strict=True)), ridge=ridge, **o)
        plain = lls.fit(list(zip(parts, targets, strict=True)), ridge=ridge, **o)
        for wrap in (list, tuple):
            done = lls.fit(
                *(wrap(parts), wrap(targets)),
                sample_weight=wrap(shares),
                ridge=ridge,
                **o,
            )
            assert bits(done) == bits(want)
            done = lls.fit(wrap(parts), wrap(targets), ridge=ridge, **o)
            assert bits(done) == bits(plain)


def test_lists_of_rows_are_still_arrays() -> None:
    want = bits(lls.fit(X, y))
    for rows in (X.tolist(), list(X), tuple(X), [tuple(row) for row in X]):
        assert bits(lls.fit(rows, y.tolist())) == want


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (([X, X], [y]), "y must be a list of 2 arrays, as X is, got list of 1"),
        (([X, X], np.r_[y, y]), "y must be a list of 2 arrays, as X is, got ndarray"),
        (([X, X], (y, y), S), "sample_weight must be a list of 2 arrays, .* ndarray"),
        (([X, X], (y, y), [S]), "sample_weight must be a list of 2 .* got list of 1"),
        (([X, X], [y, y[:9]]), "chunk 1: X has 60 rows, y has 9"),
        (([X, X[:, :2]], [y, y]), "chunk 1 has features 2, the first had 3"),
        (([X, X.astype("f4")], [y, y]), "chunk 1 has dtype float32, the first had"),
    ],
)
def test_lists_that_do_not_fit_are_named(data: Any, words: str) -> None:
    for o in OPTIONS:
        with pytest.raises(ValueError, match=f"fit: {words}"):
            lls.fit(data[0], data[1], sample_weight=dict(enumerate(data)).get(2), **o)


def test_a_chunk_may_be_a_list_as_well_as_a_tuple() -> None:
    """As PyTorch's DataLoader collates; a row of numbers is none."""
    want = bits(lls.fit(CHUNKS))
    assert bits(lls.fit([list(chunk) for chunk in CHUNKS])) == want
    assert bits(lls.fit([[X, y]])) == bits(lls.fit([(X, y)]))
    for rows in ([[1.0, 2.0], [3.0, 4.0]], [[X], [X]], [[X, y, S, S]]):
        with pytest.raises(
            TypeError, match=r"chunk 0 must be a tuple .* got list; for"
        ):
            lls.fit(rows)
