"""Methods around another optimizer, and schedule-free averaging as one."""

from __future__ import annotations  # help() shows Grads, not what it stands for

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gradstep import dtypes, storage
from gradstep._core import ieee
from gradstep.declared import hyper_names, positional
from gradstep.hyper import real, setting
from gradstep.optimizer import Optimizer
from gradstep.optimizers.averaging import Averaging
from gradstep.scaling import Scaling, StepReport
from gradstep.structure import Grads


class _Turn:
    """Who may step; no option, so that type checkers know it apart."""

    _turn: threading.Lock


class Wrapper(_Turn, Optimizer):
    """Base of optimizers that leave the step itself to another one, their `base`."""

    wraps = True
    if TYPE_CHECKING:
        base: Any = positional(kw_only=False)

    def __init__(self, *args: Any, **keywords: Any) -> None:
        options = self._arguments(args, keywords)
        params, base = options.pop("params"), options.pop("base")
        self._build(params, options)
        self._check_plain(options)
        arrays = self._base_arrays()
        given = self._rebuilt(arrays)
        if not self._bare:
            given = [{"params": entry} for entry in given]
        made = base(given) if callable(base) else base
        if not isinstance(made, Optimizer) or _shape(made) != self._expected():
            raise TypeError(
                f"{self._owner}: base must return a gradstep optimizer of what it is "
                "given, such as functools.partial(gradstep.SGD, lr=0.1), got "
                f"{type(made).__name__}"
            )
        if made.wraps or made.gradient_elsewhere():
            raise TypeError(
                f"{self._owner}: base must be a rule that takes its gradient at the "
                f"parameters, got {made!r}"
            )
        vars(self).update(base=made, _turn=threading.Lock())

    def _check_plain(self, options: Mapping[str, Any]) -> None:
        """Refuse what is not kept in the type of its arithmetic."""
        for name in storage.OPTIONS:
            default = self.default_options[name]
            if options.get(name, default) != default:
                raise ValueError(f"{self._owner}: pass {name} to the base instead")
        for p, suffix in zip(self._parameters(), self._suffixes, strict=True):
            if dtypes.code_of(p.dtype) is not None:
                raise TypeError(
                    f"{self._owner}: params{suffix} has dtype {p.dtype}, expected "
                    "float32 or float64; pass a float32 copy"
                )

    def _expected(self) -> list[list[int]]:
        """Return which arrays are in which group of the base."""
        arrays = self._base_arrays()
        return [
            [id(arrays[i]) for i in self._indices(j)] for j in range(len(self._groups))
        ]

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Keep other threads out, and a base out that has been given other arrays."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(
                f"{self._owner} is in the middle of a step in another thread; take "
                "turns"
            )
        try:
            if _shape(self.base) != self._expected():
                raise ValueError(f"{self._owner}: base has been given other arrays")
            yield
        finally:
            self._turn.release()

    def _checked(
        self, method: str, grads: Grads, **how: Unpack[Scaling]
    ) -> tuple[Any, StepReport]:
        """Return gradients that can be read twice, which both optimizers would take."""
        given = self._rebuilt(tuple(self._entries(method, grads)))
        super().check_grads(given)
        return given, self.base.check_grads(given, **how)

    @property
    def last_step(self) -> StepReport:
        found: StepReport = self.base.last_step
        return found

    @classmethod
    def check_together(cls, group: Mapping[str, Any]) -> None:
        if group["maximize"]:
            raise ValueError(f"{cls.__name__}: pass maximize=True to its base instead")

    def _base_arrays(self) -> tuple[Any, ...]:
        """Return the arrays that the base steps."""
        return self._arrays

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        del group
        raise TypeError(f"{self._owner} takes no more groups; build a new one")

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "base": self.base.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if not isinstance(state_dict, Mapping) or "base" not in state_dict:
            raise KeyError(f"{self._owner}.load_state_dict: state_dict lacks 'base'")
        before = self.base.state_dict()
        self.base.load_state_dict(state_dict["base"])
        try:
            super().load_state_dict(state_dict)
        except BaseException:
            self.base.load_state_dict(before)
            raise

    def __getstate__(self) -> dict[str, Any]:
        kept = [
            {name: group[name] for name in storage.OPTIONS}
            for group in self.base.param_groups
        ]
        base = (type(self.base), dict(self.base.defaults), kept)
        return {**super().__getstate__(), "base": base}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        kind, defaults, kept = saved["base"]

        def base(given: Any) -> Optimizer:
            if len(kept) == 1:
                found: Optimizer = kind(given, **{**defaults, **kept[0]})
            else:
                groups = [{**g, **own} for g, own in zip(given, kept, strict=True)]
                found = kind(groups, **defaults)
            return found

        Wrapper.__init__(self, saved["params"], base, **saved["defaults"])
        self.load_state_dict(saved["state_dict"])


def _shape(optimizer: Optimizer) -> list[list[int]]:
    """Return the identities of the arrays of each group."""
    return [[id(p) for p in group["params"]] for group in optimizer.param_groups]


