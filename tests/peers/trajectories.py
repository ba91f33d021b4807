"""What the trajectories share: 200 steps of a class, and of its counterpart elsewhere.

Both start at the same numbers and are given gradients at where they are themselves, so
that an error in one step feeds back into all that follow. Learning rates warm up and
decay, those of each group by a schedule of its own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import gradstep as gs

STEPS = 200
COMPARED = {1, 2, 3, 4, 5, 6, 7, 12, 20, 33, 54, 88, 143, STEPS}
BOUND = 1e-12

# Two groups of two arrays, the last of which is in Fortran order if it can be.
SHAPES = (((7, 3), (1, 5)), ((11, 1), (2, 3, 4)))

# No value is neutral, and none is shared by the two groups.
NUMBERS: tuple[dict[str, Any], dict[str, Any]] = (
    {
        "lr": 0.05,
        "weight_decay": 0.12,
        "eps": 0.013,
        "betas": (0.87, 0.95),
        "momentum": 0.83,
        "dampening": 0.21,
        "rho": 0.89,
        "alpha": 0.91,
        "lr_decay": 0.05,
        "momentum_decay": 0.029,
        "etas": (0.57, 1.31),
        "step_sizes": (0.0021, 0.33),
        "trust_coefficient": 0.13,
        "warmup_steps": 12,
        "r": 0.7,
        "weight_lr_power": 1.6,
    },
    {
        "lr": 0.02,
        "weight_decay": 0.07,
        "eps": 0.0031,
        "betas": (0.93, 0.985),
        "momentum": 0.71,
        "dampening": 0.34,
        "rho": 0.78,
        "alpha": 0.97,
        "lr_decay": 0.02,
        "momentum_decay": 0.0047,
        "etas": (0.43, 1.17),
        "step_sizes": (0.0013, 0.21),
        "trust_coefficient": 0.08,
        "warmup_steps": 31,
        "r": 1.3,
        "weight_lr_power": 2.3,
    },
)

Options = tuple[Mapping[str, Any], Mapping[str, Any]]
Groups = list[dict[str, Any]]
Make = Callable[[Groups], Any]
# Ours, by the peer's name for it or by what it is computed from there.
States = Mapping[str, str | Callable[[dict[str, Any]], Any]]


def numbers(names: str, *extra: Mapping[str, Any]) -> Options:
    """These numbers for either group, and what else the first and the last have."""
    first, second = ({k: given[k] for k in names.split()} for given in NUMBERS)
    if extra:
        first, second = first | dict(extra[0]), second | dict(extra[-1])
    return first, second


def rotated(*variants: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Each variant beside the next, so that each is in either group once."""
    return [(v, variants[i - len(variants) + 1]) for i, v in enumerate(variants)]


def made(optimizer: Callable[..., Any], options: Options, **all_: Any) -> Make:
    """What builds an optimizer with these options of its groups."""

    def make(groups: Groups) -> Any:
        return optimizer([{**g, **o} for g, o in zip(groups, options)], **all_)

    return make


def begun(optimizer: Any, **states: float) -> Any:
    """A torch optimizer whose lazy states have begun, at these numbers."""

    def make(groups: Groups, **options: Any) -> Any:
        built = optimizer(groups, foreach=False, **options)
        for group in built.param_groups:
            for p in group["params"]:
                built.state[p] = {k: torch.full_like(p, x) for k, x in states.items()}
                if optimizer is not torch.optim.SGD:
                    built.state[p]["step"] = torch.zeros(())
        return built

    return make


def renamed(options: Options, **names: str) -> Options:
    """Options under the names that another library has for them."""
    first, second = ({names.get(k, k): x for k, x in o.items()} for o in options)
    return first, second


@contextmanager
def doubles() -> Iterator[None]:
    """float64 as torch's default, in which it keeps scalars."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def slope(p: Any) -> Any:
    """The part of a gradient that depends on where the parameter is."""
    return 0.4 * np.sin(2 * p)


def grouped(flat: Iterable[Any]) -> list[list[Any]]:
    it = iter(flat)
    return [[next(it) for _ in shapes] for shapes in SHAPES]


def assert_within(actual: Any, expected: Any, what: str, bound: float = BOUND) -> None:
    """Within the bound of the largest element: cancellation leaves single ones less."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    error, size = abs(actual - expected).max(), abs(expected).max()
    assert error <= bound * size, f"{what} is off by {error:.2g} of {size:.2g}"


