"""A tree in a safetensors file: checksums, and orders of elements."""

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from gradstep import dtypes
from gradstep.checkpoint import files, layout, strict_json, tree

FORMAT, VERSION = "gradstep", "1"

# Types of arrays by their names in NumPy.
_WORDS = {str(dtype): word for word, dtype in layout.DTYPES.items() if word != "BF16"}
_WORDS["bfloat16"] = "BF16"


def word(dtype: Any) -> str:
    """Return the name of a number type in any byte order; others are no key of it."""
    if dtypes.code_of(dtype) == "bf16":
        return "bfloat16"
    # Others may have any name: that of structured scalars is the user's.
    return str(dtype.name if dtype.kind in "fiub" else dtype)


def write(path: str, objects: list[Any]) -> None:
    """Write a list of trees, in place of what stands at `path`, once it is on disk."""
    text, arrays = tree.flatten(objects)
    contents, shapes, described = {}, {}, {}
    for name, array in arrays.items():
        kind = _WORDS.get(word(array.dtype))
        if kind is None:
            raise TypeError(
                f"save: {name} has dtype {array.dtype}, which no file holds"
            )
        plain, order = _in_order(array)
        contents[name] = plain
        shapes[name] = kind, list(plain.shape)
        described[name] = [kind, list(plain.shape), order, _digest(plain)]
    notes = {"tree": text, "arrays": json.dumps(described)}
    notes |= {"format": FORMAT, "version": VERSION}
    notes["sum"] = _digest_of_notes(notes)
    entries = layout.placed(shapes)
    try:
        header = layout.header(notes, entries)
    except ValueError as error:
        raise ValueError(f"save: {path!r}: {error}") from None
    with files.replacing(path) as file:
        files.write(file, memoryview(header))
        for name in entries:
            files.write(file, _bytes_of(contents[name]))


def read(path: str) -> list[Any]:
    """Return the trees, all of whose bytes are those that were written."""
    where = f"load: {path!r}"
    with files.reading("load", path) as file:
        notes, entries, start = _header(where, file)
        described = _described(where, notes)
        if described.keys() != entries.keys():
            raise ValueError(
                f"{where} is damaged: it has other arrays than were written"
            )
        arrays = {}
        for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
            *form, order, digest = described[name]
            data = _read(where, file, start + entry.begin, entry.end - entry.begin)
            if form != [*entry[:2]] or hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(
                    f"{where} is damaged: the array {name!r} is not what was written"
                )
            arrays[name] = _array(data, entry, order)
    try:
        objects = tree.restored(notes["tree"], arrays)
    except ValueError as error:
        raise ValueError(f"{where} is damaged: its tree {error}") from None
    if not isinstance(objects, list):
        raise ValueError(f"{where} is not what gradstep.save writes")
    return objects


# -- writing


def _in_order(array: Any) -> tuple[Any, str]:
    """Return an array's elements without gaps, little-endian, and their order."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    plain = np.ascontiguousarray(array.T if fortran else array)
    if plain.dtype.fields is None and plain.dtype.str[0] == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    if sys.byteorder == "big" and plain.dtype.itemsize > 1:
        plain = plain.byteswap()
    shape = array.shape[::-1] if fortran else array.shape
    return plain.reshape(shape), "F" if fortran else "C"


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _digest(array: Any) -> str:
    return hashlib.sha256(_bytes_of(array)).hexdigest()


def _digest_of_notes(notes: Mapping[str, str]) -> str:
    named = [[key, notes[key]] for key in sorted(notes.keys() - {"sum"})]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


# -- reading


def _header(
    where: str, file: BinaryIO
) -> tuple[dict[str, str], dict[str, layout.Entry], int]:
    """Return the metadata of a file, its entries, and the place where arrays begin."""
    total, first = files.size(file), layout.PREFIX.size
    try:
        if total < first:
            raise ValueError(f"does not fit into {total} bytes")
        (length,) = layout.PREFIX.unpack(_read(where, file, 0, first))
        if length > min(total - first, layout.LONGEST):
            raise ValueError(f"would have {length} bytes")
        notes, described = layout.parse(bytes(_read(where, file, first, length)))
    except ValueError as error:
        raise ValueError(
            f"{where} is no safetensors file, or damaged: its header {error}"
        ) from None
    if notes.get("format") != FORMAT:
        raise ValueError(f"{where} was not written by gradstep.save")
    if notes.get("version") != VERSION:
        raise ValueError(
            f"{where} is of version {notes.get('version')!r} of the format; this "
            f"gradstep reads {VERSION!r}"
        )
    if notes.get("sum") != _digest_of_notes(notes):
        raise ValueError(f"{where} is damaged: its metadata are not what was written")
    start = first + length
    try:
        return notes, layout.checked(described, total - start), start
    except ValueError as error:
        raise ValueError(f"{where} is damaged: its header {error}") from None


def _described(where: str, notes: dict[str, str]) -> dict[str, list[Any]]:
    """Return type, shape, order and checksum of each array, as they were written."""
    try:
        described = strict_json.loads(notes["arrays"])
        valid = all(
            kind in layout.DTYPES and order in ("C", "F") and isinstance(shape, list)
            for kind, shape, order, _ in described.values()
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        valid = False
    if not valid or "tree" not in notes:
        raise ValueError(f"{where} is not what gradstep.save writes")
    return dict(described)


def _read(where: str, file: BinaryIO, at: int, count: int) -> Any:
    """Return so many bytes of a file from a place on."""
    data = np.empty(count, np.uint8)
    if files.read(file, at, data.data) < count:
        raise ValueError(f"{where} was cut short while it was read")
    return data


def _array(data: Any, entry: layout.Entry, order: str) -> Any:
    flat = data.view(layout.DTYPES[entry.dtype])
    if sys.byteorder == "big" and flat.dtype.itemsize > 1:
        flat = flat.byteswap()
    array = flat.reshape(entry.shape)
    if array.dtype.fields is None:
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.T if order == "F" else array
