"""What users' code does to the arrays of a fit while the fit runs.

Indices of sparse rows are copies, so that it does not matter; arrays that it resizes,
and all views of them, are refused before C reads them again.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep as gs
from converting import Number
from gradstep import lls
from gradstep.lr_scheduler import LambdaLR

Array: TypeAlias = Any
Code: TypeAlias = Callable[[], None]
N, L = 90, 5
RNG = np.random.default_rng(8)
DENSE = RNG.standard_normal((N, L))
DENSE[np.abs(DENSE) < 0.8] = 0
Y = DENSE @ RNG.standard_normal(L) + RNG.standard_normal(N)
WEIGHT = np.linspace(0.5, 2, N)
FAR = 2**30


def sgd(w: Any) -> Any:
    return gs.SGD(w, lr=1e-3, momentum=0.6)


BATCHES: dict[str, Any] = {"optimizer": sgd, "batch_size": 7, "epochs": 3}
RESIZED = r"was resized or reshaped while it was in use; pass a copy"


def fit(rows: Any, **options: Any) -> Any:
    """Fit (X, y) or (X, y, weight)."""
    X, y, *weight = rows
    return lls.fit(X, y, sample_weight=weight[0] if weight else None, **options)


def by_callback(rows: Any, code: Code, **more: Any) -> Any:
    return fit(rows, **BATCHES, callback=lambda _: code(), **more)


def by_callback_between_updates(rows: Any, code: Code, **more: Any) -> Any:
    o: dict[str, Any] = {"callback": lambda _: code(), "callback_every": 2}
    return fit(rows, **BATCHES, **o, **more)


def by_callback_of_the_default(rows: Any, code: Code, **more: Any) -> Any:
    return fit(rows, callback=lambda _: code(), **more)


def by_order(rows: Any, code: Code, **more: Any) -> Any:
    def order(epoch: int) -> Array:
        if epoch:
            code()
        return np.arange(N)[::-1]

    return fit(rows, **BATCHES, order=order, **more)


class Scheduler:
    """Has a step, which is all that a fit asks for."""

    def __init__(self, optimizer: Any, code: Code) -> None:
        self.optimizer, self.code = optimizer, code

    def step(self) -> None:
        self.code()


def by_scheduler(rows: Any, code: Code, **more: Any) -> Any:
    make = functools.partial(Scheduler, code=code)
    return fit(rows, **BATCHES, scheduler=make, **more)


def by_scheduler_between_updates(rows: Any, code: Code, **more: Any) -> Any:
    make = functools.partial(Scheduler, code=code)
    o: dict[str, Any] = {"scheduler": make, "schedule_by": "update"}
    return fit(rows, **BATCHES, **o, **more)


def by_lambda(rows: Any, code: Code, **more: Any) -> Any:
    def factor(_: int) -> float:
        code()
        return 1.0

    make = functools.partial(LambdaLR, lr_lambda=factor)
    return fit(rows, **BATCHES, scheduler=make, schedule_by="update", **more)


def by_factory(rows: Any, code: Code, **more: Any) -> Any:
    def make(w: Any) -> Any:
        code()
        return sgd(w)

    return fit(rows, **BATCHES | {"optimizer": make}, **more)


def by_number(rows: Any, code: Code, **more: Any) -> Any:
    """A step converts it, past all checks of rows."""
    optimizers: list[Any] = []

    def make(w: Any) -> Any:
        optimizers.append(sgd(w))
        return optimizers[0]

    def change(_: Any) -> None:
        optimizers[0].param_groups[0]["lr"] = Number(1e-3, code)

    return fit(rows, **BATCHES | {"optimizer": make}, callback=change, **more)


def by_subclass(rows: Any, code: Code, **more: Any) -> Any:
    class Own(gs.SGD):
        def engine_is_step(self) -> bool:
            code()
            return True

    make = functools.partial(Own, lr=1e-3, momentum=0.6)
    return fit(rows, **BATCHES | {"optimizer": make}, **more)


def by_chunks(rows: Any, code: Code, **more: Any) -> Any:
    """Rows are a chunk; the code runs when the next one is asked for, the last too."""

    class Chunks:
        def __iter__(self) -> Iterator[Any]:
            yield rows
            code()
            yield rows
            code()

    return lls.fit(Chunks(), **BATCHES, **more)


def by_chunks_of_the_default(rows: Any, code: Code, **more: Any) -> Any:
    class Chunks:
        def __iter__(self) -> Iterator[Any]:
            yield rows
            code()

    return lls.fit(Chunks(), **more)


def by_partial_fit(rows: Any, code: Code, **_: Any) -> Any:
    trainer = lls.Trainer(L, optimizer=sgd, batch_size=7)
    for _ in range(3):
        trainer.optimizer.param_groups[0]["lr"] = Number(1e-3, code)
        trainer.partial_fit(*rows)
    return trainer


WAYS = {
    f.__name__.replace("_", " "): f
    for f in (
        *(by_callback, by_callback_between_updates, by_callback_of_the_default),
        *(by_order, by_scheduler, by_scheduler_between_updates, by_lambda, by_factory),
        *(by_number, by_subclass, by_chunks, by_chunks_of_the_default, by_partial_fit),
    )
}


def spoil(X: Any) -> None:
    X.indices[:] = FAR
    X.indptr[1:] = FAR


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_indices_that_are_overwritten_are_not_followed(way: str, wide: bool) -> None:
    """Chunks are read anew in each epoch, and refused then."""

    def rows() -> Any:
        X = sp.csr_array(DENSE)
        if wide:
            X.indices, X.indptr = X.indices.astype("i8"), X.indptr.astype("i8")
        return X, Y.copy()

    def nothing() -> None:
        pass

    given = rows()
    if "chunks" in way or "partial" in way:
        want = "no valid sparse matrix: ind"
        with pytest.raises(ValueError, match=want):
            WAYS[way](given, lambda: spoil(given[0]))
    else:
        want = WAYS[way](rows(), nothing).coef.tobytes()
        assert WAYS[way](given, lambda: spoil(given[0])).coef.tobytes() == want


def test_chunks_that_are_spoilt_after_their_last_use_do_not_matter() -> None:
    class Chunks:
        def __iter__(self) -> Iterator[Any]:
            X = sp.csr_array(DENSE)
            yield X, Y
            spoil(X)  # before the end of the epoch is looked at

    want = lls.fit([(sp.csr_array(DENSE), Y)], **BATCHES).coef.tobytes()
    assert lls.fit(Chunks(), **BATCHES).coef.tobytes() == want


VALIDATED = [way for way in WAYS if "default" not in way and "partial" not in way]


@pytest.mark.parametrize("way", VALIDATED)
def test_indices_of_a_validation_set_are_not_followed(way: str) -> None:
    held, rows = sp.csr_array(DENSE), (DENSE, Y)
    want = WAYS[way](rows, lambda: None, validation=(held, Y))
    done = WAYS[way](rows, lambda: spoil(held), validation=(held, Y))
    assert done.validation_loss.tobytes() == want.validation_loss.tobytes()


def as_view(a: Array) -> tuple[Array, Array]:
    """Return an array that owns its memory, and a view of all of it."""
    owner = np.empty(a.size)
    owner[:] = a.ravel()
    return owner, owner.reshape(a.shape)


def itself(a: Array) -> tuple[Array, Array]:
    own = np.array(a)
    return own, own


class Subclass(np.ndarray):
    """Owns its memory, as plain arrays do."""


def as_subclass(a: Array) -> tuple[Array, Array]:
    own = Subclass(a.shape, a.dtype)
    own[...] = a
    assert own.base is None
    return own, own


OWNERS = {f.__name__: f for f in (itself, as_view, as_subclass)}


# A chunk or a call that comes with a view of nothing is beyond help, NumPy's too.
RESIZES = [
    (way, owned)
    for way in WAYS
    for owned in OWNERS
    if owned != "as_view" or not ("chunks" in way or "partial" in way)
]


@pytest.mark.parametrize("name", ["X", "y", "weight"])
@pytest.mark.parametrize(("way", "owned"), RESIZES)
def test_arrays_that_are_resized_are_refused(way: str, name: str, owned: str) -> None:
    values = {"X": DENSE, "y": Y, "weight": WEIGHT}
    owner, values[name] = OWNERS[owned](values[name])

    def shrink() -> None:
        owner.resize((1,) * owner.ndim, refcheck=False)

    with pytest.raises(ValueError, match=f"{RESIZED}|has .* rows|shape|no valid"):
        WAYS[way](tuple(values.values()), shrink)


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
@pytest.mark.parametrize("way", WAYS)
def test_parts_of_sparse_rows_may_be_resized(way: str, name: str) -> None:
    X = sp.csr_array(DENSE)
    own = getattr(X, name).copy()
    setattr(X, name, own)

    def shrink() -> None:
        own.resize((1,), refcheck=False)

    try:
        WAYS[way]((X, Y), shrink)
    except ValueError as error:
        assert any(  # noqa: PT017  # copies are not missed
            word in str(error) for word in ("was resized", "no valid sparse matrix")
        )
    else:
        assert name != "data"


@pytest.mark.parametrize("owned", OWNERS)
@pytest.mark.parametrize("name", ["X", "y", "weight"])
@pytest.mark.parametrize("way", ["by callback", "by scheduler", "by number"])
def test_a_validation_set_that_is_resized_is_refused(
    way: str, name: str, owned: str
) -> None:
    values = {"X": DENSE, "y": Y, "weight": WEIGHT}
    owner, values[name] = OWNERS[owned](values[name])

    def shrink() -> None:
        owner.resize((1,) * owner.ndim, refcheck=False)

    with pytest.raises(ValueError, match=f"fit: validation: .*{RESIZED}"):
        WAYS[way]((DENSE, Y), shrink, validation=tuple(values.values()))


def test_a_source_may_write_to_the_indices_of_a_validation_set() -> None:
    """It runs in a thread of its own, beside C."""
    held = sp.csr_array(DENSE)

    class File:
        shape, targets, dtype, weighted = (N, L), None, np.dtype("f8"), False
        extents = np.array([0, 30, 60, N])

        def buffers(self, _: int) -> None:
            return None

        def read(self, spans: Any, _: Any) -> Any:
            spoil(held)
            rows = np.concatenate([np.arange(*span) for span in spans])
            return SimpleNamespace(X=DENSE[rows], y=Y[rows], weight=None)

    done = lls.fit(File(), **BATCHES, shuffle=None, validation=(held, Y))
    clean = lls.fit(DENSE, Y, **BATCHES, shuffle=None, validation=(DENSE, Y))
    np.testing.assert_allclose(done.validation_loss, clean.validation_loss, rtol=1e-12)


def test_another_thread_may_write_to_indices_and_cannot_resize_rows() -> None:
    """While C runs, NumPy refuses to resize what it reads."""
    X = sp.csr_array(np.tile(DENSE, (400, 1)))
    y, want = np.tile(Y, 400), None
    o: dict[str, Any] = {"optimizer": sgd, "batch_size": 5, "epochs": 3}
    want = lls.fit(X.copy(), y.copy(), **o).coef.tobytes()
    ended = threading.Event()
    refused: list[str] = []

    def disturb() -> None:
        indices = X.indices.copy()
        while not ended.is_set():
            X.indices[:] = FAR
            X.indices[:] = indices
            try:
                y.resize((len(y),), refcheck=False)
                np.array(y)
            except ValueError as error:
                refused.append(str(error))

    spoilt = threading.Thread(target=disturb)
    spoilt.start()
    try:
        found = lls.fit(X, y, **o).coef.tobytes()
    except ValueError as error:  # what the check saw before it began
        assert "no valid sparse matrix" in str(error)  # noqa: PT017
        found = want
    finally:
        ended.set()
        spoilt.join()
    assert found == want


OF_COEFFICIENTS: dict[str, Callable[[Array], object]] = {
    "resize": lambda a: a.resize((10_000,), refcheck=False),
    "memory": lambda a: a.__setstate__((1, (1,), np.dtype("f8"), False, bytes(8))),
    "dtype": lambda a: setattr(a, "dtype", "i8"),
    "read-only": lambda a: a.setflags(write=False),
    "states": lambda _: None,
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", OF_COEFFICIENTS)
def test_coefficients_stay_in_memory_of_their_own(change: str, which: int) -> None:
    optimizers: list[Any] = []

    def make(params: Any) -> Any:
        optimizers.append(gs.Adam(params, lr=1e-3))
        return optimizers[-1]

    def code(_: Any) -> None:
        if change == "states":
            OF_COEFFICIENTS["memory"](optimizers[-1].state[which]["m"])
        else:
            OF_COEFFICIENTS[change](optimizers[-1].param_groups[0]["params"][which])

    o: dict[str, Any] = {"optimizer": make, "batch_size": 7, "epochs": 3}
    if change == "states":
        want = lls.fit(DENSE, Y, intercept=True, **o).coef.tobytes()
        done = lls.fit(DENSE, Y, intercept=True, callback=code, **o)
        assert done.coef.tobytes() == want
    else:
        words = rf"params\[{which}\] was resized|does not own its data"
        with pytest.raises(ValueError, match=words):
            lls.fit(DENSE, Y, intercept=True, callback=code, **o)
