"""Parameters in shards: FSDP2, tensor parallel, and what needs norms."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.func import functional_call

from adapter_processes import (
    NAMES,
    Loss,
    Part,
    make,
    mine,
    model_of,
    same,
    squares,
    states,
    steps_of,
    train,
    two,
    weights,
    whole,
)

# Two even layers; a last layer of one row, of which rank 1 has nothing.
EVEN, UNEVEN = (12, 8, 4), (13, 7, 1)


def _columns(p: nn.Parameter) -> Shard:
    return Shard(p.ndim - 1)


CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "even": (EVEN, {}),
    "uneven": (UNEVEN, {}),
    "columns": (EVEN, {"shard_placement_fn": _columns}),
    "bfloat16": (
        EVEN,
        {
            "mp_policy": MixedPrecisionPolicy(
                param_dtype=torch.bfloat16, reduce_dtype=torch.float32
            )
        },
    ),
}


def sharded(model: nn.Sequential, **how: Any) -> nn.Sequential:
    """Shard the layers by themselves, and then what is left, as one does."""
    mesh = init_device_mesh("cpu", (2,))
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh, **how)
    return fully_shard(model, mesh=mesh, **how)


def halved(model: nn.Module, part: Part) -> Tensor:
    """Return the loss of a model that computes in bfloat16, as the policy does."""
    brief = {k: p.to(torch.bfloat16) for k, p in model.named_parameters()}
    y = functional_call(model, brief, (part[0].to(torch.bfloat16),))
    return nn.functional.mse_loss(y, part[1])


def freeze(model: nn.Sequential) -> nn.Sequential:
    model[0].weight.requires_grad_(False)
    return model


def alone(
    name: str, widths: tuple[int, ...], loss: Loss = squares, *, frozen: bool = False
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    model = model_of(*widths)
    if frozen:
        freeze(model)
    opt = make(name, model.parameters())
    train(model, opt, steps_of(5, widths[0], widths[-1]), loss)
    return weights(model), states(opt)


# -- FSDP2


def _fsdp(name: str, case: str, frozen: bool) -> Any:
    widths, how = CASES[case]
    model = model_of(*widths)
    sharded(freeze(model) if frozen else model, **how)
    opt = make(name, model.parameters())
    train(model, opt, mine(steps_of(5, widths[0], widths[-1])))
    shapes = [tuple(p.to_local().shape) for p in model.parameters()]
    kinds = {
        type(value)
        for entry in opt.state.values()
        for value in entry.values()
        if value.ndim
    }
    return weights(model), states(opt), shapes, kinds


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_fsdp_gives_the_bits_of_one_process(name: str, case: str) -> None:
    expected = alone(name, CASES[case][0], halved if case == "bfloat16" else squares)
    shapes = []
    for found, kept, local, kinds in two(_fsdp, name, case, False):
        assert same((found, kept), expected)
        assert kinds == {DTensor}  # torch saves a shard as if it were all otherwise
        shapes.append(local)
    if case == "uneven":
        assert shapes[1] == [(3, 13), (3,), (0, 7), (0,)]
    if case == "columns":
        assert shapes[1] == [(8, 6), (4,), (4, 4), (2,)]


@pytest.mark.parametrize("name", NAMES)
def test_fsdp_leaves_frozen_parameters_alone(name: str) -> None:
    expected = alone(name, EVEN, frozen=True)
    assert same(expected[0][0], model_of(*EVEN)[0].weight.detach())
    assert expected[1][0] == {}
    for found, kept, *_ in two(_fsdp, name, "even", True):
        assert same((found, kept), expected)


# -- tensor parallel


class Mixed(nn.Module):
    """An embedding and a head on every process, and two layers in shards between."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        kind = torch.float64
        self.seen = nn.Embedding(11, 8, dtype=kind)
        self.wide = nn.Linear(8, 12, dtype=kind)
        self.back = nn.Linear(12, 8, dtype=kind)
        self.head = nn.Linear(8, 3, dtype=kind)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.back(torch.tanh(self.wide(self.seen(x)))))
        return found


def words() -> list[list[Part]]:
    draws = torch.Generator().manual_seed(4)
    return [
        [
            (
                torch.randint(11, (9,), generator=draws),
                torch.randn(9, 3, generator=draws, dtype=torch.float64),
            )
        ]
        for _ in range(5)
    ]


def _tensor_parallel(name: str) -> Any:
    model = Mixed()
    parallelize_module(
        model,
        init_device_mesh("cpu", (2,)),
        {"wide": ColwiseParallel(), "back": RowwiseParallel()},
    )
    opt = make(name, model.parameters())
    train(model, opt, words())
    kinds = [type(p) for p in model.parameters()]
    return weights(model), states(opt), kinds


