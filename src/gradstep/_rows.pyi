from collections.abc import Iterator

from typing_extensions import disjoint_base

from gradstep.structure import Array

@disjoint_base
class Groups(Iterator[tuple[Array, Array]]):
    def __init__(
        self,
        seed: int,
        epoch: int,
        n: int,
        row_bytes: int,
        *,
        within: bool = True,
    ) -> None: ...
    def __next__(self) -> tuple[Array, Array]: ...

@disjoint_base
class Portions(Iterator[tuple[Array, Array]]):
    def __init__(
        self, seed: int, epoch: int, n: int, row_bytes: int, most: int
    ) -> None: ...
    def __next__(self) -> tuple[Array, Array]: ...

def shuffled(seed: int, epoch: int, n: int, row_bytes: int, blocks: bool) -> Array: ...
def csr_check(start: Array, column: Array, L: int) -> tuple[bool, bool]: ...
def rows_fit(rows: Array, n: int) -> bool: ...
