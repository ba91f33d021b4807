"""A network trained with states in fewer bits ends where float32's does."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import gradstep as gs

f4 = np.float32
SEEDS, EPOCHS, BATCH = range(5), 8, 64


def data() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(f4), np.eye(10, dtype=f4)[y]


def loss_and_gradients(P: list[Any], X: Any, Y: Any) -> tuple[float, list[Any]]:
    """Return the cross entropy of a network with 32 hidden units, and its gradients."""
    W, b, V, c = P
    h = np.maximum(X @ W + b, 0)
    z = h @ V + c
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = (p - Y) / f4(len(X))
    e = (d @ V.T) * (h > 0)
    loss = -np.log((p * Y).sum(1) + 1e-12).mean(dtype=float)
    return float(loss), [X.T @ e, e.sum(0), h.T @ d, d.sum(0)]


def trained(seed: int, cls: Any, options: dict[str, Any]) -> tuple[float, float]:
    """Return the loss at the end, and the bytes of state for each parameter."""
    (X, Y), rng = data(), np.random.default_rng(seed)
    P = [
        (rng.standard_normal((64, 32)) * 0.15).astype(f4),
        np.zeros(32, f4),
        (rng.standard_normal((32, 10)) * 0.2).astype(f4),
        np.zeros(10, f4),
    ]
    opt = cls(P, **options)
    for _ in range(EPOCHS):
        rows = rng.permutation(len(X))
        for i in range(0, len(X), BATCH):
            part = rows[i : i + BATCH]
            opt.step(loss_and_gradients(P, X[part], Y[part])[1])
    kept = [a for s in opt.state for a in s.values() if isinstance(a, np.ndarray)]
    size = sum(p.size for p in P)
    return loss_and_gradients(P, X, Y)[0], sum(a.nbytes for a in kept) / size


@pytest.mark.parametrize(
    ("cls", "options", "states"),
    [
        (gs.Adam, {"lr": 1e-3}, 2),
        (gs.AdamW, {"lr": 1e-3, "weight_decay": 0.05}, 2),
        (gs.Lion, {"lr": 3e-4, "weight_decay": 0.05}, 1),
        (gs.SGD, {"lr": 0.02, "momentum": 0.9}, 1),
    ],
)
def test_losses_are_those_of_float32_states(
    cls: Any, options: dict[str, Any], states: int
) -> None:
    found = {
        kind: np.mean(
            [
                trained(seed, cls, options | {"state_dtype": kind, "seed": seed})
                for seed in SEEDS
            ],
            axis=0,
        )
        for kind in (None, "bfloat16", "uint8")
    }
    plain = found[None][0]
    assert plain < 1.8  # of 2.3: something was learnt
    for kind, each in (("bfloat16", 2), ("uint8", 1)):
        loss, kept = found[kind]
        assert abs(loss / plain - 1) < 0.01
        # Scales are 4 bytes for 256 elements, or for a smaller array.
        assert states * each <= kept < states * each * 1.03
        print(f"{cls.__name__}, {kind}: {kept:.2f} bytes, loss {loss / plain:.4f}")
    assert found[None][1] == 4 * states
