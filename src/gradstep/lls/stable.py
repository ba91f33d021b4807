"""The largest stable step: power iteration on batches."""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradstep import _lls
from gradstep.lls import arguments as check
from gradstep.lls.data import Block, block
from gradstep.lls.model import Model
from gradstep.structure import Array

__all__ = ["max_stable_lr"]

_ENOUGH = 1 << 24  # numbers of X in a sample for batches of all rows
_ITERATIONS = 100
_CLOSE = 1e-3  # relative change of the curvature at which to stop


def max_stable_lr(
    X: Any,
    *,
    batch_size: int | None = None,
    reduction: Literal["sum", "mean"] = "sum",
    intercept: bool = False,
    sample_weight: npt.ArrayLike | None = None,
    batches: int = 16,
    seed: int = 0,
) -> float:
    r"""Estimate the largest lr by which gradient descent on batches does not diverge.

    A step by lr on a batch multiplies the error by :math:`I - \text{lr} H_B`, where
    :math:`H_B = 2 X_B^\top S_B X_B`, divided by the rows of the batch for ``"mean"``.
    It shrinks no error, and lets none grow, up to :math:`2 / \lambda_\max(H_B)`. This
    is the least of these bounds over a sample of batches, with
    :math:`\lambda_\max` by power iteration, to about a thousandth.

    Parameters
    ----------
    X : array_like or sparse matrix, shape (N, L)
    batch_size : int, optional
        As for `fit`; all rows by default.
    reduction : {"sum", "mean"}
    intercept : bool
        Whether there is one: a column of ones.
    sample_weight : array_like, shape (N,), optional
    batches : int
        How many to try, at least 1.
    seed : int
        Of their choice.

    Returns
    -------
    float
        Infinity if X is zero or has no rows.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or X is not finite.

    Notes
    -----
    For gradient descent without momentum; momentum m allows (1 + m) times as much on
    one batch of all rows (Polyak, 1964). Rules that divide by the size of gradients,
    such as Adam, have no such bound. Of N rows with no `batch_size` and more than 2^24
    numbers, a sample stands for all.

    Examples
    --------
    >>> from gradstep import lls
    >>> round(lls.max_stable_lr([[1.0, 0.0], [0.0, 2.0]]), 3)
    0.25
    """
    who = "max_stable_lr"
    n = len(X) if not hasattr(X, "shape") else X.shape[0] if X.shape else 0
    found = block(who, X, np.zeros(n), sample_weight)
    check.finite(f"{who}: X", found.X[0])
    if batch_size is not None:
        batch_size = check.whole(f"{who}: batch_size", batch_size, 1)
    check.one_of(f"{who}: reduction", reduction, ("sum", "mean"))
    model = Model(
        found.features,
        None,
        found.dtype,
        intercept=check.flag(f"{who}: intercept", intercept),
    )
    return estimate(
        found,
        model,
        batch_size,
        mean=reduction == "mean",
        batches=check.whole(f"{who}: batches", batches, 1),
        seed=check.whole(f"{who}: seed", seed, 0),
    )


def estimate(
    found: Block,
    like: Model,
    batch_size: int | None,
    *,
    mean: bool,
    seed: int,
    batches: int = 16,
) -> float:
    """Return the bound for features as they are scaled in a model like this one."""
    n = len(found.y)
    rows = _lls.shuffled(seed, 0, n, found.row_bytes, False)
    grows = 1.0  # a sample of a sum over all rows has less curvature
    if batch_size is None or batch_size >= n:
        size = max(1, min(n, _ENOUGH * 8 // max(1, found.row_bytes)))
        grows, batches = (1.0 if mean else n / size), 1
    else:
        size = batch_size
    model = Model(
        like.coef.shape[0],
        None,
        found.dtype,
        intercept=like.offset is not None,
        scaling=like.scaling,
    )
    loop = _lls.Loop(None, model.arrays(), batch=max(size, 512), divide=mean)
    loop.set_data(found.X, None, found.weight)
    most = 0.0
    for k in range(min(batches, -(-n // size))):
        part = rows[k * size : (k + 1) * size]
        most = max(most, _curvature(loop, model, part))
    return 2 / (most * grows) if most * grows > 0 else math.inf


def _curvature(loop: Any, model: Model, rows: Array) -> float:
    """Return the largest eigenvalue of 2 X' S X over these rows, nearly."""
    n = len(model.coef)
    # Numbers in no order: to which no eigenvector will be orthogonal.
    model.coef[...] = _lls.shuffled(1, 0, n, 0, False) + 1.0
    if model.offset is not None:
        model.offset[...] = n / 2 + 1
    found = 0.0
    for _ in range(_ITERATIONS):
        length = _length(model.coef, model.offset)
        if not length > 0 or not math.isfinite(length):
            return 0.0
        model.coef /= length
        if model.offset is not None:
            model.offset /= length
        loop.evaluate(rows)
        loop.finish()
        before, found = found, _length(model.gradient, model.offset_gradient)
        model.restore((model.gradient, model.offset_gradient))
        if abs(found - before) <= _CLOSE * found:
            break
    return found


def _length(a: Array, b: Array | None) -> float:
    """Return the norm of both together, exactly rounded: the same anywhere."""
    parts = [a] if b is None else [a, b]
    return math.sqrt(
        math.fsum(math.fsum(np.square(p.ravel().astype(np.float64))) for p in parts)
    )
