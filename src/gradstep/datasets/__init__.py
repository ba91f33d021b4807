"""The data of the demonstration."""

from importlib.resources import files

import numpy as np

from gradstep.structure import Array


def wdbc() -> tuple[Array, Array]:
    """Return the Wisconsin breast-cancer columns of the demonstration.

    Returns
    -------
    X : ndarray, shape (569, 2)
        Mean radius and mean area of the cell nuclei in an image, in pixels.
    y : ndarray, shape (569, 1)
        Their mean perimeter.

    References
    ----------
    Wolberg, Mangasarian, Street & Street, "Breast Cancer Wisconsin (Diagnostic)", UCI
    Machine Learning Repository, 1993, https://doi.org/10.24432/C5DW2B. CC BY 4.0.

    Examples
    --------
    >>> from gradstep.datasets import wdbc
    >>> X, y = wdbc()
    >>> X.shape, y[0]
    ((569, 2), array([122.8]))
    """
    with files(__name__).joinpath("wdbc.csv").open(encoding="utf-8") as lines:
        table = np.loadtxt(lines, delimiter=",", skiprows=4)
    return table[:, :2].copy(), table[:, 2:].copy()
