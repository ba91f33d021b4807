"""What may happen to a fit while it runs, and to a trainer between calls."""

import pickle
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep as gs
from gradstep import lls

Array: TypeAlias = Any
SGD = partial(gs.SGD, lr=1e-3, momentum=0.6)


def problem(n: int = 90, columns: int = 4) -> tuple[Array, Array]:
    rng = np.random.default_rng(8)
    X = rng.standard_normal((n, columns))
    return X, X @ rng.standard_normal(columns) + rng.standard_normal(n)


def trainer(**changes: Any) -> lls.Trainer:
    return lls.Trainer(4, **{"optimizer": SGD, "batch_size": 7} | changes)


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("o", [{}, *({"optimizer": SGD, "epochs": n} for n in (1, 3))])
def test_arrays_that_a_callback_resizes_are_refused(name: str, o: Any) -> None:
    X, y = (a.copy() for a in problem())
    data = {"X": X, "y": y, "sample_weight": np.linspace(0.5, 2, len(y)) + 0}

    def shrink(_: lls.Progress) -> None:
        data[name].resize((1,) * data[name].ndim, refcheck=False)

    with pytest.raises(ValueError, match="fit: X, y or sample_weight was resized"):
        lls.fit(**data, callback=shrink, **o)


@pytest.mark.parametrize("o", [{}, {"optimizer": SGD, "epochs": 3}])
def test_indices_that_a_callback_overwrites_are_not_followed(o: Any) -> None:
    X, y = problem()
    X[np.abs(X) < 0.8] = 0
    sparse = sp.csr_array(X)
    want = lls.fit(sparse.copy(), y, **o).coef.tobytes()

    def spoil(_: lls.Progress) -> None:
        sparse.indices[:] = 2**30
        sparse.indptr[1:] = 2**30

    assert lls.fit(sparse, y, callback=spoil, **o).coef.tobytes() == want


def test_a_second_thread_is_refused() -> None:
    X, y = np.ones((200_000, 50)), np.zeros(200_000)
    slow = lls.Trainer(50, optimizer=partial(gs.SGD, lr=1e-9), batch_size=64)
    thread = threading.Thread(target=lambda: slow.partial_fit(X, y))
    refused: list[str] = []
    thread.start()
    while thread.is_alive() and not refused:
        try:
            slow.partial_fit(X[:1], y[:1])
        except RuntimeError as error:
            refused.append(str(error))
    thread.join()
    assert "another thread is in a call of this trainer; take turns" in refused[0]
    slow.partial_fit(X[:1], y[:1])


@pytest.mark.parametrize("rule", [gs.SGD, gs.Adam, gs.Signum])
def test_the_last_update_is_looked_at(rule: Any) -> None:
    """No later row tells what it has done."""
    X, y = problem()
    for o in ({"batch_size": 90}, {"batch_size": 89}):
        with pytest.raises(lls.DivergenceError, match="the loss grew to"):
            lls.fit(X, y, optimizer=partial(rule, lr=1e60), epochs=1, **o)
    with pytest.raises(lls.DivergenceError):
        trainer(optimizer=partial(rule, lr=1e60), batch_size=90).partial_fit(X, y)


def test_rows_of_an_earlier_block_are_not_looked_up_in_a_later_one() -> None:
    X, y = problem()
    found = trainer().partial_fit(X, y)
    kept = found.coef.tobytes()
    assert found.partial_fit(X[:0], y[:0]).coef.tobytes() == kept
    chunks = [(X[:80], y[:80]), (X[80:], y[80:]), (X[:0], y[:0])]
    o = {"optimizer": SGD, "epochs": 2, "shuffle": None}
    assert lls.fit(chunks, **o).coef.tobytes() == lls.fit(X, y, **o).coef.tobytes()


def test_a_bound_out_of_range_hides_no_divergence() -> None:
    X, y = problem()
    with pytest.raises(lls.DivergenceError, match="scale X, whose squares are") as info:
        lls.fit(X * 1e200, y, optimizer=SGD)
    assert info.value.coef.tolist() == [0, 0, 0, 0]
    again = pickle.loads(pickle.dumps(info.value))
    assert (str(again), again.intercept) == (str(info.value), 0.0)
    assert again.coef.tobytes() == info.value.coef.tobytes()


@pytest.mark.parametrize("standardize", [None, False])
def test_large_means_of_float32_columns_cost_no_digits(standardize: Any) -> None:
    rng = np.random.default_rng(4)
    X = (rng.standard_normal((500, 4)) + 1e4).astype("f4")
    y = ((X.astype("f8") - 1e4) @ [1, 2, 3, 4]).astype("f4")
    done = lls.fit(X, y, intercept=True, standardize=standardize, epochs=50)
    assert done.reason == "tol"
    np.testing.assert_allclose(done.coef, [1, 2, 3, 4], rtol=1e-6)


@pytest.mark.parametrize("average", [True, 5])
def test_a_state_from_before_the_average_goes_back_behind_it(average: Any) -> None:
    X, y = problem()
    found = trainer(average=average)
    begin = found.state_dict(), found.partial_fit(X, y).coef
    found.load_state_dict(begin[0])
    assert found.partial_fit(X, y).coef.tobytes() == begin[1].tobytes()


