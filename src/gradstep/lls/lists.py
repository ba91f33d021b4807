"""Lists of matrices, such as parts of a data set that were loaded one by one."""

from typing import Any


def are_matrices(X: Any) -> bool:
    """Return whether X is a list or tuple of arrays, sparse matrices or tables."""
    return (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and all(getattr(each, "ndim", 0) == 2 for each in X)
    )


def zipped(who: str, X: Any, y: Any, sample_weight: Any) -> list[tuple[Any, ...]]:
    """Return chunks (X, y) or (X, y, sample_weight) of lists of as many arrays."""
    columns = [X]
    for name, values in (("y", y), ("sample_weight", sample_weight)):
        if values is None:
            continue
        if not isinstance(values, (list, tuple)) or len(values) != len(X):
            kind = type(values).__name__
            size = f" of {len(values)}" if isinstance(values, (list, tuple)) else ""
            raise ValueError(
                f"{who}: {name} must be a list of {len(X)} arrays, as X is, got "
                f"{kind}{size}"
            )
        columns.append(values)
    return list(zip(*columns, strict=True))
