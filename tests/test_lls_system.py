"""The default fit's passes over all rows: what they read, and what they refuse."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

from gradstep import _lls, lls
from gradstep._core import MemoryWatch

Array: TypeAlias = Any
N, L, K = 60, 5, 2
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, L)).astype("f4")
Y = X @ RNG.standard_normal((L, K)) + RNG.standard_normal((N, K)) + 1e3
# float32 holds these exactly, so that both dtypes are the same problem.
Y = Y.astype("f4").astype("f8")


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("first", ["f4", "f8"])
def test_targets_of_chunks_may_differ_in_dtype(first: str, intercept: bool) -> None:
    """Each chunk is read in its own: float32 read as float64 is past its end."""
    order = ["f4", "f8"] if first == "f4" else ["f8", "f4"]
    chunks = [
        (X[k * 15 : k * 15 + 15], Y[k * 15 : k * 15 + 15].astype(order[k % 2]))
        for k in range(4)
    ]
    done = lls.fit(chunks, intercept=intercept)
    expected = lls.fit(X, Y, intercept=intercept)
    assert done.coef.tobytes() == expected.coef.tobytes()
    assert np.all(done.intercept == expected.intercept)


@pytest.mark.parametrize("lacks", ["in the second pass", "in the tenth pass"])
def test_chunks_that_lose_rows_between_passes_are_refused(lacks: str) -> None:
    class Chunks:
        passes = 0

        def __iter__(self) -> Iterator[Any]:
            self.passes += 1
            # The first is a look at the first chunk.
            is_short = self.passes >= (3 if "second" in lacks else 11)
            stop = N - 1 if is_short else N
            yield X[:20], Y[:20]
            yield X[20:stop], Y[20:stop]

    words = (
        "chunks gave 60 rows in the first pass and 59 in a later one; yield the same"
    )
    with pytest.raises(ValueError, match=words):
        lls.fit(Chunks(), tol=0.0)


@pytest.mark.parametrize("name", ["coef0", "y", "X", "sample_weight"])
def test_longdouble_beyond_float64_is_refused(name: str) -> None:
    huge = np.longdouble(10) ** 4000
    if np.finfo(np.longdouble).max < huge:
        pytest.skip("long double is float64 on this machine")
    arrays: dict[str, Any] = {
        "X": X.astype("g"),
        "y": Y[:, 0].astype("g"),
        "sample_weight": np.ones(N, "g"),
        "coef0": np.zeros(L, "g"),
    }
    arrays[name].flat[0] = huge
    with pytest.raises(ValueError, match=rf"^fit: {name} .*(beyond|finite)"):
        lls.fit(**arrays)


# ---- the extension class -------------------------------------------------------------


def system(columns: int = K) -> Any:
    rows = _lls.System(L, columns, np.dtype("f8"), N)
    rows.set_data((X.astype("f8"),), Y[:, :columns] if columns else None)
    return rows


def at_zero(rows: Any, **changes: Any) -> None:
    arrays = {
        "centre": np.zeros(L),
        "base": None,
        "step": np.zeros((K, L)),
        "constant": np.zeros(K),
        "unit": np.ones(K),
        "step_constant": np.zeros(K),
    }
    rows.set_point(**arrays | changes)


CSR = sp.csr_array(X.astype("f8"))
PARTS = (CSR.data, CSR.indices, CSR.indptr)

ROWS: dict[str, Any] = {
    "X float32": ((X,), Y, None),
    "X with fewer columns": ((X[:, :3].astype("f8"),), Y, None),
    "X with one axis": ((X[:, 0].astype("f8"),), Y, None),
    "X in Fortran order": ((np.asfortranarray(X, "f8"),), Y, None),
    "X big-endian": ((X.astype(">f8"),), Y, None),
    "y with fewer rows": ((X.astype("f8"),), Y[:-1], None),
    "y with too many columns": ((X.astype("f8"),), np.ones((N, K + 1)), None),
    "y with one axis": ((X.astype("f8"),), Y[:, 0].copy(), None),
    "y of integers": ((X.astype("f8"),), Y.astype("i8"), None),
    "weight with fewer rows": ((X.astype("f8"),), Y, np.ones(N - 1)),
    "weight float32": ((X.astype("f8"),), Y, np.ones(N, "f4")),
    "indices fewer than values": ((PARTS[0], PARTS[1][:-1], PARTS[2]), Y, None),
    "indptr int64 beside int32": ((*PARTS[:2], PARTS[2].astype("i8")), Y, None),
    "indptr short of y": ((*PARTS[:2], PARTS[2][:-1]), Y, None),
}


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_do_not_fit_are_refused(case: str) -> None:
    rows = _lls.System(L, K, np.dtype("f8"), N)
    with pytest.raises(ValueError, match="rows do not fit the system"):
        rows.set_data(*ROWS[case])


def test_wide_targets_are_read_beside_float32_rows() -> None:
    rows = _lls.System(L, K, np.dtype("f4"), N)
    sums = []
    for dtype in ("f4", "f8"):
        rows.set_data((X,), Y.astype(dtype))
        at_zero(rows)
        rows.add(np.arange(N))
        sums.append([a.tobytes() for a in rows.collect()])
    assert sums[0] == sums[1]


POINTS: dict[str, Any] = {
    "centre": np.zeros(L + 1),
    "base": np.zeros((K, L - 1)),
    "step": np.zeros((K, L), "f4"),
    "constant": np.zeros(1),
    "unit": np.zeros(2 * K)[::2],
    "step_constant": [0.0] * K,
}


@pytest.mark.parametrize("name", POINTS)
def test_points_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^{name} must be C-ordered float64 of shape"
    ):
        at_zero(system(), **{name: POINTS[name]})


def add_without_point() -> None:
    system().add(np.arange(N))


def add_without_rows() -> None:
    rows = _lls.System(L, K, np.dtype("f8"))
    at_zero(rows)
    rows.add(np.arange(N))


def add_narrow_rows() -> None:
    rows = system()
    at_zero(rows)
    rows.add(np.arange(N, dtype="i4"))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no point": (add_without_point, "call set_point first"),
    "no rows": (add_without_rows, "call set_data first"),
    "int32 rows": (add_narrow_rows, "must be int64"),
    "extents": (
        lambda: system(0).extents(np.arange(N), np.zeros(L), np.zeros(2 * L)),
        "extents must be",
    ),
    "about": (
        lambda: system(0).extents(np.arange(N), np.zeros(1), np.zeros(1 + 2 * L)),
        "about must be",
    ),
    "spreads": (
        lambda: system(0).spreads(np.arange(N), np.zeros(L), np.ones(L), np.zeros(L)),
        "spreads must be",
    ),
    "unit": (
        lambda: system(0).spreads(np.arange(N), np.zeros(L), np.ones(2), np.zeros(10)),
        "unit must be",
    ),
    "dot": (lambda: _lls.dot(np.zeros(3), np.zeros(2)), "b must be"),
    "dot float32": (lambda: _lls.dot(np.zeros(3, "f4"), np.zeros(3)), "a must be"),
    "count": (
        lambda: _lls.conjugate(np.zeros(3), np.zeros((2, 3)), np.zeros((2, 3)), 3),
        "count must be at most 2",
    ),
    "images": (
        lambda: _lls.conjugate(np.zeros(3), np.zeros((2, 3)), np.zeros((1, 3)), 1),
        "images must be",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_calls_that_do_not_fit_are_refused(case: str) -> None:
    call, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("use", ["add", "extents", "spreads", "set_data"])
def test_rows_that_were_resized_are_refused(use: str) -> None:
    own = np.array(X, "f8")
    watch = MemoryWatch("X", [own])
    columns = K if use == "add" else 0
    rows = _lls.System(L, columns, np.dtype("f8"), N)
    rows.set_data((own,), Y if columns else None, None, watch)
    if columns:
        at_zero(rows)
    own.resize((1, L), refcheck=False)
    numbers = np.arange(N)
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: rows.add(numbers),
        "extents": lambda: rows.extents(numbers, np.zeros(L), np.zeros(1 + 2 * L)),
        "spreads": lambda: rows.spreads(
            numbers, np.zeros(L), np.ones(L), np.zeros(2 * L)
        ),
        "set_data": lambda: rows.set_data((own,), None, None, watch),
    }
    with pytest.raises(ValueError, match="X was resized or reshaped"):
        calls[use]()


@pytest.mark.parametrize("name", ["X", "y"])  # weights are copied
@pytest.mark.parametrize("uses", [0, 2, 4, 5, 8])
def test_rows_that_another_thread_resizes_are_refused(
    uses: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many uses: means of X and y, their norms, residuals, steps."""
    arrays: dict[str, Any] = {"X": np.array(X, "f8"), "y": np.array(Y[:, 0])}
    sets: list[int] = []
    reads: list[str] = []  # of rows, after they were resized

    class Disturbed(_lls.System):
        def set_data(self, *rows: Any) -> None:
            super().set_data(*rows)
            sets.append(1)
            if len(sets) == uses + 1:  # as a thread may, whenever Python runs
                own = arrays[name]
                own.resize((1,) * own.ndim, refcheck=False)

        def _noted(self, method: str, *args: Any) -> None:
            getattr(super(), method)(*args)
            if len(sets) > uses:
                reads.append(method)

        def extents(self, *args: Any) -> None:
            self._noted("extents", *args)

        def spreads(self, *args: Any) -> None:
            self._noted("spreads", *args)

        def add(self, *args: Any) -> None:
            self._noted("add", *args)

    monkeypatch.setattr(_lls, "System", Disturbed)
    with pytest.raises(ValueError, match="X, y or sample_weight was resized or resh"):
        lls.fit(arrays["X"], arrays["y"])
    assert reads == []
