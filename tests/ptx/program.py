"""A module that NVRTC has compiled, whose kernels can be run."""

import re
from collections import Counter

import numpy as np

from ptx.kinds import Array, KernelError, NotInterpreted
from ptx.machine import Machine
from ptx.memory import (
    DYNAMIC,
    FRAME,
    HOST,
    LOCAL,
    PARAM,
    SHARED,
    Host,
    Memory,
    Spaces,
    Window,
    aligned,
    copies,
)
from ptx.parsing import Function, Module
from ptx.plans import plan
from ptx.transfers import Action
from ptx.warps import Grid

# What must not be in a module whose bits are to be those of the host, as patterns of
# whole opcodes. Without `.rn` the assembler may still fuse a product and a sum.
FORBIDDEN = (
    r"fma\.r.\.(ftz\.)?f32(x2)?",
    r"(add|sub|mul|fma)\.f(32|64)",
    r".*\.(approx|full|ftz)\b.*",
)


class Program:
    """All kernels of a module; `used` counts by opcode what they have executed.

    A count is of instructions, not of threads: those that take one together count once.
    """

    def __init__(self, text: str, forbidden: tuple[str, ...] = FORBIDDEN) -> None:
        self.module = Module(text)
        self.used: Counter[str] = Counter()
        self._actions: dict[int, Action] = {}
        self._own = Memory()
        for array in self.module.variables:
            self._own.add(array)
        for i in self.module.instructions:
            if any(re.fullmatch(pattern, i.opcode) for pattern in forbidden):
                raise KernelError(f"forbidden: {i.text} (in {i.function.name})")

    def action(self, place: int) -> Action:
        """Return what the instruction at a place does, from the second time at once."""
        if place not in self._actions:
            self._actions[place] = plan(self.module.instructions[place])
        return self._actions[place]

    def run(
        self,
        name: str,
        *,
        grid: int,
        block: int,
        argument: bytes | Array,
        memory: Memory,
        shared: int = 0,
        order: str = "together",
        limit: int = 1_000_000,
    ) -> None:
        """Launch a kernel with a struct, in blocks of threads, and wait for its end.

        `shared` is the size of the shared memory that the kernel declares without one.
        `order` is "together", "warps" or "warps reversed": a kernel without races does
        the same in all. More than `limit` instructions are an endless loop.
        """
        kernel = self.module.functions[name]
        threads = Grid(grid, block)
        spaces = self._spaces(threads, parameter(kernel, argument), memory, shared)
        machine = Machine(self, threads, spaces, order)
        try:
            machine.run(kernel.start, limit)
        finally:
            self.used += machine.used

    def _spaces(self, grid: Grid, given: Array, memory: Memory, shared: int) -> Spaces:
        sizes, lanes = self.module.sizes, np.arange(grid.lanes)
        return Spaces(
            {
                HOST: Host(memory, self._own),
                PARAM: Window(PARAM, given, given.size, None),
                SHARED: copies(SHARED, sizes[SHARED], grid.block, grid.blocks),
                DYNAMIC: copies(DYNAMIC, shared, grid.block, grid.blocks),
                LOCAL: copies(LOCAL, sizes[LOCAL], lanes, grid.lanes),
                FRAME: copies(FRAME, sizes[FRAME], lanes, grid.lanes),
            }
        )


def parameter(kernel: Function, argument: bytes | Array) -> Array:
    """Return a kernel's one parameter as the device holds it."""
    if not kernel.entry or len(kernel.parameters) != 1:
        raise NotInterpreted(f"{kernel.name} is no kernel with one parameter")
    given = np.frombuffer(bytes(argument), np.uint8)
    if given.size != kernel.parameters[0].size:
        raise ValueError(
            f"{kernel.name} takes {kernel.parameters[0].size} bytes, not {given.size}"
        )
    held = aligned(given.size + (-given.size % 64))[: given.size]
    held[:] = given
    return held
