"""Where rows hold NaN or infinity: looked up when a loss is not finite, to be named."""

from typing import Any

import numpy as np

from gradstep.lls import arguments as check
from gradstep.lls.data import Block
from gradstep.lls.result import NonFiniteError
from gradstep.structure import Array

_AT_ONCE = 1 << 20  # values to test at a time: their mask stays small


def nonfinite_place(block: Block, visited: Array | None = None) -> str | None:
    """Return where a block holds its first NaN or infinity, or None if it holds none.

    "First" is by number of row; within a row, X comes before y. Rows of weight 0 count
    as well, since 0 times NaN is NaN. With `visited`, None is returned also if all of
    these rows are finite.

    >>> import numpy as np
    >>> from gradstep.lls.data import block
    >>> nonfinite_place(block("", [[0.0, 1.0], [np.nan, 2.0]], [3.0, np.inf]))
    'X is nan in row 1, column 0'
    >>> nonfinite_place(block("", [[0.0], [1.0]], [3.0, -np.inf]))
    'y is -inf in row 1'
    """
    rows = _nonfinite_rows(block)
    if not len(rows) or (visited is not None and not np.isin(visited, rows).any()):
        return None
    row = int(rows[0])
    columns, values = _stored_row(block, row)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        return (
            f"X is {values[bad[0]]} in {block.row_name(row)}, column {columns[bad[0]]}"
        )
    column = int(np.isfinite(block.y[row]).argmin())
    where = "" if block.targets is None else f", column {column}"
    return f"y is {block.y[row, column]} in {block.row_name(row)}{where}"


def nonfinite_error(
    who: str, place: str, coef: Array, intercept: Any
) -> NonFiniteError:
    """Return the error that names a place, with the coefficients from before."""
    return NonFiniteError(
        f"{who}: X or y holds NaN or infinity: {place}; remove such rows, or fill in "
        "their values",
        coef,
        intercept,
    )


def check_finite(name: str, block: Block, visited: Array | None = None) -> None:
    """Refuse a block with NaN or infinity in any of the rows to be visited."""
    place = nonfinite_place(block, visited)
    if place is not None:
        raise check.nonfinite(name, place)


def _nonfinite_rows(block: Block) -> Array:
    """Return the numbers of all rows with a value that is not finite, ascending."""
    is_finite = np.asarray(np.isfinite(block.y).all(axis=1))
    if block.kind == "dense":
        X = block.X[0]
        at_once = max(1, _AT_ONCE // max(1, X.shape[1]))
        for start in range(0, len(X), at_once):
            part = slice(start, start + at_once)
            is_finite[part] &= np.isfinite(X[part]).all(axis=1)
    else:
        values, _, starts = block.X
        bad = np.flatnonzero(~np.isfinite(values[: int(starts[-1])]))
        # Of the rows that begin there or before, the last: others are empty.
        is_finite[np.searchsorted(starts, bad, side="right") - 1] = False
    return np.flatnonzero(~is_finite)


def _stored_row(block: Block, row: int) -> tuple[Array, Array]:
    """Return the columns of the values that a row stores, and these values."""
    if block.kind == "dense":
        return np.arange(block.features), block.X[0][row]
    values, columns, starts = block.X
    part = slice(int(starts[row]), int(starts[row + 1]))
    return columns[part], values[part]
