"""ReduceLROnPlateau, which goes by a metric instead of the count of steps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.hyper import Choice, HasGroups, Real, Whole
from gradstep.lr_scheduler.lane import Lane, Sealed, groups_of, place, put
from gradstep.schedules import Constant
from gradstep.state import check_type, read_count


class ReduceLROnPlateau(Sealed):
    r"""Reduce a learning rate when a metric has stopped improving.

    A value :math:`a` is better than the best, :math:`b`, if

    .. math::
        a < b - \tau |b| \quad\text{(min, rel)},
        \qquad a < b - \tau \quad\text{(min, abs)}

    and for ``"max"`` on the other side. After more than `patience` values in a row that
    were not better, the rate is multiplied by `factor`; then `cooldown` values do not
    count.

    Parameters
    ----------
    optimizer : Optimizer
        Of gradstep or torch: anything with `param_groups`.
    mode : {"min", "max"}
    factor : float, default 0.1
        In [0, 1).
    patience, cooldown : int, default 10 and 0
    threshold : float, default 1e-4
        :math:`\tau`, in [0, inf).
    threshold_mode : {"rel", "abs"}
    min_lr : float, or sequence of float for each group, default 0
        Where reductions end.
    eps : float, default 1e-8
        A smaller reduction is left out.
    hyperparameter : str, default "lr"
        What to reduce.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    Relative to a negative best, torch's threshold has the wrong side, and any value is
    better; here it is relative to its size. A metric that is NaN is not better.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> opt = gs.SGD(np.ones(3), lr=0.8)
    >>> scheduler = gs.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     scheduler.step(loss)
    >>> opt.lr
    0.4
    """

    optimizer: HasGroups
    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    min_lrs: list[float]
    eps: float
    best: float
    num_bad_epochs: int
    cooldown_counter: int
    last_epoch: int

    def __init__(
        self,
        optimizer: HasGroups,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        *,
        hyperparameter: str = "lr",
    ) -> None:
        self._owner = owner = type(self).__name__
        groups = groups_of(owner, optimizer)
        positive = Real(None, 0.0, math.inf, open_high=True)
        several = isinstance(min_lr, (list, tuple))
        least: list[Any] = list(min_lr) if several else [min_lr] * len(groups)  # type: ignore[arg-type]
        if len(least) != len(groups):
            raise ValueError(
                f"{owner}: min_lr has {len(least)} values, expected one or "
                f"{len(groups)}"
            )
        relative = Choice("rel", ("rel", "abs"))
        self._lanes = [
            Lane(j, *place(owner, optimizer, j, hyperparameter), Constant(1.0, 0))
            for j in range(len(groups))
        ]
        vars(self).update(
            optimizer=optimizer,
            mode=Choice("min", ("min", "max")).check(owner, "mode", mode),
            factor=Real(None, 0.0, 1.0, open_high=True).check(owner, "factor", factor),
            patience=Whole(None).check(owner, "patience", patience),
            threshold=positive.check(owner, "threshold", threshold),
            threshold_mode=relative.check(owner, "threshold_mode", threshold_mode),
            cooldown=Whole(None).check(owner, "cooldown", cooldown),
            min_lrs=[positive.check(owner, "min_lr", x) for x in least],
            eps=positive.check(owner, "eps", eps),
            best=math.inf if mode == "min" else -math.inf,
            num_bad_epochs=0,
            cooldown_counter=0,
            last_epoch=0,
        )

    def is_better(self, a: float, best: float) -> bool:
        """Return whether a value is better than the best."""
        if math.isinf(best):
            margin = 0.0
        elif self.threshold_mode == "rel":
            margin = self.threshold * abs(best)
        else:
            margin = self.threshold
        return a < best - margin if self.mode == "min" else a > best + margin

    def step(self, metrics: float) -> None:
        """Take note of a metric, and reduce the rate if it is time.

        Parameters
        ----------
        metrics : float
            Such as the loss on data that were held out.
        """
        metric = self._number(metrics)
        groups = self.optimizer.param_groups
        if len(groups) != len(self._lanes):
            raise ValueError(
                f"{self._owner}: the optimizer has {len(groups)} groups, and had "
                f"{len(self._lanes)}; build schedulers after add_param_group"
            )
        better = self.is_better(metric, self.best)
        bad = 0 if better else self.num_bad_epochs + 1
        cooling = self.cooldown_counter
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            self._reduce(groups)
            cooling, bad = self.cooldown, 0
        vars(self).update(
            last_epoch=self.last_epoch + 1,
            best=metric if better else self.best,
            num_bad_epochs=bad,
            cooldown_counter=cooling,
        )

    def _number(self, metrics: Any) -> float:
        kind = type(metrics).__name__
        message = f"{self._owner}.step: metrics must be a number, got {kind}"
        if isinstance(metrics, str):
            raise TypeError(message)
        try:
            return float(metrics)
        except (TypeError, ValueError):
            raise TypeError(message) from None

    def _reduce(self, groups: list[dict[str, Any]]) -> None:
        for lane, least in zip(self._lanes, self.min_lrs, strict=True):
            old = lane.read(groups[lane.group])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                put(groups[lane.group], lane.key, lane.part, new)

    def get_last_lr(self) -> list[float]:
        """Return the present value in each group, as floats."""
        groups = self.optimizer.param_groups
        return [lane.read(groups[lane.group]) for lane in self._lanes]

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far; the rate itself is the optimizer's."""
        names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, torch's included.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` gave. The rate is not in it, but in the optimizer's.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it does not fit; nothing has changed then.
        """
        where = f"{self._owner}.load_state_dict"
        check_type(f"{where}: state_dict", state_dict, Mapping)
        for name in self.state_dict():
            if name not in state_dict:
                raise KeyError(f"{where}: state_dict lacks {name!r}")
        best = state_dict["best"]
        if isinstance(best, bool) or not isinstance(best, (int, float)):
            raise TypeError(
                f"{where}: best must be a number, got {type(best).__name__}"
            )
        if math.isnan(best):
            raise ValueError(f"{where}: best is nan, than which nothing is better")
        counts = {
            name: read_count(f"{where}: {name}", state_dict[name])
            for name in ("num_bad_epochs", "cooldown_counter", "last_epoch")
        }
        vars(self).update(counts, best=float(best))

    def __repr__(self) -> str:
        names = (
            "mode",
            "factor",
            "patience",
            "threshold",
            "threshold_mode",
            "cooldown",
        )
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self._owner}({shown}; best={self.best}, last_epoch={self.last_epoch})"
