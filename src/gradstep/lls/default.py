r"""A fit without an optimizer: the exact solution, by conjugate directions.

Beside the vectors of targets, one of random numbers with a target of 0 descends in the
same passes. What is left of it is in the null space of X: if nothing is, columns do not
depend on one another. Its directions, in which every part of the row space has a share,
show directions of small curvature that targets have no visible part in, and with them
the condition of X.

Of several solutions, that of least :math:`|W|` is returned. Vectors that begin at 0 get
there by themselves if all columns are measured in one unit; otherwise the part of the
solution in the null space is found, and subtracted.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstep import _rows, dtypes
from gradstep.lls.arguments import finite, narrowed, real_array
from gradstep.lls.cg import ATTAINABLE, Descent, length
from gradstep.lls.data import Data
from gradstep.lls.progress_bar import ProgressBar
from gradstep.lls.result import Fit, Progress
from gradstep.lls.system import System, quietly
from gradstep.optimizers import SGD
from gradstep.structure import Array

# Random numbers of which this share is left had no part in the null space.
_GONE = 1e-3

# Steps that the search for the null space may take after the fit, for each of the fit.
_SEARCH = 3

# What the criteria compare with tol, if a fit of few steps is as good as any.
_CLOSE = 8 * ATTAINABLE

# How often parts in the null space are subtracted.
_TURNS = 3

# A user should know if coefficients may be off by this share of them.
_UNCERTAIN = 0.1


class Solver:
    """The vectors of all targets, and the search for the null space of X."""

    def __init__(
        self,
        data: Data,
        *,
        intercept: bool,
        ridge: float,
        tol: float,
        start: Array | None,
    ) -> None:
        self.system = system = System(data, intercept=intercept, ridge=ridge)
        self._targets, self._tol = system.targets, max(tol, _CLOSE)
        used = system.inverse > 0
        columns = int(np.count_nonzero(used))
        self._rank_tol = _rank_tol(data.dtype, columns, system.rounding)
        self._half_of_digits = math.sqrt(float(np.finfo(data.dtype).eps))
        self._is_deficient = ridge == 0 and columns > system.rows - intercept
        self._random = np.where(used, _random(system.features), 0.0)
        self._gone = _GONE * length(self._random) / math.sqrt(max(1, columns))
        vectors = np.zeros((system.targets, system.features))
        if start is not None:
            vectors = system.vectors(start)
        self._descent = Descent(
            system,
            np.concatenate([vectors, self._random[np.newaxis]]),
            targets=system.targets,
            tol=tol,
            rank_tol=self._rank_tol,
        )
        self._search = self._descent.state[-1]
        self._is_shortest, self._least_curvature = True, math.inf
        self._look_at_search()

    @property
    def _state(self) -> Any:
        return self._descent.state[: self._targets]

    @property
    def done(self) -> bool:
        """Whether all targets are."""
        return all(vector.done for vector in self._state)

    @property
    def ratio(self) -> float:
        """The least tol of which all targets meet the criteria."""
        return max((vector.ratio for vector in self._state), default=0.0)

    @property
    def meets_tol(self) -> bool:
        """Whether that is no more than what was asked for."""
        return self.ratio <= self._tol

    @property
    def loss(self) -> float:
        """The mean over rows of s |r|^2."""
        return self.system.loss(self._descent.squares[: self._targets])

    @property
    def rate(self) -> float:
        """The last step as a multiple of its direction, the largest of all targets."""
        return max((vector.rate for vector in self._state), default=0.0)

    def advance(self) -> None:
        """Take a step."""
        self._descent.advance()
        self._least_curvature = min(
            self._least_curvature,
            *(vector.least_curvature for vector in self._descent.state),
        )
        self._look_at_search()

    def _look_at_search(self) -> None:
        """See whether random numbers are gone, or what is left is in the null space."""
        if length(self._descent.vectors[-1]) <= self._gone:
            self._search.done = True
        elif self._is_null():
            self._is_deficient = self._search.done = True

    def _is_null(self) -> bool:
        left = self._descent.vectors[-1]
        at_right_angles = length(self.system.column_norms * left)
        return bool(self._descent.norms[-1] <= self._rank_tol * at_right_angles)

    @property
    def coefficients(self) -> Array:
        """Of X, (K, L)."""
        return self.system.coefficients(self._descent.vectors[: self._targets])

    @property
    def significant(self) -> Array:
        """Whether a coefficient is more than rounding, (K, L)."""
        shares = np.abs(self._descent.vectors[: self._targets])
        shares = shares * self.system.column_norms
        return np.asarray(
            shares > _CLOSE * shares.max(axis=1, initial=0, keepdims=True)
        )

    def intercepts(self, coefficients: Array) -> Array:
        """Return the intercepts, (K,), that go with coefficients of X."""
        system = self.system
        if not system.intercept:
            return np.zeros(self._targets)
        centre, offset = self._descent.intercepts
        terms = np.column_stack(
            [
                centre[: self._targets] / system.target_unit,
                offset[: self._targets] / system.target_unit,
                -coefficients * system.centre,
            ]
        )
        return np.array([_sum(row) for row in terms])

    def finish(self, steps: int) -> None:
        """End the search, after a fit of so many steps, and use what it found."""
        for vector in self._state:
            vector.done = True
        for _ in range(_SEARCH * max(steps, 10)):
            if self._search.done:
                break
            self.advance()
        self._descent.polish(self._search.directions)
        if self._is_deficient:
            self._shorten()

    def _shorten(self) -> None:
        """Subtract from solutions their parts in the null space of X.

        What is small after that has the errors of what was large: a few steps mend the
        residuals, and what parts these steps have is subtracted again.
        """
        one_unit = self.system.in_one_unit()
        small = max(self._half_of_digits, _CLOSE * self._condition)
        self._is_shortest = False
        for _ in range(_TURNS):
            start = one_unit.vectors(self.coefficients)
            parts = self._parts_in_null_space(one_unit, start)
            if parts is None:
                break
            shorter = self.system.vectors(one_unit.coefficients(start - parts))
            self._descent = self._descended(
                self.system, shorter, targets=self._targets, tol=self._descent.tol
            )
            if all(
                length(part) <= small * length(z)
                for part, z in zip(parts, start, strict=True)
            ):
                self._is_shortest = True
                break

    def _parts_in_null_space(self, system: System, start: Array) -> Array | None:
        """Return what descent leaves of vectors; None if that is not in it."""
        null = self._descended(system, start, targets=0, tol=0.0)
        terms = [length(system.column_norms * z) for z in start]
        share = max(4 * ATTAINABLE, self._rank_tol)
        is_null = (null.norms <= share * np.array(terms)).all()
        return null.vectors if is_null else None

    def _descended(
        self, system: System, start: Array, *, targets: int, tol: float
    ) -> Descent:
        descent = Descent(
            system, start, targets=targets, tol=tol, rank_tol=self._rank_tol
        )
        for _ in range(most_steps(system.features)):
            if descent.done:
                break
            descent.advance()
        return descent

    @property
    def _condition(self) -> float:
        """The condition of A, or less if the search has not ended."""
        return self.system.size / self._least_curvature

    def _error(self) -> float:
        """Return how far vectors may be from the solution, as a share of their length.

        At most the gradient over the square of the least curvature.
        """
        squared = self._least_curvature**2
        errors = [vector.gradient_norm / squared for vector in self._state]
        lengths = [length(z) for z in self._descent.vectors]
        return max((e / z for e, z in zip(errors, lengths) if z), default=0.0)

    def message(self, steps: int) -> str | None:
        """Return what a user should know of how a fit of so many steps has ended."""
        condition = self._condition
        bound = "about" if self._search.done else "at least"
        known = f"the condition of X is {bound} {condition:.1g}"
        if not self.done:
            return (
                f"fit: after {steps} steps the gradient is not yet small: it is "
                f"{self.ratio:.2g} |X| |r|, above {self._tol:.2g}, and {known}; pass "
                "more epochs, ridge, or use lls.solve"
            )
        if not self._is_shortest:
            return (
                "fit: columns of X depend on one another, and their units are too far "
                "apart for the solution of least norm, so this is another; multiply "
                "columns by powers of two, or pass ridge"
            )
        loses_half = not self.meets_tol and self._error() > self._half_of_digits
        if loses_half or condition * ATTAINABLE > _UNCERTAIN:
            return (
                f"fit: {known}, so half of the digits of coefficients or more may be "
                "wrong; pass ridge, or leave out columns that are nearly combinations "
                "of others, or whose means are large beside deviations if X is sparse"
            )
        return None


def most_steps(features: int) -> int:
    """Return how many steps a fit may take by default."""
    return max(1000, 10 * features)


def minimise(
    data: Data,
    *,
    intercept: bool,
    ridge: float,
    coef0: Any,
    intercept0: Any,
    tol: float | None,
    steps: ProgressBar,
    callback: Callable[[Progress], object] | None,
) -> Fit:
    """Return the fit; see `lls.fit` for the arguments."""
    shape = (data.features, *(() if data.targets is None else (data.targets,)))
    start = _start(shape, coef0, intercept0, intercept=intercept)
    solver = Solver(data, intercept=intercept, ridge=ridge, tol=tol or 0.0, start=start)
    losses: list[float] = []
    rates: list[float] = []
    reason = "tol" if solver.done else "epochs"
    for k in () if solver.done else steps:
        solver.advance()
        losses.append(solver.loss)
        rates.append(solver.rate)
        steps.show(losses[-1])
        if callback is not None:
            coef, b = _result(solver, shape, data.dtype)
            if callback(Progress(k, k + 1, coef, b, losses[-1], rates[-1], None)):
                reason = "callback"
                break
        if solver.done:
            reason = "tol"
            break
    if reason == "epochs" and solver.meets_tol:
        reason = "tol"
    if reason == "tol":
        solver.finish(len(losses))
    message = solver.message(len(losses)) if losses and reason != "callback" else None
    coef, b = _result(solver, shape, data.dtype)
    return Fit(
        coef=coef,
        intercept=b,
        n_updates=len(losses),
        epochs=len(losses),
        reason=reason,
        loss=np.array(losses),
        lr=np.array(rates),
        validation_loss=None,
        optimizer=SGD(coef.copy(), lr=rates[-1] if rates else 1.0),
        message=message,
    )


def _start(
    shape: tuple[int, ...], coef0: Any, intercept0: Any, *, intercept: bool
) -> Array | None:
    """Return where to begin, (K, L); the intercept that goes with it is computed."""
    if intercept0 is not None:
        if not intercept:
            raise ValueError("fit: intercept0 needs intercept=True")
        b = finite("fit: intercept0", real_array("fit: intercept0", intercept0))
        if b.shape not in ((), shape[1:] or (1,)):
            raise ValueError(
                f"fit: intercept0 has shape {b.shape}, expected {shape[1:] or (1,)}"
            )
    if coef0 is None:
        return None
    coef = finite("fit: coef0", real_array("fit: coef0", coef0))
    coef = narrowed("fit: coef0", coef, dtypes.FLOAT64)
    if coef.shape != shape:
        raise ValueError(f"fit: coef0 has shape {coef.shape}, expected {shape}")
    return np.atleast_2d(coef.T).copy()


@quietly
def _result(solver: Solver, shape: tuple[int, ...], dtype: Any) -> tuple[Array, Any]:
    """Return coefficients and intercept in the shapes and the type of the data."""
    coef = solver.coefficients.astype(dtype)
    b = solver.intercepts(coef.astype(np.float64)).astype(dtype)
    limits = np.finfo(dtype)
    for name, a in (("coef", coef), ("intercept", b)):
        if not np.isfinite(a).all():
            raise FloatingPointError(
                f"fit: {name} overflows {limits.dtype}; divide y, or multiply X, by a "
                "power of two"
            )
    if (solver.significant & (np.abs(coef) < limits.smallest_normal)).any():
        raise FloatingPointError(
            f"fit: coef is too small for {limits.dtype}; multiply y, or divide X, by a "
            "power of two"
        )
    if len(shape) == 1:
        return coef[0], b[0].item()
    return np.ascontiguousarray(coef.T), b


def _rank_tol(dtype: Any, columns: int, rounding: float) -> float:
    """Return the share of a direction's size that rounding makes of |A d|.

    Rounding of the arithmetic or, for float32, of X itself, as `lls.solve` has it.
    """
    share = ATTAINABLE * rounding
    if dtypes.is_same(dtype, dtypes.FLOAT32):
        share = max(share, float(np.finfo(np.float32).eps))
    return share * math.sqrt(max(1, columns))


def _random(n: int) -> Array:
    """Return numbers of either sign in no order, the same on every machine."""
    sizes = 1 + _rows.shuffled(1, 0, n, 0, False) / max(1, n)
    return np.where(_rows.shuffled(2, 0, n, 0, False) % 2, sizes, -sizes)


def _sum(terms: Array) -> float:
    """Return the exactly rounded sum, NaN if it overflows."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.nan
