"""Complex parameters are pairs of real ones, for every class and input of theirs."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from adapter_infos import THEIRS, Case, cases, titles

CASES = cases(flags=True)
DTYPES = {torch.complex64: torch.float32, torch.complex128: torch.float64}
# Real and imaginary parts by themselves have other norms than pairs of them.
NORMED = {"LAMB", "LARS"}
STEPS = 8  # ScheduleFreeRAdam rests in its first five
APART = [case for case in CASES if case.name not in NORMED]
PLAIN = cases(*THEIRS)

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def drawn(dtype: torch.dtype) -> list[torch.Tensor]:
    """Return two complex tensors, one of them in a row-major view, and a real one."""
    source = torch.Generator().manual_seed(23)
    real = DTYPES[dtype]
    return [
        torch.randn(10, 5, dtype=dtype, generator=source),
        torch.randn(5, 10, dtype=dtype, generator=source).t(),
        torch.randn(10, 5, dtype=real, generator=source),
    ]


def pairs(t: torch.Tensor) -> torch.Tensor:
    found = torch.view_as_real(t) if t.is_complex() else t
    return found.detach()


def gradients(params: list[torch.Tensor], i: int) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(100 + i)
    return [torch.randn(p.shape, dtype=p.dtype, generator=source) for p in params]


@each_dtype
@pytest.mark.parametrize("case", CASES, ids=titles(CASES))
def test_complex_numbers_are_stepped_as_pairs(case: Case, dtype: torch.dtype) -> None:
    ours = drawn(dtype)
    real = [pairs(p).clone() for p in ours]
    start = [p.clone() for p in real]
    with_complex = case.make(ours, **case.options())
    with_real = case.make(real, **case.options())
    for i in range(STEPS):
        for p, q, g in zip(ours, real, gradients(ours, i), strict=True):
            p.grad, q.grad = g, pairs(g).clone()
        with_complex.step()
        with_real.step()
        for p, q in zip(ours, real, strict=True):
            assert torch.equal(pairs(p), q)
    assert not any(torch.equal(p, q) for p, q in zip(real, start, strict=True))
    for p, q in zip(ours, real, strict=True):
        for key, value in with_real.state[q].items():
            assert torch.equal(pairs(with_complex.state[p][key]), value)


@pytest.mark.parametrize("case", PLAIN, ids=titles(PLAIN))
def test_complex_steps_are_those_of_torch(case: Case) -> None:
    ours = drawn(torch.complex128)
    theirs = [p.clone() for p in ours]
    optimizer = case.make(ours, **case.options())
    torchs = THEIRS[case.name].optim_cls(theirs, **case.options(), foreach=False)
    # torch keeps NAdam's product of momenta in float32.
    near: Any = {"rtol": 1e-8 if case.name == "NAdam" else 1e-12, "atol": 1e-14}
    for i in range(STEPS):
        for p, q, g in zip(ours, theirs, gradients(ours, i), strict=True):
            p.grad, q.grad = g, g.clone()
        optimizer.step()
        torchs.step()
        assert_close(ours, theirs, **near)
    for p, q in zip(ours, theirs, strict=True):
        for key, value in torchs.state[q].items():
            if value is not None and key != "mu_product":
                assert_close(optimizer.state[p][key], value, **near)


@each_dtype
@pytest.mark.parametrize("case", APART, ids=titles(APART))
def test_real_and_imaginary_parts_go_their_own_ways(
    case: Case, dtype: torch.dtype
) -> None:
    whole = torch.tensor([0.3 + 1.1j, -0.7 + 0.4j], dtype=dtype, requires_grad=True)
    parts = [t.detach().clone().requires_grad_() for t in (whole.real, whole.imag)]
    start = whole.detach().clone()
    first = case.make([whole], **case.options())
    second = case.make(parts, **case.options())
    near: Any = {"rtol": 2e-6 if dtype == torch.complex64 else 1e-13, "atol": 0}
    for _ in range(STEPS):
        first.zero_grad()
        second.zero_grad()
        bowl(whole).backward()
        bowl(torch.complex(*parts)).backward()
        for p, q in zip((whole.grad.real, whole.grad.imag), parts, strict=True):
            assert_close(p, q.grad, rtol=1e-5, atol=1e-5)
            q.grad = p.clone()  # whose roundings must not be amplified
        first.step()
        second.step()
        for p, q in zip((whole.real, whole.imag), parts, strict=True):
            # Sums over all elements, which some rules take, may round differently.
            assert_close(p, q, **near)
    assert not torch.equal(whole, start)


def bowl(z: torch.Tensor) -> torch.Tensor:
    """Return a real function of two complex numbers, with a curved valley."""
    x, y = z
    return ((1 - x) ** 2 + 2 * (y - x**2) ** 2).abs()
