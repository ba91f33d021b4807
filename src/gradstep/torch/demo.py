"""`python -m gradstep demo --torch`: the network of the tutorial, and its training."""

from typing import NamedTuple

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from gradstep import torch as gst

try:
    from sklearn.datasets import load_digits
except ImportError as missing:
    raise ImportError(
        "the demonstration of gradstep.torch needs scikit-learn, for its digits; "
        "pip install scikit-learn"
    ) from missing

SEED = 0
EPOCHS = 12
BATCH = 50
HELD_OUT = 360  # of 1797, about a fifth
WHITE = 16.0  # the digits' brightest pixel


class Network(nn.Module):
    """Two linear layers, and a ReLU between them."""

    def __init__(self, inputs: int = 64, hidden: int = 100, classes: int = 10) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return how much speaks for each class."""
        scores: torch.Tensor = self.fc2(self.relu(self.fc1(x)))
        return scores


class Split(NamedTuple):
    """The digits in mini-batches."""

    train: DataLoader[tuple[torch.Tensor, ...]]
    test: DataLoader[tuple[torch.Tensor, ...]]


def digits() -> Split:
    """Return scikit-learn's digits, of which some are held out at random."""
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels, dtype=torch.float32) / WHITE
    y = torch.tensor(labels, dtype=torch.int64)
    order = torch.randperm(len(x))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    return Split(
        DataLoader(TensorDataset(x[train], y[train]), BATCH, shuffle=True),
        DataLoader(TensorDataset(x[test], y[test]), BATCH),
    )


def train(model: nn.Module, split: Split, optimizer: torch.optim.Optimizer) -> float:
    """Go once through the training part; return the loss of the last mini-batch."""
    criterion = nn.CrossEntropyLoss()
    last = 0.0
    for images, labels in split.train:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = loss.item()
    return last


@torch.no_grad()
def accuracy(model: nn.Module, split: Split) -> float:
    """Return the percentage of the held-out part that is classified correctly."""
    correct = total = 0
    for images, labels in split.test:
        correct += int((model(images).argmax(dim=1) == labels).sum())
        total += len(labels)
    return 100 * correct / total


def fit() -> float:
    """Train and report, epoch by epoch; return the last accuracy in percent."""
    split, model = digits(), Network()
    optimizer = gst.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scheduler = ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=0)
    reached = 0.0
    for epoch in range(EPOCHS):
        loss = train(model, split, optimizer)
        reached = accuracy(model, split)
        print(f"Epoch {epoch} completed")
        print(f"Loss: {loss}. Accuracy: {reached}")
        print("-" * 20)
        scheduler.step(reached)
    return reached


def main() -> float:
    """Run it, the same every time; return the final accuracy, between 0 and 1."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        # Sums come out the same then, and sooner: the matrices are small.
        torch.set_num_threads(1)
        try:
            return fit() / 100
        finally:
            torch.set_num_threads(threads)
