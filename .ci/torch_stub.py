"""Write src/gradstep/torch/__init__.pyi: what type checkers see of made classes.

usage: python .ci/torch_stub.py [--check]
"""

import inspect
import sys
import typing
from pathlib import Path
from typing import Any

import gradstep.torch
from gradstep.torch.averaging import Averaging
from gradstep.torch.optimizer import Optimizer

STUB = Path(__file__).parent.parent / "src" / "gradstep" / "torch" / "__init__.pyi"

HEAD = """\
# Written by .ci/torch_stub.py, from the registry.
from typing import Any

from torch import Tensor

from gradstep.torch import lr_scheduler as lr_scheduler
from gradstep.torch.averaging import Averaging
from gradstep.torch.offload import CPUOffload as CPUOffload
from gradstep.torch.optimizer import Optimizer as Optimizer
"""


def hint(method: Any, name: str) -> str:
    """Return the type of an option as one reads it in a stub."""
    kind = typing.get_type_hints(method).get(name)
    if kind is None:
        return "bool | None" if name in ("foreach", "fused") else "bool"
    text: str = kind.__name__ if isinstance(kind, type) else str(kind)
    if typing.get_origin(kind) is tuple:
        text = str(kind).replace("float", "float | Tensor")
    return text + (" | Tensor" if text == "float" else "")


def stub(cls: Any) -> str:
    """Return the lines of one class."""
    base = "Averaging" if issubclass(cls, Averaging) else "Optimizer"
    lines = [f"\nclass {cls.__name__}({base}):", "    def __init__(", "        self,"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    starred = False
    for p in inspect.signature(cls).parameters.values():
        if p.name == "params":
            lines.append("        params: Any,")
            continue
        if p.kind is keyword and not starred:
            starred = True
            lines.append("        *,")
        lines.append(f"        {p.name}: {hint(cls.method, p.name)} = ...,")
    return "\n".join([*lines, "    ) -> None: ..."])


def main() -> None:
    """Write the stub, or fail if it is another."""
    public = [getattr(gradstep.torch, name) for name in gradstep.torch.__all__]
    classes = [x for x in public if isinstance(x, type)]
    made = [c for c in classes if issubclass(c, Optimizer) and c is not Optimizer]
    text = HEAD + "\n".join(map(stub, made)) + "\n"
    if "--check" not in sys.argv:
        STUB.write_text(text)
    elif STUB.read_text() != text:
        sys.exit(f"{STUB} is not what .ci/torch_stub.py writes; run it")


if __name__ == "__main__":
    main()
