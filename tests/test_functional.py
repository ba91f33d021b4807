"""gradstep.functional: the bits of the objects, for callers who keep the states."""

from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import functional
from variants import VARIANTS

# A restart sets t back, which is the caller's here.
FREE = {k: v for k, v in VARIANTS.items() if "restart_radius" not in v[1]}


@pytest.mark.parametrize("variant", FREE)
def test_the_same_bits_as_the_object(variant: str) -> None:
    cls, options = FREE[variant]
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 5)).astype(np.float32)
    v = w.copy()
    opt = cls(w, **options)
    state = functional.init(cls, v, **options)
    for t in range(1, 9):
        g = rng.standard_normal((3, 5)).astype(np.float32)
        opt.step(g)
        functional.step(cls.__name__, v, g, state, t, **options)
    assert w.tobytes() == v.tobytes()
    assert set(state) | {"step"} == set(opt.state[0])
    for name, value in state.items():
        assert np.array_equal(value, opt.state[0][name]), name


def misaligned(n: int) -> np.ndarray:
    return np.zeros(8 * n + 1, "u1")[1:].view("f8")


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    w, g = np.ones(3), np.ones(3)
    state = functional.init("NAdam", w)
    kept = {k: np.copy(v) for k, v in state.items()}
    cases: list[tuple[type[Exception], str, Any]] = [
        (
            ValueError,
            "method must be one of .*'Nadam'",
            lambda: ("Nadam", w, g, state, 1),
        ),
        (ValueError, "method must be one of", lambda: (gs.SAM, w, g, state, 1)),
        (TypeError, "t must be int, got float", lambda: ("NAdam", w, g, state, 1.0)),
        (
            ValueError,
            r"t must be in \[1, 2\*\*53\), got 0",
            lambda: ("NAdam", w, g, state, 0),
        ),
        (KeyError, "state holds .*expected", lambda: ("NAdam", w, g, {}, 1)),
        (ValueError, r"state\['m'\] has shape", lambda: ("NAdam", w, g, M2, 1)),
        (TypeError, r"state\['m'\] must be a numpy", lambda: ("NAdam", w, g, M3, 1)),
        (ValueError, "shape", lambda: ("NAdam", w, np.ones(2), state, 1)),
        (TypeError, "dtype int64", lambda: ("NAdam", np.arange(3), g, state, 1)),
        (ValueError, r"t must be in .*, got 2", lambda: ("NAdam", w, g, state, 9**99)),
        (ValueError, "state.*shares memory", lambda: ("NAdam", w, g, M4, 1)),
        (ValueError, r"'m'\] must be .*aligned", lambda: ("NAdam", w, g, M5, 1)),
        (ValueError, r"'mu_product'\] must be fin", lambda: ("NAdam", w, g, M6, 1)),
        (TypeError, r"'mu_product'\] must be a r", lambda: ("NAdam", w, g, M7, 1)),
        (TypeError, "state must be a mut", lambda: ("NAdam", w, g, None, 1)),
        (ValueError, "gaps", lambda: ("NAdam", np.ones(6)[::2], g, state, 1)),
        (ValueError, "shares memory", lambda: ("NAdam", w, w, state, 1)),
    ]
    M2, M3 = {**state, "m": np.ones(2)}, {**state, "m": [1.0] * 3}
    M4, M5 = {**state, "m": state["v"]}, {**state, "m": misaligned(3)}
    M6, M7 = {**state, "mu_product": np.nan}, {**state, "mu_product": "1"}
    for exc, words, arguments in cases:
        with pytest.raises(exc, match=words):
            functional.step(*arguments())
    with pytest.raises(
        TypeError, match="unknown hyperparameter 'lrr'; did you mean 'lr'"
    ):
        functional.step("NAdam", w, g, state, 1, lrr=0.1)
    with pytest.raises(ValueError, match="restart_radius must be 0"):
        functional.init("Adan", w, restart_radius=1.0)
    assert (w == 1).all()
    assert all(np.array_equal(v, kept[k]) for k, v in state.items())
