"""The optimizers as `torch.optim.Optimizer`, stepped by the same kernels.

Each takes the arguments of the class of that name in `torch.optim`, if there is one,
and loads its checkpoints and those of the authors' packages; its own load there.
Parameters are float32, float64, bfloat16, float16 or complex tensors, or DTensors of
them. On CUDA devices they are stepped by kernels from the same headers, with the same
bits; on others, through copies on the CPU.

Examples
--------
>>> import torch
>>> import gradstep.torch as gst
>>> _ = torch.manual_seed(0)
>>> model = torch.nn.Linear(3, 1)
>>> opt = gst.AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
>>> X = torch.randn(50, 3)
>>> y = X @ torch.tensor([[1.0], [2.0], [3.0]]) + 4.0
>>> for _ in range(300):
...     opt.zero_grad()
...     loss = torch.nn.functional.mse_loss(model(X), y)
...     loss.backward()
...     opt.step()
>>> loss.item() < 1e-4
True
"""

try:
    import torch  # noqa: F401  # here, so that its lack is named once
except ImportError as missing:
    raise ImportError(
        "gradstep.torch needs PyTorch 2.8 or later; pip install 'gradstep[torch]'"
    ) from missing

from gradstep.optimizer import OPTIMIZERS
from gradstep.torch import lr_scheduler
from gradstep.torch.classes import made
from gradstep.torch.offload import CPUOffload
from gradstep.torch.optimizer import Optimizer

_CLASSES = {name: made(method) for name, method in OPTIMIZERS.items()}
globals().update(_CLASSES)

__all__ = ["CPUOffload", "Optimizer", "lr_scheduler", *_CLASSES]  # noqa: PLE0604  # all are strings
