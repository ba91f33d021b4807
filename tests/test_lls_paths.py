"""Files that are passed by their paths, to `fit` and as a validation set."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import gradstep as gs
from gradstep import lls
from training import SGD, bits, problem, weights

X, y = problem(300, 4)
S = weights(300)
COLUMNS = {f"x{j}": X[:, j] for j in range(4)} | {"t": y, "w": S, "u": 2 * y}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, a in (("X", X), ("y", y), ("w", S), ("yy", np.c_[y, 2 * y])):
        np.save(tmp_path / f"{name}.npy", a)
    features = {k: v for k, v in COLUMNS.items() if k not in ("w", "u")}
    parquet.write_table(pa.table(features), tmp_path / "t.parquet", row_group_size=90)
    weighted = {k: v for k, v in COLUMNS.items() if k != "u"}
    parquet.write_table(pa.table(weighted), tmp_path / "w.parquet", row_group_size=90)
    parquet.write_table(pa.table(COLUMNS), tmp_path / "u.parquet")
    (tmp_path / "parts").mkdir()
    for k in range(3):
        rows = {name: a[100 * k : 100 * k + 100] for name, a in features.items()}
        parquet.write_table(pa.table(rows), tmp_path / "parts" / f"{k}.parquet")
    return tmp_path


OPTIONS: list[dict[str, Any]] = [
    {"intercept": True, "ridge": 2.0},
    {"optimizer": SGD, "batch_size": 7, "epochs": 2, "shuffle": None, "ridge": 2.0},
]


@pytest.mark.parametrize("kind", [str, Path])
def test_npy_files_are_fitted_as_their_reader(folder: Path, kind: Any) -> None:
    paths = {name: kind(folder / f"{name}.npy") for name in ("X", "y", "w", "yy")}
    for o in OPTIONS:
        for target in (paths["y"], y, y.tolist(), paths["yy"]):
            for weight in (None, paths["w"], S):
                reader = lls.NpyFile(paths["X"], target, sample_weight=weight)
                want = lls.fit(reader, **o)
                done = lls.fit(paths["X"], target, sample_weight=weight, **o)
                assert bits(done) == bits(want)
        assert bits(lls.fit(paths["X"], paths["y"], **o)) == bits(lls.fit(X, y, **o))


@pytest.mark.parametrize("kind", [str, Path])
def test_parquet_files_are_fitted_by_the_name_of_the_target(
    folder: Path, kind: Any
) -> None:
    for o in OPTIONS:
        want = bits(lls.fit(X, y, **o))
        assert bits(lls.fit(kind(folder / "t.parquet"), "t", **o)) == want
        for many in (
            kind(folder / "parts"),
            kind(folder / "parts" / "*.parquet"),
            [kind(folder / "parts" / f"{k}.parquet") for k in range(3)],
            tuple(kind(folder / "parts" / f"{k}.parquet") for k in range(3)),
        ):
            assert bits(lls.fit(many, "t", **o)) == want
        path = kind(folder / "w.parquet")
        weighted = bits(lls.fit(X, y, sample_weight=S, **o))
        assert bits(lls.fit(path, "t", sample_weight="w", **o)) == weighted
        both = lls.ParquetFile(folder / "u.parquet", target=["t", "u"])
        for names in (["t", "u"], ("t", "u")):
            done = lls.fit(kind(folder / "u.parquet"), names, **o)
            assert bits(done) == bits(lls.fit(both, **o))


def test_a_name_does_not_tell_what_a_file_is(folder: Path) -> None:
    """Its first bytes do; but a .npy file that is damaged is named as such."""
    os.rename(folder / "X.npy", folder / "features")
    os.rename(folder / "t.parquet", folder / "table")
    assert lls.fit(folder / "features", y).coef.shape == (4,)
    assert lls.fit(folder / "table", "t").coef.shape == (4,)
    (folder / "X.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"is not a .npy file of numbers"):
        lls.fit(folder / "X.npy", y)


def test_no_file_stays_open(folder: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        lls.fit(folder / "X.npy", folder / "y.npy")
        lls.fit(folder / "parts", "t")
        with pytest.raises(ValueError, match="epochs"):
            lls.fit(folder / "X.npy", folder / "y.npy", epochs=-1)
    assert len(os.listdir("/proc/self/fd")) == len(before)


BAD: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "nowhere": (("nowhere", y), FileNotFoundError, "nowhere"),
    "nowhere.npy": (("nowhere.npy", "y.npy"), FileNotFoundError, "nowhere.npy"),
    "nowhere.parquet": (("nowhere.parquet", "t"), FileNotFoundError, "nowhere.parq"),
    "y nowhere": (("X.npy", "nowhere.npy"), FileNotFoundError, "nowhere.npy"),
    "text": (
        ("text.csv", "t"),
        ValueError,
        "fit: X, 'text.csv', is neither a .npy nor a Parquet file; load it",
    ),
    "empty": (("", y), FileNotFoundError, "''"),
    "no y": (("X.npy",), TypeError, "fit: y is missing for the file 'X.npy'; pass"),
    "no target": (
        ("t.parquet",),
        TypeError,
        "y is missing for Parquet files; pass the name of the target column, or lls.P",
    ),
    "array as target": (
        ("t.parquet", y),
        TypeError,
        "fit: y must name a column where X is a Parquet file, got ndarray",
    ),
    "weights as column": (
        ("t.parquet", "t", S),
        TypeError,
        "fit: sample_weight must name a column where X is a Parquet file, got ndarr",
    ),
    "no column": (("t.parquet", "y.npy"), ValueError, "has no column 'y.npy'; its col"),
    "no match": (("*.feather", "t"), ValueError, r"no file matches '\*.feather'"),
    "lists of .npy": (
        (["X.npy", "X.npy"], ["y.npy", "y.npy"]),
        TypeError,
        "fit: X is a list of .npy files; pass one file, or an iterable of",
    ),
    "y is a path": ((X, "y.npy"), TypeError, "fit: y must hold real numbers, got"),
    "y is a Path": ((X, Path("y.npy")), TypeError, "np.load.path., or call lls.fit"),
    "rows": (("X.npy", y[:9]), ValueError, "X has 300 rows, y has 9"),
}


@pytest.mark.parametrize("case", BAD)
def test_paths_that_do_not_fit_are_named(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    Path("text.csv").write_text("x,t\n1,2\n")
    data, error, words = BAD[case]
    names = ("y", "sample_weight")
    for o in ({}, {"optimizer": SGD}):
        with pytest.raises(error, match=words):
            lls.fit(data[0], **dict(zip(names, data[1:], strict=False)), **o)


@pytest.mark.parametrize("who", ["Trainer", "max_stable_lr", "validation"])
def test_where_only_arrays_go_a_path_says_what_to_do(folder: Path, who: str) -> None:
    path = folder / "X.npy"
    words = (
        r"must hold real numbers, got '.*X.npy'; .* np.load\(path\), or call lls.fit"
    )
    call = {
        "Trainer": lambda: lls.Trainer(4, optimizer=SGD).partial_fit(path, y),
        "max_stable_lr": lambda: lls.max_stable_lr(str(path)),
        "validation": lambda: lls.fit(X, y, optimizer=SGD, validation=(X, path)),
    }
    with pytest.raises(TypeError, match=words):
        call[who]()


def test_files_are_a_validation_set_by_their_paths_or_readers(folder: Path) -> None:
    o: dict[str, Any] = {"optimizer": SGD, "batch_size": 7, "epochs": 4}
    want = lls.fit(X, y, validation=(X, y), **o)
    weighted = lls.fit(X, y, validation=(X, y, S), **o)
    npy = folder / "X.npy", folder / "y.npy"
    for held_out in (
        npy,
        list(map(str, npy)),
        (npy[0], y),
        lls.NpyFile(*npy),
        (folder / "t.parquet", "t"),
        [str(folder / "parts"), "t"],
        lls.ParquetFile(folder / "t.parquet", target="t"),
    ):
        for data in ((X, y), npy, ([(X[:99], y[:99]), (X[99:], y[99:])],)):
            done = lls.fit(*data, validation=held_out, **o)
            if data[0] is X:
                assert bits(done) == bits(want)
                np.testing.assert_allclose(
                    done.validation_loss, want.validation_loss, rtol=1e-13
                )
            assert len(done.validation_loss) == 4
    for held_out in (
        (*npy, folder / "w.npy"),
        lls.NpyFile(*npy, sample_weight=S),
        (folder / "w.parquet", "t", "w"),
    ):
        done = lls.fit(X, y, validation=held_out, **o)
        np.testing.assert_allclose(
            done.validation_loss, weighted.validation_loss, rtol=1e-13
        )


def test_the_least_loss_of_a_file_is_restored(folder: Path) -> None:
    """As of arrays: with tol, and a rate that is so large that the loss rises again."""
    held_out = problem(80, 4, seed=5)
    np.save(folder / "H.npy", held_out[0])
    o: dict[str, Any] = {"batch_size": 7, "tol": 0.02, "patience": 4, "epochs": 60}
    o |= {"optimizer": partial(gs.SGD, lr=0.002, momentum=0.9), "intercept": True}
    want = lls.fit(X, y, validation=held_out, **o)
    done = lls.fit(X, y, validation=lls.NpyFile(folder / "H.npy", held_out[1]), **o)
    assert done.reason == want.reason == "tol"
    assert bits(done) == bits(want)


def test_a_file_that_does_not_fit_is_no_validation_set(folder: Path) -> None:
    np.save(folder / "narrow.npy", X[:, :3])
    np.save(folder / "single.npy", X.astype("f4"))
    np.save(folder / "none.npy", X[:0])
    for held_out, words in (
        (lls.NpyFile(folder / "narrow.npy", y), "validation has features 3, X and y 4"),
        (lls.NpyFile(folder / "single.npy", y), "validation has dtype float32, X and"),
        (lls.NpyFile(folder / "X.npy", np.c_[y, y]), "validation has targets 2, X an"),
        (lls.NpyFile(folder / "none.npy", y[:0]), "validation has no rows"),
        ((folder / "narrow.npy", y), "validation has features 3, X and y 4"),
    ):
        for data in ((X, y), (folder / "X.npy", y)):
            with pytest.raises(ValueError, match=f"fit: {words}"):
                lls.fit(*data, validation=held_out, optimizer=SGD)
