"""torch's schedulers, by torch's names and arguments, over `gradstep.schedules`.

What each schedule computes, its ranges and errors stand with the schedule. All take
`hyperparameter` and mean by `last_epoch` what `LRScheduler` does.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from gradstep import schedules
from gradstep.hyper import HasGroups
from gradstep.lr_scheduler.scheduler import LRScheduler

# One for all groups, or one for each.
Functions: TypeAlias = Callable[[float], float] | Sequence[Callable[[float], float]]


class StepLR(LRScheduler):
    """`schedules.Step`: by `gamma` every `step_size` steps.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> opt = gs.SGD(np.ones(3), lr=0.8)
    >>> scheduler = gs.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> for _ in range(5):
    ...     opt.step(np.ones(3))
    ...     scheduler.step()
    >>> opt.lr
    0.2
    """

    def __init__(
        self,
        optimizer: HasGroups,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.Step(step_size, gamma)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class MultiStepLR(LRScheduler):
    """`schedules.MultiStep`: by `gamma` at each milestone.

    A milestone listed twice is refused; torch multiplies twice.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        # A set or an iterator is as good as a sequence.
        schedule = schedules.MultiStep(milestones, gamma)  # type: ignore[arg-type]
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class ConstantLR(LRScheduler):
    """`schedules.Constant`: `factor` times the base, for `total_iters` steps.

    ``factor=0`` is 0 and then the base, where torch divides by it; ``total_iters=0`` is
    the base from the start, where torch keeps the factor for ever.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.Constant(factor, total_iters)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class LinearLR(LRScheduler):
    """`schedules.Linear`: evenly from one factor to another.

    ``total_iters=0`` is the end from the start, where torch keeps the start for ever.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.Linear(start_factor, end_factor, total_iters)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class ExponentialLR(LRScheduler):
    """`schedules.Exponential`: by `gamma` at each step."""

    def __init__(
        self,
        optimizer: HasGroups,
        gamma: float,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.Exponential(gamma)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class ExponentialDecayLR(LRScheduler):
    """`schedules.ExponentialDecay`: the base times exp(-k t). Not in torch."""

    def __init__(
        self,
        optimizer: HasGroups,
        k: float,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.ExponentialDecay(k)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class InverseTimeLR(LRScheduler):
    """`schedules.InverseTime`: the base / (1 + k t). Not in torch."""

    def __init__(
        self,
        optimizer: HasGroups,
        k: float,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.InverseTime(k)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class PolynomialLR(LRScheduler):
    """`schedules.Polynomial`: to 0 in `total_iters` steps.

    ``total_iters=0`` is 0 from the start, where torch keeps the base.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.Polynomial(total_iters, power)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class CosineAnnealingLR(LRScheduler):
    """`schedules.CosineAnnealing`: along a cosine to `eta_min` in `T_max` steps.

    It stays there; torch rises again, as does ``periodic=True``.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        *,
        periodic: bool = False,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.CosineAnnealing(T_max, eta_min, periodic)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class CosineAnnealingWarmRestarts(LRScheduler):
    """`schedules.CosineAnnealingWarmRestarts`: cosines, each `T_mult` times as long.

    `last_epoch` may lie in any cycle; torch then takes it to be in the first.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.CosineAnnealingWarmRestarts(T_0, T_mult, eta_min)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class WarmupStableDecayLR(LRScheduler):
    """`schedules.WarmupStableDecay`: up, along, and down. Not in torch."""

    def __init__(
        self,
        optimizer: HasGroups,
        warmup_steps: int,
        stable_steps: int,
        decay_steps: int,
        decay: str = "linear",
        min_factor: float = 0.0,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.WarmupStableDecay(
            warmup_steps, stable_steps, decay_steps, decay, min_factor
        )
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class InverseSqrtLR(LRScheduler):
    """`schedules.InverseSqrt`: Noam's. Not in torch."""

    def __init__(
        self,
        optimizer: HasGroups,
        warmup_steps: int,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.InverseSqrt(warmup_steps)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class ExponentialStepSizeLR(LRScheduler):
    """`schedules.ExponentialStepSize`: to `beta` / T in T steps. Not in torch."""

    def __init__(
        self,
        optimizer: HasGroups,
        T: int,
        beta: float = 1.0,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        schedule = schedules.ExponentialStepSize(T, beta)
        super().__init__(optimizer, schedule, last_epoch, hyperparameter=hyperparameter)


class LambdaLR(LRScheduler):
    """`schedules.Lambda`: the base times the caller's function of t.

    `lr_lambda` is one function, or a sequence with one for each group.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        lr_lambda: Functions,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        each = _of_each(type(self).__name__, schedules.Lambda, lr_lambda)
        super().__init__(optimizer, each, last_epoch, hyperparameter=hyperparameter)


class MultiplicativeLR(LRScheduler):
    """`schedules.Multiplicative`: the base times the product of the caller's factors.

    `lr_lambda` is one function, or a sequence with one for each group.
    """

    def __init__(
        self,
        optimizer: HasGroups,
        lr_lambda: Functions,
        last_epoch: int = -1,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        each = _of_each(type(self).__name__, schedules.Multiplicative, lr_lambda)
        super().__init__(optimizer, each, last_epoch, hyperparameter=hyperparameter)


def _of_each(
    owner: str,
    kind: Callable[[Callable[[float], float]], schedules.Schedule],
    lr_lambda: Functions,
) -> schedules.Schedule | list[schedules.Schedule]:
    """Return a schedule by each function, or one for all by the only function."""
    several = None if callable(lr_lambda) else lr_lambda
    is_one = not isinstance(several, Iterable)
    functions: list[Any] = [lr_lambda] if several is None or is_one else list(several)
    for fn in functions:
        if not callable(fn):
            raise TypeError(
                f"{owner}: lr_lambda must be callable, got {type(fn).__name__}"
            )
    each = [kind(fn) for fn in functions]
    return each[0] if is_one else each
