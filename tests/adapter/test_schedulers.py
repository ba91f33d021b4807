"""Schedulers over optimizers of tensors: torch's classes, tensor learning rates."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import gradstep as gs
import gradstep.torch as gst
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from gradstep.torch import lr_scheduler as torch_lrs
from scheduling import PLAIN

THEIRS = torch.optim.lr_scheduler
Make = Callable[[Any], Any]

# One of each; no argument neutral.
EACH: dict[str, Make] = {
    "StepLR": lambda o: lrs.StepLR(o, 5, 0.7),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [3, 20, 71], 0.37),
    **PLAIN,
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 83, 0.01),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(
        o, 7, 3, 0.01
    ),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.3, 90),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.02, 0.3, 9, scale_fn=abs),
    "LambdaLR": lambda o: lrs.LambdaLR(o, half),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, half),
    "WarmupStableDecayLR": lambda o: lrs.WarmupStableDecayLR(o, 9, 31, 47, "sqrt"),
    "InverseSqrtLR": lambda o: lrs.InverseSqrtLR(o, 13),
    "ExponentialStepSizeLR": lambda o: lrs.ExponentialStepSizeLR(o, 120, 1.9),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.2), lrs.StepLR(o, 5)], [9]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.ConstantLR(o, 0.3, 7), lrs.ExponentialLR(o, 0.97)]
    ),
    "WarmupLR": lambda o: lrs.WarmupLR(o, lrs.CosineAnnealingLR(o, 83), 13),
    "LRScheduler": lambda o: lrs.LRScheduler(o, schedules.InverseTime(0.3)),
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(o, factor=0.5, patience=1),
}
each = pytest.mark.parametrize("name", EACH)
MODULES = {"gradstep.torch": gst, "torch.optim": torch.optim}
modules = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def half(t: float) -> float:
    return 0.5 + 0.5 / (1 + t)


def optimizer_of(module: Any, lr: Any = 0.2, **options: Any) -> Any:
    p = torch.nn.Parameter(torch.linspace(-1, 2, 5))
    options.setdefault("momentum", 0.9)
    return module.SGD([p], lr=lr, **options)


def train(optimizer: Any, scheduler: Any, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = p.detach().cos()
        optimizer.step()
        is_plateau = isinstance(scheduler, lrs.ReduceLROnPlateau)
        scheduler.step(*[1.0] * is_plateau)
        rates += scheduler.get_last_lr()
    return rates


def same_parameters(one: Any, other: Any) -> bool:
    params = [opt.param_groups[0]["params"][0] for opt in (one, other)]
    return bool(torch.equal(*params))


# Classes.


@modules
@each
def test_a_scheduler_over_tensors_is_one_of_torchs(name: str, module: Any) -> None:
    scheduler = EACH[name](optimizer_of(module))
    ours = getattr(lrs, name)
    assert type(scheduler) is getattr(torch_lrs, name)
    assert isinstance(scheduler, ours)
    assert isinstance(scheduler, getattr(THEIRS, name, THEIRS.LRScheduler))
    assert isinstance(scheduler, THEIRS.LRScheduler)
    is_plateau = name == "ReduceLROnPlateau"
    assert isinstance(scheduler, THEIRS.ReduceLROnPlateau) == is_plateau
    assert type(scheduler).__name__ == name
    assert repr(scheduler).startswith(f"{name}(")


@each
def test_a_scheduler_over_arrays_is_none_of_torchs(name: str) -> None:
    scheduler = EACH[name](gs.SGD(np.ones(3), momentum=0.9))
    assert type(scheduler) is getattr(lrs, name)
    assert not isinstance(scheduler, THEIRS.LRScheduler)


def test_the_classes_over_tensors_have_the_same_names_and_take_tensors_only() -> None:
    assert set(torch_lrs.__all__) == set(lrs.__all__) == set(EACH)
    for name in lrs.__all__:
        assert issubclass(getattr(torch_lrs, name), getattr(lrs, name))
    scheduler = torch_lrs.StepLR(optimizer_of(gst), 5, gamma=0.7)
    assert type(scheduler) is torch_lrs.StepLR
    words = r"StepLR: gradstep.torch.lr_scheduler .* got SGD; use gradstep.lr_sch"
    with pytest.raises(TypeError, match=words):
        torch_lrs.StepLR(gs.SGD(np.ones(3)), 5)


@modules
@each
def test_rates_are_those_over_arrays(name: str, module: Any) -> None:
    optimizer = optimizer_of(module)
    rates = train(optimizer, EACH[name](optimizer), 30)
    w = np.linspace(-1, 2, 5)
    arrays = gs.SGD(w, lr=0.2, momentum=0.9)
    scheduler, expected = EACH[name](arrays), []
    for _ in range(30):
        arrays.step(np.cos(w))
        scheduler.step(*[1.0] * (name == "ReduceLROnPlateau"))
        expected += scheduler.get_last_lr()
    assert rates == expected


@modules
@each
@pytest.mark.parametrize("way", ["pickle", "deepcopy", "torch.save"])
def test_copies_go_on_alike(name: str, module: Any, way: str) -> None:
    """With the optimizer, also after a change by hand."""
    optimizer = optimizer_of(module)
    scheduler = EACH[name](optimizer)
    train(optimizer, scheduler, 4)
    optimizer.param_groups[0]["lr"] *= 0.5
    both = optimizer, scheduler
    if way == "deepcopy":
        twin, its = copy.deepcopy(both)
    elif way == "pickle":
        twin, its = pickle.loads(pickle.dumps(both))
    else:
        file = io.BytesIO()
        torch.save(both, file)
        file.seek(0)
        twin, its = torch.load(file, weights_only=False)
    assert its.optimizer is twin
    assert type(its) is type(scheduler)
    assert train(twin, its, 9) == train(optimizer, scheduler, 9)
    assert same_parameters(twin, optimizer)


class Own(lrs.StepLR):
    """A caller's class, without an argument of its name."""

    def __init__(self, optimizer: Any, *, twice: int) -> None:
        super().__init__(optimizer, 2 * twice, 0.5)


