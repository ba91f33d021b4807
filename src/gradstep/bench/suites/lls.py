"""Least squares: an epoch beside scikit-learn's, and beside reading the data."""

import functools
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gradstep as gs
from gradstep import _rows
from gradstep.bench.apart import Contestant, Step
from gradstep.bench.row import Row
from gradstep.bench.suites import tutorial
from gradstep.bench.suites.job import Chosen, Job, job

Array = Any
BATCH = 256
AT_ONCE = 8 << 20  # bytes that reading a file takes at a time

# Asked: times of others over ours.
ASKED = {
    "rows": {"SGDRegressor": 2.5, "reading rows": 0.625},
    "blocks": {"SGDRegressor": 8.0, "X.sum()": 0.4},
    "batches of 1": {"SGDRegressor": 1.5},
}
SMALL = {"SGDRegressor": 10.0}


def lls(chosen: Chosen) -> Iterator[Job]:
    """Return jobs: dense, sparse, from a file, and the tutorial's."""
    quick = chosen.quick
    yield tutorial.small(chosen)
    for n, columns in ((100_000, 10),) if quick else ((100_000, 10), (1_000_000, 100)):
        for word in ("float64", "float32"):
            for shuffle in ("blocks", "rows"):
                yield dense(chosen, n, columns, word, shuffle)
    stored = (20_000, 10_000, 50) if quick else (200_000, 100_000, 50)
    for batch in (1, BATCH):
        yield sparse(chosen, *stored, batch)
    yield from_file(chosen, 100_000 if quick else 1_000_000, 100)


@functools.lru_cache(maxsize=1)
def matrix(n: int, columns: int, word: str) -> tuple[Array, Array]:
    """Return dense data and a target."""
    rng, dtype = np.random.default_rng(0), np.dtype(word).type
    X = rng.standard_normal((n, columns), dtype=dtype)
    return X, X @ rng.standard_normal(columns, dtype=dtype)


@functools.lru_cache(maxsize=1)
def csr(n: int, columns: int, stored: int) -> tuple[Array, Array]:
    """Return sparse data of so many values in a row, and a target."""
    import scipy.sparse  # noqa: PLC0415  # pay for one suite

    rng = np.random.default_rng(0)
    indices = rng.integers(0, columns - stored + 1, (n, stored), dtype=np.int32)
    indices.sort(axis=1)
    indices += np.arange(stored, dtype=np.int32)  # none twice in a row
    starts = np.arange(0, n * stored + 1, stored, dtype=np.int32)
    values = rng.standard_normal(n * stored)
    X = scipy.sparse.csr_array((values, indices.ravel(), starts), (n, columns))
    return X, rng.standard_normal(n)


def epoch(data: Callable[[], tuple[Any, Any]], batch: int, **options: Any) -> Step:
    """Return a call that goes through the data once."""
    X, y = data()
    momentum = 0.9 if batch > 1 else 0.0
    sgd = functools.partial(gs.SGD, lr=1e-6, momentum=momentum)
    return functools.partial(
        gs.lls.fit, X, y, optimizer=sgd, batch_size=batch, epochs=1, **options
    )


def peer(data: Callable[[], tuple[Any, Any]]) -> Step:
    """Return a call that goes through the data once, a row at a time."""
    from sklearn.linear_model import SGDRegressor  # noqa: PLC0415  # optional

    X, y = data()
    options = {"penalty": None, "learning_rate": "constant", "eta0": 1e-6}
    sgd = SGDRegressor(max_iter=1, tol=None, **options)

    def fit() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one epoch does not converge
            sgd.fit(X, y)

    return fit


def scikit_learn(
    chosen: Chosen, data: Callable[[], tuple[Any, Any]]
) -> Sequence[Contestant]:
    """Return scikit-learn as a contestant, if it was chosen."""
    made = Contestant("SGDRegressor", functools.partial(peer, data))
    return chosen.peer("sklearn", made)


