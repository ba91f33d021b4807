"""What can be found out about a function: its gradient, critical points, convexity."""

from gradstep.analysis.convexity import Chord, Convexity, is_convex_on_samples
from gradstep.analysis.critical import CriticalPoint, classify_critical_point
from gradstep.analysis.gradient import GradientCheck, check_gradient

__all__ = [
    "Chord",
    "Convexity",
    "CriticalPoint",
    "GradientCheck",
    "check_gradient",
    "classify_critical_point",
    "is_convex_on_samples",
]
