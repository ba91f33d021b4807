"""Every input is handled exactly, or refused with a message before a byte is written.

What `gradstep.lls` refuses is in test_lls.py, what must work in
test_optimizer.py.
"""

import inspect
import re
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from guarded import Scene, guarded, refused

Array: TypeAlias = Any
Row: TypeAlias = tuple[Any, ...]
f4, f8 = np.float32, np.float64
NAN, INF = float("nan"), float("inf")


class TorchLike:
    """Has shape, dtype and conversion as a tensor has, and is no array."""

    shape, dtype = (3,), "torch.float32"

    def __array__(self, *_: Any, **__: Any) -> Array:
        return np.zeros(3, f4)


GAPS = (ValueError, r"params has gaps", "ascontiguousarray")
SHARED = (ValueError, r"shares memory with params\[0\]", "once")
ARRAY = r"params(\[0\])? must be (a numpy.ndarray|an array)"
X = np.zeros(3)
# From a guarded (2, 3, 4) float32 array to what is passed as params; the refusal.
PARAMS: dict[str, Row] = {
    "strided": (lambda x: x.ravel()[::2], *GAPS, r"\(8,\)"),
    "reversed": (lambda x: x.ravel()[::-1], *GAPS, r"\(-4,\)"),
    "permuted": (lambda x: x.transpose(1, 0, 2), *GAPS, r"\(16, 48, 4\)"),
    "0-stride": (lambda x: np.lib.stride_tricks.as_strided(x, (3,), (0,)), *GAPS),
    "broadcast": (lambda x: np.broadcast_to(x, (5, 2, 3, 4)), ValueError, "read-only"),
    "read-only": (lambda x: np.frombuffer(x.tobytes(), f4), ValueError, "a.copy()"),
    "twice": (lambda x: [x, x], *SHARED, r"params\[1\]"),
    "overlap": (lambda x: [x.ravel()[:5], x.ravel()[4:8]], *SHARED),
    "in dict": (lambda x: {"p": x, "q": x[1]}, ValueError, r"\['q'\].* params\['p'\]"),
    "in groups": (lambda x: [{"params": x}, {"params": [x[1]]}], *SHARED),
    "swapped": (lambda x: x.astype(">f4"), TypeError, "params has byte order", ">f4"),
    "key": (lambda x: {1: x}, TypeError, "name must be str", "got 1"),
    "no params": (lambda _: [{"lr": 1.0}], TypeError, r"params\[0\]", "'params'"),
    "mixed": (lambda x: [x, {"params": x}], TypeError, r"params\[0\]", "dict"),
    "named": (lambda x: {"p": x[0], "q": np.zeros(2, int)}, TypeError, r"\['q'\]"),
} | {
    d: (lambda x, d=d: x.astype(d), TypeError, f"params has dtype {d}", "float32, f")
    for d in ("i8", "u2", "c8", "c16", "?", "O", "g")
    for d in (str(np.dtype(d)),)
}
for bad in (np.ma.zeros(3), [1.0], [[X]], 1.0, [f8(1)], None, [None], TorchLike()):
    got = type(bad[0] if isinstance(bad, list) else bad).__name__
    PARAMS[f"{bad}"] = (lambda _, bad=bad: bad, TypeError, ARRAY, f"got.*{got}")


@pytest.mark.parametrize("case", PARAMS)
@pytest.mark.parametrize("cls", gs.OPTIMIZERS.values())
def test_params(case: str, cls: type) -> None:
    make, exc, *words = PARAMS[case]
    x, buffer = guarded(np.arange(24, dtype=f4).reshape(2, 3, 4))
    params, before = make(x), buffer.tobytes()
    with refused(exc, f"^{cls.__name__}: ", *words):
        cls(params)
    assert buffer.tobytes() == before


def test_what_else_a_constructor_refuses() -> None:
    with refused(TypeError, "params has dtype"):
        gs.Adam(np.zeros(3, [("a", f4)]))
    with refused(TypeError, "params"):
        gs.Adam()
    with refused(TypeError, "by position, got 3 arguments"):
        gs.SGD(np.zeros(3), 0.1, 0.9)
    with refused(TypeError, "Optimizer"):
        gs.Optimizer(np.zeros(3))


