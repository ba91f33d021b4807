"""The safetensors format: a header in JSON, then the bytes of all arrays.

The library of that name opens files by their path and maps them into memory: a file
that is replaced or cut short meanwhile is read as damaged, or ends the process. Here is
what it checks, for bytes that came through one descriptor. The format is described at
https://huggingface.co/docs/safetensors.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradstep.checkpoint import strict_json
from gradstep.dtypes import BFLOAT16

# What files call the types of arrays, and how they are stored.
DTYPES: dict[str, Any] = {
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "U64": np.dtype("<u8"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "BOOL": np.dtype("?"),
}

PREFIX = struct.Struct("<Q")  # the bytes of the header
LONGEST = 100_000_000  # bytes of a header that the library reads
_ALIGNMENT = 8  # bytes, for programs that map files
_METADATA = "__metadata__"


class Entry(NamedTuple):
    """An array of a file; `begin` and `end` count from the end of the header."""

    dtype: str
    shape: list[int]
    begin: int
    end: int


def placed(arrays: Mapping[str, tuple[str, list[int]]]) -> dict[str, Entry]:
    """Return where arrays of these types and shapes stand, in that order.

    The widest elements come first, so that all are aligned.
    """
    entries, begin = {}, 0
    for name in sorted(arrays, key=lambda name: -DTYPES[arrays[name][0]].itemsize):
        dtype, shape = arrays[name]
        end = begin + math.prod(shape) * DTYPES[dtype].itemsize
        entries[name] = Entry(dtype, shape, begin, end)
        begin = end
    return entries


def header(metadata: Mapping[str, str], entries: Mapping[str, Entry]) -> bytes:
    """Return what a file begins with."""
    described: dict[str, Any] = {_METADATA: metadata}
    for name, (dtype, shape, begin, end) in entries.items():
        offsets = [begin, end]
        described[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > LONGEST:
        raise ValueError(
            f"the header would have {len(text)} bytes, and may have {LONGEST}; save "
            "fewer objects to one file"
        )
    return PREFIX.pack(len(text)) + text


def parse(text: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the metadata of a header, and its entries, which are not checked yet.

    Raises
    ------
    ValueError
        If the text is no header.
    """
    described = strict_json.loads(text.decode())
    if not isinstance(described, dict):
        raise ValueError("is not a JSON object")
    metadata = described.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise ValueError(f"has {_METADATA} that are not strings")
    return metadata, described


def checked(described: Mapping[str, Any], room: int) -> dict[str, Entry]:
    """Return the entries of a header, which fill the bytes after it without a gap.

    Raises
    ------
    ValueError
        If an entry is none, its bytes are not as many as its type and shape need, or
        arrays overlap, leave a gap, or are not `room` bytes together.
    """
    entries = {name: _entry(name, value) for name, value in described.items()}
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1][2:]):
        needed = math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
        if entry.begin != at or entry.end - entry.begin != needed:
            raise ValueError(
                f"has the array {name!r} of {needed} bytes from {entry.begin} to "
                f"{entry.end}, where it must begin at {at}"
            )
        at = entry.end
    if at != room:
        raise ValueError(f"has arrays of {at} bytes, and {room} follow it")
    return entries


def _entry(name: str, value: Any) -> Entry:
    if (
        isinstance(value, dict)
        and value.keys() == {"dtype", "shape", "data_offsets"}
        and isinstance(value["dtype"], str)
        and value["dtype"] in DTYPES
        and _are_counts(value["shape"])
        and _are_counts(value["data_offsets"])
        and len(value["data_offsets"]) == 2
    ):
        return Entry(value["dtype"], value["shape"], *value["data_offsets"])
    raise ValueError(f"has an entry {name!r} that describes no array")


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(x) is int and x >= 0 for x in values)
