"""What kernels use of a GPU, by the log of NVRTC's assembler; compiled in processes."""

import re
from typing import NamedTuple

from gradstep.torch import cuda, kernels
from gradstep.torch.kernels import Kind


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


def names() -> list[str]:
    return list(kernels._rules())
