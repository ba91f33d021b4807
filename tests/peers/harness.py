"""What the comparisons with other libraries share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import reference

SIZE = 97
STEPS = 20

# Far from neutral, or a term left out would hide below the tolerance.
RANGES = {
    "lr": (0.01, 0.1),
    "weight_decay": (0.05, 0.5),
    "momentum": (0.5, 0.95),
    "inner_momentum": (0.5, 0.95),
    "dampening": (0.1, 0.6),
    "beta0": (0.1, 0.4),
    "beta1": (0.6, 0.95),
    "beta2": (0.8, 0.999),
    "beta3": (0.8, 0.999),
    "alpha": (0.6, 0.95),
    "initial": (0.1, 1.0),
    "rho": (0.6, 0.95),
    "lr_decay": (0.05, 0.5),
    "eps": (1e-3, 1e-1),
    "eps_acc": (1e-3, 1e-1),
    "eps_root": (1e-3, 1e-1),
    "stir": (0.1, 1.0),
    "eta_minus": (0.3, 0.7),
    "eta_plus": (1.1, 1.5),
    "step_min": (1e-3, 1e-2),
    "step_max": (0.1, 0.3),
    "momentum_decay": (0.05, 0.5),
    "warm": (0.2, 0.8),
    "threshold": (4.0, 8.0),
    "r": (0.5, 2.0),
    "weight_lr_power": (0.5, 3.0),
    "weight": (0.1, 0.9),
    "trust_coefficient": (0.01, 0.1),
}
WARMUP_STEPS = 6.0
FLAGS = {
    "decoupled",
    "dozat",
    "inclusive",
    "momentum_below",
    "eps_hat",
    "bias_correction",
    "fixed",
    "rectify",
    "degenerated",
    "eps_in_lr",
    "prox",
    "paper",
    "decay_at_z",
    "silent",
    "norm_of_sum",
    "lr_inside",
    "adapt",
    "dampen_first",
    "max_corrected",
    "nesterov",
}
# torch's argument for several hyperparameters of ours.
TUPLES = {
    "betas": ("beta0", "beta1", "beta2", "beta3"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}


class Peer(NamedTuple):
    """A rule's counterpart in another library."""

    rule: str
    optimizer: Callable[..., torch.optim.Optimizer]
    # Drawn at random, and given to both.
    hyper: str
    # Ours, by the names under which the optimizer keeps them in its state or group;
    # None if it does not.
    states: Mapping[str, str | None]
    # What only our rule is told, flags for the most part.
    ours: Mapping[str, float] = {}
    # States which do not start at zero: at a number, or (None) as the parameter.
    starts: Mapping[str, float | None] = {}


def draw_hyper(rng: np.random.Generator, names: str) -> dict[str, float]:
    return {
        name: WARMUP_STEPS if name == "warmup_steps" else rng.uniform(*RANGES[name])
        for name in names.split()
    }


def draw_gradient(rng: np.random.Generator) -> NDArray[np.float64]:
    # Of a size that varies between steps, or AMSGrad's maximum would seldom matter.
    return 10 ** rng.uniform(-2, 1) * rng.standard_normal(SIZE)


def as_options(hyper: Mapping[str, float]) -> dict[str, Any]:
    """Hyperparameters as torch's optimizers take them."""
    options: dict[str, Any] = dict(hyper)
    for argument, names in TUPLES.items():
        values = tuple(options.pop(name) for name in names if name in options)
        if values:
            options[argument] = values
    return options


def assert_close(actual: Any, expected: Any) -> None:
    # Relative to the whole array: cancellation leaves single elements no such accuracy.
    np.testing.assert_allclose(
        actual,
        expected,
        rtol=0,
        atol=1e-12 * np.max(np.abs(expected)),
        equal_nan=False,
        strict=True,
    )


def begin(
    p: NDArray[np.float64], states: Iterable[str], starts: Mapping[str, float | None]
) -> dict[str, Any]:
    """What a rule is given first; NaN for the scalars, which it has to ignore."""
    ours: dict[str, Any] = {"p": p}
    for name in states:
        value = starts.get(name, 0.0)
        ours[name] = p.copy() if value is None else np.full(SIZE, value)
        if name in reference.SCALARS:
            ours[name] = np.nan
    return ours


def assert_follows(peer: Peer, rng: np.random.Generator) -> None:
    """Rule and optimizer, by the same gradients, go the same way, states included."""
    hyper = draw_hyper(rng, peer.hyper)
    p = rng.standard_normal(SIZE)
    theta = torch.from_numpy(p.copy())
    optimizer = peer.optimizer([theta], **as_options(hyper))
    ours = begin(p, peer.states, peer.starts)
    group = optimizer.param_groups[0]

    for t in range(1, STEPS + 1):
        g = draw_gradient(rng)
        g[: t % 3] = 0.0
        if "lr" in hyper:
            # A schedule tells apart the forms with lr inside and outside a state.
            hyper["lr"] = group["lr"] = rng.uniform(*RANGES["lr"])
        theta.grad = torch.from_numpy(g.copy())
        optimizer.step()
        ours = reference.RULES[peer.rule](t=t, g=g, **ours, **hyper, **peer.ours)

        kept = {**optimizer.state[theta], **group}
        assert ours.keys() == {"p", *peer.states}
        assert_close(ours["p"], theta.numpy())
        for state, key in peer.states.items():
            if key is not None:
                assert_close(ours[state], np.asarray(kept[key]))


def assert_loops(
    rule: str,
    loop: Callable[..., list[dict[str, float]]],
    hyper: str,
    states: str,
    rng: np.random.Generator,
    flags: Mapping[str, float] = {},
    starts: Mapping[str, float | None] = {},
) -> None:
    """Rule and a loop over elements, written otherwise, go the same way.

    The loop takes the step number, gradients, an element each of p and all states, and
    hyperparameters and flags. For scalars it is any element's that counts.
    """
    drawn = draw_hyper(rng, hyper)
    ours = begin(rng.standard_normal(SIZE), states.split(), starts)
    first = {k: reference.SCALARS.get(k, x) for k, x in ours.items()}
    theirs = [
        {k: x if isinstance(x, float) else float(x[i]) for k, x in first.items()}
        for i in range(SIZE)
    ]

    for t in range(1, STEPS + 1):
        g = draw_gradient(rng)
        g[: t % 3] = 0.0
        if "lr" in drawn:
            drawn["lr"] = rng.uniform(*RANGES["lr"])
        ours = reference.RULES[rule](t=t, g=g, **ours, **drawn, **flags)
        theirs = loop(t, g.tolist(), theirs, **drawn, **flags)

        assert ours.keys() == theirs[0].keys()
        for state, value in ours.items():
            column = np.array([element[state] for element in theirs])
            assert_close(value, column if np.ndim(value) else column[0])


def each(
    step: Callable[..., dict[str, float]],
) -> Callable[..., list[dict[str, float]]]:
    """The loop of a rule whose elements have nothing to do with each other."""

    def loop(
        t: int, gradients: Sequence[float], elements: Any, **hyper: float
    ) -> list[dict[str, float]]:
        return [
            step(t, g, **element, **hyper)
            for g, element in zip(gradients, elements, strict=True)
        ]

    return loop


def choices(*names: str) -> list[dict[str, float]]:
    """All combinations of flags."""
    return [
        dict(zip(names, values, strict=True))
        for values in product([0.0, 1.0], repeat=len(names))
    ]