def test_a_callers_class_is_one_of_torchs_as_well() -> None:
    optimizer = optimizer_of(gst)
    scheduler = Own(optimizer, twice=1)
    assert isinstance(scheduler, (Own, THEIRS.StepLR))
    assert isinstance(scheduler, Own)
    twin, its = pickle.loads(pickle.dumps((optimizer, scheduler)))
    assert isinstance(its, Own)
    assert isinstance(its, THEIRS.StepLR)
    assert train(twin, its, 5) == train(optimizer, scheduler, 5)
    derived = type("Derived", (torch_lrs.StepLR,), {})(optimizer_of(gst), 3)
    assert isinstance(copy.deepcopy(derived), type(derived))


@modules
@each
def test_states_go_through_torchs_files(name: str, module: Any) -> None:
    """Of weights only, as `transformers` reads them, and into arrays and back."""
    optimizer = optimizer_of(module)
    scheduler = EACH[name](optimizer)
    train(optimizer, scheduler, 4)
    optimizer.param_groups[0]["lr"] *= 0.5
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict()], file)
    params = copy.deepcopy(optimizer.param_groups[0]["params"])
    expected = train(optimizer, scheduler, 9)
    for order in (1, -1):
        file.seek(0)
        states = torch.load(file, weights_only=True)
        again = module.SGD(params, lr=0.7, momentum=0.1)
        objects = [again, EACH[name](again)]
        for i in (0, 1)[::order]:
            objects[i].load_state_dict(states[i])
        before = copy.deepcopy(params)
        assert train(*objects, 9) == expected
        assert same_parameters(again, optimizer)
        for p, q in zip(params, before, strict=True):
            p.data.copy_(q)
    EACH[name](gs.SGD(np.ones(3), momentum=0.9)).load_state_dict(states[1])


# What is read of torch's schedulers beside their methods.


@each
def test_the_count_of_calls_is_torchs(name: str) -> None:
    """`accelerate` adds to it where gradients are accumulated, and saves it."""
    optimizer = optimizer_of(gst)
    scheduler = EACH[name](optimizer)
    if name != "ReduceLROnPlateau":
        assert scheduler._step_count == 1
    begun = scheduler._step_count
    train(optimizer, scheduler, 3)
    assert scheduler._step_count == begun + 3
    scheduler._step_count += 2
    train(optimizer, scheduler, 1)
    assert scheduler._step_count == begun + 6
    again = EACH[name](optimizer_of(gst))
    again.load_state_dict(scheduler.state_dict())
    assert again._step_count == begun + 6
    twin = copy.deepcopy((optimizer, scheduler))[1]
    assert twin._step_count == begun + 6
    plain = {k: x for k, x in scheduler.state_dict().items() if k != "_step_count"}
    again.load_state_dict(plain)
    assert again._step_count == begun + 4
    with pytest.raises(ValueError, match="_step_count must be in"):
        again.load_state_dict(scheduler.state_dict() | {"_step_count": -1})


