"""A fraction of a file as a validation set: blocks of rows, chosen by seed."""

from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import gradstep as gs
from gradstep import lls
from gradstep.lls.files import NpyFile, ParquetFile, Source
from gradstep.lls.files.checked import CheckedSource
from gradstep.lls.files.subset import Subset, split
from reading import numbers, read, same, some_spans, taken
from training import SGD, bits, mean_square, problem, weights

Array: TypeAlias = Any


def npy(folder: Path, X: Array, y: Array, s: Array | None = None) -> NpyFile:
    np.save(folder / "X.npy", X)
    return NpyFile(folder / "X.npy", y, sample_weight=s)


def groups(folder: Path, X: Array, y: Array, size: int) -> ParquetFile:
    columns = {f"x{j}": X[:, j] for j in range(X.shape[1])} | {"t": y}
    parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=size)
    return ParquetFile(folder / "t.parquet", target="t")


checked = partial(CheckedSource, "fit")


def rows_of(side: Source, n: int) -> list[int]:
    """Which rows a side holds, of a source whose y are the numbers of its rows."""
    return read(side, [(0, side.shape[0])]).y.astype(int).tolist()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_subset_reads_the_rows_of_its_spans(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, 40))
    X, y = numbers((n, 2), "<f8"), np.arange(float(n))
    folder = tmp_path_factory.mktemp("subset")
    in_groups = data.draw(st.booleans())
    size = data.draw(st.integers(1, 9))
    source = groups(folder, X, y, size) if in_groups else npy(folder, X, y, y + 1)
    cuts = sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=10)))
    cuts = cuts[: len(cuts) // 2 * 2]
    spans = np.array(cuts, np.int64).reshape(-1, 2)
    row_numbers = np.concatenate([np.arange(first, last) for first, last in spans])
    side = Subset(checked(source), spans)
    assert isinstance(side, Source)
    assert side.shape == (len(row_numbers), 2)
    assert (side.targets, side.dtype, side.weighted) == (
        *(source.targets, source.dtype, source.weighted),
    )
    for _ in range(2):
        chosen = data.draw(some_spans(len(row_numbers)))
        rows = read(side, chosen)
        same(rows.X, taken(chosen, X[row_numbers], "f8"))
        same(rows.y, taken(chosen, y[row_numbers], "f8"))
        if not in_groups:
            same(rows.weight, taken(chosen, y[row_numbers] + 1, "f8"))
    if in_groups:
        parts = [
            len(set(row_numbers) & set(range(a, a + size))) for a in range(0, n, size)
        ]
        want = np.unique(np.cumsum([0, *parts])).tolist()
        assert side.extents.tolist() == want
    else:
        assert side.extents is None
    for row in (0, len(row_numbers) - 1):
        assert side.row_name(row).startswith(f"row {row_numbers[row]} of '")


CASES = [(n, f) for n in (2, 3, 10, 257, 5000) for f in (0.05, 0.1, 0.3, 0.5, 0.9)]


@pytest.mark.parametrize(("n", "fraction"), CASES)
def test_both_sides_are_all_rows_and_nearly_the_fraction(
    tmp_path: Path, n: int, fraction: float
) -> None:
    X, y = np.zeros((n, 1)), np.arange(float(n))
    for source in (npy(tmp_path, X, y), groups(tmp_path, X, y, max(1, n // 9))):
        sides = split(checked(source), fraction, 0)
        if sides is None:
            assert n <= 3
            continue
        left, held_out = (rows_of(side, n) for side in sides)
        assert sorted(left + held_out) == list(range(n))
        assert left == sorted(left)
        assert held_out == sorted(held_out)
        assert abs(len(held_out) - fraction * n) <= max(1, n / 256)
        if n > 10:
            others = [
                rows_of(split(checked(source), fraction, k)[1], n) for k in range(3)
            ]
            assert others[0] == held_out
            assert others[1] != held_out != others[2]


def test_row_groups_are_held_out_as_a_whole_where_they_are_many(tmp_path: Path) -> None:
    """So that each is decoded once in an epoch."""
    X, y = np.zeros((1000, 1)), np.arange(1000.0)
    _, held_out = split(checked(groups(tmp_path, X, y, 10)), 0.25, 3)
    rows = np.array(rows_of(held_out, 1000)).reshape(-1, 10)
    assert (rows % 10 == np.arange(10)).all()
    assert len(rows) == 25


def test_blocks_of_a_large_file_are_not_longer_than_a_read(tmp_path: Path) -> None:
    path = tmp_path / "X.npy"
    np.lib.format.open_memmap(
        path, "w+", np.float32, (4_000_000, 50)
    )  # 800 MB of holes
    _, held_out = split(checked(NpyFile(path, np.zeros(4_000_000, np.int8))), 0.01, 0)
    sizes = [last - first for first, last in held_out._spans]
    assert min(sizes) >= (1 << 20) // 200 - 1
    assert sum(sizes) == pytest.approx(40_000, rel=0.1)


@pytest.mark.parametrize("shuffle", [None, "auto", "blocks"])
@pytest.mark.parametrize("kind", ["npy", "groups"])
def test_held_out_rows_do_not_train_and_the_others_do(
    tmp_path: Path, kind: str, shuffle: Any
) -> None:
    """What is left is the problem of its rows; what is held out has their loss."""
    X, y = problem(400, 4)
    s = weights(400) + 0.5
    source = npy(tmp_path, X, y, s) if kind == "npy" else groups(tmp_path, X, y, 64)
    numbered = npy if kind == "npy" else partial(groups, size=64)
    (tmp_path / "numbered").mkdir()
    sides = split(checked(numbered(tmp_path / "numbered", X, np.arange(400.0))), 0.2, 7)
    left, held_out = (rows_of(side, 400) for side in sides)
    o: dict[str, Any] = {"optimizer": SGD, "batch_size": 10**6, "epochs": 3}
    o |= {"reduction": "mean", "ridge": 4.0, "intercept": True, "standardize": True}
    done = lls.fit(source, validation=0.2, seed=7, shuffle=shuffle, **o)
    weight = (s[left], s[held_out]) if kind == "npy" else (None, None)
    want = lls.fit(X[left], y[left], sample_weight=weight[0], shuffle=None, **o)
    # Sums of one batch, in another order where rows are shuffled.
    np.testing.assert_allclose(done.coef, want.coef, rtol=1e-10)
    np.testing.assert_allclose(done.objective, want.objective, rtol=1e-10)
    loss = mean_square(
        *(X[held_out], y[held_out], done.coef, done.intercept),
        1.0 if weight[1] is None else weight[1],
    )
    assert done.validation_loss[-1] == pytest.approx(loss, rel=1e-12)
    again = lls.fit(source, validation=0.2, seed=7, shuffle=shuffle, **o)
    assert bits(again) == bits(done)
    assert again.validation_loss.tobytes() == done.validation_loss.tobytes()


def test_a_file_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    X, y = problem(300, 4)
    o: dict[str, Any] = {"optimizer": partial(gs.SGD, lr=0.002, momentum=0.9)}
    o |= {"batch_size": 7, "epochs": 60, "validation": 0.3, "intercept": True}
    source = npy(tmp_path, X, y)
    whole = lls.fit(source, **o)
    done = lls.fit(source, tol=0.02, patience=4, **o)
    best = int(np.argmin(done.validation_loss)) + 1
    assert (done.reason, done.epochs < 60) == ("tol", True)
    assert (
        done.validation_loss.tolist() == whole.validation_loss[: done.epochs].tolist()
    )
    assert bits(done) == bits(lls.fit(source, **o | {"epochs": best}))


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (0.0, "leaves blocks of rows on both sides, got 0.0 of 20 rows"),
        (1.0, "leaves blocks of rows on both sides, got 1.0 of 20 rows"),
        (1.5, "leaves blocks of rows on both sides, got 1.5 of 20 rows"),
        (0.999, "leaves blocks of rows on both sides, got 0.999 of 20 rows"),
        (-0.5, "validation must be finite and >= 0, got -0.5"),
        (float("nan"), "validation must be finite and >= 0, got nan"),
    ],
)
def test_a_fraction_that_leaves_nothing_is_refused(
    tmp_path: Path, fraction: float, words: str
) -> None:
    X, y = problem(20, 4)
    for source in (npy(tmp_path, X, y), groups(tmp_path, X, y, 5)):
        with pytest.raises(ValueError, match=f"fit: .*{words}"):
            lls.fit(source, optimizer=SGD, validation=fraction)
    for n in (0, 1):
        with pytest.raises(ValueError, match="leaves blocks of rows on both sides"):
            lls.fit(npy(tmp_path, X[:n], y[:n]), optimizer=SGD, validation=0.5)


def test_chunks_have_no_fraction_but_may_have_a_file(tmp_path: Path) -> None:
    X, y = problem(60, 3)
    chunks = [(X[:20], y[:20]), (X[20:], y[20:])]
    with pytest.raises(ValueError, match="or a file where X is an iterable of chunks"):
        lls.fit(chunks, optimizer=SGD, validation=0.2)
    done = lls.fit(chunks, optimizer=SGD, validation=npy(tmp_path, X, y), epochs=2)
    assert done.validation_loss[-1] == pytest.approx(mean_square(X, y, done.coef, 0.0))


def test_the_default_takes_no_validation_of_files(tmp_path: Path) -> None:
    X, y = problem(60, 3)
    with pytest.raises(ValueError, match="fit: validation needs an optimizer"):
        lls.fit(npy(tmp_path, X, y), validation=0.2)
