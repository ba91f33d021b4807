"""Least squares by batches once more: a loop in float64, from the mathematics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

import gradstep as gs
from gradstep.lr_scheduler import ReduceLROnPlateau

Array: TypeAlias = Any
SGD = partial(gs.SGD, lr=0.003)
HEAVY = partial(gs.SGD, lr=0.02, momentum=0.6)


def problem(
    n: int, m: int, k: int | None = None, dtype: Any = np.float64, seed: int = 0
) -> tuple[Array, Array]:
    """Columns of unlike means and sizes, and targets with noise and an offset."""
    rng = np.random.default_rng([n, m, seed])
    X = rng.standard_normal((n, m)) * rng.uniform(0.5, 2, m) + rng.uniform(-1, 1, m)
    y = X @ rng.standard_normal((m, k or 1)) + rng.standard_normal((n, k or 1)) + 0.7
    return X.astype(dtype), (y if k else y[:, 0]).astype(dtype)


def weights(n: int) -> Array:
    """From 0 to 3, some of them 0."""
    w = np.random.default_rng(n).uniform(0, 3, n)
    w[3::7] = 0
    return w


def permutations(n: int, epochs: int) -> list[Array]:
    return [np.random.default_rng([n, e]).permutation(n) for e in range(epochs)]


def distance(found: Array, want: Array) -> float:
    """The greatest difference, as a part of the greatest that is wanted."""
    found, want = np.asarray(found), np.asarray(want)
    assert found.shape == want.shape
    return float(np.abs(found - want).max() / max(np.abs(want).max(), 1e-300))


def bits(done: Any) -> list[bytes]:
    return [np.asarray(a).tobytes() for a in (done.coef, done.intercept)]


def mean_square(X: Array, y: Array, w: Array, b: Array, s: Array = 1.0) -> float:
    """The mean over rows of s |x w + b - y|^2."""
    r = X @ w + b - y
    return float(((r * r).T * s).sum() / len(X))


def normal(X: Array, y: Array, **o: Any) -> tuple[Array, Array]:
    """The minimiser, by a factorisation of the rows and, as more rows, the penalty."""
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    s = np.asarray(o.get("sample_weight", np.ones(len(X))), np.float64)
    x_mean, y_mean = np.zeros(X.shape[1]), np.zeros(y.shape[1:])
    if o.get("intercept"):
        x_mean, y_mean = s @ X / s.sum(), s @ y / s.sum()
    penalty = np.sqrt(o.get("ridge", 0.0)) * np.eye(X.shape[1])
    A = np.r_[((X - x_mean).T * np.sqrt(s)).T, penalty]
    t = np.r_[((y - y_mean).T * np.sqrt(s)).T, np.zeros((X.shape[1], *y.shape[1:]))]
    w = np.linalg.lstsq(A, t, rcond=None)[0]
    return w, y_mean - x_mean @ w


@dataclass
class Trained:
    """What a fit should return, and coefficients and intercept after each update."""

    coef: Array = None
    intercept: Array = None
    loss: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    path: list[tuple[Array, Array]] = field(default_factory=list)

    def mean(self, first: int = 0, end: int | None = None) -> Array:
        """Polyak's, of coefficients."""
        return np.mean([w for w, _ in self.path[first:end]], axis=0)


class Scaling:
    """Features are (x - mean) / size; coefficients of these, and back."""

    def __init__(self, X: Array, s: Array, intercept: bool, wanted: bool) -> None:
        self.mean, self.size = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if not wanted:
            return
        if intercept:
            self.mean = s @ X / s.sum()
        size = np.sqrt(s @ (X - self.mean) ** 2 / s.sum())
        # A column that does not vary has no size to be divided by.
        flat = size <= 1e-12 * np.abs(self.mean)
        self.size = np.where(flat | (size == 0), 1, size)

    def inward(self, w: Array, b: Array) -> tuple[Array, Array]:
        return (w.T * self.size).T, b + self.mean @ w

    def outward(self, u: Array, b: Array) -> tuple[Array, Array]:
        w = (u.T / self.size).T
        return w, b - self.mean @ w


class Loop:
    """Batch by batch, gradients as `gradstep.lls.fit` defines them."""

    def __init__(self, X: Array, y: Array, **o: Any) -> None:
        X, self.y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        s = o.get("sample_weight")
        self.s = np.ones(len(X)) if s is None else np.asarray(s, np.float64)
        self.intercept, self.ridge = o.get("intercept", False), o.get("ridge", 0.0)
        self.by_mean = o.get("reduction") == "mean"
        self.scaling = Scaling(X, self.s, self.intercept, o.get("standardize", False))
        self.X = (X - self.scaling.mean) / self.scaling.size
        w = np.zeros(X.shape[1:] + self.y.shape[1:]) + o.get("coef0", 0)
        b = np.zeros(self.y.shape[1:] or 1) + o.get("intercept0", 0)
        self.w, self.b = (a.copy() for a in self.scaling.inward(w, b))
        both = [self.w, self.b] if self.intercept else self.w
        self.optimizer = o["optimizer"](both)

    def update(self, at: Array) -> float:
        """Step on these rows, and return the sum of their s |r|^2 before it."""
        X, s = self.X[at], self.s[at]
        r = X @ self.w + (self.b if self.intercept else 0) - self.y[at]
        sr = (r.T * s).T
        share = self.ridge * len(at) / len(self.X)
        gw = 2 * X.T @ sr + 2 * share * (self.w.T / self.scaling.size**2).T
        gb = 2 * np.atleast_1d(sr.sum(axis=0))
        scale = len(at) if self.by_mean else 1
        self.optimizer.step([gw / scale, gb / scale] if self.intercept else gw / scale)
        return float((r * sr).sum())

    def solution(self) -> tuple[Array, Array]:
        found = self.optimizer.results()
        b = found[1] if self.intercept else np.zeros_like(self.b)
        w, b = self.scaling.outward(found[0].copy(), b)
        if not self.intercept:
            b = np.zeros_like(b)
        return w, (b if self.y.ndim == 2 else b[0])


def by_hand(X: Array, y: Array, rows: Sequence[Array], **o: Any) -> Trained:
    """Go over the `rows` of each epoch as `gradstep.lls.fit` says that it does."""
    loop, done, size = Loop(X, y, **o), Trained(), o.get("batch_size", 256)
    scheduler = o["scheduler"](loop.optimizer) if "scheduler" in o else None
    by_update = o.get("schedule_by") == "update"
    for visit in rows:
        total = 0.0
        for i in range(0, len(visit), size):
            total += loop.update(np.asarray(visit[i : i + size]))
            done.path.append(loop.solution())
            if scheduler and by_update:
                scheduler.step()
        done.loss.append(total / max(len(visit), 1))
        done.lr.append(loop.optimizer.lr)
        if scheduler and not by_update:
            plateau = isinstance(scheduler, ReduceLROnPlateau)
            scheduler.step(*done.loss[-1:] if plateau else ())
    done.coef, done.intercept = loop.solution()
    return done
