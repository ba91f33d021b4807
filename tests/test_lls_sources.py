"""Files of users' own making: what they say and return is checked before C reads it."""

import functools
import re
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from gradstep.lls.files import Source

Array: TypeAlias = Any
N, L = 60, 3
RNG = np.random.default_rng(2)
X = RNG.standard_normal((N, L))
Y = X @ [1.0, -2.0, 0.5] + RNG.standard_normal(N)
WEIGHT = np.linspace(0.5, 2, N)
SGD = functools.partial(gs.SGD, lr=1e-3)
BATCHES: dict[str, Any] = {"optimizer": SGD, "batch_size": 7, "epochs": 2}
DOORS: dict[str, Any] = {
    "fit": lls.fit,
    "fit batches": functools.partial(lls.fit, **BATCHES),
    "fit in order": functools.partial(lls.fit, **BATCHES, shuffle=None),
    "fit blocks": functools.partial(lls.fit, **BATCHES, shuffle="blocks"),
    "fit scaled": functools.partial(lls.fit, **BATCHES, standardize=True),
    "solve": lls.solve,
    "solve normal": functools.partial(lls.solve, method="normal"),
}


class File:
    """A `Source` of arrays in memory; a subclass or an attribute lies about them."""

    def __init__(self, **changes: Any) -> None:
        self.shape: Any = (N, L)
        self.targets: Any = None
        self.dtype: Any = np.dtype("f8")
        self.weighted: Any = True
        self.extents: Any = np.array([0, 25, 25, N])
        self.rows = {"X": X, "y": Y, "weight": WEIGHT}
        for name, value in changes.items():
            setattr(self, name, value)

    def buffers(self, rows: int) -> Any:
        return SimpleNamespace(
            X=np.empty((rows, L)), y=np.empty(rows), weight=np.empty(rows)
        )

    def read(self, spans: Any, into: Any) -> Any:
        n = sum(last - first for first, last in spans)
        for name, a in self.rows.items():
            parts = [a[first:last] for first, last in spans]
            getattr(into, name)[:n] = np.concatenate(parts) if parts else a[:0]
        return SimpleNamespace(X=into.X[:n], y=into.y[:n], weight=into.weight[:n])


class Altered(File):
    """One array of each result of `read` is another one."""

    def __init__(self, name: str, alter: Any, **changes: Any) -> None:
        super().__init__(**changes)
        self.name, self.alter = name, alter

    def read(self, spans: Any, into: Any) -> Any:
        found = super().read(spans, into)
        setattr(found, self.name, self.alter(getattr(found, self.name)))
        return found


def test_consistent_sources_are_accepted() -> None:
    assert isinstance(File(), Source)
    for use in DOORS.values():
        done = use(File())
        assert np.isfinite(done.coef).all()
        assert use(File()).coef.tobytes() == done.coef.tobytes()
    for door in ("fit", "fit in order", "solve", "solve normal"):  # whatever its parts
        found = [DOORS[door](File(extents=x)).coef for x in (None, File().extents)]
        assert found[0].tobytes() == found[1].tobytes()


class Tall(np.ndarray):
    """An array that says it has more rows than it has."""

    shape = property(lambda _: (N, L))  # type: ignore[assignment]

    def __len__(self) -> int:
        return N


