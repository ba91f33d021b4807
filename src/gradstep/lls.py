r"""Linear least squares: the exact solution, and training by mini-batches.

The problem is :math:`\min_W \lVert X W - Y \rVert^2` with X of shape (N, L) and Y of
shape (N,) or (N, K).
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gradstep import _core, _lls
from gradstep.optimizer import Optimizer
from gradstep.structure import Array

__all__ = ["Fit", "Progress", "fit", "solve"]

# Rows times features between two looks at pending signals: some 10 ms of work.
_SLICE = 2_000_000

# Bytes of X from which shuffle="auto" goes by blocks.
_CACHED = 1 << 22


@dataclass(frozen=True)
class Progress:
    """Where a fit stands: `update` updates done, the last of them in epoch `epoch`."""

    epoch: int
    update: int
    coef: Array


@dataclass(frozen=True)
class Fit:
    """What `fit` returns."""

    coef: Array
    updates: int
    epochs: int
    optimizer: Optimizer


Callback: TypeAlias = Callable[[Progress], object]


def solve(X: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Return the exact least-squares solution, of least norm if there are several.

    Parameters
    ----------
    X : array_like, shape (N, L)
    y : array_like, shape (N,) or (N, K)

    Returns
    -------
    ndarray, shape (L,) or (L, K)

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Notes
    -----
    By `scipy.linalg.lstsq`, that is, by the singular value decomposition.

    Examples
    --------
    >>> import numpy as np
    >>> from gradstep import lls
    >>> lls.solve([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).round(12)
    array([1., 2.])
    """
    import scipy.linalg  # noqa: PLC0415  # heavy, and only needed here

    Xa, ya = _problem("solve", X, y)
    _check_finite("solve: X", Xa)
    _check_finite("solve: y", ya)
    if ya.size == 0 or Xa.size == 0:
        return np.zeros((Xa.shape[1], *ya.shape[1:]), Xa.dtype)
    return np.asarray(scipy.linalg.lstsq(Xa, ya, check_finite=False)[0])


def fit(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    optimizer: Callable[[Array], Optimizer],
    batch_size: int,
    epochs: int,
    shuffle: Literal["auto", "rows", "blocks"] | None = "auto",
    seed: int = 0,
    order: Callable[[int], npt.ArrayLike] | None = None,
    reduction: Literal["sum", "mean"] = "sum",
    callback: Callback | None = None,
    callback_every: int | None = None,
    coef0: npt.ArrayLike | None = None,
) -> Fit:
    r"""Fit by (mini-batch) gradient descent, or any other optimizer.

    Each batch of rows :math:`X_B, Y_B` gives one update by the gradient
    :math:`2 X_B^\top (X_B W - Y_B)`, divided by the rows of the batch if `reduction` is
    ``"mean"``.

    Parameters
    ----------
    X : array_like, shape (N, L)
        float32 or float64 in C order is used as it is; anything else is copied once,
        numbers of other types as float64.
    y : array_like, shape (N,) or (N, K)
        Copied if it is not of the type and order of X.
    optimizer : callable
        Takes the coefficients and returns a gradstep optimizer of them alone, such as
        ``functools.partial(gs.SGD, lr=1e-3)``.
    batch_size : int
        Rows in a batch, at least 1; the last batch of an epoch may be shorter.
    epochs : int
        Passes over the data, at least 0.
    shuffle : {"auto", "rows", "blocks"} or None
        The order of rows, another in each epoch. ``"rows"``: any order is as likely as
        any other. ``"blocks"``: blocks of 32 KiB of consecutive rows in such an order,
        and the rows of every 16 of them, half a MiB, shuffled together. Where X is
        larger than caches, ``"rows"`` waits for memory, and ``"blocks"`` runs at the
        speed of reading in order; but rows that stand near each other are visited at
        about the same time. ``"auto"``: ``"blocks"`` for X of 4 MiB and more. None: as
        they stand.
    seed : int, default 0
        In [0, 2**64): orders are a function of it and of the number of the epoch, the
        same on every machine.
    order : callable, optional
        Takes the number of the epoch, from 0, and returns the rows to visit, in order,
        as integers in [0, N), instead of `shuffle`.
    reduction : {"sum", "mean"}
    callback : callable, optional
        Called with a `Progress` at the end of each epoch; a true result ends the fit.
    callback_every : int, optional
        Call `callback` after every so many updates of an epoch, too.
    coef0 : array_like, shape (L,) or (L, K), optional
        Where to start; zeros by default.

    Returns
    -------
    Fit
        `coef` has shape (L,) or (L, K) and the type of X: the average, if the
        optimizer is schedule-free.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    FloatingPointError
        If the coefficients are not finite at the end of an epoch.

    Notes
    -----
    Residuals and gradients are summed in float64 in a fixed order, so the result has
    the same bits on every CPU. Each row is read once per epoch. The loop runs in C
    without the GIL; Ctrl-C ends it between two updates.

    Examples
    --------
    >>> import functools, numpy as np, gradstep as gs
    >>> from gradstep import lls
    >>> X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    >>> y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> sgd = functools.partial(gs.SGD, lr=0.05)
    >>> done = lls.fit(X, y, optimizer=sgd, batch_size=2, epochs=500)
    >>> done.coef.round(6), done.updates
    (array([1., 2.]), 1000)
    """
    _check_callable("optimizer", optimizer, "functools.partial(gradstep.SGD, lr=1e-3)")
    if order is not None:
        _check_callable("order", order, "lambda epoch: rng.permutation(N)")
    if callback is not None:
        _check_callable("callback", callback, "print")
    Xa, ya = _problem("fit", X, y)
    loop = _Loop(Xa, ya, coef0, optimizer, batch_size)
    loop.mean = _reduction(reduction)
    every = sys.maxsize  # that is, at the end of an epoch only
    if callback_every is not None:
        every = _whole("callback_every", callback_every, 1)
    epochs = _whole("epochs", epochs, 0)
    visit = _visits(Xa, shuffle, seed, order)
    for epoch in range(epochs):
        rows = visit(epoch)
        for part in _parts(rows, every * loop.batch_size if callback else len(rows)):
            loop.run(part)
            if callback and callback(
                Progress(epoch, loop.updates, loop.result().copy())
            ):
                loop.check_finite(epoch)
                return Fit(loop.result(), loop.updates, epoch + 1, loop.optimizer)
        loop.check_finite(epoch)
    return Fit(loop.result(), loop.updates, epochs, loop.optimizer)


