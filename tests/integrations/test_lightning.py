"""Lightning: fit with validation, schedulers, clipping, checkpoints and resumption."""

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision

import gradstep.torch as gst
from gradstep.torch import device
from tiny import (
    BF16_CURVE,
    CURVE,
    assert_same_curve,
    network,
    parameters,
    regression,
    same,
)


class Module(lightning.LightningModule):
    def __init__(self, make: Any, seed: int) -> None:
        super().__init__()
        self.model, self.make, self.losses = network(seed), make, list[float]()

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.model(x), y)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        x, y = batch
        self.log("val", torch.nn.functional.mse_loss(self.model(x), y))

    def configure_optimizers(self) -> Any:
        opt = self.make(self.model.parameters())
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0)
        return {
            "optimizer": opt,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val"},
        }

    def _set_mode(self, mode: str) -> None:
        for opt in self.trainer.optimizers:
            if hasattr(opt, mode):
                getattr(opt, mode)()

    def on_train_epoch_start(self) -> None:
        self._set_mode("train")

    def on_train_batch_start(self, batch: Any, index: int) -> None:
        self._set_mode("train")

    def on_validation_epoch_start(self) -> None:
        self._set_mode("eval")


def fit(
    make: Any,
    folder: Path,
    *,
    seed: int = 0,
    epochs: int = 6,
    ckpt_path: Path | None = None,
    **options: Any,
) -> Module:
    module = Module(make, seed)
    data = torch.utils.data.TensorDataset(*regression())
    loader = torch.utils.data.DataLoader(data, batch_size=24)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path)
    return module


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_losses_are_those_of_torch(name: str, precision: str, tmp_path: Path) -> None:
    curves = [
        fit(
            lambda p, m=module: getattr(m, name)(p, lr=0.02),
            tmp_path / module.__name__,
            precision=precision,
            gradient_clip_val=3.0,
            accumulate_grad_batches=2,
        ).losses
        for module in (gst, torch.optim)
    ]
    within = CURVE if precision == "32-true" else BF16_CURVE
    assert_same_curve(*curves, within=within)


@pytest.mark.parametrize("name", ["AdamW", "ScheduleFreeAdamW", "ScheduleFreeSGD"])
def test_a_resumed_run_has_the_bits_of_a_straight_one(
    name: str, tmp_path: Path
) -> None:
    def make(p: Any) -> Any:
        return getattr(gst, name)(p, lr=0.05)

    straight = fit(make, tmp_path)
    resumed = fit(make, tmp_path / "again", seed=1, ckpt_path=tmp_path / "epoch=2.ckpt")
    assert straight.losses[12:] == resumed.losses
    assert same(parameters(straight), parameters(resumed))


@pytest.mark.parametrize(
    ("options", "clips"),
    [({}, False), ({"fused": False}, True), ({"foreach": True}, True)],
)
def test_gradients_are_clipped_with_mixed_precision_where_they_are_unscaled(
    options: dict[str, Any], clips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_kernels", lambda _: True)  # as on a CUDA device
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.full((3,), 2.0)
    opt = gst.AdamW([p], **options)
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    precision.main_params = lambda _: [p]  # type: ignore[method-assign]
    if clips:
        precision.clip_gradients(opt, clip_val=1.0)
        assert torch.isclose(p.grad.norm(), torch.tensor(1.0), atol=1e-5)
    else:
        with pytest.raises(RuntimeError, match="performs unscaling of gradients"):
            precision.clip_gradients(opt, clip_val=1.0)
