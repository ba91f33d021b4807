"""`CPUOffload`: checkpoints, averages, and what it can be built over."""

import copy
import gc
import pickle
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import _init_optim_state

import gradstep.torch as gst
from adapter_processes import model_of
from offloading import assert_same, backward, both, pair, parameters, values

# -- checkpoints


@pytest.mark.parametrize("overlap", [False, True])
def test_checkpoints_go_between_both(overlap: bool) -> None:
    opt, other, p, q = pair(overlap=overlap)
    both(opt, other, p, q, range(1, 3))
    fresh, plain, r, s = pair(overlap=overlap)
    for x, was in zip((*r, *s), (*p, *p), strict=True):
        x.data.copy_(was)
    fresh.load_state_dict(copy.deepcopy(other.state_dict()))
    plain.load_state_dict(copy.deepcopy(opt.state_dict()))
    both(fresh, plain, r, s, range(3, 5))
    both(opt, other, p, q, range(3, 5))
    assert_same(fresh, plain, r, s)
    assert_same(fresh, other, r, q)


def test_a_checkpoint_of_torch_goes_on() -> None:
    p, q = parameters(), parameters()
    theirs = torch.optim.AdamW(q, lr=0.1)
    for t in range(1, 3):
        for a, b, g in zip(p, q, values(t), strict=True):
            a.grad = b.grad = g
        theirs.step()
    opt = gst.CPUOffload(gst.AdamW(p))
    opt.load_state_dict(theirs.state_dict())
    assert opt.param_groups[0]["lr"] == opt._optimizer.param_groups[0]["lr"] == 0.1
    assert torch.equal(opt.state[p[0]]["exp_avg"], theirs.state[q[0]]["exp_avg"])


def test_a_checkpoint_of_others_that_needs_the_parameters() -> None:
    p, q = torch.full((3,), 2.0), torch.full((3,), 2.0)
    opt, other = gst.CPUOffload(gst.MADGRAD([p])), gst.MADGRAD([q])
    theirs = copy.deepcopy(other.state_dict())  # without momentum they have no x0
    theirs["state"] = {"k": 3, 0: {"grad_sum_sq": torch.ones(3), "s": torch.ones(3)}}
    for one in (opt, other):
        one.load_state_dict(copy.deepcopy(theirs))
    assert_same(opt, other, [p], [q])


def test_a_checkpoint_that_does_not_fit_changes_nothing() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 3))
    wrong = copy.deepcopy(opt.state_dict())
    wrong["state"][0]["exp_avg"] = torch.ones(2)
    with pytest.raises(ValueError, match="has shape"):
        opt.load_state_dict(wrong)
    assert_same(opt, other, p, q)
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)


def test_a_step_that_has_begun_is_dropped_by_a_checkpoint() -> None:
    opt, other, p, q = pair(overlap=True)
    both(opt, other, p, q, range(1, 3))
    saved = copy.deepcopy(opt.state_dict())
    step = opt._step_host

    def slowly(**how: Any) -> None:
        time.sleep(0.02)
        step(**how)

    opt._step_host = slowly
    opt.zero_grad()
    backward(p, values(9))
    for method in (
        opt.state_dict,
        lambda: opt.add_param_group({"params": []}),
        opt.pull,
    ):
        with pytest.raises(RuntimeError, match="backward has begun a step; call step"):
            method()
    opt.load_state_dict(saved)
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)


def test_an_optimizer_that_has_taken_steps() -> None:
    opt, other, p, q = pair()
    both(opt._optimizer, other, p, q, range(1, 3))
    opt = gst.CPUOffload(opt._optimizer, bucket_bytes=32)
    assert not opt._optimizer.state
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)


def test_a_first_step_that_only_makes_states() -> None:
    opt, other, p, q = pair()
    empty = copy.deepcopy(opt.state_dict())
    both(opt, other, p, q, range(1, 3))
    opt.load_state_dict(empty)
    opt.zero_grad()
    # By a step with lr 0, on gradients of zeros.
    _init_optim_state(opt)
    assert [float(opt.state[x]["step"]) for x in p] == [0] * len(p)


