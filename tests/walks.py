"""A walk over what users call: rules of Hypothesis, beside a model and a twin."""

import copy
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import gradstep as gs
from coding import STORAGES, Array, coded, f4
from gradstep import storage
from gradstep.hyper import Choice, Like
from gradstep.optimizers.averaging import Averaging
from support import floats
from walking import (
    Grads,
    Model,
    Options,
    arrays_of,
    check_average,
    check_lookahead,
)

WALKS = int(os.environ.get("GRADSTEP_WALKS", "1"))

# Values of each option, switches between rules among them; where a rule's eps is 0, an
# element may be 0/0, which the formulas leave open.
VALUES: dict[str, list[Any]] = {
    "lr": [0.03, 0.1, 0.0],
    "betas": [(0.87, 0.95), (0.6, 0.9), (0.0, 0.8)],
    "eps": [0.01, 0.003],
    "weight_decay": [0.0, 0.12],
    "momentum": [0.0, 0.83, 0.5, 0.0],
    "dampening": [0.0, 0.21, -0.4],
    "alpha": [0.91, 0.7],
    "rho": [0.89, 0.05],
    "lr_decay": [0.05, 0.0],
    "initial_accumulator_value": [0.0, 0.3],
    "eps_root": [0.0, 0.007],
    "momentum_decay": [0.29, 0.004],
    "eps_acc": [0.0017],
    "eps_out": [0.0031],
    "max_grad_norm": [0.0, 1.3],
    "restart_radius": [0.0, 3.0],
    "warmup_steps": [4, 0],
    "r": [0.7, 0.0],
    "weight_lr_power": [2.0, 1.6],
    "inner_momentum": [0.0, 0.7],
    "trust_coefficient": [0.13, 0.4],
    "weight_decay_at_y": [0.0, 0.1],
    "etas": [(0.57, 1.31), (0.5, 1.2)],
    "step_sizes": [(0.21, 7.3), (1e-3, 5.0)],
    "seed": [0, 3],
}
STRUCTURES = ["array", "list", "dict", "groups"]
COPIES = ["state_dict", "file", "pickle", "deepcopy"]
HOW: list[dict[str, Any]] = [
    {},
    {"grad_scale": 0.7},
    {"clip_norm": 1.5},
    {"clip_norm": float("inf"), "grad_scale": 3.0},
    {"nonfinite": "skip"},
    {"nonfinite": "raise", "clip_norm": 0.4},
]
seeds = st.integers(0, 10**6)


def values_of(kind: type[gs.Optimizer], name: str) -> list[Any]:
    """Return valid values of an option."""
    option = kind.options[name]
    if isinstance(option, Like):
        return list(option.meaning)
    if isinstance(option, Choice):
        return list(option.among)
    if name == "betas":
        return [(*x, 0.93)[: len(option.default)] for x in VALUES[name]]
    if name == "eps" and kind is gs.MirrorMADGRAD:
        return [0.01, 0.0]
    return VALUES[name]


def valid_options(kind: type[gs.Optimizer]) -> Any:
    """A strategy: options that a new optimizer may have."""
    names = [name for name in kind.options if name not in storage.OPTIONS]
    values = {name: values_of(kind, name) for name in names}
    every = st.fixed_dictionaries(
        # The first of them, the default of most, as often as all others together.
        {k: st.just(x[0]) | st.sampled_from(x) for k, x in values.items()}
    )

    def is_valid(options: Options) -> bool:
        try:
            kind.checked_new(options)
        except ValueError:
            return False
        return True

    return every.filter(is_valid)


def bits(optimizer: gs.Optimizer) -> Any:
    """Return parameters and states of an optimizer, as bytes."""
    arrays = [p.tobytes("A") for p in arrays_of(optimizer)]
    states = [
        {k: np.asarray(a).tobytes("A") for k, a in state.items()}
        for state in optimizer.state
    ]
    own = bits(optimizer.base) if optimizer.wraps else None
    return arrays, states, own


def copied(optimizer: gs.Optimizer, how: str, build: Callable[[], Any]) -> Any:
    """Return an optimizer that goes on where this one is, over arrays of its own."""
    if how == "pickle":
        return pickle.loads(pickle.dumps(optimizer))
    if how == "deepcopy":
        return copy.deepcopy(optimizer)
    other = build()
    if how == "state_dict":
        for p, q in zip(arrays_of(optimizer), arrays_of(other), strict=True):
            q[...] = p
        other.load_state_dict(optimizer.state_dict())
        return other
    folder = Path(tempfile.mkdtemp())
    try:
        gs.save(folder / "walk.safetensors", optimizer)
        gs.load(folder / "walk.safetensors", other)
    finally:
        shutil.rmtree(folder)
    return other


