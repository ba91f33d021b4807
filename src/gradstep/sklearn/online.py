"""What made the coefficients of an estimator last, and `partial_fit` goes on with.

Both kinds can be pickled, go on bit for bit, and can be loaded from memory that is
read-only, as joblib does.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradstep.lls import Trainer
from gradstep.lr_scheduler import ReduceLROnPlateau
from gradstep.optimizer import Optimizer
from gradstep.sklearn import parameters
from gradstep.sklearn.outcome import start
from gradstep.structure import Array


class Finished:
    """The optimizer of a fit that has ended."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def __getstate__(self) -> dict[str, Any]:
        return {"kind": type(self.optimizer), "saved": self.optimizer.__getstate__()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state["saved"]
        self.optimizer = state["kind"].__new__(state["kind"])
        self.optimizer.__setstate__(saved | {"params": copy.deepcopy(saved["params"])})


class Online:
    """A trainer, its scheduler and the parameters that they were made from."""

    def __init__(self, who: str, model: Any, X: Any, y: Array) -> None:
        self.asked = {name: getattr(model, name) for name in parameters.OF_TRAINER}
        options = parameters.of_trainer(who, model) | {"features": X.shape[1]}
        options["targets"] = None if y.ndim == 1 else y.shape[1]
        if hasattr(model, "coef_"):
            options |= {"dtype": model.coef_.dtype} | start(who, model, y)
        else:
            options["dtype"] = X.dtype
        self._build(who, options)

    def _build(self, who: str, options: dict[str, Any]) -> None:
        self.trainer = Trainer(**options, _who="LLSRegressor")
        self._scheduler = parameters.scheduler_of(
            who, self.asked["scheduler"], self.optimizer
        )
        begun = ("coef0", "intercept0")
        self._options = {k: v for k, v in options.items() if k not in begun}

    @property
    def optimizer(self) -> Optimizer:
        """Of the trainer."""
        return self.trainer.optimizer

    def check_same(self, who: str, model: Any) -> None:
        """Refuse parameters that have been changed since they were put to use."""
        for name, then in self.asked.items():
            now = getattr(model, name)
            if now is not then and now != then:
                raise ValueError(
                    f"{who}: {name} was {then!r} at the first call and is {now!r}; "
                    "set it back, or call fit to begin anew; rates can be changed in "
                    "optimizer_.param_groups"
                )

    def go_through(self, X: Any, y: Array, sample_weight: Any) -> bool:
        """Train on these rows; return whether there was a row with a weight."""
        updates = self.trainer.n_updates
        self.trainer.partial_fit(X, y, sample_weight)
        if self.trainer.n_updates == updates:
            return False
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(self.trainer.objective)
        elif self._scheduler is not None:
            self._scheduler.step()
        return True

    @contextmanager
    def unchanged_on_error(self) -> Iterator[None]:
        """Put trainer, optimizer and scheduler back if the block raises."""
        trainer = self.trainer.snapshot()
        groups = [dict(group) for group in self.optimizer.param_groups]
        scheduler = _saved(self._scheduler)
        try:
            yield
        except BaseException:
            self.trainer.restore(trainer)
            try:
                _load(self._scheduler, scheduler)
            finally:  # after the scheduler, which may write to them
                for group, before in zip(
                    self.optimizer.param_groups, groups, strict=True
                ):
                    group.clear()
                    group.update(before)
            raise

    def __getstate__(self) -> dict[str, Any]:
        scheduler = self._scheduler
        return {
            "asked": self.asked,
            "options": self._options,
            "trainer": self.trainer.state_dict(),
            "scheduler": None if scheduler is None else scheduler.state_dict(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]
        self._build("LLSRegressor", state["options"])
        self.trainer.load_state_dict(state["trainer"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])


def _saved(scheduler: Any) -> dict[str, Any]:
    """Return what a scheduler is; of one without a `state_dict`, its attributes."""
    if hasattr(scheduler, "state_dict"):
        state: dict[str, Any] = copy.deepcopy(scheduler.state_dict())
        return state
    return dict(getattr(scheduler, "__dict__", {}))


def _load(scheduler: Any, saved: dict[str, Any]) -> None:
    if hasattr(scheduler, "state_dict"):
        scheduler.load_state_dict(saved)
    elif hasattr(scheduler, "__dict__"):
        vars(scheduler).clear()
        vars(scheduler).update(saved)
