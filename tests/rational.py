"""Least squares in rational arithmetic: no rounding, whatever sizes numbers have."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Matrix = list[list[Fraction]]


@dataclass
class Solution:
    """Coefficients, a row for each target, intercepts, and the rank of centred X."""

    coef: Matrix
    intercept: list[Fraction]
    rank: int


def exact(a: Any) -> list[Any]:
    """Return floats as the rational numbers that they are."""
    return [[Fraction(float(x)) for x in row] for row in np.atleast_2d(a)]


def solution(
    X: Any, y: Any, weight: Any, *, intercept: bool, ridge: float = 0.0
) -> Solution:
    """Return the solution of least norm.

    It minimises sum_i s_i |x_i W + b - y_i|^2 + ridge |W|^2.
    """
    rows, s = exact(X), [Fraction(float(w)) for w in weight]
    columns, total = list(zip(*rows, strict=True)), sum(s)
    targets = [[Fraction(float(t)) for t in column] for column in np.atleast_2d(y.T)]
    x_means = [_mean(s, c, total) if intercept else Fraction() for c in columns]
    y_means = [_mean(s, t, total) if intercept else Fraction() for t in targets]
    A = [[x - m for x in c] for c, m in zip(columns, x_means, strict=True)]
    gram = [[_product(s, a, b) for b in A] for a in A]
    for j, row in enumerate(gram):
        row[j] += Fraction(float(ridge))
    coefficients, intercepts, rank = [], [], 0
    for t, y_mean in zip(targets, y_means, strict=True):
        right = [_product(s, a, [v - y_mean for v in t]) for a in A]
        w, rank = shortest(gram, right)
        coefficients.append(w)
        shares = (m * c for m, c in zip(x_means, w, strict=True))
        intercepts.append(y_mean - sum(shares, Fraction()))
    return Solution(coefficients, intercepts, rank)


def _mean(s: Any, values: Any, total: Fraction) -> Fraction:
    return sum((w * v for w, v in zip(s, values, strict=True)), Fraction()) / total


def _product(s: Any, a: Any, b: Any) -> Fraction:
    return sum((w * x * y for w, x, y in zip(s, a, b, strict=True)), Fraction())


def shortest(G: Matrix, g: list[Fraction]) -> tuple[list[Fraction], int]:
    """Return the shortest w with G w = g, of which there is one, and the rank of G."""
    L = len(G)
    rows = [[*row, value] for row, value in zip(G, g, strict=True)]
    pivots: list[int] = []
    for j in range(L):
        k = len(pivots)
        pick = next((i for i in range(k, L) if rows[i][j] != 0), None)
        if pick is None:
            continue
        rows[k], rows[pick] = rows[pick], rows[k]
        rows[k] = [x / rows[k][j] for x in rows[k]]
        for i in range(L):
            if i != k and rows[i][j] != 0:
                factor = rows[i][j]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k])]
        pivots.append(j)
    w = [Fraction()] * L
    for k, j in enumerate(pivots):
        w[j] = rows[k][L]
    null = []
    for j in set(range(L)) - set(pivots):
        v = [Fraction(int(i == j)) for i in range(L)]
        for k, i in enumerate(pivots):
            v[i] = -rows[k][j]
        null.append(v)
    if null:
        inner = [[sum(a * b for a, b in zip(u, v)) for v in null] for u in null]
        part, _ = shortest(inner, [sum(a * b for a, b in zip(v, w)) for v in null])
        for share, v in zip(part, null, strict=True):
            w = [a - share * b for a, b in zip(w, v)]
    return w, len(pivots)
