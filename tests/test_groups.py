"""Groups, copies of optimizers, and what must not be forgotten between two steps."""

import copy
import pickle
from collections import UserDict
from typing import Any

import numpy as np
import pytest

import gradstep as gs


def test_a_pending_edit_is_checked_when_a_group_is_added() -> None:
    w = np.ones(3)
    opt = gs.SGD([w], lr=0.5)
    opt.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match=r"SGD: lr must be in \[0, inf\), got -1"):
        opt.add_param_group({"params": np.ones(2)})
    assert len(opt.param_groups) == 1
    opt.param_groups[0]["lr"] = 0.25
    opt.step([np.ones(3)])
    assert w.tolist() == [0.75] * 3


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_keep_the_constructors_options(copied: Any) -> None:
    opt = copied(gs.SGD([np.ones(2)], lr=0.5, momentum=0.75))
    opt.add_param_group({"params": np.ones(3)})
    assert [g["lr"] for g in opt.param_groups] == [0.5, 0.5]
    assert [g["momentum"] for g in opt.param_groups] == [0.75, 0.75]


def test_schedulers_notes_are_no_options() -> None:
    opt = gs.Adam([{"params": np.ones(2), "initial_lr": 0.1}])
    opt.add_param_group({"params": np.ones(2), "initial_lr": 0.2, "max_lr": 1.0})
    opt.step([np.ones(2), np.ones(2)])
    assert [g["initial_lr"] for g in opt.param_groups] == [0.1, 0.2]


def test_gradients_in_any_mapping() -> None:
    class Listed(UserDict[str, Any]):
        def keys(self) -> Any:
            return list(self.data)

    w = {"a": np.ones(2), "b": np.ones(2)}
    gs.SGD(w, lr=0.5).step(Listed(a=np.ones(2), b=None))
    assert w["a"].tolist() == [0.5, 0.5]
    assert w["b"].tolist() == [1, 1]


def test_a_gradient_is_used_once() -> None:
    """What was passed for one step moves nothing in the next."""
    a, b = np.ones(2), np.ones(2)
    opt = gs.SGD([a, b], lr=0.5)
    opt.step([np.ones(2), np.ones(2)])
    opt.step([None, np.ones(2)])
    assert a.tolist() == [0.5, 0.5]
    assert b.tolist() == [0, 0]


def test_other_peoples_classes_stay_out_of_the_registry() -> None:
    before = dict(gs.OPTIMIZERS)

    class Adam(gs.Adam):
        """A user's own."""

    assert before == gs.OPTIMIZERS
    assert Adam(np.ones(1)).lr == 1e-3


def test_an_engine_refuses_what_does_not_fit() -> None:
    opt = gs.Adam([np.ones(3), np.ones(2)])
    kernel = gs.optimizer._core.find("adam", "f64")
    for i, states in ((0, ()), (1, (np.ones(3), np.ones(3))), (0, (np.ones(3),) * 3)):
        with pytest.raises(ValueError, match="fit"):
            opt.engine.bind(i, kernel, states)
    for call in (lambda: opt.engine.get_t(2), lambda: opt.engine.set_group(1, (), 1.0)):
        with pytest.raises(IndexError):
            call()


@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "uint8"])
@pytest.mark.parametrize("ours", ["C", "F"])
@pytest.mark.parametrize("saved", ["C", "F"])
def test_states_of_another_order_go_to_the_same_elements(
    saved: Any, ours: Any, state_dtype: str | None
) -> None:
    """Or are refused where scales are of 256 elements in the order of memory."""
    g = np.arange(12, dtype=np.float32).reshape(3, 4)
    w, v = (np.asarray(np.ones((3, 4), np.float32), order=o) for o in (saved, ours))
    before, opt = (gs.Adam(p, state_dtype=state_dtype) for p in (w, v))
    before.step(g)
    untouched = repr(opt.state_dict())
    if state_dtype == "uint8" and saved != ours:
        words = rf"\['m'\] has its elements in {'C' if saved == 'C' else 'Fortran'} ord"
        with pytest.raises(ValueError, match=words):
            opt.load_state_dict(before.state_dict())
        assert repr(opt.state_dict()) == untouched
        return
    opt.load_state_dict(before.state_dict())
    assert opt.state[0]["m"].flags[f"{ours}_CONTIGUOUS"]
    assert opt.state[0]["m"].tolist() == before.state[0]["m"].tolist()


def test_one_array_lies_in_either_order() -> None:
    """Rows and columns are of both, and so may be loaded into each other."""
    for shape in ((5,), (1, 5), (5, 1), ()):
        w = np.ones(shape, np.float32)
        before = gs.Adam(w, state_dtype="uint8")
        before.step(np.asarray(np.ones(shape, np.float32)))
        opt = gs.Adam(np.asfortranarray(w).reshape(shape), state_dtype="uint8")
        opt.load_state_dict(before.state_dict())


def test_gradients_of_too_few_groups_are_not_told_of_none() -> None:
    """None stands for an array; a group always has an entry."""
    opt = gs.SGD([{"params": np.ones(2)}, {"params": np.ones(2)}])
    with pytest.raises(
        ValueError, match=r"grads has 1 entries, expected 2, as pa.* had$"
    ):
        opt.step([np.ones(2)])
    one = gs.SGD([np.ones(2), np.ones(2)])
    with pytest.raises(ValueError, match="2, as params had; pass None for a parameter"):
        one.step([np.ones(2)])
