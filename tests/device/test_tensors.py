"""Tensors of all sorts, on the interpreter of PTX, with the bits of the CPU."""

from typing import Any

import pytest
import torch
from cuda_bits import Tensors, difference

import gradstep.torch as gst
from agreement import SPECIAL, agree, params_of, play, randn, set_grads
from interpreted import Interpreter, Programs
from stand_in import stand_in

OF_SUMS = 131072  # elements of a block of threads that sums


def test_more_tensors_than_one_table_holds(interpreter: Interpreter) -> None:
    """Of each kind of table: that of a step holds 82, the longest 320."""
    shapes = [(1 + k % 9,) for k in range(330)]
    opt = agree(interpreter, play("Adam", shapes, steps=1, how={"clip_norm": 1.0}))
    assert len(opt.state) == 330


@pytest.mark.parametrize("processors", [1, 8])
@pytest.mark.parametrize("options", [{}, {"state_dtype": "uint8"}])
def test_more_elements_than_a_block_takes(
    processors: int, options: Any, interpreter: Interpreter
) -> None:
    shapes = [(5,), (9 * 8192 + 1,), (2 * 2048,), (3,), (8192,)]
    agree(interpreter, play("Adam", shapes, lr=0.1, **options), processors)


def test_sums_over_several_blocks(interpreter: Interpreter) -> None:
    shapes = [(2 * OF_SUMS + 4097,), (OF_SUMS,), (4095,)]
    agree(interpreter, play("LAMB", shapes, steps=1, how={"clip_norm": 1.0}))


def test_warps_that_run_one_after_the_other(programs: Programs) -> None:
    """The first, which adds up what all have found, as far as no barrier stops it."""
    how = {"clip_norm": 1.0}
    steps = play("Adam", [(OF_SUMS + 4097,)], steps=1, how=how)
    agree(Interpreter(programs, "warps"), steps)


@pytest.mark.parametrize(
    ("name", "zeros"),
    [
        ("Adam", {"eps": 0.0}),
        ("AdaBelief", {"eps_acc": 0.0, "eps_out": 0.0}),
        ("Adadelta", {"eps": 0.0}),
        ("LAMB", {"eps": 0.0}),
        ("RMSprop", {"eps": 0.0, "centered": True, "bias_correction": True}),
        ("ScheduleFreeAdamW", {"eps": 0.0}),
    ],
)
def test_elements_whose_gradients_have_been_zero(
    name: str, zeros: Any, interpreter: Interpreter
) -> None:
    def steps() -> tuple[Any, Tensors]:
        params = params_of([(7,), (300,), (5,)])
        opt = getattr(gst, name)(params, lr=0.1, **zeros)
        for step in range(2):
            set_grads(params, step)
            params[1].grad[::3] = 0
            params[2].grad.zero_()
            opt.step()
        assert all(p.isfinite().all() for p in params) or name == "RMSprop"
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize("moved", ["parameter", "gradient", "state"])
def test_one_array_that_is_not_aligned(moved: str, interpreter: Interpreter) -> None:
    def shifted(t: torch.Tensor, wanted: str) -> torch.Tensor:
        return torch.cat([t[:1], t])[1:] if moved == wanted else t

    def steps() -> tuple[Any, Tensors]:
        params = [shifted(randn(2000, 1), "parameter").requires_grad_()]
        opt = gst.Adam(params, lr=0.1)
        for step in range(3):
            params[0].grad = shifted(randn(2000, 2 + step), "gradient")
            opt.step()
            state = opt.state[params[0]]
            state["exp_avg"] = shifted(state["exp_avg"], "state")
        return opt, params

    agree(interpreter, steps)


