"""What leads elsewhere than to the next instruction: branches, calls and ends."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ptx.kinds import Array, NotInterpreted, require
from ptx.transfers import copy_variables, reader

if TYPE_CHECKING:
    from ptx.machine import Machine

Groups = list[tuple[int, Array]]  # an instruction, the lanes that go there


def branch(machine: "Machine", place: int, lanes: Array) -> Groups:
    instruction = machine.instructions[place]
    return [(instruction.function.labels[instruction.operands[0]], lanes)]


def branch_table(machine: "Machine", place: int, lanes: Array) -> Groups:
    instruction = machine.instructions[place]
    index, table = instruction.operands
    labels = instruction.function.tables[table]
    chosen = np.broadcast_to(reader(index, "u32")(machine, lanes), lanes.shape)
    require(chosen < len(labels), "beyond the table's end")
    return [
        (instruction.function.labels[labels[i]], lanes[chosen == i])
        for i in np.unique(chosen)
    ]


def call(machine: "Machine", place: int, lanes: Array) -> Groups:
    name, given, _ = machine.instructions[place].operands
    function = machine.program.module.functions.get(name)
    if function is None:
        raise NotInterpreted
    nowhere = np.full(machine.grid.lanes, -1)
    back = machine.back.setdefault(function.name, nowhere)
    require(back[lanes] == -1, "a function that calls itself")
    back[lanes] = place + 1
    copy_variables(machine, lanes, list(zip(given, function.parameters)))
    return [(function.start, lanes)]


def end(machine: "Machine", place: int, lanes: Array) -> Groups:
    machine.alive[lanes] = False
    return []


def leave(machine: "Machine", place: int, lanes: Array) -> Groups:
    function = machine.instructions[place].function
    if function.entry:
        return end(machine, place, lanes)
    back = machine.back[function.name]
    groups = [(int(p), lanes[back[lanes] == p]) for p in np.unique(back[lanes])]
    back[lanes] = -1
    for target, group in groups:
        results = machine.instructions[target - 1].operands[2]
        copy_variables(machine, group, list(zip(function.results, results)))
    return groups


def trap(machine: "Machine", place: int, lanes: Array) -> Groups:
    require(np.False_, "trap")


LEADS: dict[str, Callable[["Machine", int, Array], Groups]] = {
    "bra": branch,
    "brx": branch_table,
    "call": call,
    "ret": leave,
    "exit": end,
    "trap": trap,
}
