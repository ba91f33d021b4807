"""Kernels as C++, by emulation.h: for sanitizers and debuggers."""

import ctypes
import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

from gradstep.torch import cuda, kernels
from ptx import Memory
from stand_in import Launch

HERE = Path(__file__).parent
FLAGS = ("-std=c++20", "-O1", "-g", "-ffp-contract=off", "-w", "-shared", "-fPIC")
KERNEL = re.compile(r'extern\s+"C"\s+void\s+(gs_\w+)\s*\(')


class Emulator:
    """A machine; shared objects are kept in a folder, by what they are made of."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._folder, self._flags = folder, (*FLAGS, *flags)
        self._libraries: dict[cuda.Source, ctypes.CDLL] = {}

    def launch(self, told: Launch, memory: Memory) -> None:
        del memory  # sanitizers know better
        if told.source not in self._libraries:
            self._libraries[told.source] = ctypes.CDLL(str(self.built(told.source)))
        kernel: Any = self._libraries[told.source][f"emulate_{told.name}"]
        kernel.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        kernel(told.argument, told.grid, told.threads)

    def built(self, source: cuda.Source) -> Path:
        """Return a shared object with a function for each kernel of a source."""
        told = repr((source, self._flags, (HERE / "emulation.h").read_text()))
        folder = self._folder / hashlib.sha256(told.encode()).hexdigest()[:16]
        made = folder / "kernels.so"
        if made.exists():
            return made
        for name, header in source.headers:
            # C++ has its own, and what rules include lies above them.
            if not name.startswith("..") and name not in kernels._STANDARD:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(header)
        text = folder / "kernels.cc"
        defines = [f"#define {d.replace('=', ' ', 1)}\n" for d in source.defines]
        text.write_text(f'#include "emulation.h"\n{"".join(defines)}{source.text}')
        include = [f"-I{HERE}", f"-I{folder}"]
        expanded = ["g++", *self._flags, *include, "-E", "-P", text]
        shown = subprocess.run(expanded, check=True, capture_output=True, text=True)
        with text.open("a") as file:
            file.writelines(
                f"EMULATED({name})\n" for name in KERNEL.findall(shown.stdout)
            )
        partly = made.with_suffix(".part")
        subprocess.run(["g++", *self._flags, *include, text, "-o", partly], check=True)
        partly.rename(made)
        return made