SHAPE = (ValueError, r"grads(\[\w+\]|\['\w'\])* has shape")
ALIAS = (ValueError, r"grads(\[0\])* shares memory", "copy")
# What is passed to step; the refusal. The name begins with the parameters' structure.
GRADS: dict[str, Row] = {
    "array: longer": (lambda _: np.ones(4, f4), *SHAPE, r"\(4,\)", r"\(3,\)"),
    "array: column": (lambda _: np.ones((3, 1), f4), *SHAPE, r"\(3, 1\)"),
    "array: broadcastable": (lambda _: np.ones(1, f4), *SHAPE, r"\(1,\)"),
    "array: 0-d": (lambda _: f4(1), *SHAPE, r"\(\)"),
    "array: parameter": (lambda s: s.a, *ALIAS),
    "array: overlap": (lambda s: s.buffers[0][68:80].view(f4), *ALIAS),
    "array: state m": (lambda s: s.opt.state[0]["m"], *ALIAS),
    "array: state v": (lambda s: s.opt.state[0]["v"], *ALIAS),
    "list: parameter": (lambda s: [s.b.ravel().view(f4)[:3], s.gb], *ALIAS),
    "list: state": (lambda s: [s.other("v").view(f4)[1:4], None], *ALIAS),
    "list: few": (lambda s: [s.ga], ValueError, r"\b1\b.*\b2\b", "None"),
    "list: many": (lambda s: [s.ga, s.gb, s.gb], ValueError, r"\b3\b.*\b2\b"),
    "list: nested": (lambda s: [[s.ga], s.gb], TypeError, r"grads\[0\]", "list"),
    "list: second": (lambda s: [s.ga, s.gb[0]], *SHAPE, r"\[1\]", r"\(2,\)"),
    "dict: missing": (lambda s: {"a": s.ga}, KeyError, "grads lacks 'b'", "None"),
    "dict: extra": (lambda s: s.good | {"c": s.gb}, KeyError, "grads has 'c'"),
    "dict: typo": (lambda s: {"a": s.ga, "bb": s.gb}, KeyError, "'bb'"),
    "dict: value": (lambda s: {"a": s.ga, "b": s.gb[0]}, *SHAPE, r"\['b'\]"),
    "groups: flat": (lambda s: [s.ga, s.gb], TypeError, r"grads\[0\] must.*ndarray"),
    "groups: few": (lambda s: [[s.ga]], ValueError, r"grads .*\b1\b.*\b2\b"),
    "groups: many": (lambda s: [*s.good, []], ValueError, r"grads .*\b3\b.*\b2\b"),
    "groups: gone": (lambda s: [None, {"b": s.gb}], TypeError, r"grads\[0\].*None"),
    "groups: key": (lambda s: [[s.ga], {"c": s.gb}], KeyError, r"grads\[1\].*'c'"),
    "groups: value": (lambda s: [[s.ga], {"b": s.gb[0]}], *SHAPE, r"\[1\]\['b'\]"),
}
for d in ("f8", "u2", "i8", "?", "c8", "g", "O", ">f4", [("x", "f4")]):
    words = rf"grads has dtype {re.escape(str(np.dtype(d)))}, .*float32.*(astype|view)"
    GRADS[f"array: {d}"] = (lambda s, d=d: s.ga.astype(d), TypeError, words)
for kind, structures in {
    "array": [np.ma.zeros(3, f4), None, [0.0] * 3, [X], {"a": X}, 1.0, TorchLike()],
    "list": [np.ones((2, 3), f4), None, {"a": X, "b": X}, 1.0, TorchLike()],
    "dict": [[X, X], X, None, TorchLike()],
    "groups": [X, {"a": X, "b": X}, None, TorchLike()],
}.items():
    for bad in structures:
        got = f"^Adam.step: grads .*({type(bad).__name__}|mapping|None)"
        GRADS[f"{kind}: {bad}"] = (lambda _, bad=bad: bad, TypeError, got)


