"""skorch: an optimizer by its class, its options by name, saved and loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skorch import NeuralNetRegressor
from skorch.callbacks import LRScheduler

import gradstep.torch as gst
from tiny import assert_same_curve, network, parameters, regression, same


def net(optimizer: Any, *callbacks: Any, **options: Any) -> NeuralNetRegressor:
    return NeuralNetRegressor(
        network(),
        optimizer=optimizer,
        max_epochs=6,
        batch_size=16,
        iterator_train__shuffle=False,
        train_split=None,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    )


def data() -> tuple[np.ndarray, np.ndarray]:
    x, y = regression()
    return x.numpy(), y.numpy()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AdamW", {"lr": 0.02, "optimizer__weight_decay": 0.1}),
        ("SGD", {"lr": 0.02, "optimizer__momentum": 0.8, "optimizer__nesterov": True}),
    ],
)
def test_losses_are_those_of_torch(name: str, options: dict[str, Any]) -> None:
    scheduler = LRScheduler("StepLR", step_size=2, gamma=0.7)
    curves = [
        net(getattr(module, name), scheduler, **options)
        .fit(*data())
        .history[:, "train_loss"]
        for module in (gst, torch.optim)
    ]
    assert_same_curve(*curves)


def test_options_of_a_parameter_group_by_its_name() -> None:
    fitted = net(gst.AdamW, lr=0.02, optimizer__param_groups=[("0.*", {"lr": 0.0})])
    before = parameters(fitted.initialize().module_)
    fitted.partial_fit(*data(), epochs=2)
    after = parameters(fitted.module_)
    assert same(before[:2], after[:2])
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
def test_a_loaded_run_has_the_bits_of_a_straight_one(name: str, tmp_path: Path) -> None:
    files = {
        f"f_{what}": str(tmp_path / f"{what}.pt")
        for what in ("params", "optimizer", "history")
    }
    straight = net(getattr(gst, name), lr=0.01)
    straight.partial_fit(*data(), epochs=3)
    straight.save_params(**files)
    resumed = net(getattr(gst, name), lr=0.01).initialize()
    resumed.load_params(**files)
    for run in (straight, resumed):
        run.partial_fit(*data(), epochs=3)
    assert same(parameters(straight.module_), parameters(resumed.module_))
