"""Where parameters are stepped: on their device, or by the CPU, with a warning."""

from typing import NamedTuple

import pytest
import torch

import gradstep.torch as gst
from gradstep.torch import cuda, device, rows


class On(NamedTuple):
    """A parameter, as far as its place is concerned."""

    device: torch.device


def on(*names: str) -> list[On]:
    return [On(torch.device(name)) for name in names]


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "check", lambda: None)


def test_on_the_cpu_nothing_is_said() -> None:
    assert device.of(on("cpu", "cpu")) is None
    assert device.of([]) is None


@pytest.mark.usefixtures("kernels")
def test_on_one_cuda_device_they_are_stepped_there() -> None:
    assert device.of(on("cuda:1", "cuda:1")) == torch.device("cuda:1")
    assert device.has_kernels(on("cuda:1", "cuda:1"))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (("cuda:0", "cuda:1"), "several devices; build an optimizer for those of each"),
        (("cpu", "cuda:0"), "several devices; build an optimizer for those of each"),
        (("xpu:0",), "kernels are for CUDA only"),
        (("mps:0",), "kernels are for CUDA only"),
    ],
)
def test_elsewhere_they_are_copied_and_that_is_said(
    places: tuple[str, ...], reason: str
) -> None:
    with pytest.warns(RuntimeWarning, match=f"copied to the host and back.*{reason}"):
        assert device.of(on(*places)) is None
    assert not device.has_kernels(on(*places))


def test_what_lacks_for_kernels_is_in_the_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking() -> None:
        raise cuda.Unavailable("pip install 'gradstep[cuda13]'")

    monkeypatch.setattr(cuda, "check", lacking)
    with pytest.warns(RuntimeWarning, match=r"pip install 'gradstep\[cuda13\]'"):
        assert device.of(on("cuda:0")) is None


def test_grad_scaler_unscales_for_the_cpu() -> None:
    p = torch.ones(3).requires_grad_()
    assert not gst.Adam([p], lr=0.1)._step_supports_amp_scaling


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_gradients_are_stepped_in_our_memory_only() -> None:
    """Rows are stepped where C can read them, also where there are no kernels."""
    embedding = torch.nn.Embedding(5, 3, sparse=True)
    opt = gst.SGD(embedding.parameters(), lr=0.1)
    embedding(torch.tensor([1, 4])).sum().backward()
    opt.step()
    slot = opt._bound._slots[0]
    assert rows.may_be_sparse(slot, opt.param_groups[0])
    for name in ("cuda:0", "xpu:0", "mps:0"):
        elsewhere = slot._replace(param=On(torch.device(name)))
        assert not rows.may_be_sparse(elsewhere, opt.param_groups[0])