def test_states_may_be_changed_by_hand() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 3))
    for one, params in ((opt, p), (other, q)):
        one.state[params[0]]["exp_avg"].zero_()
        one.state[params[1]]["exp_avg"] = torch.ones(5)
        del one.state[params[3]]
        whole = {name: t.clone() for name, t in one.state[params[2]].items()}
        whole["exp_avg_sq"].fill_(0.5)
        one.state[params[2]] = whole
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)


@pytest.mark.parametrize("name", ["ScheduleFreeSGD", "ScheduleFreeAdamW"])
def test_schedule_free_optimizers_have_their_average(name: str) -> None:
    p, q = parameters(), parameters()
    opt, other = gst.CPUOffload(getattr(gst, name)(p)), getattr(gst, name)(q)
    for t in range(1, 5):
        both(opt, other, p, q, range(t, t + 1))
        for one, params in ((opt, p), (other, q)):
            params[0].data = params[0] * 1.5
            one.eval()
        for a, b in zip(p, q, strict=True):
            assert torch.equal(a, b)
        assert not opt.training
        with pytest.raises(RuntimeError, match=r"call train\(\) first"):
            opt.step()
        for one in (opt, other):
            one.train()
        assert opt.training
        assert_same(opt, other, p, q)


def test_others_have_no_average() -> None:
    opt, *_ = pair()
    assert opt.training
    with pytest.raises(TypeError, match="eval: AdamW has no average"):
        opt.eval()
    # transformers and accelerate ask before they call them, in every step.
    assert not hasattr(opt, "eval")
    assert not hasattr(opt, "train")


# -- what it is built over


REFUSED: list[tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = [
    (
        lambda: torch.optim.Adam(parameters()),
        {},
        TypeError,
        r"must be one of gradstep\.torch, got torch\.optim\.adam\.Adam",
    ),
    (lambda: None, {}, TypeError, r"got builtins\.NoneType; build it with"),
    (
        lambda: gst.Adam(parameters()),
        {"bucket_bytes": 0},
        ValueError,
        "int >= 1, got 0",
    ),
    (
        lambda: gst.Adam(parameters()),
        {"clip_norm": -1},
        ValueError,
        "clip_norm must be",
    ),
    (lambda: gst.Adam(parameters()), {"clip": 1}, TypeError, "unknown argument 'clip'"),
    (
        lambda: gst.Adam([("w", torch.ones(2, device="meta"))]),
        {},
        TypeError,
        r"\[0\]\['params'\]\[0\] \(w\) is on device meta, expected cpu or cuda",
    ),
    (
        lambda: gst.Adam([torch.ones(2).as_subclass(Other)]),
        {},
        TypeError,
        "must be a plain tensor, got .*Other",
    ),
    (lambda: gst.Adam([torch.ones(1).expand(3)]), {}, ValueError, "not simply its mem"),
    (
        lambda: gst.Adam([torch.ones(2, dtype=torch.cfloat).conj()]),
        {},
        ValueError,
        "not simply its memory; pass",
    ),
]


class Other(Tensor):
    pass


@pytest.mark.parametrize(("make_it", "how", "error", "message"), REFUSED)
def test_what_cannot_be_offloaded(
    make_it: Callable[[], Any], how: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gst.CPUOffload(make_it(), **how)


def test_what_comes_too_late_is_refused() -> None:
    opt, *_ = pair(overlap=True)
    with pytest.raises(ValueError, match="clip_norm comes too late with overlap=True"):
        opt.step(clip_norm=1.0)


def test_no_copies_and_no_pickles_but_of_the_model() -> None:
    model = model_of(3, 4, 2)
    opt = gst.CPUOffload(gst.Adam(model.parameters()), overlap=True)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            attempt(opt)
    other = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    other(torch.ones(2, 3)).sum().backward()
    assert all(m.seen is None for m in opt._all())


def test_parameters_do_not_keep_it_alive() -> None:
    p = parameters()
    opt = gst.CPUOffload(gst.Adam(p), overlap=True)
    backward(p, values(1))
    opt.step()
    handle = next(islice(opt._handles, 1))
    hooks = handle.hooks_dict_ref()
    assert hooks
    del opt
    gc.collect()
    assert not hooks
    backward(p, values(2))
