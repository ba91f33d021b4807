"""Random walks with optimizers around another: see test_random_walk.py."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

import gradstep as gs
from gradstep import storage
from walking import Grads, Options, arrays_of
from walking_wrappers import SAMModel, ScheduleFreeModel, second
from walks import (
    COPIES,
    STRUCTURES,
    Walk,
    bits,
    copied,
    seeds,
    valid_options,
    values_of,
    walk,
)


def step_as_is(
    optimizer: Any, grads: Grads, how: Options, structured: Callable[[Grads], Any]
) -> None:
    """Take the steps that a wrapper's model compares, and compare nothing."""
    if isinstance(optimizer, gs.SAM):
        optimizer.first_step(structured(grads))
        optimizer.second_step(structured(second(grads)), **how)
    else:
        optimizer.step(structured(grads), **how)


class WrapperWalk(Walk):
    """Walks with an optimizer around another; `model` is that of the base's steps."""

    storages: ClassVar[list[Any]] = [("f32", {}), ("f64", {})]
    bases: ClassVar[list[Any]] = [gs.SGD, gs.Adam, gs.RMSprop, gs.Adadelta]
    wrapper_model: ClassVar[Any]

    @initialize(data=st.data())
    def build(self, data: Any) -> None:
        self.code, _ = data.draw(st.sampled_from(self.storages))
        self.structure = data.draw(st.sampled_from(STRUCTURES))
        self.options = data.draw(self.own_options())
        self.base = data.draw(st.sampled_from(self.bases))
        self.base_options = data.draw(valid_options(self.base))
        self.ours, self.twin = self.new(), self.new()
        self.model = self.wrapper_model(self.ours)

    def own_options(self) -> Any:
        names = self.kind.options.keys() - {"maximize", *storage.OPTIONS}
        values = {name: values_of(self.kind, name) for name in sorted(names)}
        return st.fixed_dictionaries({k: st.sampled_from(x) for k, x in values.items()})

    def new(self) -> Any:
        base = functools.partial(self.base, **self.base_options)
        return self.kind(self.params(), base, **self.options)

    def take(self, grads: Grads, how: Options) -> None:
        self.model.step(self.ours, grads, how, self.structured)
        step_as_is(self.twin, grads, how, self.structured)
        assert bits(self.ours) == bits(self.twin)

    @rule(seed=seeds, bad=st.sampled_from([np.nan, np.inf, -np.inf]))
    def step_with_nonfinite_gradients(self, seed: int, bad: float) -> None:
        grads = self.gradients(seed, {1}, 1.0)
        finite = [None if g is None else g.copy() for g in grads]
        assert grads[0] is not None
        grads[0][seed % grads[0].size] = bad
        self.model.base.commit()
        for optimizer in (self.ours, self.twin):
            if self.kind is gs.SAM:
                optimizer.first_step(self.structured(finite))
                optimizer.second_step(self.structured(grads), nonfinite="skip")
            else:
                optimizer.step(self.structured(grads), nonfinite="skip")
            assert optimizer.last_step.skipped
        self.model.skip(finite)
        self.model.check_unchanged(self.ours)

    @rule(data=st.data())
    def change_an_option(self, data: Any) -> None:
        """One of the wrapper's in all groups, as norms are of all arrays together."""
        options = data.draw(self.own_options())
        name = data.draw(st.sampled_from(sorted(options)))
        for optimizer in (self.ours, self.twin):
            setattr(optimizer, name, options[name])
        for group in self.model.groups:
            group[name] = options[name]

    @rule(data=st.data())
    def change_an_option_of_the_base(self, data: Any) -> None:
        base = self.model.base
        j = data.draw(st.integers(0, len(base.groups) - 1))
        name = data.draw(st.sampled_from(["lr", "weight_decay", "maximize"]))
        change = {name: data.draw(st.sampled_from(values_of(self.base, name)))}
        base.groups[j] |= change
        for optimizer in (self.ours, self.twin):
            optimizer.base.param_groups[j].update(change)

    @rule()
    def add_a_group(self) -> None:
        with pytest.raises(TypeError, match="takes no more groups; build a new one"):
            self.ours.add_param_group({"params": self.array(1, (2, 5), "C")})

    @rule(how=st.sampled_from(COPIES))
    def go_on_as_a_copy(self, how: str) -> None:
        other = copied(self.ours, how, self.new)
        self.model.check_unchanged(self.ours)
        self.ours = other

    @rule(seed=seeds, how=st.sampled_from(COPIES[:2]))
    def turn_back(self, seed: int, how: str) -> None:
        saved = copied(self.ours, "deepcopy", self.new)
        grads = self.gradients(seed, {1}, 1.0)
        step_as_is(self.ours, grads, {}, self.structured)
        self.ours = copied(saved, how, lambda: self.ours)

    @rule(seed=seeds)
    def write_to_a_parameter(self, seed: int) -> None:
        i = seed % 2 if self.structure != "array" else 0
        for optimizer in (self.ours, self.twin):
            p = arrays_of(optimizer)[i]
            p[(seed % 2,) * p.ndim] = self.array(seed, (1,), "C")[0]
        self.model.parameters()[i][...] = p

    @precondition(lambda self: self.kind is gs.ScheduleFree)
    @rule(how=st.sampled_from([None, *COPIES]))
    def look_at_the_average(self, how: str | None) -> None:
        points = self.listed(self.ours.eval_params())
        for x, own, y in zip(points, self.model.tracks, self.model.y, strict=True):
            assert x.tobytes("A") == (own.x if own.t else y).tobytes("A")
        self.evaluate(points, how)


@pytest.mark.parametrize("kind", [gs.ScheduleFree, gs.SAM])
def test_every_step_around_a_base_is_the_papers_and_copies_go_on(kind: Any) -> None:
    models = {gs.ScheduleFree: ScheduleFreeModel, gs.SAM: SAMModel}
    walk(WrapperWalk, kind, wrapper_model=models[kind])
