"""Gradients that differ in kind from their parameter: exact, or refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import gradstep.torch as gst
from gradstep.torch import bound

SHAPE = (4, 6)

# grad_dtype came with torch 2.10; before, a gradient has its parameter's dtype.
HAS_GRAD_DTYPE = hasattr(torch.Tensor, "grad_dtype")


def values(dtype: torch.dtype, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64).to(dtype)


def parameter(dtype: torch.dtype = torch.float32) -> torch.nn.Parameter:
    return torch.nn.Parameter(values(dtype, 1))


def contiguous(p: torch.Tensor) -> torch.Tensor:
    return p


def transposed(p: torch.Tensor) -> torch.Tensor:
    return p.t().contiguous().t()


def with_gaps(p: torch.Tensor) -> torch.Tensor:
    room = torch.zeros(8, 12, dtype=p.dtype)
    room[::2, ::2] = p
    return room[::2, ::2]


ORDERS = (contiguous, transposed, with_gaps)


def negative(g: torch.Tensor) -> torch.Tensor:
    return torch._neg_view(-g)


def negative_strided(g: torch.Tensor) -> torch.Tensor:
    return torch.complex(g, -g).conj().imag


def expanded(g: torch.Tensor) -> torch.Tensor:
    return g[:1].expand(SHAPE)


def expanded_scalar(g: torch.Tensor) -> torch.Tensor:
    return g[0, 0].expand(SHAPE)


def every_other(g: torch.Tensor) -> torch.Tensor:
    return with_gaps(g)


def with_requires_grad(g: torch.Tensor) -> torch.Tensor:
    return g.clone().requires_grad_()


def with_history(g: torch.Tensor) -> torch.Tensor:
    return g.clone().requires_grad_() * 1.0


def as_parameter(g: torch.Tensor) -> torch.Tensor:
    return torch.nn.Parameter(g)


def as_parameter_transposed(g: torch.Tensor) -> torch.Tensor:
    return torch.nn.Parameter(transposed(g))


def as_buffer(g: torch.Tensor) -> torch.Tensor:
    return torch.nn.Buffer(g)


def zeros_without_memory(g: torch.Tensor) -> torch.Tensor:
    return torch._efficientzerotensor(SHAPE, dtype=g.dtype)


def of_inference(g: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return g.clone()


def copy_on_write(g: torch.Tensor) -> torch.Tensor:
    return torch._lazy_clone(g)


def beside_others(g: torch.Tensor) -> torch.Tensor:
    return torch.cat([g.flatten(), g.flatten()])[24:].view(SHAPE)


EXACT: list[Callable[[torch.Tensor], torch.Tensor]] = [
    *(negative, negative_strided, expanded, expanded_scalar, transposed, every_other),
    *(with_requires_grad, with_history, as_parameter, as_parameter_transposed),
    *(as_buffer, zeros_without_memory, of_inference, copy_on_write, beside_others),
]

RULES: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: gst.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: gst.SGD(p, lr=0.1, momentum=0.7),
    "AdamW": lambda p: gst.AdamW(p, lr=0.1),
    "CPUOffload": lambda p: gst.CPUOffload(gst.AdamW(p, lr=0.1)),
}


def bits_after(make: Any, order: Any, steps: list[torch.Tensor]) -> torch.Tensor:
    p = torch.nn.Parameter(order(values(steps[0].dtype, 1)))
    optimizer = make([p])
    for g in steps:
        p.grad = g
        optimizer.step()
    return p.detach().clone(memory_format=torch.contiguous_format)


@pytest.mark.parametrize("by_dlpack", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make_kind", EXACT)
def test_a_gradient_of_another_kind_steps_as_its_plain_copy(
    make_kind: Any, rule: str, order: Any, by_dlpack: bool, monkeypatch: Any
) -> None:
    if not by_dlpack:  # as before torch 2.10
        monkeypatch.setattr(bound, "_CAPSULE", None)
    plain = values(torch.float32, 2)
    kind = make_kind(plain)
    # A copy by arithmetic, which knows nothing of views.
    copied = torch.empty(SHAPE).copy_(kind.detach())
    expected = plain[:1] if make_kind is expanded else plain
    expected = plain[0, 0] if make_kind is expanded_scalar else expected
    expected = plain * 0 if make_kind is zeros_without_memory else expected
    assert torch.equal(copied, expected.expand(SHAPE))
    for before in ([], [values(torch.float32, 3)]):  # at the first step, and later
        stepped = bits_after(RULES[rule], order, [*before, kind])
        assert torch.equal(stepped, bits_after(RULES[rule], order, [*before, copied]))
        assert make_kind is zeros_without_memory or not torch.equal(
            stepped, values(torch.float32, 1)
        )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("is_negative", [False, True])
@pytest.mark.parametrize("rule", ["SGD with momentum", "AdamW"])
def test_a_lazily_conjugated_gradient_steps_as_its_plain_copy(
    order: Any, is_negative: bool, rule: str
) -> None:
    g = torch.complex(values(torch.float64, 2), values(torch.float64, 5))
    kind = negative(g.conj()) if is_negative else g.conj()
    copied = torch.complex(g.real, -g.imag)
    for before in ([], [g]):
        stepped = bits_after(RULES[rule], order, [*before, kind])
        assert torch.equal(stepped, bits_after(RULES[rule], order, [*before, copied]))


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop"])
@pytest.mark.parametrize(
    "make_kind",
    # torch's own steps read these at address 0.
    [make_kind for make_kind in EXACT if make_kind is not zeros_without_memory],
)
def test_a_gradient_of_another_kind_steps_as_in_torch(
    make_kind: Any, name: str
) -> None:
    ours, theirs = parameter(torch.float64), parameter(torch.float64)
    optimizers = (
        getattr(gst, name)([ours], lr=0.1),
        getattr(torch.optim, name)([theirs], lr=0.1, foreach=False),
    )
    kind = make_kind(values(torch.float64, 2))
    for p, optimizer in zip((ours, theirs), optimizers, strict=True):
        for _ in range(2):
            p.grad = kind
            optimizer.step()
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-13)


class Wrapped(torch.Tensor):
    """A subclass, of which nobody knows what its data is."""


def as_subclass(p: Any, g: torch.Tensor) -> None:
    p.grad = g.as_subclass(Wrapped)


def fake(p: Any, g: torch.Tensor) -> None:
    with FakeTensorMode():
        p.grad = torch.empty(g.shape)


def sparse(p: Any, g: torch.Tensor) -> None:
    p.grad = g.to_sparse()


def with_freed_storage(p: Any, g: torch.Tensor) -> None:
    p.grad = g.clone()
    p.grad.untyped_storage().resize_(0)


def with_shrunk_storage(p: Any, g: torch.Tensor) -> None:
    p.grad = g.clone()
    p.grad.untyped_storage().resize_(g.nbytes - 1)


def with_shrunk_storage_at_an_offset(p: Any, g: torch.Tensor) -> None:
    p.grad = beside_others(g)
    p.grad.untyped_storage().resize_(2 * g.nbytes - 1)


def with_shrunk_storage_and_strides(p: Any, g: torch.Tensor) -> None:
    p.grad = transposed(g)
    p.grad.untyped_storage().resize_(g.nbytes - 1)


def functional(p: Any, g: torch.Tensor) -> None:
    p.grad = torch._to_functional_tensor(g)


def inside_vmap(p: Any, g: torch.Tensor) -> None:
    def keep(x: torch.Tensor) -> torch.Tensor:
        p.grad = x
        return x.sum()

    torch.vmap(keep)(torch.stack([g, g]))


def inside_grad(p: Any, g: torch.Tensor) -> None:
    def keep(x: torch.Tensor) -> torch.Tensor:
        p.grad = x
        return x.sum()

    torch.func.grad(keep)(g)


def of_another_shape(p: Any, g: torch.Tensor) -> None:
    p.grad = g.clone()
    p.grad.resize_(2, 3)


def transposed_by_data(p: Any, g: torch.Tensor) -> None:
    p.grad = g.clone()
    p.grad.data = g.t()


def of_another_dtype_by_data(p: Any, g: torch.Tensor) -> None:
    p.grad = g.clone()
    p.grad.data = g.to(torch.bfloat16)


REFUSED: dict[Callable[[Any, torch.Tensor], None], str] = {
    as_subclass: "must be a plain tensor, got .*Wrapped",
    fake: "must be a plain tensor, got .*FakeTensor",
    sparse: "has layout torch.sparse_coo",
    with_freed_storage: "has 24 elements, and its storage does not hold them",
    functional: ".*storage does not hold them",
    inside_vmap: ".*storage does not hold them",
    inside_grad: ".*storage does not hold them",
    of_another_shape: r"is torch.float32 of shape \(2, 3\), its parameter",
    transposed_by_data: r"is torch.float32 of shape \(6, 4\), its parameter",
    of_another_dtype_by_data: "is torch.bfloat16 of shape .*, its parameter torch.flo",
}


def of_dtype(dtype: torch.dtype) -> Callable[[Any, torch.Tensor], None]:
    def put(p: Any, g: torch.Tensor) -> None:
        p.grad_dtype = None
        p.grad = g.to(dtype)

    put.__name__ = f"of {dtype}"
    return put


def of_grad_dtype_bfloat16(p: Any, g: torch.Tensor) -> None:
    p.grad = None
    p.grad_dtype = torch.bfloat16
    p.grad = g.to(torch.bfloat16)


def quantized(p: Any, g: torch.Tensor) -> None:
    p.grad_dtype = None
    p.grad = torch.quantize_per_tensor(g, 0.1, 0, torch.qint8)


if HAS_GRAD_DTYPE:
    REFUSED |= {
        of_dtype(dtype): f"is {dtype} of shape .*; set p.grad to a tensor of that dtype"
        for dtype in (
            *(torch.float64, torch.bfloat16, torch.float16, torch.complex64),
            *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64),
            *(torch.bool, torch.float8_e5m2, torch.float8_e4m3fn, torch.uint16),
        )
    }
    REFUSED[of_grad_dtype_bfloat16] = "is torch.bfloat16 of shape"
    REFUSED[quantized] = "is torch.qint8 of shape"


def everything(p: torch.Tensor, optimizer: Any) -> list[torch.Tensor]:
    states = [x for state in optimizer.state.values() for x in state.values()]
    return [t.detach().clone() for t in (p, *states)]


@pytest.mark.parametrize("by_dlpack", [True, False])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", ["SGD with momentum", "AdamW", "CPUOffload"])
@pytest.mark.parametrize("put", REFUSED, ids=lambda put: put.__name__)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_gradient_that_cannot_be_read_is_refused_and_no_byte_changed(
    put: Any, rule: str, order: Any, by_dlpack: bool, monkeypatch: Any
) -> None:
    if not by_dlpack:  # as before torch 2.10
        monkeypatch.setattr(bound, "_CAPSULE", None)
    for steps_before in (0, 1):
        good = torch.nn.Parameter(values(torch.float32, 4))
        bad = torch.nn.Parameter(order(values(torch.float32, 1)))
        optimizer = RULES[rule]([good, bad])
        for _ in range(steps_before):
            good.grad, bad.grad = torch.ones(SHAPE), torch.ones(SHAPE)
            optimizer.step()
        good.grad = torch.ones(SHAPE)
        put(bad, values(torch.float32, 2))
        before = [*everything(good, optimizer), bad.detach().clone()]
        where = r"\.step: the gradient of param_groups\[0\]\['params'\]\[1\]"
        with pytest.raises((TypeError, ValueError), match=f"{where} {REFUSED[put]}"):
            optimizer.step()
        after = [*everything(good, optimizer), bad.detach().clone()]
        assert len(after) == len(before)
        assert all(map(torch.equal, before, after))
        # A plain gradient in its place is stepped as if nothing had been.
        if HAS_GRAD_DTYPE:
            bad.grad = None
            bad.grad_dtype = torch.float32
        bad.grad = values(torch.float32, 2)
        optimizer.step()
        assert not torch.equal(bad, before[-1])


@pytest.mark.parametrize(
    "put",
    [
        with_shrunk_storage,
        with_shrunk_storage_at_an_offset,
        with_shrunk_storage_and_strides,
    ],
)
@pytest.mark.parametrize("rule", ["SGD", "AdamW", "CPUOffload"])
def test_a_gradient_beyond_its_storage_is_not_copied(
    put: Any, rule: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(bound, "_CAPSULE", None)  # not read where it is
    p = parameter()
    put(p, values(torch.float32, 2))
    with pytest.raises(ValueError, match="has 24 elements, and its storage does not"):
        RULES[rule]([p]).step()
    assert torch.equal(p, parameter())


def indices_beyond(p: Any) -> torch.Tensor:
    return torch.tensor([[1, 4]])


def indices_below_zero(p: Any) -> torch.Tensor:
    return torch.tensor([[1, -1]])


@pytest.mark.parametrize("rule", ["SGD", "Adagrad"])
@pytest.mark.parametrize("make_indices", [indices_beyond, indices_below_zero])
@pytest.mark.parametrize("is_coalesced", [False, True])
def test_a_sparse_gradient_with_rows_outside_its_shape_is_refused(
    make_indices: Any, rule: str, is_coalesced: bool
) -> None:
    good, bad = parameter(), parameter()
    optimizer = getattr(gst, rule)([good, bad], lr=0.1)
    good.grad = torch.ones(SHAPE)
    bad.grad = torch.sparse_coo_tensor(
        make_indices(bad),
        torch.ones(2, 6),
        SHAPE,
        is_coalesced=is_coalesced,
        check_invariants=False,
    )
    with pytest.raises(ValueError, match=r"\[1\] is no valid sparse tensor: .*"):
        optimizer.step()
    assert torch.equal(good, parameter())
    assert torch.equal(bad, parameter())


def test_a_sparse_gradient_that_only_claims_to_be_coalesced_is_refused() -> None:
    p = parameter()
    p.grad = torch.sparse_coo_tensor(
        torch.tensor([[1, 1]]),
        torch.ones(2, 6),
        SHAPE,
        is_coalesced=True,
        check_invariants=False,
    )
    with pytest.raises(ValueError, match="is no valid sparse tensor"):
        gst.SGD([p], lr=0.1).step()
    assert torch.equal(p, parameter())


def freed(t: torch.Tensor) -> torch.Tensor:
    copied = torch.empty_strided(t.shape, t.stride()).copy_(t)
    copied.untyped_storage().resize_(0)
    return copied


def shrunk(t: torch.Tensor) -> torch.Tensor:
    copied = torch.empty_strided(t.shape, t.stride()).copy_(t)
    copied.untyped_storage().resize_(t.nbytes - 1)
    return copied


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spoil", [freed, shrunk])
@pytest.mark.parametrize("rule", RULES)
def test_a_parameter_whose_storage_was_freed_is_refused(
    spoil: Any, rule: str, order: Any
) -> None:
    for steps_before in (0, 1):
        good = torch.nn.Parameter(values(torch.float32, 4))
        bad = torch.nn.Parameter(order(values(torch.float32, 1)))
        optimizer = RULES[rule]([good, bad])
        for _ in range(steps_before):
            good.grad, bad.grad = torch.ones(SHAPE), torch.ones(SHAPE)
            optimizer.step()
        good.grad, bad.grad = torch.ones(SHAPE), torch.ones(SHAPE)
        before = everything(good, optimizer)
        bad.data = spoil(bad.detach())
        with pytest.raises(ValueError, match=r"\['params'\]\[1\] has 24 elements, and"):
            optimizer.step()
        assert all(map(torch.equal, before, everything(good, optimizer)))


@pytest.mark.parametrize("spoil", [freed, shrunk])
def test_a_state_whose_storage_was_freed_is_refused(spoil: Any) -> None:
    p = parameter()
    optimizer = gst.AdamW([p], lr=0.1)
    p.grad = torch.ones(SHAPE)
    optimizer.step()
    before = p.detach().clone()
    state = optimizer.state[p]
    state["exp_avg"] = spoil(state["exp_avg"])
    with pytest.raises(ValueError, match=r"\['exp_avg'\] has 24 elements, and its"):
        optimizer.step()
    assert torch.equal(p, before)


def nested() -> Any:
    p = torch.nn.Parameter(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))
    torch.nested.to_padded_tensor(p, 0.0).sum().backward()
    return p


def without_memory() -> Any:
    p = torch.nn.Parameter(torch._efficientzerotensor(SHAPE))
    p.grad = torch.ones(SHAPE)
    return p


def mkldnn() -> Any:
    p = torch.nn.Parameter(torch.ones(SHAPE).to_mkldnn())
    p.grad = torch.ones(SHAPE).to_mkldnn()
    return p


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nested, "is a nested tensor; pass"),
        (without_memory, "has 24 elements, and its storage does not hold them"),
        (mkldnn, "has layout torch._mkldnn, expected torch.strided"),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_a_parameter_that_is_not_its_memory_is_refused(
    make: Any, message: str, rule: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        RULES[rule]([make()]).step()
