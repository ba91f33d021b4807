"""Models of optimizers around another: the base's is that of walking.py."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import reference
from coding import Array
from tracked import Scalar, Tracked
from walking import Grads, Model, Options, arrays_of, assert_near, flat


@dataclass
class AverageTrack:
    """The averages of one parameter in `gradstep.ScheduleFree`."""

    x: Array
    weight_sum: float = 0.0
    lr_max: float = 0.0
    t: int = 0


class ScheduleFreeModel:
    """`gradstep.ScheduleFree`: the base's steps on z, and the average x of them.

    arrays : y, the parameters
    """

    def __init__(self, optimizer: Any) -> None:
        self.base = Model(optimizer.base)
        self.groups = [
            {k: g[k] for k in optimizer.options} for g in optimizer.param_groups
        ]
        self.tracks = [AverageTrack(p.copy("K")) for p in arrays_of(optimizer)]
        self.y = [p.copy("K") for p in arrays_of(optimizer)]

    def parameters(self) -> list[Array]:
        return self.y

    def skip(self, grads: Grads) -> None:
        """Follow a step that is skipped: nothing is different after it."""

    def step(self, optimizer: Any, grads: Grads, how: Options, structured: Any) -> None:
        """Take a step, and compare it with the formulas."""
        base, u = self.base, float(np.finfo(self.y[0].dtype).eps) / 2
        points = []
        for y, own, track, j in zip(
            self.y, self.tracks, base.tracks, base.group_of, strict=True
        ):
            if own.t == 0:
                own.x, track.p = y.copy("K"), y.copy("K")
            rate = base.groups[j]["lr"] * self.groups[j]["weight_decay_at_y"]
            z = Tracked(flat(track.p), 0, u)
            points.append(z - Scalar(rate) * Tracked(flat(y), 0, u) if rate else z)
        plan = base.plan(grads, how, points)
        optimizer.step(structured(grads), **how)
        base.take_over(optimizer.base, plan)
        for i, (own, p, state) in enumerate(
            zip(self.tracks, arrays_of(optimizer), optimizer.state, strict=True)
        ):
            if plan.expected[i] is not None:
                j = base.group_of[i]
                hyper = {k: Scalar(self.groups[j][k]) for k in ("momentum", "r")}
                expected = reference.schedulefree_average(
                    t=own.t + 1,
                    p=None,
                    g=None,
                    x=Tracked(flat(own.x), 0, u),
                    z=Tracked(flat(state["z"]), 0, u),
                    weight_sum=own.weight_sum,
                    lr_max=own.lr_max,
                    lr=base.groups[j]["lr"],
                    weight_lr_power=self.groups[j]["weight_lr_power"],
                    **hyper,
                )
                assert_near(f"y {i}", flat(p), expected["p"], 0.0)
                assert_near(f"x {i}", flat(state["x"]), expected["x"], 0.0)
                for name in ("weight_sum", "lr_max"):
                    assert math.isclose(state[name], expected[name], rel_tol=1e-12)
                scalars = {k: state[k] for k in ("weight_sum", "lr_max")}
                self.tracks[i] = AverageTrack(
                    state["x"].copy("K"), t=own.t + 1, **scalars
                )
                self.y[i] = p.copy("K")
        self.check_unchanged(optimizer)

    def check_unchanged(self, optimizer: Any) -> None:
        for y, p in zip(self.y, arrays_of(optimizer), strict=True):
            assert y.tobytes("A") == p.tobytes("A")
        for own, state in zip(self.tracks, optimizer.state, strict=True):
            assert state["step"] == own.t
            if own.t:
                assert state["x"].tobytes("A") == own.x.tobytes("A")
                assert (state["weight_sum"], state["lr_max"]) == (
                    own.weight_sum,
                    own.lr_max,
                )
        if all(own.t for own in self.tracks):
            self.base.check_unchanged(optimizer.base)


def second(grads: Grads) -> Grads:
    """Return gradients at the point to which SAM has gone."""
    return [None if g is None else g[::-1].copy() for g in grads]


class SAMModel:
    """`gradstep.SAM`: an ascent by one gradient, and the base's step by another."""

    def __init__(self, optimizer: Any) -> None:
        self.base = Model(optimizer.base)
        self.groups = [
            {k: g[k] for k in optimizer.options} for g in optimizer.param_groups
        ]

    def parameters(self) -> list[Array]:
        return self.base.parameters()

    def skip(self, grads: Grads) -> None:
        """Follow an ascent after which the base takes no step: no parameter moves."""

    def step(self, optimizer: Any, grads: Grads, how: Options, structured: Any) -> None:
        """Take both steps, and compare them with the formulas."""
        self.base.commit()
        optimizer.first_step(structured(grads))
        self.check_ascent(optimizer, grads)
        plan = self.base.plan(second(grads), how)
        optimizer.second_step(structured(second(grads)), **how)
        self.base.take_over(optimizer.base, plan)

    def check_ascent(self, optimizer: Any, grads: Grads) -> None:
        """Compare where the first step has led, by options that all groups share."""
        base = self.base
        ascents = []
        for i, g in enumerate(grads):
            if g is not None:
                sign = -1 if base.groups[base.group_of[i]]["maximize"] else 1
                ascents.append((i, base.tracks[i].exact(), sign * g))
        if ascents:
            self._check_climb(optimizer, ascents)
        for i, (p, track) in enumerate(
            zip(arrays_of(optimizer), base.tracks, strict=True)
        ):
            if grads[i] is None:
                assert p.tobytes("A") == track.p.tobytes("A")

    def _check_climb(self, optimizer: Any, ascents: list[Any]) -> None:
        """The norm is that of all gradients: the formula's one array is all of them."""
        options, u = self.groups[0], float(np.finfo(ascents[0][1].dtype).eps) / 2
        formula = reference.sam_climb_adaptive if options["adaptive"] else None
        expected = (formula or reference.sam_climb)(
            t=1,
            p=Tracked(np.concatenate([p for _, p, _ in ascents]), 0, u),
            g=Tracked(np.concatenate([g for _, _, g in ascents]), 0, u),
            old=None,
            rho=Scalar(options["rho"]),
        )
        arrays = arrays_of(optimizer)
        climbed = np.concatenate([flat(arrays[i]) for i, _, _ in ascents])
        assert_near("climbed", climbed, expected["p"], 0.0)
        for i, p, _ in ascents:
            assert flat(optimizer.state[i]["old"]).tobytes() == p.tobytes()

    def check_unchanged(self, optimizer: Any) -> None:
        self.base.check_unchanged(optimizer.base)
