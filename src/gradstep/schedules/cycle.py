"""Schedules in phases: cosines, cycles, one cycle, warmup and decay."""

import math
from collections.abc import Callable, Sequence

from gradstep import _pinned
from gradstep._core import ieee
from gradstep.schedules.arguments import count, function, number, several, word
from gradstep.schedules.schedule import Schedule


class CosineAnnealing(Schedule):
    r"""Cosine annealing, from the base to `eta_min` in `T_max` steps.

    .. math::
        \eta_t = \eta_{\min} + \tfrac12 (\eta_0 - \eta_{\min})
        \left( 1 + \cos \frac{\pi t}{T} \right)

    Parameters
    ----------
    T_max : int
        :math:`T`, at least 1.
    eta_min : float, default 0
        :math:`\eta_{\min}`, in [0, inf).
    periodic : bool, default False
        After :math:`T` rise again, with period :math:`2 T`, as the formula does, and
        torch; by default the value stays at `eta_min`.

    References
    ----------
    Loshchilov & Hutter, "SGDR", arXiv:1608.03983, equation 5.

    Examples
    --------
    >>> import gradstep as gs
    >>> gs.schedules.CosineAnnealing(4)(range(6), base=0.8).round(6).tolist()
    [0.8, 0.682843, 0.4, 0.117157, 0.0, 0.0]
    """

    T_max: int = count(least=1)
    eta_min: float = number(default=0.0)
    periodic: bool = word(True, default=False)

    def value(self, t: float, base: float) -> float:
        if t >= self.T_max and not self.periodic:
            return self.eta_min
        return _pinned.cosine(base, self.eta_min, t, self.T_max)

    @property
    def fixed_point(self) -> float:
        # As in torch's recursion. A rise would amplify the distance without bound.
        return 0.0 if self.periodic else self.eta_min


class CosineAnnealingWarmRestarts(Schedule):
    r"""Cosine annealing that starts again at the base.

    Cycle i, of :math:`T_0 m^i` steps, goes as `CosineAnnealing`; `eta_min` itself is
    never reached, since the next cycle begins there.

    Parameters
    ----------
    T_0 : int
        Steps of the first cycle, at least 1.
    T_mult : int, default 1
        :math:`m`, at least 1.
    eta_min : float, default 0
        In [0, inf).

    References
    ----------
    Loshchilov & Hutter, "SGDR", arXiv:1608.03983.

    Examples
    --------
    >>> import gradstep as gs
    >>> restarts = gs.schedules.CosineAnnealingWarmRestarts(2, T_mult=2)
    >>> restarts(range(7), base=0.8).round(6).tolist()
    [0.8, 0.4, 0.8, 0.682843, 0.4, 0.117157, 0.8]
    """

    T_0: int = count(least=1)
    T_mult: int = count(default=1, least=1)
    eta_min: float = number(default=0.0)

    def value(self, t: float, base: float) -> float:
        length = self.T_0
        if self.T_mult == 1:
            t = t % length
        while t >= length:  # as often as a cycle can double in t
            t -= length
            length *= self.T_mult
        return _pinned.cosine(base, self.eta_min, t, length)

    def chainable(self, t: float) -> bool:
        del t
        return False


class Phases(Schedule):
    r"""From value to value, by a cosine or a line, whatever the base.

    Between the ends of phases :math:`e_i \le t \le e_{i+1}`, with
    :math:`q = (t - e_i) / (e_{i+1} - e_i)`,

    .. math:: \eta_t = v_i \cos^2 \frac{\pi q}{2} + v_{i+1} \sin^2 \frac{\pi q}{2}
        \quad\text{or}\quad v_i (1 - q) + v_{i+1} q

    Parameters
    ----------
    ends : sequence of float
        When each phase ends; they do not fall. The first phase begins at 0. A phase
        without length is left out.
    values : sequence of float
        One more than `ends`: where the first phase begins, and where each ends. The
        last stays.
    anneal_strategy : {"cos", "linear"}

    Examples
    --------
    >>> import gradstep as gs
    >>> phases = gs.schedules.Phases([2, 4], [0.1, 0.5, 0.0], "linear")
    >>> phases(range(6)).round(6).tolist()
    [0.1, 0.3, 0.5, 0.25, 0.0, 0.0]
    """

    ends: Sequence[float] = several()
    values: Sequence[float] = several()
    anneal_strategy: str = word("linear", default="cos")

    def _check_together(self, owner: str) -> None:
        if len(self.values) != len(self.ends) + 1:
            raise ValueError(
                f"{owner}: values must be one more than the {len(self.ends)} ends, got "
                f"{len(self.values)}"
            )
        if list(self.ends) != sorted(self.ends):
            raise ValueError(f"{owner}: ends must not fall, got {self.ends}")

    def value(self, t: float, base: float) -> float:
        del base
        return _pinned.phase(t, self.ends, self.values, self.anneal_strategy == "cos")

    def chainable(self, t: float) -> bool:
        del t
        return False


