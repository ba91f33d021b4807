"""A model of an optimizer: what steps do to each array, by the papers' formulas.

The formulas are those of `reference`. They run on Tracked numbers, which bound what
rounding may do in one step of float32 or float64; reduced-precision storage adds the
distance of two of its numbers. The model goes on from the bits of
each step that is within the bounds, so errors do not add up, and nothing but a step may
change a bit.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import gradstep as gs
import reference
from coding import NEAREST, VALUES, Array
from reference import codes
from reference.adai import corrected_square
from reference.common import decay
from tracked import Scalar, Tracked

Options = dict[str, Any]
Grads = list[Array | None]  # one for each array of all groups

# Kernels associate some operations otherwise than the reference does.
TOLERANCE = 1.5
# Distances of numbers in reduced precision, relative to a number, or to the scale of
# its block: 2 s / 127 of s |s|, and 4 s^3 / 255 of s^4, at s = 1 and a little beyond.
NEAREST_ERROR = {"bf16": 2.0**-8, "f16": 2.0**-11}
BFLOAT16_STEP = 2.0**-7
UINT8_STEP = 0.017
BESIDE = ("master", "remainder")  # of the parameter
FLOAT16_SUBNORMAL = 2.0**-24
PATH_ERROR = {None: 1e-5, "bfloat16": 0.01, "uint8": 0.05}
# A second pass over the arrays reads states again, as they have been encoded: what it
# writes comes from other numbers than the formula has. The first pass writes these.
FIRST_PASS: dict[Any, tuple[str, ...]] = {gs.LAMB: ("m", "v"), gs.Adai: ("v",)}


def flat(a: Array) -> Array:
    """Return elements in the order of memory; codes of bfloat16 and float16."""
    b = a.ravel(order="K")
    return b if code_of(a) is None else b.view(np.uint16)


def code_of(a: Array) -> str | None:
    return {gs.bfloat16: "bf16", np.dtype(np.float16): "f16"}.get(a.dtype)


def numbers_of(a: Array) -> Array:
    """Return the numbers of an array in the order of memory."""
    code = code_of(a)
    return flat(a) if code is None else VALUES[code](flat(a))


@dataclass
class Track:
    """One parameter and what is stored beside it, after the last step."""

    p: Array
    states: dict[str, Array] = field(default_factory=dict)  # those that a step wrote
    scalars: dict[str, float] = field(default_factory=dict)
    t: int = 0

    def exact(self) -> Array:
        """Return the parameter as it is stepped, flat."""
        p, code = flat(self.p), code_of(self.p)
        if "remainder" in self.states:
            return codes.joined(p, flat(self.states["remainder"]))
        numbers = numbers_of(self.p)
        if "master" not in self.states:
            return numbers
        master = flat(self.states["master"])
        assert code is not None
        # A parameter that someone has written to is taken over by its master.
        is_same = NEAREST[code](master) == p
        return np.where(is_same, master, numbers)

    def decoded(self, name: str) -> Array:
        """Return the numbers of a state, flat."""
        a = self.states[name]
        if name + "_scale" in self.states:
            return codes.block_values(flat(a), self.states[name + "_scale"])
        return numbers_of(a)


@dataclass
class Plan:
    """What a step has to lead to: None for an array without a gradient."""

    expected: list[Any]
    starts: list[Any]  # each parameter before the step
    norm: float
    factor: float
    nonfinite: int


class Model:
    """Groups, options, step counts and arrays of one optimizer."""

    def __init__(self, optimizer: gs.Optimizer) -> None:
        self.kind = type(optimizer)
        self.groups: list[Options] = []
        self.rules: list[str] = []
        self.tracks: list[Track] = []
        self.group_of: list[int] = []
        for group in optimizer.param_groups:
            self.add(group)

    def add(self, group: Mapping[str, Any]) -> None:
        """Take over a group that is new."""
        self.groups.append({k: group[k] for k in self.kind.options})
        self.rules.append(self.kind.rule(self.groups[-1]))
        for p in group["params"]:
            self.tracks.append(Track(p.copy("K")))
            self.group_of.append(len(self.groups) - 1)

    def names(self, rule: str) -> tuple[list[str], list[str]]:
        """Return what the reference of a rule keeps: states and scalars."""
        own = {"t", "p", "g", "mean_square"} | self.kind.numbers(self.groups[0]).keys()
        parameters = inspect.signature(reference.RULES[rule]).parameters
        names = [k for k in parameters if k not in own]
        return (
            [k for k in names if k not in reference.SCALARS],
            [k for k in names if k in reference.SCALARS],
        )

    def commit(self) -> None:
        """Let each group go on by the rule of its options.

        States that the new rule lacks wait. One that has none of the states so far
        begins at step 1.
        """
        for j, options in enumerate(self.groups):
            rule = self.kind.rule(options)
            if rule == self.rules[j]:
                continue
            self.rules[j] = rule
            states, _ = self.names(rule)
            for i, track in enumerate(self.tracks):
                if self.group_of[i] == j and not (track.states.keys() & set(states)):
                    track.t = 0 if states else track.t

    # -- steps

    def plan(
        self, grads: Grads, how: Mapping[str, Any], points: Sequence[Any] | None = None
    ) -> Plan:
        """Return what a step has to do.

        points : Tracked, where the arrays are instead of at the last step's end.
        """
        self.commit()
        scale = how.get("grad_scale", 1.0)
        scaled = [None if g is None else g.astype(float) * scale for g in grads]
        every = np.concatenate([np.zeros(0), *(g for g in scaled if g is not None)])
        nonfinite = int(every.size - np.isfinite(every).sum())
        norm = math.sqrt(math.fsum(every**2)) if not nonfinite else math.nan
        clip = how.get("clip_norm")
        factor = 1.0 if clip is None else min(1.0, clip / (norm + 1e-6))
        factors = [self.factor(j, norm * factor) for j in range(len(self.groups))]
        total = [scale * factor * x for x in factors]
        prepared = [
            None if g is None else self.inputs(i, g, total[self.group_of[i]])
            for i, g in enumerate(grads)
        ]
        if points is not None:
            for start, point in zip(prepared, points, strict=True):
                if start is not None:
                    start["p"] = point
        if self.kind is gs.Adai:
            self.share_mean(prepared)
        rules = [reference.RULES[self.rules[j]] for j in self.group_of]
        expected = [
            None if start is None or nonfinite else formula(**start)
            for start, formula in zip(prepared, rules, strict=True)
        ]
        starts = [track.exact().astype(float) for track in self.tracks]
        return Plan(expected, starts, norm, factor, nonfinite)

    def factor(self, j: int, norm: float) -> float:
        """Return by what the rule itself clips gradients of this norm together."""
        most = self.groups[j].get("max_grad_norm")
        if not most:
            return 1.0
        divisor = norm + (self.groups[j]["eps"] if self.kind is gs.Adan else 0.0)
        return most / divisor if most < divisor else 1.0

    def inputs(self, i: int, g: Array, scale: float) -> dict[str, Any]:
        """Return the arguments of array i's rule."""
        track, options = self.tracks[i], self.groups[self.group_of[i]]
        rule = self.rules[self.group_of[i]]
        p = track.exact()
        u = float(np.finfo(p.dtype).eps) / 2
        sign = -1.0 if options["maximize"] else 1.0
        # The factor comes from the norm of gradients that were scaled and rounded.
        coefficient = Scalar(sign * scale, 2 * u * scale)
        gradient = Tracked(g, 0, u)
        if scale != 1 or sign != 1:
            gradient = gradient * coefficient
        states, scalars = self.names(rule)
        first = self.kind.initial(options)
        memory: dict[str, Any] = {}
        for name in states:
            if track.t and name in track.states:
                memory[name] = Tracked(track.decoded(name), 0, u)
            else:
                is_copy = name == "x0" or (name == "z" and not rule.startswith("sgd"))
                start = p if is_copy else np.full(p.size, first.get(name, 0.0), p.dtype)
                error = _spacing(options["state_dtype"], start, abs(start).max())
                memory[name] = Tracked(start, error, u)
        numbers = self.kind.numbers(options)
        parameters = inspect.signature(reference.RULES[rule]).parameters
        hyper = {k: Scalar(x) for k, x in numbers.items() if k in parameters}
        before = {k: track.scalars.get(k, reference.SCALARS[k]) for k in scalars}
        start_at = {"t": track.t + 1, "p": Tracked(p, 0, u), "g": gradient}
        return start_at | memory | before | hyper

    def share_mean(self, prepared: list[Any]) -> None:
        """Give Adai's rule the mean over all elements of all arrays."""
        squares = []
        for x in filter(None, prepared):
            _, g = decay(x["p"], x["g"], x["lr"], x["weight_decay"], x["decoupled"])
            squares.append(corrected_square(x["t"], x["v"], g, x["beta2"]))
        count = sum(x.size for x in squares)
        if not count:
            return
        total: Any = sum(np.sum(x) for x in squares)
        for x in filter(None, prepared):
            x["mean_square"] = total / count

    def take_over(self, optimizer: gs.Optimizer, plan: Plan) -> None:
        """Check what a step has led to, and go on from there."""
        arrays = arrays_of(optimizer)
        states = list(optimizer.state)
        restarted = self.restarted_groups(plan, arrays, states)
        for i, (p, state) in enumerate(zip(arrays, states, strict=True)):
            j = self.group_of[i]
            if plan.expected[i] is not None:
                self.advance(i, p, state, plan.expected[i], j in restarted)
            if j in restarted:
                self.restart(i)
                assert (state["step"], state["path"]) == (0, 0.0)
                assert not any(
                    any(a.tobytes())
                    for k, a in state.items()
                    if isinstance(a, np.ndarray) and k not in BESIDE
                )
        assert [s["step"] for s in states] == [track.t for track in self.tracks]
        self.check_unchanged(optimizer)

    def advance(
        self, i: int, p: Array, state: Mapping[str, Any], expected: Any, restarted: bool
    ) -> None:
        """Check one array after its step."""
        track, options = self.tracks[i], self.groups[self.group_of[i]]
        names, scalars = self.names(self.rules[self.group_of[i]])
        if restarted:
            names, scalars = [], []
        own = {*names, *(f"{x}_scale" for x in names), *BESIDE}
        # States of other rules wait, and are compared bit for bit in the end.
        new = Track(
            p.copy("K"),
            track.states | {k: state[k].copy("K") for k in own & state.keys()},
            {k: state[k] for k in scalars},
            track.t + 1,
        )
        self.check(f"array {i}", new, expected, options, names)
        # Paths are sums of float32 numbers, or of states as they have been encoded.
        rel_tol = PATH_ERROR[options["state_dtype"]]
        for name in scalars:
            near = math.isclose(state[name], expected[name], rel_tol=rel_tol)
            assert near, (name, state[name], expected[name])
        self.tracks[i] = new

    def restarted_groups(
        self, plan: Plan, arrays: Sequence[Array], states: Sequence[Any]
    ) -> set[int]:
        """Return Adan's groups where t sum of sqrt(n) (p' - p)^2 > R^2 in all.

        Adds the path of this step to those of the plan.
        """
        if self.kind is not gs.Adan or not any(
            options["restart_radius"] for options in self.groups
        ):
            return set()
        paths = [track.scalars.get("path", 0.0) for track in self.tracks]
        for i, expected in enumerate(plan.expected):
            if expected is not None:
                track = Track(arrays[i], dict(states[i]))
                moved = track.exact().astype(float) - plan.starts[i]
                root = np.sqrt(expected["n"].value)
                expected["path"] += float((root * moved**2).sum())
                paths[i] = expected["path"]
        restarted = set()
        for j, options in enumerate(self.groups):
            members = [i for i, k in enumerate(self.group_of) if k == j]
            steps = [self.tracks[i].t + (plan.expected[i] is not None) for i in members]
            reach = max(steps) * sum(paths[i] for i in members)
            limit = options["restart_radius"] ** 2
            error = PATH_ERROR[options["state_dtype"]]
            if max(steps) and all(states[i]["step"] == 0 for i in members):
                assert reach > limit * (1 - error) > 0
                restarted.add(j)
            else:
                assert not limit or reach <= limit * (1 + error)
        return restarted

    def check(
        self,
        where: str,
        new: Track,
        expected: dict[str, Any],
        options: Options,
        states: Sequence[str],
    ) -> None:
        """Compare one array, and what is stored beside it, with the formulas."""
        exact, code = new.exact(), code_of(new.p)
        numbers = expected["p"]
        if options["master"] == "float32":
            assert code is not None
            rounded = NEAREST[code](flat(new.states["master"]))
            assert (rounded == flat(new.p)).all(), where
            spacing: Any = 0.0
        elif options["master"] == "split":
            assert (codes.split(exact)[0] == flat(new.p)).all(), where
            spacing = 0.0
        elif options["rounding"] == "stochastic":
            spacing = BFLOAT16_STEP * abs(numbers.value)
        else:
            spacing = NEAREST_ERROR.get(code or "", 0.0) * abs(numbers.value)
            spacing = spacing + FLOAT16_SUBNORMAL * (code == "f16")
        checked = ["p", *states]
        if self.kind in FIRST_PASS and options["state_dtype"]:
            checked = list(FIRST_PASS[self.kind])
        if "p" in checked:
            assert_near(f"{where} p", exact, numbers, spacing)
        for name in set(checked) - {"p"}:
            a, want = new.decoded(name), expected[name]
            scale = new.states.get(f"{name}_scale")
            largest = 0.0 if scale is None else float(abs(scale).max())
            spacing = _spacing(options["state_dtype"], want.value, largest)
            assert_near(f"{where} {name}", a, want, spacing)
            if scale is not None:
                bound = TOLERANCE * want.error.max() + 1e-37
                top = abs(want.value).max()
                assert abs(largest - top) <= bound, f"{where} {name}: scale"

    def parameters(self) -> list[Array]:
        return [track.p for track in self.tracks]

    def restart(self, i: int) -> None:
        """Forget all gradients of array i, as Adan does."""
        track = self.tracks[i]
        beside = {k: a for k, a in track.states.items() if k in BESIDE}
        self.tracks[i] = Track(track.p, beside)

    def check_unchanged(self, optimizer: gs.Optimizer) -> None:
        """Check that every bit is as the last step left it."""
        arrays = arrays_of(optimizer)
        for p, state, track in zip(arrays, optimizer.state, self.tracks, strict=True):
            assert p.tobytes("A") == track.p.tobytes("A")
            if track.t:
                for name, a in track.states.items():
                    assert state[name].tobytes("A") == a.tobytes("A"), name
                for name, x in track.scalars.items():
                    assert state[name] == x, (name, state[name], x)
        for group, options in zip(optimizer.param_groups, self.groups, strict=True):
            assert {k: group[k] for k in options} == options


