"""The default fit on generated problems, beside rational arithmetic.

Errors are at most `MULTIPLE` times what the condition allows a method whose result is
exact for data that differ in their last bit; otherwise the fit warns. The condition is
that of the weighted, centred columns, each divided by its norm.
"""

import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import rational
from gradstep import lls

MULTIPLE = 32
PROBLEMS, GROUPS = 300, 12


@dataclass
class Problem:
    """Arguments of a fit, and how they were made."""

    name: str
    X: Any
    y: Any
    options: dict[str, Any]

    @property
    def dense(self) -> Any:
        return self.X.toarray() if sparse.issparse(self.X) else self.X

    @property
    def weight(self) -> Any:
        weight = self.options.get("sample_weight")
        return np.ones(self.X.shape[0]) if weight is None else weight


def spectrum(rng: Any, L: int, condition: float) -> Any:
    """Singular values from 1 to 1 / condition."""
    kind = rng.integers(4)
    values = np.ones(L)
    if kind == 0:
        values = np.geomspace(1, 1 / condition, L)
    elif kind == 1:
        values[-1] = 1 / condition
    elif kind == 2:
        values[1:] = 1 / condition
    else:
        values = np.linspace(1, 1 / condition, L)
    return values


def columns(rng: Any, n: int, L: int, condition: float, means: list[float]) -> Any:
    """Columns of about this condition, before means are added."""
    few = min(n, L)
    U = np.linalg.qr(rng.standard_normal((n, max(n, L))))[0][:, :few]
    V = np.linalg.qr(rng.standard_normal((L, L)))[0][:few]
    X = np.sqrt(n) * (U * spectrum(rng, few, condition)) @ V
    return X + rng.choice(means, L) if rng.random() < 0.4 else X


def with_dependent_columns(rng: Any, X: Any, kind: str) -> Any:
    """Columns that depend on others, or on the intercept: exactly, after rounding."""
    if kind == "twice":
        return np.c_[X, X[:, 0]]
    if kind == "eight times":
        return np.c_[X, 8 * X[:, 0]]
    if kind == "sum":
        few = rng.integers(-9, 9, (len(X), 2))
        return np.c_[X, few, few.sum(axis=1)]
    if kind == "constant":
        return np.c_[X, np.full(len(X), 0.1)]
    return np.c_[X, np.zeros(len(X))]


