"""What NumPy can make an array of is refused with how to make it, in every role."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas
import pytest

import gradstep as gs
from gradstep import checks

Array = Any
VALUES = [1.0, -2.0, 3.0]


class JaxLike:
    """An immutable array of another library, which NumPy reads by its protocols."""

    shape, dtype = (3,), "float64"

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(VALUES, dtype)


class DLPackOnly:
    def __dlpack__(self, **_: Any) -> Any:
        return np.array(VALUES).__dlpack__()


LIKES: dict[str, Callable[[], Any]] = {
    "a list": lambda: list(VALUES),
    "a tuple": lambda: tuple(VALUES),
    "a pandas Series": lambda: pandas.Series(VALUES),
    "a pandas DataFrame": lambda: pandas.DataFrame({"a": VALUES}),
    "a JAX array": JaxLike,
    "DLPack": DLPackOnly,
    "a number": lambda: 1.0,
}


def put_in_state(like: Any) -> None:
    opt = gs.Adam(np.ones(3), lr=0.1)
    opt.step(np.ones(3))
    saved = opt.state_dict()
    saved["state"][0]["m"] = like
    opt.load_state_dict(saved)


def put_in_functional_state(like: Any) -> None:
    w = np.ones(3)
    state = gs.functional.init("Adam", w)
    gs.functional.step("Adam", w, np.ones(3), state | {"m": like}, 1)


def put_in_functional_gradient(like: Any) -> None:
    w = np.ones(3)
    gs.functional.step("Adam", w, like, gs.functional.init("Adam", w), 1)


def put_in_out(like: Any) -> None:
    opt = gs.ScheduleFreeSGD([np.ones(3)], lr=0.1)
    opt.step([np.ones(3)])
    opt.eval_params(out=[like])


READ: dict[str, Callable[[Any], Any]] = {
    "gradient": lambda like: gs.Adam(np.ones(3)).step(like),
    "scaled gradient": lambda like: gs.Adam(np.ones(3)).step(like, clip_norm=1.0),
    "gradient in a list": lambda like: gs.SGD([np.ones(3)]).step([like]),
    "gradient in a dict": lambda like: gs.SGD({"w": np.ones(3)}).step({"w": like}),
    "gradient of a group": lambda like: gs.SGD([{"params": [np.ones(3)]}]).step(
        [[like]]
    ),
    "checked gradient": lambda like: gs.SGD([np.ones(3)]).check_grads([like]),
    "gradient of SAM": lambda like: gs.SAM(
        [np.ones(3)], partial(gs.SGD, lr=0.1)
    ).first_step([like]),
    "functional gradient": put_in_functional_gradient,
    "loaded state": put_in_state,
}
WRITTEN: dict[str, Callable[[Any], Any]] = {
    "parameter": lambda like: gs.Adam([like]),
    "parameter in a dict": lambda like: gs.Adam({"w": like}),
    "parameter in a group": lambda like: gs.Adam([{"params": [like]}]),
    "functional parameter": lambda like: gs.functional.init("Adam", like),
    "functional state": put_in_functional_state,
    "out": put_in_out,
}


@pytest.mark.parametrize("role", READ)
@pytest.mark.parametrize("name", LIKES)
def test_an_array_like_that_is_read_is_refused_with_its_conversion(
    name: str, role: str
) -> None:
    like = LIKES[name]()
    kind = type(like).__qualname__
    call = "from_dlpack" if name == "DLPack" else "asarray"
    message = (
        rf" must be a numpy.ndarray( or None)?, got [\w.]*{kind}; pass np.{call}\("
    )
    with pytest.raises(TypeError, match=message):
        READ[role](like)


@pytest.mark.parametrize("role", WRITTEN)
@pytest.mark.parametrize("name", LIKES)
def test_an_array_like_that_is_written_to_is_refused_with_a_name_to_keep(
    name: str, role: str
) -> None:
    like = LIKES[name]()
    call = "from_dlpack" if name == "DLPack" else "asarray"
    message = rf"; pass a = np.{call}\(a\), which is written to$"
    with pytest.raises(TypeError, match=message):
        WRITTEN[role](like)


@pytest.mark.parametrize("role", READ)
def test_a_masked_gradient_is_refused_with_filled(role: str) -> None:
    masked = np.ma.masked_less(np.array(VALUES), 0.0)
    with pytest.raises(TypeError, match=r"MaskedArray; pass \w\.filled\(0\.0\)"):
        READ[role](masked)


@pytest.mark.parametrize("role", [*READ, *WRITTEN])
@pytest.mark.parametrize("value", ["a string", object(), {1.0}])
def test_what_is_no_array_like_gets_no_such_advice(role: str, value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"must be a numpy.ndarray( or None)?, got \w"
    ) as e:
        (READ | WRITTEN)[role](value)
    assert "pass" not in str(e.value)


@pytest.mark.parametrize("name", ["a list", "a pandas Series", "a JAX array", "DLPack"])
def test_the_advice_works(name: str) -> None:
    like = LIKES[name]()
    g = np.from_dlpack(like) if name == "DLPack" else np.asarray(like)
    w = np.ones(3)
    gs.SGD(w, lr=0.5).step(g)
    assert w.tolist() == [0.5, 2.0, -0.5]


@pytest.mark.parametrize("order", ["C", "F"])
def test_gradients_that_are_as_steps_read_them_are_not_copied(order: Any) -> None:
    p = np.zeros((3, 4), order=order)
    same, other = np.ones_like(p), np.ones_like(p.T).T.copy(order="FC"[order == "F"])
    assert checks.gradient("Adam", "", p, same) is same
    copied = checks.gradient("Adam", "", p, other)
    assert not np.shares_memory(copied, other)
    assert copied.flags[f"{order}_CONTIGUOUS"]
    # More than the elements, or fewer, is no whole array either.
    gaps = np.ones((3, 8))[:, ::2]
    assert checks.gradient("Adam", "", p, gaps).flags[f"{order}_CONTIGUOUS"]


def test_what_is_read_only_may_share_memory() -> None:
    a, b = np.zeros(6), np.zeros(6)
    checks.apart("out", [b], [a, a[1:], a[:3]])
    checks.apart("out", [b[:3], b[3:]], [a])
    checks.apart("out", [], [a, a])
    for written, others in (([a[:3], a[2:]], [b]), ([b, a[5:]], [a]), ([a], [a[:1]])):
        with pytest.raises(ValueError, match=r"^out shares memory with"):
            checks.apart("out", written, others)
