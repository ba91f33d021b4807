"""Sources of CUDA kernels: a rule's header, and the words that it is compiled with."""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from gradstep._build import RULES
from gradstep.torch.cuda import Source

# NVRTC has none of these.
_STANDARD = ("float.h", "math.h", "stdbool.h", "stddef.h", "stdint.h")

_HEADERS = (
    "bounds.h",
    "cbrt.h",
    "codes.h",
    "device.h",
    "host_math.h",
    "measure.h",
    "mix.h",
    "multi_tensor.cuh",
    "rule_begin.h",
    "rule_device.h",
    "rule_end.h",
    "scalar.h",
    "words.h",
)


class Kind(NamedTuple):
    """A rule, and how the arrays that it steps are kept: by C's words for codes."""

    rule: str
    dtype: str
    param: str | None
    grad: str | None
    state: str | None
    master: bool


def source(kind: Kind) -> Source:
    """Return the source of the kernels that step, and prepare steps, by a rule."""
    header, *switches = _rules()[kind.rule]
    words = {
        "DTYPE": kind.dtype,
        "T": {"f32": "float", "f64": "double"}[kind.dtype],
        "P_CODE": _word(kind.param),
        "G_CODE": _word(kind.grad),
        "S_CODE": _word(kind.state),
        "MASTER": int(kind.master),
        "ISA": "device",
        "GS_DEVICE": 1,
        "NDEBUG": 1,
        "VARIANT": kind.rule.removeprefix(header),
        **{switch.upper(): 1 for switch in switches},
    }
    # Not as options of the compiler, whose own headers have a T of theirs.
    lines = [f"#define {name} {value}" for name, value in words.items()]
    lines += ['#include "multi_tensor.cuh"', f'#include "rules/{header}.h"', ""]
    return Source("\n".join(lines), _headers(), ())


def measuring() -> Source:
    """Return the source of the kernels that belong to no rule."""
    return Source(_text("measure.cuh"), _headers(), ("GS_DEVICE=1", "NDEBUG=1"))


def _word(code: str | None) -> str:
    return "PLAIN" if code is None else code.upper()


@cache
def _rules() -> dict[str, list[str]]:
    """Return, by the names of rules, their headers and switches."""
    return {rule.replace(":", "_"): rule.split(":") for rule in RULES}


@cache
def _headers() -> tuple[tuple[str, str], ...]:
    """Return all headers, by the names by which others include them."""
    found = [(name, _text("freestanding.h")) for name in _STANDARD]
    for name in _HEADERS:
        found += [(name, _text(name)), (f"../{name}", _text(name))]
    for file in sorted((files("gradstep") / "include" / "rules").iterdir(), key=str):
        found += [
            (file.name, file.read_text()),
            (f"rules/{file.name}", file.read_text()),
        ]
    return tuple(found)


@cache
def _text(name: str) -> str:
    return (files("gradstep") / "include" / name).read_text()
