"""What made the coefficients of an estimator last, and `partial_fit` goes on with.

Both kinds can be pickled, go on bit for bit, and can be loaded from memory that is
read-only, as joblib does.
"""

import copy
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

    def go_on(self, X: Any, y: Array, sample_weight: Any) -> None:
        """Go through these rows; if that fails, all is as it was."""
        before = self.trainer.state_dict()
        try:
            self.trainer.partial_fit(X, y, sample_weight)
        except BaseException:
            self.trainer.load_state_dict(before)
            raise
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(self.trainer.loss)
        elif self._scheduler is not None:
            self._scheduler.step()

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
