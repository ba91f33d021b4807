"""Solutions of small problems by factorisation: singular values, QR, Cholesky.

Columns are divided by powers of two near their norms first, which is exact, so that the
numerical rank does not depend on the units of features.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from gradstep.lls.units import powers_of_two
from gradstep.structure import Array

# Up to here the normal equations have as many digits as a factorisation.
_WELL_CONDITIONED = 1e3


@dataclass(frozen=True)
class Found:
    """A solution without intercept, for K targets; see `Solution` for the rest."""

    coef: Array  # (L, K)
    rank: int | None
    condition: float | None
    residual: Array  # (K,)
    singular_values: Array | None = None
    converged: bool = True

    def warning(self, method: str) -> str:
        """Return what a user should know of it, or nothing."""
        L = len(self.coef)
        if method == "qr" and self.rank != L:
            return (
                f"solve: X has rank {self.rank} of {L} columns, and qr gives the "
                "others the coefficient 0; pass ridge > 0, or method='svd' for the "
                "solution of least norm"
            )
        if not self.converged:
            return (
                "solve: cg did not converge; pass ridge > 0, or method='qr' or 'svd' "
                "with an array or with blocks"
            )
        return ""


def norms_of(A: Array) -> Array:
    """Return the norms of columns, without overflow if they are finite."""
    top = powers_of_two(np.abs(A).max(axis=0, initial=0.0))
    return np.asarray(top * np.sqrt(np.square(A / top).sum(axis=0)))


@np.errstate(over="ignore", invalid="ignore")  # looked for in what comes out
def from_rows(A: Array, C: Array, method: str, ridge: float, rcond: float) -> Found:
    """Minimise |A W - C|^2 + ridge |W|^2 by ``"svd"`` or ``"qr"``."""
    if A.shape[1] == 0:
        values = np.zeros(0) if method == "svd" else None
        empty = np.zeros((0, C.shape[1]))
        return Found(empty, 0, None, np.square(C).sum(axis=0), values)
    if len(A) == 0:  # LAPACK wants a row
        A, C = np.zeros((1, A.shape[1])), np.zeros((1, C.shape[1]))
    found = _penalised(A, C, method, ridge, rcond)
    residual = np.square(A @ found.coef - C).sum(axis=0)
    values = scipy.linalg.svdvals(A, check_finite=False) if method == "svd" else None
    return replace(found, residual=residual, singular_values=values)


def _penalised(A: Array, C: Array, method: str, ridge: float, rcond: float) -> Found:
    n, L = A.shape
    solution = _least_norm if method == "svd" else _basic
    if ridge == 0:
        return solution(A, C, rcond)
    if n < L:
        # W is a combination of rows, A^T = Q T: n unknowns v instead, with W = Q v.
        Q, T = scipy.linalg.qr(A.T, mode="economic", check_finite=False)
        few = _penalised(T.T, C, method, ridge, rcond)
        rank = L if few.rank == n else few.rank
        return replace(few, coef=Q @ few.coef, rank=rank)
    penalty = math.sqrt(ridge) * np.eye(L)
    zeros = np.zeros((L, C.shape[1]))
    found = solution(np.vstack([A, penalty]), np.vstack([C, zeros]), rcond)
    return replace(found, coef=found.coef + _correction(A, C, found.coef, ridge))


def _correction(A: Array, C: Array, W: Array, ridge: float) -> Array:
    """Return the step of the normal equations from W, where they are well conditioned.

    Factors of A with rows of a far larger penalty have errors as large as A itself; the
    products with A that the gradient is made of have not.
    """
    d = powers_of_two(np.hypot(norms_of(A), math.sqrt(ridge)))
    scaled, root = A / d, np.diag(math.sqrt(ridge) / d)
    product = scaled.T @ scaled + np.square(root)
    try:
        factor, _ = scipy.linalg.cho_factor(product, check_finite=False)
    except scipy.linalg.LinAlgError:
        return np.zeros_like(W)
    if _condition(factor, _norm1(product)) > _WELL_CONDITIONED:
        return np.zeros_like(W)
    gradient = scaled.T @ (C - A @ W) - (ridge / d)[:, np.newaxis] * W
    step = scipy.linalg.cho_solve((factor, False), gradient, check_finite=False)
    return np.asarray(step / d[:, np.newaxis])


def _least_norm(A: Array, C: Array, rcond: float) -> Found:
    d = powers_of_two(norms_of(A))
    U, s, Vt = scipy.linalg.svd(A / d, full_matrices=False, check_finite=False)
    rank = int((s > rcond * s[0]).sum())
    v = (U[:, :rank].T @ C) / s[:rank, np.newaxis]
    if rank == len(d):
        W = (Vt.T @ v) / d[:, np.newaxis]
        return Found(W, rank, float(s[0] / s[-1]), np.zeros(0))
    # Vt v has least norm in the divided columns; W must be a combination of rows of
    # A = U S Vt d instead, that is W = Q u with d V = Q T and T^T u = v.
    Q, T = scipy.linalg.qr(
        d[:, np.newaxis] * Vt[:rank].T, mode="economic", check_finite=False
    )
    W = Q @ scipy.linalg.solve_triangular(T, v, trans="T", check_finite=False)
    return Found(W, rank, math.inf, np.zeros(0))


def _basic(A: Array, C: Array, rcond: float) -> Found:
    L = A.shape[1]
    d = powers_of_two(norms_of(A))
    Q, R, order = scipy.linalg.qr(
        A / d, mode="economic", pivoting=True, check_finite=False
    )
    sizes = np.abs(R.diagonal())
    rank = int((sizes > rcond * sizes[0]).sum())
    R = R[:rank, :rank]
    W = np.zeros((L, C.shape[1]))
    W[order[:rank]] = scipy.linalg.solve_triangular(
        R, Q[:, :rank].T @ C, check_finite=False
    )
    condition = _condition(R, _norm1(R.T @ R)) if rank == L else math.inf
    return Found(W / d[:, np.newaxis], rank, condition, np.zeros(0))


@np.errstate(over="ignore", invalid="ignore")  # looked for in what comes out
def from_gram(G: Array, columns: int, ridge: float, rcond: float) -> Found:
    """Minimise the same, given the product of [A, C] with itself, by Cholesky."""
    if columns == 0:
        return Found(np.zeros((0, len(G))), 0, None, G.diagonal())
    H, g = G[:columns, :columns], G[:columns, columns:]
    _check_not_below(np.concatenate([H.diagonal(), np.abs(g).max(axis=0)]))
    d = powers_of_two(np.sqrt(H.diagonal() + ridge))
    scaled = (H + ridge * np.eye(columns)) / d / d[:, np.newaxis]
    # No digit of a solution is certain beyond this: the product was rounded.
    least = max(10 * columns * np.finfo(np.float64).eps, rcond * rcond)
    try:
        factor, _ = scipy.linalg.cho_factor(scaled, check_finite=False)
        condition = _condition(factor, _norm1(scaled))
    except scipy.linalg.LinAlgError:
        condition = math.inf
    if condition**-2 < least:
        raise scipy.linalg.LinAlgError(
            f"solve: the columns of X depend on each other, or nearly so (condition "
            f"{condition:.3g}, of which 'normal' takes the square); pass ridge > 0, or "
            "method='svd' or 'qr'"
        )
    scaled_g = g / d[:, np.newaxis]
    W = scipy.linalg.cho_solve((factor, False), scaled_g, check_finite=False)
    W /= d[:, np.newaxis]
    squares = G[columns:, columns:].diagonal() - np.sum(W * (2 * g - H @ W), axis=0)
    return Found(W, columns, condition, np.maximum(squares, 0.0))


def _check_not_below(sums: Array) -> None:
    """Refuse sums whose terms have lost digits at the lower end of floats."""
    if ((sums > 0) & (sums < 2.0**-960)).any():
        raise FloatingPointError(
            "solve: sums of products underflow float64; multiply X or y by a power of "
            "two, or pass method='svd' or 'qr'"
        )


def _norm1(A: Array) -> float:
    return float(np.abs(A).sum(axis=0).max(initial=0.0))


def _condition(factor: Array, norm1: float) -> float:
    """Estimate the condition of A, where A^T A has a triangular factor and a norm."""
    reciprocal, _ = scipy.linalg.lapack.dpocon(factor, norm1)
    return math.inf if reciprocal == 0 else 1 / math.sqrt(reciprocal)
