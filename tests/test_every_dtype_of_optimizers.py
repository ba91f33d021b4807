"""Arrays of every dtype as parameters, gradients, states and results of optimizers.

Each is taken exactly, or refused by name before a byte has changed.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import pytest

import gradstep as gs
from every_dtype import (
    DTYPES,
    Role,
    bytes_of,
    in_plain,
    is_float,
    is_real,
    is_steppable,
)
from gradstep import _core
from guarded import guarded

Array: TypeAlias = Any
N = 300  # of which a buffer of bools is too short to be read as doubles
PARAMETERS = {
    "float64": np.dtype("f8"),
    "float32": np.dtype("f4"),
    "bfloat16": gs.bfloat16,
    "ml bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype("f2"),
}
SGD = functools.partial(gs.SGD, lr=0.25)


def parameter(dtype: Any) -> tuple[Array, Array]:
    """Return an array between canaries, and all of its buffer."""
    values = in_plain(np.linspace(-2, 2, N), gs.bfloat16).view(ml_dtypes.bfloat16)
    p, buffer = guarded(np.zeros(N, f"u{dtype.itemsize}"))
    p = p.view(dtype)
    if dtype == gs.bfloat16:
        p[...] = values.view(gs.bfloat16)
    else:
        p[...] = values
    return p, buffer


def states(opt: Any) -> Any:
    base = states(opt.base) if hasattr(opt, "base") else ()
    kept = [
        {k: bytes_of(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        for state in opt.state
    ]
    return kept, base


def has_one_arithmetic_with(p: Any) -> Callable[[Any], bool]:
    """Return whether a dtype of gradients goes with one of parameters."""
    return lambda d: is_steppable(d) and (d == np.float64) == (p == np.float64)


def of_gradients(
    dtype: Any, make: Callable[[Array], Any], step: Callable[[Any, Array], object]
) -> Role:
    def start() -> Any:
        p, buffer = parameter(dtype)
        opt = make(p)
        step(opt, in_plain(np.ones(N), "f8" if dtype == np.float64 else "f4"))

        def image() -> Any:
            return buffer.tobytes(), states(opt)

        def call(g: Array) -> Any:
            step(opt, g)
            return image()

        return call, image

    exact = has_one_arithmetic_with(dtype)
    plain = np.float64 if dtype == np.float64 else np.float32
    return Role("grads", start, (N,), exact, only=True, plain=lambda _: plain)


def sam_step(opt: Any, g: Array) -> None:
    opt.first_step(g)
    opt.second_step(g)


WAYS: dict[str, Any] = {
    "array": (gs.Adam, lambda opt, g: opt.step(g)),
    "scaled": (gs.Adam, lambda opt, g: opt.step(g, clip_norm=2.0, nonfinite="raise")),
    "checked": (gs.Adam, lambda opt, g: opt.check_grads(g, clip_norm=2.0)),
    "list": (lambda p: gs.Adam([p]), lambda opt, g: opt.step([g])),
    "dict": (lambda p: gs.Adam({"w": p}), lambda opt, g: opt.step({"w": g})),
    "group": (lambda p: gs.Adam([{"params": p}]), lambda opt, g: opt.step([g])),
    "strided": (gs.Adam, lambda opt, g: opt.step(np.repeat(g, 2)[::2])),
    "transposed": (
        lambda p: gs.Adam(p.reshape(3, N // 3)),
        lambda opt, g: opt.step(np.asfortranarray(g.reshape(3, N // 3))),
    ),
}
WRAPPERS: dict[str, Any] = {
    "SAM": (lambda p: gs.SAM(p, SGD), sam_step),
    "ScheduleFree": (
        lambda p: gs.ScheduleFree(p, SGD),
        lambda opt, g: opt.step(g),
    ),
}
STORAGE: dict[str, Any] = {
    "float32-uint8": ("float32", {"state_dtype": "uint8"}),
    "float32-bfloat16": ("float32", {"state_dtype": "bfloat16"}),
    "bfloat16-master": ("bfloat16", {"master": "float32"}),
    "bfloat16-split": ("bfloat16", {"master": "split"}),
    "bfloat16-stochastic": ("bfloat16", {"rounding": "stochastic"}),
    "float16-master": ("float16", {"master": "float32"}),
}


class Functional:
    """An optimizer's face for steps whose states the caller keeps."""

    def __init__(self, p: Array) -> None:
        self.p, self.t = p, 0
        self.state = (gs.functional.init("Adam", p),)

    def step(self, g: Array) -> None:
        self.t += 1
        gs.functional.step("Adam", self.p, g, self.state[0], self.t)