def problem(seed: int) -> Problem:
    """A problem of any kind: one draw for each of its properties."""
    rng = np.random.default_rng([19, seed])
    n, L = int(rng.integers(3, 40)), int(rng.integers(1, 6))
    K = int(rng.choice([1, 1, 2, 3]))
    dtype = rng.choice(["f4", "f8", "f8"])
    single = dtype == "f4"
    condition = 10.0 ** rng.choice([0, 1, 3, 4] if single else [0, 1, 4, 8, 10, 12])
    X = columns(rng, n, L, condition, [1, 30] if single else [1, 1e3, 1e6])
    X = X.astype(dtype).astype("f8")
    kind = str(rng.choice(["independent", "twice", "eight times", "sum", "constant"]))
    if rng.random() < 0.5:
        X = with_dependent_columns(rng, X, kind).astype(dtype).astype("f8")
    else:
        kind = "independent"
    L = X.shape[1]
    noise = rng.choice([0, 1e-9, 1e-3, 1, 1])
    y = X @ rng.standard_normal((L, K)) + noise * rng.standard_normal((n, K))
    y = y + rng.choice([0.0, 1.0, 1e5, 1e12, 1e18], K) * rng.choice([-1, 1, 1], K)
    # Powers of two, which keep dependent columns dependent.
    reach = 30.0 if single else 330.0
    units = 2.0 ** np.round(rng.uniform(-1.7 * reach, 1.5 * reach, L))
    if rng.random() < 0.5:
        independent = kind in ("independent", "constant") and rng.random() < 0.5
        X = X * (units if independent else units[0])
    y = y * 2.0 ** rng.choice([0, 0, -reach, reach // 2])
    options: dict[str, Any] = {"intercept": bool(rng.integers(2))}
    if rng.random() < 0.4:
        weight = rng.uniform(0.1, 2, n)
        weight[1:][rng.random(n - 1) < 0.3] = 0
        options["sample_weight"] = weight * 10.0 ** rng.choice([0, 0, -200, 200])
    X, y = X.astype(dtype), y.astype(rng.choice([dtype, "f8"]))
    y = y[:, 0] if K == 1 and rng.integers(2) else y
    form = str(rng.choice(["C", "C", "F", "csr", "coo"]))
    if form == "F":
        X = np.asfortranarray(X)
    elif form != "C":
        X = sparse.csr_array(X) if form == "csr" else sparse.coo_array(X)
    name = f"{seed}: {n} x {L} {dtype} {form}, condition {condition:.0e}, {kind}"
    return Problem(f"{name}, noise {noise:g}, {sorted(options)}", X, y, options)


@dataclass
class Sizes:
    """What the accuracy that can be had depends on."""

    norms: Any  # of weighted, centred columns
    condition: float
    lost: float  # means beside deviations, where rows cannot be centred
    spread: float  # of norms, on which the least coefficients depend


def sizes(given: Problem, rank: int) -> Sizes:
    s = (given.weight / given.weight.max()).astype(np.longdouble)
    X = given.dense.astype(np.longdouble)
    mean = s @ X / s.sum() if given.options["intercept"] else np.zeros(X.shape[1])
    unit = np.abs(X - mean).max(axis=0)
    unit = np.where(unit > 0, unit, 1)
    A = np.sqrt(s)[:, np.newaxis] * ((X - mean) / unit)
    norms = np.sqrt((A * A).sum(axis=0))
    is_constant = norms * unit <= 1e-15 * np.abs(mean)
    norms = np.where(is_constant, 0, norms)
    scaled = (A / np.where(norms > 0, norms, 1))[:, norms > 0].astype(np.float64)
    values = np.linalg.svd(scaled, compute_uv=False) if scaled.size else np.ones(1)
    far = np.abs(mean) * np.sqrt(s.sum()) / np.where(norms > 0, norms * unit, np.inf)
    lost = float(far.max(initial=0.0)) if sparse.issparse(given.X) else 0.0
    condition = float(values[0] / values[max(rank, 1) - 1])
    used = (norms * unit)[norms > 0]
    spread = float(used.max() / used.min()) if rank < len(used) else 1.0
    return Sizes(norms * unit, condition, lost, spread)


def residual_norm(given: Problem, w: list[Fraction], b: Fraction, t: Any) -> float:
    """The norm of weighted residuals at the exact solution, weights at most 1."""
    rest = [
        sum((Fraction(float(x)) * c for x, c in zip(row, w)), b) - Fraction(float(v))
        for row, v in zip(given.dense, t, strict=True)
    ]
    unit = max(map(abs, rest)) or Fraction(1)
    parts = np.array([float(r / unit) for r in rest])
    return float(unit) * float(
        np.sqrt(given.weight / given.weight.max() @ np.square(parts))
    )


def relative(a: Any, wanted: Any, norms: Any) -> float:
    """The distance in these units, some too large or small to be squared."""
    unit = float(np.abs(norms * wanted).max()) or 1.0
    distance = float(np.linalg.norm((norms * a - norms * wanted) / unit))
    return distance / (float(np.linalg.norm(norms * wanted / unit)) or 1.0)


def check(given: Problem) -> None:
    """Assert that a fit is right, or warns where that is hard."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = lls.fit(given.X, given.y, **given.options)
    assert all(issubclass(w.category, lls.ConvergenceWarning) for w in caught)
    assert done.reason == "tol", given.name
    exact = rational.solution(
        given.dense, given.y, given.weight, intercept=given.options["intercept"]
    )
    size = sizes(given, exact.rank)
    if caught:
        assert size.condition * (1 + size.lost) * size.spread > 1e6, given.name
        return
    for w, b, coef, t in zip(
        *(exact.coef, exact.intercept),
        *(np.atleast_2d(done.coef.T), np.atleast_2d(given.y.T)),
        strict=True,
    ):
        # In units of columns; of several solutions also in those of coefficients.
        wanted = np.array(list(map(float, w)))
        errors = [relative(coef, wanted, size.norms)]
        if size.spread > 1:
            errors.append(relative(coef, wanted, np.ones(len(w))))
        unit = float(np.abs(size.norms * wanted).max()) or 1.0
        length = float(np.linalg.norm(size.norms * wanted / unit))
        share = residual_norm(given, w, b, t) / unit / length if length else 0.0
        allowed = size.condition + size.condition**2 * share
        allowed *= MULTIPLE * np.finfo(np.float64).eps * (1 + size.lost) * size.spread
        allowed += 4 * np.finfo(given.X.dtype).eps
        assert min(errors) <= allowed, (given.name, errors, allowed)


@pytest.mark.parametrize("group", range(GROUPS))
def test_default_fit_is_as_exact_as_the_condition_allows_or_warns(group: int) -> None:
    for seed in range(group, PROBLEMS, GROUPS):
        check(problem(seed))
