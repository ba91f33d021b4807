"""Every class with every input of torch's database: construction, and where it goes.

Rates are those of the inputs, so that only the direction of the loss can be asked for;
the numbers are compared with torch's in test_optimizer_info_numbers.
"""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.testing._internal.common_optimizers import get_error_inputs_for_all_optims

import gradstep.torch as gst
from adapter_infos import INFOS, Case, Problem, cases, same, titles

CASES = cases()
FLAGGED = cases(flags=True)
TENSOR_RATE = "lr as a Tensor"
TENSOR_BETA = "as a Tensor is not supported"
MIXED_BETAS = "betas must be either"

each_case = pytest.mark.parametrize("case", CASES, ids=titles(CASES))
each_flagged = pytest.mark.parametrize("case", FLAGGED, ids=titles(FLAGGED))
each_info = pytest.mark.parametrize("name", INFOS)

SCHEDULED = [
    (case, place)
    for case in CASES
    for place in range(len(INFOS[case.name].scheduler_inputs))
]


def went(case: Case, before: torch.Tensor, after: torch.Tensor) -> bool:
    """Return whether the loss went where it should."""
    up = case.options().get("maximize", False)
    return bool(after > before if up else after < before)


def schedule(schedulers: list[Any], loss: torch.Tensor) -> None:
    for scheduler in schedulers:
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(loss)
        else:
            scheduler.step()


def errors(name: str) -> list[Any]:
    """Return torch's inputs that must be refused, but for those that are fine here.

    A rate or a beta in a tensor needs no loop of its own, nor the other one to be a
    tensor.
    """
    given = INFOS[name].optim_error_inputs_func
    found = given or get_error_inputs_for_all_optims
    return [
        error
        for error in found(device="cpu", dtype=torch.float32)
        if not any(
            fine in error.error_regex
            for fine in (TENSOR_RATE, TENSOR_BETA, MIXED_BETAS)
        )
    ]


REFUSED = [
    (name, i, error.optimizer_error_input.desc)
    for name in INFOS
    for i, error in enumerate(errors(name))
]


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, i) for name, i, _ in REFUSED],
    ids=[f"{name}: {what}" for name, _, what in REFUSED],
)
def test_what_torch_refuses_is_refused_by_the_same_type(name: str, place: int) -> None:
    error = errors(name)[place]
    given = error.optimizer_error_input
    params = given.params
    if params is None:
        params = [torch.nn.Parameter(torch.ones(2))]
    make = getattr(gst, name)
    if issubclass(error.error_type, Warning):
        with pytest.warns(error.error_type, match=error.error_regex):
            make(params, **given.kwargs)
        return
    with pytest.raises(error.error_type) as caught:
        make(params, **given.kwargs)
    if given.params is None:  # an option: our message names it
        # one of a pair is named by itself
        wrong = ("must have one element", "beta1 ", "beta2 ", "etas", *given.kwargs)
        assert any(word in str(caught.value) for word in wrong)
    else:
        assert caught.match(error.error_regex)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_tensors_as_options_need_no_loop_of_their_own(name: str) -> None:
    a = Problem()
    b, c = a.clone(), a.clone()
    make = getattr(gst, name)
    rate, beta = torch.tensor(0.25), torch.tensor(0.75)
    a.run(make(a.params, lr=0.25, betas=(0.75, 0.875)), 3)
    b.run(make(b.params, lr=rate, betas=(beta, 0.875), foreach=True), 3)
    c.run(make(c.params, lr=rate, betas=(0.75, torch.tensor(0.875)), fused=True), 3)
    assert same(a, b)
    assert same(a, c)


@each_info
def test_foreach_and_fused_together_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="foreach and fused cannot both be True"):
        getattr(gst, name)(Problem().params, foreach=True, fused=True)


@each_info
@pytest.mark.parametrize("flag", ["capturable", "differentiable"])
def test_what_needs_a_graph_is_refused(name: str, flag: str) -> None:
    with pytest.raises((TypeError, ValueError), match=flag):
        getattr(gst, name)(Problem().params, **{flag: True})


@each_flagged
def test_repr_shows_class_and_options(case: Case) -> None:
    options = case.options()
    shown = repr(case.make(Problem().params, **options))
    assert shown.startswith(f"{case.name} (\nParameter Group 0\n")
    if "step_sizes" in options:
        options["step_sizes"] = tuple(map(float, options["step_sizes"]))
    for option, value in options.items():
        assert f"    {option}: {value}\n" in shown


@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "with gaps"])
@each_flagged
def test_the_loss_goes_the_right_way(case: Case, gaps: bool) -> None:
    problem = Problem(gaps=gaps)
    assert problem.weight.is_contiguous() is not gaps
    optimizer = case.make(problem.params, **case.options())
    before = problem.loss()
    problem.run(optimizer, 20)
    assert went(case, before, problem.loss())


@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "with gaps"])
@pytest.mark.parametrize(
    ("case", "place"),
    SCHEDULED,
    ids=[f"{case.title}, schedule {place}" for case, place in SCHEDULED],
)
def test_the_loss_goes_the_right_way_by_schedule(
    case: Case, place: int, gaps: bool
) -> None:
    problem = Problem(gaps=gaps)
    optimizer = case.make(problem.params, **case.options())
    made = INFOS[case.name].scheduler_inputs[place]
    schedulers = [make(optimizer) for make in made]
    before = problem.loss()
    for _ in range(20):
        loss = problem.loss()
        optimizer.step()
        schedule(schedulers, loss)
    assert went(case, before, problem.loss())


