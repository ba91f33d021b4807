"""Frameworks that train with our optimizers; nothing is downloaded or reported."""

import importlib
import importlib.util
import os
from pathlib import Path

import pytest

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ACCELERATE_USE_CPU": "true",
    "WANDB_DISABLED": "true",
}

import torch
from torch import library as torch_library

OPERATORS = torch_library.Library("torchvision", "FRAGMENT")


def name_operators_of_torchvision() -> None:
    """Let torchvision be imported beside a torch without CUDA.

    timm needs torchvision, whose wheels on package indexes are for CUDA. Beside a torch
    for the CPU its own operators cannot be loaded, and its import fails for two that it
    describes. So these get their names; nothing here calls them.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        for name in ("nms", "qnms"):
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou) -> Tensor")


name_operators_of_torchvision()

# Here, as pytest makes errors of warnings, of which these packages have many.
accelerate, *_ = map(
    importlib.import_module,
    ("accelerate", "lightning", "peft", "skorch", "timm", "transformers"),
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for what frameworks write without being asked
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    torch.manual_seed(0)
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore the warnings of other people's packages."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
