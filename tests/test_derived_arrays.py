"""Arrays that are found from parameters and states, in any shape, order and storage.

Averages, lookahead points, parameters as they are stepped, and what eval() puts in
their place: each element is that of the same run over a flat array in the order of
memory, which no order of axes can confuse.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradstep as gs
from support import floats

Array = Any
f4, f8 = np.float32, np.float64


class Storage(NamedTuple):
    dtype: Any
    options: dict[str, Any]


STORAGES = {
    "float64": Storage(f8, {}),
    "float32": Storage(f4, {}),
    "float32 bfloat16 states": Storage(f4, {"state_dtype": "bfloat16", "seed": 3}),
    "float32 uint8 states": Storage(f4, {"state_dtype": "uint8", "seed": 3}),
    **{
        f"{name} {label}": Storage(dtype, options)
        for name, dtype in (("bfloat16", gs.bfloat16), ("float16", np.float16))
        for label, options in {
            "plain": {},
            "master": {"master": "float32"},
            "master, uint8 states": {"master": "float32", "state_dtype": "uint8"},
            "bfloat16 states": {"state_dtype": "bfloat16", "seed": 3},
        }.items()
    },
    "bfloat16 split": Storage(gs.bfloat16, {"master": "split"}),
    "bfloat16 stochastic": Storage(gs.bfloat16, {"rounding": "stochastic", "seed": 3}),
}
PLAIN = [name for name, storage in STORAGES.items() if storage.dtype in (f4, f8)]
PLAIN = [name for name in PLAIN if not STORAGES[name].options]

# Shapes with equal and with different axes, of more than a block with a scale.
SHAPES = [(20, 30), (25, 25), (2, 3, 40), (1, 7)]
LARGE = 0.3  # a rate by which bfloat16 moves


def lookahead(opt: Any) -> Array:
    return opt.lookahead()


def average(opt: Any) -> Array:
    return opt.eval_params()


def average_into_out(opt: Any) -> Array:
    out = np.empty_like(opt.param_groups[0]["params"][0])
    found = opt.eval_params(out=out)
    assert found is out
    return out


def evaluated(opt: Any) -> Array:
    """What eval() puts into the parameter; train() brings it back."""
    (w,) = opt.param_groups[0]["params"]
    before = w.tobytes("A")
    opt.eval()
    seen = w.copy("K")
    assert opt.eval_params().tobytes("A") == seen.tobytes("A")
    opt.train()
    assert w.tobytes("A") == before
    return seen


def stepped(opt: Any) -> Array:
    """The parameter as it is stepped: its master, or what its halves make."""
    (found,) = opt._exact()
    return found


SCHEDULE_FREE = {
    "sgd": functools.partial(gs.ScheduleFreeSGD, lr=LARGE),
    "adamw": functools.partial(gs.ScheduleFreeAdamW, lr=LARGE),
    "inner": functools.partial(gs.ScheduleFreeAdamW, lr=LARGE, inner_momentum=0.7),
    "radam": functools.partial(gs.ScheduleFreeRAdam, lr=LARGE, silent_sgd_phase=False),
}
Case = tuple[Callable[..., gs.Optimizer], Callable[[Any], Array]]
CASES: dict[str, Case] = {
    f"{name} {derive.__name__}": (method, derive)
    for name, method in SCHEDULE_FREE.items()
    for derive in (average, average_into_out, evaluated)
}
CASES["velocity lookahead"] = (
    functools.partial(gs.SGD, lr=LARGE, momentum=0.8, form="velocity", nesterov=True),
    lookahead,
)
CASES |= {
    f"{method.__name__} stepped": (functools.partial(method, lr=LARGE), stepped)
    for method in (gs.SGD, gs.Adam, gs.MADGRAD)
}
WRAPPED: dict[str, Case] = {
    f"schedule-free {derive.__name__}": (
        functools.partial(
            gs.ScheduleFree, base=functools.partial(gs.RMSprop, lr=LARGE)
        ),
        derive,
    )
    for derive in (average, average_into_out, evaluated)
}


def of_dtype(x: Array, dtype: Any) -> Array:
    return gs.to_bfloat16(x) if dtype == gs.bfloat16 else x.astype(dtype)


def in_order(flat: Array, shape: tuple[int, ...], order: Any) -> Array:
    """An array whose elements lie in memory as those of the flat one do."""
    a = np.empty(shape, flat.dtype, order=order)
    a.ravel(order="K")[...] = flat
    assert np.shares_memory(a.ravel(order="K"), a)
    return a


def run(method: Any, w: Array, storage: Storage, order: Any) -> gs.Optimizer:
    opt = method(w, **storage.options)
    kind = f8 if storage.dtype is f8 else f4
    for t in range(3):
        opt.step(in_order(floats(10 + t, w.size, kind), w.shape, order))
    return opt


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("case", "kind"),
    [(c, k) for c in CASES for k in STORAGES]
    + [(c, k) for c in WRAPPED for k in PLAIN],
)
def test_each_element_is_that_of_a_flat_run(
    case: str, kind: str, order: Any, shape: tuple[int, ...]
) -> None:
    method, derive = (CASES | WRAPPED)[case]
    storage = STORAGES[kind]
    n = int(np.prod(shape))
    flat = of_dtype(floats(1, n, f4), storage.dtype)
    w = in_order(flat, shape, order)
    ours = run(method, w, storage, order)
    theirs = run(method, flat, storage, "C")
    found, expected = derive(ours), derive(theirs)
    assert found.shape == shape
    assert found.dtype == expected.dtype
    assert found.flags[f"{order}_CONTIGUOUS"]
    # In the order of memory the bytes are those of the flat run.
    assert np.asarray(found, order=order).tobytes("A") == expected.tobytes()
    assert len(set(expected.view(f"u{expected.dtype.itemsize}").tolist())) > n // 3


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "kind", [k for k in STORAGES if "master" in STORAGES[k].options]
)
def test_what_others_have_written_is_taken_over_in_place(kind: str, order: Any) -> None:
    """Single elements, found by their indices, not by their place in memory."""
    storage = STORAGES[kind]
    flat = of_dtype(floats(1, 600, f4), storage.dtype)
    w = in_order(flat, (20, 30), order)
    opt = run(functools.partial(gs.SGD, lr=LARGE), w, storage, order)
    before = opt._exact()[0].copy(order="K")
    if storage.options["master"] == "float32":
        assert before.tobytes("A") == opt.state[0]["master"].tobytes("A")
    w[3, 17] = of_dtype(np.array(7.0), storage.dtype)
    (after,) = opt._exact()
    changed = np.argwhere(after != before).tolist()
    assert changed == [[3, 17]]
    if storage.options["master"] != "split":  # which keeps what it lacked
        assert after[3, 17] == 7


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["float32", "bfloat16 master", "bfloat16 split"])
def test_adans_path_goes_by_elements(kind: str, order: Any) -> None:
    storage = STORAGES[kind]
    flat = of_dtype(floats(1, 600, f4), storage.dtype)
    w = in_order(flat, (20, 30), order)
    adan = functools.partial(gs.Adan, lr=0.1, restart_radius=1e6)
    ours, theirs = run(adan, w, storage, order), run(adan, flat, storage, "C")
    assert ours.state[0]["path"] == theirs.state[0]["path"] > 0


@pytest.mark.parametrize("orders", ["CF", "FC", "CCF"])
def test_arrays_of_several_orders_in_one_optimizer(orders: str) -> None:
    shapes = [(4, 5), (6, 3), (2, 9)][: len(orders)]
    flats = [
        of_dtype(floats(k, int(np.prod(s)), f4), np.float16)
        for k, s in enumerate(shapes)
    ]
    ws = [in_order(f, s, o) for f, s, o in zip(flats, shapes, orders)]
    options: dict[str, Any] = {"lr": LARGE, "master": "float32"}
    ours, theirs = (
        gs.ScheduleFreeSGD(ws, **options),
        gs.ScheduleFreeSGD(flats, **options),
    )
    for t in range(3):
        g = [floats(10 * t + k, f.size, f4) for k, f in enumerate(flats)]
        ours.step([in_order(x, s, o) for x, s, o in zip(g, shapes, orders)])
        theirs.step(g)
    for found, expected, order in zip(ours.eval_params(), theirs.eval_params(), orders):
        assert np.asarray(found, order=order).tobytes("A") == expected.tobytes()


class Subclass(np.ndarray[Any, Any]):
    """An array that results should not be of."""


@pytest.mark.parametrize("case", [*CASES, *WRAPPED])
def test_what_is_derived_from_a_subclass_is_a_plain_array(case: str) -> None:
    method, derive = (CASES | WRAPPED)[case]
    w = floats(1, 12, f8).reshape(3, 4).view(Subclass)
    opt = method(w)
    opt.step(floats(2, 12, f8).reshape(3, 4))
    for state in (*opt.state, *opt.state_dict()["state"].values()):
        assert {type(a) for a in state.values()} <= {np.ndarray, int, float}
    if derive in (lookahead, average):
        assert type(derive(opt)) is np.ndarray
