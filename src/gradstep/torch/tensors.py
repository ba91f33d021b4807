"""Tensors as C sees them: their memory, as a flat array of real numbers."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from gradstep import _core, dtypes
from gradstep.storage import SCALE, Field, Layout
from gradstep.storage import fill as storage_fill
from gradstep.structure import Array

# Types of parameters; complex numbers are pairs of reals.
DTYPES = (
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.complex64,
    torch.complex128,
)
# Those of arrays, where torch's own conversion does not tell.
_KEPT = {
    dtypes.BFLOAT16: torch.bfloat16,
    np.dtype(np.uint16): torch.int16,  # torch's uint16 can do little
}

PLAIN = (torch.Tensor, torch.nn.Parameter)


def is_distributed(t: Any) -> bool:
    """Return whether a tensor is a DTensor; imports nothing for it."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(t, module.DTensor)


def local(t: Any) -> Any:
    """Return the part of a tensor that this process holds: itself, if it is plain."""
    return t.detach().to_local() if is_distributed(t) else t


def sharded_alike(params: Sequence[Any]) -> dict[tuple[Any, int], list[int]]:
    """Return which parameters are sharded over an axis of a mesh, for each."""
    found: dict[tuple[Any, int], list[int]] = {}
    for k, p in enumerate(params):
        for axis, placement in enumerate(p.placements if is_distributed(p) else ()):
            if not placement.is_replicate():
                found.setdefault((p.device_mesh, axis), []).append(k)
    return found


def add_up(alike: Mapping[tuple[Any, int], Any], sums: torch.Tensor) -> None:
    """Make sums over the shards that we hold, a row for each parameter, those over all.

    One message for all rows of parameters that are sharded alike; sums, and numbers of
    rows, are where those are.
    """
    for (mesh, axis), rows in alike.items():
        found = sums[rows]
        torch.distributed.all_reduce(found, group=mesh.get_group(axis))
        sums[rows] = found


def check(where: str, t: Any, known: tuple[torch.dtype, ...] | None = DTYPES) -> None:
    """Refuse by name what is no memory that C could update in place."""
    kind = type(t)
    if is_distributed(t):
        t = local(t)
    if type(t) not in PLAIN:
        raise TypeError(
            f"{where} must be a plain tensor or a DTensor, got {kind.__module__}."
            f"{kind.__qualname__}; its data is not simply its memory"
        )
    if t.layout is not torch.strided:
        raise TypeError(f"{where} has layout {t.layout}, expected torch.strided")
    if t.device.type == "meta":
        raise TypeError(
            f"{where} is on device meta, so it has no numbers; materialize it"
        )
    if known is not None and t.dtype not in known:
        names = ", ".join(str(d).removeprefix("torch.") for d in known)
        raise TypeError(
            f"{where} has dtype {str(t.dtype).removeprefix('torch.')}, expected one of "
            f"{names}; convert the model with model.float()"
        )
    check_memory(where, t)
    if t.is_conj() or t.is_neg():
        raise ValueError(
            f"{where} is a lazily conjugated or negated view; pass "
            "t.resolve_conj().resolve_neg()"
        )
    if overlaps_itself(t):
        raise ValueError(
            f"{where} has elements that share memory (shape {tuple(t.shape)}, strides "
            f"{t.stride()}); pass t.clone()"
        )


def check_memory(where: str, t: torch.Tensor) -> None:
    """Refuse by name a strided tensor some of whose elements lie in no memory.

    Storage may be freed or resized under a tensor, and tensors of torch.func's
    transforms, of functionalization and of zeros that torch never wrote have none.
    """
    if t.is_nested:
        raise TypeError(f"{where} is a nested tensor; pass t.to_padded_tensor(0.0)")
    if not owns_memory(t):
        raise ValueError(
            f"{where} has {t.numel()} elements, and its storage does not hold them: it "
            "was freed or resized, or the tensor belongs to a transform of torch; "
            "put a tensor with memory of its own there"
        )


def owns_memory(t: torch.Tensor) -> bool:
    """Return whether the storage of a strided tensor holds all of its elements."""
    if not t.numel():
        return True
    try:
        storage, address = t.untyped_storage(), t.data_ptr()
    except RuntimeError:  # a wrapper around another tensor
        return False
    last = sum(s * (n - 1) for s, n in zip(t.stride(), t.shape, strict=True))
    end = (t.storage_offset() + last + 1) * t.element_size()
    return bool(address) and end <= storage.nbytes()


def _axes(t: torch.Tensor) -> list[tuple[int, int]]:
    """Return strides and extents of the axes that matter, the innermost first."""
    if t.numel() == 0:
        return []
    return sorted((s, n) for s, n in zip(t.stride(), t.shape, strict=True) if n > 1)


def overlaps_itself(t: torch.Tensor) -> bool:
    """Return whether elements may share memory: as torch, not if axes nest."""
    reach = 0
    for stride, extent in _axes(t):
        if stride <= reach:
            return True
        reach += stride * (extent - 1)
    return False


