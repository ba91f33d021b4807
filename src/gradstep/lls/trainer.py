"""The trainer: an optimizer, its coefficients and the rows of a batch that waits."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradstep import _lls, dtypes
from gradstep._core import ieee
from gradstep.lls import arguments as check
from gradstep.lls.data import Block, InMemory, Route, block, mismatch
from gradstep.lls.guard import Coefficients, Guard, is_safe, mean_square
from gradstep.lls.model import Model, Scaling, measured
from gradstep.lls.nonfinite import nonfinite_error, nonfinite_place
from gradstep.lls.prediction import predict
from gradstep.lls.result import DivergenceError, NonFiniteError
from gradstep.lls.snapshot import OptimizerSnapshot, Snapshot, Totals
from gradstep.lls.standardization import copied, identity, overwrite, scaling_of
from gradstep.lls.state import ARGUMENTS, check_same_scaling, read
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
        At least 0. The penalty is spread over the rows of each `partial_fit` call.
    reduction : {"sum", "mean"}
        ``"mean"`` divides gradients by the rows of their batch.
    average : bool or int
        Whether `coef` is the mean of the coefficients after each update (Polyak), and
        after how many updates that begins.
    coef0, intercept0 : array_like, optional
        Where to start; zeros by default.
    standardize : bool or tuple (mean, deviation)
        Train on (x - mean) / deviation. The problem stays as it is, its penalty too,
        and so do the units of all coefficients; but steps are more equal. True: by the
        means and deviations of the rows in the first call, which should hold some
        hundred; later calls keep them. Or by these arrays of shape (L,), the deviations
        above 0, such as ``mean_`` and ``scale_`` of scikit-learn's `StandardScaler`.
        Without an intercept nothing can be shifted: the mean is None, and True divides
        by the root mean square.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    Threads take turns: while one is in a call, calls of others raise RuntimeError, and
    so does reading `coef`, `intercept` and `solution`. `loss`, `objective`, `n_updates`
    and `lr` can be read at any time; during a call they are those of a moment ago.

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
    >>> trainer.predict([[3.0]]).round(6)
    array([7.])
    """

    @ieee
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
        standardize: bool | tuple[npt.ArrayLike | None, npt.ArrayLike] = False,
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
        self.reduction = check.one_of(f"{who}: reduction", reduction, ("sum", "mean"))
        if isinstance(average, (bool, np.bool_)):
            self._average_after = 0 if average else None
        else:
            self._average_after = check.whole(f"{who}: average", average, 0)
        has_intercept = check.flag(f"{who}: intercept", intercept)
        scaling, self._measures_scaling = _scaling, False
        if _scaling is None:
            scaling, self._measures_scaling = scaling_of(
                f"{who}: standardize", standardize, self.features, has_intercept
            )
        self._awaits_scaling = self._measures_scaling
        self.model = Model(
            self.features,
            targets,
            self.dtype,
            intercept=has_intercept,
            scaling=scaling,
        )
        self.model.begin_at(who, coef0, intercept0)
        self.optimizer = check.own_optimizer(who, optimizer, self.model.params)
        self._loop = _lls.Loop(
            self.optimizer.engine,
            self.model.arrays(),
            batch=self.batch_size,
            divide=self.reduction == "mean",
        )
        self._block: Block | None = None
        self._failed = False
        self._guard = Guard(self.model)
        self._recent = np.empty(0, np.int64)  # rows of the last portion
        self._turn = threading.Lock()
        # What other threads may read at any time: C counts while they run.
        self._totals = Totals()
        self.weight_sum = 0.0  # of the rows of this epoch or call

    # -- results

    @property
    def n_updates(self) -> int:
        """Updates done."""
        return self._totals.updates

    @property
    @ieee
    def solution(self) -> tuple[Array, Any]:
        """Coefficients and intercept in the units of X, as new arrays."""
        self._take_turn("solution")
        try:
            return self._solution()
        finally:
            self._turn.release()

    def _solution(self) -> tuple[Array, Any]:
        if self._loop.averaged:
            return self.model.in_units(*self.model.averaged(self._loop.averaged))
        results = self.optimizer.results()
        return self.model.in_units(results[0], results[1] if len(results) > 1 else None)

    @property
    def coef(self) -> Array:
        """The coefficients, (L,) or (L, K)."""
        return self.solution[0]

    @property
    def intercept(self) -> Any:
        """The intercept: a float, or an array of shape (K,)."""
        return self.solution[1]

    @property
    @ieee
    def loss(self) -> float:
        """The mean of s |r|^2 over the rows of this epoch or call, NaN before any.

        Each residual is at the coefficients of its batch.
        """
        totals = self._totals
        return totals.mean(totals.squares)

    @property
    @ieee
    def objective(self) -> float:
        """`loss` plus the penalty for each row, at the same coefficients."""
        totals = self._totals
        return totals.mean(totals.squares + totals.penalties)

    @property
    def lr(self) -> float:
        """The rate of the optimizer's first group."""
        return float(self.optimizer.param_groups[0].get("lr", math.nan))

    def predict(self, X: Any) -> Array:
        """Return X coef + intercept: see `Fit.predict`."""
        return predict(f"{self._who}.predict", X, *self.solution)

    def __repr__(self) -> str:
        return (
            f"Trainer({self.features}, {self.targets}, "
            f"optimizer={type(self.optimizer).__name__}, dtype={self.dtype}, "
            f"batch_size={self.batch_size}, n_updates={self.n_updates}, "
            f"loss={self.loss:.6g})"
        )

    # -- rows

    @ieee
    def partial_fit(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> "Trainer":
        """Go through these rows once, in the order in which they stand.

        If the call fails, the trainer stays as it was; but see `DivergenceError`.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, features)
        y : array_like, shape (n,) or (n, targets)
        sample_weight : array_like, shape (n,), optional
            At least 0. Rows of weight 0 add nothing to a gradient, but fill batches and
            share the penalty. If there are no other rows, or none at all, the call
            does nothing: no coefficient, momentum or count changes, and `loss` stays
            that of the call before.

        Returns
        -------
        Trainer
            This one.

        Raises
        ------
        TypeError, ValueError
            If they do not fit, or hold NaN or infinity (`NonFiniteError`).
        DivergenceError
            If training diverges, judged by the weighted mean of |r|^2. The coefficients
            are the last good ones; the states of the optimizer are not, so no more rows
            are taken.
        RuntimeError
            If another thread is in a call.

        Notes
        -----
        A call first copies the coefficients and the states of the optimizer.
        """
        rows = self._checked(X, y, sample_weight)
        self._take_turn("partial_fit")
        try:
            self._check_not_failed()
            if len(rows.y) and rows.weighs:
                self._go_through(rows)
        finally:
            self._turn.release()
        return self

    def _checked(self, X: Any, y: Any, sample_weight: Any) -> Block:
        who = f"{self._who}.partial_fit"
        if not hasattr(X, "dtype"):
            X = check.narrowed(
                f"{who}: X", check.real_array(f"{who}: X", X), self.dtype
            )
        rows = block(who, X, y, sample_weight)
        if difference := mismatch(rows, self):
            name, here, expected = difference
            raise ValueError(f"{who}: the rows have {name} {here}, expected {expected}")
        return rows

    def _check_not_failed(self) -> None:
        if self._failed:
            raise ValueError(
                f"{self._who}.partial_fit: an earlier call diverged, and the "
                "optimizer's states with it; use load_state_dict, or build a new "
                "trainer with coef0 and a lower lr"
            )

    def _go_through(self, rows: Block) -> None:
        before = self.snapshot()
        try:
            if self._awaits_scaling:
                self._measure_scaling(rows)
            self.penalise(len(rows.y))
            self.begin_epoch()
            self.run(rows, Route(np.arange(len(rows.y))))
            self.flush()
            self.check_end()
        except BaseException as error:
            if isinstance(error, DivergenceError) and self._failed:
                raise
            self.restore(before)
            if isinstance(error, NonFiniteError):
                error.coef, error.intercept = self._solution()
            raise

    def _measure_scaling(self, rows: Block) -> None:
        """Scale features as these rows have them, from here on."""
        scaling = self.model.scaling
        assert scaling is not None
        coef, intercept = self.model.in_units(self.model.coef, self.model.offset)
        overwrite(scaling, measured(InMemory(rows), centre=scaling.mean is not None))
        offset = None if self.model.offset is None else intercept
        self.model.begin_at(self._who, coef, offset)
        self._guard = Guard(self.model)
        self._awaits_scaling = False

    def snapshot(self) -> Snapshot:
        """Return copies of all that `partial_fit` changes, for `restore`."""
        total = self.model.total
        scaling = self.model.scaling if self._awaits_scaling else None
        return Snapshot(
            OptimizerSnapshot(self.optimizer),
            self.model.snapshot(),
            None if total is None else total.copy(),
            self._loop.averaged,
            self._totals,
            dict(vars(self._guard)),
            None if scaling is None else copied(scaling),
        )

    def restore(self, before: Snapshot) -> None:
        """Go back to where `snapshot` was taken."""
        before.optimizer.restore()
        self.model.restore(before.coefficients)
        if before.scaling is not None and self.model.scaling is not None:
            overwrite(self.model.scaling, before.scaling)
            self._awaits_scaling = True
        vars(self._guard).update(before.guard)
        self._failed = False
        self._go_on_from(before.totals, before.averaged, before.total)

    def _go_on_from(self, totals: Totals, averaged: int, total: Array | None) -> None:
        """Forget rows that wait, and count and average on from here."""
        self._loop.forget()
        self._loop.updates, self._loop.averaged = totals.updates, averaged
        self._loop.clear_loss(*totals[1:])
        self._totals = totals
        self.model.total = total
        self._loop.set_total(total)

    def _take_turn(self, what: str) -> None:
        """Refuse a second thread: C holds the arrays of the first.

        Who takes the turn releases it, in a `finally` clause: to leave a `with` block
        takes memory, and may fail when all else is done.
        """
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(
                f"{self._who}.{what}: another thread is in a call of this trainer; "
                "take turns"
            )

    def penalise(self, n: int | None) -> None:
        """Spread the penalty over n rows."""
        self._loop.ridge = check.penalty(self._who, self.ridge, n)

    def begin_epoch(self) -> None:
        """Count rows and squares from here."""
        self._loop.clear_loss()
        self._totals = Totals(self._totals.updates)
        self.weight_sum = 0.0

    @property
    def waiting(self) -> int:
        """Rows of a batch that is not full yet."""
        return int(self._loop.filled)

    def rows_until(self, updates: int) -> int:
        """Return how many rows are wanting until so many updates have been done."""
        wanting = max(0, updates - self.n_updates) * self.batch_size
        return max(0, wanting - self.waiting)

    def run(self, rows: Block, route: Route) -> None:
        """Update for every batch that is filled, looking at signals now and then."""
        self._take(rows)
        check.only_steps(self._who, self.optimizer)
        if self.optimizer.engine is not self._loop.engine:
            raise ValueError(f"{self._who}: the optimizer has been given other arrays")
        at_once = max(256, _SLICE // max(1, rows.row_bytes // 8))
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
            self._recent = self._some_with_weight(rows, part.rows)
            before = self.model.snapshot()
            self._judge(self._loop.run(*part), before, part.rows)
            at += size

    def flush(self) -> None:
        """Update with the rows that wait, if there are any."""
        if self.waiting:
            before = self.model.snapshot()
            self._judge(self._loop.flush(), before, self._recent)

    def _take(self, rows: Block) -> None:
        if rows is not self._block:
            self._loop.set_data(rows.X, rows.y, rows.weight, rows.watch)
            self._block, self._recent = rows, np.empty(0, np.int64)

    def _some_with_weight(self, block: Block, rows: Array) -> Array:
        """Return a copy of the last of these rows that have a weight."""
        if block.weight is not None:
            rows = rows[block.weight[rows] > 0]
        return rows[-_LOOKED_AT:].copy()

    def _judge(self, is_finite: bool, before: Coefficients, visited: Array) -> None:
        """Raise where a portion of rows shows that training has diverged.

        `is_finite` says whether all coefficients are; `visited` are the portion's rows
        in the present block.
        """
        rows, weight, squares = self._loop.last_run
        self.weight_sum += weight
        self._totals = Totals(self._loop.updates, *self._loop.counted)
        block = self._block
        sums_are_finite = math.isfinite(squares) and math.isfinite(self._loop.waiting)
        if block is None or (rows == 0 and is_finite and sums_are_finite):
            return
        if not (is_finite and sums_are_finite):
            self._check_rows(block, visited)
        loss: float | None = math.nan
        if is_finite and sums_are_finite and is_safe(weight):
            loss = squares / weight
        elif is_finite:
            present = self.model.in_units(self.model.coef, self.model.offset)
            loss = mean_square(block, visited, *present)
        if loss is not None and not self._guard.passes(loss, before, block, visited):
            self._fail(loss, block)

    def _check_rows(self, block: Block, visited: Array) -> None:
        """Raise if it is the data that hold NaN or infinity."""
        place = nonfinite_place(block, visited)
        if place is not None:
            self._loop.forget()
            good = self.model.in_units(*self._guard.good)
            raise nonfinite_error(self._who, place, *good)

    def check_end(self) -> None:
        """Look at what the last updates have left, which no later row will."""
        block, rows = self._block, self._recent
        if block is None or not len(rows) or not self.n_updates:
            return
        loss = self._loop.loss(rows)
        if block.weight is not None:
            with np.errstate(over="ignore"):
                weight = float(block.weight[rows].sum())
            if is_safe(weight) and math.isfinite(loss):
                loss *= len(rows) / weight
            else:
                present = self.model.in_units(self.model.coef, self.model.offset)
                loss = mean_square(block, rows, *present) or 0.0
        if not self._guard.is_reasonable(loss, block, rows):
            self._fail(loss, block)

    def _fail(self, loss: float, block: Block) -> None:
        self.model.restore(self._guard.good)
        self._loop.forget()
        self._failed = True
        raise self._guard.error(
            *(self._who, loss, block),
            lr=self.lr,
            updates=self.n_updates,
            batch_size=self.batch_size,
            mean=self.reduction == "mean",
            ridge=self._loop.ridge,
        )

    # -- saving and loading

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self._who} cannot be pickled or copied; save its state_dict(), and load "
            "it into one with the same arguments"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, bit for bit.

        It holds arrays, numbers and the optimizer's `state_dict`, all copied, and the
        arguments with which the trainer was built.
        """
        self._take_turn("state_dict")
        try:
            return self._saved()
        finally:
            self._turn.release()

    def _arguments(self) -> dict[str, Any]:
        """Return those that a state must have been saved with, as plain values."""
        after = self._average_after
        values = {
            "dtype": str(self.dtype),
            "intercept": self.model.offset is not None,
            "average": after or after is not None,
            "standardize": self.model.scaling is not None,
        }
        return {
            name: values[name] if name in values else getattr(self, name)
            for name in ARGUMENTS
        }

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
        scaling = None if self._awaits_scaling else self.model.scaling
        return {
            **self._arguments(),
            "scaling": None if scaling is None else copied(scaling)._asdict(),
            "coef": coef,
            "offset": offset,
            "total": None if total is None else total.copy(),
            "averaged": self._loop.averaged,
            "n_updates": self.n_updates,
            "counted": (self._totals.rows, self._totals.squares),
            "penalties": self._totals.penalties,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, of a trainer with these arguments.

        With ``standardize=True``, the measured means and deviations are taken over.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it does not fit, or was saved by a trainer with other arguments. Nothing
            has been changed then.
        """
        self._take_turn("load_state_dict")
        try:
            self._load(f"{self._who}.load_state_dict", state)
        finally:
            self._turn.release()

    def _load(self, who: str, state: Mapping[str, Any]) -> None:
        scaling = self.model.scaling
        saved = read(who, state, self.model, self._arguments())
        if scaling is not None and not self._measures_scaling:
            check_same_scaling(who, saved.scaling, scaling)
        self.optimizer.load_state_dict(saved.optimizer)
        self.model.restore((saved.coef, saved.offset))
        if scaling is not None and self._measures_scaling:
            self._awaits_scaling = saved.scaling is None
            overwrite(scaling, saved.scaling or identity(scaling))
        totals = Totals(saved.n_updates, *saved.counted, saved.penalties)
        self._go_on_from(totals, saved.averaged, saved.total)
        self._failed = False
        self._guard.begin_again()
