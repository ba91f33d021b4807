"""Options of storage, each by itself, where steps are in the dtype of the parameter."""

import functools
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import functional, lls
from gradstep.sklearn import LLSRegressor

STORED: list[tuple[Any, str, Any]] = [
    ("f4", "master", "float32"),
    ("f4", "master", "split"),
    ("f4", "rounding", "stochastic"),
    ("f4", "state_dtype", "bfloat16"),
    ("f4", "state_dtype", "uint8"),
    ("f8", "master", "float32"),
    ("f8", "rounding", "stochastic"),
    ("f8", "state_dtype", "uint8"),
]


@pytest.mark.parametrize(("dtype", "name", "value"), STORED)
def test_functional_steps_refuse_each_option(dtype: str, name: str, value: str) -> None:
    w, g = np.ones(3, dtype), np.ones(3, dtype)
    state = functional.init("Adam", w)
    default = gs.Adam.default_options[name]
    words = rf": {name} must be {default!r}, got '{value}'; .* are for gradstep.Adam"
    with pytest.raises(ValueError, match=f"functional.init{words}"):
        functional.init("Adam", w, **{name: value})
    with pytest.raises(ValueError, match=f"functional.step{words}"):
        functional.step("Adam", w, g, state, 1, **{name: value})
    assert (w == 1).all()
    functional.step("Adam", w, g, state, 1, **{name: default}, seed=7)


@pytest.mark.parametrize("dtype", ["f2", gs.bfloat16])
def test_functional_steps_refuse_parameters_of_reduced_precision(dtype: Any) -> None:
    w = gs.to_bfloat16(np.ones(3)) if dtype == gs.bfloat16 else np.ones(3, dtype)
    with pytest.raises(ValueError, match=r"init: params has dtype .*float32"):
        functional.init("Adam", w)


@pytest.mark.parametrize(("dtype", "name", "value"), STORED)
def test_least_squares_refuse_each_option(dtype: str, name: str, value: str) -> None:
    X, y = np.eye(5, 3, dtype=dtype), np.ones(5, dtype)
    make: Any = functools.partial(gs.Adam, **{name: value})
    for call in (
        lambda: lls.fit(X, y, optimizer=make, epochs=1),
        lambda: lls.fit([(X, y)], optimizer=make, epochs=1),
        lambda: lls.Trainer(3, optimizer=make, dtype=dtype),
        lambda: LLSRegressor(optimizer=make, max_iter=1).fit(X, y),
        lambda: LLSRegressor(optimizer=make).partial_fit(X, y),
    ):
        with pytest.raises(ValueError, match=rf"{name}\b.*{value}|{value}.*{name}"):
            call()


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for _, name, value in STORED),
        # NumPy takes this for None.
        *({name: np.dtype("f8")} for name in ("master", "state_dtype")),
    ],
)
def test_groups_of_a_fit_cannot_turn_to_one(change: dict[str, Any]) -> None:
    X, y = np.eye(5, 3), np.ones(5)
    trainer = lls.Trainer(3, optimizer=gs.Adam)
    trainer.partial_fit(X, y)
    before = trainer.coef.tobytes()
    trainer.optimizer.param_groups[0].update(change)
    (name,) = change
    with pytest.raises(ValueError, match=name):
        trainer.partial_fit(X, y)
    assert trainer.coef.tobytes() == before


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_is_no_storage_option(seed: int) -> None:
    X, y = np.eye(5, 3), np.ones(5)
    found = [
        lls.fit(X, y, optimizer=functools.partial(gs.Adam, **o), epochs=3).coef
        for o in ({}, {"seed": seed, "rounding": "nearest", "master": None})
    ]
    assert found[0].tobytes() == found[1].tobytes()