def test_a_trainer_that_diverged_has_no_state() -> None:
    X, y = problem()
    found = trainer(optimizer=partial(gs.SGD, lr=1e4, momentum=0.9))
    good = found.state_dict()
    with pytest.raises(lls.DivergenceError):
        found.partial_fit(X, y)
    with pytest.raises(ValueError, match="state_dict: a call diverged"):
        found.state_dict()
    found.load_state_dict(good)
    assert found.state_dict()["n_updates"] == 0


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    # The key up to "/" is what is changed.
    "counted/rows": ((2**70, 0.0), ValueError, r"counted\[0\] must be below 2\*\*62"),
    "counted/one": (3, TypeError, r"counted must be \(rows, squares\), got 3"),
    "n_updates": (2**70, ValueError, r"n_updates must be below 2\*\*62"),
    "averaged": (-1, ValueError, "averaged must be >= 0, got -1"),
    "counted": (("a", 0.0), TypeError, r"counted\[0\] must be int, got str"),
    "coef": (np.ones(5), ValueError, r"coef must be float64 of shape \(4,\), got"),
    "offset": (np.ones(1), ValueError, "offset must be None for this trainer"),
    "total": ([1.0], ValueError, "total must be None for this trainer"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_state_that_does_not_fit_changes_nothing(name: str) -> None:
    X, y = problem()
    found, other = trainer().partial_fit(X, y), trainer(coef0=np.ones(4))
    kept = pickle.dumps(found.state_dict())
    value, error, words = BAD[name]
    with pytest.raises(error, match=f"Trainer.load_state_dict: {words}"):
        found.load_state_dict(
            other.state_dict() | {name.split("/", maxsplit=1)[0]: value}
        )
    assert pickle.dumps(found.state_dict()) == kept


def test_a_seed_is_not_cut() -> None:
    with pytest.raises(ValueError, match=r"max_stable_lr: seed must be below 2\*\*64"):
        lls.max_stable_lr(problem()[0], batch_size=5, seed=2**64)


def test_a_trainer_says_how_it_is_saved() -> None:
    with pytest.raises(TypeError, match=r"Trainer cannot be pickled.*state_dict"):
        pickle.dumps(trainer())


def test_lists_are_numbers_or_refused() -> None:
    X, y = problem()
    single = trainer(dtype="f4").partial_fit(X.tolist(), y.astype("f4"))
    want = trainer(dtype="f4").partial_fit(X.astype("f4"), y.astype("f4"))
    assert single.coef.tobytes() == want.coef.tobytes()
    for bad in ([["1"] * 4], [[None] * 4], [[1j] * 4], [[1.0], [1.0, 2.0]]):
        with pytest.raises((TypeError, ValueError), match=r"Trainer.partial_fit: X "):
            trainer().partial_fit(bad, [1.0])


def test_weights_that_are_all_zero_are_refused_wherever_they_are(
    tmp_path: Path,
) -> None:
    X, y = problem()
    nothing = np.zeros(90)
    np.save(tmp_path / "X.npy", X)
    file = lls.NpyFile(tmp_path / "X.npy", y, sample_weight=nothing)
    for data in ([(X, y, nothing)], file):
        for o in ({}, {"optimizer": SGD, "epochs": 1}):
            with pytest.raises(ValueError, match="sample_weight is zero for all rows"):
                lls.fit(data, **o)
    some = [(X, y, nothing), (X, y, nothing + 1)]
    np.testing.assert_allclose(lls.fit(some).coef, lls.fit(X, y).coef, rtol=1e-10)


def test_a_file_of_many_groups_has_a_weight_somewhere(tmp_path: Path) -> None:
    X, y = problem(70_000)  # 1 MiB is read at a time
    np.save(tmp_path / "X.npy", X)
    for row in (None, 0, 69_999):
        weight = np.zeros(70_000)
        if row is not None:
            weight[row] = 1
            assert lls.fit(X, y, sample_weight=weight, epochs=2).coef.any()
        file = lls.NpyFile(tmp_path / "X.npy", y, sample_weight=weight)
        if row is None:
            with pytest.raises(ValueError, match="is zero for all rows of the file"):
                lls.fit(file, optimizer=SGD, epochs=1, shuffle=None)
        else:
            lls.fit(file, optimizer=SGD, epochs=1, shuffle=None)


def test_rows_of_a_call_that_failed_do_not_join_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = problem()
    found, want = trainer(), trainer()

    def interrupt(_: lls.Trainer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lls.Trainer, "flush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            found.partial_fit(X[:5], y[:5])
    found.partial_fit(X[5:11], y[5:11])
    want.partial_fit(X[5:11], y[5:11])
    assert (found.n_updates, found.coef.tobytes()) == (1, want.coef.tobytes())


def test_a_progress_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem()
    o: dict[str, Any] = {"optimizer": SGD, "epochs": 4}
    shown, plain = (lls.fit(X, y, progress=p, **o) for p in (True, False))
    assert "4/4" in capsys.readouterr().err
    assert shown.coef.tobytes() == plain.coef.tobytes()
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install 'gradstep\[progress\]'"):
        lls.fit(X, y, progress=True, **o)
