"""Sparse gradients, not yet summed up, beside dense ones, where they are taken.

Each step has the gradient of one coordinate only, in two pieces at the same place. All
optimizers get that of one trajectory, so that roundings are not amplified.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from adapter_infos import INFOS, THEIRS, Options, cases

SPARSE = [name for name, info in INFOS.items() if info.supports_sparse]
DENSE = [name for name in INFOS if name not in SPARSE]
STEPS = 200
START = (1.5, 1.5)
NEAR: dict[torch.dtype, Any] = {
    torch.float32: {"rtol": 5e-6, "atol": 5e-6},
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
}


@pytest.fixture(autouse=True)
def _checked() -> Iterator[None]:
    """Check sparse tensors, which torch wants to be said one way or the other."""
    with torch.sparse.check_sparse_tensor_invariants():
        yield


def inputs() -> list[tuple[str, Options]]:
    """Return torch's inputs, with the rate that its entries ask for with sparse ones.

    What else these set to its neutral value, torch leaves out for them to be moving.
    """
    found: list[tuple[str, Options]] = [("Adagrad", {"lr": 0.2, "lr_decay": 0.01})]
    for case in cases(*SPARSE):
        asked, _ = INFOS[case.name].metadata_for_sparse
        options = {k: v for k, v in case.options().items() if k not in asked}
        options |= {"lr": asked["lr"]}
        if (case.name, options) not in found:
            found.append((case.name, options))
    return found


INPUTS = inputs()
each_input = pytest.mark.parametrize(
    ("name", "options"), INPUTS, ids=[f"{name}: {given}" for name, given in INPUTS]
)


def rosenbrock(p: torch.Tensor) -> torch.Tensor:
    x, y = p.detach()
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def slopes(p: torch.Tensor) -> torch.Tensor:
    x, y = p.detach()
    return torch.stack((-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)))


def pieces(p: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the gradient along one axis as a quarter of it and the rest."""
    g = slopes(p)[axis]
    values = torch.stack((g / 4, g - g / 4))
    return torch.sparse_coo_tensor(torch.tensor([[axis, axis]]), values, (2,))


def line(p: torch.Tensor, axis: int) -> torch.Tensor:
    return slopes(p) * (torch.arange(2) == axis)


def schedulers(name: str, optimizer: Any) -> list[Any]:
    return [make(optimizer) for make in INFOS[name].metadata_for_sparse[1]]


def schedule(made: list[Any], loss: torch.Tensor) -> None:
    for scheduler in made:
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(loss)
        else:
            scheduler.step()


def three(name: str, options: Options, params: list[torch.Tensor]) -> list[Any]:
    """Return two optimizers of ours and one of torch's, each of one parameter."""
    ours = INFOS[name].optim_cls
    theirs = THEIRS[name].optim_cls
    return [
        ours([params[0]], **options),
        ours([params[1]], **options),
        theirs([params[2]], **options, foreach=False),
    ]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("dtype", NEAR, ids=str)
@each_input
def test_sparse_gradients_lead_where_dense_ones_do(
    name: str, options: Options, dtype: torch.dtype, scheduled: bool
) -> None:
    params = [torch.tensor(START, dtype=dtype) for _ in range(3)]
    made = three(name, options, params)
    by = [schedulers(name, each) if scheduled else [] for each in made]
    for i in range(STEPS):
        first = params[0].clone()
        params[0].grad = params[2].grad = pieces(first, i % 2)
        params[1].grad = line(first, i % 2)
        for optimizer, its in zip(made, by, strict=True):
            optimizer.step()
            schedule(its, rosenbrock(first))
        for p in params[1:]:
            torch.testing.assert_close(p, params[0], **NEAR[dtype])
    before, after = rosenbrock(torch.tensor(START, dtype=dtype)), rosenbrock(params[0])
    assert after > before if options.get("maximize") else after < before


@pytest.mark.parametrize("flag", ["foreach", "fused"])
@each_input
def test_flags_change_no_bit_of_sparse_steps(
    name: str, options: Options, flag: str
) -> None:
    params = [torch.tensor(START) for _ in range(2)]
    plain, flagged = ({}, {flag: True})
    made = [
        INFOS[name].optim_cls([p], **options | more)
        for p, more in zip(params, (plain, flagged), strict=True)
    ]
    for i in range(6):
        g = pieces(params[0].clone(), i % 2)
        for p, optimizer in zip(params, made, strict=True):
            p.grad = g.clone()
            optimizer.step()
    assert torch.equal(*params)
    assert not torch.equal(params[0], torch.tensor(START))


@pytest.mark.parametrize("name", DENSE)
def test_others_refuse_sparse_gradients_and_change_nothing(name: str) -> None:
    first = cases(name)[0]
    p = torch.tensor(START)
    optimizer = first.make([p], **first.options())
    p.grad = line(p, 0)
    optimizer.step()
    before = p.clone()
    kept = {k: v.clone() for k, v in optimizer.state[p].items()}
    p.grad = pieces(p, 1)
    with pytest.raises((TypeError, RuntimeError), match="sparse"):
        optimizer.step()
    assert torch.equal(p, before)
    for key, value in kept.items():
        assert torch.equal(optimizer.state[p][key], value)


@each_input
def test_a_rate_that_changes_is_that_of_the_next_sparse_step(
    name: str, options: Options
) -> None:
    params = [torch.tensor(START, dtype=torch.float64) for _ in range(3)]
    made = three(name, options, params)
    by = [ExponentialLR(each, 0.7) for each in made]
    for i in range(6):
        first = params[0].clone()
        params[0].grad = params[2].grad = pieces(first, i % 2)
        params[1].grad = line(first, i % 2)
        for optimizer, its in zip(made, by, strict=True):
            optimizer.step()
            its.step()
        for p in params[1:]:
            torch.testing.assert_close(p, params[0], **NEAR[torch.float64])
    assert by[0].get_last_lr()[0] == pytest.approx(options["lr"] * 0.7**6)


@pytest.mark.parametrize("name", SPARSE)
def test_decay_and_sparse_gradients_are_refused_together(name: str) -> None:
    p = torch.tensor(START)
    optimizer = INFOS[name].optim_cls([p], lr=0.1, weight_decay=0.2)
    p.grad = pieces(p, 1)
    with pytest.raises((RuntimeError, TypeError, ValueError), match="weight_decay"):
        optimizer.step()
    assert torch.equal(p, torch.tensor(START))
