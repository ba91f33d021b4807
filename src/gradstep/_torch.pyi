from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

from gradstep._core import Engine

ON_CPU: int
ON_CUDA: int
PREPARE: int
GATHER: int
STEP: int
SCALE: int
REDUCE: int
TOTAL: int
SHARE: int
SUMS_AT: int
SUMS: int
SKIPPED_AT: int
RECORD_BYTES: int
MEASURED_BYTES: int

def where_body(tensor: Any) -> int: ...
def partials(n: int) -> int: ...

@disjoint_base
class Launches:
    def __init__(
        self,
        record: int,
        measured: int,
        count: int,
        step: int,
        scalar: int,
        scalars: int,
        processors: int,
        shares: bool,
        modules: Any,
        beside: Any,
        rates: Any,
        launch: Callable[[int, int, int, int, int], object],
    ) -> None: ...
    def amp(self, scale: int, found_inf: int) -> None: ...

@disjoint_base
class Watch:
    def __init__(
        self,
        engine: Engine,
        capsule: object,
        kind: type,
        params: list[list[Any]],
        index: Any,
        plain: Any,
        state: dict[Any, Any],
        entries: list[Any],
        hints: Any,
        places: Any,
        offset: int,
        counts: Any,
        scalars: Any,
        fit: Callable[[int, Any, Any], tuple[int, Any] | None],
        bump: Callable[[list[Any]], object],
        device_type: int,
        launches: Launches | None,
    ) -> None: ...
    def check_states(self) -> None: ...
    def step(
        self,
        groups: list[dict[str, Any]],
        state: dict[Any, Any],
        grad_scale: float = 1.0,
        clip_norm: float = 0.0,
        guard: bool = False,
    ) -> bool: ...
    def states(self, i: int) -> tuple[Any, ...]: ...
