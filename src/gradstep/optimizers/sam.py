"""Sharpness-aware minimization, a method around another optimizer."""

from __future__ import annotations  # help() shows Grads, not what it stands for

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import numpy as np

from gradstep.hyper import flag, real
from gradstep.optimizers.wrappers import Wrapper
from gradstep.scaling import Scaling
from gradstep.structure import Grads


class SAM(Wrapper):
    r"""SAM: steps by the gradient at the worst point in a small ball.

    .. math::
        \hat p_t = p_{t-1} + \rho \frac{g_t}{\lVert g_t \rVert}, \qquad
        p_t = \operatorname{base}(p_{t-1}, \hat g_t)

    with the gradient :math:`g_t` at :math:`p_{t-1}`, :math:`\hat g_t` at
    :math:`\hat p_t`, and the norm over all arrays together::

        opt.first_step(gradient(w))  # w is the worst point now
        opt.second_step(gradient(w))  # w is back, and has taken the base's step

    Parameters
    ----------
    params : array, list or dict of arrays, or list of groups
        float32 or float64, C- or Fortran-contiguous; updated in place.
    base : callable
        Takes the parameters and returns a gradstep optimizer of them, such as
        ``functools.partial(gs.SGD, lr=0.1)``. It is the attribute `base` afterwards.
    rho : float, default 0.05
        :math:`\rho`, the radius of the ball, in [0, inf).
    adaptive : bool, default False
        ASAM: :math:`\rho\, p_{t-1}^2 g_t / \lVert |p_{t-1}| g_t \rVert`.
    maximize : bool, default False
        Not here: pass it to the base; the worst point is the lowest then.
    master, rounding, state_dtype, seed
        Not here, either.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range; the message names it.

    Notes
    -----
    State: one array (`old`), 4 bytes for each float32 element, beside the base's own.
    The norm is summed in float64 in a fixed order, and 1e-12 is added to it, as in the
    code of davda54/sam. The parameters come back bit for bit.

    References
    ----------
    Foret, Kleiner, Mobahi & Neyshabur, "Sharpness-aware minimization for efficiently
    improving generalization", arXiv:2010.01412, Algorithm 1.
    Kwon, Kim, Park & Choi, "ASAM", arXiv:2102.11600.

    Examples
    --------
    >>> import functools, numpy as np, gradstep as gs
    >>> w = np.array([3.0, -2.0])
    >>> opt = gs.SAM(w, functools.partial(gs.SGD, lr=0.25), rho=0.5)
    >>> for _ in range(3):
    ...     opt.first_step(2 * w)  # the gradient of w @ w
    ...     opt.second_step(2 * w)
    >>> w.round(6)
    array([ 0.010978, -0.007319])
    """

    rules = ("sam_climb", "sam_climb_adaptive")

    # For each array, whether it stands at the worst point.
    _climbed: ClassVar[tuple[bool, ...] | None] = None

    rho: float = real(default=0.05)
    adaptive: bool = flag(default=False)

    @classmethod
    def rule(cls, group: Mapping[str, Any]) -> str:
        return cls.rules[group["adaptive"]]

    def first_step(self, grads: Grads) -> None:
        """Go to the worst point, by the gradient at the parameters.

        Parameters
        ----------
        grads : array, sequence, mapping or list of these
            As in the base's `step`.
        """
        with self._taking_turns():
            self._check_climbed("first_step", climbed=False)
            given, _ = self._checked("first_step", grads)
            for j, (ours, theirs) in enumerate(
                zip(self._groups, self.base.param_groups, strict=True)
            ):
                sign = -1.0 if theirs["maximize"] else 1.0
                self._engine.set_group(j, (ours["rho"],), sign)
            super().step(given)
            climbed = tuple(g is not None for g in self._entries("first_step", given))
            vars(self)["_climbed"] = climbed

    def second_step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        """Go back, and take the base's step by the gradient at the worst point.

        Parameters
        ----------
        grads : array, sequence, mapping or list of these
            As in the base's `step`.
        grad_scale, clip_norm, nonfinite
            As in the base's `step`; a step that it skips leaves the parameters where
            they were before `first_step`.
        """
        with self._taking_turns():
            climbed = self._check_climbed("second_step", climbed=True)
            given = self._rebuilt(tuple(self._entries("second_step", grads)))
            self.base.check_grads(given, **how)
            self._return(climbed)
            self.base.step(given, **how)

    def _return(self, climbed: tuple[bool, ...]) -> None:
        parameters = self._parameters(are_written=True)
        for p, states, up in zip(parameters, self._states, climbed, strict=True):
            if up:
                np.copyto(p, states["old"])
        vars(self)["_climbed"] = None

    def _check_climbed(self, what: str, *, climbed: bool) -> tuple[bool, ...]:
        if (self._climbed is not None) != climbed:
            other = "second_step" if self._climbed else "first_step"
            raise RuntimeError(f"SAM.{what}: call {other} first")
        return self._climbed or ()

    def step(self, grads: Grads, **how: Unpack[Scaling]) -> None:
        del grads, how
        raise TypeError("SAM steps twice: first_step(grads), then second_step(grads)")

    def state_dict(self) -> dict[str, Any]:
        self._check_climbed("state_dict", climbed=False)
        return super().state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check_climbed("load_state_dict", climbed=False)
        super().load_state_dict(state_dict)
