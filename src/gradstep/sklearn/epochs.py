"""Epochs as tasks of scikit-learn's callbacks."""

from typing import Any

from gradstep.lls import Progress
from gradstep.sklearn.outcome import linear


class EpochTasks:
    """The callback of a fit: ends the task of an epoch, and begins the next one's.

    What scikit-learn's callbacks (progress, scores, stops) take is passed on, and they
    stop the fit if one of them says so.
    """

    def __init__(self, context: Any, epochs: int, given: dict[str, Any]) -> None:
        self._context, self._epochs, self._given = context, epochs, given
        self._task: Any = None

    def begin(self, found: dict[str, Any] | None = None) -> None:
        """Begin an epoch at what has been found so far."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(
            **self._given, reconstruction_attributes=found
        )

    def __call__(self, where: Progress) -> bool:
        found = linear(where.coef, where.intercept)
        stop: bool = self._task.call_on_fit_task_end(
            **self._given, reconstruction_attributes=found
        )
        self._task = None
        if not stop and where.epoch + 1 < self._epochs:
            self.begin(found)
        return stop

    def close(self) -> None:
        """End an epoch that was begun and, as the fit had ended, never ran."""
        if self._task is not None:
            self._task.call_on_fit_task_end(**self._given)
            self._task = None
