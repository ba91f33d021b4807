"""The trainer: an optimizer, its coefficients and the rows of a batch that waits."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradstep import _lls, dtypes
from gradstep.lls import arguments as check
from gradstep.lls.data import Block, Route, block, mismatch
from gradstep.lls.guard import Guard, Snapshot
from gradstep.lls.model import Model, Scaling
from gradstep.lls.state import read
from gradstep.optimizer import Optimizer
from gradstep.structure import Array

__all__ = ["Trainer"]

_LOOKED_AT = 256  # rows of a portion, to judge sizes by
# Numbers of X between two looks at pending signals: some 10 ms of work.
_SLICE = 2_000_000


class Trainer:
    r"""Least squares by mini-batches, for samples that arrive while it runs.

    Each batch of rows :math:`X_B, Y_B` with weights s gives one update by the gradient
    of its share of :math:`\sum_i s_i \lVert x_i W + b - y_i \rVert^2 + \text{ridge}
    \lVert W \rVert^2`.

    Parameters
    ----------
    features : int
        Columns of X, at least 0.
    targets : int or None
        Columns of y; None for y of shape (N,).
    optimizer : callable
        Takes the coefficients, or a list of coefficients and intercept, and returns a
        gradstep optimizer of them alone: ``functools.partial(gs.SGD, lr=1e-3)``.
    dtype : float32 or float64
        Of X, and of all arithmetic but sums, which are float64.
    batch_size : int
        Rows in a batch, at least 1.
    intercept : bool
        Whether there is a b; it is not penalised.
    ridge : float
        At least 0. It stands for as many rows as `partial_fit` is given at a time.
    reduction : {"sum", "mean"}
        ``"mean"`` divides gradients by the rows of their batch.
    average : bool or int
        Whether `coef` is the mean of the coefficients after each update (Polyak), and
        after how many updates that begins.
    coef0, intercept0 : array_like, optional
        Where to start; zeros by default.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    Averages: Polyak & Juditsky, "Acceleration of stochastic approximation by
    averaging", SIAM J. Control and Optimization 30, 1992.

    Examples
    --------
    >>> import functools, numpy as np, gradstep as gs
    >>> from gradstep import lls
    >>> sgd = functools.partial(gs.SGD, lr=0.05)
    >>> trainer = lls.Trainer(1, optimizer=sgd, batch_size=2, intercept=True)
    >>> for _ in range(500):
    ...     trainer = trainer.partial_fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> trainer.coef.round(6), round(trainer.intercept, 6), trainer.n_updates
    (array([2.]), 1.0, 1000)
    """

    def __init__(
        self,
        features: int,
        targets: int | None = None,
        *,
        optimizer: Callable[[Any], Optimizer],
        dtype: npt.DTypeLike = np.float64,
        batch_size: int = 256,
        intercept: bool = False,
        ridge: float = 0.0,
        reduction: Literal["sum", "mean"] = "sum",
        average: bool | int = False,
        coef0: npt.ArrayLike | None = None,
        intercept0: npt.ArrayLike | None = None,
        _scaling: Scaling | None = None,
        _who: str = "Trainer",
    ) -> None:
        who = self._who = _who
        if targets is not None:
            targets = check.whole(f"{who}: targets", targets, 0)
        self.features = check.whole(f"{who}: features", features, 0)
        self.targets = targets
        self.dtype = dtypes.checked_float(f"{who}: dtype", dtype)
        # More than all rows of an epoch is all of them, whatever C can count to.
        self.batch_size = min(check.whole(f"{who}: batch_size", batch_size, 1), 1 << 62)
        self.ridge = check.number(f"{who}: ridge", ridge, 0)
        check.one_of(f"{who}: reduction", reduction, ("sum", "mean"))
        self.mean = reduction == "mean"
        if isinstance(average, (bool, np.bool_)):
            self._average_after = 0 if average else None
        else:
            self._average_after = check.whole(f"{who}: average", average, 0)
        self.model = Model(
            self.features,
            targets,
            self.dtype,
            intercept=check.flag(f"{who}: intercept", intercept),
            scaling=_scaling,
        )
        self.model.begin_at(who, coef0, intercept0)
        self.optimizer = check.own_optimizer(who, optimizer, self.model.params)
        self._loop = _lls.Loop(
            self.optimizer.engine,
            self.model.arrays(),
            batch=self.batch_size,
            divide=self.mean,
        )
        self._block: Block | None = None
        self._seen = (0, 0.0)  # rows of updates in this epoch, squares of residuals
        self._failed = False
        self._guard = Guard(self.model)
        self._recent = np.empty(0, np.int64)  # rows of the last portion
        self._turn = threading.Lock()

    # -- what has been found

    @property
    def n_updates(self) -> int:
        """Updates done."""
        return int(self._loop.updates)

    @property
    def solution(self) -> tuple[Array, Any]:
        """Coefficients and intercept in the units of X, as new arrays."""
        if self._loop.averaged:
            return self.model.in_units(*self.model.averaged(self._loop.averaged))
        found = self.optimizer.results()
        return self.model.in_units(found[0], found[1] if len(found) > 1 else None)

    @property
    def coef(self) -> Array:
        """The coefficients, (L,) or (L, K)."""
        return self.solution[0]

    @property
    def intercept(self) -> Any:
        """The intercept: a float, or an array of shape (K,)."""
        return self.solution[1]

    @property
    def loss(self) -> float:
        """The mean of s |r|^2 over the rows of this epoch or call."""
        rows, squares = self._loop.counted
        return squares / rows if rows else math.nan

    @property
    def lr(self) -> float:
        """The rate of the optimizer's first group."""
        return float(self.optimizer.param_groups[0].get("lr", math.nan))

    # -- rows

    def partial_fit(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> "Trainer":
        """Go through these rows once, in the order in which they stand.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, features)
        y : array_like, shape (n,) or (n, targets)
        sample_weight : array_like, shape (n,), optional

        Returns
        -------
        Trainer
            This one.

        Raises
        ------
        TypeError, ValueError
            If they do not fit. No coefficient has been changed then.
        DivergenceError
            If the loss grows past reason. The coefficients are the last good ones; the
            states of the optimizer are not, so no more rows are taken.
        """
        if not hasattr(X, "dtype"):
            name = f"{self._who}.partial_fit: X"
            X = check.narrowed(name, check.real_array(name, X), self.dtype)
        found = block(f"{self._who}.partial_fit", X, y, sample_weight)
        if difference := mismatch(found, self):
            name, here, expected = difference
            raise ValueError(
                f"{self._who}.partial_fit: the rows have {name} {here}, expected "
                f"{expected}"
            )
        with self._alone("partial_fit"):
            self._go_through(found)
        return self

    def _go_through(self, found: Block) -> None:
        if self._failed:
            raise ValueError(
                f"{self._who}.partial_fit: an earlier call diverged, and the "
                "optimizer's states with it; use load_state_dict, or build a new "
                "trainer with coef0 and a lower lr"
            )
        self.penalise(len(found.y))
        self.begin_epoch()
        try:
            self.run(found, Route(np.arange(len(found.y))))
            self.flush()
            self.check_end()
        except BaseException:
            self._loop.forget()  # rows of an update that will not come
            raise

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        """Refuse a second thread: C holds the arrays of the first."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(
                f"{self._who}.{what}: another thread is in a call of this trainer; "
                "take turns"
            )
        try:
            yield
        finally:
            self._turn.release()

    def penalise(self, n: int | None) -> None:
        """Spread the penalty over n rows."""
        self._loop.ridge = check.penalty(self._who, self.ridge, n)

    def begin_epoch(self) -> None:
        """Count rows and squares from here."""
        self._loop.clear_loss()
        self._seen = (0, 0.0)

    @property
    def waiting(self) -> int:
        """Rows of a batch that is not full yet."""
        return int(self._loop.filled)

    def rows_until(self, updates: int) -> int:
        """Return how many rows are wanting until so many updates have been done."""
        wanting = max(0, updates - self.n_updates) * self.batch_size
        return max(0, wanting - self.waiting)

    def run(self, found: Block, route: Route) -> None:
        """Update for every batch that is filled, looking at signals now and then."""
        self._take(found)
        check.only_steps(self._who, self.optimizer)
        if self.optimizer.engine is not self._loop.engine:
            raise ValueError(f"{self._who}: the optimizer has been given other arrays")
        at_once = max(256, _SLICE // max(1, found.row_bytes // 8))
        at = 0
        while at < len(route.rows):
            size = at_once
            begins = self._average_after
            if begins is not None and self.model.total is None:
                wanting = self.rows_until(begins)
                if wanting:
                    size = min(size, wanting)
                else:
                    self.model.average()
                    self._loop.set_total(self.model.total)
            part = route.part(at, at + size)
            self._recent = part.rows[-_LOOKED_AT:].copy()
            before = self.model.snapshot()
            self._judge(self._loop.run(*part), before)
            at += size

    def flush(self) -> None:
        """Update with the rows that wait, if there are any."""
        before = self.model.snapshot()
        self._judge(self._loop.flush(), before)

    def _take(self, found: Block) -> None:
        if found is not self._block:
            self._loop.set_data(found.X, found.y, found.weight, found.watch)
            self._block, self._recent = found, np.empty(0, np.int64)

    def _judge(self, finite: bool, before: Snapshot) -> None:
        """Refuse to go on where a portion of rows has a loss past reason."""
        then, self._seen = self._seen, self._loop.counted
        rows, squares = (a - b for a, b in zip(self._seen, then, strict=True))
        found, sound = self._block, math.isfinite(self._loop.waiting)
        if found is None or (rows == 0 and sound):
            return
        loss = squares / rows if rows and finite and sound else math.nan
        if not self._guard.passes(loss, before, found, self._recent):
            self._fail(loss, found)

    def check_end(self) -> None:
        """Look at what the last updates have left, which no later row will."""
        found, rows = self._block, self._recent
        if found is not None and len(rows) and self.n_updates:
            loss = self._loop.loss(rows)
            if not self._guard.reasonable(loss, found, rows):
                self._fail(loss, found)

    def _fail(self, loss: float, found: Block) -> None:
        self.model.restore(self._guard.good)
        self._loop.forget()
        self._failed = True
        raise self._guard.error(
            *(self._who, loss, found),
            lr=self.lr,
            updates=self.n_updates,
            batch_size=self.batch_size,
            mean=self.mean,
        )

    # -- saving and loading

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self._who} cannot be pickled or copied; save its state_dict(), and load "
            "it into one with the same arguments"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, bit for bit.

        It holds arrays, numbers and the optimizer's `state_dict`, all copied.
        """
        with self._alone("state_dict"):
            return self._saved()

    def _saved(self) -> dict[str, Any]:
        if self._failed:
            raise ValueError(
                f"{self._who}.state_dict: a call diverged, and the optimizer's states "
                "with it; there is nothing good to save but coef and intercept"
            )
        if self._loop.filled:
            raise ValueError(
                f"{self._who}.state_dict: {self._loop.filled} rows wait for their "
                "batch; call flush() first"
            )
        coef, offset = self.model.snapshot()
        total = self.model.total if self._loop.averaged else None
        return {
            "coef": coef,
            "offset": offset,
            "total": None if total is None else total.copy(),
            "averaged": self._loop.averaged,
            "n_updates": self.n_updates,
            "counted": self._loop.counted,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, of a trainer with these arguments.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it does not fit. Nothing has been changed then.
        """
        with self._alone("load_state_dict"):
            self._load(f"{self._who}.load_state_dict", state)

    def _load(self, who: str, state: Mapping[str, Any]) -> None:
        averages = self._average_after is not None
        found = read(who, state, self.model, averages=averages)
        self.optimizer.load_state_dict(found.optimizer)
        self._loop.clear_loss(*found.counted)
        self._seen = self._loop.counted
        self.model.restore((found.coef, found.offset))
        self._loop.forget()
        self._loop.updates, self._loop.averaged = found.n_updates, found.averaged
        self.model.total = None if found.total is None else found.total.copy()
        self._loop.set_total(self.model.total)
        self._failed = False
        self._guard.begin_again()