@each
def test_the_last_rates_are_read_by_every_name(name: str) -> None:
    optimizer = optimizer_of(gst)
    scheduler = EACH[name](optimizer)
    train(optimizer, scheduler, 3)
    rate = [optimizer.param_groups[0]["lr"]]
    assert scheduler.get_last_lr() == scheduler._last_lr == scheduler.get_lr() == rate
    assert [type(x) for x in rate] == [float]


def test_arguments_are_read_past_torchs_attributes() -> None:
    optimizer = optimizer_of(gst)
    assert EACH["CyclicLR"](optimizer).scale_fn is abs
    assert EACH["OneCycleLR"](optimizer).total_steps == 90
    assert EACH["StepLR"](optimizer).step_size == 5
    plateau = EACH["ReduceLROnPlateau"](optimizer)
    assert (plateau.patience, plateau.in_cooldown) == (1, False)
    with pytest.raises(AttributeError, match="StepLR has no attribute 'gama'"):
        _ = EACH["StepLR"](optimizer).gama


def test_torchs_chain_steps_schedulers_of_ours() -> None:
    optimizer, other = optimizer_of(gst), optimizer_of(gst)
    theirs = THEIRS.ChainedScheduler(
        [lrs.ConstantLR(optimizer, 0.3, 2), lrs.ExponentialLR(optimizer, 0.5)]
    )
    ours = lrs.ChainedScheduler(
        [lrs.ConstantLR(other, 0.3, 2), lrs.ExponentialLR(other, 0.5)]
    )
    rates = train(optimizer, theirs, 5)
    assert rates == pytest.approx(train(other, ours, 5), rel=1e-14)


def test_torchs_optimizer_is_left_as_it_is() -> None:
    """torch's schedulers put a function in the place of its `step`."""
    optimizer = optimizer_of(torch.optim)
    before = set(vars(optimizer))
    lrs.StepLR(optimizer, 3)
    assert set(vars(optimizer)) == before


# A learning rate that is a tensor.

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@modules
@pytest.mark.parametrize("name", sorted(set(EACH) - {"ReduceLROnPlateau"}))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_is_filled_with_the_value_in_its_dtype(
    name: str, module: Any, dtype: Any
) -> None:
    """Computed in float64 from what the tensor held at first, rounded once."""
    rate = torch.tensor(0.2, dtype=dtype)
    optimizer, plain = optimizer_of(module, rate), optimizer_of(module, float(rate))
    scheduler, exact = EACH[name](optimizer), EACH[name](plain)
    for _ in range(25):
        expected = torch.tensor(plain.param_groups[0]["lr"], dtype=dtype)
        assert optimizer.param_groups[0]["lr"] is rate
        assert torch.equal(rate, expected)
        assert scheduler.get_last_lr() == [float(expected)]
        train(optimizer, scheduler, 1)
        train(plain, exact, 1)


@modules
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_plateau_multiplies_what_a_tensor_holds(module: Any, dtype: Any) -> None:
    rate = torch.tensor(0.3, dtype=dtype)
    optimizer = optimizer_of(module, rate)
    scheduler = lrs.ReduceLROnPlateau(optimizer, factor=0.7, patience=0)
    scheduler.step(1.0)
    for _ in range(5):
        expected = torch.tensor(float(rate) * 0.7, dtype=dtype)
        scheduler.step(1.0)
        assert optimizer.param_groups[0]["lr"] is rate
        assert torch.equal(rate, expected)


@modules
def test_a_tensor_that_is_set_by_hand_is_scaled(module: Any) -> None:
    """Filled, replaced by another one, or by a number."""
    rate = torch.tensor(0.2, dtype=torch.float64)
    optimizer = optimizer_of(module, rate)
    scheduler = lrs.ExponentialLR(optimizer, 0.5)
    group = optimizer.param_groups[0]
    train(optimizer, scheduler, 1)
    group["lr"].fill_(0.8)
    assert train(optimizer, scheduler, 1) == pytest.approx([0.4], rel=1e-15)
    group["lr"] = torch.tensor([0.6], dtype=torch.float64)
    assert train(optimizer, scheduler, 1) == pytest.approx([0.3], rel=1e-15)
    assert group["lr"].shape == (1,)
    group["lr"] = 1.6
    assert train(optimizer, scheduler, 1) == pytest.approx([0.8], rel=1e-15)
    assert float(rate) == pytest.approx(0.4)


