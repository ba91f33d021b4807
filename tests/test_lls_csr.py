"""Sparse rows: the problem of their dense rows, however they are stored."""

import subprocess
import sys
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from training import bits, distance, problem, weights

RNG = np.random.default_rng(0)
S = sparse.random(200, 9, 0.4, "csr", rng=RNG, data_rvs=RNG.standard_normal)
Y = S @ np.arange(9.0) + RNG.standard_normal(200)
BASE: dict[str, Any] = {"batch_size": 7, "epochs": 3, "shuffle": None}
OPTIMIZERS: dict[str, Any] = {
    "SGD": partial(gs.SGD, lr=0.01),
    "Adagrad": partial(gs.Adagrad, lr=0.1),
    "decayed SGD": partial(gs.SGD, lr=0.01, weight_decay=0.3),
    "momentum": partial(gs.SGD, lr=0.005, momentum=0.5),
    "Adam": partial(gs.Adam, lr=0.01),
}
PARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ridge": {"ridge": 0.5},
    "standardize": {"standardize": True},
    "average": {"average": 3},
    "intercept": {"intercept": True},
    "weight": {"sample_weight": weights(200), "reduction": "mean"},
    "all": {"intercept": True, "standardize": True, "ridge": 0.3, "average": True},
}


def reversed_rows() -> Any:
    found = S.copy()
    for start, end in pairwise(S.indptr):
        found.indices[start:end] = S.indices[start:end][::-1]
        found.data[start:end] = S.data[start:end][::-1]
    found.has_sorted_indices = False
    return found


def wide_indices() -> Any:
    found = S.copy()
    found.indices, found.indptr = S.indices.astype("i8"), S.indptr.astype("i8")
    return found


def halves() -> Any:
    """Every value as the sum of two that are stored apart."""
    data = np.repeat(S.data / 2, 2)
    return sparse.csr_matrix((data, np.repeat(S.indices, 2), 2 * S.indptr), S.shape)


def zeros_stored() -> Any:
    dense = np.where(RNG.random(S.shape) < 0.2, 1.0, 0.0)
    found = (S + sparse.csr_matrix(dense)).tocsr()
    found.data = np.asarray(S[found.nonzero()]).ravel()
    return found


STORED = {
    "sorted": S,
    "array": sparse.csr_array(S),
    "int64": wide_indices(),
    "CSC": S.tocsc(),
    "COO": S.tocoo(),
    "reversed": reversed_rows(),
    "duplicates": halves(),
    "zeros": zeros_stored(),
}
SAME_BITS = ("array", "int64", "CSC", "COO")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", STORED)
def test_stored_rows_are_the_dense_rows(kind: str, part: str) -> None:
    X = STORED[kind]
    np.testing.assert_allclose(X.toarray(), S.toarray(), rtol=1e-15)
    for name, optimizer in OPTIMIZERS.items():
        o = BASE | PARTS[part] | {"optimizer": optimizer}
        dense = lls.fit(S.toarray(), Y, **o)
        done = lls.fit(X, Y, **o)
        assert distance(done.coef, dense.coef) < 1e-11, name
        assert distance(done.intercept, dense.intercept) < 1e-10
        assert distance(done.loss, dense.loss) < 1e-11
        if kind in SAME_BITS:
            assert bits(done) == bits(lls.fit(S, Y, **o))


@pytest.mark.parametrize("k", [None, 3])
@pytest.mark.parametrize("m", [1, 16, 33, 70])
def test_rows_of_many_values_and_targets(m: int, k: int | None) -> None:
    X, y = problem(700, m, k)
    X[np.abs(X) < 0.4] = 0
    parts = PARTS | {"weight": {"sample_weight": weights(700)}}
    for part, options in parts.items():
        for name, size in (("SGD", 7), ("momentum", 300), ("Adagrad", 700)):
            o = BASE | options | {"reduction": "mean", "batch_size": size}
            o |= {"optimizer": OPTIMIZERS[name]}
            dense, done = lls.fit(X, y, **o), lls.fit(sparse.csr_matrix(X), y, **o)
            assert distance(done.coef, dense.coef) < 1e-11, (part, name)
            assert distance(done.loss, dense.loss) < 1e-11


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [*range(1, 21), 31, 33, 100])
def test_full_rows_have_the_bits_of_dense_ones(m: int, dtype: type) -> None:
    X, y = problem(90, m, 2, dtype)
    o: Any = {"optimizer": partial(gs.SGD, lr=1e-3, momentum=0.6), "batch_size": 7}
    o |= {"sample_weight": weights(90), "intercept": True, "epochs": 2}
    found = lls.fit(sparse.csr_array(X), y, **o)
    assert bits(found) == bits(lls.fit(X, y, **o))


@pytest.mark.parametrize("kind", STORED)
def test_other_doors_take_them_too(kind: str) -> None:
    X = STORED[kind]
    stable = lls.max_stable_lr(S.toarray())
    assert lls.max_stable_lr(X) == pytest.approx(stable, rel=2e-3)
    o = {"optimizer": OPTIMIZERS["momentum"], "batch_size": 7}
    dense = lls.Trainer(9, **o).partial_fit(S.toarray(), Y)
    assert distance(lls.Trainer(9, **o).partial_fit(X, Y).coef, dense.coef) < 1e-12
    held = lls.fit(S.toarray(), Y, validation=(X, Y), **BASE, optimizer=o["optimizer"])
    want = lls.fit(S.toarray(), Y, validation=(S, Y), **BASE, optimizer=o["optimizer"])
    assert distance(held.validation_loss, want.validation_loss) < 1e-12


