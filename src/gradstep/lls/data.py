"""Where rows come from: arrays, sparse matrices, chunks; and in which order."""

import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gradstep import _core, _rows, dtypes
from gradstep.lls import arguments as check
from gradstep.lls.csr import csr_rows, is_sparse
from gradstep.structure import Array

_NONE = object()  # what no chunk is

# Rows whose numbers are made at a time.
PORTION = 1 << 15

# Bytes of X from which shuffle="auto" goes by blocks.
CACHED = 1 << 22


class Block(NamedTuple):
    """Rows in memory as C reads them: float32 or float64, nothing copied in vain."""

    X: tuple[Array, ...]  # (values,), or of CSR (values, columns, starts)
    y: Array  # (N, K), of the type of X
    weight: Array | None  # (N,) float64
    features: int
    targets: int | None  # None where y was given in the shape (N,)
    watch: _core.MemoryWatch | None = None  # over the arrays of the caller
    row_name: Callable[[int], str] = check.name_row  # for messages

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of all arithmetic but sums."""
        return self.X[0].dtype

    @property
    def kind(self) -> str:
        """Of its matrix."""
        return "dense" if len(self.X) == 1 else "sparse"

    @property
    def row_bytes(self) -> int:
        """How much of X is read for a row, on average."""
        stored: int = sum(a.nbytes for a in self.X[:2])
        return stored // max(1, len(self.y))

    @property
    def weighs(self) -> bool:
        """Whether any weight is not 0, or there is no row."""
        return self.weight is None or not len(self.weight) or bool(self.weight.any())

    def check_weights(self, who: str) -> None:
        """Refuse a problem of no rows but those of weight 0."""
        if not self.weighs:
            raise ValueError(
                f"{who}: sample_weight must not be zero for all rows; leave it out to "
                "weigh them alike"
            )


class Order(NamedTuple):
    """How epochs go through the rows."""

    shuffle: str | None
    seed: int
    function: Callable[[int], npt.ArrayLike] | None

    def of(self, epoch: int, n: int, row_bytes: int) -> "Iterator[Route]":
        """Yield the ways through n rows in memory in an epoch, one after the other.

        By portions: numbers of a million rows would have to go to memory and back. A
        way is valid until the next one is asked for.
        """
        by_blocks = self.shuffle == "blocks"
        if self.shuffle == "auto":
            by_blocks = n * row_bytes >= CACHED
        if self.function is not None:
            rows = self.function(epoch)
            yield Route(check.row_numbers("fit: order", rows, n, _rows.rows_fit))
        elif self.shuffle is None:
            for first in range(0, n, PORTION):
                yield Route(np.arange(first, min(first + PORTION, n)))
        elif by_blocks:
            for rows, soon in _rows.Portions(self.seed, epoch, n, row_bytes, PORTION):
                yield Route(rows, soon)
        else:
            yield Route(_rows.shuffled(self.seed, epoch, n, row_bytes, False))


class Route(NamedTuple):
    """Rows to visit, and with each another to fetch, if not one that comes soon."""

    rows: Array
    soon: Array | None = None

    def part(self, start: int, stop: int) -> "Route":
        """Return what is from the row `start` of them to before `stop`."""
        soon = None if self.soon is None else self.soon[start:]
        return Route(self.rows[start:stop], soon)

    def among(self, kept: Array | None) -> "Route":
        """Return the way through these rows of which the route's are the numbers."""
        if kept is None:
            return self
        soon = None if self.soon is None else kept[self.soon]
        return Route(kept[self.rows], soon)


def checked_order(shuffle: Any, seed: Any, function: Any) -> Order:
    """Return the order that the arguments of `fit` ask for."""
    check.one_of("fit: shuffle", shuffle, ("auto", "rows", "blocks", None))
    key = check.seed("fit: seed", seed)
    if function is not None:
        check.is_callable("fit: order", function, "lambda epoch: rng.permutation(N)")
    return Order(shuffle, key, function)


Visits = Iterator[tuple[Block, Route]]


class Data(Protocol):
    """Rows for any number of epochs; those of an epoch come block by block."""

    features: int
    targets: int | None
    dtype: "np.dtype[Any]"
    n: int | None  # rows, if known beforehand

    def first(self) -> Block:
        """Return some rows, to look at before the first epoch."""

    def visits(self, epoch: int, order: Order) -> Visits:
        """Yield blocks, and the order in which to visit their rows."""


class InMemory:
    """All rows in one block; with `kept`, only those."""

    def __init__(self, block: Block, kept: Array | None = None) -> None:
        self.block, self.kept = block, kept
        self.features, self.targets = block.features, block.targets
        self.dtype: np.dtype[Any] = block.dtype
        self.n: int | None = len(block.y) if kept is None else len(kept)

    def first(self) -> Block:
        return self.block

    def visits(self, epoch: int, order: Order) -> Visits:
        assert self.n is not None
        self.check_still()
        for route in order.of(epoch, self.n, self.block.row_bytes):
            yield self.block, route.among(self.kept)

    def check_still(self) -> None:
        """Refuse arrays that have been resized since."""
        if self.block.watch is not None:
            self.block.watch.check()


