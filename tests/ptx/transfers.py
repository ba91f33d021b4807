"""What moves values: mov, ld, st and atom, as functions of a machine and lanes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx.arithmetic import larger, smaller
from ptx.kinds import DTYPES, Array, NotInterpreted, Where, constant, narrowed, unsigned
from ptx.parsing import (
    Address,
    Instruction,
    Not,
    Number,
    Parts,
    Register,
    Special,
    Symbol,
)

if TYPE_CHECKING:
    from ptx.machine import Machine

Action = Callable[["Machine", Where, Array], None]
Reader = Callable[["Machine", Where], Array]

# Who else sees an access, and where it is cached, changes no value here.
HINTS = {
    *("volatile", "relaxed", "acquire", "release", "weak", "cta", "gpu", "sys", "nc"),
    *("ca", "cg", "cs", "lu", "cv", "wb", "wt", "cluster", "acq_rel"),
}
VECTORS = {"v2": 2, "v4": 4, "v8": 8}
SPACES = ("global", "const", "param", "shared", "local")


def reader(operand: Any, kind: str) -> Reader:
    """Return a function that reads an operand for some lanes, or for all at once."""
    if isinstance(operand, Register):
        slot = operand.slot
        return lambda machine, where: narrowed(machine.register(slot)[where], kind)
    if isinstance(operand, Not):
        inner = reader(operand.register, kind)
        return lambda machine, where: ~inner(machine, where)
    if isinstance(operand, Special):
        name = operand.name
        return lambda machine, where: narrowed(machine.special(name)[where], kind)
    if isinstance(operand, Number):
        value = constant(operand.text, kind)
    elif isinstance(operand, Symbol):
        value = narrowed(np.array([operand.address], "u8"), kind)
    else:
        raise NotInterpreted

    def same(machine: "Machine", where: Where) -> Array:
        return value

    return same


def address(operand: Address) -> Reader:
    base, offset = reader(operand.base, "u64"), np.uint64(operand.offset % 2**64)
    return lambda machine, where: base(machine, where) + offset


def write(machine: "Machine", target: Any, where: Where, value: Array) -> None:
    if isinstance(target, Register):
        machine.write(target.slot, where, value)
    elif target != "_":
        raise NotInterpreted


def move(instruction: Instruction) -> Action:
    kind = instruction.words[-1]
    target, source = instruction.operands
    if isinstance(target, Parts):
        return _unpack(target, reader(source, kind), DTYPES[kind])
    if isinstance(source, Parts):
        return _pack(target, source, DTYPES[kind])
    read = reader(source, kind)

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        write(machine, target, where, read(machine, where))

    return act


def _unpack(target: Parts, read: Reader, dtype: np.dtype) -> Action:
    part = np.dtype(f"u{dtype.itemsize // len(target.operands)}")

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        whole = np.ascontiguousarray(read(machine, where)).view(part)
        for i, operand in enumerate(target.operands):
            write(machine, operand, where, whole[i :: len(target.operands)])

    return act


def _pack(target: Register, source: Parts, dtype: np.dtype) -> Action:
    size = dtype.itemsize // len(source.operands)
    reads = [reader(o, f"b{8 * size}") for o in source.operands]

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        parts = [np.broadcast_to(r(machine, where), lanes.shape) for r in reads]
        whole = np.stack(parts, axis=1).view(unsigned(dtype))[:, 0]
        write(machine, target, where, whole)

    return act


def _reach(words: list[str]) -> tuple[str, int]:
    """Return an access's space, none if it is generic, and its number of elements."""
    space, count = "", 1
    for word in words[1:-1]:
        if word in SPACES:
            space = word
        elif word in VECTORS:
            count = VECTORS[word]
        elif word not in HINTS and not word.startswith(("L1::", "L2::")):
            raise NotInterpreted
    return space, count


def _elements(operand: Any) -> tuple[Any, ...]:
    return operand.operands if isinstance(operand, Parts) else (operand,)


def load(instruction: Instruction) -> Action:
    words, (target, source, *_) = instruction.words, instruction.operands
    (space, count), dtype = _reach(words), DTYPES[words[-1]]
    where_from, targets = address(source), _elements(target)

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        cells = machine.spaces.cells(
            space, where_from(machine, where), lanes, dtype, count
        )
        for i, operand in enumerate(targets):
            value = np.empty(lanes.size, dtype)
            for cell in cells:
                value[cell.lanes] = cell.array[cell.index + i]
            write(machine, operand, where, value)

    return act


def store(instruction: Instruction) -> Action:
    words, (target, source, *_) = instruction.words, instruction.operands
    (space, count), dtype = _reach(words), DTYPES[words[-1]]
    where_to = address(target)
    reads = [reader(o, words[-1]) for o in _elements(source)]

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        cells = machine.spaces.cells(
            space, where_to(machine, where), lanes, dtype, count, write=True
        )
        for i, read in enumerate(reads):
            value = np.broadcast_to(read(machine, where), lanes.shape)
            for cell in cells:
                cell.array[cell.index + i] = value[cell.lanes]

    return act


ATOMIC: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "min": smaller,
    "max": larger,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda _, new: new,
    "cas": lambda old, expected, new: np.where(old == expected, new, old),
    "inc": lambda old, top: np.where(old >= top, 0, old + 1).astype(old.dtype),
    "dec": lambda old, top: np.where((old == 0) | (old > top), top, old - 1),
}


def atomic(instruction: Instruction) -> Action:
    """Build `atom`, and `red`, which is one that returns nothing."""
    words = instruction.words
    kind, returns = words[-1], words[0] == "atom"
    (name,) = (w for w in words[1:-1] if w in ATOMIC)
    space, count = _reach([words[0], *(w for w in words[1:-1] if w != name), kind])
    if kind[0] == "f" or kind not in DTYPES or count > 1:
        raise NotInterpreted  # the sum of floats would depend on the order
    target, place, *sources = (
        instruction.operands if returns else (None, *instruction.operands)
    )
    where_to, reads = address(place), [reader(o, kind) for o in sources]

    def act(machine: "Machine", where: Where, lanes: Array) -> None:
        values = [np.broadcast_to(r(machine, where), lanes.shape) for r in reads]
        old = np.empty(lanes.size, DTYPES[kind])
        places = where_to(machine, where)
        for cell in machine.spaces.cells(
            space, places, lanes, DTYPES[kind], write=True
        ):
            one_by_one(ATOMIC[name], cell, old, values)
        if returns:
            write(machine, target, where, old)

    return act


def one_by_one(
    combine: Callable[..., Array], cell: Any, old: Array, values: list[Array]
) -> None:
    positions = np.arange(old.size)[cell.lanes]
    for i, index in zip(positions, cell.index, strict=True):
        old[i] = cell.array[index]
        cell.array[index] = combine(old[i : i + 1], *(v[i : i + 1] for v in values))[0]


def copy_variables(
    machine: "Machine", lanes: Array, pairs: list[tuple[Symbol, Symbol]]
) -> None:
    """Copy what a call gives or returns, from one variable to another."""
    byte = np.dtype("u1")
    for source, target in pairs:
        for i in range(source.size):
            places = np.uint64(source.address + i), np.uint64(target.address + i)
            (a,) = machine.spaces.cells("param", places[0], lanes, byte)
            (b,) = machine.spaces.cells("param", places[1], lanes, byte, write=True)
            b.array[b.index] = a.array[a.index]
