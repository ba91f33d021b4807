"""Data and references that the tests of estimators share."""

from typing import Any

import numpy as np
from sklearn.callback import FitCallback

from gradstep.structure import Array


def problem(n: int = 61, m: int = 4, k: int | None = None) -> tuple[Array, Array]:
    """Rows with a slope, an intercept and noise."""
    rng = np.random.default_rng(29)
    X = rng.standard_normal((n, m)) + rng.uniform(-1, 1, m)
    W = rng.uniform(-2, 2, (m, k or 1))
    y = X @ W + 0.7 + 0.3 * rng.standard_normal((n, k or 1))
    return X, y if k else y[:, 0]


def weights(n: int = 61) -> Array:
    """One for each row, some of them zero."""
    s = np.random.default_rng(31).uniform(0, 3, n)
    s[::7] = 0
    return s


def exact(
    X: Array, y: Array, *, alpha: float = 0.0, s: Array | None = None, b: bool = True
) -> tuple[Array, Array]:
    """By orthogonal transformations of all rows and, below them, the penalty's."""
    n, m = X.shape
    root = np.sqrt(np.ones(n) if s is None else s)[:, np.newaxis]
    above = np.hstack([X, np.ones((n, 1))]) if b else X
    below = np.eye(m, above.shape[1]) * np.sqrt(alpha)
    Y = y.reshape(n, -1)
    A = np.vstack([root * above, below])
    found = np.linalg.lstsq(A, np.vstack([root * Y, np.zeros((m, Y.shape[1]))]))[0]
    w, offset = found[:m].T, found[m] if b else np.zeros(Y.shape[1])
    return (w[0], offset[0]) if y.ndim == 1 else (w, offset)


def distance(a: Any, b: Any) -> float:
    """Relative to the second."""
    return float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b))


class Recorder(FitCallback):
    """Writes down its calls, and stops an epoch if it is told to."""

    def __init__(self, stop: int | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.given: list[dict[str, Any]] = []
        self.stop = stop

    def setup(self, *_: Any, **__: Any) -> None:
        self.calls.append(("setup",))

    def teardown(self, *_: Any, **__: Any) -> None:
        self.calls.append(("teardown",))

    def on_fit_task_begin(self, _: Any, context: Any) -> None:
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self,
        _: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        self.calls.append(("end", context.task_name, context.task_id))
        self.given.append(
            {"X": X, "y": y, "metadata": metadata, "fitted": fitted_estimator}
        )
        return context.task_name == "epoch" and context.task_id == self.stop
