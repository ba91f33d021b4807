"""The same rows as arrays, chunks and files: the same bits."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import gradstep as gs
from gradstep import lls
from training import HEAVY, bits, problem, weights

BASE: dict[str, Any] = {
    "optimizer": partial(HEAVY, lr=0.004),
    "reduction": "mean",
    "epochs": 2,
    "shuffle": None,
}
SHAPES = [(61, 3, None, "f8", 7), (1300, 17, None, "f8", 600), (900, 4, 2, "f4", 300)]
HOW = [
    {"intercept": intercept, "standardize": scaled, "average": scaled}
    for intercept in (False, True)
    for scaled in (False, True)
]


def chunks_of(cuts: list[int], *arrays: Any) -> list[tuple[Any, ...]]:
    return [tuple(a[i:j] for a in arrays) for i, j in pairwise(cuts)]


def stored(folder: Path, **arrays: Any) -> dict[str, str]:
    paths = {name: str(folder / f"{name}.npy") for name in arrays}
    for name, array in arrays.items():
        np.save(paths[name], array)
    return paths


def table(X: Any, y: Any, weight: Any) -> pa.Table:
    columns = {f"x{j}": X[:, j] for j in range(X.shape[1])}
    columns |= {f"y{j}": t for j, t in enumerate(y.reshape(len(y), -1).T)}
    return pa.table(columns | {"weight": weight})


@pytest.mark.parametrize("o", HOW[::3])
@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_and_files_of_all_kinds(
    tmp_path: Path, shape: tuple[Any, ...], o: dict[str, Any]
) -> None:
    n, m, k, dtype, size = shape
    X, y = problem(n, m, k, dtype)
    weight = weights(n)
    paths = stored(tmp_path, X=X, y=y, s=weight)
    targets = [f"y{j}" for j in range(k or 1)]
    default = {"epochs": 1, "intercept": o["intercept"], "standardize": False}
    default |= {"tol": 1e-30}
    for how in (BASE | o | {"batch_size": size}, default):
        slow = pytest.warns(lls.ConvergenceWarning) if how is default else None
        want = fit(slow, X, y, sample_weight=weight, **how)
        maps = [np.load(path, mmap_mode="r") for path in paths.values()]
        for X2 in (np.asfortranarray(X), maps[0]):
            assert fit(slow, X2, maps[1], sample_weight=maps[2], **how) == want
        source = lls.NpyFile(paths["X"], paths["y"], sample_weight=paths["s"])
        assert fit(slow, source, **how) == want
        assert (
            fit(slow, lls.NpyFile(paths["X"], y, sample_weight=weight), **how) == want
        )
        for rows in (77, 256, n):
            parquet.write_table(
                table(X, y, weight), tmp_path / "t", row_group_size=rows
            )
            names = [f"x{j}" for j in range(m)]
            with lls.ParquetFile(
                tmp_path / "t",
                target=targets if k else targets[0],
                features=names,
                sample_weight="weight",
            ) as rows_of_it:
                assert fit(slow, rows_of_it, **how) == want


def fit(slow: Any, *data: Any, **o: Any) -> list[bytes]:
    if slow is None:
        return bits(lls.fit(*data, **o))
    with slow:
        return bits(lls.fit(*data, **o))


WEIGHTED = problem(700, 5)
# A first chunk of no rows has a test of its own.
CUTS = st.lists(st.integers(1, 700), max_size=7).map(lambda c: [0, *sorted(c), 700])


@settings(max_examples=30, deadline=None)
@given(cuts=CUTS, how=st.sampled_from(HOW), size=st.sampled_from([7, 256, 600, 999]))
def test_chunks_may_be_cut_anywhere(
    cuts: list[int], how: dict[str, Any], size: int
) -> None:
    X, y = WEIGHTED
    o = BASE | how | {"batch_size": size}
    assert bits(lls.fit(chunks_of(cuts, X, y), **o)) == bits(lls.fit(X, y, **o))
    weight = weights(700) + 0.1
    found = bits(lls.fit(chunks_of(cuts, X, y, weight), **o))
    assert found == bits(lls.fit(X, y, sample_weight=weight, **o))


@pytest.mark.parametrize("size", [7, 256, 2000])
@pytest.mark.parametrize("k", [None, 2])
def test_losses_have_the_same_bits_however_chunks_are_cut(
    size: int, k: int | None
) -> None:
    X, y = problem(1300, 5, k)
    o = BASE | {"batch_size": size}
    want = lls.fit(X, y, **o).loss.tobytes()
    for cuts in ([0, 100, 1300], [0, 256, 1300], [0, 333, 350, 777, 1300]):
        assert lls.fit(chunks_of(cuts, X, y), **o).loss.tobytes() == want, cuts


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("cuts", [[0, 400, 400, 700, 700], [0, 0, 400, 700]])
def test_a_chunk_may_have_no_rows(cuts: list[int], scaled: bool) -> None:
    X, y = WEIGHTED
    o = BASE | {"batch_size": 7, "standardize": scaled}
    assert bits(lls.fit(chunks_of(cuts, X, y), **o)) == bits(lls.fit(X, y, **o))


def test_the_rows_of_a_chunk_may_all_have_no_weight() -> None:
    X, y = WEIGHTED
    weight = weights(700)
    weight[:30] = 0
    o = BASE | {"batch_size": 7}
    found = bits(lls.fit(chunks_of([0, 30, 31, 700], X, y, weight), **o))
    assert found == bits(lls.fit(X, y, sample_weight=weight, **o))


def test_generators_are_read_once() -> None:
    X, y = WEIGHTED
    o = BASE | {"batch_size": 32, "epochs": 1}
    want = bits(lls.fit(X, y, **o))
    assert bits(lls.fit(iter(chunks_of([0, 9, 350, 700], X, y)), **o)) == want

    def reusing() -> Iterator[tuple[Any, Any]]:
        rows, target = np.empty((10, 5)), np.empty(10)
        for first in range(0, 700, 10):
            rows[:], target[:] = X[first : first + 10], y[first : first + 10]
            yield rows, target

    assert bits(lls.fit(reusing(), **o)) == want
    with pytest.raises(ValueError, match=r"fit: X is an iterator.* epochs=2"):
        lls.fit(reusing(), **BASE)
    with pytest.raises(ValueError, match=r"fit: .*(standardize|iterator)"):
        lls.fit(reusing(), standardize=True, **o)


@pytest.mark.parametrize("shuffle", ["blocks", "auto", None])
def test_a_file_is_shuffled_as_an_array_is(tmp_path: Path, shuffle: Any) -> None:
    o = BASE | {"optimizer": partial(gs.SGD, lr=1e-5), "batch_size": 32}
    for n, m in ((90, 2048), (3001, 200)):
        X, y = problem(n, m)
        file = lls.NpyFile(stored(tmp_path, X=X)["X"], y)
        for seed in (0, 5):
            how = o | {"shuffle": shuffle, "seed": seed}
            assert bits(lls.fit(file, **how)) == bits(lls.fit(X, y, **how))


def test_data_are_left_as_they_are() -> None:
    X, y = problem(60, 3)
    weight = weights(60)
    kept = [a.tobytes() for a in (X, y, weight)]
    for array in (X, y, weight):
        array.flags.writeable = False
    o = BASE | {"standardize": True, "intercept": True, "shuffle": "rows"}
    lls.fit(X, y, sample_weight=weight, **o)
    lls.fit(X, y, sample_weight=weight, intercept=True)
    assert [a.tobytes() for a in (X, y, weight)] == kept