class Counted(torch.Tensor):
    """A tensor that counts how often its value is asked for."""

    reads: ClassVar[int] = 0

    def __float__(self) -> float:
        Counted.reads += 1
        return super().__float__()


@each
def test_steps_do_not_ask_a_tensor_for_its_value(name: str) -> None:
    """On a device that would wait for all that is under way."""
    rate = torch.tensor(0.2).as_subclass(Counted)
    optimizer = optimizer_of(torch.optim)
    optimizer.param_groups[0]["lr"] = rate
    scheduler = EACH[name](optimizer)
    before = Counted.reads
    for _ in range(9):
        scheduler.step(*[1.0] * (name == "ReduceLROnPlateau"))
    # A plateau cannot know the rate otherwise, where it reduces it.
    assert Counted.reads - before == (4 if name == "ReduceLROnPlateau" else 0)
    scheduler.get_last_lr()
    assert Counted.reads > before


@modules
def test_two_schedulers_fill_one_tensor(module: Any) -> None:
    rate = torch.tensor(0.2, dtype=torch.float64)
    optimizer = optimizer_of(module, rate)
    both = [lrs.ExponentialLR(optimizer, 0.9), lrs.MultiStepLR(optimizer, [2], 0.1)]
    for t in range(5):
        expected = 0.2 * 0.9**t * 0.1 ** (t >= 2)
        assert float(rate) == pytest.approx(expected, rel=1e-13)
        train(optimizer, both[0], 1)
        both[1].step()


@modules
@each
def test_a_tensor_is_resumed(name: str, module: Any) -> None:
    rate = torch.tensor(0.2, dtype=torch.float32)
    optimizer = optimizer_of(module, rate)
    scheduler = EACH[name](optimizer)
    train(optimizer, scheduler, 3)
    rate.mul_(0.5)
    states = copy.deepcopy([optimizer.state_dict(), scheduler.state_dict()])
    params = copy.deepcopy(optimizer.param_groups[0]["params"])
    expected = train(optimizer, scheduler, 9)
    for order in (1, -1):
        again = module.SGD(copy.deepcopy(params), lr=torch.tensor(0.7), momentum=0.1)
        objects = [again, EACH[name](again)]
        for i in (0, 1)[::order]:
            objects[i].load_state_dict(copy.deepcopy(states[i]))
        assert torch.is_tensor(again.param_groups[0]["lr"])
        assert train(*objects, 9) == expected
        assert same_parameters(again, optimizer)


def test_a_state_of_torch_with_tensors_is_loaded() -> None:
    theirs = THEIRS.StepLR(optimizer_of(torch.optim, torch.tensor(0.2)), 3, 0.5)
    ours = lrs.StepLR(optimizer_of(torch.optim, torch.tensor(0.7)), 3, 0.5)
    ours.load_state_dict(theirs.state_dict())
    assert ours.get_last_lr() == ours.base_lrs == [float(torch.tensor(0.2))]


def test_a_noted_base_does_not_follow_the_tensor() -> None:
    optimizer = optimizer_of(gst, torch.tensor(0.25))
    train(optimizer, lrs.ExponentialLR(optimizer, 0.5), 3)
    assert optimizer.param_groups[0]["initial_lr"] == 0.25
    assert THEIRS.StepLR(optimizer, 3).base_lrs == [0.25]


def test_a_tensor_that_asks_for_a_gradient_is_filled() -> None:
    rate = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=rate)
    lrs.ExponentialLR(optimizer, 0.5).step()
    assert rate.item() == 0.1


def test_betas_of_tensors_are_filled() -> None:
    betas = torch.tensor(0.9), torch.tensor(0.99)
    params = [torch.nn.Parameter(torch.ones(2))]
    optimizer = torch.optim.Adam(params, betas=betas, foreach=False, capturable=True)
    lrs.LRScheduler(optimizer, schedules.Step(1, 0.5), hyperparameter="beta1").step()
    group = optimizer.param_groups[0]
    assert all(x is y for x, y in zip(group["betas"], betas, strict=True))
    assert [float(x) for x in betas] == pytest.approx([0.45, 0.99])


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (
            torch.tensor([0.1, 0.2]),
            r"got Tensor of shape \(2,\) and dtype torch.float32",
        ),
        (torch.tensor(1), "got Tensor of shape .* and dtype torch.int64"),
        (torch.tensor(True), "dtype torch.bool"),
        (torch.tensor(1j), "dtype torch.complex64"),
    ],
)
def test_other_tensors_are_refused(rate: Any, words: str) -> None:
    optimizer = optimizer_of(torch.optim)
    optimizer.param_groups[0]["lr"] = rate
    for make in (lambda o: lrs.ExponentialLR(o, 0.5), lrs.ReduceLROnPlateau):
        with pytest.raises(TypeError, match=f"'lr' must be a number .*{words}"):
            make(optimizer)
    assert torch.equal(optimizer.param_groups[0]["lr"], rate)


