"""The first NaN or infinity is named, by row and column, wherever rows come from."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

import gradstep as gs
from gradstep import lls
from gradstep.lls.data import block
from gradstep.lls.nonfinite import nonfinite_place
from training import Array, bits, problem, weights

X, y = problem(300, 5)
SGD = partial(gs.SGD, lr=1e-3)
OPTIONS: list[dict[str, Any]] = [
    {"optimizer": SGD, "batch_size": 7, "epochs": 1, "shuffle": None},
    {"optimizer": SGD, "batch_size": 7, "epochs": 1},
    {"optimizer": SGD, "batch_size": 1000},
    {"optimizer": partial(gs.Adam, lr=1e-3), "standardize": True, "intercept": True},
    {"optimizer": SGD, "average": True, "ridge": 1.0},
    {},
    {"intercept": True, "standardize": False},
]
# Which values are bad, and what of that is first.
PLACES: dict[str, tuple[list[tuple[Any, ...]], str]] = {
    "X": ([(17, 2), (250, 0)], "X is {} in row 17{}, column 2"),
    "last": ([(299, 4)], "X is {} in row 299{}, column 4"),
    "first": ([(0, 0)], "X is {} in row 0{}, column 0"),
    "row": ([(40, 3), (40, 1)], "X is {} in row 40{}, column 1"),
    "y": ([(17,), (18, 0)], "y is {} in row 17{}"),
    "both": ([(90,), (90, 4)], "X is {} in row 90{}, column 4"),
}


def spoiled(case: str, bad: float) -> tuple[Array, Array]:
    data, target = X.copy(), y.copy()
    for at in PLACES[case][0]:
        if len(at) == 1:
            target[at] = bad
        else:
            data[at] = bad
    return data, target


def words(case: str, bad: float, of: str = "") -> str:
    place = PLACES[case][1].format(bad, of)
    return re.escape(f"fit: X or y holds NaN or infinity: {place}; remove such rows")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", PLACES)
def test_the_first_value_of_arrays_is_named(case: str, bad: float) -> None:
    data, target = spoiled(case, bad)
    thin = np.where(np.abs(data) < 0.5, 0, data)  # NaN stays
    for kind in (
        (data, target),
        (data.astype("f4"), target.astype("f4")),
        (np.asfortranarray(data), target),
        (sparse.csr_array(thin), target),
        (sparse.coo_array(thin.astype("f4")), target),
        (data.tolist(), target.tolist()),
    ):
        for o in OPTIONS:
            with pytest.raises(ValueError, match=words(case, bad)) as info:
                lls.fit(*kind, **o)
            assert np.isfinite(info.value.coef).all()
            assert np.isfinite(info.value.intercept)


def test_it_is_an_error_of_values_that_keeps_the_last_good_coefficients() -> None:
    """A lower rate would not help; but a long fit is not lost."""
    chunks = [(X[:100], y[:100]), (X[100:200], y[100:200]), spoiled("last", np.nan)]
    for kind in (lls.NonFiniteError, lls.DivergenceError, ValueError):
        with pytest.raises(kind) as info:
            lls.fit(chunks, optimizer=SGD, batch_size=10, shuffle=None, epochs=1)
    start = float((y * y).mean())
    assert ((X @ info.value.coef - y) ** 2).mean() < start


@pytest.mark.parametrize("case", PLACES)
def test_the_chunk_is_named_with_its_row(case: str) -> None:
    data, target = spoiled(case, np.nan)
    (row, *_), *_ = PLACES[case][0]
    of = f" of chunk {1 + (row >= 150)}"
    moved = row - (150 if row >= 150 else 0)
    text = words(case, np.nan, of).replace(f"row {row}", f"row {moved}")
    text = text.replace(rf"row\ {row}\ ", rf"row\ {moved}\ ")
    empty = (X[:0], y[:0])
    chunks = [empty, (data[:150], target[:150]), (data[150:], target[150:])]
    for o in OPTIONS:
        if o.get("ridge") is None or "optimizer" in o:
            with pytest.raises(ValueError, match=text):
                lls.fit(chunks, **o)


@pytest.mark.parametrize("case", PLACES)
def test_the_file_is_named_with_its_row(case: str, tmp_path: Path) -> None:
    data, target = spoiled(case, -np.inf)
    np.save(tmp_path / "X.npy", data)
    npy = lls.NpyFile(tmp_path / "X.npy", target)
    columns = {f"x{j}": data[:, j] for j in range(5)} | {"t": target}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=70)
    single = lls.ParquetFile(tmp_path / "t.parquet", target="t")
    for file, name in ((npy, "X.npy"), (single, "t.parquet")):
        text = words(case, -np.inf, f" of '{tmp_path / name}'")
        for o in OPTIONS:
            with pytest.raises(ValueError, match=text):
                lls.fit(file, **o)
    halves = tmp_path / "halves"
    halves.mkdir()
    for k, rows in enumerate((slice(0, 150), slice(150, 300))):
        part = pa.table({name: column[rows] for name, column in columns.items()})
        parquet.write_table(part, halves / f"{k}.parquet", row_group_size=40)
    (row, *_), *_ = PLACES[case][0]
    text = words(case, -np.inf, f" of '{halves / f'{row // 150}.parquet'}'")
    text = text.replace(rf"row\ {row}\ ", rf"row\ {row % 150}\ ")
    for o in OPTIONS:
        with pytest.raises(ValueError, match=text):
            lls.fit(lls.ParquetFile(halves, target="t"), **o)


def test_rows_of_large_files_are_counted_from_the_beginning(tmp_path: Path) -> None:
    """Blocks are read in any order; one read spans several of them."""
    data, target = problem(90_000, 8)
    data[70_123, 5] = np.nan
    np.save(tmp_path / "X.npy", data)
    file = lls.NpyFile(tmp_path / "X.npy", target)
    for shuffle in (None, "blocks"):
        with pytest.raises(ValueError, match=r"X is nan in row 70123 of .*, column 5"):
            lls.fit(file, optimizer=SGD, shuffle=shuffle, epochs=1, reduction="mean")


class Numbers:
    """A source of a user, who has not heard of names of rows."""

    shape, targets, dtype = (300, 5), None, np.dtype(np.float64)
    weighted, extents = False, None

    def __init__(self, file: lls.NpyFile) -> None:
        self.buffers, self.read = file.buffers, file.read


def test_the_row_of_a_source_of_a_user_is_named(tmp_path: Path) -> None:
    data, target = spoiled("X", np.nan)
    np.save(tmp_path / "X.npy", data)
    source = Numbers(lls.NpyFile(tmp_path / "X.npy", target))
    with pytest.raises(ValueError, match="X is nan in row 17 of the file, column 2"):
        lls.fit(source, optimizer=SGD)


@pytest.mark.parametrize("k", [1, 3])
def test_the_column_of_several_targets_is_named(k: int) -> None:
    target = np.c_[y, y, y][:, :k]
    target[33, k - 1] = np.inf
    for o in OPTIONS:
        with pytest.raises(ValueError, match=rf"y is inf in row 33, column {k - 1};"):
            lls.fit(X, target, **o)


def test_rows_without_weight_are_named_too() -> None:
    data, target = spoiled("X", np.nan)
    s = np.ones(300)
    s[[17, 250]] = 0
    for o in OPTIONS:
        with pytest.raises(ValueError, match=words("X", np.nan)):
            lls.fit(data, target, sample_weight=s, **o)


def test_rows_that_are_not_visited_are_not_blamed() -> None:
    data, target = spoiled("X", np.nan)
    o: dict[str, Any] = {"order": lambda _: np.arange(100, 200), "batch_size": 7}
    done = lls.fit(data, target, optimizer=SGD, **o)
    assert bits(done) == bits(lls.fit(X, y, optimizer=SGD, **o))
    with pytest.raises(
        lls.DivergenceError, match=r"the loss grew to .* lower lr"
    ) as info:
        lls.fit(data, target, optimizer=partial(gs.SGD, lr=1e9), **o)
    assert not isinstance(info.value, ValueError)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("size", [7, 100, 1000])
def test_a_trainer_names_the_row_of_the_call_and_goes_on(kind: Any, size: int) -> None:
    trainer = lls.Trainer(5, optimizer=SGD, batch_size=size)
    trainer.partial_fit(kind(X), y, weights(300))
    before = bits(trainer)
    for case in PLACES:
        data, target = spoiled(case, np.nan)
        text = words(case, np.nan).replace("fit:", "Trainer:")
        with pytest.raises(ValueError, match=text):
            trainer.partial_fit(kind(data), target)
        assert bits(trainer) == before
    trainer.partial_fit(kind(X), y)


@pytest.mark.parametrize("case", PLACES)
def test_a_validation_set_that_is_not_finite_is_named(
    case: str, tmp_path: Path
) -> None:
    data, target = spoiled(case, np.inf)
    place = PLACES[case][1].format("inf", "")
    o: dict[str, Any] = {"optimizer": SGD, "epochs": 2}
    for held_out in ((data, target), [data, target], (sparse.csr_array(data), target)):
        with pytest.raises(ValueError, match=f"fit: .* of the validation .*: {place};"):
            lls.fit(X, y, validation=held_out, **o)
    np.save(tmp_path / "X.npy", data)
    file = lls.NpyFile(tmp_path / "X.npy", target)
    name = re.escape(str(tmp_path / "X.npy"))
    place = PLACES[case][1].format("inf", f" of '{name}'")
    with pytest.raises(ValueError, match=f"fit: .* of the validation .*: {place};"):
        lls.fit(X, y, validation=file, **o)
    # Of a fraction, wherever the row is.
    for seed in range(4):
        with pytest.raises(ValueError, match=r"infinity: [Xy] is inf in row"):
            lls.fit(data, target, validation=0.3, seed=seed, **o)


def test_weights_of_files_are_named_by_the_row_of_the_file(tmp_path: Path) -> None:
    data, target = problem(90_000, 8)
    np.save(tmp_path / "X.npy", data)
    for bad in (np.nan, -1.0, np.inf):
        s = np.ones(90_000)
        s[80_123] = bad
        file = lls.NpyFile(tmp_path / "X.npy", target, sample_weight=s)
        with pytest.raises(ValueError, match=rf"got {bad} for row 80123 of '.*X.npy'"):
            lls.fit(file, optimizer=SGD, epochs=1, reduction="mean")


@pytest.mark.parametrize("method", ["svd", "qr", "normal", "cg"])
@pytest.mark.parametrize("case", PLACES)
def test_solve_names_the_row(case: str, method: Any) -> None:
    data, target = spoiled(case, np.nan)
    data = X if case == "y" else data  # which is looked at first
    place = PLACES[case][1].format("nan", "")
    words = rf"solve: {place[0]} must be finite, .*: {place[5:]};"
    with pytest.raises(ValueError, match=words):
        lls.solve(data, target, method=method)
    if method in ("normal", "cg"):
        for kind in (sparse.csr_array, sparse.coo_array, sparse.csc_array):
            with pytest.raises(ValueError, match=words):
                lls.solve(kind(data), target, method=method)
    if method != "cg":
        words = words.replace("solve: ", "solve: block 1: ")
        with pytest.raises(ValueError, match=words):
            lls.solve([(X, y), (data, target)], method=method)


def test_solve_counts_the_rows_of_large_arrays_from_the_beginning() -> None:
    data, target = problem(90_000, 8)
    data[70_123, 5] = -np.inf
    with pytest.raises(ValueError, match=r"X must .*: -inf in row 70123, column 5;"):
        lls.solve(data, target)


def test_a_start_that_is_not_finite_is_named_by_its_index() -> None:
    start = np.ones(5)
    start[3] = np.nan
    for o in OPTIONS:
        with pytest.raises(ValueError, match=r"fit: coef0 must .*: nan in index 3$"):
            lls.fit(X, y, coef0=start, **o)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_the_search_for_a_rate_names_the_row(kind: Any) -> None:
    data, _ = spoiled("X", np.inf)
    with pytest.raises(ValueError, match=r"X must be finite, .* row 17, column 2"):
        lls.max_stable_lr(kind(data))


def test_the_place_in_sparse_rows_is_counted_past_empty_ones() -> None:
    rows = sparse.csr_array(
        (np.array([1.0, np.nan, 2.0]), np.array([4, 1, 3]), [0, 0, 0, 1, 1, 2, 3, 3]),
        (7, 5),
    )
    assert (
        nonfinite_place(block("", rows, np.zeros(7))) == "X is nan in row 4, column 1"
    )
    empty = sparse.csr_array((3, 5))
    assert nonfinite_place(block("", empty, np.zeros(3))) is None
    assert nonfinite_place(block("", np.empty((2, 0)), [0.0, np.inf])) == (
        "y is inf in row 1"
    )
