"""`CPUOffload`: the bits of the optimizer that it wraps, and what it refuses."""

import copy
import gc
import pickle
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

import gradstep as gs
import gradstep.torch as gst
from adapter_processes import ALL, model_of, same
from variants import VARIANTS

SHAPES = ((3, 4), (5,), (2, 3, 4, 5), (7,), ())
STORAGES: dict[str, tuple[torch.dtype, dict[str, Any]]] = {
    "float32": (torch.float32, {}),
    "master": (torch.bfloat16, {"master": "float32"}),
    "random": (torch.bfloat16, {"rounding": "stochastic", "state_dtype": "bfloat16"}),
}
CLIPPED: dict[str, Any] = {"clip_norm": 0.7, "nonfinite": "skip"}


def values(seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    found = [torch.randn(shape, generator=draws).to(dtype) for shape in SHAPES]
    found[2] = found[2].to(memory_format=torch.channels_last)
    return found


def parameters(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [t.requires_grad_() for t in values(0, dtype)]


def make(variant: str, params: list[Tensor], **more: Any) -> gst.Optimizer:
    """Return an optimizer of two groups that differ in the rate."""
    kind, options = VARIANTS[variant]
    groups = [{"params": params[:3]}, {"params": params[3:], "lr": options["lr"] / 2}]
    made: gst.Optimizer = getattr(gst, kind.__name__)(groups, **options, **more)
    return made


def backward(params: list[Tensor], grads: list[Tensor]) -> None:
    """Let autograd find these gradients."""
    sum((p * g).sum().float() for p, g in zip(params, grads, strict=True)).backward()


def pair(overlap: bool = False, **more: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    """Return AdamW offloaded and plain, and the parameters of both."""
    p, q = parameters(), parameters()
    more = {"bucket_bytes": 32} | more
    opt = gst.CPUOffload(make("adamw", p), overlap=overlap, **more)
    return opt, make("adamw", q), p, q


def both(opt: Any, other: Any, p: Any, q: Any, steps: range, **how: Any) -> None:
    for t in steps:
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, values(t))
            one.step(**how)


def assert_same(opt: Any, other: Any, p: list[Tensor], q: list[Tensor]) -> None:
    for a, b in zip(p, q, strict=True):
        assert torch.equal(a, b)
        assert a.stride() == b.stride()
    assert same(opt.state_dict(), other.state_dict())


@pytest.mark.parametrize("kept", STORAGES)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("variant", ALL)
def test_steps_have_the_bits_of_the_optimizer(
    variant: str, overlap: bool, kept: str
) -> None:
    dtype, storage = STORAGES[kept]
    p, q = parameters(dtype), parameters(dtype)
    opt = gst.CPUOffload(make(variant, p, **storage), overlap=overlap, bucket_bytes=32)
    other = make(variant, q, **storage)
    for t in range(1, 5):
        grads = values(t, dtype)
        some = slice(1, 4) if t == 2 else slice(0, 5)  # the others have no gradient
        opt.zero_grad()
        backward(p[some], grads[some])
        opt.step()
        other.zero_grad()
        for b, g in zip(q[some], grads[some], strict=True):
            b.grad = g
        other.step()
        assert_same(opt, other, p, q)
    assert isinstance(opt, torch.optim.Optimizer)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("variant", ["adamw", "lamb", "adai", "adan no prox"])
def test_scaled_steps_have_the_bits_of_the_optimizer(variant: str, early: bool) -> None:
    p, q = parameters(), parameters()
    how = CLIPPED if early else {}
    opt = gst.CPUOffload(make(variant, p), overlap=early, bucket_bytes=32, **how)
    other = make(variant, q)
    for t in range(1, 5):
        grads = values(t)
        if t == 3:
            grads[3][2] = torch.inf
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, grads)
            one.step(**({} if early and one is opt else CLIPPED))
        assert opt.last_step == pytest.approx(other.last_step, nan_ok=True)
        assert opt.last_step.skipped == (t == 3)
        assert_same(opt, other, p, q)
    assert p[0].grad is not None
    p[0].grad.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="nothing was changed"):
        opt.step(nonfinite="raise")
    assert_same(opt, other, p, q)


