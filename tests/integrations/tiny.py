"""Models and data small enough to train in a second, and how runs are compared."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

# How far a loss may be from the one with torch.optim.
CURVE = 1e-4
# With autocast, where weights that differ in their last bit may round to neighbouring
# bfloat16 numbers, which are 2^-8 of their size apart.
BF16_CURVE = 1e-2


def language_model(seed: int = 0) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=31,
        n_positions=12,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return GPT2LMHeadModel(config)


def sentences(n: int = 48) -> list[dict[str, torch.Tensor]]:
    """Sequences that go up by steps of their own, which can be learnt."""
    generator = torch.Generator().manual_seed(1)
    starts = torch.randint(0, 31, (n, 1), generator=generator)
    steps = torch.randint(1, 4, (n, 1), generator=generator)
    ids = (starts + steps * torch.arange(12)) % 31
    return [{"input_ids": row, "labels": row} for row in ids]


def regression(n: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(n, 5, generator=generator)
    return x, (x.sum(1, keepdim=True) + 0.5 * x[:, :1] ** 2)


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)
    )


def parameters(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def assert_same_curve(
    ours: Sequence[float], theirs: Sequence[float], within: float = CURVE
) -> None:
    """Assert that losses agree, and that they go down."""
    assert len(ours) == len(theirs) > 4
    assert min(ours[-3:]) < 0.98 * ours[0]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < within