def test_float32_integers_and_booleans() -> None:
    o = BASE | {"optimizer": partial(gs.SGD, lr=1e-4), "intercept": True}
    for X in (S.astype("f4"), (S * 4).astype("i4"), S.astype(bool)):
        single = X.dtype == np.float32
        done = lls.fit(X, Y.astype("f4") if single else Y, **o)
        dense = lls.fit(X.toarray().astype("f8"), Y, **o)
        assert distance(done.coef, dense.coef) < (1e-4 if single else 1e-12)
        assert done.coef.dtype == ("f4" if single else "f8")


@pytest.mark.parametrize("cuts", [[0, 50, 200], [0, 1, 6, 7, 199, 200], [0, 77, 200]])
def test_chunks_of_sparse_rows(cuts: list[int]) -> None:
    chunks = [(S[i:j], Y[i:j]) for i, j in pairwise(cuts)]
    for part in ("plain", "standardize", "intercept"):
        o = BASE | PARTS[part] | {"optimizer": OPTIMIZERS["momentum"], "batch_size": 32}
        assert bits(lls.fit(chunks, **o)) == bits(lls.fit(S, Y, **o)), part


def test_what_is_given_is_left_as_it_is() -> None:
    X = reversed_rows()
    kept = [a.tobytes() for a in (X.data, X.indices, X.indptr)]
    lls.fit(X, Y, optimizer=OPTIMIZERS["SGD"], standardize=True, **BASE)
    lls.fit(X, Y)
    assert [a.tobytes() for a in (X.data, X.indices, X.indptr)] == kept


def test_room_that_is_left_in_the_arrays_is_left() -> None:
    X = sparse.csr_matrix(np.eye(3))
    X.data, X.indices = np.r_[X.data, 9.0], np.r_[X.indices, np.int32(0)]
    lls.fit(X, np.ones(3))
    assert (len(X.data), len(X.indices)) == (4, 4)


def test_means_far_from_zero_are_as_in_dense_rows() -> None:
    X = S.toarray()
    X[:, 3] += 1e6
    o = BASE | {"optimizer": partial(gs.SGD, lr=0.01), "reduction": "mean"}
    o |= {"standardize": True, "intercept": True, "epochs": 20}
    dense = lls.fit(X, Y, **o)
    assert distance(lls.fit(sparse.csr_matrix(X), Y, **o).coef, dense.coef) < 1e-8


MALFORMED = """
import faulthandler, functools, sys
import numpy as np, gradstep as gs
from gradstep import lls
from scipy import sparse
faulthandler.enable()
CASES = {
    "index too high": ([1.0] * 3, [0, 1, 9], [0, 1, 2, 3]),
    "index negative": ([1.0] * 3, [0, -1, 2], [0, 1, 2, 3]),
    "indptr falls": ([1.0] * 3, [0, 1, 2], [0, 2, 1, 3]),
    "indptr beyond": ([1.0] * 3, [0, 1, 2], [0, 1, 2, 9]),
    "indptr far": ([1.0] * 3, [0, 1, 2], [0, 1, 10**9, 3]),
    "indptr from 1": ([1.0] * 3, [0, 1, 2], [1, 1, 2, 3]),
    "indptr negative": ([1.0] * 3, [0, 1, 2], [-5, 1, 2, 3]),
    "indptr short": ([1.0] * 3, [0, 1, 2], [0, 1, 3]),
    "indptr long": ([1.0] * 3, [0, 1, 2], [0, 1, 2, 3, 3]),
    "data short": ([1.0] * 2, [0, 1, 2], [0, 1, 2, 3]),
    "indices short": ([1.0] * 3, [0, 1], [0, 1, 2, 3]),
}
y, sgd = np.ones(3), functools.partial(gs.SGD, lr=0.1)
made = []
def optimizer(w):
    made.append(1)
    return sgd(w)
DOORS = {
    "fit": lambda X: lls.fit(X, y, optimizer=optimizer),
    "chunks": lambda X: lls.fit([(X, y)], optimizer=optimizer),
    "default": lambda X: lls.fit(X, y),
    "max_stable_lr": lambda X: lls.max_stable_lr(X),
    "validation": lambda X: lls.fit(np.eye(3), y, optimizer=sgd, validation=(X, y)),
    "Trainer": lambda X: lls.Trainer(3, optimizer=sgd).partial_fit(X, y),
}
for case, (data, indices, indptr) in CASES.items():
    for integer in "i4", "i8":
        for door, use in DOORS.items():
            X = sparse.csr_matrix((3, 3))
            X.data, X.indices = np.array(data), np.array(indices, integer)
            X.indptr = np.array(indptr, integer)
            try:
                use(X)
            except ValueError as error:
                assert "sparse" in str(error), error
                assert not made, (case, door)
            else:
                sys.exit(f"{case} was taken by {door}")
print("done")
"""


def test_malformed_rows_are_refused_and_do_not_crash() -> None:
    command = [sys.executable, "-c", MALFORMED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
