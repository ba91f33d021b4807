"""Data in parallel: DDP and ZeRO."""

from typing import Any

import pytest
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from adapter_processes import (
    NAMES,
    ZeroRedundancyOptimizer,
    chosen,
    make,
    mine,
    model_of,
    same,
    states,
    steps_of,
    train,
    two,
    weights,
)

WIDTHS = (13, 7, 3)
PLAIN: dict[str, Any] = {}
STATIC = {"static_graph": True}
VIEWS = {"gradient_as_bucket_view": True}
BUCKETS = {"parameters_as_bucket_view": True}


def alone(name: str, n: int = 5) -> tuple[Any, Any]:
    """Return model and optimizer after steps on whole batches in this process."""
    model = model_of(*WIDTHS)
    opt = make(name, model.parameters())
    train(model, opt, steps_of(n, 13, 3))
    return model, opt


# -- DDP


def _ddp(name: str, how: dict[str, Any]) -> tuple[Any, Any, int]:
    model = DistributedDataParallel(model_of(*WIDTHS), **how)
    opt = make(name, model.parameters())
    train(model, opt, mine(steps_of(5, 13, 3)))
    memories = {p.grad.untyped_storage().data_ptr() for p in model.parameters()}
    return weights(model), states(opt), len(memories)


@pytest.mark.parametrize(
    "how", [PLAIN, STATIC, VIEWS], ids=["plain", "static", "views"]
)
@pytest.mark.parametrize("name", NAMES)
def test_ddp_gives_the_bits_of_one_process(name: str, how: dict[str, Any]) -> None:
    model, opt = alone(name)
    for found, kept, memories in two(_ddp, name, how):
        assert same(found, weights(model))
        assert same(kept, states(opt))
        # Gradients of views lie in one bucket, at offsets that no vector is aligned to.
        assert (memories == 1) == (how is VIEWS)


# -- ZeRO


def _zero(
    name: str, how: dict[str, Any], n: int = 5
) -> tuple[DistributedDataParallel, ZeroRedundancyOptimizer]:
    model = DistributedDataParallel(model_of(*WIDTHS))
    kind, options = chosen(name)
    opt = ZeroRedundancyOptimizer(
        model.parameters(), optimizer_class=kind, **how, **options
    )
    train(model, opt, mine(steps_of(n, 13, 3)))
    return model, opt


def _zero_weights(name: str, how: dict[str, Any]) -> tuple[Any, int]:
    model, opt = _zero(name, how)
    return weights(model), len(opt.optim.state)


@pytest.mark.parametrize("how", [PLAIN, BUCKETS], ids=["plain", "buckets"])
@pytest.mark.parametrize("name", NAMES)
def test_zero_gives_the_bits_of_one_process(name: str, how: dict[str, Any]) -> None:
    model, _ = alone(name)
    replies = two(_zero_weights, name, how)
    assert all(same(found, weights(model)) for found, _ in replies)
    # Each process keeps states of its own parameters only.
    counts = [count for _, count in replies]
    assert sum(counts) == 4
    assert min(counts) > 0


def _zero_gathered(name: str) -> Any:
    _, opt = _zero(name, PLAIN, 3)
    opt.consolidate_state_dict(to=0)
    return opt.state_dict() if dist.get_rank() == 0 else None


@pytest.mark.parametrize("name", NAMES)
def test_states_gathered_by_zero_are_those_of_one_process(name: str) -> None:
    found, _ = two(_zero_gathered, name)
    model, opt = alone(name, 3)
    assert same(found["state"], opt.state_dict()["state"])
    opt.load_state_dict(found)
    train(model, opt, steps_of(5, 13, 3)[3:])
    assert same(weights(model), weights(alone(name)[0]))


def _zero_resumed(name: str) -> Any:
    model, opt = _zero(name, PLAIN, 3)
    opt.consolidate_state_dict(to=0)
    told = [opt.state_dict() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(told, src=0)
    again = DistributedDataParallel(model_of(*WIDTHS, seed=5))
    again.load_state_dict(model.state_dict())
    kind, options = chosen(name)
    resumed = ZeroRedundancyOptimizer(
        again.parameters(), optimizer_class=kind, **options
    )
    resumed.load_state_dict(told[0])
    train(again, resumed, mine(steps_of(5, 13, 3)[3:]))
    return weights(again)


@pytest.mark.parametrize("name", NAMES)
def test_zero_resumes_from_gathered_states(name: str) -> None:
    model, _ = alone(name)
    assert all(same(found, weights(model)) for found in two(_zero_resumed, name))
