"""Machines that stand in for a GPU, and what is compiled for them, once a session."""

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

# cuda_bits, whose cases a GPU is to be tried with, too.
sys.path.append(str(Path(__file__).parents[2] / "bench"))

from interpreted import Interpreter, Programs


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Return PTX by source; in processes, as NVRTC takes one source at a time."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(2, mp_context=context)
    yield Programs(pool)
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def interpreter(programs: Programs) -> Interpreter:
    return Interpreter(programs)
