"""What rules need to end at a minimum: the table in the docstring of `minimize`."""

import functools
import re
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

import gradstep as gs

# Neither on a grid of steps nor near the minimum.
START = [-1.23, 1.04]
FALLING = functools.partial(gs.lr_scheduler.ExponentialLR, gamma=0.998)
SLOWLY = functools.partial(gs.lr_scheduler.ExponentialLR, gamma=0.999)
STEADY = {"weight_decay": 0.0}
# A rule, options with which it does not end at gtol, and those that the table adds.
ROWS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (gs.Rprop, {}, {"step_sizes": (0, 50)}),
    (gs.Lion, {"lr": 0.02}, {"scheduler": FALLING}),
    (gs.Signum, {"lr": 0.02}, {"scheduler": FALLING}),
    (gs.RMSprop, {"lr": 0.02}, {"scheduler": SLOWLY}),
    (gs.LAMB, STEADY | {"lr": 0.02}, {"adapt": False}),
    (gs.LARS, {"lr": 5.0}, {"adapt": False, "lr": 0.001}),
    (gs.SGD, {"lr": 0.001}, {"momentum": 0.9}),
    (gs.AdamW, {"lr": 0.02}, STEADY),
    (gs.LAMB, {"lr": 0.02, "adapt": False}, STEADY),
    (gs.AdaBelief, {"lr": 0.02}, {"like": "paper"}),
    (gs.RAdam, {"lr": 0.02}, {"like": "official"}),
    (gs.Adai, {}, {"lr": 0.003}),
    (gs.Adagrad, {}, {"lr": 1.0}),
]


def minimum(rule: Any, options: dict[str, Any], maxiter: int = 15000) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        return scipy.optimize.minimize(
            rosen,
            START,
            jac=rosen_der,
            method=gs.minimize(rule, **options),
            options={"maxiter": maxiter},
        )


@pytest.mark.parametrize(("rule", "options", "remedy"), ROWS, ids=str)
def test_the_table_says_what_lets_a_rule_end_at_gtol(
    rule: Any, options: dict[str, Any], remedy: dict[str, Any]
) -> None:
    found = minimum(rule, options | remedy)
    assert found.success
    np.testing.assert_allclose(found.x, 1, atol=1e-4)
    assert minimum(rule, options, found.nit + 100).status in (1, 3)


def test_every_rule_of_the_table_is_tried() -> None:
    doc = gs.minimize.__doc__ or ""
    table = doc.split("Rule  ")[1].split("Averages of schedule-free")[0]
    named = set(re.findall(r"\b(" + "|".join(gs.OPTIMIZERS) + r")\b", table))
    assert named - {"Adam"} == {rule.__name__ for rule, *_ in ROWS} | {
        "ScheduleFreeSGD"
    }


def test_schedule_free_sgd_diverges_by_its_default_rate_only() -> None:
    assert minimum(gs.ScheduleFreeSGD, {}).status == 3
    found = minimum(gs.ScheduleFreeSGD, {"lr": 0.003}, 3000)
    assert found.status == 1
    assert found.fun < 0.01


def test_lamb_and_lars_hardly_move_near_the_origin() -> None:
    """And take lr times the gradient as it is where all of x is 0."""
    centre = np.array([1.2, -2.3])

    def first(rule: Any, x0: Any) -> Any:
        seen: list[Any] = []
        scipy.optimize.minimize(
            lambda x: ((x - centre) ** 2).sum() / 2,
            x0,
            jac=lambda x: x - centre,
            method=gs.minimize(rule, lr=0.1),
            callback=seen.append,
            options={"maxiter": 1},
        )
        return seen[0] - x0

    for rule in (gs.LAMB, gs.LARS):
        assert abs(first(rule, [1e-9, 1e-9])).max() < 1e-9
    np.testing.assert_allclose(first(gs.LARS, [0.0, 0.0]), 0.1 * centre)


@pytest.mark.parametrize("rule", [gs.ScheduleFreeAdamW, gs.Adadelta])
def test_slow_rules_come_near_by_maxiter(rule: Any) -> None:
    options = {"lr": 0.02} if rule is gs.ScheduleFreeAdamW else {}
    found = minimum(rule, options, 5000)
    assert found.status == 1
    assert found.fun < 1