GRADIENTS = {
    f"{name} {way}": of_gradients(dtype, *WAYS[way])
    for name, dtype in PARAMETERS.items()
    for way in WAYS
} | {
    f"{name} {way}": of_gradients(PARAMETERS[name], *WRAPPERS[way])
    for name in ("float64", "float32")
    for way in WRAPPERS
}
GRADIENTS |= {
    f"{name} functional": of_gradients(
        PARAMETERS[name], Functional, lambda opt, g: opt.step(g)
    )
    for name in ("float64", "float32")
}
GRADIENTS |= {
    f"{cls} {name}": of_gradients(
        PARAMETERS[name], gs.OPTIMIZERS[cls], lambda opt, g: opt.step(g)
    )
    for cls in gs.OPTIMIZERS
    for name in ("float64", "float32")
}
GRADIENTS |= {
    key: of_gradients(
        PARAMETERS[name], functools.partial(gs.Adam, **o), lambda opt, g: opt.step(g)
    )
    for key, (name, o) in STORAGE.items()
}


@pytest.mark.parametrize("role", GRADIENTS)
def test_gradients_are_exact_or_refused(role: str) -> None:
    assert not GRADIENTS[role].failures()


# ---- parameters ----------------------------------------------------------------------


def of_parameters(
    take: Callable[[Array], object], exact: Callable[[Any], bool]
) -> Role:
    def start() -> Any:
        def call(p: Array) -> bytes:
            take(p)
            return bytes_of(p)

        return call, lambda: None

    return Role("param", start, (N,), exact, only=True, plain=lambda d: d)


def add_group(p: Array) -> None:
    gs.Adam(np.ones(2)).add_param_group({"params": p})


def step_once(p: Array) -> None:
    gs.functional.step("SGD", p, np.ones(N, p.dtype), {}, 1)


PARAMS = {cls: of_parameters(gs.OPTIMIZERS[cls], is_steppable) for cls in gs.OPTIMIZERS}
PARAMS |= {
    "list": of_parameters(lambda p: gs.Adam([np.ones(2), p]), is_steppable),
    "dict": of_parameters(lambda p: gs.Adam({"w": p}), is_steppable),
    "group": of_parameters(lambda p: gs.Adam([{"params": [p]}]), is_steppable),
    "add_param_group": of_parameters(add_group, is_steppable),
    "SAM": of_parameters(lambda p: gs.SAM(p, SGD), is_float),
    "ScheduleFree": of_parameters(lambda p: gs.ScheduleFree(p, SGD), is_float),
    "functional.init": of_parameters(lambda p: gs.functional.init("Adam", p), is_float),
    "functional.step": of_parameters(step_once, is_float),
}


@pytest.mark.parametrize("role", PARAMS)
def test_parameters_are_accepted_or_refused(role: str) -> None:
    assert not PARAMS[role].failures()


# ---- states and results --------------------------------------------------------------


def of_states(dtype: Any, name: str, options: dict[str, Any]) -> Role:
    """Load a state dict in which one array is of another dtype."""

    def start() -> Any:
        p, buffer = parameter(dtype)
        opt = gs.Adam(p, **options)
        opt.step(in_plain(np.ones(N), "f8" if dtype == np.float64 else "f4"))

        def image() -> Any:
            return buffer.tobytes(), states(opt)

        def call(a: Array) -> Any:
            saved = opt.state_dict()
            saved["state"][0][name] = a[: saved["state"][0][name].size]
            opt.load_state_dict(saved)
            return image()

        return call, image

    kept = gs.Adam(parameter(dtype)[0], **options).state[0][name].dtype
    return Role(
        rf"state\[0\]\['{name}'\]",
        start,
        (N,),
        lambda d: d == kept,
        only=True,
        plain=lambda _: kept,
    )


STATES = {
    f"{key} {name}": of_states(PARAMETERS[key], name, {})
    for key in ("float64", "float32", "bfloat16", "float16")
    for name in ("m", "v")
} | {
    f"{key} {name}": of_states(PARAMETERS[p], name, o)
    for key, (p, o) in STORAGE.items()
    for name in gs.Adam(parameter(PARAMETERS[p])[0], **o).state[0]
    if name != "step"
}


@pytest.mark.parametrize("role", STATES)
def test_loaded_states_are_of_their_own_dtype(role: str) -> None:
    assert not STATES[role].failures()