@pytest.mark.parametrize("name", NAMES)
def test_tensor_parallel_beside_plain_parameters_is_as_one_process(name: str) -> None:
    model = Mixed()
    opt = make(name, model.parameters())
    train(model, opt, words())
    replies = two(_tensor_parallel, name)
    for found, kept, kinds in replies:
        assert kinds.count(nn.Parameter) == 3
        # A product whose terms are split between processes is rounded elsewhere.
        torch.testing.assert_close(found, weights(model), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(kept, states(opt), rtol=1e-12, atol=1e-14)
    assert same(replies[0][:2], replies[1][:2])


# -- norms


def _normed(name: str, case: str, how: dict[str, Any]) -> Any:
    widths, kind = CASES[case]
    model = sharded(model_of(*widths), **kind)
    opt = make(name, model.parameters())
    for parts in mine(steps_of(5, widths[0], widths[-1])):
        opt.zero_grad()
        squares(model, parts[0]).backward()
        opt.step(**how)
    return weights(model), states(opt), opt.last_step


SHORT = {"clip_norm": 0.05, "grad_scale": 0.7}


@pytest.mark.parametrize("case", ["even", "uneven"])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, {}) for name in ("lamb", "lars", "adai", "adan no prox")),
        ("adamw", SHORT),
        ("lamb", SHORT),
    ],
)
def test_norms_over_shards_are_those_of_one_process(
    name: str, how: dict[str, Any], case: str
) -> None:
    widths = CASES[case][0]
    model = model_of(*widths)
    opt = make(name, model.parameters())
    for parts in steps_of(5, widths[0], widths[-1]):
        opt.zero_grad()
        sum(squares(model, part) / 2 for part in parts).backward()
        opt.step(**how)
    for found, kept, report in two(_normed, name, case, how):
        # Sums over shards are rounded in another order.
        torch.testing.assert_close(found, weights(model), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(kept, states(opt), rtol=1e-12, atol=1e-14)
        if how:
            assert report == pytest.approx(opt.last_step, rel=1e-12)
            assert report.clip_factor < 1


def _wide_steps(name: str, scale: float, model: nn.Sequential, parts: Any) -> Any:
    """Steps of float64 by gradients whose squares leave its range."""
    opt = make(name, model.parameters())
    for each in parts:
        opt.zero_grad()
        for x, y in each:
            loss = squares(model, (x.double(), y.double()))
            (loss * scale / len(each)).backward()
        opt.step(clip_norm=scale / 100)
    return weights(model), opt.last_step


def _wide(name: str, scale: float) -> Any:
    model = sharded(model_of(*EVEN).double())
    return _wide_steps(name, scale, model, mine(steps_of(3, 12, 4)))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("dampening", 2.0**-565), ("lars", 2.0**-565), ("lars", 2.0**565)],
)
def test_norms_beyond_the_range_of_squares_over_shards(name: str, scale: float) -> None:
    model = model_of(*EVEN).double()
    expected, last = _wide_steps(name, scale, model, steps_of(3, 12, 4))
    assert last.clip_factor < 1
    for found, report in two(_wide, name, scale):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        assert report == pytest.approx(last, rel=1e-12)


def _poisoned(nonfinite: str) -> Any:
    model = sharded(model_of(*EVEN))
    opt = make("lamb", model.parameters())
    train(model, opt, mine(steps_of(2, 12, 4)))
    before = weights(model), states(opt)
    if torch.distributed.get_rank() == 1:
        next(model.parameters()).grad.to_local()[0, 0] = torch.nan
    try:
        opt.step(nonfinite=nonfinite)
    except FloatingPointError as error:
        return str(error), same(before, (weights(model), states(opt)))
    return opt.last_step, same(before, (weights(model), states(opt)))


def test_all_processes_leave_out_a_step_that_is_not_finite_in_one() -> None:
    for report, unchanged in two(_poisoned, "skip"):
        assert report.skipped
        assert report.nonfinite == 1
        assert unchanged
    for message, unchanged in two(_poisoned, "raise"):
        assert message.startswith("LAMB.step: grads have 1 elements")
        assert unchanged


# -- gradients of another kind


def _clipped(name: str) -> Any:
    model = sharded(model_of(*EVEN))
    opt = make(name, model.parameters())
    for parts in mine(steps_of(5, 12, 4)):
        opt.zero_grad()
        squares(model, parts[0]).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        opt.step()
    return weights(model), float(whole(norm))


def test_gradients_clipped_over_shards_are_those_of_one_process() -> None:
    model = model_of(*EVEN)
    opt = make("adamw", model.parameters())
    for parts in steps_of(5, 12, 4):
        opt.zero_grad()
        sum(squares(model, part) / 2 for part in parts).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        opt.step()
    assert norm > 0.05
    for found, length in two(_clipped, "adamw"):
        assert length == pytest.approx(float(norm), rel=1e-5)
        torch.testing.assert_close(found, weights(model), rtol=1e-4, atol=1e-6)
