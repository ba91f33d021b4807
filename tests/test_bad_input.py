"""Every input is handled exactly, or refused with a message before a byte is written.

What `gradstep.lls` refuses is in test_lls.py.
"""

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import gradstep as gs
import numpy as np
import pytest

Array: TypeAlias = Any
f4, f8 = np.float32, np.float64
NAN, INF = float("nan"), float("inf")
GUARD = 64


def guarded(a: Array) -> tuple[Array, Array]:
    """Copy `a` into the middle of a buffer of canaries; return the copy, the buffer."""
    buffer = np.full(a.nbytes + 2 * GUARD, 0xA5, np.uint8)
    inside = buffer[GUARD : GUARD + a.nbytes].view(a.dtype).reshape(a.shape)
    inside[...] = a
    return inside, buffer


@contextmanager
def refused(exc: type | tuple[type, ...], *words: str) -> Iterator[None]:
    with pytest.raises(exc) as info:
        yield
    message = str(info.value.args[0])  # str() of a KeyError would quote it
    for word in words:
        assert re.search(word, message), f"{word!r} is not in {message!r}"


class Scene:
    """An optimizer that has taken one step, its arrays and gradients among canaries."""

    def __init__(self, kind: str, cls: type = gs.Adam, **options: Any) -> None:
        rng = np.random.default_rng(7)
        shapes = ((3, f4), ((2, 2), f8)) * 2
        made = [guarded(rng.standard_normal(n).astype(d)) for n, d in shapes]
        (self.a, self.b, self.ga, self.gb), self.buffers = zip(*made, strict=True)
        self.good = self.arranged(kind, self.ga, self.gb)
        params = self.arranged(kind, self.a, self.b)
        if kind == "groups":
            params = [{"params": params[0]}, {"params": params[1], "lr": 0.25}]
        self.opt = cls(params, **options)
        self.opt.step(self.good)

    @staticmethod
    def arranged(kind: str, a: Array, b: Array) -> Any:
        kinds = {"list": [a, b], "dict": {"a": a, "b": b}, "groups": [[a], {"b": b}]}
        return kinds.get(kind, a)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        before = self.image()
        yield
        assert self.image() == before

    def image(self) -> list[Any]:
        """Return all bytes that a refused call could have spoilt."""
        return [b.tobytes() for b in self.buffers] + [
            {k: v if k == "step" else v.tobytes() for k, v in s.items()}
            for s in self.opt.state
        ]


class TorchLike:
    """Has shape, dtype and conversion as a tensor has, and is no array."""

    shape, dtype = (3,), "torch.float32"

    def __array__(self, *_: Any, **__: Any) -> Array:
        return np.zeros(3, f4)


