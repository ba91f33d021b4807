"""A method of `scipy.optimize.minimize` for each optimizer."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradstep.minimization.arguments import (
    check_callable,
    check_no_constraints,
    halting,
    start,
)
from gradstep.minimization.box import Box
from gradstep.minimization.descent import CALLBACK, CONVERGED, Descent, descend
from gradstep.minimization.problem import Problem
from gradstep.minimization.stopping import read_options
from gradstep.optimizer import Optimizer


def minimize(
    optimizer: Callable[..., Optimizer],
    /,
    *,
    scheduler: Callable[[Any], Any] | None = None,
    **hyperparameters: Any,
) -> "Method":
    r"""Return an optimizer as a `method` of `scipy.optimize.minimize`.

    With the loss :math:`f` (`fun`), its gradient (`jac`) and the optimizer's step
    :math:`s_k`, the iterates are

    .. math::
        x_{k+1} = P(x_k + s_k), \qquad P(x) = \min(\max(x, l), u)

    for bounds :math:`l, u`. They end successfully, which is looked for before every
    step, where

    .. math::
        \lVert x_k - P(x_k - \nabla f(x_k)) \rVert_\infty &\le \text{gtol}
            \quad\text{(without bounds } \lVert \nabla f(x_k) \rVert_\infty
            \text{), or} \\
        \lVert x_k - x_{k-1} \rVert_\infty &\le \text{xtol} > 0 \quad\text{or} \\
        |f(x_k) - f(x_{k-1})| &\le \text{ftol} \max(|f(x_k)|, |f(x_{k-1})|, 1),
            \quad \text{ftol} > 0

    Parameters
    ----------
    optimizer : callable
        An optimizer class, or anything else that takes an array of shape (n,) and
        returns a gradstep optimizer of it. Every run begins with a new one.
    scheduler : callable, optional
        Takes the optimizer and returns one of `gradstep.lr_scheduler`, which steps
        after each iteration; `ReduceLROnPlateau` gets the loss.
    **hyperparameters
        Passed on to `optimizer`; for `ScheduleFree` and `SAM` `base` among them.

    Returns
    -------
    Method
        To be passed as `method`, there or in `minimizer_kwargs` of
        `scipy.optimize.basinhopping` or `dual_annealing`. It can be pickled if
        `optimizer` and `scheduler` can.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    What `scipy.optimize.minimize` takes beside `method`:

    x0
        float32 stays float32, other real numbers become float64; it is not written to.
    jac
        Without it, gradients are by forward differences in float64, with the step
        ``eps * max(1, abs(x))``: n more evaluations of `fun` for each, or n + 1 if the
        loss at x itself is not known in float64. scipy does not pass on ``"3-point"``
        and ``"cs"``; they lead to the same.
    bounds
        `fun` and `jac` are never evaluated outside: `x0` too is projected. What the
        optimizer remembers is left alone. Schedule-free rules take no bounds.
    callback
        ``callback(xk)`` or ``callback(intermediate_result)``, after each iteration; it
        may raise StopIteration.
    constraints, hess, hessp
        Constraints are refused; Hessians warned about and not used.
    tol
        Is `gtol`, if that is not in the options.
    options
        `maxiter` (15000) steps at most; `maxfev` (None) evaluations of `fun`, looked at
        between iterations; `gtol` (1e-5), `xtol` and `ftol` (0: off), in [0, inf);
        `eps` (2**-26) in [2**-52, 1]; `disp` (False).

    The result has `x`, `fun`, `jac`, `success`, `message`, `nit`, `nfev`, `njev` and
    `status`: 0 for success, 1 for `maxiter`, 2 for `maxfev`, 3 if x, the loss or the
    gradient was not finite, and 99 if the callback raised StopIteration. `x` is the
    last iterate if the status is 0 or 99, otherwise that of least loss, at most that
    of `x0`. `fun` and `jac` are what was found at this very point.

    `xtol` and `ftol` do not count before x has moved. Rules with momentum, and
    schedules that warm up, take small steps far from a minimum, too.

    What some rules need to end at `gtol`, as on Rosenbrock's function, where otherwise
    they end at `maxiter` or diverge:

    ================= =================================== ==============================
    Rule              Why                                 Set
    ================= =================================== ==============================
    Rprop             No step is below 1e-6.              ``step_sizes=(0, 50)``
    Lion, Signum      Every step is as long as `lr`.      `scheduler`, such as
                                                          `ExponentialLR`, from lr 0.02
    RMSprop           Its steps hardly shrink.            `scheduler`, likewise
    LAMB, LARS        Steps are in proportion to x: long  ``adapt=False``, and `lr` as
                      far from the origin, too short      for Adam (0.02) and SGD
                      near it, and `lr` times the         (0.001)
                      gradient where x is 0.
    SGD               A constant rate is slow where       ``momentum=0.9``
                      curvatures differ.
    AdamW, LAMB       Weight decay leads elsewhere than   ``weight_decay=0.0``
                      to a minimum of `fun`.
    AdaBelief, RAdam  First steps of `lr` times the       ``like="paper"``,
                      gradient diverge.                   ``like="official"``
    Adai,             The default `lr` of 1 suits         `lr` below 3 over the largest
    ScheduleFreeSGD   curvatures below 3.                 curvature
    Adagrad           Its steps shrink from the start.    ``lr=1.0``
    ================= =================================== ==============================

    Averages of schedule-free rules, and Adadelta, come near a minimum, but slowly; let
    them end by `maxiter`, or by `ftol`.

    Where a rule wants gradients elsewhere than at its iterate, each step takes a second
    gradient there: schedule-free rules, whose iterate is the average; `SGD` with
    ``form="velocity"`` and `nesterov`, at its `lookahead`; and `SAM`.

    Examples
    --------
    >>> import gradstep as gs, scipy.optimize
    >>> from scipy.optimize import rosen, rosen_der
    >>> method = gs.minimize(gs.Adam, lr=0.02)
    >>> method
    gradstep.minimize(gradstep.Adam, lr=0.02)
    >>> x0 = [-1.2, 1.0]
    >>> found = scipy.optimize.minimize(rosen, x0, jac=rosen_der, method=method)
    >>> found.x.round(3), found.success
    (array([1., 1.]), True)
    >>> box = [(None, 0.5), (None, None)]
    >>> found = scipy.optimize.minimize(
    ...     rosen, x0, jac=rosen_der, method=method, bounds=box
    ... )
    >>> found.x.round(3)
    array([0.5 , 0.25])
    """
    check_callable("optimizer", optimizer, "gradstep.Adam")
    if scheduler is not None:
        example = "functools.partial(gradstep.lr_scheduler.StepLR, step_size=100)"
        check_callable("scheduler", scheduler, example)
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        own = dict(hyperparameters)
        if optimizer.wraps:
            # A base that is there already would go on from the run before.
            base, example = own.pop("base", None), "functools.partial(gradstep.SGD)"
            check_callable(f"base of {optimizer.__name__}", base, example)
        optimizer.checked_new(own)
    return Method(optimizer, hyperparameters, scheduler)


@dataclass(frozen=True, eq=False, repr=False)
class Method:
    """What `minimize` returns: an optimizer, to be called by scipy."""

    optimizer: Callable[..., Optimizer]
    hyperparameters: Mapping[str, Any]
    scheduler: Callable[[Any], Any] | None = None

    def __call__(
        self,
        fun: Callable[..., Any],
        x0: Any,
        args: Any = (),
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Any = None,
        **options: Any,
    ) -> Any:
        """Minimize, as `scipy.optimize.minimize` asks; see `gradstep.minimize`.

        Returns
        -------
        scipy.optimize.OptimizeResult

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or `fun` or `jac` returns what is no number or
            no gradient.
        """
        from scipy.optimize import OptimizeResult  # noqa: PLC0415  # heavy

        self._warn_of_hessians(hess=hess, hessp=hessp)
        read = read_options(options)
        check_no_constraints(constraints)
        w = start(x0)
        box = Box(bounds, w)
        box.project(w)
        problem = Problem(fun, jac, args, box, read.eps)
        halted = halting(callback)
        optimizer = self.optimizer(w, **self.hyperparameters)
        run = Descent(problem, w, optimizer, self.scheduler)
        status, message = descend(run, read, halted)
        found = run.now if status in (CONVERGED, CALLBACK) else run.best
        result = OptimizeResult(
            x=found.x,
            fun=found.fun,
            jac=found.jac,
            success=status == CONVERGED,
            status=status,
            message=message,
            nit=run.nit,
            nfev=problem.nfev,
            njev=problem.njev,
        )
        if read.disp:
            _display(result)
        return result

    def _warn_of_hessians(self, **given: Any) -> None:
        for name, value in given.items():
            if value is not None:
                warnings.warn(
                    f"{self!r} does not use Hessian information ({name})",
                    RuntimeWarning,
                    stacklevel=4,
                )

    def __repr__(self) -> str:
        name = repr(self.optimizer)
        if isinstance(self.optimizer, type):
            package = self.optimizer.__module__.split(".")[0]
            name = f"{package}.{self.optimizer.__name__}"
        shown = [name, *(f"{k}={v!r}" for k, v in self.hyperparameters.items())]
        if self.scheduler is not None:
            shown.append(f"scheduler={self.scheduler!r}")
        return f"gradstep.minimize({', '.join(shown)})"


def _display(result: Any) -> None:
    """Print the outcome; a failure is a warning, as scipy's own are."""
    from scipy.optimize import OptimizeWarning  # noqa: PLC0415  # heavy

    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=4)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