def unaligned(a: Array) -> Array:
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def lying(a: Array) -> Array:
    return np.ascontiguousarray(a[: len(a) // 2]).view(Tall)


# The array, what is done to it, the refusal.
LIES: dict[str, Any] = {
    "X float32": ("X", lambda a: a.astype("f4"), TypeError, "X of dtype float32"),
    "X ints": ("X", lambda a: a.astype("i8"), TypeError, "X of dtype int64"),
    "X swapped": ("X", lambda a: a.astype(">f8"), TypeError, "X of dtype >f8"),
    "X objects": ("X", lambda a: a.astype(object), TypeError, "X of dtype object"),
    "X fewer rows": ("X", lambda a: a[:-1], ValueError, r"gave \d+ rows for \[.* in X"),
    "X more rows": ("X", lambda a: np.vstack([a, a]), ValueError, "gave .* rows"),
    "X no rows": ("X", lambda a: a[:0], ValueError, "gave 0 rows"),
    "X fewer columns": ("X", lambda a: a[:, :2].copy(), ValueError, "X of shape"),
    "X more columns": ("X", lambda a: np.hstack([a, a]), ValueError, "X of shape"),
    "X one axis": ("X", lambda a: a[:, 0].copy(), ValueError, "X of shape"),
    "X three axes": ("X", lambda a: a[:, :, None], ValueError, "X of shape"),
    "X no axis": ("X", lambda _: np.array(1.0), ValueError, "X of shape"),
    "X strided": ("X", lambda a: np.repeat(a, 2, 1)[:, ::2], ValueError, "X with stri"),
    "X backwards": ("X", lambda a: a[::-1], ValueError, "X with strides"),
    "X Fortran": ("X", np.asfortranarray, ValueError, "X with strides"),
    "X unaligned": ("X", unaligned, ValueError, "X with strides"),
    "X list": ("X", lambda a: a.tolist(), TypeError, "X must be a numpy.ndarray"),
    "X None": ("X", lambda _: None, TypeError, "X must be a numpy.ndarray"),
    "X mask": ("X", np.ma.asarray, TypeError, "X must be a numpy.ndarray, got"),
    "X lies": ("X", lying, ValueError, "gave .* rows"),
    "y short": ("y", lambda a: a[:-1], ValueError, r"gave \d+ rows for .* in y"),
    "y float32": ("y", lambda a: a.astype("f4"), TypeError, "y of dtype float32"),
    "y column": ("y", lambda a: a[:, None], ValueError, "y of shape"),
    "y strided": ("y", lambda a: np.repeat(a, 2)[::2], ValueError, "y with strides"),
    "y None": ("y", lambda _: None, TypeError, "y must be a numpy.ndarray"),
    "weight short": ("weight", lambda a: a[:-1], ValueError, "rows for .* in weight"),
    "weight float32": ("weight", lambda a: a.astype("f4"), TypeError, "weight of dt"),
    "weight column": ("weight", lambda a: a[:, None], ValueError, "weight of shape"),
    "weight None": ("weight", lambda _: None, ValueError, "gave no weight for"),
    "weight below 0": ("weight", lambda a: -a, ValueError, "at least 0"),
    "weight NaN": ("weight", lambda a: a * np.nan, ValueError, "finite"),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", LIES)
def test_rows_unlike_the_attributes_are_refused(case: str, door: str) -> None:
    name, alter, error, words = LIES[case]
    who = door.split(maxsplit=1)[0]
    with pytest.raises(error, match=words) as info:
        DOORS[door](Altered(name, alter))
    assert str(info.value).startswith(f"{who}: "), info.value


@pytest.mark.parametrize("door", DOORS)
def test_every_read_is_checked(door: str) -> None:
    """Not the first one only: some lie later."""
    reads = []
    DOORS[door](Altered("X", lambda a: reads.append(1) or a))
    for first in range(len(reads)):
        count = iter(range(len(reads)))
        file = Altered(
            "X", lambda a, f=first, k=count: a.astype("f4") if next(k) == f else a
        )
        with pytest.raises(TypeError, match="X of dtype float32"):
            DOORS[door](file)


UNWANTED = {"weighted": False}
ANNOUNCED: dict[str, Any] = {
    "shape str": ({"shape": "ab"}, TypeError, r"shape must be \(N, L\)"),
    "shape 1": ({"shape": (N,)}, TypeError, r"shape must be \(N, L\)"),
    "shape float": ({"shape": (60.0, 3)}, TypeError, r"shape\[0\] must be int"),
    "shape below 0": ({"shape": (-1, L)}, ValueError, r"shape\[0\] must be >= 0"),
    "shape far": ({"shape": (2**63, L)}, ValueError, r"shape\[0\] must be at most"),
    "columns below 0": ({"shape": (N, -1)}, ValueError, r"shape\[1\] must be >= 0"),
    "targets float": ({"targets": 1.0}, TypeError, "targets must be int"),
    "targets below 0": ({"targets": -1}, ValueError, "targets must be >= 0"),
    "targets": ({"targets": 2}, ValueError, "gave y of shape"),
    "dtype None": ({"dtype": None}, TypeError, "dtype must be float32 or float64"),
    "dtype int": ({"dtype": np.dtype("i8")}, TypeError, "dtype must be float32 or"),
    "dtype swapped": ({"dtype": np.dtype(">f8")}, TypeError, "dtype must be float32"),
    "dtype single": ({"dtype": np.dtype("f4")}, TypeError, "expected float32"),
    "weighted": (UNWANTED, ValueError, "gave weight for .* though weighted is False"),
    "weighted 1": ({"weighted": 1}, TypeError, "weighted must be True or False"),
    "extents far": ({"extents": np.array([0, 10**9])}, ValueError, "extents must rise"),
    "extents short": ({"extents": np.array([0, 59])}, ValueError, "number of rows, 60"),
    "extents from 1": ({"extents": np.array([1, N])}, ValueError, "extents must rise"),
    "extents fall": ({"extents": np.array([0, 40, 20, N])}, ValueError, "must rise"),
    "extents below 0": ({"extents": np.array([0, -5, N])}, ValueError, "must rise"),
    "extents empty": ({"extents": np.array([], int)}, ValueError, "must rise"),
    "extents float": ({"extents": np.array([0.0, N])}, TypeError, "1-d array of integ"),
    "extents 2-d": ({"extents": np.array([[0, N]])}, TypeError, "1-d array of int"),
    "extents list": ({"extents": [0, N]}, TypeError, "extents must be a numpy"),
    "extents huge": ({"extents": np.array([0, 2**64 - 1], "u8")}, ValueError, "rise"),
}  # fmt: skip


@pytest.mark.parametrize("door", ["fit", "fit batches", "fit in order", "solve"])
@pytest.mark.parametrize("case", ANNOUNCED)
def test_attributes_of_a_source_are_checked(case: str, door: str) -> None:
    changes, error, words = ANNOUNCED[case]
    with pytest.raises(error, match=f"^{door.split(maxsplit=1)[0]}: File.*{words}"):
        DOORS[door](File(**changes))


@pytest.mark.parametrize("door", DOORS)
def test_rows_of_another_kind_are_refused(door: str) -> None:
    for given in (None, 3, (X, Y), SimpleNamespace(X=X, y=Y)):
        file = File()
        file.read = lambda *_, given=given: given  # type: ignore[method-assign]
        with pytest.raises(TypeError, match=r"File.read must return Rows, got"):
            DOORS[door](file)


@pytest.mark.parametrize("door", DOORS)
def test_sources_need_not_use_buffers(door: str) -> None:
    class Fresh(File):
        def buffers(self, _: int) -> Any:
            return None

        def read(self, spans: Any, _: Any) -> Any:
            n = sum(last - first for first, last in spans)
            return super().read(spans, File.buffers(self, n))

    assert DOORS[door](Fresh()).coef.tobytes() == DOORS[door](File()).coef.tobytes()


@pytest.mark.parametrize("door", [door for door in DOORS if "solve" not in door])
@pytest.mark.parametrize("name", ["X", "y", "weight"])
def test_rows_that_the_next_read_resizes_are_never_read(name: str, door: str) -> None:
    """It runs in another thread, beside C: NumPy refuses then; else we do."""

    class Resizing(File):
        before: Any = None

        def read(self, spans: Any, _: Any) -> Any:
            if self.before is not None:
                self.before.resize((0,) * self.before.ndim, refcheck=False)
            n = sum(last - first for first, last in spans)
            found = vars(super().read(spans, File.buffers(self, n)))
            found = SimpleNamespace(**{k: a.copy() for k, a in found.items()})
            self.before = getattr(found, name)
            return found

    try:
        done = DOORS[door](Resizing())
    except ValueError as error:
        words = r"was resized or reshaped while|cannot resize an array"
        assert re.search(words, str(error))  # noqa: PT017  # either may happen
    else:
        assert done.coef.tobytes() == DOORS[door](File()).coef.tobytes()