class Cyclic(Schedule):
    r"""Cycles of a rise and a fall, whatever the base.

    .. math:: \eta_t = a + (b - a)\, s_t\, c_t

    where :math:`s_t` goes evenly from 0 to 1 and back in each cycle.

    Parameters
    ----------
    first, peak : float
        :math:`a` and :math:`b`, in [0, inf), in any order.
    step_size_up : int, default 2000
        Steps from `first` to `peak`, at least 1.
    step_size_down : int, optional
        Steps back, at least 1; by default as many.
    mode : {"triangular", "triangular2", "exp_range"}
        :math:`c_t = 1`; half as much in each cycle; or :math:`\gamma^t`.
    gamma : float, default 1
        :math:`\gamma`, in [0, inf).
    scale_fn : callable, optional
        :math:`c` of the caller's own, instead of `mode` and `gamma`.
    scale_mode : {"cycle", "iterations"}
        Whether `scale_fn` takes the number of the cycle, from 1, or t.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", arXiv:1506.01186.

    Examples
    --------
    >>> import gradstep as gs
    >>> cyclic = gs.schedules.Cyclic(0.1, 0.5, step_size_up=2, mode="triangular2")
    >>> cyclic(range(7)).round(6).tolist()
    [0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3]
    """

    first: float = number()
    peak: float = number()
    step_size_up: int = count(default=2000, least=1)
    step_size_down: int | None = count(default=None, least=1)
    mode: str = word("triangular2", "exp_range", default="triangular")
    gamma: float = number(default=1.0)
    scale_fn: Callable[[float], float] | None = function(default=None)
    scale_mode: str = word("iterations", default="cycle")

    def value(self, t: float, base: float) -> float:
        del base
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        cycle, at = divmod(t, up + down)
        scale = self._scale(t, cycle + 1)
        if at <= up:
            full = _pinned.line(self.first, self.peak, at, up)
        else:
            full = _pinned.line(self.peak, self.first, at - up, down)
        return self.first * (1 - scale) + full * scale

    def chainable(self, t: float) -> bool:
        del t
        return False

    def _check_together(self, owner: str) -> None:
        if self.scale_fn is not None and (self.mode, self.gamma) != ("triangular", 1.0):
            raise ValueError(
                f"{owner}: mode and gamma say nothing beside scale_fn; leave them out"
            )

    def _scale(self, t: float, cycle: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else t)
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return _pinned.power(0.5, cycle - 1)
        return _pinned.power(self.gamma, t)


class WarmupStableDecay(Schedule):
    r"""Warmup, a plateau at the base, and a decay (WSD).

    .. math::
        \eta_t = \eta_0 \cdot \begin{cases}
        (t + 1) / (W + 1) & t < W \\
        1 & t < W + S \\
        m + (1 - m) f(q) & q = (t - W - S) / D < 1 \\
        m & \text{then}
        \end{cases}

    Parameters
    ----------
    warmup_steps, stable_steps, decay_steps : int
        :math:`W`, :math:`S`, :math:`D`, at least 0.
    decay : {"linear", "sqrt", "square", "cosine", "exponential"}
        :math:`f(q)`: :math:`1 - q`, :math:`1 - \sqrt q`, :math:`1 - q^2` or
        :math:`\tfrac12 (1 + \cos \pi q)`; or the factor :math:`m^q`.
    min_factor : float, default 0
        :math:`m`, in [0, 1]; above 0 for ``"exponential"``.

    References
    ----------
    Hu et al., "MiniCPM", arXiv:2404.06395; Hägele et al., arXiv:2405.18392.

    Examples
    --------
    >>> import gradstep as gs
    >>> wsd = gs.schedules.WarmupStableDecay(1, 2, 4)
    >>> wsd(range(8), base=0.8).round(6).tolist()
    [0.4, 0.8, 0.8, 0.8, 0.6, 0.4, 0.2, 0.0]
    """

    warmup_steps: int = count()
    stable_steps: int = count()
    decay_steps: int = count()
    decay: str = word("sqrt", "square", "cosine", "exponential", default="linear")
    min_factor: float = number(default=0.0, high=1.0)

    def _check_together(self, owner: str) -> None:
        if self.decay == "exponential" and not self.min_factor:
            raise ValueError(
                f"{owner}: min_factor must be above 0 for decay='exponential', got 0.0"
            )

    def value(self, t: float, base: float) -> float:
        if t < self.warmup_steps:
            return base * ((t + 1) / (self.warmup_steps + 1))
        gone = t - self.warmup_steps - self.stable_steps
        if gone < 0:
            return base
        return base * self._decayed(min(gone, self.decay_steps))

    def _decayed(self, gone: float) -> float:
        D, m = self.decay_steps, self.min_factor
        if gone == D:
            return m
        if self.decay == "exponential":
            return _pinned.power(m, gone / D)
        if self.decay == "cosine":
            return _pinned.cosine(1.0, m, gone, D)
        # 1 - q, 1 - sqrt(q) or 1 - q^2, from 1 - q, which is exact near the end.
        q, f = gone / D, (D - gone) / D
        if self.decay == "sqrt":
            f = f / (1 + math.sqrt(q))
        elif self.decay == "square":
            f = f * (1 + q)
        return m + (1 - m) * f


@ieee
def one_cycle(
    values: tuple[float, float, float],
    total_steps: int,
    pct_start: float,
    anneal_strategy: str,
    *,
    three_phase: bool,
) -> Phases:
    """Return one cycle: first value to second, and, at the end, to the third.

    In three phases it returns to the first on the way, as fast as it came.
    """
    first, peak, last = values
    up, end = max(pct_start * total_steps - 1, 0.0), total_steps - 1.0
    if up >= end > 0:  # it only rises
        return Phases((end,), (first, peak), anneal_strategy)
    if not three_phase:
        return Phases((up, end), (first, peak, last), anneal_strategy)
    back = 2 * pct_start * total_steps - 2
    return Phases((up, back, end), (first, peak, first, last), anneal_strategy)
