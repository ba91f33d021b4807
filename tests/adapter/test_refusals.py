"""What is no memory that C could step is refused by name, and nothing has changed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradstep as gs
import gradstep.torch as gst


class Wrapped(torch.Tensor):
    """A subclass, of which nobody knows what its data is."""


def one(data: torch.Tensor | None = None) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(4, 3) if data is None else data)


def with_gradient(p: Any, g: Any) -> Any:
    p.grad = g
    return p


def subclass() -> Any:
    return with_gradient(
        torch.ones(3).as_subclass(Wrapped).requires_grad_(),
        torch.ones(3),
    )


def of_type(dtype: torch.dtype) -> Callable[[], Any]:
    return lambda: with_gradient(
        one(torch.ones(3, dtype=dtype)), torch.ones(3, dtype=dtype)
    )


def expanded() -> Any:
    p = one(torch.ones(1, 3).expand(4, 3))
    return with_gradient(p, torch.ones(4, 3))


def own_gradient() -> Any:
    p = one()
    return with_gradient(p, p.data)


def on_meta() -> Any:
    data = torch.ones(3, device="meta")
    return with_gradient(one(data), torch.ones_like(data))


PARAMETERS: dict[str, tuple[Callable[[], Any], str]] = {
    "a subclass": (subclass, r"\['params'\]\[0\] must be a plain tensor .*Wrapped"),
    "float8": (of_type(torch.float8_e5m2), "has dtype float8_e5m2, .* model.float"),
    "float8 too": (of_type(torch.float8_e4m3fn), "has dtype float8_e4m3fn, expected"),
    "expanded": (expanded, r"share memory .*; pass t.clone\(\)"),
    "its own gradient": (own_gradient, "shares memory .*; pass g.copy"),
    "on meta": (on_meta, "is on device meta, so it has no numbers"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_cannot_be_stepped(name: str) -> None:
    make, message = PARAMETERS[name]
    good = with_gradient(one(), torch.ones(4, 3))
    optimizer = gst.AdamW([{"params": [make()]}, {"params": [good]}], lr=0.1)
    with pytest.raises((TypeError, ValueError), match=f"AdamW.*{message}"):
        optimizer.step()
    assert torch.equal(good, torch.ones(4, 3))


GRADIENTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "sparse": (lambda g: g.to_sparse(), "has layout torch.sparse_coo"),
    "a subclass": (lambda g: g.as_subclass(Wrapped), "must be a plain tensor, got"),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("when", ["at first", "later"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_that_cannot_be_read(name: str, when: str) -> None:
    make, message = GRADIENTS[name]
    p = [with_gradient(one(), torch.ones(4, 3)) for _ in range(2)]
    optimizer = gst.AdamW(zip(("a", "b"), p, strict=True), lr=0.1)
    if when == "later":
        optimizer.step()
    before = [x.detach().clone() for x in p]
    p[1].grad = make(torch.ones(4, 3))
    where = r"the gradient of param_groups\[0\]\['params'\]\[1\] \(b\)"
    with pytest.raises(TypeError, match=f"AdamW.step: {where} {message}"):
        optimizer.step()
    for x, was in zip(p, before, strict=True):
        assert torch.equal(x, was)


OPTIONS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("Adam", {"lr": -0.1}, ValueError, r"Adam: lr must be in \[0, inf\), got -0.1"),
    ("Adam", {"betas": (0.5, 1.0)}, ValueError, "Adam: beta2 must be in"),
    ("Adam", {"lrate": 0.1}, TypeError, "Adam: unknown hyperparameter 'lrate'"),
    ("Adam", {"capturable": True}, ValueError, "is for parameters on a device"),
    ("Adam", {"foreach": True, "fused": True}, ValueError, "cannot both be True"),
    ("Adam", {"decoupled_weight_decay": True}, ValueError, "must be one of False"),
    ("Adam", {"lr": torch.ones(2)}, ValueError, "must have one element"),
    ("SGD", {"nesterov": True}, ValueError, "SGD: nesterov needs momentum"),
    ("Adan", {"restart_radius": 0.5}, ValueError, "restart_radius must be 0"),
    (
        "SGD",
        {"form": "velocity", "nesterov": True, "momentum": 0.5},
        ValueError,
        "use form='buffer'",
    ),
]


@pytest.mark.parametrize(("name", "options", "error", "message"), OPTIONS)
def test_an_option_that_does_not_fit(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(gst, name)([one()], **options)
    good = getattr(gst, name)([one()])
    with (
        pytest.raises((error, ValueError), match=message)
        if (error is ValueError)
        else pytest.raises(TypeError)
    ):
        getattr(gst, name)([one()], 0.1, **options) if error is TypeError else (
            good.add_param_group({"params": [one()], **options})
        )
    assert len(good.param_groups) == 1


def test_options_by_position_are_those_of_torch() -> None:
    for name in ("SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "NAdam", "Rprop"):
        ours = getattr(gst, name)([one()], 0.25)
        assert ours.param_groups[0]["lr"] == 0.25
    assert gst.Adam([one()], 0.1, (0.5, 0.6), 1e-3).param_groups[0]["eps"] == 1e-3
    with pytest.raises(TypeError, match="lr is given twice"):
        gst.Adam([one()], 0.1, lr=0.1)
    with pytest.raises(TypeError, match="takes 5 options by position"):
        gst.Adam([one()], 0.1, (0.5, 0.6), 1e-3, 0.0, False, None)


def test_what_would_leave_states_without_meaning() -> None:
    p = with_gradient(one(), torch.ones(4, 3))
    optimizer = gst.ScheduleFreeSGD([p], lr=0.1, momentum=0.8)
    optimizer.step()
    before = p.detach().clone()
    optimizer.param_groups[0]["momentum"] = 0.7
    with pytest.raises(ValueError, match=r"'momentum'.* cannot change after a step"):
        optimizer.step()
    assert torch.equal(p, before)


@pytest.mark.parametrize("is_parameter", [False, True])
def test_a_tensor_as_a_gradient_of_arrays_is_refused_with_asarray(
    is_parameter: bool,
) -> None:
    g = torch.ones(3, dtype=torch.float64)
    w = np.ones(3)
    with pytest.raises(TypeError, match=r"got torch.*; pass np.asarray\(g\)"):
        gs.SGD(w, lr=0.5).step(torch.nn.Parameter(g) if is_parameter else g)
    gs.SGD(w, lr=0.5).step(np.asarray(g))
    assert w.tolist() == [0.5] * 3


@pytest.mark.parametrize("name", ["Adagrad", "RMSprop", "Rprop"])
def test_states_cannot_begin_beyond_float32(name: str) -> None:
    option = "lr" if name == "Rprop" else "initial_accumulator_value"
    p = torch.nn.Parameter(torch.ones(3))
    opt = getattr(gst, name)([p], **{option: 1e39})
    p.grad = torch.ones(3)
    with pytest.raises(ValueError, match=f"^{name}: {option} must be at most 3.4028"):
        opt.step()
    assert p.tolist() == [1, 1, 1]
