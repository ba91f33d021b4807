"""Solutions by LSMR, for sparse X: products with X and its transpose, and no others.

LSMR (Fong and Saunders, 2011) is in exact arithmetic MINRES on the normal equations. It
never forms them, so its errors grow with the condition of X, where those of conjugate
gradients on the equations themselves grow with its square.
"""

import math
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, lsmr

from gradstep.lls.exact.direct import Found
from gradstep.lls.units import powers_of_two
from gradstep.structure import Array

# Iterations for each column in a turn; in exact arithmetic one would do.
PATIENCE = 20

# After the first turn, LSMR solves for what rounding, or its limit, left over.
_TURNS = 3

# LSMR's word for its limit of iterations.
_AT_LIMIT = 7

# What gradient counts as 0, relative to the residual, and to the terms of that.
_STATIONARY, _ROUNDING = 1e-12, 1e-14


class Rows:
    """The matrix root (X - mean), with the ridge's rows below, columns divided."""

    def __init__(
        self, X: Any, root: Array, mean: Array, norms: Array, ridge: float
    ) -> None:
        self.X, self.root, self.mean = X, root, mean
        self.penalty = math.sqrt(ridge)
        divisors = powers_of_two(np.hypot(norms, self.penalty))
        # A column of norm 0 gets the coefficient 0.
        self.inverse = np.where(norms == 0, 0.0, 1 / divisors)
        self.size = float(np.linalg.norm(np.hypot(norms, self.penalty) * self.inverse))

    def times(self, z: Array) -> Array:
        """Return the product with a vector."""
        w = self.inverse * z
        return np.concatenate([self.data_times(w), self.penalty * w])

    def data_times(self, w: Array) -> Array:
        """Return the product of root (X - mean) alone, columns as they are."""
        return np.asarray(self.root * (self.X @ w - self.mean @ w))

    def transposed_times(self, u: Array) -> Array:
        """Return the product of the transpose with a vector."""
        n = len(self.root)
        rows = self.root * u[:n]
        w = self.X.T @ rows - self.mean * rows.sum() + self.penalty * u[n:]
        return np.asarray(self.inverse * w)

    def solve(self, target: Array) -> tuple[Array, float, bool]:
        """Return W for one column of targets, the condition, and whether W solves."""
        n, L = self.X.shape
        operator = LinearOperator(
            (n + L, L), self.times, self.transposed_times, dtype=np.float64
        )
        z, condition, limit = np.zeros(L), 1.0, int(PATIENCE * L)
        unit = powers_of_two(
            np.abs(target).max(initial=0.0)
        )  # norms are sums of squares
        rest = target = np.concatenate([target / unit, np.zeros(L)])
        for turn in range(_TURNS):
            step, why, *_, estimate, _ = lsmr(
                *(operator, rest), atol=0, btol=0, conlim=0, maxiter=limit
            )
            z += step
            rest = target - self.times(z)
            condition = max(condition, float(estimate))
            if why != _AT_LIMIT and turn > 0:
                break
        solved = why != _AT_LIMIT and self._is_stationary(z, target, rest)
        return unit * (self.inverse * z), condition, solved

    def _is_stationary(self, z: Array, target: Array, rest: Array) -> bool:
        """Whether the gradient is 0 but for rounding, of it and of what it is made of.

        LSMR's own tests go by recurrences, which rounding of products leaves behind.
        """
        norm = np.linalg.norm
        products = self.size * norm(z) + norm(target)
        small = _STATIONARY * norm(rest) + _ROUNDING * products
        return bool(norm(self.transposed_times(rest)) <= self.size * small)


def from_rows(rows: Rows, y: Array) -> Found:
    """Minimise |root (X - mean) W - y|^2 + ridge |W|^2."""
    solved = [rows.solve(column) for column in y.T]
    L, K = rows.X.shape[1], y.shape[1]
    coef = np.array([w for w, *_ in solved]).reshape(K, L).T
    rests = [rows.data_times(w) - t for w, t in zip(coef.T, y.T)]
    residual = np.array([rest @ rest for rest in rests])
    condition = max((c for _, c, _ in solved), default=None) if L else None
    converged = all(ended for *_, ended in solved)
    return Found(coef, None, condition, residual, converged=converged)
