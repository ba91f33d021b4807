"""Batches, learning rates, least squares and schedules."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gradstep import lls, schedules
from gradstep.datasets import wdbc
from gradstep.lr_scheduler import CosineAnnealingLR
from gradstep.optimizers import SGD, ScheduleFreeSGD
from gradstep.plot.arguments import Floats
from gradstep.plot.batches import LLSPaths, lls_paths
from gradstep.plot.gallery.picture import Picture, Section, outside
from gradstep.plot.lls import lls3d
from gradstep.plot.losses import convergence
from gradstep.plot.rates import LearningRates, learning_rates
from gradstep.plot.schedules import schedule

EPOCHS = 20

# Rows, epochs and rate of the noisy fits.
_ROWS, NOISY_EPOCHS, _RATE = 400, 30, 0.05


def standardised() -> tuple[Floats, Floats]:
    """Return the tutorial's data, each column of mean 0 and deviation 1."""
    X, y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
    return X, y


def tutorial_fit() -> tuple[lls.Fit, Floats]:
    """Return the tutorial's fit, and its sum of squares after each epoch."""
    X, y = standardised()
    sums: list[float] = []
    done = lls.fit(
        X,
        y,
        optimizer=functools.partial(SGD, lr=1e-3),
        batch_size=10,
        epochs=10,
        # The tutorial starts the generator afresh in each epoch.
        order=lambda _: np.random.RandomState(0).permutation(len(X)),
        callback=lambda at: sums.append(float(((X @ at.coef - y) ** 2).sum())),
    )
    return done, np.array([float((y**2).sum()), *sums])


def noisy() -> tuple[dict[str, Floats], float]:
    """Return the mean squares of noisy fits after each epoch, and the least."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(_ROWS, 2))
    y = X @ [1.0, -2.0] + rng.normal(size=_ROWS)

    def losses(optimizer: Callable[..., Any], **options: Any) -> Floats:
        found = [float((y**2).mean())]
        lls.fit(
            X,
            y,
            optimizer=optimizer,
            batch_size=1,
            epochs=NOISY_EPOCHS,
            reduction="mean",
            callback=lambda at: found.append(float(((X @ at.coef - y) ** 2).mean())),
            **options,
        )
        return np.array(found)

    sgd = functools.partial(SGD, lr=_RATE)
    cosine = functools.partial(CosineAnnealingLR, T_max=_ROWS * NOISY_EPOCHS)
    found = {
        "SGD, constant rate": losses(sgd),
        "SGD, cosine schedule": losses(sgd, scheduler=cosine, schedule_by="update"),
        "schedule-free SGD": losses(functools.partial(ScheduleFreeSGD, lr=_RATE)),
    }
    return found, float(((X @ lls.solve(X, y).coef - y) ** 2).mean())


def draw_batches(figure: Figure) -> tuple[LLSPaths, LLSPaths]:
    """Draw the paths of three batch sizes, whole and near the solution."""
    whole, near = figure.subplots(1, 2)
    X, y = standardised()
    options: dict[str, Any] = {
        "optimizer": functools.partial(SGD, lr=0.01),
        "epochs": EPOCHS,
    }
    names = ("weight of radius", "weight of area")
    first = lls_paths(X, y, **options, names=names, ax=whole)
    frame = ((0.8, 1.0), (0.0, 0.2))
    second = lls_paths(X, y, **options, names=names, bounds=frame, ax=near)
    whole.set_title("all of it", fontsize="medium")
    near.set_title("near the solution", fontsize="medium")
    near.get_legend().remove()
    outside(whole)
    return first, second


def draw_rates(figure: Figure) -> LearningRates:
    """Draw three rates on a parabola."""
    axes = figure.subplots(2, 2)
    drawn = learning_rates(ax=list(axes.ravel()))
    outside(axes[1, 1])
    return drawn


def draw_fit(figure: Figure) -> None:
    """Draw the data and the plane of the tutorial's fit."""
    ax = figure.add_subplot(projection="3d")
    ax.set_box_aspect((4, 4, 3), zoom=0.84)
    ax.computed_zorder = False
    X, y = standardised()
    names = ("mean radius", "mean area", "mean perimeter")
    lls3d(X, y, tutorial_fit()[0].coef, names=names, residuals=True, ax=ax)
    outside(ax)


def draw_convergence(figure: Figure) -> None:
    """Draw the excess of the tutorial's fit over the exact one."""
    X, y = standardised()
    least = float(((X @ lls.solve(X, y).coef - y) ** 2).sum())
    ax = figure.subplots()
    sums = tutorial_fit()[1]
    convergence(sums, labels=["SGD, batches of 10, lr = 0.001"], exact=least, ax=ax)
    ax.set_ylabel("|Xw \N{MINUS SIGN} y|² above the exact solution's")
    outside(ax)