def test_steps_begin_during_backward_and_parameters_wait_for_step() -> None:
    opt, other, p, q = pair(overlap=True)
    both(opt, other, p, q, range(1, 2))
    before = [x.detach().clone() for x in p]
    opt.zero_grad()
    backward(p, values(2))
    taken = [job for _, job in opt._ahead._jobs]
    assert len(taken) > 1
    for job in taken:
        job.result()
    assert any(float(s["step"]) == 2 for s in opt.state.values())
    for x, was in zip(p, before, strict=True):
        assert torch.equal(x, was)
    opt.step()
    both(other, other, q, q, range(2, 3))
    for x, was in zip(p, before, strict=True):
        assert not torch.equal(x, was)


@pytest.mark.parametrize("variant", ["adai", "lamb", "adan no prox"])
def test_what_needs_all_gradients_does_not_begin(variant: str) -> None:
    p = parameters()
    opt = gst.CPUOffload(make(variant, p), overlap=True, bucket_bytes=32)
    for t in range(1, 3):
        opt.zero_grad()
        backward(p, values(t))
        assert not opt._ahead.begun()
        opt.step()


# -- gradients


@pytest.mark.parametrize("how", [{}, CLIPPED])
def test_gradients_add_up(how: dict[str, Any]) -> None:
    opt, other, p, q = pair(overlap=bool(how), **how)
    for t in (1, 3):
        for one, params in ((opt, p), (other, q)):
            one.zero_grad()
            backward(params, values(t))
            backward(params, values(t + 1))
            nn.utils.clip_grad_value_(params, 0.6)
            one.step(**(how if one is other else {}))
    assert_same(opt, other, p, q)


def test_gradients_that_autograd_does_not_know() -> None:
    opt, other, p, q = pair()
    for t in range(1, 4):
        backward(p, values(t))
        for a, b, g in zip(p, q, values(t), strict=True):
            a.grad.data.mul_(0.5)
            b.grad = g * 0.5
        opt.step()
        other.step()
        opt.zero_grad()
    for a, b in zip(p, q, strict=True):
        b.grad = a.grad = torch.ones_like(b)
    opt.step()
    other.step()
    assert_same(opt, other, p, q)


def test_a_second_backward_is_refused_where_steps_begin() -> None:
    for first in (1, 2):
        opt, other, p, q = pair(overlap=True)
        both(opt, other, p, q, range(1, first))
        opt.zero_grad()
        backward(p, values(first))
        if first == 2:
            opt.zero_grad()  # too late: it has been stepped by
        with pytest.raises(RuntimeError, match="second gradient before step"):
            backward(p, values(9))


def test_a_changed_gradient_is_refused_where_steps_begin() -> None:
    changes: list[Callable[[Any], Any]] = [
        lambda x: x.grad.mul_(2),
        lambda x: setattr(x, "grad", None),
        lambda x: setattr(x, "grad", x.grad.clone()),
    ]
    for change in changes:
        opt, other, p, q = pair(overlap=True)
        both(opt, other, p, q, range(1, 2))
        opt.zero_grad()
        backward(p, values(2))
        change(p[3])
        with pytest.raises(
            RuntimeError, match=r"gradient of param_groups\[1\]\['params'\]\[0\] was"
        ):
            opt.step()
        for a, b in zip(p, q, strict=True):
            assert torch.equal(a, b)  # the device has not been written to


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_gradients() -> None:
    p, q = torch.ones(4, 2), torch.ones(4, 2)
    rest, other_rest = torch.ones(3), torch.ones(3)
    opt = gst.CPUOffload(gst.Adagrad([p, rest], lr=0.1), bucket_bytes=1)
    other = gst.Adagrad([q, other_rest], lr=0.1)
    for dense in (False, True, False):
        for x, r in ((p, rest), (q, other_rest)):
            g = torch.tensor([[0.0, 0], [1, 1], [0, 0], [0, 0]]).to_sparse(1)
            x.grad = g.to_dense() if dense else g
            r.grad = torch.ones(3)
        opt.step()
        other.step()
    assert_same(opt, other, [p, rest], [q, other_rest])


