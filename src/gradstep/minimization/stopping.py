"""When to end: the options of a method."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from gradstep.hyper import Real, Whole
from gradstep.minimization.box import Box
from gradstep.minimization.problem import Point

_NONNEGATIVE = Real(None, 0.0, math.inf, open_high=True)
_COUNT = Whole(None)
_CHECKS = {
    "maxiter": _COUNT,
    "maxfev": _COUNT,
    "gtol": _NONNEGATIVE,
    "xtol": _NONNEGATIVE,
    "ftol": _NONNEGATIVE,
    "tol": _NONNEGATIVE,
    # Of finite differences: 2**-52 is what float64 can tell from 1.
    "eps": Real(None, 2.0**-52, 1.0, open_high=False),
}


@dataclass(frozen=True)
class Options:
    """What `options` of `scipy.optimize.minimize` may hold."""

    maxiter: int = 15000
    maxfev: int | None = None
    gtol: float = 1e-5
    xtol: float = 0.0
    ftol: float = 0.0
    eps: float = 2.0**-26
    disp: bool = False

    def held(self, before: Point | None, now: Point, box: Box) -> str | None:
        """Return which stopping rule holds, if one does."""
        size = float(np.abs(box.projected(now.x, now.jac)).max())
        if size <= self.gtol:
            name = "projected gradient" if box.bounded else "gradient"
            return f"the {name} is at most gtol={self.gtol:g} everywhere"
        if before is None:
            return None
        with np.errstate(over="ignore"):  # from end to end of all floats
            step = float(np.abs(now.x - before.x).max())
        if self.xtol and step <= self.xtol:
            return f"the last step was at most xtol={self.xtol:g} everywhere"
        scale = max(abs(before.fun), abs(now.fun), 1.0)
        if self.ftol and abs(before.fun - now.fun) <= self.ftol * scale:
            return f"the loss changed relatively by at most ftol={self.ftol:g}"
        return None


def read_options(given: Mapping[str, Any]) -> Options:
    """Return options, checked."""
    known = [*(field.name for field in fields(Options)), "tol"]
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise TypeError(
                f"minimize: unknown option {name!r}{hint} it has {', '.join(known)}"
            )
        if name == "disp":
            found[name] = _switch(value)
        elif value is not None:  # as scipy writes defaults
            found[name] = _CHECKS[name].check("minimize", name, value)
    if "tol" in found:
        found.setdefault("gtol", found["tol"])
        del found["tol"]
    return Options(**found)


def _switch(value: Any) -> bool:
    if not isinstance(value, (bool, int, np.bool, np.integer)):
        raise TypeError(
            f"minimize: disp must be True or False, got {type(value).__name__}"
        )
    return bool(value)
