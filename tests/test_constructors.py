"""How optimizers are called, what their messages name, and what `help` shows."""

import functools
import inspect
import pydoc
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.optimize

import gradstep as gs
from gradstep import storage

WRAPPERS = {"SAM": gs.SAM, "ScheduleFree": gs.ScheduleFree}
CLASSES = gs.OPTIMIZERS | WRAPPERS
# Of gradstep's own, which no user knows.
INTERNAL = re.compile(
    r"Assembled|Declared|_Parts|Averaging|Interpolating|Wrapper|_Turn|Engine"
)
names = pytest.mark.parametrize("name", sorted(CLASSES))


def build(name: str, w: Any) -> gs.Optimizer:
    extra = {"base": gs.SGD} if name in WRAPPERS else {}
    return CLASSES[name](w, **extra)


# -- arguments


@names
def test_the_signature_has_what_may_be_passed_by_position(name: str) -> None:
    parameters = list(inspect.signature(CLASSES[name]).parameters.values())
    second = "base" if name in WRAPPERS else "lr"
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_position == ["params", second]
    rest = parameters[2:]
    assert {p.kind for p in rest} == {inspect.Parameter.KEYWORD_ONLY}
    assert [p.name for p in rest[-5:]] == ["maximize", *storage.OPTIONS]


@pytest.mark.parametrize("name", sorted(gs.OPTIMIZERS))
def test_lr_by_position_is_lr_by_name(name: str) -> None:
    ours, theirs = np.array([3.0, -2.0]), np.array([3.0, -2.0])
    one, other = CLASSES[name](ours, 0.07), CLASSES[name](theirs, lr=0.07)
    assert one.lr == other.lr == 0.07
    for g in (np.array([1.0, 2.0]), np.array([-0.5, 0.3])):
        one.step(g)
        other.step(g)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", sorted(WRAPPERS))
def test_base_may_be_passed_either_way(name: str) -> None:
    base = functools.partial(gs.SGD, lr=0.1)
    for opt in (
        CLASSES[name](np.ones(2), base),
        CLASSES[name](np.ones(2), base=base),
        CLASSES[name](params=np.ones(2), base=base),
    ):
        assert opt.base.lr == 0.1


@names
def test_wrong_calls_name_the_class_and_the_remedy(name: str) -> None:
    cls, w, second = CLASSES[name], np.ones(2), "base" if name in WRAPPERS else "lr"
    value: Any = gs.SGD if name in WRAPPERS else 0.1
    for args, keywords, message in (
        ((), {}, "params is missing; pass an array, a list or dict of arrays, or a l"),
        ((w, value, 0.9), {}, f"takes params and {second} by position, got 3 argum"),
        ((w, value), {second: value}, f"{second} is passed by position and by name"),
        ((w,), {"params": w}, "params is passed by position and by name"),
        ((w, "0.1"), {}, "must be a real number, got str|base must return"),
    ):
        with pytest.raises(TypeError, match=f"^{name}:? .*({message})") as info:
            cls(*args, **keywords)
        assert not INTERNAL.search(str(info.value))
    if name in WRAPPERS:
        with pytest.raises(TypeError, match=f"^{name}: base is missing; pass what mak"):
            cls(w)


@names
def test_methods_that_are_called_wrongly_are_not_those_of_internals(name: str) -> None:
    opt = build(name, np.ones(2))
    for method in (
        *("step", "add_param_group", "load_state_dict", "check_grads", "check_params"),
        *("first_step", "second_step", "eval_params", "train", "eval", "lookahead"),
        *("restart", "zero_grad"),
    ):
        if hasattr(opt, method):
            with pytest.raises(TypeError) as info:
                getattr(opt, method)(1, 2, 3, 4)
            assert re.match(rf"(Optimizer|{name})\.{method}\(\) ", str(info.value))


@names
def test_a_class_as_scipys_method_is_told_what_to_pass(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: params must be an array") as info:
        scipy.optimize.minimize(lambda x: x @ x, np.ones(2), method=CLASSES[name])
    (told,) = re.findall(r"pass method=(gradstep\.minimize\(.*\))$", str(info.value))
    told = told.replace("base=...", "base=gradstep.SGD")
    method = eval(told, {"gradstep": gs})
    found = scipy.optimize.minimize(
        lambda x: x @ x, np.ones(2), method=method, options={"maxiter": 3}
    )
    assert found.nit <= 3


def test_zero_grad_does_nothing() -> None:
    w = np.ones(2)
    opt = gs.Adam(w)
    opt.step(np.ones(2))
    before = w.tobytes(), repr(opt.state_dict())
    assert opt.zero_grad() is opt.zero_grad(set_to_none=False) is None
    assert (w.tobytes(), repr(opt.state_dict())) == before


# -- which arrays are updated


STRUCTURES: dict[str, Any] = {
    "array": lambda a, _: a,
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"w": a, "b": b},
    "groups": lambda a, b: [{"params": a}, {"params": [b], "lr": 0.1}],
    "groups of dicts": lambda a, b: [{"params": {"w": a}}, {"params": {"b": b}}],
}


@pytest.mark.parametrize("kind", STRUCTURES)
def test_check_params_knows_the_arrays_that_are_updated(kind: str) -> None:
    a, b = np.ones((2, 3)), np.ones(4, np.float32)
    opt = gs.Adam(STRUCTURES[kind](a, b))
    opt.check_params(STRUCTURES[kind](a, b))
    opt.check_params(STRUCTURES[kind](a[:], b.view()))
    for other in (a * 2, a.copy(), a.T, a[:1], a.reshape(-1), 1.0, None):
        with pytest.raises(
            ValueError, match=r"^Adam.check_params: params.* is not the "
        ):
            opt.check_params(STRUCTURES[kind](other, b))


