r"""Linear least squares: exact solutions, and training by mini-batches.

The problem is :math:`\min_{W, b} \sum_i s_i \lVert x_i W + b - y_i \rVert^2 +
\text{ridge} \lVert W \rVert^2` with X of shape (N, L) and Y of shape (N,) or (N, K).
"""

from gradstep.lls.exact import Solution, solve
from gradstep.lls.files import NpyFile, ParquetFile
from gradstep.lls.fit import fit
from gradstep.lls.result import (
    ConvergenceWarning,
    DivergenceError,
    Fit,
    NonFiniteError,
    Progress,
)
from gradstep.lls.stable import max_stable_lr
from gradstep.lls.trainer import Trainer

__all__ = [
    "ConvergenceWarning",
    "DivergenceError",
    "Fit",
    "NonFiniteError",
    "NpyFile",
    "ParquetFile",
    "Progress",
    "Solution",
    "Trainer",
    "fit",
    "max_stable_lr",
    "solve",
]
