"""Training curves: ours beside torch's own class, from the same start, by one schedule.

Two optimizers that round differently part by about half an ulp of float32, 6e-8, in a
step, and a calm training forgets most of that: the losses here, themselves float32,
agree to 2e-7 for most rules, and to 2e-6 for those that divide by a small difference.
TOLERANCE leaves room for other orders of torch's sums. A training that amplifies
differences would pass it within 300 steps, so the learning rates are those of a calm
one. What is wrong is far above: a term left out, or 1 % of lr, shows as 5e-4 and more.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

import gradstep.torch as gst

STEPS = 300
TOLERANCE = 1e-5
BATCH = 32
BATCHES = 8
OURS: Any = gst

Model = tuple[nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]
Build = Callable[[Any], Any]


class MLP(nn.Module):
    """A few thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(12, 48), nn.Tanh(), nn.Linear(48, 32), nn.Tanh()),
            nn.Linear(32, 5),
        )

    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x)


class Transformer(nn.Module):
    """One layer of attention over sequences of 8 of 11 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 16)
        self.places = nn.Parameter(0.1 * torch.randn(8, 16))
        self.layer = nn.TransformerEncoderLayer(
            16, 2, dim_feedforward=32, dropout=0.0, batch_first=True
        )
        self.scores = nn.Linear(16, 11)

    def forward(self, x: torch.Tensor) -> Any:
        return self.scores(self.layer(self.tokens(x) + self.places)).flatten(0, 1)


def mlp() -> Model:
    """With labels that are partly chance, so that the loss has a floor."""
    torch.manual_seed(1)
    model, teacher = MLP(), torch.randn(12, 5)
    x = torch.randn(BATCHES, BATCH, 12)
    y = (x @ teacher + 2 * torch.randn(BATCHES, BATCH, 5)).argmax(dim=-1)
    return model, list(zip(x, y, strict=True))


def transformer() -> Model:
    """Tokens in order of their size, some of them mistaken."""
    torch.manual_seed(2)
    model = Transformer()
    x = torch.randint(11, (BATCHES, BATCH, 8))
    noise = torch.randint(-1, 2, x.shape)
    y = (x.sort(dim=-1).values + noise).clamp(0, 10).flatten(1)
    return model, list(zip(x, y, strict=True))


MODELS = {"mlp": mlp, "transformer": transformer}


class Case(NamedTuple):
    """A class that both have, its options, and the schedule of its rate."""

    kind: str
    options: dict[str, Any]
    schedule: Build


def cosine(optimizer: Any) -> Any:
    return lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=1e-4)


def halving(optimizer: Any) -> Any:
    return lr_scheduler.StepLR(optimizer, 90, gamma=0.5)


def fading(optimizer: Any) -> Any:
    return lr_scheduler.ExponentialLR(optimizer, 0.994)


def level(optimizer: Any) -> Any:
    """For Rprop, whose lr is that of the first step only: ours refuses to change it."""
    return lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)


def one_cycle(optimizer: Any) -> Any:
    """The momentum, or the first beta, goes down and up again while lr goes up."""
    most = 1.5 * optimizer.param_groups[0]["lr"]
    return lr_scheduler.OneCycleLR(optimizer, max_lr=most, total_steps=STEPS + 1)


SGD = {"lr": 0.03, "weight_decay": 1e-3}
HEAVY = SGD | {"lr": 0.01, "momentum": 0.9}
MEAN = {"lr": 1e-3, "betas": (0.88, 0.99), "weight_decay": 0.03}
RMS = {"lr": 5e-4, "alpha": 0.97, "weight_decay": 1e-3, "eps": 1e-4}
CENTERED = {"centered": True}
CASES = {
    "sgd": Case("SGD", SGD, cosine),
    "momentum": Case("SGD", HEAVY, one_cycle),
    "dampening": Case("SGD", HEAVY | {"dampening": 0.3}, halving),
    "nesterov": Case("SGD", HEAVY | {"nesterov": True}, one_cycle),
    "adam": Case("Adam", MEAN, one_cycle),
    "adamw": Case("AdamW", MEAN, one_cycle),
    "adam amsgrad": Case("Adam", MEAN | {"amsgrad": True}, cosine),
    "adamw amsgrad": Case("AdamW", MEAN | {"amsgrad": True}, halving),
    "adagrad": Case(
        "Adagrad",
        {"lr": 0.02, "lr_decay": 1e-3, "weight_decay": 1e-3}
        | {"initial_accumulator_value": 0.1},
        cosine,
    ),
    "adadelta": Case(
        "Adadelta", {"lr": 0.5, "rho": 0.93, "weight_decay": 1e-3}, fading
    ),
    "rmsprop": Case("RMSprop", RMS, cosine),
    "rmsprop momentum": Case("RMSprop", RMS | {"momentum": 0.7}, halving),
    "rmsprop centered": Case("RMSprop", RMS | CENTERED, fading),
    "rmsprop both": Case("RMSprop", RMS | CENTERED | {"momentum": 0.7}, cosine),
    "rprop": Case("Rprop", {"lr": 1e-4, "step_sizes": (1e-6, 1e-3)}, level),
    "nadam": Case("NAdam", MEAN | {"momentum_decay": 0.02}, cosine),
    "nadam decoupled": Case("NAdam", MEAN | {"decoupled_weight_decay": True}, fading),
    "radam": Case("RAdam", MEAN, cosine),
    "radam decoupled": Case("RAdam", MEAN | {"decoupled_weight_decay": True}, halving),
    "adamax": Case("Adamax", MEAN, fading),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Both sides' gradients are sums in the same order then."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def curve(build: Callable[[], Model], make: Build, schedule: Build) -> torch.Tensor:
    """Train; return the loss at every step, in the model's own precision."""
    with torch.random.fork_rng(devices=()):
        model, data = build()
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer)
    losses = []
    for t in range(STEPS):
        x, y = data[t % BATCHES]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)


def both(model: str, case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Return our curve, and torch's."""
    ours = getattr(OURS, case.kind)
    theirs = getattr(torch.optim, case.kind)
    return (
        curve(MODELS[model], lambda p: ours(p, **case.options), case.schedule),
        curve(
            MODELS[model],
            lambda p: theirs(p, **case.options, foreach=False),
            case.schedule,
        ),
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", CASES)
def test_losses_are_torchs_at_every_step(model: str, name: str) -> None:
    ours, theirs = both(model, CASES[name])
    difference = ((ours - theirs).abs() / theirs).max().item()
    assert difference <= TOLERANCE
    # It has learned something, and not all there is: a loss of 0 compares badly.
    start, end = theirs[:BATCHES].mean(), theirs[-BATCHES:].mean()
    assert 0.1 * start < end < 0.95 * start
