"""A tree in a safetensors file: checksums, orders of elements, whole writes."""

import hashlib
import json
import os
import secrets
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradstep import dtypes
from gradstep.checkpoint import tree
from gradstep.dtypes import BFLOAT16

FORMAT, VERSION = "gradstep", "1"

# What safetensors calls the types of arrays in its functions and in files.
_TYPES = {
    "float32": ("F32", np.dtype("<f4")),
    "float64": ("F64", np.dtype("<f8")),
    "float16": ("F16", np.dtype("<f2")),
    "bfloat16": ("BF16", BFLOAT16),
    "uint8": ("U8", np.dtype("u1")),
    "uint16": ("U16", np.dtype("<u2")),
    "uint32": ("U32", np.dtype("<u4")),
    "uint64": ("U64", np.dtype("<u8")),
    "int32": ("I32", np.dtype("<i4")),
    "int64": ("I64", np.dtype("<i8")),
    "bool": ("BOOL", np.dtype("?")),
}
_OF_FILE: dict[str, Any] = dict(_TYPES.values())


def word(dtype: Any) -> str:
    """Return the name of a number type in any byte order; others are no key of it."""
    if dtypes.code_of(dtype) == "bf16":
        return "bfloat16"
    # Others may have any name: that of structured scalars is the user's.
    return str(dtype.name if dtype.kind in "fiub" else dtype)


def write(path: Any, objects: list[Any]) -> None:
    """Write a list of trees, in place of what stands at `path`, once it is on disk."""
    safetensors = _imported()
    text, arrays = tree.flatten(objects)
    stored, known, held = {}, {}, []
    for name, array in arrays.items():
        kind = word(array.dtype)
        if kind not in _TYPES:
            raise TypeError(
                f"save: {name} has dtype {array.dtype}, which no file holds"
            )
        plain, order = _in_order(array)
        held.append(plain)
        known[name] = [_TYPES[kind][0], list(plain.shape), order, _digest(plain)]
        stored[name] = safetensors.TensorSpec(
            dtype=kind,
            shape=list(plain.shape),
            data_ptr=plain.__array_interface__["data"][0],
            data_len=plain.nbytes,
        )
    notes = {"tree": text, "arrays": json.dumps(known)}
    notes |= {"format": FORMAT, "version": VERSION}
    notes["sum"] = _digest_of_notes(notes)
    with _replacing(os.fspath(path)) as beside:
        safetensors.serialize_file(stored, beside, metadata=notes)


def read(path: Any) -> list[Any]:
    """Return the trees, all of whose bytes are those that were written."""
    where = f"load: {os.fspath(path)!r}"
    notes, entries = _header(where, path)
    known = _described(where, notes)
    if known.keys() != entries.keys():
        raise ValueError(f"{where} is damaged: it has other arrays than were written")
    arrays = {}
    with open(path, "rb", buffering=0) as file:
        for name, (kind, shape, at, count) in entries.items():
            *described, order, digest = known[name]
            data = _bytes(file, at, count)
            if [kind, shape] != described or hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(
                    f"{where} is damaged: the array {name!r} is not what was written"
                )
            arrays[name] = _array(data, kind, shape, order)
    try:
        found = tree.restored(notes["tree"], arrays)
    except ValueError as error:
        raise ValueError(f"{where} is damaged: its tree {error}") from None
    if not isinstance(found, list):
        raise ValueError(f"{where} is not what gradstep.save writes")
    return found


def _imported() -> Any:
    try:
        import safetensors  # noqa: PLC0415  # optional
    except ImportError as error:
        raise ImportError(
            "save and load need safetensors; pip install 'gradstep[checkpoint]'"
        ) from error
    return safetensors


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


@contextmanager
def _replacing(path: str) -> Iterator[str]:
    """Yield the name of a file that then takes the place of another, whole."""
    folder = os.path.dirname(os.path.abspath(path))
    beside = os.path.join(folder, f".{secrets.token_hex(8)}")
    try:
        with open(beside, "xb"):
            pass
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        if os.path.exists(beside):
            os.unlink(beside)
        if type(error).__name__ == "SafetensorError":
            raise OSError(f"save: {path!r} could not be written: {error}") from error
        raise
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the new name, too
    finally:
        os.close(handle)


def _digest(array: Any) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8)).hexdigest()


def _digest_of_notes(notes: Mapping[str, str]) -> str:
    named = [[key, notes[key]] for key in sorted(notes.keys() - {"sum"})]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


# -- reading


def _header(where: str, path: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what a file says of itself, and where its arrays stand."""
    safetensors = _imported()
    try:
        # Its checks: sizes, offsets without gaps, names once.
        with safetensors.safe_open(os.fspath(path), framework="np") as file:
            notes = dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{where} is no safetensors file, or damaged: {error}"
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
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__")
    entries = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        entries[name] = entry["dtype"], entry["shape"], 8 + length + start, end - start
    return notes, entries


def _described(where: str, notes: dict[str, str]) -> dict[str, list[Any]]:
    """Return type, shape, order and checksum of each array, as they were written."""
    try:
        known = json.loads(notes["arrays"])
        good = all(
            kind in _OF_FILE and order in ("C", "F") and isinstance(shape, list)
            for kind, shape, order, _ in known.values()
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        good = False
    if not good or "tree" not in notes:
        raise ValueError(f"{where} is not what gradstep.save writes")
    return dict(known)


def _bytes(file: Any, at: int, count: int) -> bytearray:
    """Return bytes of a file, which has as many: that was checked."""
    file.seek(at)
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = file.readinto(view)
        if not got:
            raise ValueError(f"load: {file.name!r} was cut short while it was read")
        view = view[got:]
    return data


def _array(data: bytearray, kind: str, shape: list[int], order: str) -> Any:
    flat = np.frombuffer(data, np.uint8).view(_OF_FILE[kind])
    if sys.byteorder == "big" and flat.dtype.itemsize > 1:
        flat = flat.byteswap()
    found = flat.reshape(shape)
    if found.dtype.fields is None:
        found = found.astype(found.dtype.newbyteorder("="), copy=False)
    return found.T if order == "F" else found
