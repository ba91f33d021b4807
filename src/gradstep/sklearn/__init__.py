"""Estimators for scikit-learn, which only this package needs.

>>> from gradstep.sklearn import LLSRegressor
>>> LLSRegressor(alpha=0.5).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]])
array([6.2])
"""

try:
    import sklearn.callback  # noqa: F401  # here, so that its lack is named once
except ImportError as missing:
    raise ImportError(
        "gradstep.sklearn needs scikit-learn 1.9; pip install 'gradstep[sklearn]'"
    ) from missing

from gradstep.sklearn.outcome import ConvergenceWarning
from gradstep.sklearn.regressor import LLSRegressor

__all__ = ["ConvergenceWarning", "LLSRegressor"]
