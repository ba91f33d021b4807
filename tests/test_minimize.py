"""gradstep.minimize: iterates by every rule, and as a method among scipy's."""

import inspect
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

import gradstep as gs
from gradstep import lr_scheduler as lrs
from minimizing import (
    HALF,
    SGD,
    TARGET,
    X0,
    by_hand,
    f4,
    f8,
    grad,
    loss,
    path,
    run,
    same,
)
from variants import VARIANTS

Array = Any

WRAPPED: dict[str, Any] = {
    "sam": (gs.SAM, {"base": partial(gs.Adam, lr=0.07), "rho": 0.21}),
    "schedulefree": (gs.ScheduleFree, {"base": partial(gs.RMSprop, lr=0.07)}),
}
EVERY: dict[str, Any] = {**VARIANTS, **WRAPPED}


@pytest.mark.parametrize("dtype", [f4, f8])
@pytest.mark.parametrize("name", EVERY)
def test_iterates_are_those_of_a_loop_by_hand(name: str, dtype: Any) -> None:
    cls, options = EVERY[name]
    x0 = X0.astype(dtype)
    _, seen = path(gs.minimize(cls, **options), x0, maxiter=7, gtol=0)
    assert len(seen) == 7
    assert same(seen, by_hand(partial(cls, **options), 7, x0))


def test_sam_around_a_schedule_free_rule_returns_the_average() -> None:
    base = partial(gs.ScheduleFreeSGD, lr=0.13, momentum=0.7)
    w, averages = X0.copy(), []
    opt = gs.SAM(w, base, rho=0.21)
    for _ in range(5):
        opt.first_step(grad(w))
        opt.second_step(grad(w))
        averages.append(opt.base.eval_params())
    assert same(path(gs.minimize(gs.SAM, base=base, rho=0.21), maxiter=5)[1], averages)


@pytest.mark.parametrize("name", sorted(gs.OPTIMIZERS))
def test_every_rule_lowers_the_loss(name: str) -> None:
    found = run(gs.minimize(gs.OPTIMIZERS[name], lr=0.05), maxiter=40)
    assert found.fun < loss(X0) - 1e-3
    assert found.status in (0, 1)
    assert found.fun == loss(found.x)
    assert found.jac.tobytes() == grad(found.x).tobytes()


@pytest.mark.parametrize("dtype", [f4, f8])
def test_the_minimum_of_a_quadratic_is_found(dtype: Any) -> None:
    found = run(gs.minimize(gs.SGD, lr=0.2, momentum=0.3), X0.astype(dtype), gtol=1e-6)
    assert found.success
    assert found.x.dtype == found.jac.dtype == dtype
    assert abs(found.x - TARGET).max() < 1e-6
    assert found.nfev == found.njev == found.nit + 1
    assert found.message.endswith("the gradient is at most gtol=1e-06 everywhere.")


@pytest.mark.parametrize(
    "method",
    [
        gs.minimize(gs.Adam, lr=0.02),
        gs.minimize(
            gs.RMSprop, lr=0.01, scheduler=partial(lrs.ExponentialLR, gamma=0.999)
        ),
        gs.minimize(gs.SGD, lr=1e-3, momentum=0.9, nesterov=True, form="velocity"),
        gs.minimize(gs.Rprop, lr=0.01, variant="irprop-"),
        gs.minimize(gs.AdaBelief, lr=0.02, rectify=False),
    ],
    ids=repr,
)
def test_rosenbrocks_valley_is_followed(method: Any) -> None:
    found = run(method, [-1.2, 1.0], fun=rosen, jac=rosen_der, gtol=1e-3, maxiter=9000)
    assert found.success
    assert abs(found.x - 1).max() < 5e-3


# -- schedulers