def of_functional_states(dtype: Any) -> Role:
    def start() -> Any:
        p, buffer = parameter(dtype)
        state = gs.functional.init("Adam", p)

        def image() -> Any:
            return buffer.tobytes(), state["v"].tobytes()

        def call(a: Array) -> Any:
            given = state | {"m": a}
            gs.functional.step("Adam", p, np.ones(N, dtype), given, 1)
            return image(), given["m"].tobytes()

        return call, image

    return Role(
        r"state\['m'\]",
        start,
        (N,),
        lambda d: d == dtype,
        only=True,
        plain=lambda _: dtype,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functional_states_are_of_their_own_dtype(dtype: Any) -> None:
    assert not of_functional_states(np.dtype(dtype)).failures()


AVERAGING: dict[str, Callable[[Array], Any]] = {
    "ScheduleFreeSGD": gs.ScheduleFreeSGD,
    "ScheduleFreeAdamW": gs.ScheduleFreeAdamW,
    "ScheduleFree": lambda p: gs.ScheduleFree(p, SGD),
}


def of_results(dtype: Any, make: Callable[[Array], Any]) -> Role:
    def start() -> Any:
        p, buffer = parameter(dtype)
        opt = make(p)
        opt.step(in_plain(np.ones(N), "f8" if dtype == np.float64 else "f4"))

        def image() -> Any:
            return buffer.tobytes(), states(opt)

        def call(out: Array) -> bytes:
            assert opt.eval_params(out=out) is out
            return bytes_of(out)

        return call, image

    return Role(
        "out",
        start,
        (N,),
        lambda d: d == dtype,
        only=True,
        plain=lambda _: dtype,
    )


RESULTS = {
    f"{key} {cls}": (PARAMETERS[key], make)
    for key in PARAMETERS
    for cls, make in AVERAGING.items()
    if key in ("float64", "float32") or cls != "ScheduleFree"
}


@pytest.mark.parametrize("role", RESULTS)
def test_results_are_written_to_arrays_of_their_own_dtype(role: str) -> None:
    assert not of_results(*RESULTS[role]).failures()


# ---- storage -------------------------------------------------------------------------


def test_values_are_rounded_to_bfloat16_or_refused() -> None:
    def start() -> Any:
        return lambda a: gs.to_bfloat16(a).tobytes(), lambda: None

    assert not Role("to_bfloat16: values", start, (7,), is_real).failures()


def test_only_bfloat16_is_read_as_such() -> None:
    def start() -> Any:
        return lambda a: gs.from_bfloat16(a).tobytes(), lambda: None

    is_bfloat16 = (gs.bfloat16, PARAMETERS["ml bfloat16"])
    role = Role(
        "from_bfloat16: array",
        start,
        (7,),
        lambda d: d in is_bfloat16,
        only=True,
        plain=lambda _: gs.bfloat16,
    )
    assert not role.failures()


@pytest.mark.parametrize("code", ["bf16", "bf16_random", "bf16_split", "f16", "blocks"])
def test_arrays_in_code_are_of_its_dtype(code: str) -> None:
    """What C is handed is looked at again where it is."""
    kinds = {"f16": (np.float16, np.uint16), "blocks": (np.uint8,)}
    bfloat16 = (gs.bfloat16, PARAMETERS["ml bfloat16"], np.uint16)
    for dtype in DTYPES.values():
        a = np.zeros(N, dtype)
        beside = {
            "bf16_split": np.zeros(N, "u2"),
            "blocks": np.zeros(-(-N // _core.SCALED), "f4"),
        }.get(code)
        if dtype in kinds.get(code, bfloat16):
            _core.decode(code, a, beside)
        else:
            with pytest.raises(ValueError, match="is not in the code"):
                _core.decode(code, a, beside)
            with pytest.raises(ValueError, match="is not in the code"):
                _core.encode(code, np.zeros(N, "f4"), a, beside)
        if beside is not None:
            good = np.zeros(N, kinds.get(code, (np.uint16,))[0])
            wrong = np.zeros(len(beside), dtype)
            if dtype not in {"blocks": (np.float32,)}.get(code, (np.uint16, np.int16)):
                with pytest.raises(ValueError, match="does not fit"):
                    _core.decode(code, good, wrong)


@pytest.mark.parametrize("word", ["f32", "f64"])
def test_an_engine_binds_states_of_its_arithmetic_only(word: str) -> None:
    own = np.dtype({"f32": np.float32, "f64": np.float64}[word])
    for dtype in DTYPES.values():
        engine = _core.Engine("test", (np.zeros(N, own),), ("",), (0,), 1, single=True)
        states_of = (np.zeros(N, own), np.zeros(N, dtype))
        if dtype == own:
            engine.bind(0, _core.find("adam", word), states_of)
        else:
            with pytest.raises(ValueError, match="does not fit array 0"):
                engine.bind(0, _core.find("adam", word), states_of)


@pytest.mark.parametrize("make", [gs.empty, gs.zeros])
def test_arrays_are_allocated_of_numbers_only(make: Any) -> None:
    for name, dtype in DTYPES.items():
        is_number = is_real(dtype) or dtype.kind == "c" or is_steppable(dtype)
        if is_number and dtype.isnative:
            a = make((3, 5), dtype)
            assert (a.dtype, a.shape, a.flags.owndata) == (dtype, (3, 5), False), name
        elif dtype.isbuiltin != 2:  # some of users' numbers are as good
            with pytest.raises(TypeError, match="dtype must be a native number type"):
                make((3, 5), dtype)