def summed(data: Callable[[], tuple[Any, Any]]) -> Step:
    """Return a plain reading of the data."""
    total: Step = data()[0].sum
    return total


def gathered(data: Callable[[], tuple[Any, Any]]) -> Step:
    """Return a call that copies the rows, in no order, to where they stay in cache."""
    X, _ = data()
    rows = _rows.shuffled(0, 0, len(X), X[0].nbytes, False)
    buffer = np.empty((BATCH, X.shape[1]), X.dtype)

    def reading() -> None:
        for at in range(0, len(rows), BATCH):
            part = rows[at : at + BATCH]
            np.take(X, part, axis=0, out=buffer[: len(part)], mode="clip")

    return reading


def dense(chosen: Chosen, n: int, columns: int, word: str, shuffle: str) -> Job:
    """Time an epoch by momentum in batches, of rows or blocks in no order."""
    data = functools.partial(matrix, n, columns, word)
    read = ("X.sum()", summed) if shuffle == "blocks" else ("reading rows", gathered)
    contestants = [
        Contestant("gradstep", functools.partial(epoch, data, BATCH, shuffle=shuffle)),
        Contestant(read[0], functools.partial(read[1], data)),
        *scikit_learn(chosen, data),
    ]
    # Small data stay in cache, where a sum takes next to nothing.
    small = SMALL if shuffle == "blocks" else {}
    return job(
        contestants,
        chosen.effort(15, 6.0),
        Row(
            suite="lls",
            subject=f"epoch, {shuffle} in no order, batches of {BATCH}",
            case=f"{n:,} x {columns} {word}",
            threads=chosen.most,
            asked=ASKED[shuffle] if n == 1_000_000 else small,
        ),
    )


def sparse(chosen: Chosen, n: int, columns: int, stored: int, batch: int) -> Job:
    """Time an epoch of plain SGD on sparse rows."""
    data = functools.partial(csr, n, columns, stored)
    made = functools.partial(epoch, data, batch, shuffle="blocks")
    what = "batches of 1" if batch == 1 else f"batches of {batch}"
    return job(
        [Contestant("gradstep", made), *scikit_learn(chosen, data)],
        chosen.effort(9, 4.0),
        Row(
            suite="lls",
            subject=f"epoch, sparse, {what}",
            case=f"CSR {n:,} x {columns:,} of {stored}",
            threads=chosen.most,
            asked=ASKED.get(what, {}),
        ),
    )


def from_file(chosen: Chosen, n: int, columns: int) -> Job:
    """Time an epoch from a file that is in the system's cache, beside reading it."""
    folder = functools.lru_cache(tempfile.TemporaryDirectory)  # until the job is gone
    written = functools.lru_cache(lambda: _write(Path(folder().name), n, columns))

    def opened() -> tuple[Any, None]:
        return gs.lls.NpyFile(*written()), None

    def reading() -> Step:
        X = np.load(written()[0], mmap_mode="r")
        rows = max(1, AT_ONCE // X[0].nbytes)

        def read() -> None:
            for at in range(0, len(X), rows):
                X[at : at + rows].sum()

        return read

    in_memory = functools.partial(matrix, n, columns, "float64")
    options = {"shuffle": "blocks"}
    return job(
        [
            Contestant("gradstep", lambda: epoch(opened, BATCH, **options)),
            Contestant(
                "the same in memory", lambda: epoch(in_memory, BATCH, **options)
            ),
            Contestant("reading the file", reading),
        ],
        chosen.effort(15, 4.0),
        Row(
            suite="lls",
            subject="epoch, from a file, blocks in no order",
            case=f"{n:,} x {columns} float64",
            threads=chosen.most,
        ),
    )


def _write(folder: Path, n: int, columns: int) -> tuple[Path, Path]:
    paths = folder / "X.npy", folder / "y.npy"
    for path, a in zip(paths, matrix(n, columns, "float64")):
        np.save(path, a)
    return paths
