"""Kernels as NVRTC compiles them, on the interpreter of PTX."""

import ctypes
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from gradstep.torch import cuda
from matrix import Used, used
from ptx import Memory, Program
from stand_in import Launch

ARCH = 90


class Programs:
    """Modules by source; those that are wanted soon are compiled meanwhile."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._texts: dict[cuda.Source, Future[str]] = {}
        self._programs: dict[cuda.Source, Program] = {}
        self._used: dict[tuple[cuda.Source, int], Future[dict[str, Used]]] = {}

    def want(self, sources: Iterable[cuda.Source]) -> None:
        for source in sources:
            if source not in self._texts:
                self._texts[source] = self._pool.submit(cuda.ptx, source, ARCH)

    def text(self, source: cuda.Source) -> str:
        self.want([source])
        return self._texts[source].result()

    def want_used(self, pairs: Iterable[tuple[cuda.Source, int]]) -> None:
        for source, arch in pairs:
            if (source, arch) not in self._used:
                self._used[source, arch] = self._pool.submit(used, source, arch)

    def used(self, source: cuda.Source, arch: int) -> dict[str, Used]:
        """Return what its kernels take of a GPU, by their names."""
        self.want_used([(source, arch)])
        return self._used[source, arch].result()

    def __getitem__(self, source: cuda.Source) -> Program:
        if source not in self._programs:
            self._programs[source] = Program(self.text(source))
        return self._programs[source]


class Interpreter:
    """A machine; see machine.py of the interpreter for the orders that warps run in."""

    def __init__(self, programs: Programs, order: str = "together") -> None:
        self.programs, self.order = programs, order

    def launch(self, told: Launch, memory: Memory) -> None:
        program = self.programs[told.source]
        size = program.module.functions[told.name].parameters[0].size
        given: Any = np.frombuffer(ctypes.string_at(told.argument, size), np.uint8)
        program.run(
            told.name,
            grid=told.grid,
            block=told.threads,
            argument=given,
            memory=memory,
            order=self.order,
        )
