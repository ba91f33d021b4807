"""What tests of gradstep.minimize share: a quadratic, and a loop by hand."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.optimize

import gradstep as gs
from gradstep import lr_scheduler as lrs

Array = Any
f4, f8 = np.float32, np.float64
CURVATURE = np.array([0.7, 1.9, 3.1])
TARGET = np.array([0.3, -1.1, 2.3])
X0 = np.array([2.1, -0.4, 0.9])
HALF = partial(lrs.StepLR, step_size=3, gamma=0.5)
SGD = gs.minimize(gs.SGD, lr=0.11)


def loss(x: Array) -> float:
    return float(CURVATURE @ (x - TARGET) ** 2)


def grad(x: Array) -> Array:
    return (2 * CURVATURE * (x - TARGET)).astype(x.dtype)


def run(method: Any, x0: Any = X0, **changes: Any) -> Any:
    """Minimize the quadratic; other options than scipy's own are the method's."""
    own = ("fun", "args", "jac", "bounds", "tol", "callback", "hess", "hessp")
    given = {"fun": loss, "jac": grad}
    given |= {k: changes.pop(k) for k in own if k in changes}
    return scipy.optimize.minimize(x0=x0, method=method, options=changes, **given)


def path(method: Any, x0: Any = X0, **changes: Any) -> tuple[Any, list[Array]]:
    """The result, and the iterates after x0."""
    seen: list[Array] = []
    found = run(method, x0, callback=seen.append, **changes)
    return found, seen


def by_hand(
    make: Callable[[Array], Any], steps: int, x0: Array = X0, box: Any = None
) -> list[Array]:
    """The same iterates, by the optimizer's own methods."""
    w, seen = x0.copy(), []
    opt = make(w)
    for _ in range(steps):
        if isinstance(opt, gs.SAM):
            opt.first_step(grad(w))
            opt.second_step(grad(w))
        else:
            opt.step(grad(opt.lookahead() if opt.gradient_elsewhere() else w))
        if box is not None:
            w[...] = np.minimum(np.maximum(w, box[0]), box[1])
        seen.append(opt.eval_params() if hasattr(opt, "eval_params") else w.copy())
    return seen


def same(ours: list[Array], theirs: list[Array]) -> bool:
    return [x.tobytes() for x in ours] == [x.tobytes() for x in theirs]
