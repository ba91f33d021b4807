"""Data as blocks of rows: arrays, an iterable of blocks, or a file that is read."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gradstep import dtypes
from gradstep.lls.arguments import real_array, weights
from gradstep.lls.files import Source
from gradstep.lls.files.checked import CheckedSource
from gradstep.structure import Array

# Rows that are read or reduced at once: as many as caches hold.
BYTES = 8 << 20


class Block(NamedTuple):
    """Checked rows; `name` is what messages about them begin with."""

    name: str
    X: Array  # (n, L)
    y: Array  # (n, K)
    weight: Array | None  # (n,), float64


class Shape(NamedTuple):
    """What all blocks have in common."""

    columns: int
    targets: int | None  # None if y is 1-d
    dtype: Any  # of results: float32 if X is, otherwise float64
    weighted: bool

    def words(self) -> tuple[str, ...]:
        """Return how messages tell two of them apart."""
        return (
            f"X of {self.columns} columns",
            f"y of shape (n,{'' if self.targets is None else f' {self.targets}'})",
            f"X of type {self.dtype}",
            f"{'' if self.weighted else 'no '}sample_weight",
        )


def checked(
    name: str, X: npt.ArrayLike, y: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Shape, Block]:
    """Return rows that fit together; that X and y are finite is seen on reduction."""
    Xa, ya = real_array(f"{name}X", X), real_array(f"{name}y", y)
    if Xa.ndim != 2:
        raise ValueError(f"{name}X must have shape (N, L), got {Xa.shape}")
    y2 = checked_targets(name, len(Xa), ya)
    s = None if weight is None else weights(f"{name}sample_weight", weight, len(Xa))
    targets = None if ya.ndim == 1 else ya.shape[1]
    shape = Shape(Xa.shape[1], targets, result_type(Xa), s is not None)
    return shape, Block(name, Xa, y2, s)


def result_type(X: Any) -> Any:
    """Return the type of coefficients: float32 stays, anything else is float64."""
    return dtypes.float32_or_float64(X.dtype)


def checked_targets(name: str, n: int, y: Array) -> Array:
    """Return targets for n rows with shape (n, K)."""
    if y.ndim not in (1, 2):
        raise ValueError(f"{name}y must have shape (N,) or (N, K), got {y.shape}")
    if len(y) != n:
        raise ValueError(f"{name}X has {n} rows, y has {len(y)}")
    return y[:, np.newaxis] if y.ndim == 1 else y


def blocks_of(given: object) -> Iterator[tuple[Shape, Block]]:
    """Return the blocks of an iterable or a `Source`, checked one by one."""
    if isinstance(given, Source):
        return _same_shape(_read(given))
    if (
        isinstance(given, (np.ndarray, str, bytes, Mapping))
        or hasattr(given, "tocsr")
        or not isinstance(given, Iterable)
    ):
        raise TypeError(
            "solve: without y, X must be an iterable of blocks (X, y) or (X, y, "
            f"sample_weight), or a file that can be read, got {type(given).__name__}; "
            "pass y with an array"
        )
    return _same_shape(given)


def refuse_blocks(X: object) -> None:
    """Refuse what goes without y, where y was given."""
    if isinstance(X, (Iterator, Source)):
        kind = type(X).__name__
        raise TypeError(
            f"solve: y must be None with blocks or a file, which have it themselves; X "
            f"is {kind}"
        )


def _same_shape(given: Iterable[object]) -> Iterator[tuple[Shape, Block]]:
    first = None
    for k, item in enumerate(given):
        if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
            kind = type(item).__name__
            size = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
            raise TypeError(
                f"solve: block {k} must be a tuple (X, y) or (X, y, sample_weight), "
                f"got {kind}{size}"
            )
        shape, block = checked(f"solve: block {k}: ", *item, *[None] * (3 - len(item)))
        first = first or shape
        for here, there in zip(shape.words(), first.words()):
            if here != there:
                raise ValueError(
                    f"solve: block {k} has {here}, block 0 has {there}; all blocks "
                    "must be alike"
                )
        yield shape, block
    if first is None:
        raise ValueError(
            "solve: X yielded no blocks; an iterator that was used before is empty, "
            "build it anew"
        )


def _read(source: Source) -> Iterator[tuple[Any, ...]]:
    """Return all rows of a file, in buffers that are used again and again."""
    checked = CheckedSource("solve", source)
    n = checked.n
    width = checked.features + (checked.targets or 1)
    rows = max(1, BYTES // (width * checked.dtype.itemsize))
    into = checked.buffers(min(rows, n))
    for first in range(0, max(n, 1), rows):
        last = min(first + rows, n)
        got, _ = checked.read([(first, last)], into)
        yield (got.X, got.y) if got.weight is None else (got.X, got.y, got.weight)
