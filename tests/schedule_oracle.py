"""What the schedulers are to give, in decimals: their definitions, none of our code.

`base` is where the group's lr stood at first. The functions take torch's arguments, by
torch's names.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def power(x: float, n: int) -> Decimal:
    return Decimal(x) ** n if n else Decimal(1)


def half_cosine(q: Decimal) -> Decimal:
    """(1 + cos(pi q)) / 2, which is sin^2(pi (1 - q) / 2): 0 at q = 1."""
    x = PI * (1 - q) / 2
    term = total = x
    n = 1
    while abs(term) > Decimal("1e-60"):
        n += 2
        term *= -x * x / (n * (n - 1))
        total += term
    return total * total


def step(t: int, base: Decimal, step_size: int, gamma: float = 0.1) -> Decimal:
    return base * power(gamma, t // step_size)


def multi_step(
    t: int, base: Decimal, milestones: Sequence[int], gamma: float = 0.1
) -> Decimal:
    return base * power(gamma, sum(m <= t for m in milestones))


def constant(
    t: int, base: Decimal, factor: float = 1 / 3, total_iters: int = 5
) -> Decimal:
    return base * Decimal(factor) if t < total_iters else base


def linear(
    t: int,
    base: Decimal,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> Decimal:
    q = Decimal(min(t, total_iters)) / total_iters
    return base * ((1 - q) * Decimal(start_factor) + q * Decimal(end_factor))


def exponential(t: int, base: Decimal, gamma: float) -> Decimal:
    return base * power(gamma, t)


def polynomial(
    t: int, base: Decimal, total_iters: int = 5, power: float = 1.0
) -> Decimal:
    left = Decimal(max(total_iters - t, 0)) / total_iters
    return base * left ** Decimal(power) if power else base


def cosine(
    t: int,
    base: Decimal,
    T_max: int,
    eta_min: float = 0.0,
    periodic: bool = False,
) -> Decimal:
    assert periodic or t <= T_max
    t %= 2 * T_max
    low = Decimal(eta_min)
    return low + (base - low) * half_cosine(Decimal(min(t, 2 * T_max - t)) / T_max)


def warm_restarts(
    t: int, base: Decimal, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> Decimal:
    while t >= T_0:
        t, T_0 = t - T_0, T_0 * T_mult
    return cosine(t, base, T_0, eta_min)


def lambda_(t: int, base: Decimal, lr_lambda: Callable[[int], float]) -> Decimal:
    return base * Decimal(lr_lambda(t))


def multiplicative(t: int, base: Decimal, lr_lambda: Callable[[int], float]) -> Decimal:
    for i in range(1, t + 1):
        base *= Decimal(lr_lambda(i))
    return base


def anneal(t: int, ends: Sequence[Any], values: Sequence[Any], cos: bool) -> Decimal:
    begin = Decimal(0)
    for end, old, new in zip(ends, values, values[1:]):
        if t <= end:
            q = (t - begin) / (end - begin)
            q = half_cosine(q) if cos else 1 - q
            return old * q + new * (1 - q)
        begin = end
    raise AssertionError


def one_cycle(
    t: int,
    base: Decimal | None,
    max_lr: float,
    total_steps: int | None = None,
    epochs: int = 0,
    steps_per_epoch: int = 0,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Decimal:
    """The momentum, if base is None."""
    steps = total_steps or epochs * steps_per_epoch
    up = Decimal(pct_start * steps)  # rounded: 0.3 of 600 steps are 180
    peak = Decimal(max_lr)
    first = peak / Decimal(div_factor)
    values = [first, peak, first, first / Decimal(final_div_factor)]
    if base is None:
        low, high = Decimal(base_momentum), Decimal(max_momentum)
        values = [high, low, high, high]
    ends = [up - 1, 2 * up - 2, Decimal(steps - 1)]
    if not three_phase:
        del ends[1], values[2]
    return anneal(t, ends, values, anneal_strategy == "cos")


def cyclic(
    t: int,
    base: Decimal | None,
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[int], float] | None = None,
    scale_mode: str = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Decimal:
    """The momentum, if base is None."""
    down = step_size_down or step_size_up
    cycle, t_cycle = divmod(t, step_size_up + down)
    if t_cycle <= step_size_up:
        height = Decimal(t_cycle) / step_size_up
    else:
        height = Decimal(step_size_up + down - t_cycle) / down
    if scale_fn is not None:
        height *= Decimal(scale_fn(cycle + 1 if scale_mode == "cycle" else t))
    elif mode == "triangular2":
        height /= 2**cycle
    elif mode == "exp_range":
        height *= power(gamma, t)
    first, peak = (max_momentum, base_momentum) if base is None else (base_lr, max_lr)
    return Decimal(first) * (1 - height) + Decimal(peak) * height


DEFINITIONS: dict[str, Callable[..., Decimal]] = {
    "StepLR": step,
    "MultiStepLR": multi_step,
    "ConstantLR": constant,
    "LinearLR": linear,
    "ExponentialLR": exponential,
    "PolynomialLR": polynomial,
    "CosineAnnealingLR": cosine,
    "CosineAnnealingWarmRestarts": warm_restarts,
    "OneCycleLR": one_cycle,
    "CyclicLR": cyclic,
    "LambdaLR": lambda_,
    "MultiplicativeLR": multiplicative,
}
# Arguments with one value for each group, if they are lists.
BY_GROUP = {"max_lr", "base_lr", "base_momentum", "max_momentum", "lr_lambda"}


def defined(
    name: str, options: Mapping[str, Any], t: int, base: Decimal | None, group: int
) -> Decimal:
    """The value of step t in a group, or its momentum, if base is None."""
    own = {
        k: v[group] if k in BY_GROUP and isinstance(v, list) else v
        for k, v in options.items()
    }
    return DEFINITIONS[name](t, base, **own)
