"""Rows that are not trained on."""

from typing import Any

import numpy as np

from gradstep import _lls, _rows
from gradstep.lls import arguments as check
from gradstep.lls.data import Block, Data, InMemory, block, mismatch
from gradstep.lls.files import Source
from gradstep.lls.model import Model
from gradstep.lls.nonfinite import check_finite
from gradstep.lls.on_disk import OnDisk
from gradstep.lls.paths import opened
from gradstep.lls.validation_files import (
    ValidationOnDisk,
    on_disk_validation,
    split_source,
)
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
) -> tuple[Data, Validation | ValidationOnDisk | None]:
    """Return what is left to train on, and the validation set."""
    if validation is None:
        return data, None
    if isinstance(validation, Source):
        return data, on_disk_validation(who, validation, data)
    if isinstance(validation, (tuple, list)):
        return data, _separate(who, tuple(validation), data)
    is_number = isinstance(validation, (int, float, np.number))
    if not is_number or isinstance(validation, bool):
        raise TypeError(
            f"{who}: validation must be a fraction, (X, y), (X, y, sample_weight) or a "
            f"file, got {type(validation).__name__}"
        )
    fraction = check.number(f"{who}: validation", validation, 0)
    if isinstance(data, OnDisk):
        return split_source(who, data.source, fraction, seed)
    if isinstance(data, InMemory):
        return _split(who, data, fraction, seed)
    raise ValueError(
        f"{who}: validation must be (X, y) or a file where X is an iterable of chunks, "
        f"got {validation}; a fraction is of the rows of arrays and files"
    )


def _separate(
    who: str, validation: tuple[Any, ...], data: Data
) -> Validation | ValidationOnDisk:
    """Return the validation set of rows or files of its own, if it fits the data."""
    if len(validation) not in (2, 3):
        raise TypeError(
            f"{who}: validation must be (X, y), (X, y, sample_weight), a file or a "
            "fraction"
        )
    source = opened(f"{who}: validation", *(*validation, None)[:3])
    if source is not None:
        return on_disk_validation(who, source, data)
    rows = block(f"{who}: validation", *validation)
    if difference := mismatch(rows, data):
        name, here, expected = difference
        raise ValueError(f"{who}: validation has {name} {here}, X and y {expected}")
    if not len(rows.y):
        raise ValueError(f"{who}: validation has no rows")
    return _checked(who, rows, np.arange(len(rows.y)))


def _split(
    who: str, data: InMemory, fraction: float, seed: int
) -> tuple[Data, Validation]:
    """Return the rows that are left to train on, and a fraction of them all."""
    n = len(data.block.y)
    size = round(fraction * n)
    if not (0 < fraction < 1 and 0 < size < n):
        raise ValueError(
            f"{who}: validation must be a fraction that leaves rows on both sides, got "
            f"{fraction} of {n} rows"
        )
    # Not the orders of epochs: those are numbered from 0.
    mixed = _rows.shuffled(seed, 2**64 - 1, n, 0, False)
    left = np.sort(mixed[size:])
    return InMemory(data.block, left), _checked(who, data.block, np.sort(mixed[:size]))


def _checked(who: str, held: Block, rows: Array) -> Validation:
    """Refuse rows whose loss would be no number, or 0 whatever the coefficients."""
    check_finite(f"{who}: X and y of the validation", held, rows)
    if held.weight is not None and not held.weight[rows].any():
        raise ValueError(
            f"{who}: sample_weight must not be zero for all rows of the validation"
        )
    return Validation(held, rows)