@pytest.mark.parametrize("case", GRADS)
def test_gradients(case: str) -> None:
    make, exc, *words = GRADS[case]
    scene = Scene(case.split(":", 1)[0], amsgrad=True)
    with scene.untouched(), refused(exc, *words):
        scene.opt.step(make(scene))
    scene.opt.step(scene.good)
    assert [s["step"] for s in scene.opt.state] == [2] * len(scene.opt.state)


CHANGES: dict[str, Callable[[Array], object]] = {
    "grown": lambda w: w.resize(100_000, refcheck=False),
    "shrunk": lambda w: w.resize(5, refcheck=False),
    "reshaped": lambda w: w.resize((3, 2), refcheck=False),
    "read-only": lambda w: w.setflags(write=False),
    "swapped": lambda w: setattr(w, "dtype", ">f8"),
    "retyped": lambda w: setattr(w, "dtype", "i8"),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("native", [False, True])
def test_a_parameter_that_changed_since(how: str, native: bool) -> None:
    w = np.arange(6.0)
    opt = gs.SGD(w, lr=0.5)
    CHANGES[how](w)
    before = w.tobytes()
    # The gradient fits the parameter as it is now, once also in its new dtype.
    grads = np.ones(w.shape, f8 if native else w.dtype)
    with refused((ValueError, TypeError), r"^SGD.step: (params|grads) ", "param"):
        opt.step(grads)
    assert (w.tobytes(), opt.state[0]["step"]) == (before, 0)


def of_all(field: str, bad: object, exc: type, words: str) -> list[Row]:
    """Return a row for each class that has the option `field`."""
    return [
        (cls, {field: bad}, exc, f"^{name}: {words}")
        for name, cls in gs.OPTIMIZERS.items()
        if field in inspect.signature(cls).parameters
        # Adan has three betas.
        and not (name == "Adan" and isinstance(bad, tuple) and len(bad) == 2)
    ]


NESTEROV = {"nesterov": True, "momentum": 0.5}
# Class, options, refusal.
OPTIONS: list[Row] = [
    *of_all("betas", ("a", 0.9), TypeError, "beta[01] must be a real number, got str"),
    *of_all("maximize", 1, ValueError, "maximize must be one of .*got 1"),
    *of_all("amsgrad", "yes", ValueError, "amsgrad must be one of .*got 'yes'"),
    *of_all("form", "velocty", ValueError, "form must be one of .*got 'velocty'"),
    *of_all("dampening", INF, ValueError, "dampening .*got inf"),
    (gs.Adam, {"lr": 10**400}, ValueError, r"lr must be in \[0, inf\)"),
    (gs.SGD, NESTEROV | {"momentum": 0.0}, ValueError, "momentum > 0, got 0.0"),
    (gs.SGD, NESTEROV | {"dampening": 0.1}, ValueError, "dampening must be 0 .*0.1"),
    (gs.SGD, {"form": "velocity", "dampening": 0.1}, ValueError, "dampening must be 0"),
]
for field in "lr", "eps", "weight_decay", "momentum":
    for bad in (NAN, INF, -INF, -1e-3, f8(NAN)):
        words = rf"{field} must be in \[(0|1e-07), (inf|1)\), got {bad}"
        OPTIONS += of_all(field, bad, ValueError, words)
    for bad in ("0.1", None, True, 1j, np.array([0.1]), np.array(0.1)):
        words = f"{field} must be a real number, got {type(bad).__name__}"
        OPTIONS += of_all(field, bad, TypeError, words)
for bad in (0.9, None, (0.9,), (0.9,) * 4, "ab"):
    OPTIONS += of_all("betas", bad, TypeError, rf"betas .*{re.escape(f'{bad}')}")
for bad in (1, 1.0, -0.1, NAN):
    words = rf"must be in \[0, 1\), got {float(bad)}"
    OPTIONS += of_all("betas", (bad, 0.9), ValueError, f"beta[01] {words}")
    OPTIONS += of_all("betas", (0.9, bad), ValueError, f"beta2 {words}")


def through(route: str, scene: Scene, o: dict[str, Any]) -> None:
    """Give `scene`'s optimizer, or a new one of its class, the options `o`."""
    opt = scene.opt
    match route:
        case "constructor":
            type(opt)(np.ones(3), **o)
        case "group":
            type(opt)([{"params": np.ones(3)}, {"params": np.ones(2), **o}])
        case "add_param_group":
            opt.add_param_group({"params": np.ones(3), **o})
        case "edit":
            opt.param_groups[0].update(o)
            opt.step(scene.good)
        case "attribute":
            for name, value in o.items():
                setattr(opt, name, value)
            opt.step(scene.good)
        case "load":
            loading(*G, value=opt.state_dict()["param_groups"][0] | o)(scene)


NEW = ("constructor", "group", "add_param_group")
ROUTES = (*NEW, "edit", "attribute", "load")


def is_refused_later(options: dict[str, Any]) -> bool:
    """False for what only a new optimizer refuses: schedulers may lead to it."""
    return not (options.get("nesterov") and options.get("momentum") == 0.0)


# All classes share what lies behind the routes: a few of them take all.
WAYS = [
    pytest.param(route, row, id=f"{row[0].__name__}{row[1]}"[:40] + f"-{route}")
    for row in OPTIONS
    for route in ROUTES
    if route == "constructor" or row[0] in (gs.SGD, gs.AdamW, gs.ScheduleFreeAdamW)
    if route in NEW or is_refused_later(row[1])
]


@pytest.mark.parametrize(("route", "row"), WAYS)
def test_options(route: str, row: Row) -> None:
    cls, o, exc, words = row
    scene = Scene("list", cls)
    start = scene.opt.state_dict()["param_groups"]
    with scene.untouched(), refused(exc, words):
        through(route, scene, o)
    if route in ("edit", "attribute"):
        scene.opt.param_groups[0].update({k: start[0][k] for k in o})
        scene.opt.step(scene.good)
    assert scene.opt.state_dict()["param_groups"] == start


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["lrr", "zzz"])
def test_unknown_options(route: str, name: str) -> None:
    scene = Scene("list")
    words = rf"'{name}'; did you mean 'lr'" if name == "lrr" else rf"'{name}'[.;:,] "
    exc: type = TypeError
    if route == "attribute":
        exc, words = AttributeError, rf"'{name}'.*\blr, "
    with scene.untouched(), refused(exc, words):
        through(route, scene, {name: 0.1})


