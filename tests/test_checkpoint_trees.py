"""Trees of numbers and arrays, as JSON and back."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradstep as gs
from gradstep.checkpoint import tree
from saving import same

f4 = np.float32


leaves = st.one_of(
    *(st.none(), st.booleans(), st.text(max_size=5), st.integers(-(2**70), 2**70)),
    st.floats(),
    st.integers(0, 3).map(lambda n: np.arange(n, dtype=f4)),
)
keys = st.one_of(st.text(max_size=3), st.integers(-2, 2), st.just("$array"))
trees = st.recursive(
    leaves,
    lambda x: st.one_of(
        st.lists(x, max_size=3),
        st.lists(x, max_size=3).map(tuple),
        st.dictionaries(keys, x, max_size=3),
    ),
    max_leaves=12,
)


@given(trees)
def test_a_tree_comes_back_as_it_was(x: Any) -> None:
    text, arrays = tree.flatten(x)
    assert same(tree.restored(json.loads(json.dumps(text)), arrays), x)


def test_a_tree_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    class Odd:
        def state_dict(self) -> Any:
            return {"a": [1, {"f": len}]}

        def load_state_dict(self, state: Any) -> None:
            raise NotImplementedError  # never reached: to save is not to load

    with pytest.raises(TypeError, match=r"save: 0\.state\.a\.1\.f is of type builtin"):
        gs.save(tmp_path / "run", Odd())
    with pytest.raises(TypeError, match=r"objects must be optimizers, .*, got dict"):
        gs.save(tmp_path / "run", {})
    assert os.listdir(tmp_path) == []
