"""Optimizers around another: whose turn it is, and what they report of its steps."""

import functools
from typing import Any

import numpy as np
import pytest

import gradstep as gs

BASE = functools.partial(gs.SGD, lr=0.1, momentum=0.5)
GOOD = np.array([3.0, 4.0])


def image(opt: Any) -> Any:
    arrays = [p.tobytes() for p in opt.param_groups[0]["params"]]
    states = [repr(dict(s)) for s in (*opt.state, *opt.base.state)]
    return arrays, states


def test_check_grads_reports_what_the_step_will() -> None:
    for how in ({"clip_norm": 2.0}, {"grad_scale": 0.5, "nonfinite": "skip"}, {}):
        opt = gs.ScheduleFree(np.ones(2), BASE)
        before = image(opt)
        report = opt.check_grads(GOOD, **how)
        assert image(opt) == before
        opt.step(GOOD, **how)
        assert opt.last_step == report
        assert (report.grad_norm is None) == (how == {})


def test_a_skipped_step_is_reported_and_changes_nothing() -> None:
    opt = gs.ScheduleFree(np.ones(2), BASE)
    opt.step(GOOD, clip_norm=2.0)
    before = image(opt)
    opt.step(np.array([np.inf, 1.0]), nonfinite="skip")
    assert image(opt) == before
    assert opt.last_step.skipped
    assert opt.last_step.nonfinite == 1


@pytest.mark.parametrize("kind", [gs.ScheduleFree, gs.SAM])
def test_a_step_in_another_thread_is_refused_at_once(kind: Any) -> None:
    opt = kind(np.ones(2), BASE)
    first = opt.first_step if kind is gs.SAM else opt.step
    words = f"{kind.__name__} is in the middle of"
    with opt._taking_turns(), pytest.raises(RuntimeError, match=words):
        first(GOOD)
    first(GOOD)


def test_between_sams_steps_all_else_is_refused_and_names_what_comes_next() -> None:
    opt = gs.SAM(np.ones(2), BASE)
    saved = opt.state_dict()
    with pytest.raises(RuntimeError, match=r"^SAM.second_step: call first_step first"):
        opt.second_step(GOOD)
    opt.first_step(GOOD)
    before = image(opt)
    for name, call in {
        "first_step": lambda: opt.first_step(GOOD),
        "state_dict": opt.state_dict,
        "load_state_dict": lambda: opt.load_state_dict(saved),
    }.items():
        with pytest.raises(RuntimeError, match=f"^SAM.{name}: call second_step first"):
            call()
        assert image(opt) == before
    opt.second_step(GOOD)
    opt.load_state_dict(saved)


@pytest.mark.parametrize("maximize", [False, True])
def test_sam_climbs_with_the_sign_of_its_base(maximize: bool) -> None:
    w = np.zeros(2)
    opt = gs.SAM(w, functools.partial(BASE, maximize=maximize), rho=0.5)
    opt.first_step(GOOD)
    sign = -1 if maximize else 1
    np.testing.assert_allclose(w, sign * np.array([0.3, 0.4]), rtol=1e-11)


@pytest.mark.parametrize("kind", [gs.ScheduleFree, gs.SAM])
def test_storage_and_direction_are_the_bases(kind: Any) -> None:
    for name, value in {"state_dtype": "uint8", "seed": 3, "maximize": True}.items():
        words = f"^{kind.__name__}: pass {name}(=True)? to (its|the) base instead"
        with pytest.raises(ValueError, match=words):
            kind(np.ones(2, np.float32), BASE, **{name: value})
        base = functools.partial(BASE, **{name: value})
        opt = kind(np.ones(2, np.float32), base)
        assert getattr(opt.base, name) == value