@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_gradient_that_does_not_fit_changes_nothing() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 3))
    p[3].grad = torch.ones(7).to_sparse()
    with pytest.raises(
        TypeError, match=r"AdamW\.step: the gradient of param_groups\[1"
    ):
        opt.step()
    p[3].grad = None
    assert_same(opt, other, p, q)


def test_a_grad_scaler() -> None:
    opt, other, p, q = pair()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for t in range(1, 4):
        grads = values(t)
        if t == 2:
            grads[0][1] = torch.inf
        opt.zero_grad()
        total = sum((x * g).sum() for x, g in zip(p, grads, strict=True))
        scaler.scale(total).backward()
        scaler.step(opt)
        scaler.update()
        if t != 2:
            both(other, other, q, q, range(t, t))
            for b, g in zip(q, grads, strict=True):
                b.grad = g
            other.step()
    assert_same(opt, other, p, q)


@pytest.mark.parametrize("how", [{}, CLIPPED])
def test_a_grad_scaler_is_refused_with_overlap(how: dict[str, Any]) -> None:
    opt, _, p, _ = pair(overlap=True, **how)
    before = [x.detach().clone() for x in p]
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(
        sum((x * g).sum() for x, g in zip(p, values(1), strict=True))
    ).backward()
    with pytest.raises(RuntimeError, match="a GradScaler changes gradients"):
        scaler.step(opt)
    for x, was in zip(p, before, strict=True):
        assert torch.equal(x, was)
    opt.step()  # without it


def test_gradients_of_many_processes_are_refused_with_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _opt, _, p, _ = pair(overlap=True)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="before they are summed over the 2"):
        backward(p, values(1))


# -- parameters


@pytest.mark.parametrize("overlap", [False, True])
def test_what_is_written_to_parameters_is_taken_over(overlap: bool) -> None:
    opt, other, p, q = pair(overlap=overlap)
    both(opt, other, p, q, range(1, 3))
    for params in (p, q):
        with torch.no_grad():
            params[0].mul_(2)
        params[1].data = torch.ones(5)
    both(opt, other, p, q, range(3, 5))
    assert_same(opt, other, p, q)
    for params in (p, q):
        params[3].data.fill_(2)
    opt.pull()
    both(opt, other, p, q, range(5, 7))
    assert_same(opt, other, p, q)


def test_a_parameter_that_is_another_is_refused() -> None:
    opt, other, p, q = pair()
    both(opt, other, p, q, range(1, 2))
    p[1].data = torch.ones(4)
    with pytest.raises(
        RuntimeError, match=r"\[0\]\['params'\]\[1\] has shape \(4,\), not \(5,\)"
    ):
        opt.step()
    with pytest.raises(RuntimeError, match="build another after"):
        opt.state_dict()


def test_groups_are_added() -> None:
    opt, other, p, q = pair()
    more = [torch.ones(6), torch.ones(6)]
    both(opt, other, p, q, range(1, 3))
    with pytest.raises(
        TypeError, match=r"param_groups\[2\]\['params'\]\[0\] is on dev"
    ):
        opt.add_param_group({"params": [torch.ones(2, device="meta")]})
    with pytest.raises(ValueError, match="lr must be in"):
        opt.add_param_group({"params": [torch.ones(2)], "lr": -1.0})
    assert len(opt.param_groups) == len(opt._host.param_groups) == 2
    for one, x in ((opt, more[0]), (other, more[1])):
        one.add_param_group({"params": [x], "lr": 0.3})
        x.grad = torch.ones(6)
        one.step()
    assert_same(opt, other, [*p, more[0]], [*q, more[1]])


