"""Rows of files that are not trained on, read once in each epoch."""

import math
from typing import Any

from gradstep import _lls
from gradstep.lls.data import Order, Visits, mismatch
from gradstep.lls.files import Source
from gradstep.lls.files.checked import CheckedSource
from gradstep.lls.files.subset import split
from gradstep.lls.model import Model, slices
from gradstep.lls.nonfinite import check_finite
from gradstep.lls.on_disk import OnDisk
from gradstep.structure import Array

_IN_ORDER = Order(None, 0, None)


class ValidationOnDisk:
    """The loss of coefficients on the rows of a source."""

    def __init__(self, who: str, data: OnDisk) -> None:
        self._who, self._data = who, data
        self._model = Model(data.features, data.targets, data.dtype, intercept=True)
        self._loop = _lls.Loop(None, self._model.arrays(), batch=1 << 62)

    def _visits(self) -> Visits:
        return self._data.visits(0, _IN_ORDER)

    def loss(self, coef: Array, intercept: Any) -> float:
        """Return the mean over the rows of s |r|^2."""
        assert self._model.offset is not None
        self._model.coef[...] = coef
        self._model.offset[...] = intercept
        rows = 0
        for block, route in self._visits():
            self._loop.set_data(block.X, block.y, block.weight, block.watch)
            for part in slices(route, block.row_bytes):
                self._loop.evaluate(part.rows)
            rows += len(route.rows)
        loss = float(self._loop.finish() / rows)
        if not math.isfinite(loss):
            for block, _ in self._visits():
                check_finite(f"{self._who}: X and y of the validation", block)
        return loss


def on_disk_validation(who: str, source: Source, like: Any) -> ValidationOnDisk:
    """Return the validation set of a source that fits the data."""
    data = OnDisk(source)
    if difference := mismatch(data, like):
        name, here, expected = difference
        raise ValueError(f"{who}: validation has {name} {here}, X and y {expected}")
    if not data.n:
        raise ValueError(f"{who}: validation has no rows")
    return ValidationOnDisk(who, data)


def split_source(
    who: str, source: CheckedSource, fraction: float, seed: int
) -> tuple[OnDisk, ValidationOnDisk]:
    """Return what is left to train on, and the validation set, a fraction of blocks."""
    sides = split(source, fraction, seed) if 0 < fraction < 1 else None
    if sides is None:
        raise ValueError(
            f"{who}: validation must be a fraction that leaves blocks of rows on both "
            f"sides, got {fraction} of {source.n} rows"
        )
    left, held_out = (OnDisk(side, source.name) for side in sides)
    return left, ValidationOnDisk(who, held_out)