def by_hand(edit: Callable[[list[Any]], object]) -> Callable[[Scene], None]:
    """Return a step after an edit of param_groups."""

    def call(scene: Scene) -> None:
        edit(scene.opt.param_groups)
        scene.opt.step(scene.good)

    return call


def loading(*path: Any, value: Any = None) -> Callable[[Scene], None]:
    """Load a good state dict in which an entry is removed, or has another value."""

    def call(scene: Scene) -> None:
        saved = scene.opt.state_dict()
        at = reduce(lambda d, k: d[k], path[:-1], saved)
        at[path[-1]] = value
        if value is None:
            del at[path[-1]]
        scene.opt.load_state_dict(saved)

    return call


EITHER = (KeyError, ValueError)
GROUPS = "param_groups"
M, T, G = ("state", 0, "m"), ("state", 1, "step"), (GROUPS, 0)
STEP = r"state\[1\]\['step'\] must be .*"
KEYS = (KeyError, r"state\[0\] holds \[.*\], expected \['m', 'v'\]")
# Other calls; the refusal.
CALLS: dict[str, Row] = {
    "lost": (by_hand(lambda g: g[0].pop("lr")), KeyError, r"groups\[0\].*'lr'"),
    "no w": (by_hand(lambda g: g[0].pop("params")), ValueError, r"\[0\]\['params'"),
    "w": (by_hand(lambda g: g[0].update(params=())), ValueError, r"\[0\]\['params'"),
    "group": (by_hand(lambda g: g.append(g[0])), ValueError, "2 .* 1.*add_param_group"),
    "no group": (by_hand(lambda g: g.clear()), ValueError, "0 groups.* 1"),
    "None": (by_hand(lambda g: g.insert(0, g.pop() and 3)), TypeError, r"\[0\].*int"),
    "set": (lambda s: setattr(s.opt, GROUPS, []), AttributeError, GROUPS),
    "state": (lambda s: setattr(s.opt, "state", []), AttributeError, "state"),
    "add None": (lambda s: s.opt.add_param_group(None), TypeError, "^Adam.*None"),
    "add w": (lambda s: s.opt.add_param_group(np.ones(2)), TypeError, "^Adam.*ndarray"),
    "add []": (lambda s: s.opt.add_param_group([s.a]), TypeError, "^Adam.*list"),
    "add {}": (lambda s: s.opt.add_param_group({}), TypeError, "^Adam.*'params'"),
    "load None": (lambda s: s.opt.load_state_dict(None), TypeError, "state_dict.*None"),
    "load []": (lambda s: s.opt.load_state_dict([]), TypeError, "state_dict.*list"),
    "load {}": (lambda s: s.opt.load_state_dict({}), KeyError, "lacks 'state'"),
    "m shape": (loading(*M, value=np.zeros(4, f4)), ValueError, r"\(4,\).*\(3,\)"),
    "m dtype": (loading(*M, value=np.zeros(3)), TypeError, "float64.*float32"),
    "m swapped": (loading(*M, value=np.zeros(3, ">f4")), TypeError, ">f4.*float32"),
    "m masked": (loading(*M, value=np.ma.zeros(3, f4)), TypeError, "Masked"),
    "m list": (loading(*M, value=[0.0] * 3), TypeError, r"\[0\]\['m'\].*list"),
    "no m": (loading(*M), *KEYS),
    "q": (loading("state", 0, "q", value=np.zeros(3, f4)), *KEYS),
    "step < 0": (loading(*T, value=-1), ValueError, STEP + "got -1"),
    "step > max": (loading(*T, value=2**63), ValueError, STEP + "got 9"),
    "step 1.0": (loading(*T, value=1.0), TypeError, STEP + "float"),
    "step True": (loading(*T, value=True), TypeError, STEP + "bool"),
    "no step": (loading(*T), KeyError, r"\[1\] lacks 'step'"),
    "array less": (loading("state", 1), KeyError, r"state.*\b1\b"),
    "array more": (loading("state", 2, value={"step": 1}), EITHER, r"state.*\b2\b"),
    "states": (loading("state", value=[]), TypeError, "state.*list"),
    "no state": (loading("state"), KeyError, "lacks 'state'.*state_dict()"),
    "no groups": (loading(GROUPS), KeyError, "lacks 'param_groups'"),
    "groups 3": (loading(GROUPS, value=3), TypeError, "param_groups.*int"),
    "group 3": (loading(*G, value=3), TypeError, r"param_groups\[0\].*int"),
    "groups []": (loading(GROUPS, value=[]), ValueError, "0 groups.* 1"),
    "2 groups": (loading(GROUPS, value=[{}] * 2), ValueError, "2 groups.* 1"),
    "no lr": (loading(*G, "lr"), KeyError, r"param_groups\[0\].*'lr'"),
    "no params": (loading(*G, "params"), KeyError, r"param_groups\[0\].*'params'"),
    "one": (loading(*G, "params", value=[0]), ValueError, "1 arrays.* 2"),
    "twice": (loading(*G, "params", value=[0, 0]), EITHER, r"params.*\b0\b"),
}
for bad in (0, -1, 1025, 10**30):
    words = rf"set_num_threads: n must be in \[1, 1024\], got {bad}"
    CALLS[f"n {bad}"] = (lambda _, n=bad: gs.set_num_threads(n), ValueError, words)
for bad in (2.5, "2", True, [2]):
    words = f"set_num_threads: n must be .*got {re.escape(repr(bad))}"
    CALLS[f"n {bad}"] = (lambda _, n=bad: gs.set_num_threads(n), TypeError, words)


@pytest.mark.parametrize("case", CALLS)
def test_calls(case: str) -> None:
    call, exc, *words = CALLS[case]
    scene = Scene("list")
    with scene.untouched(), refused(exc, *words):
        call(scene)