def draw_schedules(figure: Figure) -> None:
    """Draw the schedules that the tutorial names."""
    ax = figure.subplots()
    named = {
        "step decay": schedules.Step(25, gamma=0.5),
        "exponential decay": schedules.ExponentialDecay(0.03),
        "1/t decay": schedules.InverseTime(0.05),
        "cosine annealing": schedules.CosineAnnealing(100),
        "cosine after a warm-up": schedules.Warmup(schedules.CosineAnnealing(90), 10),
    }
    lines = schedule(*named.values(), steps=101, base=0.1, ax=ax)
    for line, label, dashes in zip(lines, named, ("-", "--", "-.", ":", (0, (8, 2)))):
        line.set(label=label, linestyle=dashes, linewidth=2)
    ax.set_ylabel("learning rate")
    outside(ax)


def draw_decay(figure: Figure) -> None:
    """Draw noisy fits at a constant rate and with a schedule."""
    losses, least = noisy()
    del losses["schedule-free SGD"]
    _draw_noisy(figure, losses, least)


def draw_schedule_free(figure: Figure) -> None:
    """Draw them beside a fit that needs no schedule."""
    _draw_noisy(figure, *noisy())


def _draw_noisy(figure: Figure, losses: dict[str, Floats], least: float) -> None:
    ax = figure.subplots()
    convergence(*losses.values(), labels=list(losses), exact=least, ax=ax)
    ax.set_ylabel("mean squared residual above the least")
    outside(ax)


SCHEDULE_FREE = Picture(
    name="schedule_free",
    title="Schedule-free: an average instead of a schedule",
    text=(
        "The same noisy fit: schedule-free SGD keeps one rate, whenever the run is to "
        "end, and its average settles as the fit with a schedule does, which has to "
        "know the number of steps beforehand."
    ),
    alt=(
        "Excess loss over 30 epochs: SGD at a constant rate jumps up and down, SGD "
        "with a cosine schedule and schedule-free SGD end below a ten-thousandth."
    ),
    draw=draw_schedule_free,
    size=(7.2, 4.2),
    vector=True,
)

SECTIONS = (
    Section(
        "Batch, mini-batch and stochastic",
        (
            Picture(
                name="batches",
                title="Three batch sizes, 20 epochs each",
                text=(
                    "All have the same rate and see the same rows. Batches of all 569 "
                    "rows go straight but take only 20 steps; single rows take 11380, "
                    "get closest to the solution, and stagger about on the way."
                ),
                alt=(
                    "Contours of the squared residual, a long narrow bowl. The path of "
                    "full batches is short and smooth, that of batches of 32 reaches "
                    "the floor, that of single rows zigzags along it to the solution."
                ),
                draw=draw_batches,
                size=(7.2, 4.6),
            ),
        ),
    ),
    Section(
        "The learning rate",
        (
            Picture(
                name="rates",
                title="Too small, right and too high",
                text=(
                    "On a parabola of curvature L = 1 the rate 1/L is right: one step. "
                    "With a tenth of it descent creeps; above 2/L every step leads "
                    "farther away than the last."
                ),
                alt=(
                    "Three parabolas with iterates: close together on one side, one "
                    "step to the bottom, and from side to side upwards. A fourth panel "
                    "shows the losses."
                ),
                draw=draw_rates,
                size=(7.2, 6.2),
                vector=True,
            ),
        ),
    ),
    Section(
        "Least squares",
        (
            Picture(
                name="fit",
                title="A fit of real data",
                text=(
                    "The mean perimeter of cell nuclei in 569 images by their mean "
                    "radius and area, all standardised: the plane is what mini-batch "
                    "gradient descent finds in 10 epochs."
                ),
                alt="A cloud of points in three dimensions close to a plane.",
                draw=draw_fit,
                size=(7.2, 5.8),
            ),
            Picture(
                name="convergence",
                title="Its convergence",
                text=(
                    "The first epoch does most of the work; then the loss falls "
                    "slowly, along the direction in which radius and area, which are "
                    "nearly proportional, hardly differ."
                ),
                alt=(
                    "The sum of squares above the exact solution's over 10 epochs, on "
                    "a logarithmic axis: a steep fall, then a slow one."
                ),
                draw=draw_convergence,
                size=(7.2, 4.0),
                vector=True,
            ),
        ),
    ),
    Section(
        "Learning rate schedules",
        (
            Picture(
                name="schedules",
                title="Five schedules",
                text=(
                    "All begin at 0.1 but the last, which warms up to it in 10 steps. "
                    "Step decay halves the rate every 25 steps; cosine annealing ends "
                    "at 0."
                ),
                alt=(
                    "Learning rates over 100 steps: stairs, two curves that fall and "
                    "level off, and two half waves, one of them after a rise."
                ),
                draw=draw_schedules,
                size=(7.2, 4.6),
                vector=True,
            ),
            Picture(
                name="decay",
                title="Why rates are lowered",
                text=(
                    "A noisy fit, one row at a time: at a constant rate the loss "
                    "bounces about above the least; as the rate falls to 0, so does "
                    "the bouncing."
                ),
                alt=(
                    "Excess loss over 30 epochs: at a constant rate it jumps up and "
                    "down, with a cosine schedule it ends below a ten-thousandth."
                ),
                draw=draw_decay,
                size=(7.2, 4.2),
                vector=True,
            ),
        ),
    ),
)
