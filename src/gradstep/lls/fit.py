"""`fit`: epochs of a trainer over data, and when to stop."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias

import numpy.typing as npt

from gradstep._core import ieee
from gradstep.lls import arguments as check
from gradstep.lls import lists
from gradstep.lls.data import Chunks, Data, InMemory, block, checked_order
from gradstep.lls.default import minimise, most_steps
from gradstep.lls.epochs import Epochs, Patience
from gradstep.lls.files import Source
from gradstep.lls.model import measured
from gradstep.lls.on_disk import OnDisk
from gradstep.lls.paths import opened
from gradstep.lls.progress_bar import ProgressBar
from gradstep.lls.result import ConvergenceWarning, Fit, Progress
from gradstep.lls.trainer import Trainer
from gradstep.lls.validation import held_out
from gradstep.lr_scheduler import ReduceLROnPlateau
from gradstep.optimizer import Optimizer

__all__ = ["fit"]

Callback: TypeAlias = Callable[[Progress], object]


@ieee
def fit(
    X: Any,
    y: npt.ArrayLike | PathLike[str] | None = None,
    *,
    optimizer: Callable[[Any], Optimizer] | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    intercept: bool = False,
    ridge: float = 0.0,
    sample_weight: npt.ArrayLike | PathLike[str] | None = None,
    reduction: Literal["sum", "mean"] = "sum",
    standardize: bool | None = None,
    shuffle: Literal["auto", "rows", "blocks"] | None = "auto",
    seed: int = 0,
    order: Callable[[int], npt.ArrayLike] | None = None,
    scheduler: Callable[[Optimizer], Any] | None = None,
    schedule_by: Literal["epoch", "update"] = "epoch",
    average: bool | int = False,
    validation: float | Sequence[Any] | Source | None = None,
    tol: float | None = None,
    patience: int = 5,
    callback: Callback | None = None,
    callback_every: int | None = None,
    progress: bool = False,
    coef0: npt.ArrayLike | None = None,
    intercept0: npt.ArrayLike | None = None,
) -> Fit:
    r"""Fit with mini-batches and any optimizer, or exactly (the default).

    Minimises :math:`\sum_i s_i \lVert x_i W + b - y_i \rVert^2 + \text{ridge} \lVert W
    \rVert^2`. Each batch of rows B gives one update by the gradient of its share, for W
    :math:`2 \sum_{i \in B} s_i x_i^\top (x_i W + b - y_i) + 2 \,\text{ridge}
    \frac{|B|}{N} W`, divided by :math:`|B|` if `reduction` is ``"mean"``.

    Without an `optimizer`, the solution is computed along conjugate directions, on all
    rows at each step, as exactly as rounding allows; if there are several solutions, it
    is the one of least :math:`\lVert W \rVert`, as scikit-learn's `LinearRegression`
    has it. A column that does not vary beside an intercept gets the coefficient 0.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (N, L), or file or iterable
        float32 or float64 in C order, and values in CSR of these, are used as they are;
        indices of CSR and anything else are copied once, numbers of other types as
        float64. Or the path of a .npy file; the path of a Parquet file, a folder or
        glob of these, or a list of paths; a list of matrices. Or `NpyFile`,
        `ParquetFile`, or an iterable of chunks (X, y) or (X, y, sample_weight), read
        anew in each epoch; `y` and `sample_weight` are left out then.
    y : array_like, shape (N,) or (N, K)
        Copied if it is not of the type and order of X. With the path of a .npy file, an
        array or the path of another; with those of Parquet files, the name of the
        target column, or a list of names; with a list of matrices, a list of arrays.
    optimizer : callable, optional
        Takes the coefficients, or a list of coefficients and intercept, and returns a
        gradstep optimizer of them alone: ``functools.partial(gs.SGD, lr=1e-3)``.
    batch_size : int, optional
        Rows in a batch, at least 1; the last batch of an epoch may be shorter. By
        default 256.
    epochs : int, optional
        Passes over the data, at least 0. By default 100, or 1 of an iterator that can
        be read once; without an `optimizer`, the most steps, as many as 1000 or ten for
        each column.
    intercept : bool
        Whether there is a b, which is not penalised.
    ridge : float
        At least 0. With an `optimizer`, the rows of chunks are counted first, so they
        must be iterable again.
    sample_weight : array_like, shape (N,), optional
        s, at least 0 and not all zero; 1 by default. With paths, as `y`.
    reduction : {"sum", "mean"}
    standardize : bool, optional
        Train on (x - mean) / deviation, found in one pass and nowhere stored, or on x /
        root mean square if there is no intercept. The problem stays as it is, its
        penalty too, and so do the units of all coefficients; but steps are more equal.
        By default False. Without an `optimizer` it makes no difference.
    shuffle : {"auto", "rows", "blocks"} or None
        The order of rows, another in each epoch. ``"rows"``: any order is as likely as
        any other. ``"blocks"``: blocks of 64 KiB of consecutive rows in such an order,
        and the rows of every 4 of them, a quarter MiB, shuffled together. Where X is
        larger than caches, ``"rows"`` waits for memory, and ``"blocks"`` runs at nearly
        the speed of reading in order; but rows that stand near each other are visited
        at about the same time. ``"auto"``: ``"blocks"`` for X of 4 MiB and more, and
        the rows of each chunk of an iterable. None: as they stand.
    seed : int, default 0
        In [0, 2**64): orders are a function of it and of the number of the epoch, the
        same on every machine.
    order : callable, optional
        Takes the number of the epoch, from 0, and returns the rows to visit, in order,
        as integers in [0, N), instead of `shuffle`. With `validation` as a fraction,
        rows of those that are left.
    scheduler : callable, optional
        Takes the optimizer and returns a scheduler of `gradstep.lr_scheduler`, such as
        ``functools.partial(StepLR, step_size=10)``. `ReduceLROnPlateau` is shown the
        loss of the validation set or, without one, the objective of the epoch.
    schedule_by : {"epoch", "update"}
        When the scheduler steps. By updates, each costs some microseconds more, and a
        look at all coefficients.
    average : bool or int
        Return the mean of the coefficients after each update (Polyak), and after how
        many updates that begins.
    validation : float or tuple (X, y) or (X, y, sample_weight) or file, optional
        Rows that are not trained on: arrays, paths or a file, or this fraction of X,
        chosen by `seed`. A fraction of a file is made of blocks of consecutive rows, or
        of row groups where a file has many.
    tol : float, optional
        In [0, 1). Stop when for `patience` epochs what is watched has not fallen below
        (1 - tol) times its least value so far: the loss of the validation set, and then
        the coefficients are those where it was least; or, without one, the objective of
        the epoch, which is the loss and the penalty. By default never. Without an
        `optimizer`:
        stop, for each target, when :math:`|A^\top r| \le \text{tol} |A| |r|` or
        :math:`|r| \le \text{tol} (|y - \bar y| + |A| |w|)`, with A the weighted and
        centred X, columns divided by powers of two, and the Frobenius norm: W is then
        the exact solution for data that differ by a share of `tol`. By default what
        rounding to float64 allows, for float32 data too.
    patience : int
        At least 1.
    callback : callable, optional
        Called with a `Progress` at the end of each epoch; a true result ends the fit.
    callback_every : int, optional
        Call `callback` after every so many updates of an epoch, too.
    progress : bool
        Show a bar of the epochs, with loss and validation loss, by tqdm.
    coef0, intercept0 : array_like, optional
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
    NonFiniteError
        If rows hold NaN or infinity. It names row and column of the first.
    DivergenceError
        If the loss grows past reason, or is not finite. It names the rate, an estimate
        of the largest that is stable, and keeps the last good coefficients.

    Warns
    -----
    ConvergenceWarning
        If without an `optimizer` the `epochs` do not suffice for `tol`, or if columns
        depend on one another so nearly that half of the digits of coefficients may be
        wrong; it names the condition of X.

    Notes
    -----
    Without an `optimizer`, arithmetic is in float64; with an intercept, dense columns
    are centred before anything is multiplied; and units of columns and targets are
    powers of two, so that neither large means nor large or small units cost digits.
    Errors of W are a small multiple of :math:`\epsilon (\kappa + \kappa^2 |r| / (|A|
    |w|))`, where :math:`\kappa` is the condition of A. Singular values below :math:`8
    \epsilon \sqrt L` of those of columns at right angles (for float32 X,
    :math:`2^{-23} \sqrt L`) count as 0. A step takes two passes over the data.

    Residuals and gradients are summed in float64 in a fixed order, so the result has
    the same bits on every CPU, for any number of threads, and however the same rows are
    cut into chunks. Each row is read once per epoch. The loop runs in C without the
    GIL; threads share batches of 256 rows and more of some 100 columns and more. Ctrl-C
    ends it between two updates.

    Sparse rows: an update by `SGD` without momentum or by `Adagrad`, without weight
    decay, costs in proportion to the values in its rows; so does it not for other
    rules, and with `ridge`, `standardize` or `average`, which change every coefficient
    in each update. Once in some 10 ms, all coefficients are looked at.

    Examples
    --------
    >>> import functools, numpy as np, gradstep as gs
    >>> from gradstep import lls
    >>> X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    >>> y = np.array([1.0, 3.0, 5.0, 7.0])
    >>> sgd = functools.partial(gs.SGD, lr=0.05)
    >>> done = lls.fit(X, y, optimizer=sgd, batch_size=2, epochs=500)
    >>> done.coef.round(6), done.n_updates
    (array([1., 2.]), 1000)
    >>> lls.fit(X, y).coef.round(6)
    array([1., 2.])
    """
    check.flag("fit: intercept", intercept)
    check.flag("fit: progress", progress)
    if callback is not None:
        check.is_callable("fit: callback", callback, "print")
    every = None
    if callback_every is not None:
        every = check.whole("fit: callback_every", callback_every, 1)
    if tol is not None:
        tol = check.tolerance("fit: tol", tol)
    ridge = check.number("fit: ridge", ridge, 0)
    check.one_of("fit: reduction", reduction, ("sum", "mean"))
    check.one_of("fit: schedule_by", schedule_by, ("epoch", "update"))
    patience = check.whole("fit: patience", patience, 1)
    visiting = checked_order(shuffle, seed, order)
    data = _data(X, y, sample_weight, wide_targets=optimizer is None)
    data, held = held_out("fit", data, validation, visiting.seed)
    if optimizer is not None and ridge and isinstance(data, Chunks) and not data.once:
        data.count_rows()
    scaled = standardize is not None and check.flag("fit: standardize", standardize)
    if scaled:
        _check_many_passes(data, "standardize=True")
    if optimizer is None:
        _check_many_passes(data, "a fit without an optimizer")
        _refuse(
            batch_size=batch_size,
            scheduler=scheduler,
            order=order,
            validation=validation,
            average=None if average is False else average,
            callback_every=callback_every,
            schedule_by=None if schedule_by == "epoch" else schedule_by,
        )
        most = _most(epochs, data, most_steps(data.features))
        with ProgressBar(most, is_shown=progress) as steps:
            done = minimise(
                data,
                intercept=intercept,
                ridge=ridge,
                coef0=coef0,
                intercept0=intercept0,
                tol=tol,
                steps=steps,
                callback=callback,
            )
        if done.message:
            warnings.warn(done.message, ConvergenceWarning, stacklevel=2)
        return done
    trainer = Trainer(
        *(data.features, data.targets),
        optimizer=optimizer,
        dtype=data.dtype,
        batch_size=256 if batch_size is None else batch_size,
        intercept=intercept,
        ridge=ridge,
        reduction=reduction,
        average=average,
        coef0=coef0,
        intercept0=intercept0,
        _scaling=measured(data, centre=intercept) if scaled else None,
        _who="fit",
    )
    by_update = schedule_by == "update"
    training = Epochs(
        *(trainer, data, visiting),
        validation=held,
        scheduler=_scheduler(scheduler, trainer.optimizer, by_update=by_update),
        by_update=by_update,
        patience=Patience(tol, patience),
        callback=callback,
        every=every,
    )
    with ProgressBar(_most(epochs, data, 100), is_shown=progress) as bar:
        return training.run(bar)


def _data(X: Any, y: Any, sample_weight: Any, *, wide_targets: bool) -> Data:
    source = opened("fit", X, y, sample_weight)
    if source is not None:
        return OnDisk(source)
    if y is not None and lists.are_matrices(X):
        chunks = lists.zipped("fit", X, y, sample_weight)
        return Chunks(chunks, wide_targets=wide_targets)
    if y is not None:
        if isinstance(X, Iterator) or hasattr(X, "read"):
            raise TypeError("fit: y must be left out where X is a file or an iterator")
        found = block("fit", X, y, sample_weight, wide_targets=wide_targets)
        found.check_weights("fit")
        return InMemory(found)
    if sample_weight is not None:
        raise TypeError("fit: sample_weight needs y; files and chunks have their own")
    if isinstance(X, Source):
        return OnDisk(X)
    if hasattr(X, "__iter__") and not hasattr(X, "__array__"):
        return Chunks(X, wide_targets=wide_targets)
    raise TypeError(
        "fit: y is missing; pass y, or for X a file or an iterable of (X, y) "
        f"chunks, got {type(X).__name__}"
    )


def _most(epochs: int | None, data: Data, default: int) -> int:
    if epochs is not None:
        most = check.whole("fit: epochs", epochs, 0)
    elif isinstance(data, Chunks) and data.once:
        return 1
    else:
        return default
    if isinstance(data, Chunks) and data.once and most > 1:
        raise ValueError(
            f"fit: X is an iterator, which can be read once, got epochs={most}; pass a "
            "list, or an object whose __iter__ begins anew"
        )
    return most


def _check_many_passes(data: Data, what: str) -> None:
    if isinstance(data, Chunks) and data.once:
        raise ValueError(
            f"fit: X is an iterator, which can be read once, and {what} goes through "
            "it more often; pass a list, or an object whose __iter__ begins anew"
        )


def _scheduler(make: Any, optimizer: Optimizer, *, by_update: bool) -> Any:
    if make is None:
        return None
    check.is_callable(
        "fit: scheduler",
        make,
        "functools.partial(gradstep.lr_scheduler.StepLR, step_size=10)",
    )
    found = make(optimizer)
    if not callable(getattr(found, "step", None)):
        raise TypeError(
            "fit: scheduler must return one of gradstep.lr_scheduler, got "
            f"{type(found).__name__}"
        )
    if getattr(found, "optimizer", optimizer) is not optimizer:
        raise ValueError(
            "fit: scheduler must return one for the optimizer that it was given"
        )
    if by_update and isinstance(found, ReduceLROnPlateau):
        raise ValueError(
            "fit: schedule_by must be 'epoch' for ReduceLROnPlateau, which is shown "
            "the loss of an epoch"
        )
    return found


def _refuse(**given: Any) -> None:
    """Refuse what has no meaning where every step is on all rows."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"fit: {name} needs an optimizer, such as "
                "functools.partial(gradstep.SGD, lr=1e-3); without one, every step is "
                "on all rows"
            )