Row: TypeAlias = tuple[Any, ...]
GAPS = (ValueError, r"params has gaps", "ascontiguousarray")
SHARED = (ValueError, r"shares memory with params\[0\]", "once")
ARRAY = (TypeError, r"params(\[0\])? must be (a numpy.ndarray|an array)")
# From a guarded (2, 3, 4) float32 array to what is passed as params.
PARAMS: dict[str, Row] = {
    "strided": (lambda x: x.ravel()[::2], *GAPS, r"\(8,\)"),
    "reversed": (lambda x: x.ravel()[::-1], *GAPS, r"\(-4,\)"),
    "columns": (lambda x: x[0, :, 1:3], *GAPS, r"\(16, 4\)"),
    "permuted": (lambda x: x.transpose(1, 0, 2), *GAPS, r"\(16, 48, 4\)"),
    "0-stride": (lambda x: np.lib.stride_tricks.as_strided(x, (3,), (0,)), *GAPS),
    "broadcast": (lambda x: np.broadcast_to(x, (5, 2, 3, 4)), ValueError, "read-only"),
    "read-only": (lambda x: np.frombuffer(x.tobytes(), f4), ValueError, "a.copy()"),
    "twice": (lambda x: [x, x], *SHARED, r"params\[1\]"),
    "overlap": (lambda x: [x.ravel()[:5], x.ravel()[4:8]], *SHARED),
    "in dict": (lambda x: {"p": x, "q": x[1]}, ValueError, r"\['q'\].* params\['p'\]"),
    "in groups": (lambda x: [{"params": x}, {"params": [x[1]]}], *SHARED),
    "swapped": (lambda x: x.astype(">f4"), TypeError, "params has byte order", ">f4"),
    "masked": (lambda x: np.ma.array(x), *ARRAY, "MaskedArray"),
    "floats": (lambda x: x.ravel().tolist(), *ARRAY, "float"),
    "nested": (lambda x: [[x]], *ARRAY, "list"),
    "float": (lambda x: 1.0, *ARRAY, "float"),
    "scalar": (lambda x: [f4(1)], *ARRAY, "float32"),
    "None": (lambda x: None, *ARRAY, "NoneType"),
    "None in list": (lambda x: [None], *ARRAY, "NoneType"),
    "tensor": (lambda x: TorchLike(), *ARRAY, "TorchLike"),
    "str": (lambda x: "w", *ARRAY, "str"),
    "key": (lambda x: {1: x}, TypeError, "name must be str", "got 1"),
    "no params": (lambda x: [{"lr": 1.0}], TypeError, r"params\[0\]", "'params'"),
    "mixed": (lambda x: [x, {"params": x}], TypeError, r"params\[0\]", "dict"),
    "named": (lambda x: {"p": x[0], "q": np.zeros(2, int)}, TypeError, r"\['q'\]"),
} | {
    d: (lambda x, d=d: x.astype(d), TypeError, f"params has dtype {d}", "float32, f")
    for d in ("i8", "f2", "c8", "c16", "?", "O", "g")
    for d in (str(np.dtype(d)),)
}


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
    with refused(TypeError, "positional"):
        gs.SGD(np.zeros(3), 0.1)
    with refused(TypeError, "Optimizer", "abstract|subclass"):
        gs.Optimizer(np.zeros(3))


