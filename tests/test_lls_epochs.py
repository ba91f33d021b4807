"""Epochs of a fit: orders, schedulers, averages, callbacks, and what it returns."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from gradstep import lr_scheduler as lrs
from test_shuffle import by_blocks, by_rows
from training import HEAVY, SGD, bits, by_hand, distance, permutations, problem, weights

X, y = problem(50, 4)
ROWS = permutations(50, 8)
BASE: dict[str, Any] = {
    "optimizer": HEAVY,
    "batch_size": 7,
    "reduction": "mean",
    "intercept": True,
}
SCHEDULERS: dict[str, Any] = {
    "step": partial(lrs.StepLR, step_size=3, gamma=0.7),
    "exponential": partial(lrs.ExponentialLR, gamma=0.9),
    "cosine": partial(lrs.CosineAnnealingLR, T_max=6),
    "one cycle": partial(lrs.OneCycleLR, max_lr=0.05, total_steps=70),
    "cyclic": partial(lrs.CyclicLR, base_lr=0.01, max_lr=0.03, step_size_up=5),
    "warm-up": partial(lrs.LinearLR, total_iters=5),
}
PLATEAU = partial(lrs.ReduceLROnPlateau, patience=0, factor=0.5, threshold=0.05)


@pytest.mark.parametrize("seed", [0, 3, 2**64 - 1])
def test_rows_are_shuffled_by_seed_and_epoch(seed: int) -> None:
    orders = [np.array(by_rows(seed, e, 50)) for e in range(3)]
    done = lls.fit(X, y, epochs=3, shuffle="rows", seed=seed, **BASE)
    assert bits(done) == bits(lls.fit(X, y, epochs=3, order=orders.__getitem__, **BASE))
    assert bits(done) == bits(lls.fit(X, y, epochs=3, seed=seed, **BASE))
    assert distance(done.coef, by_hand(X, y, orders, **BASE).coef) < 1e-12
    wide, t = problem(90, 2048)
    o = BASE | {"optimizer": partial(gs.SGD, lr=1e-5)}
    orders = [np.array(by_blocks(seed, e, 90, 4)) for e in range(2)]
    done = lls.fit(wide, t, epochs=2, shuffle="blocks", seed=seed, **o)
    assert bits(done) == bits(lls.fit(wide, t, epochs=2, order=orders.__getitem__, **o))
    assert distance(done.coef, by_hand(wide, t, orders, **o).coef) < 1e-11


def test_rows_of_each_chunk_are_shuffled_within_it() -> None:
    """Which row was visited shows in which coefficient moved."""
    eye, ones = np.eye(12), np.ones(12)
    chunks = [(eye[:5], ones[:5]), (eye[5:], ones[5:])]
    visits: dict[Any, list[int]] = {}
    for shuffle, seed in (("auto", 0), ("auto", 1), (None, 0)):
        seen, before = visits.setdefault((shuffle, seed), []), [np.zeros(12)]

        def moved(at: Any, seen: Any = seen, before: Any = before) -> None:
            seen.extend(np.flatnonzero(at.coef != before[0]).tolist())
            before[0] = at.coef

        o = {"batch_size": 1, "callback_every": 1, "epochs": 2}
        how = {"shuffle": shuffle, "seed": seed, "optimizer": partial(gs.SGD, lr=0.1)}
        lls.fit(chunks, callback=moved, **how, **o)
    assert visits[None, 0] == [*range(12)] * 2
    for seed in (0, 1):
        one = visits["auto", seed]
        parts = [one[:5], one[5:12], one[12:17], one[17:]]
        assert [sorted(part) for part in parts] == [[*range(5)], [*range(5, 12)]] * 2
        assert parts[0] != parts[2]
    assert visits["auto", 0] != visits["auto", 1]


@pytest.mark.parametrize("by", ["epoch", "update"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_steps_after_epochs_or_updates(name: str, by: Any) -> None:
    o = BASE | {"scheduler": SCHEDULERS[name], "schedule_by": by}
    done = lls.fit(X, y, epochs=8, order=ROWS.__getitem__, **o)
    want = by_hand(X, y, ROWS, **o)
    assert distance(done.coef, want.coef) < 1e-12
    assert distance(done.loss, want.loss) < 1e-12
    assert done.lr.tolist() == pytest.approx(want.lr, rel=1e-15, abs=0)


def test_a_plateau_is_shown_the_loss_of_the_epoch() -> None:
    done = lls.fit(X, y, epochs=8, order=ROWS.__getitem__, scheduler=PLATEAU, **BASE)
    want = by_hand(X, y, ROWS, scheduler=PLATEAU, **BASE)
    assert distance(done.coef, want.coef) < 1e-12
    assert done.lr.tolist() == want.lr
    assert len(set(want.lr)) > 2


def test_a_plateau_is_shown_the_loss_of_the_validation_set() -> None:
    shown: list[float] = []

    class Plateau(lrs.ReduceLROnPlateau):
        def step(self, metrics: float) -> None:
            shown.append(metrics)
            super().step(metrics)

    scheduler = partial(Plateau, patience=0)
    held = problem(30, 4, seed=3)
    done = lls.fit(X, y, epochs=5, scheduler=scheduler, validation=held, **BASE)
    assert shown == done.validation_loss.tolist()


def test_a_plateau_by_updates_is_refused_before_any() -> None:
    w = np.zeros(4)
    with pytest.raises(ValueError, match=r"fit: .*ReduceLROnPlateau"):
        lls.fit(X, y, scheduler=PLATEAU, schedule_by="update", coef0=w, **BASE)


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    other = gs.SGD(np.ones(3), lr=0.1)
    with pytest.raises((TypeError, ValueError), match="fit: scheduler"):
        lls.fit(
            X,
            y,
            epochs=1,
            scheduler=lambda _: lrs.ExponentialLR(other, gamma=0.5),
            **BASE,
        )


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("average", [True, 0, 1, 2, 5, 23])
def test_an_average_is_the_mean_of_the_coefficients_after_each_update(
    average: Any, scaled: bool
) -> None:
    o = BASE | {"standardize": scaled, "sample_weight": weights(50), "ridge": 0.7}
    done = lls.fit(X, y, epochs=3, order=ROWS.__getitem__, average=average, **o)
    want = by_hand(X, y, ROWS[:3], **o)
    first = 0 if average is True else average
    assert distance(done.coef, want.mean(first)) < 1e-11
    b = np.mean([b for _, b in want.path[first:]])
    assert distance(done.intercept, b) < 1e-11
    assert distance(done.loss, want.loss) < 1e-12
    # The optimizer has gone its own way.
    whole = lls.fit(X, y, epochs=3, order=ROWS.__getitem__, **o)
    results = done.optimizer.results()[0].tobytes()
    assert results == whole.optimizer.results()[0].tobytes()


def test_an_average_that_has_not_begun_is_the_last() -> None:
    o = BASE | {"order": ROWS.__getitem__, "epochs": 3}
    assert bits(lls.fit(X, y, average=24, **o)) == bits(lls.fit(X, y, **o))


@pytest.mark.parametrize("name", ["ScheduleFreeSGD", "ScheduleFreeAdamW"])
def test_a_schedule_free_optimizer_gives_its_own_average(name: str) -> None:
    o = BASE | {"optimizer": partial(gs.OPTIMIZERS[name], lr=0.03)}
    seen: list[Any] = []
    o |= {"callback": seen.append, "callback_every": 3}
    done = lls.fit(X, y, epochs=2, order=ROWS.__getitem__, **o)
    want = by_hand(X, y, ROWS[:2], **{k: o[k] for k in BASE})
    assert distance(done.coef, want.coef) < 1e-12
    assert done.coef.tobytes() == done.optimizer.results()[0].tobytes()
    assert [at.update for at in seen] == [3, 6, 8, 11, 14, 16]
    for at in seen:
        assert distance(at.coef, want.path[at.update - 1][0]) < 1e-12


@pytest.mark.parametrize("average", [False, True])
def test_progress_is_what_was_done_so_far(average: bool) -> None:
    seen: list[lls.Progress] = []
    held = problem(30, 4, seed=3)
    o = BASE | {"callback": seen.append, "callback_every": 3, "average": average}
    done = lls.fit(X, y, epochs=2, order=ROWS.__getitem__, validation=held, **o)
    want = by_hand(X, y, ROWS[:2], **BASE)
    assert [(at.epoch, at.update) for at in seen] == [
        *((0, 3), (0, 6), (0, 8)),
        *((1, 11), (1, 14), (1, 16)),
    ]
    for at in seen:
        w = want.mean(0, at.update) if average else want.path[at.update - 1][0]
        assert distance(at.coef, w) < 1e-12
        end = at.update % 8 == 0
        assert (at.validation_loss is None) != end
    assert [at.loss for at in seen if at.update % 8 == 0] == done.loss.tolist()
    losses = [at.validation_loss for at in seen if at.update % 8 == 0]
    assert losses == done.validation_loss.tolist()


def test_the_loss_so_far_is_of_the_rows_of_this_epoch_so_far() -> None:
    seen: list[lls.Progress] = []
    o = BASE | {
        "callback": seen.append,
        "callback_every": 3,
        "sample_weight": weights(50),
    }
    lls.fit(X, y, epochs=2, order=ROWS.__getitem__, **o)
    o = {k: o[k] for k in (*BASE, "sample_weight")}
    for at, rows in zip(seen, (21, 42, 50) * 2, strict=True):
        orders = [*ROWS[: at.epoch], ROWS[at.epoch][:rows]]
        assert at.loss == pytest.approx(by_hand(X, y, orders, **o).loss[-1], 1e-12)


@pytest.mark.parametrize("by", ["epoch", "update"])
def test_the_rate_in_progress_is_that_of_the_last_update(by: Any) -> None:
    seen: list[lls.Progress] = []
    o = BASE | {"callback": seen.append, "callback_every": 1, "schedule_by": by}
    scheduler = SCHEDULERS["exponential"]
    lls.fit(X, y, epochs=3, shuffle=None, scheduler=scheduler, **o)
    each = 8
    at_end = {at.update: at.lr for at in seen}  # the last of two calls, if there are
    for update, lr in at_end.items():
        # By update a scheduler steps with the update, by epoch after the callback.
        steps = update if by == "update" else (update - 1) // each
        assert lr == pytest.approx(0.02 * 0.9**steps), update


def test_a_true_result_ends_the_fit() -> None:
    o = BASE | {"callback_every": 3, "order": ROWS.__getitem__}
    done = lls.fit(X, y, epochs=5, callback=lambda at: at.update == 11, **o)
    want = by_hand(X, y, [ROWS[0], ROWS[1][:21]], **BASE)
    assert (done.n_updates, done.epochs, done.reason) == (11, 2, "callback")
    assert distance(done.coef, want.coef) < 1e-12
    assert done.loss.shape == done.lr.shape == (2,)
    done = lls.fit(X, y, epochs=5, callback=lambda at: at.epoch == 2, **o)
    assert (done.n_updates, done.epochs, done.reason) == (19, 3, "callback")


def test_what_a_callback_does_to_its_copies_does_not_matter() -> None:
    def spoil(at: lls.Progress) -> None:
        at.coef[:] = np.nan

    o = BASE | {"epochs": 2, "average": 3}
    assert bits(lls.fit(X, y, callback=spoil, **o)) == bits(lls.fit(X, y, **o))


def test_the_bar_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    o = BASE | {"epochs": 2, "optimizer": SGD}
    assert bits(lls.fit(X, y, progress=True, **o)) == bits(lls.fit(X, y, **o))
    assert "2/2" in capsys.readouterr().err