@pytest.mark.parametrize("place", range(8))
@each_info
def test_a_group_with_its_own_rate_goes_the_right_way_by_schedule(
    name: str, place: int
) -> None:
    made = INFOS[name].scheduler_inputs
    problem = Problem(seed=place)
    first = case_of(name).options()
    groups = [{"params": [problem.weight]}, {"params": [problem.bias], "lr": 0.01}]
    optimizer = case_of(name).make(groups, **first)
    schedulers = [make(optimizer) for make in made[place % len(made)]]
    before = problem.loss()
    for _ in range(20):
        loss = optimizer.step(problem.loss)
        schedule(schedulers, loss)
    assert problem.loss() < before
    rates = [group["lr"] for group in optimizer.param_groups]
    ratio = optimizer.param_groups[0]["initial_lr"] / 0.01
    assert rates[0] == pytest.approx(ratio * rates[1])


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@each_flagged
def test_groups_may_decay_differently(case: Case) -> None:
    options = case.options()
    if case.name == "Rprop":  # which has no decay; a group may still note one
        options |= {"weight_decay": 0.1}
    problem = Problem()
    none = deepcopy(options) | {"weight_decay": 0.0}
    optimizer = case.make(
        [{"params": [problem.weight], **options}, {"params": [problem.bias], **none}]
    )
    before = problem.loss()
    for _ in range(20):
        problem.loss()
        optimizer.step()
    assert went(case, before, problem.loss())
    assert optimizer.param_groups[1]["weight_decay"] == 0.0
    assert optimizer.param_groups[0] is not optimizer.param_groups[1]


@each_flagged
def test_a_group_with_almost_no_rate_rests(case: Case) -> None:
    options = {"lr": 1e-3} | case.options()
    problem = Problem()
    resting = torch.nn.Parameter(torch.tensor([0.7, -1.3]))
    outer: dict[str, Any] = {"lr": 1e-28}
    if case.name == "Rprop":
        outer["step_sizes"] = (0, 50)
    if case.name == "MADGRAD":  # whose authors add eps to lr
        outer["like"] = "paper"
    optimizer = case.make(
        [{"params": problem.params, **options}, {"params": [resting]}], **outer
    )
    before = problem.loss()
    for _ in range(20):
        problem.loss()
        resting.grad = torch.tensor([0.3, 0.9])
        optimizer.step()
    assert went(case, before, problem.loss())
    # Some rules write what they keep as an average, which rounds.
    torch.testing.assert_close(resting, torch.tensor([0.7, -1.3]), rtol=2e-7, atol=0)


@each_flagged
def test_a_rate_in_a_tensor_is_its_number(case: Case) -> None:
    options = case.options() | {"lr": 0.0078125}
    a = Problem()
    b = a.clone()
    a.run(case.make(a.params, **options), 5)
    rate = torch.tensor(options["lr"])
    optimizer = case.make(b.params, **options | {"lr": rate})
    b.run(optimizer, 5)
    assert same(a, b)
    assert optimizer.param_groups[0]["lr"] is rate


@each_case
def test_a_rate_in_a_tensor_may_be_written_to(case: Case) -> None:
    options = case.options() | {"lr": 0.0078125}
    problems = [Problem() for _ in range(3)]
    rate = torch.tensor(options["lr"])
    a, b, c = (
        case.make(problem.params, **options | {"lr": lr})
        for problem, lr in zip(problems, (options["lr"], rate, options["lr"]))
    )
    for number in (0.0078125, 0.00390625, 0.0009765625):
        a.param_groups[0]["lr"] = number
        rate.fill_(number)
        for problem, optimizer in zip(problems, (a, b, c), strict=True):
            problem.run(optimizer, 4)
    assert same(problems[0], problems[1])
    # Rprop's lr is that of its first step only, here as in torch.
    assert same(problems[0], problems[2]) is (case.name == "Rprop")


@each_flagged
def test_a_step_without_gradients_changes_nothing(case: Case) -> None:
    params = [torch.tensor([[0.3, -1.7], [2.9, 0.1]]) for _ in range(2)]
    before = [p.clone() for p in params]
    optimizer = case.make(params, **case.options())
    loss = torch.tensor([1.0])
    assert optimizer.step(lambda: loss) is loss
    for p, q in zip(params, before, strict=True):
        assert torch.equal(p, q)


@each_flagged
def test_gradients_of_zeros_change_nothing_without_decay(case: Case) -> None:
    options = case.options()
    if "weight_decay" in options or case.name in {"AdamW", "LAMB"}:
        options["weight_decay"] = 0.0
    param = torch.nn.Parameter(torch.tensor([[0.3], [-1.7], [2.9], [0.1], [-0.6]]))
    before = param.detach().clone()
    param.grad = torch.zeros_like(param)
    optimizer = case.make([param], **options)
    for _ in range(3):
        optimizer.step(lambda: torch.tensor([1.0]))
    torch.testing.assert_close(param.detach(), before, rtol=2e-7, atol=0)