SHAPE = (ValueError, r"grads(\[\w+\]|\['\w'\])* has shape")
WHOLE = (TypeError, "^Adam.step: grads must be", "got")
ALIAS = (ValueError, r"grads(\[0\])* shares memory", "copy")
# Structure of the parameters; what is passed to step; the refusal.
GRADS: dict[str, Row] = {
    "longer": ("array", lambda s: np.ones(4, f4), *SHAPE, r"\(4,\)", r"\(3,\)"),
    "column": ("array", lambda s: np.ones((3, 1), f4), *SHAPE, r"\(3, 1\)"),
    "broadcastable": ("array", lambda s: np.ones(1, f4), *SHAPE, r"\(1,\)"),
    "0-d": ("array", lambda s: f4(1), *SHAPE, r"\(\)"),
    "masked": ("array", lambda s: np.ma.array(s.ga), *WHOLE, "MaskedArray"),
    "None": ("array", lambda s: None, TypeError, "grads is None", "array"),
    "floats": ("array", lambda s: s.ga.tolist(), *WHOLE, "list"),
    "in list": ("array", lambda s: [s.ga], *WHOLE, "list"),
    "in dict": ("array", lambda s: {"a": s.ga}, *WHOLE, "dict"),
    "float": ("array", lambda s: 1.0, *WHOLE, "float"),
    "tensor": ("array", lambda s: TorchLike(), *WHOLE, "TorchLike"),
    "parameter": ("array", lambda s: s.a, *ALIAS),
    "overlap": ("array", lambda s: s.buffers[0][68:80].view(f4), *ALIAS),
    "state m": ("array", lambda s: s.opt.state[0]["m"], *ALIAS),
    "state v": ("array", lambda s: s.opt.state[0]["v"], *ALIAS),
    "other's state": (
        "list",
        lambda s: [s.opt.state[1]["v"].ravel().view(f4)[1:4], None],
        *ALIAS,
    ),
    "other's": ("list", lambda s: [s.b.ravel().view(f4)[:3], s.gb], *ALIAS),
    "few": ("list", lambda s: [s.ga], ValueError, "got 1 gradients for 2", "None"),
    "many": ("list", lambda s: [s.ga, s.gb, s.gb], ValueError, "got 3 gradients for 2"),
    "stacked": ("list", lambda s: np.ones((2, 3), f4), *WHOLE, "sequence of 2"),
    "list None": ("list", lambda s: None, *WHOLE, "sequence of 2"),
    "list dict": ("list", lambda s: {"a": s.ga, "b": s.gb}, *WHOLE, "sequence"),
    "list nested": ("list", lambda s: [[s.ga], s.gb], TypeError, r"grads\[0\]", "list"),
    "second": ("list", lambda s: [s.ga, s.gb[0]], *SHAPE, r"\[1\]", r"\(2,\)"),
    "missing": ("dict", lambda s: {"a": s.ga}, KeyError, "grads lacks 'b'", "None"),
    "extra": ("dict", lambda s: s.good | {"c": s.gb}, KeyError, "grads has 'c'"),
    "typo": ("dict", lambda s: {"a": s.ga, "bb": s.gb}, KeyError, "'bb'"),
    "dict list": ("dict", lambda s: [s.ga, s.gb], *WHOLE, "mapping", "list"),
    "dict array": ("dict", lambda s: s.ga, *WHOLE, "mapping"),
    "dict None": ("dict", lambda s: None, *WHOLE, "mapping"),
    "value": ("dict", lambda s: {"a": s.ga, "b": s.gb[0]}, *SHAPE, r"\['b'\]"),
    "flat": ("groups", lambda s: [s.ga, s.gb], TypeError, r"grads\[0\]", "list", "got"),
    "group few": ("groups", lambda s: [[s.ga]], ValueError, "1 groups, expected 2"),
    "group many": ("groups", lambda s: [*s.good, []], ValueError, "3 groups, expected"),
    "group array": ("groups", lambda s: s.ga, *WHOLE, "2 groups", "ndarray"),
    "group dict": ("groups", lambda s: {"b": s.gb}, *WHOLE, "2 groups", "dict"),
    "no group": ("groups", lambda s: [None, {"b": s.gb}], TypeError, "got None"),
    "group key": ("groups", lambda s: [[s.ga], {"c": s.gb}], KeyError, r"\[1\]", "'c'"),
    "deep": ("groups", lambda s: [[s.ga], {"b": s.gb[0]}], *SHAPE, r"\[1\]\['b'\]"),
} | {
    f"dtype {d}": (
        *("array", lambda s, d=d: s.ga.astype(d), TypeError),
        *(rf"grads has dtype {re.escape(str(np.dtype(d)))}", r"float32.*astype"),
    )
    for d in ("f8", "f2", "i8", "?", "c8", "g", "O", ">f4", [("x", "f4")])
}


@pytest.mark.parametrize("case", GRADS)
def test_gradients(case: str) -> None:
    kind, make, exc, *words = GRADS[case]
    scene = Scene(kind, amsgrad=True)
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
    assert w.tobytes() == before and opt.state[0]["step"] == 0


def of_all(field: str, bad: object, exc: type, words: str) -> list[Row]:
    """Return a row for each class that has the option `field`."""
    return [
        (cls, {field: bad}, exc, f"^{name}: {words}")
        for name, cls in gs.OPTIMIZERS.items()
        if field in inspect.signature(cls).parameters
    ]


NESTEROV = {"nesterov": True, "momentum": 0.5}
# Class, options, refusal.
OPTIONS: list[Row] = [
    row
    for field in ("lr", "eps", "weight_decay", "momentum")
    for bad in (NAN, INF, -INF, -1e-3, f8(NAN))
    for row in of_all(field, bad, ValueError, rf"{field} must be in \[0, inf\), got ")
] + [
    row
    for field in ("lr", "eps", "weight_decay", "momentum")
    for bad in ("0.1", None, True, 1j, np.array([0.1]), np.array(0.1))
    for got in (type(bad).__name__,)
    for row in of_all(field, bad, TypeError, f"{field} must be a real .*got {got}")
]
for bad in (0.9, None, (0.9,), (0.9,) * 3, "ab"):
    OPTIONS += of_all("betas", bad, TypeError, rf"betas .*{re.escape(f'{bad}')}")
