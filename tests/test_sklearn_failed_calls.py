"""A call of `LLSRegressor` that fails, or has no weight, leaves the model as it was."""

import copy
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from estimating import problem, weights
from gradstep import lls
from gradstep.lls.guard import Guard
from gradstep.sklearn import ConvergenceWarning, LLSRegressor

lrs = gs.lr_scheduler
X, y = problem()
S = weights()
PARTS = [(X[at : at + 19], y[at : at + 19], S[at : at + 19]) for at in (0, 19, 38)]
SCHEDULERS: dict[str, Any] = {
    "none": None,
    "step": partial(lrs.StepLR, step_size=1, gamma=0.7),
    "cyclic": partial(lrs.CyclicLR, base_lr=0.01, max_lr=0.03, step_size_up=2),
    "plateau": partial(lrs.ReduceLROnPlateau, factor=0.5, patience=0),
    "sequence": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, total_iters=2), lrs.ExponentialLR(o, gamma=0.9)], [1]
    ),
}
OPTIMIZER = partial(gs.SGD, lr=0.02, momentum=0.7)


def frozen(value: Any) -> Any:
    """Return what compares bit for bit, and of one object or two alike."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {k: frozen(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    return repr(value)


def image(model: LLSRegressor) -> Any:
    """All that predictions, attributes and later calls depend on."""
    fitted = {k: v for k, v in vars(model).items() if k.endswith("_")}
    engine = vars(model).get("_engine")
    state = {} if engine is None else engine.__getstate__()
    if "saved" in state:  # of a fit that has ended
        state = {"optimizer": engine.optimizer.state_dict()}
    return frozen(fitted), frozen(state)


def model_after(calls: int, scheduler: Any = None, **o: Any) -> LLSRegressor:
    model = LLSRegressor(
        **{"optimizer": OPTIMIZER, "batch_size": 5, "average": 6} | o,
        scheduler=scheduler,
    )
    for part in PARTS[:calls]:
        model.partial_fit(*part)
    return model


def raise_at(patch: pytest.MonkeyPatch, kind: Any, method: str, error: Any) -> None:
    """Let a method do its work, and raise when it is done."""
    original = getattr(kind, method)

    def failing(self: Any, *rest: Any, **o: Any) -> Any:
        original(self, *rest, **o)
        raise error

    patch.setattr(kind, method, failing)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), UserWarning()])
@pytest.mark.parametrize("calls", [0, 1, 2])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_call_that_fails_at_any_place_changes_nothing(
    name: str, calls: int, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = (model_after(calls, SCHEDULERS[name]) for _ in range(2))
    scheduler: Any = {
        "step": lrs.StepLR,
        "cyclic": lrs.CyclicLR,
        "plateau": lrs.ReduceLROnPlateau,
        "sequence": lrs.SequentialLR,
    }.get(name)
    places = [(Guard, "passes"), (lls.Trainer, "check_end"), (LLSRegressor, "_note")]
    if scheduler is not None:
        places += [(scheduler, "step")] if calls else []
    for kind, method in places:
        with monkeypatch.context() as patch:
            raise_at(patch, kind, method, error)
            with pytest.raises(type(error)):
                model.partial_fit(X, 3 * y, S)
        assert image(model) == image(other)
    for part in PARTS[calls:]:
        model.partial_fit(*part)
        other.partial_fit(*part)
        assert image(model) == image(other)


def test_a_scheduler_without_a_state_goes_back_too() -> None:
    class Halving:
        def __init__(self, optimizer: Any) -> None:
            self.optimizer, self.steps = optimizer, 0

        def step(self) -> None:
            self.steps += 1
            self.optimizer.param_groups[0]["lr"] /= 2
            if self.steps == 2:
                raise OSError("the log is full")

    model = model_after(1, Halving)
    before = model.coef_.tobytes(), model.loss_curve_, model.optimizer_.lr
    for _ in range(2):  # the second time as the first
        with pytest.raises(OSError, match="the log is full"):
            model.partial_fit(*PARTS[1])
        now = model.coef_.tobytes(), model.loss_curve_, model.optimizer_.lr
        assert now == before


@pytest.mark.parametrize("case", ["features", "y", "weight", "NaN", "diverges"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("before", ["nothing", "fit", "partial_fit"])
def test_a_call_with_bad_rows_changes_nothing(
    before: str, method: str, case: str
) -> None:
    model = LLSRegressor(optimizer=OPTIMIZER, batch_size=5, random_state=3)
    if before != "nothing":
        getattr(model, before)(X, y)
    saved = image(model)
    bad: Any = {
        "features": (X[:, :3], np.r_[y[:-1], np.nan]),
        "y": (X[:, :3], y[:4]),
        "weight": (X[:, :3], y, -S),
        "NaN": (np.where(X[7, 1] == X, np.nan, X)[:, :3], y),
        "diverges": (1e5 * X, y),
    }[case]
    with pytest.raises((ValueError, lls.DivergenceError)):
        getattr(model, method)(*bad)
    assert image(model) == saved
    if before != "nothing":
        assert model.predict(X).shape == y.shape


def test_a_warning_that_is_an_error_leaves_the_last_fit() -> None:
    for o in (
        {"optimizer": OPTIMIZER, "tol": 1e-9, "max_iter": 2, "batch_size": 5},
        {"tol": 0.0, "max_iter": 1},
    ):
        model = LLSRegressor(**o, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
        saved = image(model)
        with pytest.raises(ConvergenceWarning):
            model.fit(2 * X[:, :2], y)
        assert image(model) == saved


def test_a_callback_that_raises_leaves_the_last_fit() -> None:
    class Failing:
        def setup(self, estimator: Any, context: Any) -> None:
            pass

        def on_fit_task_begin(self, *_: Any, **__: Any) -> None:
            pass

        def on_fit_task_end(self, *_: Any, **__: Any) -> bool:
            raise OSError("the log is full")

        def teardown(self, estimator: Any, context: Any) -> None:
            pass

    for o in ({"optimizer": OPTIMIZER, "batch_size": 5}, {}):
        model = LLSRegressor(**o, random_state=0).fit(X, y)
        saved = image(model)
        model.set_callbacks(Failing())
        with pytest.raises(OSError, match="the log is full"):
            model.fit(2 * X[:, :2], y)
        assert image(model) == saved
        assert not hasattr(model, "_callback_fit_ctx")


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_a_call_without_weight_does_nothing(calls: int, name: str) -> None:
    model, other = (model_after(calls, SCHEDULERS[name]) for _ in range(2))
    assert model.partial_fit(X, y, 0 * S) is model
    if calls == 0:
        assert model.coef_.tolist() == [0] * X.shape[1]
        assert (model.n_iter_, model.n_updates_, model.loss_curve_) == (0, 0, [])
        assert model.predict(X).tolist() == [0] * len(X)
    else:
        assert image(model) == image(other)
    for part in PARTS[calls:]:
        model.partial_fit(*part).partial_fit(X, y, 0 * S)
        other.partial_fit(*part)
        assert image(model) == image(other)


def test_a_plateau_is_shown_no_loss_of_rows_without_weight() -> None:
    """A loss of 0 is never undercut: rates would fall for ever after."""
    model = model_after(0, SCHEDULERS["plateau"])
    rates = []
    for k in (5, 4, 3):
        model.partial_fit(X, k * y).partial_fit(X, y, 0 * S)
        rates.append(model.optimizer_.lr)
    assert rates == [0.02] * 3


def test_a_plateau_is_one_of_the_loss_and_the_penalty() -> None:
    shown = []

    class Plateau(lrs.ReduceLROnPlateau):
        def step(self, metrics: float) -> None:
            shown.append(metrics)
            super().step(metrics)

    model = model_after(0, Plateau, alpha=40.0)
    twin = lls.Trainer(
        X.shape[1],
        optimizer=OPTIMIZER,
        batch_size=5,
        average=6,
        reduction="mean",
        ridge=40.0,
        intercept=True,
    )
    want = [twin.partial_fit(*part).objective for part in PARTS]
    for part in PARTS:
        model.partial_fit(*part)
    assert shown == want
    assert model.loss_curve_ != want


def test_copies_go_on_alike_after_a_call_that_failed() -> None:
    model = model_after(2, SCHEDULERS["step"])
    with pytest.raises(lls.DivergenceError):
        model.partial_fit(1e6 * X, y)
    twin = copy.deepcopy(model)
    assert image(model.partial_fit(*PARTS[2])) == image(twin.partial_fit(*PARTS[2]))
