"""One launch: which lanes take the next instruction, and where it leads them.

Lanes at the same instruction are a group and take it together. Of the groups, the one
that is least far in the text goes first: so those that parted meet again soon. Which
lanes meet changes no result, only how long it takes, since an instruction that depends
on others waits for them by name.

That holds for kernels without races. Lanes in step would hide one, such as a missing
barrier; so a launch can instead let one warp run as far as it can before the next.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ptx import warps
from ptx.branches import LEADS
from ptx.kinds import (
    ALL,
    WARP,
    Array,
    KernelError,
    LaneError,
    NotInterpreted,
    Where,
    widened,
)
from ptx.memory import POISON, Spaces
from ptx.parsing import Instruction
from ptx.transfers import reader

if TYPE_CHECKING:
    from ptx.program import Program

ORDERS: dict[str, Callable[[Array], Array]] = {
    "together": np.zeros_like,
    "warps": lambda warp: warp,
    "warps reversed": lambda warp: -warp,
}

ALWAYS = np.ones(1, bool)  # of what has no guard


class Machine:
    """Registers and places of all threads of a launch."""

    def __init__(
        self, program: "Program", grid: warps.Grid, spaces: Spaces, order: str
    ) -> None:
        self.program, self.grid, self.spaces = program, grid, spaces
        self.instructions = program.module.instructions
        self.registers: list[Array | None] = [None] * len(program.module.registers)
        self.alive = np.ones(grid.lanes, bool)
        self.rank = ORDERS[order](grid.warp)
        self.apart = bool(self.rank.any())
        self.ready: dict[tuple[int, int], Array] = {}  # by rank and instruction
        self.held: dict[int, Array] = {}  # those that wait for others
        self.back: dict[str, Array] = {}  # by function, where a call returns to
        self.used: Counter[str] = Counter()
        self.count = 0
        self.specials: dict[str, Array] = {}

    def register(self, slot: int) -> Array:
        found = self.registers[slot]
        if found is None:
            dtype = self.program.module.registers[slot]
            poison = np.full(self.grid.lanes * dtype.itemsize, POISON, "u1")
            found = poison.view(dtype) if dtype.kind != "b" else poison == 0
            self.registers[slot] = found
        return found

    def write(self, slot: int, where: Where, value: Array) -> None:
        register = self.register(slot)
        register[where] = widened(value, register.dtype)

    def special(self, name: str) -> Array:
        if not self.specials:
            self.specials = specials(self.grid)
        if name not in self.specials:
            raise NotInterpreted(f"not interpreted: {name}")
        return self.specials[name]

    def run(self, start: int, limit: int) -> None:
        self._push(start, np.arange(self.grid.lanes))
        with np.errstate(all="ignore"):
            while self.ready or self.held:
                if not self.ready:
                    self._release()
                key = min(self.ready)
                self._advance(*key, self.ready.pop(key), limit)

    def _push(self, place: int, lanes: Array) -> None:
        ranks = self.rank[lanes]
        for rank in np.unique(ranks) if self.apart else [0]:
            some, key = lanes[ranks == rank], (int(rank), place)
            if key in self.ready:
                some = np.sort(np.concatenate([self.ready[key], some]))
            self.ready[key] = some

    def _advance(self, rank: int, place: int, lanes: Array, limit: int) -> None:
        """Take a group as far as it goes without a branch or another group."""
        while True:
            instruction = self.instructions[place]
            self.used[instruction.opcode] += 1
            self.count += 1
            if self.count > limit:
                raise self._fault(f"no end after {limit} instructions", place, lanes[0])
            on = self._taking(instruction, lanes)
            if instruction.words[0] in LEADS or instruction.waits:
                self._part(place, lanes, on)
                return
            if on.any():
                self._do(place, lanes if on is ALWAYS else lanes[on])
            place += 1
            if (rank, place) in self.ready:
                self._push(place, lanes)
                return

    def _taking(self, instruction: Instruction, lanes: Array) -> Array:
        """Say of each lane whether the guard lets it take an instruction."""
        if instruction.guard is None:
            return ALWAYS
        return self.register(instruction.guard.slot)[lanes] != instruction.unless

    def _do(self, place: int, lanes: Array) -> None:
        where = ALL if lanes.size == self.grid.lanes else lanes
        with self._at(place, lanes):
            self.program.action(place)(self, where, lanes)

    @contextmanager
    def _at(self, place: int, lanes: Array) -> Iterator[None]:
        """Say of which instruction and which lane it was that something is wrong."""
        try:
            yield
        except LaneError as e:
            raise self._fault(str(e), place, lanes[e.position]) from None
        except NotInterpreted as e:
            text = self.instructions[place].text
            raise NotInterpreted(f"{e}: {text}") from e

    def _fault(self, why: str, place: int, lane: int) -> KernelError:
        thread, block = self.grid.thread[lane], self.grid.block[lane]
        text = self.instructions[place].text
        who = f"lane {lane}: thread {thread} of block {block}"
        return KernelError(f"{why}: {text} ({who})")

    def _part(self, place: int, lanes: Array, on: Array) -> None:
        """Send those who take a branch where it leads; let others wait or go on."""
        on = np.broadcast_to(on, lanes.shape)
        some, rest = lanes[on], lanes[~on]
        if rest.size:
            self._push(place + 1, rest)
        if not some.size:
            return
        lead = LEADS.get(self.instructions[place].words[0])
        if lead is None:  # it waits
            waiting = [self.held[place], some] if place in self.held else [some]
            self.held[place] = np.sort(np.concatenate(waiting))
            return
        with self._at(place, some):
            groups = lead(self, place, some)
        for target, group in groups:
            self._push(target, group)

    def _release(self) -> None:
        """Let go on who waited for lanes that have all come, as nobody else can."""
        released = False
        for place in sorted(self.held):
            lanes = self.held.pop(place)
            with self._at(place, lanes):
                complete = self._complete(self.instructions[place], lanes)
            if complete.size:
                released = True
                self._do(place, complete)
                self._push(place + 1, complete)
            rest = np.setdiff1d(lanes, complete, assume_unique=True)
            if rest.size:
                self.held[place] = rest
        if not released:
            place = min(self.held)
            why = "lanes wait here, others do not come"
            raise self._fault(why, place, self.held[place][0])

    def _complete(self, instruction: Instruction, lanes: Array) -> Array:
        alive = np.flatnonzero(self.alive)
        if warps.is_barrier(instruction.opcode):
            return warps.complete_blocks(self.grid, lanes, alive)
        masks = reader(instruction.operands[-1], "u32")(self, lanes)
        return warps.complete_warps(self.grid, lanes, alive, masks)


def specials(grid: warps.Grid) -> dict[str, Array]:
    """Return what threads can ask about themselves."""

    def every(n: int) -> Array:
        return np.full(grid.lanes, n, "u4")

    found = {
        "%tid.x": grid.thread,
        "%ctaid.x": grid.block,
        "%ntid.x": every(grid.lanes // grid.blocks),
        "%nctaid.x": every(grid.blocks),
        "%laneid": grid.place,
        "%WARP_SZ": every(WARP),
        "%lanemask_eq": grid.bit,
        "%lanemask_lt": grid.bit - np.uint32(1),
        "%lanemask_le": grid.bit | (grid.bit - np.uint32(1)),
        "%lanemask_gt": ~(grid.bit | (grid.bit - np.uint32(1))),
        "%lanemask_ge": ~(grid.bit - np.uint32(1)),
    }
    for axis in "yz":  # launches have one dimension
        found |= {f"%tid.{axis}": every(0), f"%ctaid.{axis}": every(0)}
        found |= {f"%ntid.{axis}": every(1), f"%nctaid.{axis}": every(1)}
    return found
