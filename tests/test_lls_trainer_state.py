"""A trainer's state holds its arguments; others are refused, by name and value."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from training import HEAVY, bits, problem

X, y = problem(60, 4)
MEAN, SCALE = X.mean(axis=0), X.std(axis=0)
BASE: dict[str, Any] = {
    "features": 4,
    "targets": None,
    "optimizer": HEAVY,
    "dtype": "float64",
    "batch_size": 7,
    "intercept": True,
    "ridge": 0.5,
    "reduction": "mean",
    "average": 3,
    "standardize": (MEAN, SCALE),
}
# Other arguments, what of the state they contradict, and how that is shown.
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "features": ({"features": 5, "standardize": False}, "features=4.*features=5"),
    "targets": ({"targets": 1}, "targets=None.*targets=1"),
    "dtype": ({"dtype": "float32"}, "dtype='float64'.*dtype='float32'"),
    "batch_size": ({"batch_size": 8}, "batch_size=7.*batch_size=8"),
    "intercept": (
        {"intercept": False, "standardize": (None, SCALE)},
        "intercept=True.*intercept=False",
    ),
    "ridge": ({"ridge": 0.25}, "ridge=0.5.*ridge=0.25"),
    "ridge 0": ({"ridge": 0.0}, "ridge=0.5.*ridge=0.0"),
    "reduction": ({"reduction": "sum"}, "reduction='mean'.*reduction='sum'"),
    "average": ({"average": 4}, "average=3.*average=4"),
    "average True": ({"average": True}, "average=3.*average=True"),
    "average False": ({"average": False}, "average=3.*average=False"),
    "standardize": ({"standardize": False}, "standardize=True.*standardize=False"),
    "mean": (
        {"standardize": (MEAN + np.eye(4)[2], SCALE)},
        "the mean of column 2 is .*, but this trainer has ",
    ),
    "no mean": ({"standardize": (None, SCALE)}, r"scaling\['mean'\] must be None"),
    "scale": (
        {"standardize": (MEAN, SCALE * [1, 2, 1, 1])},
        "the 1 / deviation of column 1 is .*, but this trainer has ",
    ),
}


def trainer(**o: Any) -> lls.Trainer:
    return lls.Trainer(**BASE | o)


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("through", ["state_dict", "file"])
def test_another_argument_is_refused_by_name_with_both_values(
    through: str, case: str, tmp_path: Path
) -> None:
    changes, words = OTHERS[case]
    saved = trainer().partial_fit(X, y)
    other = trainer(**changes)
    before = repr(other.state_dict())
    gs.save(tmp_path / "t", saved)
    load = {
        "file": lambda: gs.load(tmp_path / "t", other),
        "state_dict": lambda: other.load_state_dict(saved.state_dict()),
    }
    with pytest.raises(ValueError, match=words) as info:
        load[through]()
    assert str(info.value).startswith("Trainer.load_state_dict: ")
    assert repr(other.state_dict()) == before
    assert np.isnan(other.loss)


@pytest.mark.parametrize("case", [*OTHERS, "same"])
def test_the_same_arguments_go_on_bit_for_bit(case: str, tmp_path: Path) -> None:
    changes = OTHERS[case][0] if case != "same" else {}
    if changes.get("features") == 5:
        return
    dtype = changes.get("dtype", "f8")
    rows = X.astype(dtype), (y[:, np.newaxis] if "targets" in changes else y)
    whole, part = trainer(**changes), trainer(**changes)
    for each in (whole, part):
        each.partial_fit(rows[0][:31], rows[1][:31].astype(dtype))
    gs.save(tmp_path / "t", part)
    again = trainer(**changes)
    gs.load(tmp_path / "t", again)
    assert (again.loss, again.objective) == (whole.loss, whole.objective)
    for each in (whole, again):
        each.partial_fit(rows[0][31:], rows[1][31:].astype(dtype))
    assert bits(again) == bits(whole)


FITTING = {
    "targets": ["None"],
    "intercept": ["True"],
    "standardize": ["True"],
    "penalties": ["7.5"],
}


@pytest.mark.parametrize("value", [None, "x", 7.5, True, np.ones(3), [], -1])
@pytest.mark.parametrize("name", lls.Trainer(1, optimizer=HEAVY).state_dict())
def test_a_state_with_another_kind_of_value_changes_nothing(
    name: str, value: Any
) -> None:
    model = trainer().partial_fit(X, y)
    good = model.state_dict()
    before = repr(good)
    if repr(value) in FITTING.get(name, ()):
        return
    with pytest.raises((TypeError, ValueError, KeyError)) as info:
        model.load_state_dict(good | {name: value})
    words = {"optimizer": "state_dict", "scaling": "means and deviations|scaling"}
    assert re.search(words.get(name, name), str(info.value))
    assert repr(model.state_dict()) == before


@pytest.mark.parametrize("name", lls.Trainer(1, optimizer=HEAVY).state_dict())
def test_a_state_without_an_entry_says_which(name: str) -> None:
    """As those from before arguments were saved."""
    model = trainer().partial_fit(X, y)
    state = model.state_dict()
    del state[name]
    with pytest.raises(KeyError, match=f"lacks {name!r}; pass what state_dict"):
        model.load_state_dict(state)
    for wrong in (None, [], "x", 3):
        with pytest.raises(TypeError, match="state must be a mapping"):
            model.load_state_dict(wrong)  # type: ignore[arg-type]


def test_a_measured_scaling_is_part_of_the_state() -> None:
    """The next trainer has not seen the rows that it was measured on."""
    o: dict[str, Any] = {"standardize": True}
    whole, part = trainer(**o).partial_fit(X, y), trainer(**o).partial_fit(X, y)
    fresh, other = trainer(**o), trainer(**o).partial_fit(3 * X + 1, y)
    unmeasured = trainer(**o).state_dict()
    for again in (fresh, other):
        again.load_state_dict(part.state_dict())
        assert bits(again) == bits(whole)
        twin = trainer(**o)
        twin.load_state_dict(whole.state_dict())
        assert bits(again.partial_fit(2 * X, y)) == bits(twin.partial_fit(2 * X, y))
        again.load_state_dict(unmeasured)
        first = trainer(**o).partial_fit(X[:40], y[:40])
        assert bits(again.partial_fit(X[:40], y[:40])) == bits(first)
    with pytest.raises(ValueError, match="saved before means and deviations were"):
        trainer().load_state_dict(unmeasured)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"mean": MEAN}, "must be a mapping of 'mean' and 'inverse'"),
        ({"mean": MEAN, "inverse": -SCALE}, "must be above 0"),
        ({"mean": MEAN * np.nan, "inverse": SCALE}, "must be finite"),
        ({"mean": MEAN, "inverse": SCALE[:2]}, r"of shape \(4,\), got"),
        ({"mean": MEAN.astype("f4"), "inverse": SCALE}, "must be float64"),
    ],
)
def test_a_scaling_that_does_not_fit_is_refused(value: Any, words: str) -> None:
    model = trainer(standardize=True).partial_fit(X, y)
    before = repr(model.state_dict())
    with pytest.raises((TypeError, ValueError), match=f"scaling.*{words}"):
        model.load_state_dict(model.state_dict() | {"scaling": value})
    assert repr(model.state_dict()) == before


def test_what_is_saved_is_a_copy() -> None:
    model = trainer(standardize=True).partial_fit(X, y)
    saved = model.state_dict()
    before = repr(saved)
    model.load_state_dict(trainer(standardize=True).state_dict())
    model.partial_fit(5 * X, y)
    assert repr(saved) == before
    rate = partial(gs.SGD, lr=0.5, momentum=0.6)  # options are the optimizer's
    again = trainer(standardize=True, optimizer=rate)
    again.load_state_dict(saved)
    assert again.lr == 0.02