class _Loop:
    """The arrays of a fit, and its updates."""

    mean = False
    finite = True

    def __init__(
        self,
        X: Array,
        y: Array,
        coef0: npt.ArrayLike | None,
        optimizer: Callable[[Array], Optimizer],
        batch_size: int,
    ) -> None:
        # Callers may do as they like with their arrays when `order` or `callback` runs.
        self._given = (X, X.view(), y, y.view())
        self.X, self.y = X, y[:, np.newaxis] if y.ndim == 1 else y
        # More than all rows of an epoch is all of them, whatever C can count to.
        self.batch_size = min(_whole("batch_size", batch_size, 1), 1 << 62)
        self.updates = 0
        self._w = _core.allocate((self.y.shape[1], X.shape[1]), X.dtype, True)
        self.coef = self._w[0] if y.ndim == 1 else self._w.T
        if coef0 is not None:
            start = _real_array("fit: coef0", coef0)
            _check_finite("fit: coef0", start)
            if start.shape != self.coef.shape:
                raise ValueError(
                    f"fit: coef0 has shape {start.shape}, expected {self.coef.shape}"
                )
            self.coef[...] = start
        self._g = _core.allocate(self._w.shape, X.dtype, True)
        self._sum = np.zeros(self._w.size)
        self.optimizer = optimizer(self.coef)
        if not isinstance(self.optimizer, Optimizer) or not self._is_its_param():
            raise TypeError(
                "fit: optimizer must return a gradstep optimizer of the array that it "
                "was given, such as functools.partial(gradstep.SGD, lr=1e-3)"
            )
        self._check_still()

    def result(self) -> Array:
        """Return the coefficients, or their average if the optimizer keeps one."""
        found: Array = self.optimizer.results()[0]
        return found

    def _is_its_param(self) -> bool:
        groups = self.optimizer.param_groups
        return [id(p) for g in groups for p in g["params"]] == [id(self.coef)]

    def _check_still(self) -> None:
        """Check what `order` and `callback` may have changed."""
        X, X_then, y, y_then = self._given
        if not (_core.unchanged(X, X_then) and _core.unchanged(y, y_then)):
            raise ValueError("fit: X or y was resized or reshaped during the fit")
        if not self.optimizer.engine_is_step():
            raise ValueError(
                f"fit: {type(self.optimizer).__name__} does more in a step than fit "
                "can; pass a rule itself, and Adan without restart_radius"
            )
        if self.optimizer.gradient_elsewhere():
            raise ValueError(
                "fit: the optimizer wants gradients at its lookahead(), fit takes them "
                "at the coefficients; use SGD(nesterov=True, form='buffer')"
            )

    def check_finite(self, epoch: int) -> None:
        """Refuse to go on from, or to return, what is no solution."""
        if not self.finite:
            raise FloatingPointError(
                f"fit: coef is not finite after epoch {epoch} ({self.updates} "
                "updates); lower lr, or look for NaN and infinity in X and y"
            )

    def run(self, rows: Array) -> None:
        """Update for every batch of rows, looking at signals now and then."""
        self._check_still()
        size = self.batch_size
        at_once = max(1, _SLICE // max(1, size * self.X.shape[1])) * size
        for part in _parts(rows, at_once):
            self.finite = _lls.run(
                self.optimizer.engine,
                *(self.X, self.y, self._w, self._g, self._sum, part, size, self.mean),
            )
            self.updates += -(-len(part) // size)


def _parts(rows: Array, n: int) -> Iterable[Array]:
    """Cut rows into parts of n; at least one part, perhaps empty."""
    if len(rows) <= n:
        return (rows,)
    return (rows[at : at + n] for at in range(0, len(rows), n))


def _problem(who: str, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    """Return X and y as C-ordered arrays of one type, copied only if need be."""
    Xa, ya = _real_array(f"{who}: X", X), _real_array(f"{who}: y", y)
    if Xa.ndim != 2:
        raise ValueError(f"{who}: X must have shape (N, L), got {Xa.shape}")
    if ya.ndim not in (1, 2):
        raise ValueError(f"{who}: y must have shape (N,) or (N, K), got {ya.shape}")
    if len(Xa) != len(ya):
        raise ValueError(f"{who}: X has {len(Xa)} rows, y has {len(ya)}")
    dtype = np.float32 if Xa.dtype == np.float32 else np.float64
    return _plain(Xa, dtype), _plain(ya, dtype)


def _plain(a: Array, dtype: type) -> Array:
    """Return an array that C can read, the same one if it is so already."""
    if a.dtype == dtype and a.flags.c_contiguous and a.flags.aligned:
        return a
    return np.require(a, dtype, ["C", "A"])


def _real_array(name: str, value: npt.ArrayLike) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; pass value.filled(...)")
    try:
        a = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    if a.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {a.dtype}")
    return a


def _check_finite(name: str, a: Array) -> None:
    if not np.isfinite(a).all():
        raise ValueError(f"{name} must be finite, but holds NaN or infinity")


def _check_callable(name: str, value: object, example: str) -> None:
    if not callable(value):
        kind = type(value).__name__
        raise TypeError(f"fit: {name} must be callable, such as {example}, got {kind}")


def _rows(rows: npt.ArrayLike, n: int) -> Array:
    a = np.asarray(rows)
    if a.shape == (0,):
        return np.empty(0, np.int64)  # whatever type NumPy gave to []
    if a.ndim != 1 or a.dtype.kind not in "iu":
        raise TypeError(
            f"fit: order must return a 1-d array of integers, got {a.dtype} of shape "
            f"{a.shape}"
        )
    rows = np.array(a, np.int64)  # a copy, which nobody can change after the check
    if not _lls.rows_fit(rows, n):
        raise ValueError(
            f"fit: order must return rows in [0, {n}), got {a.min()} to {a.max()}"
        )
    return rows


def _visits(
    X: Array, shuffle: Any, seed: Any, order: Callable[[int], npt.ArrayLike] | None
) -> Callable[[int], Array]:
    """Return the function that gives the rows of an epoch, checked."""
    if shuffle not in ("auto", "rows", "blocks", None):
        raise ValueError(
            f"fit: shuffle must be 'auto', 'rows', 'blocks' or None, got {shuffle!r}"
        )
    key = _whole("seed", seed, 0)
    if key >= 2**64:
        raise ValueError(f"fit: seed must be below 2**64, got {key}")
    n, row_bytes = len(X), X.shape[1] * X.itemsize
    if order is not None:
        return lambda epoch: _rows(order(epoch), n)
    if shuffle is None:
        rows = np.arange(n)
        return lambda _: rows
    blocks = shuffle == "blocks" or (shuffle == "auto" and n * row_bytes >= _CACHED)
    return lambda epoch: _lls.shuffled(key, epoch, n, row_bytes, blocks)


def _reduction(value: Any) -> bool:
    if value not in ("sum", "mean"):
        raise ValueError(f"fit: reduction must be 'sum' or 'mean', got {value!r}")
    return bool(value == "mean")


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"fit: {name} must be int, got {type(value).__name__}")
    if value < low:
        raise ValueError(f"fit: {name} must be >= {low}, got {value}")
    return int(value)
