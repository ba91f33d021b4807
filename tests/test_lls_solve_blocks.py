"""Exact least squares in one pass over blocks of rows, and over files."""

import tracemalloc
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradstep import lls
from gradstep.lls.exact import reduction, tall
from least_squares import Array, cut, error, exact, problem

methods = pytest.mark.parametrize("method", ["qr", "svd", "normal"])


def same_bits(a: lls.Solution, b: lls.Solution) -> bool:
    numbers = ("coef", "intercept", "residual", "singular_values", "condition")
    return a.rank == b.rank and all(
        np.array(getattr(a, name)).tobytes() == np.array(getattr(b, name)).tobytes()
        for name in numbers
        if getattr(a, name) is not None
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce some 16 rows of 5 columns at once, so that short data have many parts."""
    monkeypatch.setattr(reduction, "BYTES", 16 * 5 * 8)


@methods
@pytest.mark.usefixtures("few")
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_where_blocks_begin_does_not_matter(method: str, data: Any) -> None:
    n, m = data.draw(st.integers(8, 150)), data.draw(st.integers(1, 5))
    X, y, s = problem(n, m, 2)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=9)))
    intercept = data.draw(st.booleans())
    o: dict[str, Any] = {"method": method, "intercept": intercept}
    whole = lls.solve(X, y, sample_weight=s, **o)
    assert same_bits(lls.solve(cut(cuts, X, y, s), **o), whole)
    W, b, residual = exact(X, y, s, intercept)
    assert error(whole.coef, W) < 1e-10
    assert error(whole.intercept, b) < 1e-10
    assert error(whole.residual, residual) < 1e-10


@methods
@pytest.mark.usefixtures("few")
def test_means_that_drift_cost_no_digits(method: str) -> None:
    X, y, s = (np.round(64 * a) for a in problem(400, 4, 2))
    X += np.arange(400)[:, None] * [3.0, 0.0, -50.0, 1.0]  # blocks differ in means
    W, b, residual = exact(X, y, s, True)
    far = 1e9 * np.array([1.0, -2.0, 3.0, 0.5])
    found = lls.solve(
        cut([1, 9, 10, 300], X + far, y - 1e8, s), method=method, intercept=True
    )
    assert error(found.coef, W) < 1e-12
    assert error(found.intercept, b - 1e8 - far @ W) < 1e-12
    np.testing.assert_allclose(found.residual, residual.astype(float), 1e-11)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("intercept", [False, True])
def test_qr_keeps_the_digits_that_normal_loses(intercept: bool) -> None:
    rng = np.random.default_rng(7)
    n, m = 500, 4
    V = np.linalg.qr(rng.standard_normal((m, m)))[0]
    X = rng.standard_normal((n, m)) * np.geomspace(1, 1e-6, m) @ V.T
    y = X @ rng.standard_normal(m) + 1e-3 * rng.standard_normal(n)
    W, *_ = exact(X, y, intercept=intercept)
    wrong = {
        method: error(
            lls.solve(cut([70, 200], X, y), method=method, intercept=intercept).coef, W
        )
        for method in ("qr", "svd", "normal")
    }
    assert max(wrong["qr"], wrong["svd"]) < 1e-9
    assert 1e-8 < wrong["normal"] < 1e-2


@methods
@pytest.mark.usefixtures("few")
def test_blocks_before_there_is_any_weight(method: str) -> None:
    X, y, s = problem(90, 3, None)
    s[:41] = 0  # the first two parts, and some
    o: dict[str, Any] = {"method": method, "intercept": True}
    found = lls.solve(cut([5, 30], X, y, s), **o)
    assert error(found.coef, exact(X[41:], y[41:], s[41:], True)[0]) < 1e-13


def test_blocks_are_read_once_and_may_share_a_buffer() -> None:
    X, y, s = problem(60, 4, None)
    log: list[int] = []

    def blocks() -> Iterator[tuple[Array, ...]]:
        buffer = np.empty((7, 4)), np.empty(7), np.empty(7)
        for first in range(0, 60, 7):
            log.append(first)
            n = min(7, 60 - first)
            for part, a in zip(buffer, (X, y, s)):
                part[:n] = a[first : first + n]
            yield tuple(part[:n] for part in buffer)
            for part in buffer:
                part[:] = np.nan

    found = lls.solve(blocks())
    assert log == list(range(0, 60, 7))
    assert same_bits(found, lls.solve(X, y, sample_weight=s, method="qr"))


@methods
def test_memory_does_not_grow_with_rows(method: str) -> None:
    X, y, _ = problem(20_000, 5, None)  # 1 MB

    def peak(blocks: int) -> int:
        tracemalloc.start()
        lls.solve(((X, y) for _ in range(blocks)), method=method, intercept=True)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(60) < 1.2 * peak(20) < 40e6


@pytest.mark.usefixtures("few")
def test_wide_blocks_are_kept_until_there_are_more_rows_than_columns() -> None:
    X, y, s = problem(60, 40, None)
    for n in (3, 39, 41, 42, 60):
        found = lls.solve(cut([2, 30], X[:n], y[:n], s[:n]), method="svd")
        want = lls.solve(X[:n], y[:n], sample_weight=s[:n], method="svd")
        assert found.rank == min(n, 40)
        assert same_bits(found, want)
        centred = lls.solve(
            cut([2, 30], X[:n], y[:n], s[:n]), method="svd", intercept=True
        )
        assert centred.rank == min(n - 1, 40)
        assert len(centred.singular_values) == min(n, 40)
        ridged = lls.solve(cut([2, 30], X[:n], y[:n], s[:n]), ridge=0.3)
        assert error(ridged.coef, exact(X[:n], y[:n], s[:n], ridge=0.3)[0]) < 1e-12


@pytest.mark.usefixtures("few")
def test_no_row_is_reduced_many_times() -> None:
    X, y, _ = problem(2000, 20, None)
    sizes = []

    def counted(kept: Array, rows: Array) -> Array:
        sizes.append(len(kept) + len(rows))
        return reduction.triangle(kept, rows)

    rows = reduction.Reduction(20, 21, np.zeros((0, 21)), counted, True)
    for first in range(2000):
        at = slice(first, first + 1)
        rows.add(tall.Block("", X[at], y[at, None], None))
    assert sum(sizes) < 1.7 * 2000


class File:
    """A `Source` of arrays in memory."""

    def __init__(self, X: Array, y: Array, weight: Array = None) -> None:
        self.arrays = [X, y] if weight is None else [X, y, weight]
        self.shape, self.dtype = X.shape, X.dtype
        self.targets = None if y.ndim == 1 else y.shape[1]
        self.weighted, self.extents = weight is not None, None
        self.spans: list[tuple[int, int]] = []
        self.lost = 0

    def buffers(self, rows: int) -> Any:
        return [np.empty((rows, *a.shape[1:]), a.dtype) for a in self.arrays]

    def read(self, spans: Sequence[tuple[int, int]], into: Any) -> Any:
        ((first, last),) = spans
        self.spans += spans
        for buffer, a in zip(into, self.arrays):
            buffer[: last - first] = a[first:last]
        X, y, *weight = (buffer[: last - first - self.lost] for buffer in into)
        return SimpleNamespace(X=X, y=y, weight=weight[0] if weight else None)


@pytest.mark.parametrize("k", [None, 2])
def test_a_file_is_read_once_in_order(k: int | None, monkeypatch: Any) -> None:
    X, y, s = problem(100, 4, k)
    width = 4 + (k or 1)
    monkeypatch.setattr(tall, "BYTES", 30 * width * 8)
    for weight in (None, s):
        file = File(X, y, weight)
        found = lls.solve(file, intercept=True)
        assert file.spans == [(0, 30), (30, 60), (60, 90), (90, 100)]
        want = lls.solve(X, y, sample_weight=weight, method="qr", intercept=True)
        assert same_bits(found, want)
        assert np.ndim(found.intercept) == (0 if k is None else 1)
    empty = File(X[:0], y[:0])
    assert lls.solve(empty, method="svd").coef.shape == (4, *y.shape[1:])
    assert empty.spans == [(0, 0)]


def test_a_file_that_gives_too_few_rows_is_refused() -> None:
    X, y, s = problem(100, 4, None)
    file = File(X, y, s)
    file.lost = 1
    with pytest.raises(
        ValueError, match=r"^solve: .*File.*gave 99 rows for \[0, 100\)"
    ):
        lls.solve(file)
