"""Checkpoints of torch.distributed: in the same shards, in others, and of step 0."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import gradstep.torch as gst
from adapter_processes import (
    ALL,
    NAMES,
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

WIDTHS = (13, 7, 3)  # not even: shards of 4 and 3, and of 2 and 1
STEPS = steps_of(6, 13, 3)
FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)

# torch's, where a checkpoint is one process's.
pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def begun(name: str, *, seed: int = 0, lr: Any = None) -> tuple[Any, Any]:
    model = model_of(*WIDTHS, seed=seed)
    return model, made(name, model, lr)


def made(name: str, model: nn.Module, lr: Any = None) -> gst.Optimizer:
    opt = make(name, model.parameters())
    for group in opt.param_groups:
        group["lr"] = group["lr"] if lr is None else lr
    return opt


def sharded(name: str, *, seed: int = 0) -> tuple[Any, Any]:
    model = model_of(*WIDTHS, seed=seed)
    mesh = init_device_mesh("cpu", (2,))
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, made(name, model)


def alone(name: str, n: int) -> tuple[Any, Any]:
    model, opt = begun(name)
    train(model, opt, STEPS[:n])
    return weights(model), states(opt)


def saved(model: nn.Module, opt: Any) -> dict[str, Any]:
    params, state = get_state_dict(model, opt)
    return {"model": params, "optimizer": state}


def load(folder: str, model: nn.Module, opt: Any) -> None:
    found = saved(model, opt)
    dcp.load(found, checkpoint_id=folder)
    set_state_dict(
        model,
        opt,
        model_state_dict=found["model"],
        optim_state_dict=found["optimizer"],
    )


# -- in the same shards, and in none


def _save_and_load(name: str, folder: str) -> Any:
    model, opt = sharded(name)
    train(model, opt, mine(STEPS[:3]))
    dcp.save(saved(model, opt), checkpoint_id=folder)
    again, resumed = sharded(name, seed=5)
    load(folder, again, resumed)
    loaded = weights(again), states(resumed)
    train(again, resumed, mine(STEPS[3:]))
    return loaded, (weights(again), states(resumed))


@pytest.mark.parametrize("name", NAMES)
def test_training_resumes_from_shards_with_the_same_bits(
    name: str, tmp_path: Path
) -> None:
    for loaded, found in two(_save_and_load, name, str(tmp_path)):
        assert same(loaded, alone(name, 3))
        assert same(found, alone(name, 6))
    # And where there are no processes, from the same files.
    model, opt = begun(name, seed=5)
    load(str(tmp_path), model, opt)
    assert same((weights(model), states(opt)), alone(name, 3))
    train(model, opt, STEPS[3:])
    assert same((weights(model), states(opt)), alone(name, 6))


def _load_whole(name: str, folder: str) -> Any:
    model, opt = sharded(name, seed=5)
    load(folder, model, opt)
    train(model, opt, mine(STEPS[3:]))
    return weights(model), states(opt)


@pytest.mark.parametrize("name", NAMES)
def test_training_of_one_process_resumes_in_shards(name: str, tmp_path: Path) -> None:
    model, opt = begun(name)
    train(model, opt, STEPS[:3])
    dcp.save(saved(model, opt), checkpoint_id=str(tmp_path))
    for found in two(_load_whole, name, str(tmp_path)):
        assert same(found, alone(name, 6))


# -- the whole state on one process


def _full(name: str) -> Any:
    model, opt = sharded(name)
    train(model, opt, mine(STEPS[:3]))
    found = get_optimizer_state_dict(model, opt, options=FULL)
    return found if dist.get_rank() == 0 else len(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_state_has_the_shapes_of_whole_parameters(name: str) -> None:
    found, count = two(_full, name)
    assert count == 0
    model, opt = begun(name)
    train(model, opt, STEPS[:3])
    for key, p in model.named_parameters():
        kept = found["state"][key]
        assert same(kept, opt.state[p])
        assert {v.shape for v in kept.values() if v.ndim} == {p.shape}
    again, resumed = begun(name)
    again.load_state_dict(model.state_dict())
    set_optimizer_state_dict(again, resumed, found, options=FULL)
    train(again, resumed, STEPS[3:])
    assert same((weights(again), states(resumed)), alone(name, 6))


def _scattered(name: str) -> Any:
    model, opt = sharded(name)
    train(model, opt, mine(STEPS[:3]))
    found = get_optimizer_state_dict(model, opt, options=FULL)
    again, resumed = sharded(name)
    again.load_state_dict(model.state_dict())
    how = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_optimizer_state_dict(again, resumed, found, options=how)
    train(again, resumed, mine(STEPS[3:]))
    return weights(again), states(resumed)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_state_is_scattered_to_shards(name: str) -> None:
    for found in two(_scattered, name):
        assert same(found, alone(name, 6))


# -- while training goes on


def _save_under_way(name: str, folder: str) -> Any:
    model, opt = sharded(name)
    train(model, opt, mine(STEPS[:3]))
    # A group of its own: a thread sends there what must not mix with the gradients.
    group = dist.new_group(backend="gloo")
    saving = dcp.async_save(
        saved(model, opt), checkpoint_id=folder, process_group=group
    )
    train(model, opt, mine(STEPS[3:]))
    saving.result(timeout=20)
    dist.destroy_process_group(group)
    return weights(model), states(opt)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_meanwhile_is_of_the_moment_it_was_asked(
    name: str, tmp_path: Path
) -> None:
    for found in two(_save_under_way, name, str(tmp_path)):
        assert same(found, alone(name, 6))
    model, opt = begun(name, seed=5)
    load(str(tmp_path), model, opt)
    assert same((weights(model), states(opt)), alone(name, 3))


# -- before the first step


RATES = [(name, None) for name in ALL] + [(name, torch.tensor(0.03)) for name in NAMES]


@pytest.mark.parametrize(("name", "lr"), RATES, ids=str)
def test_a_snapshot_before_the_first_step_changes_nothing(name: str, lr: Any) -> None:
    model, opt = begun(name, lr=lr)
    train(model, opt, STEPS)
    seen, watched = begun(name, lr=lr)
    before = weights(seen)
    found = get_optimizer_state_dict(seen, watched)["state"]
    assert same(weights(seen), before)
    assert all(not entry.get("step", 0) for entry in found.values())
    train(seen, watched, STEPS)
    assert same((weights(seen), states(watched)), (weights(model), states(opt)))


@pytest.mark.parametrize("name", ALL)
def test_a_checkpoint_of_step_0_resumes_as_a_new_run(name: str, tmp_path: Path) -> None:
    model, opt = begun(name)
    dcp.save(saved(model, opt), checkpoint_id=str(tmp_path))
    again, resumed = begun(name, seed=5)
    load(str(tmp_path), again, resumed)
    train(again, resumed, STEPS)
    assert same((weights(again), states(resumed)), alone(name, 6))


def _snapshot(name: str) -> Any:
    model, opt = sharded(name)
    get_optimizer_state_dict(model, opt)
    train(model, opt, mine(STEPS))
    return weights(model), states(opt)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_of_shards_before_the_first_step_changes_nothing(name: str) -> None:
    for found in two(_snapshot, name):
        assert same(found, alone(name, 6))
