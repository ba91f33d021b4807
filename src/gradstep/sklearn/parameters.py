"""Parameters of an estimator, checked and in the words of `gradstep.lls`."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from gradstep.hyper import is_integer
from gradstep.lls import arguments as check
from gradstep.optimizer import OPTIMIZERS, Optimizer

# What a trainer is made from.
OF_TRAINER = (
    *("alpha", "average", "batch_size", "fit_intercept", "lr", "optimizer"),
    "scheduler",
)
_EXAMPLE = "functools.partial(gradstep.SGD, lr=1e-2)"
# Where validation ends training and no tol was given.
_TOL = 1e-4


def why_no_partial_fit(model: Any) -> str | None:
    """Return why there is no `partial_fit`, which does not see all rows, if so."""
    who = "LLSRegressor.partial_fit"
    for name in ("standardize", "early_stopping"):
        if getattr(model, name):
            return (
                f"{who}: {name} needs all rows, got {name}={getattr(model, name)!r}; "
                f"leave {name} out, or call fit"
            )
    if model.optimizer is None:
        return (
            f"{who}: optimizer is None, for which all rows are needed at once; pass "
            f"optimizer={_EXAMPLE}"
        )
    return None


def of_trainer(who: str, model: Any) -> dict[str, Any]:
    """Return what `lls.fit` and `lls.Trainer` both take.

    Gradients are means over a batch, so that a rate suits batches of any size.
    """
    average, size = model.average, model.batch_size
    if not isinstance(average, (bool, np.bool_)):
        average = check.whole(f"{who}: average", average, 0)
    return {
        "optimizer": _factory(who, model.optimizer, model.lr),
        "batch_size": 256 if size is None else _count(f"{who}: batch_size", size),
        "intercept": check.flag(f"{who}: fit_intercept", model.fit_intercept),
        "ridge": check.number(f"{who}: alpha", model.alpha, 0),
        "reduction": "mean",
        "average": average,
    }


def of_fit(who: str, model: Any) -> dict[str, Any]:
    """Return what `lls.fit` takes, but the seed, whose drawing is no check."""
    found = of_trainer(who, model) | {
        "epochs": None,
        "standardize": None,
        "shuffle": model.shuffle,
        "scheduler": model.scheduler,
        "validation": None,
        "tol": None,
        "patience": _count(f"{who}: n_iter_no_change", model.n_iter_no_change),
    }
    check.one_of(f"{who}: shuffle", model.shuffle, ("auto", "rows", "blocks", None))
    if model.max_iter is not None:
        found["epochs"] = _count(f"{who}: max_iter", model.max_iter)
    if model.standardize is not None:
        found["standardize"] = check.flag(f"{who}: standardize", model.standardize)
    fraction = check.number(f"{who}: validation_fraction", model.validation_fraction, 0)
    if not 0 < fraction < 1:
        raise ValueError(
            f"{who}: validation_fraction must be in (0, 1), got {fraction}"
        )
    if check.flag(f"{who}: early_stopping", model.early_stopping):
        found |= {"validation": fraction, "tol": _TOL}
    if model.tol is not None:
        found["tol"] = check.tolerance(f"{who}: tol", model.tol)
    check.flag(f"{who}: warm_start", model.warm_start)
    if model.optimizer is None:
        _refuse(who, model)
        for name in ("optimizer", "batch_size", "average"):
            del found[name]
    return found


def for_rows(who: str, found: dict[str, Any], n: int, features: int) -> None:
    """Complete what `of_fit` returned by what depends on the number of rows."""
    fraction = found["validation"]
    if fraction is not None and not 0 < round(fraction * n) < n:
        raise ValueError(
            f"{who}: validation_fraction must leave rows on both sides, got {fraction} "
            f"of n_samples={n}"
        )
    if found["epochs"] is None:  # as lls.fit has it; callbacks want to know
        steps = max(1000, 10 * features)
        found["epochs"] = 100 if "optimizer" in found else steps


def seed(who: str, random_state: Any) -> int:
    """Return an int as it is, and else draw one."""
    if is_integer(random_state):
        key = check.whole(f"{who}: random_state", random_state, 0)
        if key >= 2**64:
            raise ValueError(f"{who}: random_state must be below 2**64, got {key}")
        return key
    try:
        drawn = check_random_state(random_state)
    except ValueError:
        raise TypeError(
            f"{who}: random_state must be None, an int or a numpy.random.RandomState, "
            f"got {type(random_state).__name__}"
        ) from None
    return int(drawn.randint(np.iinfo(np.int32).max))


def scheduler_of(who: str, make: Any, optimizer: Optimizer) -> Any:
    """Return the scheduler of an optimizer, or None."""
    if make is None:
        return None
    example = "functools.partial(gradstep.lr_scheduler.StepLR, step_size=10)"
    check.is_callable(f"{who}: scheduler", make, example)
    found = make(optimizer)
    if not callable(getattr(found, "step", None)):
        raise TypeError(
            f"{who}: scheduler must return one of gradstep.lr_scheduler, got "
            f"{type(found).__name__}"
        )
    return found


def _count(name: str, value: Any) -> int:
    return check.whole(name, value, 1)


def _factory(who: str, optimizer: Any, lr: Any) -> Callable[[Any], Optimizer] | None:
    """Return what makes the optimizer of coefficients."""
    if optimizer is None:
        return None
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"{who}: optimizer must be one of {', '.join(sorted(OPTIMIZERS))}, got "
                f"{optimizer!r}"
            )
        optimizer = OPTIMIZERS[optimizer]
    check.is_callable(f"{who}: optimizer", optimizer, _EXAMPLE)
    found: Callable[..., Optimizer] = optimizer
    if lr is None:
        return found
    if not isinstance(optimizer, (type, functools.partial)):
        raise ValueError(
            f"{who}: lr needs the name or class of an optimizer, or a "
            f"functools.partial of one, got {type(optimizer).__name__}"
        )
    return functools.partial(found, lr=lr)


def _refuse(who: str, model: Any) -> None:
    """Refuse what has no meaning where every step is on all rows."""
    for name in ("lr", "batch_size", "average", "scheduler", "early_stopping"):
        value = getattr(model, name)
        if value is not None and value is not False:
            raise ValueError(
                f"{who}: {name} needs an optimizer, such as {_EXAMPLE}; without one, "
                f"every step is on all rows, got {name}={value!r}"
            )
