"""transformers.Trainer: trains, evaluates, saves and resumes with our optimizers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

import gradstep.torch as gst
from tiny import (
    BF16_CURVE,
    CURVE,
    assert_same_curve,
    language_model,
    parameters,
    same,
    sentences,
)

STEPS = 12


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=4,
        save_strategy="steps",
        save_steps=4,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=5,
        **options,
    )


def trainer(make: Any, folder: Path, *, seed: int = 0, **options: Any) -> Trainer:
    model = language_model(seed)
    opt = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.LinearLR(opt, 0.2, total_iters=4)
    return Trainer(
        model,
        arguments(folder, **options),
        train_dataset=sentences(),
        eval_dataset=sentences()[:8],
        optimizers=(opt, scheduler),
    )


def losses(run: Trainer) -> list[float]:
    return [row["loss"] for row in run.state.log_history if "loss" in row]


MAKERS = {
    "AdamW": lambda p: gst.AdamW(p, lr=0.02, weight_decay=0.1),
    "SGD": lambda p: gst.SGD(p, lr=0.3, momentum=0.8),
    "ScheduleFreeAdamW": lambda p: gst.ScheduleFreeAdamW(p, lr=0.05),
    "ScheduleFreeRAdam": lambda p: gst.ScheduleFreeRAdam(p, lr=0.05),
    "CPUOffload": lambda p: gst.CPUOffload(gst.AdamW(p, lr=0.02), clip_norm=1.0),
}


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_losses_are_those_of_torch(name: str, bf16: bool, tmp_path: Path) -> None:
    options = {"lr": 0.02, "weight_decay": 0.1}
    options = options if name == "AdamW" else {"lr": 0.3, "momentum": 0.8}
    curves = []
    for module in (gst, torch.optim):
        run = trainer(
            lambda p, m=module: getattr(m, name)(p, **options), tmp_path, bf16=bf16
        )
        run.train()
        curves.append(losses(run))
    assert_same_curve(*curves, within=BF16_CURVE if bf16 else CURVE)


@pytest.mark.parametrize("name", MAKERS)
def test_a_resumed_run_has_the_bits_of_a_straight_one(
    name: str, tmp_path: Path
) -> None:
    straight = trainer(MAKERS[name], tmp_path / "straight")
    straight.train()
    resumed = trainer(MAKERS[name], tmp_path / "resumed", seed=1)
    resumed.train(resume_from_checkpoint=str(tmp_path / "straight" / "checkpoint-8"))
    assert same(parameters(straight.model), parameters(resumed.model))
    assert losses(straight) == losses(resumed)
    assert straight.evaluate()["eval_loss"] == resumed.evaluate()["eval_loss"]


def test_the_average_of_a_schedule_free_optimizer_is_what_is_saved(
    tmp_path: Path,
) -> None:
    run = trainer(MAKERS["ScheduleFreeAdamW"], tmp_path)
    run.train()
    run.evaluate()  # puts the average into the model
    opt = run.optimizer.optimizer  # in accelerate's
    assert not opt.training
    run.save_model(str(tmp_path / "final"))
    average = parameters(run.model)
    opt.train()
    assert not same(parameters(run.model), average)
    again = type(run.model).from_pretrained(tmp_path / "final")
    assert same(parameters(again), average)


def test_a_trainer_makes_the_optimizer_from_its_class(tmp_path: Path) -> None:
    run = Trainer(
        language_model(),
        arguments(tmp_path),
        train_dataset=sentences(),
        eval_dataset=sentences()[:8],
        optimizer_cls_and_kwargs=(gst.AdamW, {"lr": 0.02}),
    )
    run.train()
    assert len(losses(run)) == STEPS
    assert isinstance(run.optimizer.optimizer, gst.AdamW)
    # Weights and biases or norms: two groups with a decay of their own.
    assert len(run.optimizer.param_groups) == 2