for bad in (1, 1.0, -0.1, NAN):
    words = rf"must be in \[0, 1\), got {float(bad)}"
    OPTIONS += of_all("betas", (bad, 0.9), ValueError, f"beta1 {words}")
    OPTIONS += of_all("betas", (0.9, bad), ValueError, f"beta2 {words}")
OPTIONS += [
    *of_all("betas", ("a", 0.9), TypeError, "beta1 must be a real number, got str"),
    *of_all("maximize", 1, ValueError, "maximize must be one of .*got 1"),
    *of_all("amsgrad", "yes", ValueError, "amsgrad must be one of .*got 'yes'"),
    *of_all("form", "velocty", ValueError, "form must be one of .*got 'velocty'"),
    *of_all("dampening", INF, ValueError, "dampening .*got inf"),
    (gs.Adam, {"lr": 10**400}, ValueError, r"lr must be in \[0, inf\)"),
    (gs.SGD, NESTEROV | {"momentum": 0.0}, ValueError, "momentum > 0, got 0.0"),
    (gs.SGD, NESTEROV | {"dampening": 0.1}, ValueError, "dampening must be 0 .*0.1"),
    (gs.SGD, {"form": "velocity", "dampening": 0.1}, ValueError, "dampening must be 0"),
]


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
            saved = opt.state_dict()
            saved["param_groups"][0].update(o)
            opt.load_state_dict(saved)


ROUTES = ("constructor", "group", "add_param_group", "edit", "attribute", "load")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("row", OPTIONS, ids=lambda r: f"{r[0].__name__}{r[1]}"[:40])
def test_options(route: str, row: Row) -> None:
    cls, o, exc, words = row
    scene = Scene("list", cls)
    start = copy.deepcopy(scene.opt.state_dict()["param_groups"])
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


# What is done to param_groups by hand; the refusal of the next step.
HANDS: dict[str, Row] = {
    "option lost": (lambda g: g[0].pop("lr"), KeyError, r"param_groups\[0\].*'lr'"),
    "params lost": (lambda g: g[0].pop("params"), ValueError, r"\[0\]\['params'\]"),
    "params": (lambda g: g[0].update(params=()), ValueError, r"\[0\]\['params'\]"),
    "group": (lambda g: g.append(g[0]), ValueError, "2 groups.* 1", "add_param_group"),
    "none": (lambda g: g.clear(), ValueError, "0 groups.* 1"),
    "no dict": (lambda g: g.insert(0, g.pop() and None), TypeError, r"groups\[0\].*None"),
}


@pytest.mark.parametrize("case", HANDS)
def test_param_groups_by_hand(case: str) -> None:
    scene = Scene("list")
    hand, exc, *words = HANDS[case]
    hand(scene.opt.param_groups)
    with scene.untouched():
        with refused(exc, *words):
            scene.opt.step(scene.good)
        # What cannot be stepped is not worth saving: it could not be loaded either.
        with refused(exc, *words):
            scene.opt.state_dict()


def test_attributes() -> None:
    scene = Scene("list")
    for name, value in {"param_groups": [], "state": [], "learning_rate": 0.1}.items():
        with scene.untouched(), refused(AttributeError, name):
            setattr(scene.opt, name, value)
    with refused(AttributeError, "lr differs between groups", "param_groups"):
        _ = Scene("groups").opt.lr


def test_an_edit_of_state_takes_effect_or_is_refused() -> None:
    opt = Scene("list").opt
    for name, value in {"step": 7, "m": np.full(3, 5, f4)}.items():
        try:
            opt.state[0][name] = value
        except TypeError:
            continue
        assert np.array_equal(opt.state[0][name], value), name


@pytest.mark.parametrize(
    ("bad", "exc"),
    [
        (None, TypeError),
        (np.zeros(2), TypeError),
        ([np.zeros(2)], TypeError),
        ({"lr": 0.1}, KeyError),
    ],
)
def test_add_param_group(bad: object, exc: type) -> None:
    scene = Scene("list")
    with scene.untouched(), refused(exc, "^Adam", "'params'"):
        scene.opt.add_param_group(bad)
    assert len(scene.opt.param_groups) == 1


