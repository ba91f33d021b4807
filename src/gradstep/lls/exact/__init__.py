"""Exact solutions of linear least-squares problems, in memory and from blocks."""

from gradstep.lls.exact.solution import Solution
from gradstep.lls.exact.solve import solve

__all__ = ["Solution", "solve"]