class Walk(RuleBasedStateMachine):
    """What all walks share; `kind` is the class of the optimizer."""

    kind: type[gs.Optimizer]
    storages: ClassVar[list[Any]] = [*STORAGES, ("f64", {})]

    @initialize(data=st.data())
    def build(self, data: Any) -> None:
        self.code, self.stored = data.draw(st.sampled_from(self.storages))
        self.structure = data.draw(st.sampled_from(STRUCTURES))
        self.options = data.draw(valid_options(self.kind)) | self.stored
        self.added: list[tuple[int, Options]] = []
        self.ours, self.twin = self.new(), self.new()
        self.model = Model(self.ours)

    def array(self, seed: int, shape: tuple[int, ...], order: Any) -> Array:
        n = int(np.prod(shape))
        x = floats(seed, n, float if self.code == "f64" else f4).reshape(shape)
        a = x if self.code == "f64" else coded(x, self.code)
        return np.asarray(a, order=order)

    def params(self) -> Any:
        a, b = self.array(1, (3, 4), "F"), self.array(2, (7,), "C")
        match self.structure:
            case "array":
                return a
            case "list":
                return [a, b]
            case "dict":
                return {"w": a, "b": b}
            case _:
                return [{"params": [a]}, {"params": {"b": b}}]

    def new(self) -> Any:
        """Build the optimizer as it was before its first step."""
        optimizer = self.kind(self.params(), **self.options)
        for seed, options in self.added:
            group = {"params": self.array(seed, (2, 5), "C"), **options}
            optimizer.add_param_group(group)
        return optimizer

    # -- gradients

    def gradients(self, seed: int, missing: set[int], scale: float) -> Grads:
        """One flat array for each parameter, in its order of memory, or None."""
        kind = float if self.code == "f64" else f4
        if self.structure == "array" and len(self.model.groups) == 1:
            missing = set()  # it must have one
        return [
            None
            if i in missing
            else (floats(10 * seed + i, p.size, kind) * kind(scale)).astype(kind)
            for i, p in enumerate(self.model.parameters())
        ]

    def structured(self, grads: Grads) -> Any:
        """Return gradients as `step` takes them."""
        shaped = [
            None if g is None else g.reshape(p.shape, order="F" if i == 0 else "C")
            for i, (g, p) in enumerate(zip(grads, self.model.parameters(), strict=True))
        ]
        first: Any
        match self.structure:
            case "array":
                first = shaped[:1]
            case "list":
                first = [shaped[:2]]
            case "dict":
                first = [dict(zip("wb", shaped))]
            case _:
                first = [shaped[:1], {"b": shaped[1]}]
        count = 1 if self.structure == "array" else 2
        every = [*first, *shaped[count:]]
        return every[0] if len(self.model.groups) == 1 else every

    def listed(self, arrays: Any) -> list[Array]:
        """Return arrays in the structure of the parameters as a list of them."""
        groups = arrays if len(self.model.groups) > 1 else [arrays]
        match self.structure:
            case "array":
                return list(groups)
            case "list":
                return [*groups[0], *groups[1:]]
            case "dict":
                return [*groups[0].values(), *groups[1:]]
            case _:
                return [groups[0][0], groups[1]["b"], *groups[2:]]

    # -- what users do

    @rule(
        seed=seeds,
        missing=st.sets(st.integers(0, 3), max_size=2),
        how=st.sampled_from(HOW),
        scale=st.sampled_from([1.0, 1.0, 0.01, 30.0]),
    )
    def step(self, seed: int, missing: set[int], how: Options, scale: float) -> None:
        grads = self.gradients(seed, missing, scale)
        self.take(grads, how)

    def take(self, grads: Grads, how: Options) -> None:
        plan = self.model.plan(grads, how)
        reported = self.ours.check_grads(self.structured(grads), **how)
        self.model.check_unchanged(self.ours)
        for optimizer in (self.ours, self.twin):
            optimizer.step(self.structured(grads), **how)
        report = self.ours.last_step
        # The norm is that of gradients which were scaled in their own type.
        rel = 1e-12 if self.code == "f64" else 2e-7
        assert report == reported
        if how.keys() & {"clip_norm", "nonfinite"}:
            assert report.grad_norm == pytest.approx(plan.norm, rel=rel)
            assert report.nonfinite == 0
        assert report.clip_factor == pytest.approx(plan.factor, rel=rel)
        assert not report.skipped
        self.model.take_over(self.ours, plan)
        assert bits(self.ours) == bits(self.twin)

    @rule(
        seed=seeds,
        bad=st.sampled_from([np.nan, np.inf, -np.inf]),
        how=st.sampled_from(["skip", "raise"]),
    )
    def step_with_nonfinite_gradients(self, seed: int, bad: float, how: str) -> None:
        grads = self.gradients(seed, {1}, 1.0)
        assert grads[0] is not None
        grads[0][seed % grads[0].size] = bad
        self.model.commit()
        for optimizer in (self.ours, self.twin):
            if how == "skip":
                optimizer.step(self.structured(grads), nonfinite=how)
            else:
                with pytest.raises(FloatingPointError, match="have 1 elements that"):
                    optimizer.step(self.structured(grads), nonfinite=how)
            assert optimizer.last_step.skipped
            assert optimizer.last_step.nonfinite == 1
        assert bits(self.ours) == bits(self.twin)

    @rule(data=st.data())
    def change_an_option(self, data: Any) -> None:
        j = data.draw(st.integers(0, len(self.model.groups) - 1))
        name = data.draw(st.sampled_from(list(self.kind.options)))
        change = {name: data.draw(st.sampled_from(values_of(self.kind, name)))}
        if self.is_allowed(j, change):
            self.set_option(j, change)
            return
        for optimizer in (self.ours, self.twin):
            optimizer.param_groups[j].update(change)
            with pytest.raises(ValueError, match=f"^{self.kind.__name__}: "):
                optimizer.step(self.structured(self.gradients(1, set(), 1.0)))
            optimizer.param_groups[j].update(self.model.groups[j])

    @precondition(lambda self: not self.kind.wraps)
    @rule(seed=seeds, missing=st.sets(st.integers(0, 3), max_size=2), data=st.data())
    def switch_an_option_for_one_step(
        self, seed: int, missing: set[int], data: Any
    ) -> None:
        """Off and on again, so that a state which waits is used once more."""
        names = self.kind.options.keys() & {"momentum", "amsgrad", "lr", "nesterov"}
        j = data.draw(st.integers(0, len(self.model.groups) - 1))
        name = data.draw(st.sampled_from(sorted(names)))
        before = self.model.groups[j][name]
        for k, value in enumerate((before, 0.0 if before else 0.6, before)):
            change = {name: bool(value) if isinstance(before, bool) else value}
            if not self.is_allowed(j, change):
                return
            self.set_option(j, change)
            self.take(self.gradients(seed + k, missing, 1.0), {})

    def set_option(self, j: int, change: Options) -> None:
        self.model.groups[j] = self.model.groups[j] | change
        for optimizer in (self.ours, self.twin):
            optimizer.param_groups[j].update(change)

    def is_allowed(self, j: int, change: Options) -> bool:
        """Return whether the next step accepts these options."""
        after = self.model.groups[j] | change
        try:
            self.kind.checked(after)
        except ValueError:
            return False
        tracks = zip(self.model.group_of, self.model.tracks, strict=True)
        self.model.commit()
        has_begun = any(t.t for k, t in tracks if k == j)
        fixed = [self.kind.fixed(x) for x in (self.model.groups[j], after)]
        stored = all(after[k] == self.model.groups[j][k] for k in storage.OPTIONS)
        return stored and not (has_begun and fixed[0] != fixed[1])

    @precondition(lambda self: len(self.model.groups) < 3)
    @rule(seed=seeds, data=st.data())
    def add_a_group(self, seed: int, data: Any) -> None:
        options = data.draw(valid_options(self.kind)) | self.stored
        self.model.commit()
        for optimizer in (self.ours, self.twin):
            group = {"params": self.array(seed, (2, 5), "C"), **options}
            optimizer.add_param_group(group)
        self.added.append((seed, options))
        self.model.add(self.ours.param_groups[-1])

    @rule(how=st.sampled_from(COPIES))
    def go_on_as_a_copy(self, how: str) -> None:
        self.model.commit()
        other = copied(self.ours, how, self.new)
        self.model.check_unchanged(self.ours)
        self.ours = other

    @rule(seed=seeds, how=st.sampled_from(COPIES[:2]))
    def turn_back(self, seed: int, how: str) -> None:
        """Take another step, and load what was saved before it."""
        self.model.commit()
        saved = copied(self.ours, "deepcopy", self.new)
        self.ours.step(self.structured(self.gradients(seed, {1}, 1.0)))
        self.ours = copied(saved, how, lambda: self.ours)

    @rule(seed=seeds)
    def write_to_a_parameter(self, seed: int) -> None:
        i = seed % len(self.model.tracks)
        for optimizer in (self.ours, self.twin):
            arrays = arrays_of(optimizer)
            arrays[i][(seed % 2,) * arrays[i].ndim] = self.array(seed, (1,), "C")[0]
        self.model.tracks[i].p[...] = arrays[i]

    @rule()
    def call_what_changes_nothing(self) -> None:
        self.ours.zero_grad()
        repr(self.ours)
        arrays = arrays_of(self.ours)
        params: Any
        match self.structure:
            case "array":
                params = arrays[:1]
            case "list":
                params = [arrays[:2]]
            case "dict":
                params = [dict(zip("wb", arrays))]
            case _:
                params = [arrays[:1], {"b": arrays[1]}]
        params += arrays[1 if self.structure == "array" else 2 :]
        self.ours.check_params(params if len(params) > 1 else params[0])

    # -- what only some optimizers have

    @precondition(lambda self: isinstance(self.ours, Averaging))
    @rule(how=st.sampled_from([None, *COPIES]))
    def look_at_the_average(self, how: str | None) -> None:
        """x = y + (1 - 1 / beta) (z - y), without a trace."""
        self.model.commit()
        points = self.listed(self.ours.eval_params())
        self.model.check_unchanged(self.ours)
        for i, (x, track) in enumerate(zip(points, self.model.tracks, strict=True)):
            options = self.model.groups[self.model.group_of[i]]
            check_average(x, track, options)
        self.evaluate(points, how)

    def evaluate(self, points: list[Array], how: str | None) -> None:
        """Go to the average, and back; meanwhile the optimizer may become a copy."""
        self.ours.eval()
        if how is not None:
            self.ours = copied(self.ours, how, self.new)
        for p, x in zip(arrays_of(self.ours), points, strict=True):
            assert p.tobytes("A") == x.tobytes("A")
        with pytest.raises(RuntimeError, match="call train"):
            self.ours.step(self.structured(self.gradients(1, set(), 1.0)))
        self.ours.train()

    @precondition(lambda self: self.kind is gs.SGD)
    @rule()
    def look_ahead(self) -> None:
        """w + mu z, where Nesterov's form takes its gradient."""
        self.model.commit()
        groups = self.model.groups
        if not all(g["form"] == "velocity" and g["nesterov"] for g in groups):
            with pytest.raises(ValueError, match=r"lookahead: needs form='velocity'"):
                self.ours.lookahead()
            return
        points = self.listed(self.ours.lookahead())
        for i, (x, track) in enumerate(zip(points, self.model.tracks, strict=True)):
            options = self.model.groups[self.model.group_of[i]]
            check_lookahead(x, track, options)

    @precondition(lambda self: self.kind is gs.Adan)
    @rule()
    def restart(self) -> None:
        self.model.commit()
        self.ours.restart()
        self.twin.restart()
        for i in range(len(self.model.tracks)):
            self.model.restart(i)

    @invariant()
    def nothing_else_has_changed(self) -> None:
        if hasattr(self, "model"):
            self.model.check_unchanged(self.ours)

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.take(self.gradients(77, set(), 1.0), {})


def walk(machine: type[Walk], kind: Any, **more: Any) -> None:
    """Walk with a class of optimizers, here and there."""
    chosen = type(f"{kind.__name__}Walk", (machine,), {"kind": kind, **more})
    run_state_machine_as_test(
        chosen,
        settings=settings(
            max_examples=(2 + 3 * len(kind.rules)) * WALKS,
            stateful_step_count=15,
            deadline=None,
            derandomize=WALKS == 1,
            suppress_health_check=list(HealthCheck),
        ),
    )
