"""Optimizers on the device, which the interpreter of PTX is, have the CPU's bits."""

from typing import Any

import cuda_bits
import pytest
from cuda_bits import STORAGES, VARIANTS, difference, stepped

import matrix
from gradstep.optimizer import OPTIMIZERS
from gradstep.torch import kernels
from interpreted import Interpreter, Programs
from stand_in import stand_in

Case = tuple[str, str, dict[str, Any]]
# Rules whose states are of all sorts: sums, a cube root, copies, copies of gradients.
STORED = ("Adam", "LAMB", "MADGRAD", "ScheduleFreeAdamW", "Adan")
RULES: list[Case] = [
    (name, "float32", options)
    for name, options in [*((name, {}) for name in OPTIMIZERS), *VARIANTS]
]
# Adam in all storages; the others in those that meet all of their code.
SOME = ("float64", "bfloat16, stochastic", "float16, master", "split, uint8 states")
KEPT: list[Case] = [
    (name, storage, {})
    for name in STORED
    for storage in (STORAGES if name == "Adam" else SOME)
    if storage != "float32"
]
# Random numbers of elements that are not next to each other.
KEPT.append(("LAMB", "bfloat16 states", {}))
# Not aligned are 3 and 1000; what is special is in 300, and 1 has no third gradient.
SIZES = (8, 3, 255, 1, 300, 1000)


def named(case: Case) -> str:
    name, storage, options = case
    return ", ".join([name, storage, *map(str, options.items())])


@pytest.fixture(scope="module", autouse=True)
def _soon(programs: Programs) -> None:
    """Compile all kernels in the order in which they will be used."""
    programs.want([kernels.measuring()])
    for case in (*RULES, *KEPT):
        kinds = sorted(cuda_bits.kinds(*case), key=lambda kind: "norm" in kind.rule)
        programs.want(map(kernels.source, kinds))
    programs.want_used(matrix.wanted())  # test_kernels.py is next


@pytest.mark.parametrize(
    ("case", "steps"),
    [*((case, 3) for case in RULES), *((case, 2) for case in KEPT)],
    ids=lambda part: named(part) if isinstance(part, tuple) else str(part),
)
def test_a_rule(case: Case, steps: int, interpreter: Interpreter) -> None:
    ours, params = stepped(*case, sizes=SIZES, steps=steps)
    with stand_in(interpreter):
        theirs, others = stepped(*case, sizes=SIZES, steps=steps)
    found = difference(ours, theirs, params, others)
    assert not found, found
