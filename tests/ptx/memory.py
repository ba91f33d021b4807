"""Addresses: buffers of the host under their own, the device's in windows.

Nothing is read or written before the whole access is known to be aligned and to lie in
one buffer. Only then does it go through a view of all there is between the first buffer
and the last, as hundreds of buffers, one after the other, would take NumPy long.
"""

import ctypes
from bisect import bisect
from typing import NamedTuple

import numpy as np

from ptx.kinds import ALL, Array, LaneError, Where, require

# No address of a process is as high.
WINDOW = 1 << 60
PARAM, SHARED, DYNAMIC, LOCAL, FRAME = (n * WINDOW for n in (1, 2, 3, 4, 5))
HOST = 0
# What an instruction may name, and where that lies. A kernel's parameter is one for all
# threads; those of functions, in frames, are each thread's own. The shared memory whose
# size a launch gives is apart from that whose size the compiler knows.
REACH = {
    "global": (HOST,),
    "const": (HOST,),
    "param": (PARAM, FRAME),
    "shared": (SHARED, DYNAMIC),
    "local": (LOCAL,),
    "": (HOST, PARAM, SHARED, DYNAMIC, LOCAL, FRAME),
}
POISON = 0xCB  # what nobody has written
UNIT = 64  # buffers of the device begin at multiples of this


def aligned(nbytes: int, fill: int = 0) -> Array:
    """Return a buffer of bytes that begins at a multiple of UNIT."""
    raw = np.full(nbytes + UNIT, fill, np.uint8)
    start = -raw.ctypes.data % UNIT
    return raw[start : start + nbytes]


class Cells(NamedTuple):
    """Elements of a flat array, one per lane, of those that it is for."""

    lanes: Where  # of the access, by position
    array: Array
    index: Array


class Memory:
    """Buffers of the host; their addresses are those that kernels are given."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []  # by address

    def add(self, array: Array) -> None:
        """Let kernels read an array, and write to it if NumPy may."""
        if not array.flags.c_contiguous:
            raise ValueError("an array of a kernel is contiguous")
        if not array.nbytes:
            return
        start, end = array.ctypes.data, array.ctypes.data + array.nbytes
        place = bisect(self.arrays, start, key=lambda a: a.ctypes.data)
        for other in self.arrays[max(place - 1, 0) : place + 1]:
            if start < other.ctypes.data + other.nbytes and other.ctypes.data < end:
                raise ValueError("this array overlaps one that was added before")
        self.arrays.insert(place, array)


class Host:
    """The buffers of some memories, as a kernel reaches them."""

    def __init__(self, *memories: Memory) -> None:
        arrays = [a for memory in memories for a in memory.arrays]
        arrays.sort(key=lambda a: a.ctypes.data)
        self.arrays = arrays
        self.starts = np.array([a.ctypes.data for a in arrays], "u8")
        self.sizes = np.array([a.nbytes for a in arrays], "u8")
        self.writable = np.array([a.flags.writeable for a in arrays], bool)
        self.low = int(self.starts[0]) // UNIT * UNIT if arrays else 0
        high = int((self.starts + self.sizes).max()) if arrays else 0
        span = (high - self.low + UNIT) // UNIT * UNIT
        every = (ctypes.c_uint8 * span).from_address(self.low) if arrays else b""
        self.bytes = np.frombuffer(every, np.uint8)

    def cells(
        self, address: Array, _: Array, width: int, count: int, write: bool
    ) -> Array:
        """Return positions in `bytes`, in units of `width`."""
        size = width * count
        place = np.searchsorted(self.starts, address, "right") - 1
        require(place >= 0, "wild address")
        offset = address - self.starts[place]
        require(offset < self.sizes[place], "address outside of every buffer")
        require(
            offset + size <= self.sizes[place], f"{size} bytes beyond a buffer's end"
        )
        if write:
            require(self.writable[place], "write to a buffer that is only to be read")
        return (address - self.low) // width


class Window:
    """Memory of the device, of which every owner has a copy: a block, a thread."""

    def __init__(
        self, base: int, buffer: Array, size: int, owner: Array | None
    ) -> None:
        self.base, self.bytes, self.size = base, buffer, size
        self.owner = owner  # of each lane; none, if there is one for all
        self.stride = -(-size // UNIT) * UNIT

    def cells(
        self, address: Array, lanes: Array, width: int, count: int, write: bool
    ) -> Array:
        size = width * count
        offset = address - self.base
        inside = (offset < self.size) & (offset + size <= self.size)
        require(inside, f"{size} bytes outside of {self.size}")
        if self.owner is None:
            if write:
                require(np.False_, "write to a kernel's parameter")
            return offset // width
        return (offset + self.owner[lanes] * np.uint64(self.stride)) // width


def copies(base: int, size: int, owner: Array, owners: int) -> Window:
    """Return a window in which nothing has been written."""
    stride = -(-size // UNIT) * UNIT
    return Window(base, aligned(stride * owners, POISON), size, owner.astype("u8"))


class Spaces:
    """Everything that has an address while a kernel runs."""

    def __init__(self, windows: dict[int, Host | Window]) -> None:
        self.windows = windows

    def cells(
        self,
        space: str,
        address: Array,
        lanes: Array,
        dtype: np.dtype,
        count: int = 1,
        write: bool = False,
    ) -> list[Cells]:
        """Return where each lane's access goes; `count` elements, one after another."""
        width = dtype.itemsize
        address = np.broadcast_to(address, lanes.shape)
        require(
            address % np.uint64(width * count) == 0,
            f"misaligned access of {width * count} bytes",
        )
        found = []
        for base, where in self._split(REACH[space], address):
            window = self.windows[base]
            try:
                index = window.cells(address[where], lanes[where], width, count, write)
            except LaneError as e:  # of those that reach this window
                position = np.arange(lanes.size)[where][e.position]
                raise LaneError(str(e), int(position)) from None
            found.append(Cells(where, window.bytes.view(dtype), index))
        return found

    def _split(self, bases: tuple[int, ...], address: Array) -> list[tuple[int, Where]]:
        if len(bases) == 1:
            return [(bases[0], ALL)]
        tops = address // np.uint64(WINDOW) * np.uint64(WINDOW)
        require(np.isin(tops, bases), "wild address")
        present = np.unique(tops)
        if present.size == 1:
            return [(int(present[0]), ALL)]
        return [(int(base), np.flatnonzero(tops == base)) for base in present]
