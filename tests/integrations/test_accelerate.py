"""accelerate: prepared, accumulated over micro-batches, saved and loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer

import gradstep.torch as gst
from tiny import (
    BF16_CURVE,
    CURVE,
    assert_same_curve,
    network,
    parameters,
    regression,
    same,
)


class Run:
    """A model, an optimizer and a scheduler, prepared, and a loader of data."""

    def __init__(self, make: Any, *, seed: int = 0, **options: Any) -> None:
        self.accelerator = Accelerator(
            cpu=True, gradient_accumulation_steps=2, **options
        )
        model = network(seed)
        opt = make(model.parameters())
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*regression()), batch_size=12
        )
        scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
        self.model, self.opt, self.loader, self.scheduler = self.accelerator.prepare(
            model, opt, loader, scheduler
        )

    def train(self, epochs: int) -> list[float]:
        losses = []
        for _ in range(epochs):
            for x, y in self.loader:
                with self.accelerator.accumulate(self.model):
                    loss = torch.nn.functional.mse_loss(self.model(x), y)
                    self.accelerator.backward(loss)
                    if self.accelerator.sync_gradients:
                        self.accelerator.clip_grad_norm_(self.model.parameters(), 2.0)
                    self.opt.step()
                    self.scheduler.step()
                    self.opt.zero_grad()
                losses.append(loss.item())
        return losses


@pytest.mark.parametrize("mixed_precision", ["no", "bf16"])
@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop"])
def test_losses_are_those_of_torch(name: str, mixed_precision: str) -> None:
    ours = Run(
        lambda p: getattr(gst, name)(p, lr=0.02), mixed_precision=mixed_precision
    )
    assert isinstance(ours.opt, AcceleratedOptimizer)
    theirs = Run(
        lambda p: getattr(torch.optim, name)(p, lr=0.02),
        mixed_precision=mixed_precision,
    )
    curves = ours.train(4), theirs.train(4)
    within = CURVE if mixed_precision == "no" else BF16_CURVE
    assert_same_curve(*curves, within=within)


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("name", ["AdamW", "ScheduleFreeAdamW", "ScheduleFreeSGD"])
def test_a_loaded_run_has_the_bits_of_a_straight_one(
    name: str, evaluated: bool, tmp_path: Path
) -> None:
    def make(p: Any) -> Any:
        return getattr(gst, name)(p, lr=0.05)

    evaluates = evaluated and name.startswith("ScheduleFree")
    straight = Run(make)
    straight.train(2)
    if evaluates:
        straight.opt.eval()
    straight.accelerator.save_state(tmp_path)
    saved = parameters(straight.model)
    resumed = Run(make, seed=1)
    resumed.accelerator.load_state(tmp_path)
    assert same(parameters(resumed.model), saved)
    for run in (straight, resumed):
        if evaluates:
            assert not run.opt.optimizer.training
            run.opt.train()
        run.train(2)
    assert same(parameters(straight.model), parameters(resumed.model))
