"""Epochs of a trainer: schedules, callbacks, history, and when to stop."""

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradstep.lls.data import Block, Data, InMemory, Order, Route
from gradstep.lls.progress_bar import ProgressBar
from gradstep.lls.result import Fit, Progress
from gradstep.lls.trainer import Trainer
from gradstep.lls.validation import Validation
from gradstep.lls.validation_files import ValidationOnDisk
from gradstep.lr_scheduler import ReduceLROnPlateau
from gradstep.structure import Array


class Patience:
    """Whether a loss still falls, by more than tol times itself in so many epochs."""

    def __init__(self, tol: float | None, patience: int) -> None:
        self._tol, self._patience = tol, patience
        self._least, self._waited = math.inf, 0

    def improves(self, loss: float) -> bool:
        """Take note of a loss; return whether it is the least so far."""
        least = self._least
        falls = self._tol is None or loss < (1 - self._tol) * least
        self._waited = 0 if falls else self._waited + 1
        self._least = min(least, loss)
        return loss < least

    @property
    def ended(self) -> bool:
        """Whether it is time to stop."""
        return self._tol is not None and self._waited >= self._patience


class Epochs:
    """Runs a trainer over data."""

    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        order: Order,
        *,
        validation: Validation | ValidationOnDisk | None,
        scheduler: Any,
        by_update: bool,
        patience: Patience,
        callback: Callable[[Progress], object] | None,
        every: int | None,
    ) -> None:
        self._trainer, self._data, self._order = trainer, data, order
        self._validation, self._patience = validation, patience
        self._scheduler, self._by_update = scheduler, by_update
        self._callback, self._every = callback, every
        self._losses: list[float] = []
        self._objectives: list[float] = []
        self._rates: list[float] = []
        self._held: list[float] = []
        self._kept: tuple[Array, Any] | None = None  # of the least validation loss

    def run(self, epochs: ProgressBar) -> Fit:
        """Go through the data so many times, or until there is a reason to stop."""
        reason = None
        self._trainer.penalise(self._data.n)
        for epoch in epochs:
            reason = self._epoch(epoch)
            epochs.show(self._losses[-1], self._held[-1] if self._held else None)
            if reason is not None:
                break
        self._check_still()  # a callback may have been the last to run
        self._trainer.check_end()
        coef, intercept = self._trainer.solution
        if reason == "tol" and self._kept is not None:
            coef, intercept = self._kept
        return Fit(
            coef=coef,
            intercept=intercept,
            n_updates=self._trainer.n_updates,
            epochs=len(self._losses),
            reason=reason or "epochs",
            loss=np.array(self._losses),
            lr=np.array(self._rates),
            validation_loss=np.array(self._held) if self._validation else None,
            optimizer=self._trainer.optimizer,
            objective=np.array(self._objectives),
        )

    def _epoch(self, epoch: int) -> str | None:
        """Go through the data once; return the reason to stop, if there is one."""
        trainer = self._trainer
        trainer.begin_epoch()
        begun = trainer.n_updates
        for block, route in self._data.visits(epoch, self._order):
            for part in self._parts(begun, route):
                if self._due(begun) and self._called(epoch):
                    self._note()
                    return "callback"
                self._run(block, part)
        done = trainer.n_updates
        trainer.flush()
        if trainer.n_updates > begun and trainer.weight_sum == 0:
            raise ValueError(
                f"fit: sample_weight is zero for all rows of epoch {epoch}; visit some "
                "with a weight"
            )
        self._schedule(trainer.n_updates - done)
        held = self._note()
        if self._callback and self._called(epoch, held):
            return "callback"
        # As scikit-learn's SGD: rows held out measure predictions, so no penalty there.
        watched = self._objectives[-1] if held is None else held
        if self._patience.improves(watched) and held is not None:
            self._kept = trainer.solution
        if self._scheduler is not None and not self._by_update:
            if isinstance(self._scheduler, ReduceLROnPlateau):
                self._scheduler.step(watched)
            else:
                self._scheduler.step()
        return "tol" if self._patience.ended else None

    def _parts(self, begun: int, route: Route) -> Iterator[Route]:
        """Cut a route where there is something to do between two updates."""
        at = 0
        while at < len(route.rows):
            size = sys.maxsize
            now = self._trainer.n_updates
            if self._scheduler is not None and self._by_update:
                size = self._trainer.rows_until(now + 1)
            elif self._callback and self._every:
                following = ((now - begun) // self._every + 1) * self._every + begun
                size = self._trainer.rows_until(following)
            yield route.part(at, at + size)
            at += size

    def _due(self, begun: int) -> bool:
        """Whether the callback is to be called before more rows come."""
        if not (self._callback and self._every):
            return False
        done, waiting = self._trainer.n_updates - begun, self._trainer.waiting
        return bool(done and done % self._every == 0 and not waiting)

    def _check_still(self) -> None:
        if isinstance(self._data, InMemory):
            self._data.check_still()

    def _run(self, block: Block, route: Route) -> None:
        self._check_still()
        before = self._trainer.n_updates
        self._trainer.run(block, route)
        self._schedule(self._trainer.n_updates - before)

    def _schedule(self, updates: int) -> None:
        if self._scheduler is not None and self._by_update:
            for _ in range(updates):
                self._scheduler.step()

    def _note(self) -> float | None:
        """Write down the epoch; return its validation loss."""
        self._losses.append(self._trainer.loss)
        self._objectives.append(self._trainer.objective)
        self._rates.append(self._trainer.lr)
        if self._validation is None:
            return None
        self._held.append(self._validation.loss(*self._trainer.solution))
        return self._held[-1]

    def _called(self, epoch: int, held: float | None = None) -> bool:
        assert self._callback is not None
        trainer = self._trainer
        coef, intercept = trainer.solution
        where = Progress(
            *(epoch, trainer.n_updates, coef, intercept),
            *(trainer.loss, trainer.lr, held, trainer.objective),
        )
        return bool(self._callback(where))
