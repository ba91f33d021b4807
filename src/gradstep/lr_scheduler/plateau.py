"""ReduceLROnPlateau, which goes by a metric instead of the count of steps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradstep import dtypes
from gradstep._core import ieee
from gradstep.hyper import Choice, HasGroups, Real, Whole, as_text, is_real
from gradstep.lr_scheduler import functions
from gradstep.lr_scheduler.base import Base
from gradstep.lr_scheduler.lane import Lane, Place, check_groups, groups_of, place
from gradstep.lr_scheduler.neighbours import Member, register
from gradstep.lr_scheduler.saved import another
from gradstep.lr_scheduler.values import Mark, part_of, rounded, write_all
from gradstep.schedules import Constant
from gradstep.state import check_type, read_count


class ReduceLROnPlateau(Base):
    r"""Reduce a learning rate when a metric has stopped improving.

    A value :math:`a` is better than the best, :math:`b`, if

    .. math::
        a < b - \tau |b| \quad\text{(min, rel)},
        \qquad a < b - \tau \quad\text{(min, abs)}

    and for ``"max"`` on the other side. After more than `patience` values in a row that
    were not better, the rate is multiplied by `factor`; then `cooldown` values do not
    count. What is multiplied is what stands there, whoever has set it: a warm-up, or
    any chainable scheduler, may be stepped beside this one.

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
    last_epoch : int, default -1
        One less than the count of metrics before this scheduler; nothing but a count.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    Relative to a negative best, torch's threshold has the wrong side, and any value is
    better; here it is relative to its size. A metric that is NaN is not better.
    `load_state_dict` refuses the state of a scheduler with other arguments; torch's
    takes them over.

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
        last_epoch: int = -1,
    ) -> None:
        self._owner = owner = type(self).__name__
        groups = groups_of(owner, optimizer)
        positive = Real(None, 0.0, math.inf, open_high=True)
        least = list(min_lr) if isinstance(min_lr, (list, tuple)) else None
        if least is not None and len(least) != len(groups):
            raise ValueError(
                f"{owner}: min_lr has {len(least)} values, expected one or "
                f"{len(groups)}"
            )
        relative = Choice("rel", ("rel", "abs"))
        self._lanes = [
            Lane(j, *place(owner, optimizer, j, hyperparameter), Constant(1.0, 0))
            for j in range(len(groups))
        ]
        self._hyperparameter = hyperparameter
        self._marks: dict[Place, Mark] = {}  # of reductions
        self._member = Member(
            owner, self._marks, len(groups), is_fresh=False, only_reduces=True
        )
        all_least = [min_lr] * len(groups) if least is None else least
        vars(self).update(
            optimizer=optimizer,
            mode=Choice("min", ("min", "max")).check(owner, "mode", mode),
            factor=Real(None, 0.0, 1.0, open_high=True).check(owner, "factor", factor),
            patience=Whole(None).check(owner, "patience", patience),
            threshold=positive.check(owner, "threshold", threshold),
            threshold_mode=relative.check(owner, "threshold_mode", threshold_mode),
            cooldown=Whole(None).check(owner, "cooldown", cooldown),
            min_lrs=[positive.check(owner, "min_lr", x) for x in all_least],
            eps=positive.check(owner, "eps", eps),
            best=math.inf if mode == "min" else -math.inf,
            num_bad_epochs=0,
            cooldown_counter=0,
            last_epoch=read_count(f"{owner}: last_epoch", last_epoch, least=-1) + 1,
        )
        register(self)

    def is_better(self, a: float, best: float) -> bool:
        """Return whether a value is better than the best."""
        if math.isinf(best):
            margin = 0.0
        elif self.threshold_mode == "rel":
            margin = self.threshold * abs(best)
        else:
            margin = self.threshold
        return a < best - margin if self.mode == "min" else a > best + margin

    @ieee
    def step(self, metrics: float) -> None:
        """Take note of a metric, and reduce the rate if it is time.

        Parameters
        ----------
        metrics : float
            Such as the loss on data that were held out.
        """
        metric = self._number(metrics)
        remedy = "anew and load the state_dict of this one"
        check_groups(self._owner, self.optimizer, len(self._lanes), remedy)
        better = self.is_better(metric, self.best)
        bad = 0 if better else self.num_bad_epochs + 1
        cooling = self.cooldown_counter
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            self._reduce(self.optimizer.param_groups)
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
        dtype = getattr(metrics, "dtype", None)
        is_number = not isinstance(metrics, (str, bytes))
        if isinstance(dtype, np.dtype):  # else it is one of torch's, say
            is_number = dtype.kind in "fiub" or dtypes.code_of(dtype) is not None
        if not is_number:
            raise TypeError(message)
        try:
            return float(metrics)
        except OverflowError:  # an int beyond all floats
            return math.inf if metrics > 0 else -math.inf
        except (TypeError, ValueError):
            raise TypeError(message) from None

    def _reduce(self, groups: list[dict[str, Any]]) -> None:
        reduced = []
        for lane, least in zip(self._lanes, self.min_lrs, strict=True):
            old = lane.read(self._owner, groups[lane.group])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                reduced.append((lane, new))
        write_all([(groups[x.group], x.key, x.part, new) for x, new in reduced])
        for lane, new in reduced:
            group = groups[lane.group]
            value = part_of(group, lane.key, lane.part)
            origin = lane.noted(self._owner, group)
            self._marks[lane.place] = Mark(
                rounded(value, new), new if origin is None else origin, value
            )

    def get_last_lr(self) -> list[float]:
        """Return the present value in each group, as floats."""
        groups = self.optimizer.param_groups
        return [lane.read(self._owner, groups[lane.group]) for lane in self._lanes]

    # -- saving

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far, and the arguments; the rate is the optimizer's.

        The names are those of torch's state.
        """
        names = (*_COUNTS, "best", *_ARGUMENTS, "min_lrs")
        state = {name: getattr(self, name) for name in names}
        return state | {
            "hyperparameter": self._hyperparameter,
            "min_lrs": list(self.min_lrs),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, torch's included.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` gave. The rate is not in it, but in the optimizer's.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it does not fit, or is of a scheduler with other arguments; nothing has
            changed then.
        """
        where = f"{self._owner}.load_state_dict"
        check_type(f"{where}: state_dict", state_dict, Mapping)
        for name in ("best", *_COUNTS):
            if name not in state_dict:
                raise KeyError(f"{where}: state_dict lacks {name!r}")
        self._check_same(where, state_dict)
        best = state_dict["best"]
        if not is_real(best):
            raise TypeError(
                f"{where}: best must be a number, got {type(best).__name__}"
            )
        try:
            best = float(best)
        except OverflowError:
            raise ValueError(
                f"{where}: best must be a float, got {as_text(best)}"
            ) from None
        if math.isnan(best):
            raise ValueError(f"{where}: best is nan, than which nothing is better")
        counts = {
            name: read_count(f"{where}: {name}", state_dict[name]) for name in _COUNTS
        }
        vars(self).update(counts, best=best)

    def _check_same(self, where: str, state: Mapping[str, Any]) -> None:
        """Refuse the state of a scheduler with other arguments."""
        own: dict[str, Any] = {name: getattr(self, name) for name in _ARGUMENTS}
        own["hyperparameter"] = self._hyperparameter
        least = state.get("min_lrs", self.min_lrs)
        # One for all groups, however many they are.
        if not _are_alike([least, self.min_lrs]):
            own["min_lrs"] = self.min_lrs
        for name, value in own.items():
            differing = functions.difference(name, state.get(name, value), value)
            if differing:
                raise ValueError(
                    f"{where}: {another(*differing)}; build the scheduler as it was"
                )

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _ARGUMENTS[:-1])
        return f"{self._owner}({shown}; best={self.best}, last_epoch={self.last_epoch})"


_COUNTS = ("num_bad_epochs", "cooldown_counter", "last_epoch")
_ARGUMENTS = (
    "mode",
    "factor",
    "patience",
    "threshold",
    "threshold_mode",
    "cooldown",
    "eps",
)


def _are_alike(lists: list[Any]) -> bool:
    """Return whether lists of numbers have one value only, the same in all."""
    if not all(isinstance(values, (list, tuple)) and values for values in lists):
        return False
    together = [x for values in lists for x in values]
    return all(type(x) in (int, float) and x == together[0] for x in together)