class ScheduleFree(Wrapper, Averaging):
    r"""Schedule-free averaging around any optimizer, the base.

    The parameter is :math:`y_t`, at which gradients :math:`g_t` are taken. With
    :math:`z_0 = x_0 = y_0`, momentum :math:`\beta` and the base's lr :math:`\eta_t`,

    .. math::
        z_t &= \operatorname{base}(z_{t-1} - \eta_t \lambda y_{t-1}, g_t) \\
        x_t &= (1 - c_t) x_{t-1} + c_t z_t, \qquad
            c_t = w_t / \textstyle\sum_{i \le t} w_i, \quad
            w_t = t^r \max_{i \le t} \eta_i^q \\
        y_t &= (1 - \beta) z_t + \beta x_t

    :math:`x_t` is the result: `eval_params`, or `eval` and `train`.

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32 or float64, C- or Fortran-contiguous; updated in place by `step`.
    base : callable
        Takes :math:`z` in the structure of `params` and returns a gradstep optimizer of
        it, such as ``functools.partial(gs.RMSprop, lr=0.1)``. It is the attribute
        `base` afterwards, whose options are read at every step.
    momentum : float, default 0.9
        :math:`\beta`, in [0, 1).
    weight_decay_at_y : float, default 0
        :math:`\lambda`, in [0, inf).
    r : float, default 0
        Power :math:`r` of the step in the weights, in [0, 32].
    weight_lr_power : float, default 2
        Power :math:`q` of the largest lr so far in the weights, in [0, 8].
    maximize : bool, default False
        Not here: pass it to the base.
    master, rounding, state_dtype, seed
        Not here, either.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range; the message names it.

    Notes
    -----
    State: two arrays (`x`, `z`), 8 bytes for each float32 element, beside the base's
    own; and for each array the numbers `weight_sum` and `lr_max`. The base should have
    no momentum of its own. A base without `lr` counts as having lr 1. `ScheduleFreeSGD`
    and its like do the same with less memory.

    References
    ----------
    Defazio et al., "The road less scheduled", arXiv:2405.15682.

    Examples
    --------
    >>> import functools, numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.ScheduleFree(w, functools.partial(gs.RMSprop, lr=0.5))
    >>> for _ in range(20):
    ...     opt.step(2 * w)  # the gradient of w @ w
    >>> opt.eval_params().round(6)
    array([0.003945, 0.002051])
    """

    rules = ("schedulefree_average",)

    momentum: float = real(default=0.9, below=1)
    weight_decay_at_y: float = setting(default=0.0)
    r: float = real(default=0.0, high=32.0)
    weight_lr_power: float = real(default=2.0, high=8.0)

    @classmethod
    def numbers(cls, group: Mapping[str, Any]) -> dict[str, float]:
        return {**super().numbers(group), "lr": 1.0}

    def _base_arrays(self) -> tuple[Any, ...]:
        return tuple(states["z"] for states in self._states)

    def step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        with self._taking_turns():
            given, report = self._checked("step", grads, **how)
            if report.skipped:
                self.base.step(given, **how)  # which does nothing, and says so
                return
            self._begin()
            lrs = [group.get("lr", 1.0) for group in self.base.param_groups]
            self._decay(given, lrs)
            self.base.step(given, **how)
            for j, (group, lr) in enumerate(zip(self._groups, lrs, strict=True)):
                numbers = {**self.numbers(group), "lr": lr}
                hyper = tuple(numbers[name] for name in hyper_names(self.rules[0]))
                self._engine.set_group(j, hyper, 1.0)
            super().step(given)

    def check_grads(self, grads: Grads, **how: Unpack[Scaling]) -> StepReport:
        return self._checked("step", grads, **how)[1]

    def _begin(self) -> None:
        """Let x and z begin at y before the first step, since the base steps first."""
        parameters = self._parameters()
        for i, (y, states) in enumerate(zip(parameters, self._states, strict=True)):
            if self._engine.get_t(i) == 0:
                np.copyto(states["x"], y)
                np.copyto(states["z"], y)

    def _decay(self, grads: Grads, lrs: list[float]) -> None:
        """Take lr lambda y from z, where there is a gradient."""
        rates = [
            lr * group["weight_decay_at_y"]
            for group, lr in zip(self._groups, lrs, strict=True)
        ]
        if any(rates):
            still = {"weight_decay": 0.0, "decoupled": 0.0}
            hypers = [{"lr": rate, **still} for rate in rates]
            engine = self._engine_over(self._base_arrays(), "sgd", (), hypers)
            given = zip(self._entries("step", grads), self._arrays, strict=True)
            engine.step([None if g is None else p for g, p in given])

    @ieee
    def _average_into(self, points: tuple[Any, ...]) -> None:
        entries = zip(points, self._parameters(), self._states, strict=True)
        for i, (point, p, states) in enumerate(entries):
            np.copyto(point, states["x"] if self._engine.get_t(i) > 0 else p)
