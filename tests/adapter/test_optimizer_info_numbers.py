"""Ours beside the plain loops of torch's own classes, on torch's inputs of them.

A layer is frozen for some steps, one step comes without gradients, and the last
parameter has no axes, as in torch's comparison of its own implementations.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

import gradstep.torch as gst
from adapter_infos import INFOS, THEIRS, Case, Options, cases, titles

TORCHS = cases(*THEIRS, flags=True)
PLAIN = cases(*THEIRS)
SCHEDULED = [
    (case, place)
    for case in PLAIN
    for place in range(len(INFOS[case.name].scheduler_inputs))
]
EVERY = cases()
STEPS = 8  # RAdam rectifies from its sixth on
TOLERANCES = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-14},
    # Sums of float32 that cancel keep the errors of their terms.
    torch.float32: {"rtol": 2e-6, "atol": 2e-7},
}

NUMBERS = ("mu_product", "step")

each_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
each_case = pytest.mark.parametrize("case", PLAIN, ids=titles(PLAIN))


@pytest.fixture(autouse=True)
def _double_numbers() -> Iterator[None]:
    """Have torch keep NAdam's product of momenta in float64, as it is kept here."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Run:
    """A small network in training, with one more parameter that has no axes."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        source = torch.Generator().manual_seed(11)
        layers = nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid()
        self.model = nn.Sequential(*layers).to(dtype)
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(torch.randn(p.shape, generator=source, dtype=dtype))
        self.point = torch.tensor(0.37, dtype=dtype, requires_grad=True)
        self.input = torch.randn(3, 2, generator=source, dtype=dtype)
        self.optimizer: Any = None

    @property
    def params(self) -> list[torch.Tensor]:
        return [*self.model.parameters(), self.point]

    def step(self, i: int) -> None:
        for p in self.params:
            p.grad = None
        self.model[2].requires_grad_(i not in {3, 4})
        if i != 2:
            (3 * self.model(self.input).sum() * self.point.exp()).backward()
        self.optimizer.step()

    def go(self, first: int, last: int) -> None:
        for i in range(first, last):
            self.step(i)

    def clone(self) -> "Run":
        other = Run(self.input.dtype)
        with torch.no_grad():
            for p, q in zip(other.params, self.params, strict=True):
                p.copy_(q)
        return other


def plain(options: Options) -> Options:
    """Return torch's options for its loops over tensors one by one."""
    kept = {k: v for k, v in options.items() if k not in {"foreach", "fused"}}
    return kept | {"foreach": False}


def torchs(case: Case, params: Any) -> torch.optim.Optimizer:
    return THEIRS[case.name].optim_cls(params, **plain(case.options()))


def check(ours: Run, theirs: Run) -> None:
    """Check that parameters and states of two runs are the same numbers."""
    tolerance = TOLERANCES[ours.input.dtype]
    for p, q in zip(ours.params, theirs.params, strict=True):
        torch.testing.assert_close(p, q, **tolerance)
        kept = {k: v for k, v in theirs.optimizer.state[q].items() if v is not None}
        assert ours.optimizer.state.get(p, {}).keys() == kept.keys()
        for key, value in kept.items():
            found = ours.optimizer.state[p][key]
            torch.testing.assert_close(
                found, value, **tolerance, check_dtype=key not in NUMBERS
            )


def pair(case: Case, dtype: torch.dtype) -> tuple[Run, Run]:
    ours, theirs = Run(dtype), Run(dtype)
    ours.optimizer = case.make(ours.params, **case.options())
    theirs.optimizer = torchs(case, theirs.params)
    return ours, theirs


@each_dtype
@pytest.mark.parametrize("case", TORCHS, ids=titles(TORCHS))
def test_each_step_is_that_of_the_loops_of_torch(
    case: Case, dtype: torch.dtype
) -> None:
    ours, theirs = pair(case, dtype)
    start = [p.detach().clone() for p in ours.params]
    for i in range(STEPS):
        ours.step(i)
        theirs.step(i)
        check(ours, theirs)
    assert all(not torch.equal(p, q) for p, q in zip(ours.params, start, strict=True))


