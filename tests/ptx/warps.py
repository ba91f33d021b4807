"""What threads do together: shuffles, votes and barriers.

A lane that comes to one of these waits. Who is awaited is decided here, and so is what
the instruction does once they are there: the lanes of some complete warps or blocks.
"""

from typing import Any

import numpy as np

from ptx.kinds import WARP, Array, require

# Opcodes of which a lane waits for others.
SYNCHRONOUS = ("shfl.sync", "vote.sync", "redux.sync", "bar.warp.sync")
BARRIERS = ("bar.sync", "bar.red", "barrier.sync")


def is_barrier(opcode: str) -> bool:
    return opcode.startswith(BARRIERS)


def waits(opcode: str) -> bool:
    return opcode.startswith(SYNCHRONOUS) or is_barrier(opcode)


class Grid:
    """Which warp, block and bit each lane is."""

    def __init__(self, grid: int, block: int) -> None:
        self.lanes = grid * block
        per_block = -(-block // WARP)
        self.thread = np.tile(np.arange(block, dtype="u4"), grid)
        self.block = np.repeat(np.arange(grid, dtype="u4"), block)
        self.blocks, self.warps = grid, grid * per_block
        self.warp = self.block.astype("i8") * per_block + self.thread // WARP
        self.place = self.thread % WARP
        self.bit = (np.uint64(1) << self.place.astype("u8")).astype("u4")
        first = np.concatenate([[0], np.flatnonzero(np.diff(self.warp)) + 1])
        self.first = first[self.warp]  # the lane that begins a lane's warp

    def present(self, lanes: Array) -> Array:
        """Return, for every warp, which of its lanes are among these."""
        found = np.zeros(self.warps, "u4")
        np.bitwise_or.at(found, self.warp[lanes], self.bit[lanes])
        return found


def complete_blocks(grid: Grid, lanes: Array, alive: Array) -> Array:
    """Return those waiting lanes all of whose living block waits with them."""
    awaited = np.bincount(grid.block[alive], minlength=grid.blocks)
    here = np.bincount(grid.block[lanes], minlength=grid.blocks)
    return lanes[(awaited == here)[grid.block[lanes]]]


def complete_warps(grid: Grid, lanes: Array, alive: Array, masks: Array) -> Array:
    """Return those waiting lanes all of whose mask waits with them."""
    masks = np.broadcast_to(masks, lanes.shape)
    require((masks & grid.bit[lanes]) != 0, "a lane that is not in its own mask")
    living = grid.present(alive)
    ready = np.zeros(lanes.size, bool)
    for mask in np.unique(masks):
        same = np.flatnonzero(masks == mask)
        missing = living & mask & ~grid.present(lanes[same])
        ready[same] = missing[grid.warp[lanes[same]]] == 0
    return lanes[ready]


def shuffle(
    grid: Grid, lanes: Array, mode: str, value: Array, step: Array, control: Array
) -> tuple[Array, Array]:
    """Return the values of other lanes, and whether there is such a lane."""
    me = grid.place[lanes].astype("i8")
    step, control = step.astype("i8") & 31, control.astype("i8")
    segment, clamp = control >> 8 & 31, control & 31
    lowest = me & segment
    highest = lowest | (clamp & ~segment)
    other = {
        "up": me - step,
        "down": me + step,
        "bfly": me ^ step,
        "idx": lowest | (step & ~segment),
    }[mode]
    there = other >= highest if mode == "up" else other <= highest
    source = grid.first[lanes] + np.where(there, other, me)
    every, takes_part = (
        np.zeros(grid.lanes + WARP, "u4"),
        np.zeros(grid.lanes + WARP, bool),
    )
    every[lanes], takes_part[lanes] = value, True
    require(takes_part[source], "a shuffle from a lane that takes no part")
    return every[source], there


def _groups(keys: list[Array]) -> tuple[int, Array]:
    _, group = np.unique(np.stack(keys), axis=1, return_inverse=True)
    group = group.ravel()
    return group.max() + 1, group


def _together(group: Array, count: int, ufunc: Any, value: Array, start: Any) -> Array:
    total = np.full(count, start, value.dtype)
    ufunc.at(total, group, value)
    return total[group]


def vote(grid: Grid, lanes: Array, mode: str, value: Array, mask: Array) -> Array:
    mask, value = (np.broadcast_to(x, lanes.shape) for x in (mask, value))
    count, group = _groups([grid.warp[lanes], mask])
    bits = np.where(value, grid.bit[lanes], 0).astype("u4")
    ballot = _together(group, count, np.bitwise_or, bits, 0)
    members = _together(group, count, np.bitwise_or, grid.bit[lanes], 0)
    return {
        "ballot": ballot,
        "any": ballot != 0,
        "all": ballot == members,
        "uni": (ballot == 0) | (ballot == members),
    }[mode]


REDUCE = {
    "add": np.add,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "min": np.minimum,
    "max": np.maximum,
}


def neutral(mode: str, dtype: np.dtype) -> int:
    if mode in ("min", "and"):
        return np.iinfo(dtype).max
    return np.iinfo(dtype).min if mode == "max" else 0


def reduce_warps(
    grid: Grid, lanes: Array, mode: str, value: Array, mask: Array
) -> Array:
    mask, value = (np.broadcast_to(x, lanes.shape) for x in (mask, value))
    count, group = _groups([grid.warp[lanes], mask])
    start = neutral(mode, value.dtype)
    return _together(group, count, REDUCE[mode], value, start)


def reduce_blocks(grid: Grid, lanes: Array, mode: str, value: Array) -> Array:
    counts = np.bincount(grid.block[lanes], np.broadcast_to(value, lanes.shape))
    true = counts[grid.block[lanes]]
    if mode == "popc":
        return true.astype("u4")
    size = np.bincount(grid.block[lanes])[grid.block[lanes]]
    return {"or": true > 0, "and": true == size}[mode]
