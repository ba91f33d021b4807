from gradstep._core import Engine
from gradstep.structure import Array

def shuffled(seed: int, epoch: int, n: int, row_bytes: int, blocks: bool) -> Array: ...
def rows_fit(rows: Array, n: int) -> bool: ...
def run(
    engine: Engine,
    X: Array,
    y: Array,
    w: Array,
    g: Array,
    total: Array,
    rows: Array,
    batch: int,
    mean: bool,
) -> bool: ...