def test_a_scheduler_steps_after_each_iteration() -> None:
    w, seen = X0.copy(), []
    opt = gs.SGD(w, lr=0.11, momentum=0.6)
    scheduler = HALF(opt)
    for _ in range(11):
        opt.step(grad(w))
        scheduler.step()
        seen.append(w.copy())
    method = gs.minimize(gs.SGD, lr=0.11, momentum=0.6, scheduler=HALF)
    assert same(path(method, maxiter=11)[1], seen)


def test_a_plateau_gets_the_loss() -> None:
    plateau = partial(lrs.ReduceLROnPlateau, factor=0.3, patience=0)
    w, seen, rates = X0.copy(), [], set()
    opt = gs.SGD(w, lr=0.36)
    scheduler = plateau(opt)
    for _ in range(9):
        opt.step(grad(w))
        scheduler.step(loss(w))
        seen.append(w.copy())
        rates.add(opt.lr)
    assert len(rates) > 1
    method = gs.minimize(gs.SGD, lr=0.36, scheduler=plateau)
    assert same(path(method, maxiter=9)[1], seen)


def test_a_scheduler_may_be_of_the_base() -> None:
    method = gs.minimize(
        gs.SAM, base=partial(gs.SGD, lr=0.1), scheduler=lambda opt: HALF(opt.base)
    )
    assert run(method, maxiter=30).fun < loss(X0)


# -- as a method among scipy's


def test_it_serves_global_searches() -> None:
    def waves(x: Array) -> tuple[float, Array]:
        return float(np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0]), np.array(
            [-14.5 * np.sin(14.5 * x[0] - 0.3) + 2 * x[0] + 0.2]
        )

    local = {"method": gs.minimize(gs.Adam, lr=0.02), "options": {"maxiter": 400}}
    found = scipy.optimize.basinhopping(
        waves, [1.0], niter=30, rng=3, minimizer_kwargs=local | {"jac": True}
    )
    assert found.fun == pytest.approx(-1.000876, abs=1e-5)
    found = scipy.optimize.dual_annealing(
        lambda x: waves(x)[0],
        [(-1.0, 1.0)],
        maxiter=30,
        rng=3,
        minimizer_kwargs=local | {"jac": lambda x: waves(x)[1]},
    )
    assert found.fun == pytest.approx(-1.000876, abs=1e-5)


def test_a_method_pickles_and_says_what_it_is() -> None:
    method = gs.minimize(gs.Adam, lr=0.07, betas=(0.8, 0.95), scheduler=HALF)
    copy = pickle.loads(pickle.dumps(method))
    assert same(path(copy, maxiter=9)[1], path(method, maxiter=9)[1])
    assert repr(copy) == repr(method)
    assert repr(method).startswith(
        "gradstep.minimize(gradstep.Adam, lr=0.07, betas=(0.8, 0.95), scheduler=functo"
    )
    assert same(path(gs.minimize(partial(gs.SGD, lr=0.11)))[1], path(SGD)[1])


def test_each_run_begins_anew() -> None:
    method = gs.minimize(gs.Adam, lr=0.07)
    assert same(path(method, maxiter=9)[1], path(method, maxiter=9)[1])


def test_the_outcome_is_displayed(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(SGD, disp=True)
    out = capsys.readouterr().out
    assert out.startswith("Optimization terminated successfully: the gradient")
    assert f"Iterations: {found.nit}\n" in out
    with pytest.warns(scipy.optimize.OptimizeWarning, match="iterations has been") as w:
        run(SGD, disp=True, maxiter=3)
    assert w[0].filename == inspect.getfile(run)
    assert "Function evaluations: 4\n" in capsys.readouterr().out
    run(SGD, disp=False)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", ["hess", "hessp"])
def test_hessians_are_not_used_and_warned_about(name: str) -> None:
    with pytest.warns(RuntimeWarning, match=rf"does not use Hessian .*\({name}\)") as w:
        run(SGD, **{name: lambda *_: np.eye(3)})
    assert w[0].filename == inspect.getfile(run)
