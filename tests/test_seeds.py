"""Every seed: its range, what is next to it, and that it decides what is drawn."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import analysis, lls

X = np.random.default_rng(0).standard_normal((40, 3))
Y = X @ [1.0, 2.0, 3.0]
SGD = functools.partial(gs.SGD, lr=1e-3)


def stepped(seed: Any) -> Any:
    w = np.ones(300, np.float32)
    opt = gs.Adam(w, state_dtype="uint8", seed=seed)
    for k in range(3):
        opt.step(np.sin(np.arange(300, dtype=np.float32) + k))
    return w


def samples(seed: Any) -> Any:
    """Points at which a function was evaluated."""
    points: list[Any] = []

    def fun(x: Any) -> Any:
        points.append(np.array(x).tolist())
        return x @ x

    analysis.is_convex_on_samples(fun, [-1.0, -1.0], [1.0, 1.0], n=8, seed=seed)
    return points


# What a seed decides; the first number above its range.
SEEDS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "Adam": (stepped, 2**53),
    "fit": (
        lambda s: lls.fit(X, Y, optimizer=SGD, batch_size=4, epochs=2, seed=s).coef,
        2**64,
    ),
    "max_stable_lr": (
        lambda s: lls.max_stable_lr(X, batch_size=4, batches=2, seed=s),
        2**64,
    ),
    "analysis.is_convex_on_samples": (samples, 2**64),
}
owners = pytest.mark.parametrize("owner", SEEDS)


@owners
def test_the_same_seed_draws_the_same_and_others_something_else(owner: str) -> None:
    draw, above = SEEDS[owner]
    results = [np.asarray(draw(s)).tolist() for s in (0, 1, 7, above - 1)]
    assert len({repr(x) for x in results}) == 4
    for same in (7, np.int64(7), np.uint8(7)):
        assert np.asarray(draw(same)).tolist() == results[2]


@owners
def test_what_is_next_to_a_seeds_range_is_refused_by_name(owner: str) -> None:
    draw, above = SEEDS[owner]
    for value in (-1, above, 2**64, -(10**400), 10**400):
        with pytest.raises(ValueError, match=f"^{owner}: seed must be "):
            draw(value)


@owners
def test_what_is_no_int_is_no_seed(owner: str) -> None:
    draw, _ = SEEDS[owner]
    for value in (True, 1.0, np.float64(1), None, "3", "", b"", [3], (), 1j, object()):
        with pytest.raises(TypeError, match=f"^{owner}: seed must be int, got "):
            draw(value)
