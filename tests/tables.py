"""Parquet files that the tests of their reader share."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from reading import numbers

N = 20


def table(n: int = N, **more: Any) -> pa.Table:
    """Numbers of several types between columns of others."""
    columns = {
        "name": pa.array([f"row {k}" for k in range(n)]),
        "a": numbers((n,), "<f8", 1),
        "y": numbers((n,), "<f4", 2),
        "b": numbers((n,), "<i4", 3),
        "w": np.abs(numbers((n,), "<f4", 4)),
        "flag": numbers((n,), "|b1", 5),
    }
    return pa.table(columns | more)


def written(path: Path, rows: pa.Table, group: int = 6, **options: Any) -> str:
    parquet.write_table(rows, path, row_group_size=group, **options)
    return str(path)
