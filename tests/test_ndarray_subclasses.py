"""Subclasses of `numpy.ndarray` are taken for the memory that they have.

Whatever they say in properties and methods of their own is neither believed nor run.
"""

import copy
import functools
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import gradstep as gs
from gradstep import analysis, lls

Array: TypeAlias = Any
SGD = functools.partial(gs.SGD, lr=0.25)
N, L = 24, 3
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, L))
Y = X @ [1.0, -2.0, 0.5] + RNG.standard_normal(N)
WEIGHT = np.linspace(0.5, 2, N)


class UserError(Exception):
    """Of users' code, which was not to run."""


def raising(*_: Any, **__: Any) -> Any:
    raise UserError


def flags_of_others(_: Any) -> Any:
    return np.zeros((9, 9)).flags


# What a subclass overrides.
LIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "shape": {"shape": property(lambda _: (10**6,))},
    "shape of a list": {"shape": property(lambda _: [N, L])},
    "size": {"size": property(lambda _: 10**6), "nbytes": property(lambda _: 10**9)},
    "strides": {"strides": property(lambda _: (0,))},
    "ndim": {"ndim": property(lambda _: 7)},
    "len": {"__len__": lambda _: 10**6},
    "dtype": {"dtype": property(lambda _: np.dtype("i8"))},
    "itemsize": {"itemsize": property(lambda _: 1)},
    "flags": {"flags": property(flags_of_others)},
    "base": {"base": property(lambda _: None)},
    "data": {
        "data": property(raising),
        "ctypes": property(lambda _: SimpleNamespace(data=64)),
        "__array_interface__": property(
            lambda _: {"data": (64, False), "shape": (10**6,), "typestr": "<f8"}
        ),
    },
    "buffer": {"__array_struct__": property(raising), "__buffer__": raising},
    "array": {"__array__": lambda *_, **__: np.zeros(10**4)},
    "finalize": {"__array_finalize__": raising},
    "wrap": {"__array_wrap__": raising, "__array_priority__": 1e9},
    "function": {"__array_function__": raising},
    "function of None": {"__array_function__": lambda *_, **__: None},
    "ufunc": {"__array_ufunc__": raising},
    "no ufunc": {"__array_ufunc__": None},
    "copies": dict.fromkeys(("copy", "view", "astype", "__copy__"), raising),
    "shapes": dict.fromkeys(("reshape", "ravel", "flatten", "transpose"), raising),
    "copies nothing": dict.fromkeys(("copy", "astype"), lambda *_, **__: np.zeros(1)),
    "items": {"__getitem__": raising, "__setitem__": raising, "__iter__": raising},
    "writes": dict.fromkeys(("fill", "put", "setflags", "itemset"), raising),
    "sums": dict.fromkeys(("any", "all", "min", "max", "sum", "tobytes"), raising),
    "compares": dict.fromkeys(("__eq__", "__ne__", "__lt__", "__ge__"), raising),
    "bool": {"__bool__": raising, "__float__": raising, "__int__": raising},
    "hash": {"__hash__": raising, "__repr__": raising},
}


def lying(name: str, a: Array) -> Array:
    """Return a copy of a plain array, of a class that lies of it."""
    kind = type("Lying", (np.ndarray,), {})
    found = np.array(a, order="K").view(kind)
    for key, value in LIES[name].items():
        setattr(kind, key, value)
    return found


def plain(a: Array) -> Array:
    """Return the memory of an array of any class."""
    return np.ndarray.view(a, np.ndarray)


def bits(a: Array) -> bytes:
    return np.ndarray.tobytes(plain(a))


