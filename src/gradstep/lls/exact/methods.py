"""From data to solutions: each method on each kind of data."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgWarning

from gradstep.lls.arguments import finite, real_array, weights
from gradstep.lls.exact import direct, iterative, sparse, tall
from gradstep.lls.exact.direct import Found
from gradstep.lls.exact.options import Options
from gradstep.lls.exact.reduction import Reduction, centre, gram, triangle
from gradstep.lls.exact.tall import Block, Shape
from gradstep.structure import Array

__all__ = ["LinAlgWarning", "by_factors", "by_iteration", "from_sparse"]

# Columns of a sparse X up to which "normal" makes rows dense, and a square array.
_FEW_COLUMNS = 4096


def by_factors(
    blocks: Iterator[tuple[Shape, Block]], options: Options
) -> tuple[Shape, Found, Array]:
    """Solve by svd, qr or normal in one pass; return the intercepts, too."""
    shape, rows = _reduced(blocks, options)
    L = shape.columns
    rcond = options.threshold(rows.count, shape)
    if options.method == "normal":
        found = direct.from_gram(rows.kept, L, options.ridge, rcond)
    else:
        A, C = rows.kept[:, :L], rows.kept[:, L:]
        found = direct.from_rows(A, C, str(options.method), options.ridge, rcond)
    values = found.singular_values
    if values is not None:  # no more than there are of X, whatever rows were added
        found = replace(found, singular_values=values[: min(rows.count, L)])
    return shape, found, _intercepts(found.coef, rows.shift, rows.mean)


def _reduced(
    blocks: Iterator[tuple[Shape, Block]], options: Options
) -> tuple[Shape, Reduction]:
    rows = None
    for shape, block in blocks:
        if rows is None:
            width = shape.columns + block.y.shape[1]
            if options.method == "normal":
                kept, reduce = np.zeros((width, width)), gram
            else:
                kept, reduce = np.zeros((0, width)), triangle
            rows = Reduction(shape.columns, width, kept, reduce, options.intercept)
        rows.add(block)
    assert rows is not None  # blocks are refused if there are none
    rows.flush()
    if rows.count and rows.weight == 0:
        raise _no_weight(rows.count)
    _check_sums(rows.kept, rows.mean, rows.weight)
    return shape, rows


@np.errstate(over="ignore", invalid="ignore")  # looked for in what comes out
def by_iteration(
    blocks: Iterator[tuple[Shape, Block]], options: Options
) -> tuple[Shape, Found, Array]:
    """Solve by cg, for arrays, that is, one block."""
    ((shape, block),) = blocks
    L = shape.columns
    rows = np.empty((len(block.X), L + block.y.shape[1]))
    rows[:, :L], rows[:, L:] = block.X, block.y
    finite("solve: X", rows[:, :L])
    finite("solve: y", rows[:, L:])
    weight = _weight(block.weight, len(rows))
    shift = mean = np.zeros(rows.shape[1])
    if options.intercept and len(rows):
        shift, mean = centre(rows, weight)
    rows *= np.sqrt(weight)[:, np.newaxis]
    norms = direct.norms_of(rows[:, :L])
    _check_sums(norms, mean, np.square(rows[:, L:]).sum())
    root = np.ones(len(rows))
    system = iterative.Rows(rows[:, :L], root, np.zeros(L), norms, options.ridge)
    found = iterative.from_rows(system, rows[:, L:])
    return shape, found, _intercepts(found.coef, shift, mean)


@np.errstate(over="ignore", invalid="ignore")  # looked for in what comes out
def from_sparse(
    given: Any,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    options: Options,
) -> tuple[Shape, Found, Array]:
    """Solve by cg or normal for sparse X."""
    X = sparse.checked_sparse(given)
    n, L = X.shape
    ya = real_array("solve: y", y)
    rows = tall.checked_targets("solve: ", n, ya).astype(np.float64)
    finite("solve: y", rows)
    s = None
    if sample_weight is not None:
        s = weights("solve: sample_weight", sample_weight, n)
    targets = None if ya.ndim == 1 else ya.shape[1]
    shape = Shape(L, targets, tall.result_type(given), s is not None)
    if options.method == "normal":
        return by_factors(_made_dense(X, rows, s, shape), options)
    weight = _weight(s, n)
    X.data[np.repeat(weight == 0, np.diff(X.indptr))] = 0.0  # no sizes of theirs
    centred = options.intercept and n > 0
    columns_mean, norms = sparse.columns_of(X, weight, centred)
    shift = mean = np.zeros(rows.shape[1])
    if centred:
        shift, mean = centre(rows, weight)
    root = np.sqrt(weight)
    rows *= root[:, np.newaxis]
    _check_sums(norms, columns_mean, mean, np.square(rows).sum())
    system = iterative.Rows(X, root, columns_mean, norms, options.ridge)
    found = iterative.from_rows(system, rows)
    return shape, found, shift + mean - columns_mean @ found.coef


def _made_dense(
    X: Any, y: Array, weight: Array | None, shape: Shape
) -> Iterator[tuple[Shape, Block]]:
    if shape.columns > _FEW_COLUMNS:
        raise ValueError(
            f"solve: method 'normal' takes sparse X of at most {_FEW_COLUMNS} columns, "
            f"got {shape.columns}; pass method='cg'"
        )
    for at, rows in sparse.dense_blocks(X):
        s = None if weight is None else weight[at]
        yield shape, Block("solve: ", rows, y[at], s)


@np.errstate(over="ignore", invalid="ignore")  # looked for in what comes out
def _intercepts(coef: Array, shift: Array, mean: Array) -> Array:
    """Return the means of targets less those of predictions, each in two parts."""
    L = len(coef)
    return np.asarray((shift[L:] - shift[:L] @ coef) + (mean[L:] - mean[:L] @ coef))


def _weight(given: Array | None, n: int) -> Array:
    """Return weights of n rows, ones if none were given; refuse it if all are 0."""
    if given is None:
        return np.ones(n)
    if n and not given.any():
        raise _no_weight(n)
    return given


def _no_weight(n: int) -> ValueError:
    return ValueError(
        f"solve: sample_weight must be above 0 for at least one row, got 0 for all {n} "
        "rows"
    )


def _check_sums(*sums: Any) -> None:
    if not all(np.isfinite(a).all() for a in sums):
        raise FloatingPointError(
            "solve: sums of squares overflow float64; divide X, y or sample_weight by "
            "a power of two"
        )
