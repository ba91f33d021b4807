"""A process that is killed; last of these files, as the two begin anew after it."""

import os
import signal
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from adapter_processes import (
    ENDED,
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


def _killed(name: str) -> tuple[Any, str]:
    model = DistributedDataParallel(model_of(13, 7, 3))
    opt = make(name, model.parameters())
    steps = mine(steps_of(5, 13, 3))
    train(model, opt, steps[:3])
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        train(model, opt, steps[3:])
    except RuntimeError as error:
        return (weights(model), states(opt)), str(error)
    return None, "no error"


def test_a_killed_process_is_an_error_for_the_other_and_not_a_hang() -> None:
    two.send(_killed, "adamw")
    assert two.receive(1) == (False, ENDED)
    good, (found, message) = two.receive(0)
    two.kill()
    assert good
    assert "gloo" in message.lower()
    model = model_of(13, 7, 3)
    opt = make("adamw", model.parameters())
    train(model, opt, steps_of(3, 13, 3))
    assert same(found, (weights(model), states(opt)))
    assert torch.isfinite(found[0][0]).all()