def test_check_params_names_the_entry_that_is_another() -> None:
    p = {"w": np.ones(2), "b": np.ones(1)}
    opt = gs.SGD(p)
    p["w"] *= 2
    p["b"][...] = 3
    opt.check_params(dict(reversed(p.items())))
    p["b"] = p["b"] * 2
    with pytest.raises(ValueError, match=r"params\['b'\] is not the array that step"):
        opt.check_params(p)
    opt.step({"w": np.ones(2), "b": np.ones(1)})
    assert p["b"] == 6  # as before: step has updated the array that was there


def test_check_params_of_other_structures() -> None:
    opt = gs.SGD({"w": np.ones(2)})
    for params, error, message in (
        ({"v": np.ones(2)}, KeyError, "params has 'v'"),
        ({}, KeyError, "params lacks 'w'"),
        ([np.ones(2)], TypeError, "params must be a mapping"),
        (3, TypeError, "params must be a mapping"),
        ([{"params": {"w": np.ones(2)}}] * 2, TypeError, "params must be a mapping"),
    ):
        with pytest.raises(error, match=message):
            opt.check_params(params)


def test_check_params_after_a_group_was_added() -> None:
    a, b = np.ones(2), np.ones(3)
    opt = gs.SGD({"w": a})
    opt.add_param_group({"params": b})
    opt.check_params([{"w": a}, b])
    opt.check_params([{"params": {"w": a}}, {"params": b}])
    with pytest.raises(ValueError, match=r"params\[1\] is not the array"):
        opt.check_params([{"w": a}, b.copy()])
    with pytest.raises(ValueError, match="params has 1 entries, expected 2"):
        opt.check_params([{"w": a}])


# -- dtypes as options


def test_numpys_dtypes_stand_for_their_names() -> None:
    for dtype in (np.float32, np.dtype(np.float32), np.dtype("=f4"), "float32"):
        assert gs.Adam(gs.to_bfloat16(np.ones(2)), master=dtype).master == "float32"
    for dtype, name in (
        (np.uint8, "uint8"),
        (np.dtype("u1"), "uint8"),
        (gs.bfloat16, "bfloat16"),
        (ml_dtypes.bfloat16, "bfloat16"),
    ):
        assert gs.Adam(np.ones(2, "f4"), state_dtype=dtype).state_dtype == name


@pytest.mark.parametrize("dtype", [np.float16, np.int8, float, object, 3, "float16"])
def test_other_dtypes_are_refused_by_name(dtype: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^Adam: state_dtype must be one of None, 'bf"
    ):
        gs.Adam(np.ones(2, "f4"), state_dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [(np.complex128, r"view\(float\)"), (np.complex64, r"view\('float32'\)")],
)
def test_complex_arrays_are_told_of_their_parts(dtype: Any, hint: str) -> None:
    z, w = np.ones(2, dtype), np.ones(2, np.float32)
    opt = gs.Adam(w)
    saved = opt.state_dict()
    saved["state"][0]["m"] = z
    free = gs.ScheduleFreeSGD(w.copy())
    for call in (
        lambda: gs.Adam(z),
        lambda: gs.Adam([w, {"a": z}["a"]]),
        lambda: gs.functional.init("Adam", z),
        lambda: opt.step(z),
        lambda: gs.functional.step("SGD", w, z, {}, 1),
        lambda: opt.load_state_dict(saved),
        lambda: free.eval_params(out=z),
    ):
        with pytest.raises(TypeError, match=hint):
            call()
    for x0, jac in ((z, None), (w, lambda _: z)):
        with pytest.raises(TypeError, match=r"view\(float\)"):
            scipy.optimize.minimize(
                lambda _: 0.0, x0, jac=jac, method=gs.minimize(gs.SGD)
            )


def test_the_hint_for_complex_parameters_works() -> None:
    z = np.array([1 + 2j, -3j])
    opt = gs.SGD(z.view(float), lr=0.25)
    opt.step((2 * z).view(float))  # of abs(z)**2
    assert z.tolist() == [0.5 + 1j, -1.5j]


# -- help


@names
def test_help_shows_what_users_need(name: str) -> None:
    listed = {n for n in dir(CLASSES[name]) if not n.startswith("_")}
    methods = {"step", "state_dict", "load_state_dict", "add_param_group", "zero_grad"}
    methods |= {"param_groups", "state", "last_step", "check_grads", "check_params"}
    allowed = {"defaults", "engine", "eval", "eval_params", "train", "training"}
    allowed |= {"first_step", "second_step", "lookahead", "restart"}
    options = set(inspect.signature(CLASSES[name]).parameters) - {"params", "base"}
    assert methods | options <= listed
    assert listed <= methods | options | allowed
    text = pydoc.plain(pydoc.render_doc(CLASSES[name]))
    assert "Parameters\n" in text
    for internal in ("check_together", "group_numbers", "hyper_names", "ndarray[tuple"):
        assert internal not in text


def test_help_of_the_package_is_a_map() -> None:
    for name in gs.__all__:
        assert f"`{name}`" in (gs.__doc__ or ""), name
    for module in ("sklearn", "torch", "plot", "analysis", "testfunctions", "storage"):
        assert f"``gradstep.{module}``" in (gs.__doc__ or ""), module
