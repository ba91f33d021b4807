"""Schedules that fall, in steps or smoothly, and those of the caller's own."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import field

from gradstep import _pinned
from gradstep.schedules.arguments import count, function, number, steps
from gradstep.schedules.schedule import Schedule


def called(owner: str, fn: Callable[[int], float], t: float) -> float:
    """Return the result of the caller's function as a float; infinity beyond all."""
    factor = fn(t)  # type: ignore[arg-type]  # one of float takes an int
    if type(factor) is float:
        return factor
    try:
        return float(factor)
    except OverflowError:
        return math.inf if factor > 0 else -math.inf
    except (TypeError, ValueError):
        kind = type(factor).__name__
        raise TypeError(f"{owner}: fn must return a number, got {kind}") from None


class Constant(Schedule):
    r"""A factor for a while: base times `factor` before step `total_iters`, then base.

    Parameters
    ----------
    factor : float, default 1/3
        In [0, inf).
    total_iters : int, default 5
        At least 0.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Constant(0.5, total_iters=2)(range(4), base=0.1).tolist()
    [0.05, 0.05, 0.1, 0.1]
    """

    factor: float = number(default=1 / 3)
    total_iters: int = count(default=5)

    def value(self, t: float, base: float) -> float:
        return base * self.factor if t < self.total_iters else base


class Linear(Schedule):
    r"""A factor that goes evenly from one number to another.

    .. math::
        \eta_t = \eta_0 \left( a (1 - q) + b q \right), \quad q = \min(t / T, 1)

    Parameters
    ----------
    start_factor : float, default 1/3
        :math:`a`, in [0, inf).
    end_factor : float, default 1
        :math:`b`, in [0, inf).
    total_iters : int, default 5
        :math:`T`, at least 0; with 0 the factor is :math:`b` at once.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Linear(0.0, 1.0, total_iters=4)(range(6), base=0.4).tolist()
    [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.4]
    """

    start_factor: float = number(default=1 / 3)
    end_factor: float = number(default=1.0)
    total_iters: int = count(default=5)

    def value(self, t: float, base: float) -> float:
        if t >= self.total_iters:
            return base * self.end_factor
        return base * _pinned.line(
            self.start_factor, self.end_factor, t, self.total_iters
        )


