"""Trees of numbers and arrays, as JSON and back."""

import fractions
import json
import math
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


# -- what JSON has no form for


WRONG: dict[str, Any] = {
    "none": None,
    "true": True,
    "zero": 0,
    "one": 1,
    "a float": 1.5,
    "an empty string": "",
    "another string": "Infinity",
    "an empty object": {},
    "an object": {"a": 1},
    "an object of another word": {"$float": "nan"},
    "a list of a name": ["x"],
    "a list of numbers": [1, 2],
    "a list of one pair": [["a", 1]],
    "a list of a pair and more": [["a", 1], 2],
    "a list of three": [["a", 1, 2]],
    "a list of a single": [["a"]],
    "a pair whose key is a list": [[[], 1]],
    "a pair whose key is a dict": [[{}, 1]],
    "a pair whose key is an array": [[{"$array": "x"}, 1]],
    "a key twice": [["a", 1], ["a", 2]],
    "a key as int and bool": [[1, 1], [True, 2]],
    "the name of an array": "x",
    "an infinity": "inf",
}
# What each word may stand before.
RIGHT = {
    "$array": {"the name of an array"},
    "$float": {"an infinity"},
    "$items": {"a list of one pair"},
    "$tuple": {name for name in WRONG if name.startswith(("a list", "a key twice"))}
    | {name for name in WRONG if name.startswith("a pair whose")}
    | {"a key as int and bool"},
}


@pytest.mark.parametrize("word", sorted(tree._WORDS))
@pytest.mark.parametrize("kind", WRONG)
def test_every_word_is_refused_before_every_wrong_kind(word: str, kind: str) -> None:
    text = json.dumps([{word: WRONG[kind]}])
    names_array = '"$array": "x"' in text
    arrays = {"x": np.ones(2)} if names_array else {}
    if kind in RIGHT[word]:
        tree.restored(text, arrays)
        return
    with pytest.raises(ValueError, match=rf"^has (\{word} |\$)"):
        tree.restored(text, arrays)


@pytest.mark.parametrize("word", sorted(tree._WORDS))
def test_a_word_stands_alone(word: str) -> None:
    valid = {"$array": "x", "$float": "inf", "$items": [], "$tuple": []}
    text = json.dumps([{word: valid[word], "more": 1}])
    with pytest.raises(ValueError, match=rf"has \{word} beside 'more'"):
        tree.restored(text, {"x": np.ones(1)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[", "Expecting value"),
        ("[1] 2", "Extra data"),
        ("[NaN]", "has NaN, which is not in JSON"),
        ("[-Infinity]", "has -Infinity, which is not in JSON"),
        ("[1e999]", "has 1e999, which is beyond all floats"),
        ('[{"a": 1, "b": 2, "a": 1}]', "has the name 'a' twice"),
        ("[" * 300 + "]" * 300, "is nested too deeply"),
        ("[" * 200_000, "is nested too deeply"),
        ("[" + "9" * 5000 + "]", "4300 digits"),
    ],
)
def test_texts_that_are_not_written_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tree.restored(text, {})


def test_arrays_are_named_once_each() -> None:
    one = {"x": np.ones(1)}
    with pytest.raises(ValueError, match=r"has an array too many, 'x'"):
        tree.restored("[]", one)
    with pytest.raises(ValueError, match=r"has \$array 'x', which is none"):
        tree.restored('[{"$array": "x"}, {"$array": "x"}]', one)
    with pytest.raises(ValueError, match=r"has \$array 'y', which is none"):
        tree.restored('[{"$array": "y"}, {"$array": "x"}]', one)


@pytest.mark.parametrize("make", [list, tuple, dict])
def test_what_is_written_at_the_greatest_depth_is_read(make: Any) -> None:
    def nested(depth: int) -> Any:
        x: Any = make()
        for _ in range(depth):
            x = {1: x} if make is dict else make([x])
        return x

    def is_written(depth: int) -> bool:
        try:
            tree.flatten(nested(depth))
        except ValueError:
            return False
        return True

    deepest = next(depth for depth in range(250) if not is_written(depth + 1))
    assert 60 <= deepest <= 100
    for depth in range(deepest + 1):
        assert tree.restored(*tree.flatten(nested(depth))) == nested(depth)
    with pytest.raises(ValueError, match=r"save: [\w.]+ is nested too deeply"):
        tree.flatten(nested(deepest + 1))


@pytest.mark.parametrize(
    "value",
    [
        *(np.bool_(True), np.int8(-3), np.uint64(2**64 - 1), np.float32(0.1)),
        *(np.float64(-0.0), np.str_("text"), 2**600, -(2**600), 5e-324),
        *(math.inf, -math.inf, np.float32(np.inf), np.longdouble(0.5)),
    ],
)
def test_numbers_of_every_kind_come_back_equal(value: Any) -> None:
    text, arrays = tree.flatten([value])
    (again,) = tree.restored(text, arrays)
    assert again == value
    assert type(again) in (bool, int, float, str)
    if isinstance(again, float):
        assert math.copysign(1, again) == math.copysign(1, value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.longdouble(1) / 3, r"save: 0 is .*, which is not a float64"),
        (np.longdouble("1e4000"), r"save: 0 is .*, which is not a float64"),
        (2**2000, "save: 0 is an int of more than 2000 bits"),
        pytest.param(-(10**5000), "save: 0 is an int of more than", id="5000 digits"),
        (1j, "save: 0 is of type complex, which a file cannot hold"),
        (b"bytes", "save: 0 is of type bytes"),
        ({1}, "save: 0 is of type set"),
        (fractions.Fraction(1, 3), "save: 0 is of type Fraction"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "save: 0 is a masked array"),
        (np.datetime64(0, "s"), "save: 0 is of type datetime64"),
    ],
)
def test_values_that_would_come_back_as_others_are_refused(
    value: Any, words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        tree.flatten([value])


def test_arrays_of_other_types_are_refused_by_name(tmp_path: Path) -> None:
    class Odd:
        def __init__(self, array: Any) -> None:
            self.array = array

        def state_dict(self) -> Any:
            return {"a": self.array}

        def load_state_dict(self, state: Any) -> None:
            self.array = state["a"]

    for dtype in ("c16", "g", "U3", "S3", "O", "M8[s]", "m8[s]", "V3", "i1", "f4,f4"):
        array = np.zeros(2, dtype)
        with pytest.raises(
            TypeError, match=r"save: 0\.state\.a has dtype .*, which no"
        ):
            gs.save(tmp_path / "run", Odd(array))
    for dtype in ("f2", "f4", "f8", "u1", "u2", "u4", "u8", "i4", "i8", "?"):
        for order in "<>":
            array = np.arange(6).astype(np.dtype(dtype).newbyteorder(order))
            for laid_out in (array, array[::-1], array[::2], array.reshape(2, 3).T):
                gs.save(tmp_path / "run", Odd(laid_out))
                again = Odd(None)
                gs.load(tmp_path / "run", again)
                assert again.array.dtype == np.dtype(dtype)
                assert np.array_equal(again.array, laid_out)
    assert os.listdir(tmp_path) == ["run"]
