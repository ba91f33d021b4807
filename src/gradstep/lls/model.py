"""Coefficients in C's arrays, of scaled features or not."""

import math
from typing import Any, NamedTuple

import numpy as np

from gradstep import _core, _lls, dtypes
from gradstep.lls import arguments as check
from gradstep.lls.data import Data, Order, Route
from gradstep.structure import Array

# Deviations that are a smaller share of the mean than this are rounding.
_CONSTANT = 1e-12


class Scaling(NamedTuple):
    """Training sees (x - mean) inverse; `mean` is None where there is no intercept."""

    mean: Array | None
    inverse: Array


@np.errstate(over="ignore", invalid="ignore")
def measured(data: Data, *, centre: bool) -> Scaling:
    """Return the weighted mean and deviation of each column, from one pass.

    Without an intercept nothing may be shifted, so the root of the mean square stands
    for the deviation. Columns that do not vary are left as they are. Moments move on
    from row to row, so it does not matter how rows are cut into blocks. Sparse data,
    of which zeros are not seen, take a second pass about the means of the first.
    """
    n = data.features
    loop = _lls.Loop(None, Model(n, None, data.dtype).arrays(), batch=1)
    moments = _moments(loop, data, np.zeros(n))
    if len(data.first().X) == 1:
        mean, squares = moments[1 : 1 + n], moments[1 + n : 1 + 2 * n]
    else:
        mean = moments[1 : 1 + n] / (moments[0] or 1)
        moments = _moments(loop, data, mean)
        squares, stored = moments[1 + n : 1 + 2 * n], moments[1 + 2 * n :]
        squares = squares + (moments[0] - stored) * mean**2
    spread = np.sqrt(squares / (moments[0] or 1))
    if not centre:
        spread = np.hypot(spread, mean)
    varies = np.isfinite(spread) & (spread > _CONSTANT * np.abs(mean))
    inverse = np.ones(n)
    inverse[varies] = 1 / spread[varies]
    return Scaling(np.where(np.isfinite(mean), mean, 0) if centre else None, inverse)


def _moments(loop: _lls.Loop, data: Data, about: Array) -> Array:
    moments = np.zeros(1 + 3 * data.features)
    for block, rows in data.visits(0, Order(None, 0, None)):
        loop.set_data(block.X, None, block.weight, block.watch)
        for part in slices(rows, block.row_bytes):
            loop.moments(part.rows, about, moments)
    return moments


def slices(rows: Route, row_bytes: int) -> list[Route]:
    """Cut rows into portions of some 10 ms of work, between which signals are seen."""
    size = max(256, (1 << 24) // max(1, row_bytes))
    return [rows.part(at, at + size) for at in range(0, len(rows.rows), size)]


class Model:
    """The arrays of gs_lls_model, and the way from and to the user's units."""

    def __init__(
        self,
        features: int,
        targets: int | None,
        dtype: Any,
        *,
        intercept: bool = False,
        scaling: Scaling | None = None,
    ) -> None:
        k = 1 if targets is None else targets
        self.targets, self.scaling = targets, scaling
        self._w = _core.allocate((k, features), np.dtype(dtype), True)
        self._g = _core.allocate((k, features), np.dtype(dtype), True)
        self.coef = self._w[0] if targets is None else self._w.T
        # In memory that is not NumPy's, so that users cannot resize what they step.
        self.offset = _core.allocate((k,), np.dtype(dtype), True) if intercept else None
        self.gradient = self._g[0] if targets is None else self._g.T
        self.offset_gradient = np.zeros(k, dtype) if intercept else None
        self.total: Array | None = None

    @property
    def params(self) -> Any:
        """What an optimizer is given: the coefficients, or a list with the offset."""
        return self.coef if self.offset is None else [self.coef, self.offset]

    def arrays(self) -> dict[str, Any]:
        """Return what `_lls.Loop` takes."""
        scaling = self.scaling
        u = np.empty_like(self._w) if scaling else self._w
        return {
            "w": self._w,
            "b": self.offset,
            "g": self._g,
            "gb": self.offset_gradient,
            "mean": scaling.mean if scaling else None,
            "inverse": scaling.inverse if scaling else None,
            "u": u,
            "wide": u if dtypes.is_same(u.dtype, dtypes.FLOAT64) else np.empty(u.shape),
            "c": np.zeros(len(self._w)),
            "total": self.total,
        }

    @property
    def size(self) -> int:
        """How many coefficients and offsets there are."""
        return self._w.size + (0 if self.offset is None else self.offset.size)

    def average(self) -> None:
        """Sum up the coefficients of all updates from now on."""
        self.total = np.zeros(self.size)

    def begin_at(self, who: str, coef: Any, intercept: Any) -> None:
        """Begin at coefficients in the user's units."""
        if coef is not None:
            name = f"{who}: coef0"
            start = check.finite(name, check.real_array(name, coef))
            start = check.narrowed(name, start, self.coef.dtype)
            if start.shape != self.coef.shape:
                raise ValueError(
                    f"{who}: coef0 has shape {start.shape}, expected {self.coef.shape}"
                )
            self.coef[...] = start
        if intercept is not None:
            name = f"{who}: intercept0"
            if self.offset is None:
                raise ValueError(f"{name} needs intercept=True")
            start = check.finite(name, check.real_array(name, intercept))
            start = check.narrowed(name, start, self.offset.dtype)
            if start.shape not in ((), self.offset.shape):
                raise ValueError(
                    f"{name} has shape {start.shape}, expected {self.offset.shape}"
                )
            self.offset[...] = start
        if self.scaling is not None:
            if self.scaling.mean is not None and self.offset is not None:
                self.offset += _products(self.scaling.mean, self.coef, len(self._w))
            self._w /= self.scaling.inverse

    def in_units(self, coef: Array, offset: Array | None) -> tuple[Array, Any]:
        """Return new coefficients and intercept in the user's units."""
        k = len(self._w)
        if self.scaling is None:
            found, moved = coef.copy(), np.zeros(k)
        else:
            scale = self.scaling.inverse
            scale = scale if self.targets is None else scale[:, np.newaxis]
            found, moved = (coef * scale).astype(coef.dtype), np.zeros(k)
            if self.scaling.mean is not None:
                moved = _products(self.scaling.mean, found, k)
        b = (0 if offset is None else offset.astype(np.float64)) - moved
        b = b.astype(coef.dtype) if offset is not None else np.zeros(k, coef.dtype)
        return found, b.item() if self.targets is None else b

    def averaged(self, count: int) -> tuple[Array, Array | None]:
        """Return the means of coefficients and offset over that many updates."""
        assert self.total is not None
        size = self._w.size
        mean = (self.total / count).astype(self._w.dtype)
        w = mean[:size].reshape(self._w.shape)
        found = w[0] if self.targets is None else w.T
        return found, None if self.offset is None else mean[size:]

    def snapshot(self) -> tuple[Array, Array | None]:
        """Return copies of coefficients and offset."""
        offset = None if self.offset is None else self.offset.copy()
        return self.coef.copy("K"), offset

    def restore(self, kept: tuple[Array, Array | None]) -> None:
        """Go back to a snapshot."""
        self.coef[...] = kept[0]
        if self.offset is not None:
            self.offset[...] = kept[1]


def _products(mean: Array, coef: Array, k: int) -> Array:
    """Return mean' coef, exactly rounded, so the same on every machine."""
    columns = coef.reshape(len(mean), k).astype(np.float64)
    return np.array([math.fsum(mean * columns[:, j]) for j in range(k)])
