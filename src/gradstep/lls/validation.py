"""Rows that are not trained on."""

from typing import Any

import numpy as np

from gradstep import _lls, _rows
from gradstep.lls import arguments as check
from gradstep.lls.data import Block, Data, InMemory, block, mismatch
from gradstep.lls.model import Model
from gradstep.structure import Array


class Validation:
    """The loss of coefficients on some rows of a block."""

    def __init__(self, held: Block, rows: Array) -> None:
        self._rows = rows
        self._model = Model(held.features, held.targets, held.dtype, intercept=True)
        self._loop = _lls.Loop(None, self._model.arrays(), batch=1 << 62)
        self._loop.set_data(held.X, held.y, held.weight, held.watch)

    def loss(self, coef: Array, intercept: Any) -> float:
        """Return the mean over the rows of s |r|^2."""
        if not len(self._rows):
            return 0.0
        self._model.coef[...] = coef
        assert self._model.offset is not None
        self._model.offset[...] = intercept
        self._loop.evaluate(self._rows)
        return float(self._loop.finish() / len(self._rows))


def held_out(
    who: str, data: Data, validation: Any, seed: int
) -> tuple[Data, Validation | None]:
    """Return what is left to train on, and the validation set."""
    if validation is None:
        return data, None
    if isinstance(validation, list):
        validation = tuple(validation)
    if isinstance(validation, tuple):
        if len(validation) not in (2, 3):
            raise TypeError(
                f"{who}: validation must be (X, y), (X, y, sample_weight) or a fraction"
            )
        found = block(f"{who}: validation", *validation)
        if difference := mismatch(found, data):
            name, here, expected = difference
            raise ValueError(f"{who}: validation has {name} {here}, X and y {expected}")
        if not len(found.y):
            raise ValueError(f"{who}: validation has no rows")
        return data, _checked(found, np.arange(len(found.y)))
    fraction = check.number(f"{who}: validation", validation, 0)
    if not isinstance(data, InMemory):
        raise ValueError(
            f"{who}: validation must be (X, y) for chunks and files, got {validation}"
        )
    n = len(data.block.y)
    size = round(fraction * n)
    if not (0 < fraction < 1 and 0 < size < n):
        raise ValueError(
            f"{who}: validation must be a fraction that leaves rows on both sides, got "
            f"{validation} of {n} rows"
        )
    # Not the orders of epochs: those are numbered from 0.
    mixed = _rows.shuffled(seed, 2**64 - 1, n, 0, False)
    kept = np.sort(mixed[size:])
    return InMemory(data.block, kept), _checked(data.block, np.sort(mixed[:size]))


def _checked(held: Block, rows: Array) -> Validation:
    """Refuse rows whose loss would be no number."""
    for name, a in (("X", held.X[0]), ("y", held.y)):
        whole = len(rows) == len(held.y) or len(held.X) > 1
        check.finite(f"fit: {name} of the validation", a if whole else a[rows])
    return Validation(held, rows)
