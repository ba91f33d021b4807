"""The largest stable step: curvatures of batches."""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradstep import _lls, _rows
from gradstep._core import ieee
from gradstep.lls import arguments as check
from gradstep.lls.csr import is_sparse
from gradstep.lls.data import Block, block
from gradstep.lls.model import Model
from gradstep.lls.nonfinite import check_finite
from gradstep.structure import Array

__all__ = ["max_stable_lr"]

_ENOUGH = 1 << 24  # numbers of X in a sample for batches of all rows
_STEPS = 200
_CLOSE = 1e-6  # relative change of the curvature at which to stop


@ieee
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
    :math:`\lambda_\max` by Lanczos, to about a thousandth.

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
        If an argument does not fit, X is not finite, or its squares are out of range.

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
    if not is_sparse(X):
        X = check.real_array(f"{who}: X", X)
    n = max(0, X.shape[0]) if X.shape else 0  # block() looks at the shape
    found = block(who, X, np.zeros(n), sample_weight)
    found.check_weights(who)
    check_finite(f"{who}: X", found)
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
        seed=check.seed(f"{who}: seed", seed),
    )


def estimate(
    found: Block,
    like: Model,
    batch_size: int | None,
    *,
    mean: bool,
    seed: int,
    batches: int = 16,
    ridge: float = 0.0,
) -> float:
    """Return the bound for features as they are scaled in a model like this one.

    `ridge` is the penalty for each row, which bends the objective too.
    """
    n = len(found.y)
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
    loop = _lls.Loop(
        *(None, model.arrays()), batch=max(size, 512), ridge=ridge, divide=mean
    )
    loop.set_data(found.X, None, found.weight, found.watch)
    most, whole = 0.0, max(1, n // size)  # batches of an epoch
    for k in range(batches):
        if k % whole == 0:
            rows = _rows.shuffled(seed, k // whole, n, found.row_bytes, False)
        at = k % whole * size
        most = max(most, _curvature(loop, model, rows[at : at + size]))
    return 2 / (most * grows) if most * grows > 0 else math.inf


def _curvature(loop: Any, model: Model, rows: Array) -> float:
    """Return the largest eigenvalue of 2 X' S X over these rows, by Lanczos.

    With all directions kept orthogonal, so that it ends after as many steps as there
    are columns. Sums are exactly rounded, so the same on every machine.
    """
    n = model.coef.size + (0 if model.offset is None else 1)
    # Numbers in no order: to which no eigenvector will be orthogonal.
    v = _rows.shuffled(1, 0, n, 0, False) + 1.0
    v /= _length(v)
    past: list[Array] = []
    diagonal: list[float] = []
    beside: list[float] = []
    found = 0.0
    for _ in range(min(n, _STEPS)):
        past.append(v)
        model.coef[...] = v[: model.coef.size]
        if model.offset is not None:
            model.offset[...] = v[-1]
        loop.evaluate(rows)
        loop.finish()
        u = model.gradient.astype(np.float64)
        if model.offset_gradient is not None:
            u = np.append(u, model.offset_gradient)
        if not np.isfinite(u).all():
            raise ValueError(
                "max_stable_lr: squares of X leave the range of its type; scale it"
            )
        diagonal.append(math.fsum(u * v))
        for _ in range(2):  # once is not enough where they are many
            for w in past:
                u = u - math.fsum(u * w) * w
        before, found = found, _largest(diagonal, beside)
        length = _length(u)
        if found - before <= _CLOSE * found or not length > _CLOSE * found:
            break
        beside.append(length)
        v = u / length
    return found


def _largest(diagonal: list[float], beside: list[float]) -> float:
    """Return the largest eigenvalue of a symmetric tridiagonal matrix, by bisection."""
    unit = max(map(abs, [*diagonal, *beside]))
    if unit == 0:
        return 0.0
    diagonal = [d / unit for d in diagonal]
    sizes = [0.0, *(abs(b) / unit for b in beside), 0.0]
    high = max(d + sizes[i] + sizes[i + 1] for i, d in enumerate(diagonal))
    low = max(diagonal)
    while high - low > _CLOSE * 1e-2 * abs(high):
        middle = (low + high) / 2
        above, pivot = False, 1.0
        for i, d in enumerate(diagonal):  # signs of the pivots of T - middle I
            pivot = d - middle - (sizes[i] ** 2 / pivot if i else 0.0)
            if pivot >= 0:
                above = True
                break
        low, high = (middle, high) if above else (low, middle)
    return high * unit


def _length(a: Array) -> float:
    """Return the norm, exactly rounded but for the root; of tiny numbers, too."""
    most = float(np.abs(a).max(initial=0.0))
    return most * math.sqrt(math.fsum(np.square(a / most))) if most > 0 else 0.0
