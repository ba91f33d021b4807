"""Powers of two near the sizes of numbers: to multiply by them rounds nothing."""

import numpy as np

from gradstep.structure import Array


def powers_of_two(sizes: Array) -> Array:
    """Return the powers of two in (size, 2 size], and 1 for a size of 0."""
    _, exponents = np.frexp(sizes)
    return np.ldexp(1.0, np.where(sizes == 0, 0, exponents))
