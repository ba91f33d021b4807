"""All rows of a problem as one linear system, in float64 and in units of its own."""

import copy
import math
from typing import Any, NamedTuple

import numpy as np

from gradstep import _lls
from gradstep.lls.columns import Columns
from gradstep.lls.data import Block, Data, Order, Visits
from gradstep.lls.model import slices
from gradstep.lls.nonfinite import nonfinite_error, nonfinite_place
from gradstep.lls.units import powers_of_two
from gradstep.structure import Array

_IN_ORDER = Order(None, 0, None)

# Columns whose norms are within this ratio of one another are measured in one unit.
_ALIKE = 64.0

# Larger weights, and smaller largest ones, are multiplied by a power of two.
_MODERATE = 2.0**64

# Norms whose products with residuals neither overflow nor lose digits.
_SMALLEST, _LARGEST = 2.0**-960, 2.0**960

# What overflows is seen in the results.
quietly = np.errstate(over="ignore", under="ignore", invalid="ignore")


def _unit_of(weights: Array | None) -> float:
    """Return the power of four by which weights are multiplied; 1 for moderate ones.

    Its root is a power of two, too, so that no digit depends on it.
    """
    largest = 0.0 if weights is None else float(weights.max(initial=0.0))
    if largest == 0 or 1 / _MODERATE <= largest <= _MODERATE:
        return 1.0
    return math.ldexp(1.0, -2 * (math.frexp(largest)[1] // 2))


def _lengths(a: Array, b: float) -> Array:
    """Return the roots of a^2 + b^2, with the same bits on every machine."""
    unit = powers_of_two(np.maximum(a, b))
    return np.asarray(unit * np.sqrt(np.square(a / unit) + np.square(b / unit)))


class Point(NamedTuple):
    """K vectors and their intercepts, as sums of a base and a step from it.

    What the base leaves over is computed with the same rounding in every pass, so the
    products with it are as exact as they are small. Intercepts begin at the means of
    targets, beside which what is added may be too small to be added in one number.
    """

    base: Array  # (K, L)
    step: Array
    centre: Array  # (K,), in the units of targets
    offset: Array

    @property
    def vectors(self) -> Array:
        """The sums of vectors."""
        return np.asarray(self.base + self.step)

    @property
    def rebased(self) -> "Point":
        """The same vectors as bases, with steps of 0."""
        return self._replace(base=self.vectors, step=np.zeros_like(self.step))

    def where(self, mask: Array, others: "Point") -> "Point":
        """Return these vectors where the mask (K,) is true, and else the others."""
        rows = mask[:, np.newaxis]
        return Point(
            np.where(rows, self.base, others.base),
            np.where(rows, self.step, others.step),
            self.centre,
            np.where(mask, self.offset, others.offset),
        )


class Sums(NamedTuple):
    """What a pass over all rows gives for each of K vectors."""

    products: Array  # (K, L): A' times residuals, or times images
    mean: Array  # (K,): the weighted mean of residuals, which the intercept takes up
    squares: Array  # (K,): the sums of squares of residuals or images less their mean
    norms: Array  # (K,): the same with the penalty's rows, and their roots


class System:
    r"""Rows of a least-squares problem as :math:`A z \approx t`, with sizes near 1.

    .. math::
        A = \sqrt S (X - \bar x) D, \quad t = \sqrt S (y - \bar y) u

    with means only if there is an intercept, and the rows :math:`\sqrt{\text{ridge}} D`
    of a penalty below A. D and u are powers of two, so nothing is rounded. D is one
    number if the norms of columns are alike, and then the shortest z has the shortest
    coefficients; otherwise each column has its own, near the reciprocal of its norm. A
    column of norm 0 is left out: its coefficient is 0.
    """

    @quietly
    def __init__(self, data: Data, *, intercept: bool, ridge: float) -> None:
        self.data, self.intercept = data, intercept
        self.features = data.features
        self.targets = 1 if data.targets is None else data.targets
        self._rows: dict[int, Any] = {}
        self._weight_unit = _unit_of(data.first().weight)
        X, y, largest_weight = self._measured()
        if _unit_of(largest_weight) != 1:
            self._weight_unit *= _unit_of(largest_weight)
            X, y, _ = self._measured()
        column_norms, target_norms = X.norms(self.rows), y.norms(self.rows)
        for sizes in (X.ranges, X.centre, y.ranges, y.centre):
            self._check_range(sizes, least=0.0)
        for norms in (column_norms, target_norms):
            self._check_range(norms[norms != 0], least=_SMALLEST)
        self.weight, self.centre = X.weight, X.centre
        self.target_unit = 1 / powers_of_two(target_norms)
        self.target_norms = target_norms * self.target_unit
        self.target_centre = y.centre * self.target_unit
        self.ridge = ridge * self._weight_unit
        self.norms = _lengths(column_norms, math.sqrt(self.ridge))
        used = self.norms > 0
        alike = used.any() and self.norms.max() <= _ALIKE * self.norms[used].min()
        sizes = np.full(self.features, self.norms.max()) if alike else self.norms
        self.multiply_by(np.where(used, 1 / powers_of_two(sizes), 0.0))
        # Sparse rows cannot be centred: rounding is that of values, not of deviations.
        self.rounding = 1.0
        if self.is_sparse and used.any():
            means = np.abs(self.centre[used]) * math.sqrt(self.weight)
            self.rounding += float((means / self.norms[used]).max())

    # -- sizes and units

    def _measured(self) -> tuple[Columns, Columns, Array]:
        """Return what columns and targets are like, and the largest weight."""
        X = Columns(self.features, centred=self.intercept)
        y = Columns(self.targets, centred=self.intercept)
        self.rows, largest_weight = 0, np.zeros(1)
        for block, route in self.data.visits(0, _IN_ORDER):
            weight, parts = self._weights(block), slices(route, block.row_bytes)
            X.extend(block.X, weight, parts, block.watch)
            y.extend((block.y,), weight, parts, block.watch)
            self.rows += len(route.rows)
            self.is_sparse = len(block.X) > 1
            if weight is not None:
                largest_weight = np.maximum(largest_weight, weight.max(initial=0.0))
        for block, route in self._visits():
            weight, parts = self._weights(block), slices(route, block.row_bytes)
            X.spread(block.X, weight, parts, block.watch)
            y.spread((block.y,), weight, parts, block.watch)
        return X, y, largest_weight

    def _visits(self) -> Visits:
        """Yield all rows once more, and raise if there are not as many as at first."""
        rows = 0
        for block, route in self.data.visits(0, _IN_ORDER):
            yield block, route
            rows += len(route.rows)
        if rows != self.rows:
            raise ValueError(
                f"fit: chunks gave {self.rows} rows in the first pass and {rows} in a "
                "later one; yield the same rows each time they are iterated over"
            )

    def _weights(self, block: Block) -> Array | None:
        if block.weight is None or self._weight_unit == 1:
            return block.weight
        return np.asarray(block.weight * self._weight_unit)

    def _check_range(self, sizes: Array, *, least: float) -> None:
        """Refuse sizes that are not finite, or whose products would not be exact."""
        sizes = np.abs(sizes)
        if not ((sizes >= least) & (sizes <= _LARGEST)).all():  # nor NaN
            self.refuse_range()

    def refuse_range(self) -> None:
        """Raise for sums that are not finite, or numbers that have no exact sums."""
        for block, _ in self.data.visits(0, _IN_ORDER):
            place = nonfinite_place(block)
            if place is not None:
                targets = block.y.shape[1:] if block.targets is not None else ()
                zeros = np.zeros((self.features, *targets), self.data.dtype)
                intercept = zeros[0].copy() if targets else 0.0
                raise nonfinite_error("fit", place, zeros, intercept)
        raise ValueError(
            "fit: squares of X or y leave the range of float64; multiply X or y by a "
            "power of two"
        )

    def multiply_by(self, inverse: Array) -> None:
        """Let D be these powers of two; 0 leaves a column out."""
        self.inverse = inverse
        self._penalty = np.square(math.sqrt(self.ridge) * inverse)
        self.column_norms = self.norms * inverse
        # Frobenius' norm of A.
        self.size = math.sqrt(_lls.dot(self.column_norms, self.column_norms))

    def in_one_unit(self) -> "System":
        """Return the same system with one number as D."""
        system = copy.copy(self)
        unit = float(1 / powers_of_two(self.norms.max(initial=0.0)))
        system.multiply_by(np.where(self.norms > 0, unit, 0.0))
        return system

    @quietly
    def coefficients(self, z: Array) -> Array:
        """Return the coefficients of X, (K, L), for targets as they were given."""
        return np.asarray(z * self.inverse / self.target_unit[:, np.newaxis])

    def loss(self, squares: Array) -> float:
        """Return the mean over rows of s |r|^2, from the sums of squares of targets."""
        with np.errstate(over="ignore"):
            parts = squares / self.target_unit / self.target_unit / self._weight_unit
        return float(parts.sum() / self.rows) if self.rows else math.nan

    @quietly
    def vectors(self, coefficients: Array) -> Array:
        """Return vectors that have these coefficients, but for columns left out."""
        scaled = coefficients * self.target_unit[:, np.newaxis]
        used = self.inverse > 0
        return np.where(used, scaled / np.where(used, self.inverse, 1.0), 0.0)

    # -- passes over all rows

    @quietly
    def residuals(self, point: Point, targets: int) -> Sums:
        r"""Return what :math:`r = A z - t` gives, t being 0 past the targets."""
        unit = np.zeros(len(point.base))
        unit[:targets] = self.target_unit[:targets]
        sums = self._pass(point.base, point.step, point.centre, point.offset, unit)
        return self._with_penalty(sums, point.vectors)

    @quietly
    def images(self, directions: Array) -> Sums:
        """Return what A d gives for each direction d."""
        zeros = np.zeros(len(directions))
        sums = self._pass(None, directions, zeros, zeros, zeros)
        return self._with_penalty(sums, directions)

    def _pass(
        self,
        base: Array | None,
        step: Array,
        constant: Array,
        step_constant: Array,
        unit: Array,
    ) -> Sums:
        step = np.ascontiguousarray(step * self.inverse)
        if base is not None:
            base = np.ascontiguousarray(base * self.inverse)
        if self.is_sparse:  # from zeros that are not stored, no mean can be subtracted
            constant = constant - self._products_with_centre(base)
            step_constant = step_constant - self._products_with_centre(step)
        rows = self._rows_for(len(step))
        rows.set_point(self.centre, base, step, constant, unit, step_constant)
        for block, route in self._visits():
            y = block.y if unit.any() else None
            rows.set_data(block.X, y, self._weights(block), block.watch)
            for part in slices(route, block.row_bytes):
                rows.add(part.rows)
        products, pulls, squares = rows.collect()
        if self.is_sparse:
            products = products - pulls[:, np.newaxis] * self.centre
        mean = np.zeros(len(step))
        if self.intercept and self.weight:
            mean = pulls / self.weight
            squares = np.maximum(squares - mean * pulls, 0.0)
        return Sums(products * self.inverse, mean, squares, squares)

    def _rows_for(self, columns: int) -> Any:
        """Return what adds up rows for so many vectors."""
        if columns not in self._rows:
            self._rows[columns] = _lls.System(
                self.features, columns, self.data.dtype, self.rows
            )
        return self._rows[columns]

    def _products_with_centre(self, coefficients: Array | None) -> Array:
        if coefficients is None:
            return np.zeros(1)
        return np.array([_lls.dot(self.centre, w) for w in coefficients])

    def _with_penalty(self, sums: Sums, vectors: Array) -> Sums:
        products, squares = sums.products, sums.squares
        if self.ridge:
            shares = vectors * self._penalty
            products = products + shares
            squares = squares + [_lls.dot(s, z) for s, z in zip(shares, vectors)]
        return Sums(products, sums.mean, sums.squares, np.sqrt(squares))