def states(opt: Any) -> Any:
    return [
        {k: bits(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        for state in opt.state
    ]


def stepped(make: Callable[[Array], Any]) -> Callable[[Array], Any]:
    def call(p: Array) -> Any:
        opt = make(p)
        for g in (np.ones(9), np.full(9, -0.5)):
            if isinstance(opt, gs.SAM):
                opt.first_step(g)
                opt.second_step(g)
            else:
                opt.step(g)
        return bits(p), states(opt)

    return call


def averaged(make: Callable[[Array], Any]) -> Callable[[Array], Any]:
    def call(p: Array) -> Any:
        opt = make(p)
        opt.step(np.ones(9, "f8" if plain(p).itemsize == 8 else "f4"))
        found = [bits(opt.eval_params())]
        opt.eval()
        found.append(bits(p))
        opt.train()
        return *found, bits(p), states(opt)

    return call


def with_gradient(make: Callable[[Array], Any]) -> Callable[[Array], Any]:
    def call(g: Array) -> Any:
        p = np.linspace(-1, 1, 9)
        opt = make(p)
        if isinstance(opt, gs.SAM):
            opt.first_step(g)
            opt.second_step(g)
        else:
            opt.check_grads(g)
            opt.step(g, clip_norm=1.0)
        return bits(p), states(opt)

    return call


def functional_step(p: Array, g: Array, m: Array) -> Any:
    state = gs.functional.init("Adam", plain(p)) | {"m": m}
    gs.functional.step("Adam", p, g, state, 1)
    return bits(p), bits(state["m"]), bits(state["v"])


def written(out: Array) -> Any:
    opt = gs.ScheduleFreeSGD(np.linspace(-1, 1, 9), lr=0.5)
    opt.step(np.ones(9))
    assert opt.eval_params(out=out) is out
    return bits(out)


def loaded(m: Array) -> Any:
    p = np.linspace(-1, 1, 9)
    opt = gs.Adam(p)
    opt.step(np.ones(9))
    saved = opt.state_dict()
    saved["state"][0]["m"] = m
    opt.load_state_dict(saved)
    return states(opt)


def trained(name: str) -> Callable[[Array], Any]:
    def call(a: Array) -> Any:
        trainer = lls.Trainer(L, optimizer=SGD, intercept=True, average=True)
        trainer.partial_fit(X / 100, Y)
        trainer.load_state_dict(trainer.state_dict() | {name: a})
        trainer.partial_fit(X / 100, Y)
        return coefficients(trainer)

    return call


def coefficients(found: Any) -> Any:
    return bits(found.coef), np.asarray(found.intercept).tobytes()


def fitted(**given: Any) -> Any:
    o: dict[str, Any] = {
        "X": X,
        "y": Y,
        "optimizer": functools.partial(gs.SGD, lr=1e-3),
    }
    return coefficients(lls.fit(**o | {"batch_size": 7, "epochs": 2} | given))


def read(name: str) -> Callable[[Array], Any]:
    class File:
        shape, targets, dtype, weighted, extents = (N, L), None, X.dtype, True, None

        def buffers(self, _: int) -> None:
            return None

        def read(self, *_: Any) -> Any:
            return SimpleNamespace(**self.rows)

    def call(a: Array) -> Any:
        file = File()
        file.rows = {"X": X, "y": Y, "weight": WEIGHT, name: a}  # type: ignore[attr-defined]
        return coefficients(lls.fit(file)), coefficients(lls.solve(file))

    return call


def sparse(name: str) -> Callable[[Array], Any]:
    def call(a: Array) -> Any:
        S = sp.csr_array(np.where(np.abs(X) < 0.4, 0.0, X))
        setattr(S, name, a)
        return fitted(X=S), coefficients(lls.solve(S, Y))

    return call


S = sp.csr_array(np.where(np.abs(X) < 0.4, 0.0, X))


def minimum(**given: Any) -> Any:
    o: dict[str, Any] = {
        "x0": np.array([2.0, 1.0]),
        "fun": lambda x: float(x @ x),
        "jac": lambda x: 2 * x,
    }
    method = gs.minimize(gs.Adam, lr=0.1)
    found = scipy.optimize.minimize(**o | given, method=method, options={"maxiter": 3})
    return bits(found.x)


NINE = np.linspace(-2, 2, 9)
# A function of one array, and a plain one.
ROLES: dict[str, tuple[Callable[[Array], Any], Array]] = {
    "parameter": (stepped(gs.Adam), NINE),
    "clipped parameter": (stepped(lambda p: gs.Adan(p, max_grad_norm=1.0)), NINE),
    "restarted parameter": (stepped(lambda p: gs.Adan(p, restart_radius=0.1)), NINE),
    "parameter of a copy": (stepped(gs.MADGRAD), NINE),
    "parameter of SAM": (stepped(lambda p: gs.SAM(p, SGD)), NINE),
    "parameter of ScheduleFree": (averaged(lambda p: gs.ScheduleFree(p, SGD)), NINE),
    "parameter of ScheduleFreeAdamW": (averaged(gs.ScheduleFreeAdamW), NINE),
    "parameter in bfloat16": (
        averaged(functools.partial(gs.ScheduleFreeSGD, master="float32")),
        gs.to_bfloat16(NINE),
    ),
    "parameter in float16": (
        averaged(functools.partial(gs.ScheduleFreeSGD, state_dtype="uint8")),
        NINE.astype("f2"),
    ),
    "gradient": (with_gradient(gs.Adam), NINE),
    "gradient of SAM": (with_gradient(lambda p: gs.SAM(p, SGD)), NINE),
    "gradient of ScheduleFree": (
        with_gradient(lambda p: gs.ScheduleFree(p, SGD)),
        NINE,
    ),
    "functional parameter": (
        lambda p: functional_step(p, np.ones(9), np.zeros(9)),
        NINE,
    ),
    "functional gradient": (
        lambda g: functional_step(np.ones(9), g, np.zeros(9)),
        NINE,
    ),
    "functional state": (lambda m: functional_step(np.ones(9), np.ones(9), m), NINE),
    "functional init": (
        lambda p: [bits(a) for a in gs.functional.init("Adam", p).values()],
        NINE,
    ),
    "out": (written, NINE),
    "loaded state": (loaded, NINE),
    "to_bfloat16": (lambda a: bits(gs.to_bfloat16(a)), NINE),
    "from_bfloat16": (lambda a: bits(gs.from_bfloat16(a)), gs.to_bfloat16(NINE)),
    "X": (lambda a: fitted(X=a), X),
    "y": (lambda a: fitted(y=a), Y),
    "sample_weight": (lambda a: fitted(sample_weight=a), WEIGHT),
    "X of the default": (lambda a: coefficients(lls.fit(a, Y)), X),
    "y of the default": (lambda a: coefficients(lls.fit(X, a)), Y),
    "coef0": (lambda a: fitted(coef0=a), X[0].copy()),
    "intercept0": (lambda a: fitted(intercept=True, intercept0=a), X[0, :1].copy()),
    "order": (lambda a: fitted(order=lambda _: a), np.arange(N)[::-1].copy()),
    "validation X": (lambda a: fitted(validation=(a, Y)), X),
    "validation y": (lambda a: fitted(validation=(X, a)), Y),
    "chunk X": (lambda a: coefficients(lls.fit([(a, Y)])), X),
    "chunk y": (lambda a: coefficients(lls.fit([(X, a)])), Y),
    "chunk weight": (lambda a: coefficients(lls.fit([(X, Y, a)])), WEIGHT),
    **{
        f"Source {name}": (read(name), a)
        for name, a in {"X": X, "y": Y, "weight": WEIGHT}.items()
    },
    **{
        f"sparse {name}": (sparse(name), getattr(S, name))
        for name in ("data", "indices", "indptr")
    },
    **{
        f"solve {method} {name}": (
            lambda a, method=method, name=name: coefficients(
                lls.solve(
                    **{"X": X, "y": Y, "sample_weight": WEIGHT, name: a},
                    method=method,
                )
            ),
            a,
        )
        for method in ("svd", "qr", "normal", "cg")
        for name, a in {"X": X, "y": Y, "sample_weight": WEIGHT}.items()
    },
    "max_stable_lr": (lls.max_stable_lr, X),
    "saved coef": (trained("coef"), np.full(L, 0.5)),
    "saved offset": (trained("offset"), np.full(1, 0.5)),
    "saved total": (trained("total"), np.full(L + 1, 0.5)),
    "x0": (lambda a: minimum(x0=a), np.array([2.0, 1.0])),
    "jac": (lambda a: minimum(jac=lambda _: a), np.array([2.0, 1.0])),
    "check_gradient": (
        lambda a: bits(
            analysis.check_gradient(lambda x: x @ x, lambda _: a, NINE[:2]).numeric
        ),
        NINE[:2].copy(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROLES)
def test_arrays_are_what_their_memory_is(name: str) -> None:
    call, a = ROLES[name]
    want = call(a.copy())
    failures = []
    for lie in LIES:
        try:
            found = call(lying(lie, a))
        except Exception as error:
            failures.append(f"{lie}: {error!r}")
        else:
            if found != want:
                failures.append(f"{lie}: another result")
    assert failures == []


def test_classes_that_objects_claim_are_not_believed() -> None:
    class Claims:
        __class__ = np.ndarray  # type: ignore[assignment]
        dtype, shape = np.dtype("f8"), (9,)

    opt = gs.Adam(np.ones(9))
    for call in (
        lambda: gs.Adam([Claims()]),
        lambda: opt.step(Claims()),
        lambda: gs.functional.init("Adam", Claims()),
        lambda: loaded(Claims()),
        lambda: gs.from_bfloat16(Claims()),
    ):
        with pytest.raises(TypeError, match=r"must be .*array.*Claims|int, got Claims"):
            call()
    assert opt.state[0]["step"] == 0


def test_a_subclass_that_was_resized_is_refused_by_all_calls() -> None:
    """Views of it would have no memory."""
    kind: Any = type("Subclass", (np.ndarray,), {})
    calls: dict[str, Callable[[Any], object]] = {
        "step": lambda opt: opt.step(np.ones(9)),
        "check_grads": lambda opt: opt.check_grads(np.ones(9)),
        "eval_params": lambda opt: opt.eval_params(),
        "eval": lambda opt: opt.eval(),
    }
    for make in (gs.ScheduleFreeSGD, lambda p: gs.ScheduleFree(p, SGD)):
        for call in calls.values():
            p = kind((9,))
            p[...] = 1
            opt = make(p)
            opt.step(np.ones(9))
            p.resize((2,), refcheck=False)
            with pytest.raises(ValueError, match=r"params was resized"):
                call(opt)


@pytest.mark.parametrize("n", [1, 3])
def test_memory_that_an_owner_gave_up_is_not_used(n: int, tmp_path: Any) -> None:
    """Parameters are views of one flat array, which is resized."""
    flat = np.ones(9 * n)
    opt = gs.Adam([flat[9 * k : 9 * k + 9] for k in range(n)])
    opt.step([np.ones(9)] * n)
    flat.resize((1,), refcheck=False)
    for call in (
        lambda: opt.step([np.ones(9)] * n),
        lambda: opt.add_param_group({"params": np.ones(2)}),
        lambda: pickle.dumps(opt),
        lambda: copy.deepcopy(opt),
        lambda: gs.save(tmp_path / "opt.safetensors", opt),
    ):
        with pytest.raises(ValueError, match=r"params\[0\] was resized"):
            call()
    assert [s["step"] for s in opt.state] == [1] * n


def test_states_stay_where_they_are_whatever_becomes_of_their_arrays() -> None:
    p = np.linspace(-1, 1, 9)
    opt, other = gs.Adam(p), gs.Adam(p.copy())
    for x in (opt, other):
        x.step(np.ones(9))
    m = opt.state[0]["m"]
    m.__setstate__((1, (1,), np.dtype("f8"), False, bytes(8)))  # gives up its memory
    opt.state[0]["v"].shape = (3, 3)
    for x in (opt, other):
        x.step(np.full(9, 0.5))
    assert p.tobytes() == other.param_groups[0]["params"][0].tobytes()
    with pytest.raises(ValueError, match="state 'm' of params has been given"):
        opt.load_state_dict(other.state_dict())
    assert p.tobytes() == other.param_groups[0]["params"][0].tobytes()