class Pair:
    """An optimizer of ours and its peer, from the same numbers on."""

    def __init__(
        self, ours: Make, theirs: Make, late: bool = False, order: str = "F"
    ) -> None:
        self.rng = np.random.default_rng(0)
        shapes = [shape for group in SHAPES for shape in group]
        self.arrays = [self.rng.standard_normal(shape) for shape in shapes]
        self.arrays[-1] = np.asarray(self.arrays[-1], order=order)
        self.thetas = [torch.from_numpy(a.copy("K")) for a in self.arrays]
        self.ours: gs.Optimizer = ours(
            [{"params": arrays} for arrays in grouped(self.arrays)]
        )
        self.theirs = theirs([{"params": thetas} for thetas in grouped(self.thetas)])
        self.late = late
        self.t = 0

    def groups(self) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
        """Each group of ours, beside the peer's."""
        base = getattr(self.ours, "base", self.ours)
        return zip(base.param_groups, self.theirs.param_groups)

    def noise(self) -> list[NDArray[np.float64] | None]:
        """Of a size that varies, or AMSGrad's maximum would seldom matter.

        Where `late`, the second array has no gradient at first, and now and then.
        """
        scale = 10 ** self.rng.uniform(-1.5, 0.5)
        found: list[Any] = [
            scale * self.rng.standard_normal(a.shape) for a in self.arrays
        ]
        if self.late and (self.t <= 3 or self.t % 7 == 0):
            found[1] = None
        return found

    def schedule(self, *bases: float) -> None:
        """Give both optimizers the learning rates of this step."""
        for j, (base, groups) in enumerate(zip(bases, self.groups())):
            warm = min(1, self.t / (15 + 10 * j))
            swing = 0.53 + 0.47 * math.cos((math.pi - j) * self.t / STEPS)
            for group in groups:
                group["lr"] = base * warm * swing

    def feed(self, noise: list[NDArray[np.float64] | None]) -> list[list[Any]]:
        """Give the peer its gradients; returns ours."""
        for theta, n in zip(self.thetas, noise):
            theta.grad = (
                None if n is None else torch.from_numpy(n + slope(theta.numpy()))
            )
        return grouped(
            None if n is None else n + slope(p) for p, n in zip(self.arrays, noise)
        )

    def assert_same(
        self, name: str, ours: Any, theirs: Any, bound: float = BOUND
    ) -> None:
        """What there is of all arrays is the same."""
        for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
            assert_within(x, y, f"{name} of array {i} at step {self.t}", bound)

    def compare(self, states: States, bound: float) -> None:
        """Parameters, and all states and scalars of those that have taken a step."""
        self.assert_same("p", self.arrays, self.thetas, bound)
        base = getattr(self.ours, "base", self.ours)
        known = self.theirs.state
        group_of = (g for g in self.theirs.param_groups for _ in g["params"])
        for i, (theta, group) in enumerate(zip(self.thetas, group_of, strict=True)):
            if self.late and self.t <= 3 and i == 1:
                continue
            kept = {"k": known.get("k"), **group, "p": theta, **known.get(theta, {})}
            ours = {**base.state[i], **self.ours.state[i]}
            count = kept.get("step", kept["k"])
            assert count is None or ours["step"] == count
            for name in ours.keys() - {"step"}:
                key = states[name]
                theirs = kept[key] if isinstance(key, str) else key(kept)
                where = f"{name} of array {i} at step {self.t}"
                assert_within(ours[name], theirs, where, bound)


def follow(
    ours: Make,
    theirs: Make,
    states: States,
    *,
    lr: Iterable[float] | None = (0.05, 0.02),
    late: bool = False,
    order: str = "F",
    before: Callable[[Pair], None] = lambda _: None,
    after: Callable[[Pair], None] = lambda _: None,
    check: Callable[[Pair], None] = lambda _: None,
    bound: float = BOUND,
) -> None:
    """Both go the same way for 200 steps, states and scalars included.

    `before` and `after` are done around the peer's step; `check` is one more
    comparison. Without `lr` there is no schedule.
    """
    with doubles():
        pair = Pair(ours, theirs, late, order)
        for pair.t in range(1, STEPS + 1):
            pair.schedule(*(lr or ()))
            gradients = pair.feed(pair.noise())
            before(pair)
            pair.theirs.step()
            after(pair)
            pair.ours.step(gradients)
            if pair.t in COMPARED:
                pair.compare(states, bound)
                check(pair)


def fed(theirs: Any, thetas: Iterable[torch.Tensor], gradients: Iterable[Any]) -> None:
    """A step of a peer by these gradients; None is none."""
    for theta, g in zip(thetas, gradients, strict=True):
        theta.grad = None if g is None else torch.from_numpy(g.copy())
    theirs.step()


class Raced(NamedTuple):
    """Where one array came to, and the optimizers."""

    ours: NDArray[Any]
    theirs: NDArray[Any]
    us: gs.Optimizer
    them: Any
    # The peer's state of it.
    kept: dict[str, Any]


def raced(
    p: Any,
    gradients: Iterable[NDArray[Any]],
    ours: Callable[..., gs.Optimizer],
    theirs: Callable[..., Any],
    **options: Any,
) -> Raced:
    """One array, by the same gradients and options, with us and with them."""
    p = np.array(p)
    theta = torch.from_numpy(p.copy())
    us, them = ours(p, **options), theirs([theta], **options)
    for g in gradients:
        fed(them, [theta], [g])
        us.step(g)
    return Raced(p, theta.numpy(), us, them, them.state[theta])


def off(actual: Any, expected: Any) -> float:
    """The error relative to the largest element."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    return float(abs(actual - expected).max() / abs(expected).max())