def is_dense(t: torch.Tensor) -> bool:
    """Return whether the elements fill their memory, in whatever order."""
    size = 1
    for stride, extent in _axes(t):
        if stride != size:
            return False
        size *= extent
    return True


class _Address:
    """Memory of a device, as NumPy describes memory; it must not be read."""

    def __init__(self, t: torch.Tensor) -> None:
        self.__array_interface__ = {
            "data": (t.data_ptr(), False),
            "shape": (t.numel(),),
            "typestr": f"<{'f' if t.is_floating_point() else 'u'}{t.element_size()}",
            "version": 3,
        }


def _addressed(line: torch.Tensor) -> Array:
    """Return an array that only says where memory of a device is."""
    if not line.numel():
        return flat(torch.empty(0, dtype=line.dtype, device="cpu"))
    if line.dtype is torch.bfloat16:
        codes: Array = np.asarray(_Address(line.view(torch.int16)))
        return codes.view(dtypes.BFLOAT16)
    return np.asarray(_Address(line))


def flat(t: torch.Tensor) -> Array:
    """Return the memory of a dense plain tensor; writing to it writes to the tensor.

    On a device its elements cannot be touched.
    """
    line = _line(t.detach())
    if line.device.type != "cpu":
        return _addressed(line)
    if line.dtype is torch.bfloat16:
        codes: Array = line.view(torch.int16).numpy()
        return codes.view(dtypes.BFLOAT16)
    found: Array = line.numpy()
    return found


def code(t: torch.Tensor) -> str | None:
    """Return C's word for the type of a tensor, if it is one of fewer bits."""
    return dtypes.code_of(array_dtype(t))


def array_dtype(t: torch.Tensor) -> Any:
    """Return the type of the numbers in a tensor, or of the parts of complex ones."""
    return flat(torch.empty(0, dtype=t.dtype, device="cpu")).dtype


def tensor_dtype(dtype: Any, like: torch.Tensor) -> torch.dtype:
    """Return the type of tensors for arrays of a type, complex if `like` is."""
    found = _KEPT.get(dtype) or torch.from_numpy(np.empty(0, dtype)).dtype
    return found.to_complex() if like.is_complex() else found


def _line(t: torch.Tensor) -> torch.Tensor:
    line = t.as_strided((t.numel(),), (1,))
    return torch.view_as_real(line).reshape(-1) if t.is_complex() else line


def lines(t: torch.Tensor) -> list[int]:
    """Return where a look at a tensor reads: its object, its C++ part, its storage.

    Only hints of what to fetch, so that it does not matter what torch keeps there.
    """
    body, storage = (getattr(x, "_cdata", 0) for x in (t, t.untyped_storage()))
    return [id(t), body, body + 64, body + 128, body + 192, storage]


def zeros_like(wanted: Sequence[tuple[torch.Tensor, Field]]) -> list[torch.Tensor]:
    """Return tensors of zeros beside others, in memory where steps are fastest.

    They have the strides of the others, unless they have fewer elements. Those of a
    DTensor are DTensors too, in memory of torch's, as is what is on devices.
    """
    lines = [
        (flat(t), field.dtype, field.shape(flat(t)))
        for t, field in wanted
        if _is_ours(t)
    ]
    made = iter(_core.allocate_like(lines))
    return [
        _shaped(next(made), t, field) if _is_ours(t) else _zeros(t, field)
        for t, field in wanted
    ]


def _is_ours(t: torch.Tensor) -> bool:
    return type(t) in PLAIN and t.device.type == "cpu"


def _zeros(like: torch.Tensor, field: Field) -> torch.Tensor:
    dtype = tensor_dtype(field.dtype, like)
    if field.per == 1:
        return torch.zeros_like(like, dtype=dtype)
    return torch.zeros(-(-like.numel() // field.per), dtype=dtype, device=like.device)


def fill_state(
    found: Layout, kept: Mapping[str, Any], name: str, number: float
) -> None:
    """Write one number to all elements of a state, whatever its code."""
    beside = {k: local(t) for k, t in kept.items() if k in (name, name + SCALE)}
    there = {k: t.to("cpu") for k, t in beside.items()}
    storage_fill(found, {k: flat(t) for k, t in there.items()}, name, number)
    for k, t in beside.items():
        t.copy_(there[k])


def _shaped(line: Array, like: torch.Tensor, field: Field) -> torch.Tensor:
    plain = line.view(np.int16) if line.dtype in _KEPT else line
    numbers = torch.from_numpy(plain).view(tensor_dtype(field.dtype, like))
    return numbers if field.per > 1 else numbers.as_strided(like.shape, like.stride())


def fill(t: torch.Tensor, number: float) -> None:
    """Write a number to all elements, and to both parts of complex ones."""
    found = local(t)
    (torch.view_as_real(found) if found.is_complex() else found).fill_(number)
