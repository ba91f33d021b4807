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