def test_gaps_and_other_orders(interpreter: Interpreter) -> None:
    """What has gaps is stepped in a copy; gradients are copied to be in order."""

    def steps() -> tuple[Any, Tensors]:
        wide = randn((40, 60), 1)
        params = [wide[:, ::2], wide.clone().t(), wide.clone(), randn((40, 60), 2)]
        params = [p.detach().requires_grad_() for p in params]
        opt = gst.Adam(params, lr=0.1)
        for step in range(2):
            set_grads(params, step)
            params[2].grad = randn((60, 40), step).t()
            params[3].grad = randn((40, 1), step).expand(40, 60)
            opt.step()
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize("how", [{}, {"clip_norm": 1.0}])
def test_empty_tensors_and_those_without_gradient(
    how: Any, interpreter: Interpreter
) -> None:
    def steps() -> tuple[Any, Tensors]:
        params = params_of([(0,), (7,), (3, 0), (), (300,)])
        opt = gst.LAMB(params, lr=0.1)
        for step, without in enumerate([{1}, {1, 3}, {4}, set()]):
            set_grads(params, step)
            for k in without:
                params[k].grad = None
            opt.step(**how)
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize("name", ["Adam", "MADGRAD", "LAMB"])
def test_special_numbers(name: str, interpreter: Interpreter) -> None:
    """In parameters, and in gradients, that of each with that of each other."""
    x = torch.tensor([*SPECIAL, 1.0, -2.0])

    def steps() -> tuple[Any, Tensors]:
        # The second has no NaN, which in a sum would hide all others.
        params = [x.repeat(10), torch.where(x.isfinite(), x, 1e-39).repeat(10)]
        params = [p.requires_grad_() for p in params]
        opt = getattr(gst, name)(params, lr=0.1, weight_decay=0.1)
        for _ in range(2):
            params[0].grad = x.repeat_interleave(10)
            params[1].grad = params[1].detach()[:10].repeat_interleave(10).clone()
            opt.step()
        return opt, params

    agree(interpreter, steps)


def test_groups_with_options_of_their_own(interpreter: Interpreter) -> None:
    """By turns, so that no two tensors that follow each other are alike."""

    def steps() -> tuple[Any, Tensors]:
        params = params_of([(9,), (300,), (4,), (5,), (6,)])
        groups = [
            {"params": params[:2], "lr": 0.2, "betas": (0.5, 0.9)},
            {"params": params[2:4], "weight_decay": 0.1},
            {"params": params[4:], "amsgrad": True, "maximize": True},
        ]
        opt = gst.Adam(groups, lr=0.1)
        for step in range(3):
            set_grads(params, step)
            params[step].grad = None
            opt.param_groups[1]["lr"] = 0.3 - 0.1 * step
            opt.step(clip_norm=5.0)
        return opt, params

    agree(interpreter, steps)


def test_types_of_their_own(interpreter: Interpreter) -> None:
    def steps() -> tuple[Any, Tensors]:
        types = (torch.float32, torch.float64, torch.bfloat16, torch.float32)
        params = [randn(40, k, t).requires_grad_() for k, t in enumerate(types)]
        opt = gst.Adam(params, lr=0.1)
        for step in range(2):
            set_grads(params, step)
            opt.step(clip_norm=2.0)
        return opt, params

    agree(interpreter, steps)


@pytest.mark.parametrize("name", ["Adam", "ScheduleFreeAdamW"])
def test_cpu_to_device_and_back(name: str, interpreter: Interpreter) -> None:
    shapes = [(7,), (300,)]
    params, others = params_of(shapes), params_of(shapes)
    ours = getattr(gst, name)(params, lr=0.1)
    theirs = getattr(gst, name)(others, lr=0.1)

    def steps(opt: Any, of: Tensors, first: int) -> None:
        for step in range(first, first + 2):
            set_grads(of, step)
            opt.step()

    for first in (0, 2, 4):
        steps(ours, params, first)
        saved, theirs = theirs.state_dict(), getattr(gst, name)(others, lr=0.1)
        if first != 2:
            theirs.load_state_dict(saved)
            steps(theirs, others, first)
            continue
        with stand_in(interpreter):
            theirs.load_state_dict(saved)
            steps(theirs, others, first)
    assert not difference(ours, theirs, params, others)