class Chunks:
    """An iterable of (X, y) or (X, y, sample_weight), read anew in each epoch."""

    def __init__(self, chunks: Iterable[Any], *, wide_targets: bool = False) -> None:
        self._chunks, self._wide_targets = chunks, wide_targets
        self.once = iter(chunks) is chunks
        found = iter(chunks)
        ahead = next(found, _NONE)
        if ahead is _NONE:
            raise ValueError("fit: X yields no chunk; pass (X, y) chunks")
        self._first = self._block(0, ahead)
        if self.once:
            self._chunks = chain((ahead,), found)
        self.features, self.targets = self._first.features, self._first.targets
        self.dtype: np.dtype[Any] = self._first.dtype
        self.n: int | None = None

    def _block(self, k: int, chunk: Any) -> Block:
        who = f"fit: chunk {k}"
        # A list too, as PyTorch's DataLoader collates; but no row of plain numbers.
        is_list = isinstance(chunk, list) and not any(map(np.isscalar, chunk))
        if not (is_list or isinstance(chunk, tuple)) or len(chunk) not in (2, 3):
            raise TypeError(
                f"{who} must be a tuple (X, y) or (X, y, sample_weight), got "
                f"{type(chunk).__name__}; for arrays pass y too"
            )
        rows = block(who, *chunk, wide_targets=self._wide_targets)
        return rows._replace(row_name=functools.partial(_name_row_of_chunk, k))

    def first(self) -> Block:
        return self._first

    def visits(self, epoch: int, order: Order) -> Visits:
        if order.function is not None or order.shuffle in ("rows", "blocks"):
            raise ValueError(
                "fit: chunks come in their own order; pass shuffle='auto' to shuffle "
                "the rows of each, or None"
            )
        like, k, weighs, total = self._first, -1, False, 0
        for k, chunk in enumerate(self._chunks):
            found = self._block(k, chunk)
            weighs |= found.weighs
            if difference := mismatch(found, like, sparsity=True):
                name, here, expected = difference
                raise ValueError(
                    f"fit: chunk {k} has {name} {here}, the first had {expected}"
                )
            n = len(found.y)
            total += n
            if order.shuffle is None:
                yield found, Route(np.arange(n))
            else:  # epochs of fits without chunks are no multiples of 2^32
                key = (epoch << 32) + k + 1
                yield found, Route(_rows.shuffled(order.seed, key, n, 0, False))
        if k < 0:
            raise ValueError(
                f"fit: X yields no chunk in epoch {epoch}, though it did before; pass "
                "a list, or an object whose __iter__ begins anew"
            )
        if not weighs:
            raise ValueError("fit: sample_weight is zero for all rows of all chunks")
        if self.n is not None and total != self.n:
            raise ValueError(
                f"fit: X yields {total} rows in epoch {epoch}, but {self.n} when they "
                "were counted for ridge; pass a list, or an object whose __iter__ "
                "begins anew"
            )

    def count_rows(self) -> None:
        """Go through all chunks once, to know `n`."""
        in_order = Order(None, 0, None)
        self.n = sum(len(route.rows) for _, route in self.visits(0, in_order))


def _name_row_of_chunk(k: int, row: int) -> str:
    return f"row {row} of chunk {k}"


def block(
    who: str,
    X: Any,
    y: npt.ArrayLike,
    sample_weight: Any = None,
    *,
    wide_targets: bool = False,
) -> Block:
    """Return rows of arrays or a sparse matrix, copied only if need be.

    With `wide_targets`, y is float64 where the type of X would round it.
    """
    # Conversions run code of users, which may write to X: hence X comes last.
    ya = check.real_array(f"{who}: y", y)
    raw_weight = None
    if sample_weight is not None:
        raw_weight = check.real_array(f"{who}: sample_weight", sample_weight)
    parts, (n, features) = _matrix(f"{who}: X", X)
    if ya.ndim not in (1, 2):
        raise ValueError(f"{who}: y must have shape (N,) or (N, K), got {ya.shape}")
    if n != len(ya):
        raise ValueError(f"{who}: X has {n} rows, y has {len(ya)}")
    target_dtype = parts[0].dtype
    if wide_targets and not dtypes.is_same(ya.dtype, dtypes.FLOAT32):
        target_dtype = dtypes.FLOAT64
    used = [*parts, check.narrowed(f"{who}: y", ya, target_dtype)]
    weight = None
    if raw_weight is not None:
        weight = check.weights(f"{who}: sample_weight", raw_weight, n)
        used.append(weight)
    targets = None if ya.ndim == 1 else ya.shape[1]
    table = used[len(parts)].reshape(n, 1 if targets is None else targets)
    watch = _core.MemoryWatch(f"{who}: X, y or sample_weight", used)
    return Block(parts, table, weight, features, targets, watch)


def _matrix(name: str, X: Any) -> tuple[tuple[Array, ...], tuple[int, int]]:
    """Return the arrays of a matrix, as C reads them, and its shape."""
    if is_sparse(X):
        rows, shape = csr_rows(name, X)
        return tuple(rows), shape
    a = check.real_array(name, X)
    if a.ndim != 2:
        raise ValueError(f"{name} must have shape (N, L), got {a.shape}")
    n, features = a.shape
    dtype = dtypes.float32_or_float64(a.dtype)
    return (check.narrowed(name, a, dtype),), (n, features)


class HasColumns(Protocol):
    """What rows of one fit have in common."""

    @property
    def features(self) -> int:
        """Columns of X."""

    @property
    def targets(self) -> int | None:
        """Columns of y; None where it has one axis."""

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of X and y."""


def mismatch(
    rows: HasColumns, like: HasColumns, *, sparsity: bool = False
) -> tuple[str, Any, Any] | None:
    """Return what of rows is not as in others: its name, and both; None if nothing."""
    names = ["features", "targets"] + ["kind"] * sparsity
    for name in names:
        here, expected = getattr(rows, name), getattr(like, name)
        if here != expected:
            return name, here, expected
    if not dtypes.is_same(rows.dtype, like.dtype):
        return "dtype", rows.dtype, like.dtype
    return None