class Step(Schedule):
    r"""Step decay: :math:`\eta_t = \eta_0 \gamma^{\lfloor t / s \rfloor}`.

    Parameters
    ----------
    step_size : int
        :math:`s`, at least 1.
    gamma : float, default 0.1
        :math:`\gamma`, in [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Step(2, gamma=0.5)(range(5), base=0.8).tolist()
    [0.8, 0.8, 0.4, 0.4, 0.2]
    """

    step_size: int = count(least=1)
    gamma: float = number(default=0.1)

    def value(self, t: float, base: float) -> float:
        return base * _pinned.power(self.gamma, t // self.step_size)


class MultiStep(Schedule):
    r"""Step decay at given steps: :math:`\eta_0 \gamma^k` after k milestones.

    Parameters
    ----------
    milestones : sequence of int
        They rise; a milestone counts from its own step on.
    gamma : float, default 0.1
        :math:`\gamma`, in [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.MultiStep([1, 3], gamma=0.5)(range(5), base=0.8).tolist()
    [0.8, 0.4, 0.4, 0.2, 0.2]
    """

    milestones: Sequence[int] = steps()
    gamma: float = number(default=0.1)

    def value(self, t: float, base: float) -> float:
        passed = bisect_right(self.milestones, t)
        return base * _pinned.power(self.gamma, passed)


class Exponential(Schedule):
    r"""Exponential decay by a factor for each step: :math:`\eta_t = \eta_0 \gamma^t`.

    Parameters
    ----------
    gamma : float
        :math:`\gamma`, in [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Exponential(0.5)(range(4), base=0.8).tolist()
    [0.8, 0.4, 0.2, 0.1]
    """

    gamma: float = number()

    def value(self, t: float, base: float) -> float:
        return base * _pinned.power(self.gamma, t)


class ExponentialDecay(Schedule):
    r"""Exponential decay by a rate: :math:`\eta_t = \eta_0 \exp(-k t)`.

    Parameters
    ----------
    k : float
        In [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.ExponentialDecay(0.1)(range(4), base=0.8).round(6).tolist()
    [0.8, 0.72387, 0.654985, 0.592655]
    """

    k: float = number()

    def value(self, t: float, base: float) -> float:
        return base * _pinned.exp(-self.k * t)


class InverseTime(Schedule):
    r"""1/t decay: :math:`\eta_t = \eta_0 / (1 + k t)`.

    Parameters
    ----------
    k : float
        In [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.InverseTime(1.0)(range(4), base=0.6).round(6).tolist()
    [0.6, 0.3, 0.2, 0.15]
    """

    k: float = number()

    def value(self, t: float, base: float) -> float:
        return base / (1 + self.k * t)


class Polynomial(Schedule):
    r"""Polynomial decay to 0.

    .. math:: \eta_t = \eta_0 \left( 1 - \min(t, T) / T \right)^p

    Parameters
    ----------
    total_iters : int, default 5
        :math:`T`, at least 0; with 0 the value is 0 at once, but for `power` 0.
    power : float, default 1
        :math:`p`, in [0, inf).

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Polynomial(4, power=2.0)(range(6), base=0.8).round(6).tolist()
    [0.8, 0.45, 0.2, 0.05, 0.0, 0.0]
    """

    total_iters: int = count(default=5)
    power: float = number(default=1.0)

    def value(self, t: float, base: float) -> float:
        T = self.total_iters
        return base * _pinned.power((T - t) / T if t < T else 0.0, self.power)


class InverseSqrt(Schedule):
    r"""Linear warmup, then decay with the inverse square root (Noam).

    .. math::
        \eta_t = \eta_0 \min \left( \frac{t + 1}{W}, \sqrt{\frac{W}{t + 1}} \right)

    Parameters
    ----------
    warmup_steps : int
        :math:`W`, at least 1. The base is the peak, reached at t = W - 1. For the
        Transformer's own schedule, with features d, it is :math:`(d W)^{-1/2}`.

    References
    ----------
    Vaswani et al., "Attention is all you need", arXiv:1706.03762, equation 3.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.InverseSqrt(2)([0, 1, 2, 7], base=0.8).round(6).tolist()
    [0.4, 0.8, 0.653197, 0.4]
    """

    warmup_steps: int = count(least=1)

    def value(self, t: float, base: float) -> float:
        W = self.warmup_steps
        return base * ((t + 1) / W if t + 1 < W else math.sqrt(W / (t + 1)))


class ExponentialStepSize(Schedule):
    r"""Exponential step sizes, for a number of steps known beforehand.

    .. math:: \eta_t = \eta_0 \alpha^{t + 1}, \quad \alpha = (\beta / T)^{1 / T}

    Parameters
    ----------
    T : int
        Steps of the whole run, at least 1: the last, t = T - 1, takes
        :math:`\eta_0 \beta / T`.
    beta : float, default 1
        :math:`\beta`, at least 1.

    References
    ----------
    Li, Zhuang & Orabona, "A second look at exponential and cosine step sizes",
    arXiv:2002.05273. Their steps count from 1.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.ExponentialStepSize(4)(range(4), base=0.8).round(6).tolist()
    [0.565685, 0.4, 0.282843, 0.2]
    """

    T: int = count(least=1)
    beta: float = number(default=1.0, low=1.0)

    def value(self, t: float, base: float) -> float:
        return base * _pinned.power(self.beta / self.T, (t + 1) / self.T)


class Lambda(Schedule):
    r"""A function of the caller's own: :math:`\eta_t = \eta_0 \lambda(t)`.

    Parameters
    ----------
    fn : callable
        :math:`\lambda`: takes t, returns the factor.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.Lambda(lambda t: 1 / (1 + t // 2))(range(4), base=0.8).tolist()
    [0.8, 0.8, 0.4, 0.4]
    """

    fn: Callable[[float], float] = function()

    def value(self, t: float, base: float) -> float:
        return base * called("Lambda", self.fn, t)

    def chainable(self, t: float) -> bool:
        del t
        return False


class Multiplicative(Schedule):
    r"""A product of the caller's own factors.

    .. math:: \eta_t = \eta_0 \prod_{i=1}^{t} \lambda(i)

    Parameters
    ----------
    fn : callable
        :math:`\lambda`: takes i >= 1, returns its factor. It must return the same when
        it is called again.

    Notes
    -----
    The only schedule that takes time in proportion to t: the factors are the caller's.
    The last product found is kept, so that the next step takes one more factor.

    Examples
    --------
    >>> import gradstep as gs
    >>> product = gs.schedules.Multiplicative(lambda i: 1 / i)
    >>> product(range(4), base=0.6).round(6).tolist()
    [0.6, 0.6, 0.3, 0.1]
    """

    fn: Callable[[int], float] = function()
    _known: tuple[int, float] = field(
        init=False, repr=False, compare=False, default=(0, 1.0)
    )

    def value(self, t: float, base: float) -> float:
        i, product = self._known
        if t < i:
            i, product = 0, 1.0
        while i + 1 <= t:
            i += 1
            product = product * called("Multiplicative", self.fn, i)
        object.__setattr__(self, "_known", (i, product))
        return base * product
