"""bfloat16 and float16 tensors, masters, and states in few bits."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gradstep as gs
import gradstep.torch as gst
from adapter_processes import ALL
from variants import MEAN, VARIANTS

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
STORAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "master": {"master": "float32"},
    "split": {"master": "split"},
    "stochastic": {"rounding": "stochastic", "seed": 3},
    "bfloat16 states": {"state_dtype": "bfloat16", "seed": 4},
    "uint8 states": {"state_dtype": "uint8", "master": "float32"},
}
ONLY_BFLOAT16 = ("split", "stochastic")
SHAPES = ((13, 29), (700,), ())


def tensors(seed: int, kind: torch.dtype) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=draws).to(kind) for shape in SHAPES]


def array(t: Tensor) -> Any:
    """Return a copy of a tensor as an array that the optimizers of arrays take."""
    if t.dtype is torch.bfloat16:
        return t.detach().view(torch.int16).numpy().copy().view(gs.bfloat16)
    return t.detach().numpy().copy()


def steps(opt: Any, params: list[Tensor], first: int, last: int) -> None:
    for t in range(first, last):
        for p, g in zip(params, tensors(t, params[0].dtype), strict=True):
            p.grad = g
        opt.step()


def cases() -> list[tuple[str, str]]:
    return [
        (half, kept)
        for half in HALVES
        for kept in STORAGES
        if half == "bfloat16" or kept not in ONLY_BFLOAT16
    ]


@pytest.mark.parametrize(("half", "kept"), cases())
@pytest.mark.parametrize("variant", ALL)
def test_tensors_have_the_bits_of_arrays(variant: str, half: str, kept: str) -> None:
    kind, options = VARIANTS[variant]
    if half == "float16" and kept != "plain":
        return  # the same code but for how a parameter is rounded
    ours = tensors(1, HALVES[half])
    arrays = [array(p) for p in ours]
    opt = getattr(gst, kind.__name__)(ours, **options, **STORAGES[kept])
    other = kind(arrays, **options, **STORAGES[kept])
    for t in range(2, 5):
        grads = tensors(t, HALVES[half])
        for p, g in zip(ours, grads, strict=True):
            p.grad = g
        opt.step()
        other.step([array(g) for g in grads])
        for p, a in zip(ours, arrays, strict=True):
            assert array(p).tobytes() == a.tobytes()


def test_random_numbers_are_those_of_the_place_among_all() -> None:
    ours = tensors(1, torch.bfloat16)
    arrays = [array(p) for p in ours]
    options: dict[str, Any] = {"rounding": "stochastic", "seed": 5}
    opt, other = gst.SGD(ours, lr=0.01, **options), gs.SGD(arrays, lr=0.01, **options)
    for t in range(2, 5):
        ours[1].grad = tensors(t, torch.bfloat16)[1]
        ours[0].grad = tensors(t, torch.bfloat16)[0] if t > 3 else None
        opt.step()
        other.step([None if p.grad is None else array(p.grad) for p in ours])
        assert array(ours[1]).tobytes() == arrays[1].tobytes()


@pytest.mark.parametrize(("half", "kept"), cases())
def test_going_on_from_a_saved_state(half: str, kept: str) -> None:
    def make() -> tuple[list[Tensor], Any]:
        params = tensors(1, HALVES[half])
        return params, gst.AdamW(params, **MEAN, **STORAGES[kept])

    ours, straight = make()
    steps(straight, ours, 2, 8)
    theirs, stopped = make()
    steps(stopped, theirs, 2, 5)
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    file.seek(0)
    copied = copy.deepcopy(stopped)
    loaded_params = [p.detach().clone() for p in theirs]
    loaded = gst.AdamW(loaded_params, **MEAN, **STORAGES[kept])
    loaded.load_state_dict(torch.load(file, weights_only=True))
    steps(loaded, loaded_params, 5, 8)
    steps(copied, copied.param_groups[0]["params"], 5, 8)
    for found in (loaded_params, copied.param_groups[0]["params"]):
        assert all(map(torch.equal, found, ours))


def test_states_are_float32_and_those_of_torch_are_widened() -> None:
    ours, theirs = (tensors(1, torch.bfloat16) for _ in range(2))
    opt, torchs = gst.AdamW(ours, **MEAN), torch.optim.AdamW(theirs, **MEAN)
    steps(opt, ours, 2, 4)
    steps(torchs, theirs, 2, 4)
    assert opt.state[ours[0]]["exp_avg"].dtype is torch.float32
    assert torchs.state[theirs[0]]["exp_avg"].dtype is torch.bfloat16
    opt.load_state_dict(torchs.state_dict())
    found = opt.state[ours[0]]["exp_avg"]
    assert found.dtype is torch.float32
    assert torch.equal(found, torchs.state[theirs[0]]["exp_avg"].float())
    steps(opt, ours, 4, 5)


@pytest.mark.parametrize("half", HALVES)
def test_any_strides(half: str) -> None:
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(6, 5, 4, generator=draws).to(HALVES[half])
    gapped = torch.zeros(6, 5, 8, dtype=x.dtype)[..., ::2]
    gapped.copy_(x)
    turned = x.permute(2, 0, 1).clone().permute(1, 2, 0)
    params = [x.clone(), turned, gapped]
    opts = [gst.Adam([p], **MEAN, master="float32") for p in params]
    for t in range(2, 5):
        draws.manual_seed(t)
        g = torch.randn(6, 5, 4, generator=draws).to(x.dtype)
        for p, opt in zip(params, opts, strict=True):
            p.grad = g
            opt.step()
    assert torch.equal(params[0], params[1])
    assert torch.equal(params[0], params[2])


def test_a_model_that_is_loaded_after_steps_is_gone_on_from() -> None:
    p = torch.ones(5, dtype=torch.bfloat16)
    opt = gst.SGD([p], lr=0.001, master="float32")
    for _ in range(3):
        p.grad = torch.ones(5, dtype=torch.bfloat16)
        opt.step()
    p.detach().copy_(torch.full((5,), 2.0))
    opt.step()
    assert opt.state[p]["master"].tolist() == pytest.approx([1.999] * 5, abs=1e-6)


def test_schedule_free_evaluates_from_the_master() -> None:
    p = torch.randn(50, generator=torch.Generator().manual_seed(1)).bfloat16()
    w = array(p)
    opt = gst.ScheduleFreeAdamW([p], lr=0.1, master="split", state_dtype="uint8")
    other = gs.ScheduleFreeAdamW(w, lr=0.1, master="split", state_dtype="uint8")
    for t in range(4):
        p.grad = torch.full((50,), 0.3 * t - 0.5).bfloat16()
        opt.step()
        other.step(array(p.grad))
    opt.eval()
    assert array(p).tobytes() == other.eval_params().tobytes()
    opt.train()
    assert array(p).tobytes() == w.tobytes()


def test_bytes_for_each_parameter() -> None:
    p = torch.ones(256 * 40, dtype=torch.bfloat16)
    p.grad = torch.ones_like(p)
    found = {}
    for kept, options in STORAGES.items():
        opt = gst.AdamW([p], **options)
        opt.step()
        kept_bytes = sum(t.nbytes for t in opt.state[p].values() if t.ndim)
        found[kept] = kept_bytes / p.numel()
    assert found == {
        "plain": 8.0,
        "master": 12.0,
        "split": 10.0,
        "stochastic": 8.0,
        "bfloat16 states": 4.0,
        "uint8 states": 2 + 2 * 4 / 256 + 4,
    }


def test_codes_do_not_change_places_without_their_scales() -> None:
    p = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    p.grad = p.clone()
    opt = gst.SGD([p], lr=0.1, momentum=0.9, state_dtype="uint8")
    opt.step()
    p.data = p.data.to(memory_format=torch.channels_last)
    before = p.detach().clone()
    with pytest.raises(ValueError, match=r"'momentum_buffer'\] has strides"):
        opt.step()
    assert torch.equal(p, before)


def test_averages_in_any_memory_format() -> None:
    found = []
    for kind in (torch.contiguous_format, torch.channels_last):
        p = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        p = p.to(memory_format=kind)
        opt = gst.ScheduleFreeSGD([p], lr=0.1)
        for _ in range(3):
            p.grad = p.detach().clone()
            opt.step()
        opt.eval()
        found.append(p)
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_random_numbers_go_on_where_steps_are_not_counted(momentum: float) -> None:
    def make() -> tuple[list[Tensor], Any]:
        params = tensors(1, torch.bfloat16)
        how = {"rounding": "stochastic", "momentum": momentum}
        return params, gst.SGD(params, lr=0.01, **how)

    ours, straight = make()
    steps(straight, ours, 2, 8)
    theirs, stopped = make()
    steps(stopped, theirs, 2, 5)
    loaded_params, loaded = make()
    loaded.load_state_dict(stopped.state_dict())
    for p, q in zip(loaded_params, theirs, strict=True):
        p.copy_(q)
    steps(loaded, loaded_params, 5, 8)
    assert all(map(torch.equal, loaded_params, ours))


@pytest.mark.parametrize(
    ("kept", "name"), [("master", "master"), ("split", "remainder")]
)
def test_memory_of_masters_that_is_exchanged_is_seen(kept: str, name: str) -> None:
    p = torch.ones(5, dtype=torch.bfloat16)
    opt = gst.SGD([p], lr=0.001, **STORAGES[kept])
    p.grad = torch.ones_like(p)
    opt.step()
    before = opt.state[p][name]
    before.data = before.clone()
    opt.step()
    again = torch.ones(5, dtype=torch.bfloat16)
    other = gst.SGD([again], lr=0.001, **STORAGES[kept])
    again.grad = torch.ones_like(again)
    other.step()
    other.step()
    assert torch.equal(opt.state[p][name], other.state[again][name])


def test_storage_cannot_change_after_a_step() -> None:
    p = torch.ones(5, dtype=torch.bfloat16)
    p.grad = torch.ones_like(p)
    opt = gst.SGD([p], lr=0.001, master="split")
    opt.step()
    opt.param_groups[0]["master"] = None
    with pytest.raises(ValueError, match=r"\['master'\] cannot change after a step"):
        opt.step()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (torch.float32, {"master": "float32"}, "dtype float32, so master must be None"),
        (torch.float16, {"master": "split"}, "master='split' is for bfloat16"),
        (torch.complex64, {"state_dtype": "uint8"}, "is complex, so state_dtype must"),
        (torch.float64, {"state_dtype": "uint8"}, "so state_dtype must be None"),
    ],
)
def test_refusals(kind: torch.dtype, options: dict[str, Any], message: str) -> None:
    p = torch.ones(3, dtype=kind)
    p.grad = torch.ones_like(p)
    before = p.clone()
    opt = gst.Adam([p], **options)
    with pytest.raises(ValueError, match=rf"^Adam: param_groups\[0\].*{message}"):
        opt.step()
    assert torch.equal(p, before)
    assert not opt.state


def test_codes_of_another_kind_are_refused() -> None:
    p = torch.ones(300)
    p.grad = torch.ones_like(p)
    opt = gst.Adam([p], state_dtype="uint8")
    opt.step()
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][0]["exp_avg"] = torch.ones(300)
    with pytest.raises(ValueError, match=r"has dtype torch.float32, expected torch.ui"):
        opt.load_state_dict(saved)
    opt.state[p]["exp_avg_scale"] = torch.ones(3)
    with pytest.raises(ValueError, match=r"'exp_avg_scale'\] has shape"):
        opt.step()


def test_sparse_gradients_want_plain_numbers() -> None:
    p = torch.ones(4, 2, dtype=torch.bfloat16)
    g = torch.ones(1, 2, dtype=torch.bfloat16)
    p.grad = torch.sparse_coo_tensor([[1]], g, (4, 2), check_invariants=True)
    opt = gst.SGD([p], lr=0.1)
    with pytest.raises(TypeError, match=r"layout torch\.sparse_coo; of sparse"):
        opt.step()
    assert np.all(array(p).view(np.uint16) == 0x3F80)


def test_dtypes_of_torch_stand_for_their_names() -> None:
    options: dict[str, Any] = {"master": torch.float32, "state_dtype": torch.bfloat16}
    named = {"master": "float32", "state_dtype": "bfloat16"}
    found = []
    for given in (options, named):
        p = torch.nn.Parameter(torch.linspace(-1, 2, 300).bfloat16())
        opt = gst.AdamW([p], lr=0.1, **given)
        for k in range(3):
            p.grad = torch.full_like(p, 0.1 + k)
            opt.step()
            again = gst.AdamW([p], **given)
            again.load_state_dict(opt.state_dict())
            opt = again
        found.append((p.detach(), opt.state[p]["exp_avg"], opt.state[p]["master"]))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    w = gs.to_bfloat16(np.ones(2))
    assert gs.Adam(w, **options).master == "float32"
    with pytest.raises(ValueError, match="state_dtype must be one of None, 'bfloat16'"):
        gs.Adam(w, state_dtype=torch.float16)
