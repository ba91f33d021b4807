"""What runs in a process of its own, under the sanitizers: kernels as C++.

usage: on_sanitizers.py FOLDER, where shared objects are kept.
Each array is a block of the heap, exactly as large as it has to be, so that the first
byte that a kernel touches beside it is seen.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cuda_bits import STORAGES, kinds

from agreement import agree, play
from emulated import Emulator
from gradstep.torch import kernels

# Shorter, as long as, and longer than what a thread, a warp and a block take at once.
SIZES = (0, 1, 9, 255, 257, 2049)
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("Adam", "float32", {}),
    ("Adam", "bfloat16, stochastic", {}),
    ("LAMB", "split, uint8 states", {"clip_norm": 1.0, "nonfinite": "skip"}),
    ("MADGRAD", "float16, master", {}),
]
FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def main(folder: str) -> None:
    os.environ.pop("LD_PRELOAD", None)  # not into the compiler, too
    machine = Emulator(Path(folder), *FLAGS)
    sources = [kernels.measuring()]
    for name, storage, how in CASES:
        found = kinds(name, storage, {})
        sources += [kernels.source(k) for k in found if how or "norm" not in k.rule]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(machine.built, sources))
    for name, storage, how in CASES:
        dtype, kept = STORAGES[storage]
        shapes = [(n,) for n in SIZES]
        agree(machine, play(name, shapes, lr=0.1, dtype=dtype, how=how, **kept))
        print(name, storage)


if __name__ == "__main__":
    main(sys.argv[1])
