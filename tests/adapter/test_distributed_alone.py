"""What tools around training do to an optimizer in one process."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

import gradstep.torch as gst
from adapter_processes import (
    ALL,
    NAMES,
    apply_in_backward,
    chosen,
    make,
    model_of,
    same,
    squares,
    states,
    steps_of,
    train,
    weights,
)

WIDTHS = (13, 7, 3)
STEPS = steps_of(6, 13, 3)


def begun(name: str, *, seed: int = 0, dtype: Any = torch.float32) -> tuple[Any, Any]:
    model = model_of(*WIDTHS, seed=seed, dtype=dtype)
    return model, make(name, model.parameters())


def halfway(name: str, dtype: Any = torch.float32) -> tuple[Any, Any]:
    model, opt = begun(name, dtype=dtype)
    train(model, opt, steps_of(3, 13, 3, dtype=dtype))
    return model, opt


def after_all(name: str) -> tuple[Any, Any]:
    model, opt = begun(name)
    train(model, opt, STEPS)
    return weights(model), states(opt)


def resumed(name: str, model: nn.Module, state: dict[str, Any]) -> tuple[Any, Any]:
    """Return what the rest of the steps gives from these parameters and this state."""
    again, opt = begun(name, seed=5)
    again.load_state_dict(model.state_dict())
    opt.load_state_dict(state)
    train(again, opt, STEPS[3:])
    return weights(again), states(opt)


# -- states and copies


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ALL)
def test_types_and_shapes_of_states_outlive_a_round_trip(name: str, dtype: Any) -> None:
    model, opt = halfway(name, dtype)
    kept = states(opt)
    again, other = begun(name, seed=5, dtype=dtype)
    other.load_state_dict(opt.state_dict())
    assert same(states(other), kept)
    train(again, other, steps_of(1, 13, 3, dtype=dtype))
    for entry, before, p in zip(states(other), kept, model.parameters()):
        assert {k: (v.dtype, v.shape) for k, v in entry.items()} == {
            k: (v.dtype, v.shape) for k, v in before.items()
        }
        arrays = {(v.dtype, v.shape) for v in entry.values() if v.ndim}
        assert arrays <= {(p.dtype, p.shape)}


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_shape_is_refused_by_name(name: str) -> None:
    model, opt = halfway(name)
    state = copy.deepcopy(opt.state_dict())
    key = next(k for k, v in state["state"][1].items() if v.ndim)
    state["state"][1][key] = state["state"][1][key][:-2]
    before = states(opt)
    with pytest.raises(ValueError, match=rf"state\[1\]\['{key}'\] has shape"):
        opt.load_state_dict(state)
    assert same(states(opt), before)
    train(model, opt, STEPS[3:])
    assert same((weights(model), states(opt)), after_all(name))


@pytest.mark.parametrize("name", ALL)
def test_a_state_is_loaded_where_only_weights_may_be(name: str) -> None:
    model, opt = halfway(name)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    assert same(
        resumed(name, model, torch.load(file, weights_only=True)), after_all(name)
    )


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda both: pickle.loads(pickle.dumps(both)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ALL)
def test_a_copy_trains_on_by_itself(name: str, how: str) -> None:
    model, opt = halfway(name)
    again, other = COPIES[how]((model, opt))
    assert type(other) is type(opt)
    before = weights(model), states(opt)
    train(again, other, STEPS[3:])
    assert same((weights(again), states(other)), after_all(name))
    assert same((weights(model), states(opt)), before)
    train(model, opt, STEPS[3:])
    assert same((weights(model), states(opt)), after_all(name))


@pytest.mark.parametrize("name", NAMES)
def test_names_of_parameters_outlive_a_round_trip(name: str) -> None:
    model = model_of(*WIDTHS)
    opt = make(name, model.named_parameters())
    train(model, opt, STEPS[:3])
    names = [k for k, _ in model.named_parameters()]
    state = opt.state_dict()
    assert state["param_groups"][0]["param_names"] == names
    assert same(resumed(name, model, state), after_all(name))
    again = make(name, model_of(*WIDTHS, seed=5).named_parameters())
    again.load_state_dict(state)
    assert again.param_groups[0]["param_names"] == names
    assert same(states(again), states(opt))


# -- refusals


class Marked(torch.Tensor):
    """A tensor of a class of its own."""


def _marked() -> Any:
    return nn.Parameter(torch.ones(4).as_subclass(Marked))


def _meta() -> Any:
    return nn.Parameter(torch.ones(4, device="meta"))


def _fake() -> Any:
    with FakeTensorMode():
        return nn.Parameter(torch.ones(4))


def _quantised() -> Any:
    return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


def _sparse() -> Any:
    return nn.Parameter(torch.eye(4).to_sparse())


def _csr() -> Any:
    return nn.Parameter(torch.eye(4).to_sparse_csr())


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "subclass": (_marked, r"Marked"),
    "meta": (_meta, r"meta"),
    "fake": (_fake, r"FakeTensor"),
    "quantised": (_quantised, r"qint8"),
    "sparse": (_sparse, r"sparse_coo"),
    "sparse csr": (_csr, r"sparse_csr"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor:")
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_plain_memory_is_refused_by_name(name: str, kind: str) -> None:
    maker, words = REFUSED[kind]
    good = nn.Parameter(torch.ones(3))
    odd = maker()
    good.grad = torch.full((3,), 0.5)
    odd.grad = odd.detach().clone()
    owner = chosen(name)[0].__name__
    with pytest.raises(TypeError, match=rf"^{owner}: .*\['params'\]\[1\].*{words}"):
        make(name, [good, odd]).step()
    assert good.eq(1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_that_is_no_plain_memory_is_refused_by_name(name: str) -> None:
    p, other = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    opt = make(name, [p, other])
    p.grad = torch.full((4,), 0.5)
    other.grad = torch.full((4,), 0.5)
    opt.step()
    before = weights(nn.ParameterList([p, other]))
    kept = states(opt)
    other.grad = torch.full((4,), 0.5).as_subclass(Marked)
    with pytest.raises(TypeError, match=r"gradient .*\['params'\]\[1\].*Marked"):
        opt.step()
    assert same([p.detach(), other.detach()], before)
    assert same(states(opt), kept)


# -- in the backward pass, behind a scaler, between hooks


# Sums over all parameters, which are one to each optimizer there.
OVER_ALL = {"adai", "adai decoupled", "adan no prox", "lamb"}


@pytest.mark.parametrize("name", [name for name in ALL if name not in OVER_ALL])
def test_steps_in_the_backward_pass_have_the_bits_of_steps_after_it(name: str) -> None:
    model = model_of(*WIDTHS)
    kind, options = chosen(name)
    apply_in_backward(kind, model.parameters(), optimizer_kwargs=options)
    # One part: the hook steps at each gradient, and would at each half.
    steps = [parts[:1] for parts in STEPS]
    for parts in steps:
        squares(model, parts[0]).backward()
    expected, opt = begun(name)
    train(expected, opt, steps)
    assert same(weights(model), weights(expected))


@pytest.mark.parametrize("name", NAMES)
def test_a_scaler_skips_a_step_of_infinite_gradients(name: str) -> None:
    model, opt = begun(name)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)
    for i, parts in enumerate([*STEPS[:3], *STEPS[2:]]):
        opt.zero_grad()
        loss = sum(squares(model, part) / 2 for part in parts)
        scaler.scale(loss).backward()
        before = weights(model), states(opt)
        if i == 2:
            model[0].weight.grad[2, 3] = torch.inf
        scaler.step(opt)
        scaler.update()
        assert same((weights(model), states(opt)), before) == (i == 2)
        assert scaler.get_scale() == (2.0**10 if i < 2 else 2.0**9)
    # Scales are powers of two, and change no bits.
    assert same((weights(model), states(opt)), after_all(name))


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What hooks of all optimizers and of one have seen, in order."""
    seen: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: seen.append("all before")),
        register_optimizer_step_post_hook(lambda *_: seen.append("all after")),
    ]
    yield seen
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("name", NAMES)
def test_hooks_run_in_order_around_a_step(name: str, told: list[str]) -> None:
    model, opt = begun(name)
    start = weights(model)
    moved: list[bool] = []

    def look(when: str) -> Callable[..., None]:
        def hook(found: gst.Optimizer, args: Any, kwargs: Any) -> None:
            assert found is opt
            told.append(when)
            moved.append(not same(weights(model), start))

        return hook

    opt.register_step_pre_hook(look("before"))
    opt.register_step_post_hook(look("after"))
    train(model, opt, STEPS[:1])
    assert told == ["all before", "before", "after", "all after"]
    assert moved == [False, True]


@pytest.mark.parametrize("name", NAMES)
def test_hooks_of_states_run_in_order(name: str) -> None:
    model, opt = halfway(name)
    seen: list[str] = []
    opt.register_state_dict_pre_hook(lambda *_: seen.append("before saving"))
    opt.register_state_dict_post_hook(lambda *_: seen.append("saved"))
    opt.register_load_state_dict_pre_hook(lambda *_: seen.append("before loading"))
    opt.register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
    opt.load_state_dict(opt.state_dict())
    assert seen == ["before saving", "saved", "before loading", "loaded"]
    train(model, opt, STEPS[3:])
    assert same((weights(model), states(opt)), after_all(name))
