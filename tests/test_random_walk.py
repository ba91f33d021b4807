"""Random walks over what users call, for every optimizer: steps, options, copies.

Three walkers go the same way. A model follows the papers' formulas, array by array; the
optimizer is saved, loaded and copied on its way; its twin is not, and has to have the
same bits. GRADSTEP_WALKS=100 walks a hundred times as often, and elsewhere each time.
"""

import pytest

import gradstep as gs
from walks import Walk, walk

pytestmark = pytest.mark.filterwarnings("ignore::gradstep.PrecisionWarning")


@pytest.mark.parametrize("name", sorted(gs.OPTIMIZERS))
def test_every_step_is_the_papers_and_every_copy_goes_on_with_the_same_bits(
    name: str,
) -> None:
    walk(Walk, gs.OPTIMIZERS[name])