KEYS = (KeyError, r"state\[0\] holds \[.*\], expected \['m', 'v'\]")
STEP = r"state\[1\]\['step'\] must be "
# What is done to a good state dict; the refusal of load_state_dict.
SAVED: dict[str, Row] = {
    "shape": (lambda d: d["state"][0].update(m=np.zeros((3, 1), f4)), ValueError, "3, 1"),
    "dtype": (lambda d: d["state"][0].update(m=np.zeros(3)), TypeError, "float64"),
    "order": (lambda d: d["state"][0].update(m=np.zeros(3, ">f4")), TypeError, ">f4"),
    "list": (lambda d: d["state"][0].update(m=[0.0] * 3), TypeError, "'m'.*list"),
    "mask": (lambda d: d["state"][0].update(m=np.ma.zeros(3, f4)), TypeError, "Masked"),
    "no m": (lambda d: d["state"][0].pop("m"), *KEYS),
    "extra": (lambda d: d["state"][0].update(q=np.zeros(3, f4)), *KEYS),
    "step < 0": (lambda d: d["state"][1].update(step=-1), ValueError, STEP, "got -1"),
    "step big": (lambda d: d["state"][1].update(step=2**53), ValueError, STEP, "got 9"),
    "step 1.0": (lambda d: d["state"][1].update(step=1.0), TypeError, STEP, "float"),
    "step True": (lambda d: d["state"][1].update(step=True), TypeError, STEP, "bool"),
    "step None": (lambda d: d["state"][1].update(step=None), TypeError, STEP, "None"),
    "no step": (lambda d: d["state"][1].pop("step"), KeyError, r"\[1\] lacks 'step'"),
    "no array": (lambda d: d["state"].pop(1), KeyError, r"state.*\b1\b"),
    "array more": (lambda d: d["state"].update({2: d["state"][0]}), KeyError, r"\b2\b"),
    "state": (lambda d: d.update(state=[]), TypeError, "'state'.*list"),
    "no state": (lambda d: d.pop("state"), KeyError, "lacks 'state'", "state_dict()"),
    "no groups": (lambda d: d.pop("param_groups"), KeyError, "lacks 'param_groups'"),
    "groups": (lambda d: d.update(param_groups=None), TypeError, "'param_groups'.*None"),
    "group": (lambda d: d.update(param_groups=[None]), TypeError, r"param_groups\[0\]"),
    "fewer": (lambda d: d["param_groups"].pop(), ValueError, "0 groups, expected 1"),
    "more": (lambda d: d["param_groups"].append({}), ValueError, "2 groups, expected 1"),
    "no lr": (lambda d: d["param_groups"][0].pop("lr"), KeyError, r"groups\[0\].*'lr'"),
    "no params": (lambda d: d["param_groups"][0].pop("params"), KeyError, r"groups\[0\]"),
    "twice": (lambda d: d["param_groups"][0].update(params=[0, 0]), ValueError, "twice"),
    "one": (lambda d: d["param_groups"][0].update(params=[0]), ValueError, "1 arrays.* 2"),
}


@pytest.mark.parametrize("case", SAVED)
def test_load_state_dict(case: str) -> None:
    scene, other = Scene("list"), Scene("list", lr=0.25)
    other.opt.step(other.good)
    saved = other.opt.state_dict()
    spoil, exc, *words = SAVED[case]
    spoil(saved)
    with scene.untouched(), refused(exc, *words):
        scene.opt.load_state_dict(saved)
    assert scene.opt.lr == 1e-3


def test_load_state_dict_of_something_else() -> None:
    scene = Scene("dict")
    for bad in (None, [], "state"):
        with scene.untouched(), refused(TypeError, "state_dict", type(bad).__name__):
            scene.opt.load_state_dict(bad)
    with scene.untouched(), refused(KeyError, "holds .*'m'.*'v'"):
        scene.opt.load_state_dict(Scene("dict", gs.Lion).opt.state_dict())
    renamed = gs.Adam({"a": np.ones(3, f4), "c": np.ones((2, 2))}).state_dict()
    with scene.untouched(), refused(KeyError, "lacks the parameter 'b'"):
        scene.opt.load_state_dict(renamed)