@pytest.mark.parametrize(
    ("case", "place"),
    SCHEDULED,
    ids=[f"{case.title}, schedule {place}" for case, place in SCHEDULED],
)
def test_each_scheduled_step_is_that_of_torch(case: Case, place: int) -> None:
    runs = pair(case, torch.float64)
    schedules = [
        [make(run.optimizer) for make in INFOS[case.name].scheduler_inputs[place]]
        for run in runs
    ]
    seen = set()
    for i in range(14):  # the longest of them changes the rate after ten
        for run, made in zip(runs, schedules, strict=True):
            run.step(i)
            for scheduler in made:
                # A loss that never falls makes ReduceLROnPlateau lower the rate.
                metric = (1.0,) if isinstance(scheduler, ReduceLROnPlateau) else ()
                scheduler.step(*metric)
        rates = [float(run.optimizer.param_groups[0]["lr"]) for run in runs]
        assert rates[0] == rates[1]
        seen.add(rates[0])
        check(*runs)
    assert len(seen) > 1


@pytest.mark.parametrize("case", EVERY, ids=titles(EVERY))
def test_flags_do_not_change_a_bit(case: Case) -> None:
    runs = []
    for flag in ({}, {"foreach": True}, {"fused": True}, {"foreach": False}):
        run = Run()
        run.optimizer = case.make(run.params, **case.options() | flag)
        run.go(0, STEPS)
        runs.append(run)
    for run in runs[1:]:
        for p, q in zip(run.params, runs[0].params, strict=True):
            assert torch.equal(p, q)
            for key, value in runs[0].optimizer.state[q].items():
                assert torch.equal(run.optimizer.state[p][key], value)


@pytest.mark.parametrize("name", INFOS)
def test_a_frozen_layer_rests_and_goes_on(name: str) -> None:
    run = Run()
    case = next(case for case in cases(name))
    run.optimizer = case.make(run.params, **case.options())
    run.go(0, 3)
    frozen = [p.detach().clone() for p in run.model[2].parameters()]
    states = deepcopy([run.optimizer.state[p] for p in run.model[2].parameters()])
    others = [p.detach().clone() for p in run.model[0].parameters()]
    run.go(3, 5)
    for p, q, kept in zip(run.model[2].parameters(), frozen, states, strict=True):
        assert torch.equal(p, q)
        for key, value in kept.items():
            assert torch.equal(run.optimizer.state[p][key], value)
    for p, q in zip(run.model[0].parameters(), others, strict=True):
        assert not torch.equal(p, q)
    run.go(5, 6)
    for p, q in zip(run.model[2].parameters(), frozen, strict=True):
        assert not torch.equal(p, q)


@each_dtype
@each_case
def test_a_state_of_torch_is_gone_on_from(case: Case, dtype: torch.dtype) -> None:
    theirs = Run(dtype)
    theirs.optimizer = torchs(case, theirs.params)
    theirs.go(0, 4)
    ours = theirs.clone()
    ours.optimizer = getattr(gst, case.name)(ours.params, lr=0.7)
    ours.optimizer.load_state_dict(deepcopy(theirs.optimizer.state_dict()))
    for i in range(4, STEPS):
        ours.step(i)
        theirs.step(i)
        check(ours, theirs)


@each_dtype
@each_case
def test_torch_goes_on_from_our_state(case: Case, dtype: torch.dtype) -> None:
    ours = Run(dtype)
    ours.optimizer = case.make(ours.params, **case.options())
    ours.go(0, 4)
    theirs = ours.clone()
    theirs.optimizer = THEIRS[case.name].optim_cls(theirs.params, lr=0.7)
    theirs.optimizer.load_state_dict(deepcopy(ours.optimizer.state_dict()))
    for i in range(4, STEPS):
        ours.step(i)
        theirs.step(i)
        check(ours, theirs)


@each_case
def test_a_state_of_torch_before_any_step_is_a_start(case: Case) -> None:
    ours, theirs = pair(case, torch.float64)
    ours.optimizer.load_state_dict(deepcopy(theirs.optimizer.state_dict()))
    ours.go(0, 3)
    theirs.go(0, 3)
    check(ours, theirs)
