"""What tests of exact least squares share: problems, and solutions in long double."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse

from gradstep import lls

Array: TypeAlias = Any

# Each method on each kind of data that it takes.
WAYS = [
    *(("svd", "array"), ("qr", "array"), ("normal", "array"), ("cg", "array")),
    *(("svd", "blocks"), ("qr", "blocks"), ("normal", "blocks")),
    *(("normal", "sparse"), ("cg", "sparse")),
]


def problem(n: int, m: int, k: int | None, seed: int = 0) -> tuple[Array, Array, Array]:
    """X, y and weights; the columns of X have means and sizes of their own."""
    rng = np.random.default_rng(1000 * n + 10 * m + seed)
    X = rng.standard_normal((n, m)) * np.linspace(0.3, 2.7, m) + np.linspace(-1, 2, m)
    y = X @ rng.standard_normal((m, k or 1)) + rng.standard_normal((n, k or 1)) + 0.7
    return X, (y if k else y[:, 0]), rng.uniform(0.2, 3.1, n)


def cut(cuts: Sequence[int], *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays as blocks that begin at 0 and at the cuts."""
    for first, last in zip([0, *cuts], [*cuts, len(arrays[0])]):
        yield tuple(a[first:last] for a in arrays)


def solve(kind: str, X: Array, y: Array, weight: Array = None, **o: Any) -> Any:
    """Solve by arrays, a sparse array or blocks of which the third is empty."""
    if kind == "blocks":
        cuts = [len(X) // 7, len(X) // 2, len(X) // 2]
        return lls.solve(cut(cuts, X, y, *([] if weight is None else [weight])), **o)
    X = scipy.sparse.csc_array(X) if kind == "sparse" else X
    return lls.solve(X, y, sample_weight=weight, **o)


def exact(
    X: Array, y: Array, weight: Array = None, intercept: bool = False, ridge: float = 0
) -> tuple[Array, Array, Array]:
    """W, b and the residual, by Householder's QR in long double of the whole system."""
    X, y = (np.asarray(a, np.longdouble) for a in (X, y))
    n, m = X.shape
    ones = np.ones((n, int(intercept)), np.longdouble)
    root = np.sqrt(np.longdouble(1) * (np.ones(n) if weight is None else weight))
    A = root[:, None] * np.hstack([X, ones])
    B = root[:, None] * y.reshape(n, -1)
    penalty = np.sqrt(np.longdouble(ridge)) * np.eye(m, A.shape[1])
    z = householder(np.vstack([A, penalty]), np.vstack([B, np.zeros((m, B.shape[1]))]))
    residual = np.square(A @ z - B).sum(axis=0)
    b = z[m] if intercept else np.zeros(B.shape[1])
    if y.ndim == 1:
        return z[:m, 0], b[0], residual[0]
    return z[:m], b, residual


def householder(A: Array, B: Array) -> Array:
    """The Z that minimises |A Z - B|, for A of full rank."""
    A, B = A.copy(), B.copy()
    p = A.shape[1]
    for j in range(p):
        v = A[j:, j].copy()
        v[0] += np.copysign(np.sqrt(v @ v), v[0])
        v /= np.sqrt(v @ v)
        A[j:] -= 2 * np.outer(v, v @ A[j:])
        B[j:] -= 2 * np.outer(v, v @ B[j:])
    Z = np.zeros((p, B.shape[1]), A.dtype)
    for j in reversed(range(p)):
        Z[j] = (B[j] - A[j, j + 1 : p] @ Z[j + 1 :]) / A[j, j]
    return Z


def error(found: Array, true: Array) -> float:
    """The largest difference, relative to the largest of what is true."""
    return float(np.abs(found - true).max(initial=0) / np.abs(true).max(initial=1e-300))
