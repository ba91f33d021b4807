from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

from gradstep._core import Engine

def where_body(tensor: Any) -> int: ...

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