def test_a_value_beyond_the_dtype_is_refused_and_nothing_is_set() -> None:
    rates = [torch.tensor(1.0), torch.tensor(1.0, dtype=torch.float16)]
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates
    ]
    optimizer = torch.optim.SGD(groups)
    scheduler = lrs.ExponentialLR(optimizer, 1000.0)
    scheduler.step()
    with pytest.raises(ValueError, match=r"param_groups\[1\] would be inf at step 2"):
        scheduler.step()
    assert [float(x) for x in rates] == [1000.0, 1000.0]
    assert scheduler.last_epoch == 1


def test_a_tensor_that_cannot_be_written_to_leaves_the_others() -> None:
    class Fixed(torch.Tensor):
        def fill_(self, value: Any) -> Any:
            raise RuntimeError(f"not to be filled with {value}")

    fixed = torch.tensor(0.5).as_subclass(Fixed)
    rates = [torch.tensor(0.5, dtype=torch.float64), 0.5, fixed]
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in rates
    ]
    optimizer = torch.optim.SGD(groups)
    with pytest.raises(RuntimeError, match=r"not to be filled with 0\.1"):
        lrs.LinearLR(optimizer, 0.2)
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.5] * 3
    assert not any("initial_lr" in group for group in optimizer.param_groups)


# What cannot be scheduled.


@pytest.mark.parametrize("make", [lrs.OneCycleLR, lrs.CyclicLR])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("ScheduleFreeAdamW", r"betas \(beta1\)"),
        ("ScheduleFreeRAdam", r"betas \(beta1\)"),
        ("ScheduleFreeSGD", "momentum"),
    ],
)
def test_a_momentum_that_is_fixed_is_named_with_the_remedy(
    kind: str, key: str, make: Any
) -> None:
    """Before a step, over tensors and arrays."""
    arguments = {lrs.OneCycleLR: (0.1, 9), lrs.CyclicLR: (0.1, 0.2)}[make]
    p = torch.nn.Parameter(torch.ones(2))
    for optimizer in (getattr(gst, kind)([p]), getattr(gs, kind)(np.ones(2))):
        before = dict(optimizer.param_groups[0])
        words = f"{key} of {kind} cannot change after a step; pass cycle_momentum=False"
        with pytest.raises(ValueError, match=words):
            make(optimizer, *arguments)
        assert optimizer.param_groups[0] == before
        scheduler = make(optimizer, *arguments, cycle_momentum=False)
        if isinstance(optimizer, torch.optim.Optimizer):
            train(optimizer, scheduler, 3)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("ScheduleFreeAdamW", r"\['betas'\]: beta1"),
        ("ScheduleFreeSGD", r"\['momentum'\]"),
    ],
)
def test_a_step_names_the_key_and_the_remedy_where_torchs_cycle_changes_momentum(
    kind: str, key: str
) -> None:
    """torch's OneCycleLR does not ask whether momentum may change."""
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = getattr(gst, kind)([p])
    scheduler = THEIRS.OneCycleLR(optimizer, 0.1, 9)
    p.grad = torch.ones(2)
    optimizer.step()
    scheduler.step()
    before = p.detach().clone()
    words = rf"{kind}: param_groups\[0\]{key} cannot change after a step, .*cycle_mom"
    with pytest.raises(ValueError, match=words):
        optimizer.step()
    assert torch.equal(p, before)
    scheduler = THEIRS.OneCycleLR(getattr(gst, kind)([p]), 0.1, 9, cycle_momentum=False)
    train(scheduler.optimizer, scheduler, 3)


def test_rprop_over_tensors_takes_another_rate_as_torchs_does() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = gst.Rprop([p], lr=0.1)
    train(optimizer, lrs.ExponentialLR(optimizer, 0.5), 3)
    assert optimizer.param_groups[0]["lr"] == 0.0125
