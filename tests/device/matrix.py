"""What kernels use of GPUs of all kinds, by the log of NVRTC's assembler."""

import re
from typing import NamedTuple

from gradstep import _core
from gradstep.torch import cuda, kernels
from gradstep.torch.kernels import Kind

OLDEST, NEWEST, ALL = 75, 120, (75, 80, 90, 100, 120)


class Used(NamedTuple):
    registers: int
    stack: int
    spills: int  # bytes, stored and loaded


ENTRY = re.compile(
    r"Compiling entry function '(\w+)'.*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)


def used(source: cuda.Source, arch: int) -> dict[str, Used]:
    """Return what each kernel of a source uses."""
    _, log = cuda._compile(source, arch, "CUBIN", "--ptxas-options=-v")
    return {
        name: Used(int(registers), int(stack), int(stores) + int(loads))
        for name, stack, stores, loads, registers in ENTRY.findall(log)
    }


def plain(rule: str) -> Kind:
    return Kind(rule, "f32", None, None, None, False)


RULES = {k.rule: k for k in _core.kernels() if k.dtype == "f32"}
CODED = (
    Kind("adam", "f32", "bf16_split", "bf16", "blocks", False),
    Kind("madgrad", "f32", "f16", "f16", None, True),
)
# All rules at the ends; some, and some storages, in between, too.
MATRIX: list[tuple[Kind, int]] = [
    *((plain(rule), arch) for rule in RULES for arch in (OLDEST, NEWEST)),
    *((plain(rule), arch) for rule in ("adam", "lamb", "madgrad") for arch in ALL[1:4]),
    *((kind, arch) for kind in CODED for arch in ALL),
]


def wanted() -> list[tuple[cuda.Source, int]]:
    return [(kernels.source(kind), arch) for kind, arch in MATRIX]
