"""Sparse matrices of every format of SciPy: their rows, or a refusal.

Their arrays can be written to after the constructor has looked at them.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep as gs
from gradstep import lls
from gradstep.sklearn import LLSRegressor

Array: TypeAlias = Any
N, L = 12, 6
RNG = np.random.default_rng(6)
DENSE = np.where(RNG.random((N, L)) < 0.5, RNG.standard_normal((N, L)), 0.0)
DENSE[4] = 0
Y = DENSE @ RNG.standard_normal(L) + RNG.standard_normal(N)
SGD = functools.partial(gs.SGD, lr=1e-2)
MODEL = LLSRegressor().fit(DENSE, Y)
FORMATS = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")


def fit(X: Any, **more: Any) -> Any:
    o: dict[str, Any] = {"optimizer": SGD, "batch_size": 5, "epochs": 2}
    return lls.fit(X, Y, **o | more).coef


def online(X: Any) -> Any:
    return LLSRegressor(optimizer="SGD", lr=1e-2).partial_fit(X, Y).coef_


def validated(X: Any) -> Any:
    o: dict[str, Any] = {"optimizer": SGD, "epochs": 2, "validation": (X, Y)}
    return lls.fit(DENSE, Y, **o).validation_loss


DOORS: dict[str, Callable[[Any], Any]] = {
    "fit": fit,
    "fit one by one": lambda X: fit(X, batch_size=1),
    "fit scaled": lambda X: fit(X, standardize=True),
    "fit by default": lambda X: lls.fit(X, Y).coef,
    "chunks": lambda X: lls.fit([(X, Y)], optimizer=SGD, epochs=2).coef,
    "validation": validated,
    "max_stable_lr": lls.max_stable_lr,
    "Trainer": lambda X: lls.Trainer(L, optimizer=SGD).partial_fit(X, Y).coef,
    "solve": lambda X: lls.solve(X, Y).coef,
    "solve normal": lambda X: lls.solve(X, Y, method="normal", ridge=0.1).coef,
    "LLSRegressor": lambda X: LLSRegressor().fit(X, Y).coef_,
    "LLSRegressor online": online,
    "LLSRegressor predict": MODEL.predict,
}


def matrix(form: str, kind: Any = sp.coo_array) -> Any:
    found = kind(DENSE).asformat(form)
    if form == "bsr":
        found = found.tobsr(blocksize=(3, 2))
    return found


# ---- matrices that are right ---------------------------------------------------------


def with_room(X: Any) -> Any:
    """Arrays are longer than indptr says."""
    X.data = np.append(X.data, np.repeat(X.data[:1], 4, 0), 0)
    X.indices = np.append(X.indices, np.array([2**30] * 4, X.indices.dtype))
    return X


def narrow(X: Any) -> Any:
    for name in ("indices", "indptr", "offsets"):
        if hasattr(X, name):
            setattr(X, name, getattr(X, name).astype("i1"))
    return X


def mixed(X: Any) -> Any:
    X.indices, X.indptr = X.indices.astype("i8"), X.indptr.astype("i4")
    return X


def twice(X: Any) -> Any:
    """Every entry is stored as two halves, the first ones in reverse."""
    parts = X.tocoo()
    order = np.r_[np.arange(parts.nnz)[::-1], np.arange(parts.nnz)]
    entries = parts.data[order] / 2, (parts.row[order], parts.col[order])
    found = sp.coo_array(entries, shape=X.shape)
    found.has_canonical_format = True  # which is a lie
    return found


def reordered(X: Any) -> Any:
    for start, end in zip(X.indptr, X.indptr[1:]):
        X.indices[start:end] = X.indices[start:end][::-1].copy()
        X.data[start:end] = X.data[start:end][::-1].copy()
    X.has_sorted_indices = X.has_canonical_format = True  # which is a lie
    return X


def twice_a_diagonal(X: Any) -> Any:
    X.offsets = np.append(X.offsets, X.offsets)
    X.data = np.vstack([X.data / 4, X.data * 0.75])
    return X


def far_diagonals(X: Any) -> Any:
    ends = np.iinfo(np.int32)
    X.offsets = np.append(X.offsets, [ends.min, -N, L, ends.max]).astype(np.int32)
    X.data = np.vstack([X.data, np.full((4, X.data.shape[1]), 9.0)])
    return X


def wide_diagonals(X: Any) -> Any:
    X.data = np.hstack([X.data, np.full((len(X.data), 5), 9.0)])
    return X


def swapped(X: Any) -> Any:
    X.data = X.data.astype(X.data.dtype.newbyteorder())
    return X


RIGHT: dict[str, Any] = {
    **{form: (form, lambda X: X) for form in FORMATS},
    **{f"{form} swapped": (form, swapped) for form in FORMATS[:5]},
    **{f"{form} of int8": (form, narrow) for form in ("csr", "csc", "bsr", "dia")},
    **{f"{form} of two": (form, mixed) for form in ("csr", "csc", "bsr")},
    **{f"{form} with room": (form, with_room) for form in ("csr", "csc", "bsr")},
    **{f"{form} reordered": (form, reordered) for form in ("csr", "csc", "bsr")},
    "coo twice": ("coo", twice),
    "dia twice": ("dia", twice_a_diagonal),
    "dia far": ("dia", far_diagonals),
    "dia wide": ("dia", wide_diagonals),
}


@pytest.mark.parametrize("kind", [sp.coo_array, sp.coo_matrix])
@pytest.mark.parametrize("case", RIGHT)
def test_rows_are_those_of_the_dense_matrix(case: str, kind: Any) -> None:
    form, change = RIGHT[case]
    X = change(matrix(form, kind))
    for door, use in DOORS.items():
        want = use(sp.csr_array(DENSE))
        np.testing.assert_allclose(use(X), want, rtol=1e-9, atol=1e-12, err_msg=door)
        if door != "max_stable_lr":
            dense = use(DENSE)
            np.testing.assert_allclose(use(X), dense, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (4, 3)])
def test_empty_matrices_are_accepted(form: str, shape: tuple[int, int]) -> None:
    X = sp.coo_array(shape).asformat(form)
    found = lls.fit(X, np.zeros(shape[0]), optimizer=SGD, epochs=1)
    assert found.coef.tolist() == [0.0] * shape[1]


class Own(sp.csr_array):
    """A user's subclass, in another module than SciPy's."""


def test_subclasses_are_sparse_too() -> None:
    for use in DOORS.values():
        assert np.array_equal(use(Own(DENSE)), use(sp.csr_array(DENSE)))


def test_duplicates_of_float32_are_added_in_the_arithmetic_of_solve() -> None:
    """Which is float64: 1 + 2^-40 is not 1."""
    parts = np.array([1.0, 2.0**-40], "f4"), ([0, 0], [0, 0])
    X = sp.coo_array(parts, shape=(1, 1))
    (w,) = lls.solve(X, np.array([1.0])).coef.astype("f8")
    assert abs(w - 1 / (1 + 2.0**-40)) < 2e-7
    assert X.nnz == 2


# ---- matrices that are wrong ---------------------------------------------------------


def put(name: str, at: Any, value: Any) -> Callable[[Any], Any]:
    def change(X: Any) -> Any:
        getattr(X, name)[at] = value
        return X

    return change


def exchanged(name: str, alter: Callable[[Array], Any]) -> Callable[[Any], Any]:
    def change(X: Any) -> Any:
        setattr(X, name, alter(getattr(X, name)))
        return X

    return change


def coords(alter: Callable[[Array], Any], axis: int) -> Callable[[Any], Any]:
    def change(X: Any) -> Any:
        both = list(X.coords)
        both[axis] = alter(both[axis])
        X.coords = tuple(both)
        return X

    return change


def shaped(shape: Any) -> Callable[[Any], Any]:
    return exchanged("_shape", lambda _: shape)


def key(name: Any) -> Callable[[Any], Any]:
    def change(X: Any) -> Any:
        X._dict[name] = 1.0
        return X

    return change


def entry(value: Any) -> Callable[[Array], Array]:
    def alter(a: Array) -> Array:
        found = a.copy()
        found[-1] = value
        return found

    return alter


COMPRESSED: dict[str, Any] = {
    "index too high": put("indices", 0, 10**6),
    "index just too high": put("indices", -1, max(N, L)),
    "index negative": put("indices", 2, -1),
    "index far": put("indices", 1, 2**31 - 1),
    "indptr far": put("indptr", 2, 2**31 - 1),
    "indptr beyond": put("indptr", -1, 10**6),
    "indptr falls": put("indptr", 2, 0),
    "indptr negative": put("indptr", 1, -5),
    "indptr from 1": put("indptr", 0, 1),
    "indptr from -1": put("indptr", 0, -1),
    "indptr short": exchanged("indptr", lambda a: a[:-1]),
    "indptr long": exchanged("indptr", lambda a: np.append(a, a[-1])),
    "indptr empty": exchanged("indptr", lambda a: a[:0]),
    "indptr of floats": exchanged("indptr", lambda a: a.astype(float)),
    "indptr 2-d": exchanged("indptr", lambda a: a[None]),
    "indices short": exchanged("indices", lambda a: a[:-1]),
    "indices long": exchanged("indices", lambda a: np.append(a, a[-1])),
    "indices of floats": exchanged("indices", lambda a: a.astype(float)),
    "indices unsigned": exchanged("indices", lambda a: a.astype("u4")),
    "indices of objects": exchanged("indices", lambda a: a.astype(object)),
    "indices 2-d": exchanged("indices", lambda a: a[None]),
    "indices a list": exchanged("indices", lambda a: a.tolist()),
    "data short": exchanged("data", lambda a: a[:-1]),
    "data empty": exchanged("data", lambda a: a[:0]),
    "data a list": exchanged("data", lambda a: a.tolist()),
    "data complex": exchanged("data", lambda a: a * 1j),
    "data of objects": exchanged("data", lambda a: a.astype(object)),
    "data of text": exchanged("data", lambda a: a.astype("U8")),
    "more rows": shaped((N + 6, L)),
    "fewer rows": shaped((N - 6, L)),
    "fewer columns": shaped((N, 2)),
    "three axes": shaped((N, L, 1)),
    "negative": shaped((-N, L)),
}
WRONG: dict[str, Any] = {
    f"{form} {name}": (form, change)
    for form in ("csr", "csc", "bsr")
    for name, change in COMPRESSED.items()
    if (form, name) != ("csc", "more rows")  # which are zeros, then
}
WRONG |= {
    "bsr data 2-d": ("bsr", exchanged("data", lambda a: a[:, 0])),
    "bsr blocks of other rows": ("bsr", exchanged("data", lambda a: a[:, :2])),
    "bsr blocks that do not fill": ("bsr", shaped((N + 1, L))),
    "bsr blocks of nothing": ("bsr", exchanged("data", lambda a: a[:, :0])),
}
for axis, which in enumerate(("row", "col")):
    WRONG |= {
        f"coo {which} too high": ("coo", coords(entry(10**6), axis)),
        f"coo {which} negative": ("coo", coords(entry(-1), axis)),
        f"coo {which} short": ("coo", coords(lambda a: a[:-1], axis)),
        f"coo {which} long": ("coo", coords(lambda a: np.append(a, 0), axis)),
        f"coo {which} of floats": ("coo", coords(lambda a: a.astype(float), axis)),
        f"coo {which} 2-d": ("coo", coords(lambda a: a[None], axis)),
    }
WRONG |= {
    "coo data short": ("coo", exchanged("data", lambda a: a[:-1])),
    "coo one index": ("coo", exchanged("coords", lambda a: a[:1])),
    "coo three indices": ("coo", exchanged("coords", lambda a: (*a, a[0]))),
    "coo fewer rows": ("coo", shaped((3, L))),
    "dia offsets short": ("dia", exchanged("offsets", lambda a: a[:-1])),
    "dia offsets long": ("dia", exchanged("offsets", lambda a: np.append(a, 3))),
    "dia offsets of floats": ("dia", exchanged("offsets", lambda a: a * 1.0)),
    "dia data short": ("dia", exchanged("data", lambda a: a[:-1])),
    "dia data 1-d": ("dia", exchanged("data", lambda a: a.ravel())),
    "lil index too high": ("lil", put("rows", 3, [0, 10**6])),
    "lil index negative": ("lil", put("rows", 3, [-1])),
    "lil index of float": ("lil", put("rows", 3, [0.5])),
    "lil index far": ("lil", put("rows", 3, [2**70])),
    "lil rows of numbers": ("lil", put("rows", 3, 7)),
    "lil rows short": ("lil", exchanged("rows", lambda a: a[:-1])),
    "lil rows long": ("lil", exchanged("rows", lambda a: np.append(a, a))),
    "lil rows of more": ("lil", put("rows", 0, list(range(L)))),
    "lil data of more": ("lil", put("data", 0, [1.0] * L)),
    "lil data short": ("lil", exchanged("data", lambda a: a[:-1])),
    "dok key too high": ("dok", key((0, 10**6))),
    "dok key negative": ("dok", key((-1, 0))),
    "dok key of float": ("dok", key((0.5, 0))),
    "dok key of one": ("dok", key((1,))),
    "dok key of three": ("dok", key((1, 2, 3))),
    "dok key of text": ("dok", key("ab")),
    "dok key that is none": ("dok", key(5)),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_refused_before_anything_follows_them(case: str) -> None:
    form, change = WRONG[case]
    for door, use in DOORS.items():
        X = change(matrix(form))
        before = MODEL.coef_.tobytes()
        with pytest.raises((TypeError, ValueError), match="X") as info:
            use(X)
        assert door.split()[0] in str(info.value) or "chunk" in door, door
        assert MODEL.coef_.tobytes() == before
