"""An instruction becomes a function of a machine and of the lanes that take it."""

from typing import TYPE_CHECKING

import numpy as np

from ptx import arithmetic, bitwise, conversions, warps
from ptx.kinds import Array, NotInterpreted, Where
from ptx.parsing import Instruction, Parts
from ptx.transfers import Action, atomic, load, move, reader, store, write

if TYPE_CHECKING:
    from ptx.machine import Machine

BUILDERS = arithmetic.BUILDERS | bitwise.BUILDERS | conversions.BUILDERS
# What is seen in which order, or how soon, is no question where all is seen at once.
NOTHING = ("membar", "fence", "prefetch", "pragma", "nanosleep")


def plan(instruction: Instruction) -> Action:
    """Return what an instruction does that leads to the next one."""
    try:
        return _plan(instruction)
    # A table that lacks a word, and operands that are more or fewer, say so as well.
    except (NotInterpreted, KeyError, ValueError) as e:
        raise NotInterpreted(f"not interpreted: {instruction.text}") from e


def _plan(instruction: Instruction) -> Action:
    head, opcode = instruction.words[0], instruction.opcode
    if head in BUILDERS:
        return _computed(instruction, BUILDERS[head](instruction.words))
    if head in SPECIAL:
        return SPECIAL[head](instruction)
    if head in NOTHING:
        return nothing
    if warps.waits(opcode):
        return _together(instruction)
    raise NotInterpreted


def _computed(instruction: Instruction, operation: arithmetic.Operation) -> Action:
    target, *sources = instruction.operands
    if len(sources) != len(operation.sources):
        raise NotInterpreted
    reads = [reader(o, k) for o, k in zip(sources, operation.sources)]
    compute = operation.compute

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        write(machine, target, where, compute(*(r(machine, where) for r in reads)))

    return act


def _active(instruction: Instruction) -> Action:
    (target,) = instruction.operands

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        here = machine.grid.present(lanes)
        write(machine, target, where, here[machine.grid.warp[lanes]])

    return act


def _together(instruction: Instruction) -> Action:
    opcode, words = instruction.opcode, instruction.words
    if opcode in ("bar.warp.sync", "bar.sync", "barrier.sync"):
        if len(instruction.operands) != 1:
            raise NotInterpreted  # a barrier for some threads of a block
        return nothing
    if words[0] == "shfl":
        return _shuffle(instruction)
    if words[0] == "bar":
        return _block_reduction(instruction)
    target, value, mask = instruction.operands
    compute = warps.vote if words[0] == "vote" else warps.reduce_warps
    kind = "pred" if words[0] == "vote" else words[-1]
    reads = reader(value, kind), reader(mask, "u32")

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        values = [r(machine, where) for r in reads]
        result = compute(machine.grid, lanes, words[2], *values)
        write(machine, target, where, result)

    return act


def _shuffle(instruction: Instruction) -> Action:
    target, *sources, _ = instruction.operands
    mode, kind = instruction.words[2:]
    if kind != "b32":
        raise NotInterpreted
    targets = target.operands if isinstance(target, Parts) else (target, "_")
    reads = [reader(o, "u32") for o in sources]

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        values = [np.broadcast_to(r(machine, where), lanes.shape) for r in reads]
        results = warps.shuffle(machine.grid, lanes, mode, *values)
        for operand, result in zip(targets, results):
            write(machine, operand, where, result)

    return act


def _block_reduction(instruction: Instruction) -> Action:
    target, _, value = instruction.operands
    mode, read = instruction.words[2], reader(value, "pred")

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        result = warps.reduce_blocks(machine.grid, lanes, mode, read(machine, where))
        write(machine, target, where, result)

    return act


def nothing(machine: "Machine", where: Where, lanes: Array) -> None:
    """Do what has no effect but that lanes have come this far."""


SPECIAL = {
    "mov": move,
    "cvta": move,
    "ld": load,
    "ldu": load,
    "st": store,
    "atom": atomic,
    "red": atomic,
    "activemask": _active,
}