def _spacing(state_dtype: Any, numbers: Array, scale: float) -> Any:
    """Return how far a state may be from the number that was encoded."""
    if state_dtype == "uint8":
        return UINT8_STEP * scale
    return BFLOAT16_STEP * abs(numbers) if state_dtype == "bfloat16" else 0.0


def assert_near(where: str, a: Array, expected: Tracked, spacing: Any) -> None:
    """Compare with the formula, within its own rounding and that of the storage."""
    floor = float(np.finfo(a.dtype).smallest_normal)
    difference = abs(a.astype(expected.value.dtype) - expected.value)
    allowed = TOLERANCE * expected.error + 1.01 * spacing + floor
    bad = np.flatnonzero(~(difference <= allowed))
    assert not bad.size, (
        f"{where}: {bad.size} of {a.size} elements differ from the formula, first "
        f"{bad[0]}: {a[bad[0]]!r}, expected {expected.value[bad[0]]!r}"
    )


def check_average(x: Array, track: Track, options: Options) -> None:
    """Compare a schedule-free average with x = y + (1 - 1 / beta) (z - y)."""
    beta = options["momentum"] if "momentum" in options else options["betas"][0]
    _check_point(x, track, "schedulefree_point", weight=1 - 1 / Scalar(beta))


def check_lookahead(x: Array, track: Track, options: Options) -> None:
    """Compare a point of Nesterov's with w + mu z."""
    _check_point(x, track, "sgd_lookahead", momentum=Scalar(options["momentum"]))


def _check_point(x: Array, track: Track, rule: str, **hyper: Scalar) -> None:
    """Compare with a point between or beyond a parameter and its state z."""
    exact, code = track.exact(), code_of(x)
    u = float(np.finfo(exact.dtype).eps) / 2
    point = Tracked(exact, 0, u)
    if track.t:
        z = Tracked(track.decoded("z"), 0, u)
        point = reference.RULES[rule](t=1, p=None, g=point, z=z, **hyper)["p"]
    spacing = NEAREST_ERROR.get(code or "", 0.0) * abs(point.value)
    spacing = spacing + FLOAT16_SUBNORMAL * (code == "f16")
    assert_near("point", numbers_of(x), point, spacing)


def arrays_of(optimizer: gs.Optimizer) -> list[Array]:
    return [p for group in optimizer.param_groups for p in group["params"]]