def test_complex_and_double_parameters() -> None:
    for dtype in (torch.complex64, torch.float64):
        p, q = torch.ones(3, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype)
        opt, other = gst.CPUOffload(gst.Adam([p])), gst.Adam([q])
        for t in range(1, 3):
            g = torch.randn(
                4, 3, dtype=dtype, generator=torch.Generator().manual_seed(t)
            )
            p.grad = q.grad = g.mH if dtype.is_complex else g.t()
            opt.step()
            other.step()
        assert_same(opt, other, [p], [q])


# -- options


def test_schedulers_change_the_options_that_are_stepped_by() -> None:
    for kind in (torch.optim.lr_scheduler, gs.lr_scheduler):
        opt, other, p, q = pair(overlap=True)
        schedulers = [kind.StepLR(one, 1, 0.5) for one in (opt, other)]
        for t in range(1, 5):
            both(opt, other, p, q, range(t, t + 1))
            for scheduler in schedulers:
                scheduler.step()
        assert_same(opt, other, p, q)
        assert opt.param_groups is opt._optimizer.param_groups
        assert opt.param_groups[0]["lr"] == VARIANTS["adamw"][1]["lr"] / 16


def test_options_that_are_tensors() -> None:
    opt, other, p, q = pair(overlap=True)
    for t in range(1, 4):
        for one, params in ((opt, p), (other, q)):
            one.param_groups[0]["lr"] = torch.tensor(0.1)
            one.zero_grad()
            backward(params, values(t))
            one.param_groups[0]["lr"].fill_(0.2)
            one.step()
    assert_same(opt, other, p, q)


def test_an_option_changed_after_backward_is_refused_where_steps_begin() -> None:
    opt, other, p, q = pair(overlap=True)
    both(opt, other, p, q, range(1, 2))
    rate = opt.param_groups[1]["lr"]
    opt.zero_grad()
    backward(p, values(2))
    opt.param_groups[1]["lr"] = 0.5
    with pytest.raises(RuntimeError, match=r"param_groups\[1\]\['lr'\] was changed"):
        opt.step()
    opt.param_groups[1]["lr"] = rate
    opt.step()
    for b, g in zip(q, values(2), strict=True):
        b.grad = g
    other.step()
    assert_same(opt, other, p, q)


def test_an_error_in_the_thread_is_that_of_step() -> None:
    opt, other, p, q = pair(overlap=True, bucket_bytes=100)
    both(opt, other, p, q, range(1, 2))
    rate = opt.param_groups[0]["lr"]
    opt.param_groups[0]["lr"] = -1.0
    opt.zero_grad()
    backward(p, values(2))
    with pytest.raises(ValueError, match="lr must be in"):
        opt.step()
    opt.param_groups[0]["lr"] = rate
    opt.step()
    other.zero_grad()
    backward(q, values(2))
    other.step()
    assert_same(opt, other, p, q)


def test_a_closure_and_hooks() -> None:
    opt, _, p, _ = pair(overlap=True)
    seen: list[Any] = []
    handle = register_optimizer_step_pre_hook(lambda o, *_: seen.append(o))
    opt.register_step_post_hook(lambda *_: seen.append("after"))

    def closure() -> int:
        opt.zero_grad()
        backward(p, values(len(seen)))
        return 7

    try:
        for _ in range(3):
            assert opt.step(closure) == 7
    finally:
        handle.remove()
    assert seen == [opt, "after"] * 3


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
    # torch.distributed.checkpoint takes one with lr 0, on gradients of zeros.
    opt, other, p, q = pair()
    empty = copy.deepcopy(opt.state_dict())
    both(opt, other, p, q, range(1, 3))
    opt.load_state_dict(empty)
    for group in opt.param_groups:
        group["lr"] = 0.0
    for x in p:
        x.grad = torch.zeros_like(x)
    opt.step()
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
        for refused in (opt.step, opt.state_dict):
            with pytest.raises(RuntimeError, match=r"call train\(\) first"):
                refused()
        for one in (opt, other):
            one.train()
        assert opt.training
        assert_same(opt, other, p, q)


def test_others_have_no_average() -> None:
    opt, *_ = pair()
    assert opt.training
    with pytest.raises(TypeError, match="eval: AdamW has no average"):
        opt.eval()


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
