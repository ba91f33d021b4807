"""What a step does with its gradients before the rule sees them."""

import math
from typing import NamedTuple, TypedDict

from gradstep.hyper import as_float

NONFINITE = ("propagate", "skip", "raise")


class Scaling(TypedDict, total=False):
    """Keywords of `step`."""

    grad_scale: float
    clip_norm: float | None
    nonfinite: str


class StepReport(NamedTuple):
    """What a step found in its gradients and did with them.

    Attributes
    ----------
    grad_norm : float or None
        The norm of all gradients together, multiplied by `grad_scale` and not yet
        clipped; NaN if they are not finite, inf if only the norm is above all float64
        numbers, None if neither `clip_norm` nor `nonfinite` asked for it.
    clip_factor : float
        What they were multiplied by to bring that norm down, at most 1.
    nonfinite : int or None
        How many of their elements are infinite or NaN, or None likewise.
    skipped : bool
        Whether no step was taken.
    """

    grad_norm: float | None
    clip_factor: float
    nonfinite: int | None
    skipped: bool


def engine_scaling(where: str, how: Scaling) -> tuple[float, float, bool]:
    """Return grad_scale, clip_norm (0: none) and guard, checked."""
    unknown = how.keys() - Scaling.__annotations__.keys()
    if unknown:
        known = ", ".join(Scaling.__annotations__)
        raise TypeError(f"{where}: unknown argument {min(unknown)!r}; it has {known}")
    scale = as_float(where, "grad_scale", how.get("grad_scale", 1.0))
    if not 0 < scale < math.inf:
        raise ValueError(f"{where}: grad_scale must be in (0, inf), got {scale}")
    clip = how.get("clip_norm")
    most = 0.0 if clip is None else as_float(where, "clip_norm", clip)
    if clip is not None and not most > 0:
        raise ValueError(
            f"{where}: clip_norm must be in (0, inf], or None not to clip, got {clip}"
        )
    nonfinite = how.get("nonfinite", "propagate")
    if nonfinite not in NONFINITE:
        known = ", ".join(map(repr, NONFINITE))
        raise ValueError(
            f"{where}: nonfinite must be one of {known}, got {nonfinite!r}"
        )
    return scale, most, nonfinite != "propagate"


def refuse(where: str, how: Scaling, report: StepReport) -> None:
    """Raise if a step was not taken, and should have been."""
    if report.skipped and how.get("nonfinite") == "raise":
        raise FloatingPointError(
            f"{where}: grads have {report.nonfinite} elements that are infinite or NaN "
            "after grad_scale; nothing was changed. Pass nonfinite='skip' to leave "
            "out such steps, or a smaller grad_scale"
        )
