"""What schedulers refuse, with nothing changed."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from gradstep import schedules
from scheduling import optimizer, present, train

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


def test_a_function_that_fails_leaves_all_groups_as_they_were() -> None:
    def failing(t: float) -> float:
        if t == 2:
            raise ArithmeticError
        return 0.5**t

    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, [lambda t: 0.9**t, failing])
    scheduler.step()
    before = present(opt)
    with pytest.raises(ArithmeticError):
        scheduler.step()
    assert (present(opt), scheduler.last_epoch) == (before, 1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: lrs.StepLR(o, 30, 0.5), lambda o: lrs.StepLR(o, 10, 0.5)),
        (
            lambda o: lrs.StepLR(o, 30, hyperparameter="momentum"),
            lambda o: lrs.StepLR(o, 30),
        ),
        (lambda o: lrs.OneCycleLR(o, 0.1, 9), lambda o: lrs.OneCycleLR(o, 0.1, 10)),
        (lambda o: lrs.LambdaLR(o, math.exp), lambda o: lrs.LambdaLR(o, abs)),
    ],
)
def test_the_state_of_another_scheduler_is_refused(ours: Any, theirs: Any) -> None:
    opt = optimizer()
    saved = theirs(optimizer()).state_dict()
    scheduler = ours(opt)
    before = present(opt)
    with pytest.raises(
        ValueError, match=r"it was saved by .* build the scheduler as it"
    ):
        scheduler.load_state_dict(saved)
    assert present(opt) == before


def test_children_that_have_taken_steps_are_refused() -> None:
    opt = optimizer()
    child = lrs.ExponentialLR(opt, 0.5)
    train(opt, child, 3)
    for make in (
        lambda: lrs.ChainedScheduler([child]),
        lambda: lrs.SequentialLR(opt, [child], []),
        lambda: lrs.WarmupLR(opt, child, 3),
    ):
        with pytest.raises(ValueError, match="has taken 3 steps; pass a new one"):
            make()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, None, "x", [0.1]])
def test_a_value_that_no_hyperparameter_may_take_is_not_set(bad: Any) -> None:
    opt = optimizer()
    scheduler = lrs.LambdaLR(opt, [lambda _: 0.5, lambda t: bad if t == 2 else 0.5])
    scheduler.step()
    before = present(opt)
    with pytest.raises((ValueError, TypeError)) as caught:
        scheduler.step()
    if isinstance(bad, float):
        assert "lr of param_groups[1] would be" in str(caught.value)
    else:
        assert "Lambda: fn must return a number" in str(caught.value)
    assert (present(opt), scheduler.last_epoch) == (before, 1)


def test_what_an_optimizer_fixes_is_refused_at_once() -> None:
    for opt in (gs.ScheduleFreeAdamW(np.ones(2)), gs.ScheduleFreeSGD(np.ones(2))):
        before = dict(opt.param_groups[0])
        with pytest.raises(
            ValueError, match=r"cannot change after a step; .*cycle_mom"
        ):
            lrs.OneCycleLR(opt, 0.1, 9)
        assert opt.param_groups[0] == before
        lrs.OneCycleLR(opt, 0.1, 9, cycle_momentum=False).step()
    for make in (lambda o: lrs.StepLR(o, 3), lambda o: lrs.OneCycleLR(o, 0.1, 9)):
        with pytest.raises(ValueError, match="lr of Rprop cannot change") as error:
            make(gs.Rprop(np.ones(2)))
        assert str(error.value).endswith("; train Rprop without a scheduler")
    by_name = {"momentum": schedules.Step(3)}
    with pytest.raises(ValueError, match="cannot change after a step; schedule one of"):
        lrs.LRScheduler(gs.ScheduleFreeSGD(np.ones(2)), by_name)


def test_a_step_names_the_key_and_the_remedy_of_a_momentum_that_is_fixed() -> None:
    for opt, name in (
        (gs.ScheduleFreeAdamW(np.ones(2)), "betas: beta1"),
        (gs.ScheduleFreeSGD(np.ones(2)), "momentum"),
    ):
        opt.step(np.ones(2))
        cycle = schedules.Constant(0.5, 9)
        group = opt.param_groups[0]
        if "betas" in group:
            group["betas"] = (cycle(0, group["betas"][0]), 0.99)
        else:
            group["momentum"] = cycle(0, group["momentum"])
        words = f"{name} cannot change after a step, .* with cycle_momentum=False"
        with pytest.raises(ValueError, match=words):
            opt.step(np.ones(2))


@pytest.mark.parametrize("kind", [*(getattr(lrs, name) for name in lrs.__all__)])
@pytest.mark.parametrize("verbose", [True, False, "deprecated"])
def test_verbose_is_refused_as_an_argument_that_torch_has_removed(
    kind: Any, verbose: Any
) -> None:
    for arguments in ((optimizer(),), (optimizer(), 5), ([],)):
        with pytest.raises(TypeError, match=r"'verbose', which torch has removed from"):
            kind(*arguments, verbose=verbose)
    options = list(inspect.signature(kind).parameters.values())
    by_position = [p for p in options if p.kind is p.POSITIONAL_OR_KEYWORD]
    with pytest.raises(TypeError, match=r"'verbose', which torch has removed from"):
        kind(optimizer(), *[5] * (len(by_position) - 1), verbose)
    with pytest.raises(TypeError, match="positional arguments"):
        kind(optimizer(), *[5] * len(by_position))


@pytest.mark.parametrize(
    ("opt", "name"),
    [
        (gs.SGD(np.ones(2)), "momentum"),
        (gs.RMSprop(np.ones(2)), "momentum"),
        (gs.Adam(np.ones(2), betas=(0.0, 0.9)), "beta1"),
        (gs.SGD([{"params": np.ones(2)}, {"params": np.ones(3)}]), "momentum"),
    ],
)
def test_a_cycle_that_switches_momentum_on_says_so(opt: Any, name: str) -> None:
    """As torch does without a word; OneCycleLR when it is stepped."""
    before = dict(opt.param_groups[0])
    words = (
        rf"CyclicLR: {name} of param_groups\[0\] was 0, and .* up to 0.9, as in torch"
    )
    with pytest.warns(
        UserWarning, match=f"{words}; pass cycle_momentum=False"
    ) as record:
        lrs.CyclicLR(opt, 0.1, 0.3)
    assert len(record) == 1
    assert opt.param_groups[0] != before
    opt.param_groups[0].update(before)
    one = lrs.OneCycleLR(opt, 0.1, 9)
    with pytest.warns(UserWarning, match=words.replace("0.9", "0.95")[8:]):
        one.step()
    one.step()  # once; warnings are errors
    opt.param_groups[0].update(before)
    lrs.CyclicLR(opt, 0.1, 0.3, cycle_momentum=False)
    lrs.OneCycleLR(opt, 0.1, 9, cycle_momentum=False).step()
    lrs.CyclicLR(opt, 0.1, 0.3, base_momentum=0.0, max_momentum=0.0)


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_changes_nothing() -> None:
    opt = gs.SGD(np.ones(2))
    before = dict(opt.param_groups[0])
    with pytest.raises(UserWarning, match="switches it on"):
        lrs.CyclicLR(opt, 0.1, 0.3)
    assert opt.param_groups[0] == before


def test_a_constructor_that_fails_notes_nothing() -> None:
    opt = optimizer()
    with pytest.raises(ValueError, match="would be nan at step 0"):
        lrs.LambdaLR(opt, lambda _: math.nan)
    assert not any(key.startswith("initial") for key in opt.param_groups[0])


def test_notes_of_schedulers_are_no_hyperparameters() -> None:
    opt = optimizer()
    lrs.StepLR(opt, 3)
    with pytest.raises(
        ValueError, match=r"it has lr, momentum, dampening, weight_decay$"
    ):
        lrs.StepLR(opt, 3, hyperparameter="initial_momentum")


def test_a_wrapper_names_what_it_wraps() -> None:
    sam = gs.SAM(np.ones(2), functools.partial(gs.SGD, lr=0.1))
    with pytest.raises(
        ValueError, match=r"no hyperparameter 'lr'.*schedule its base, SGD"
    ):
        lrs.StepLR(sam, 3)
    lrs.StepLR(sam.base, 1).step()
    assert sam.base.lr == pytest.approx(0.01)


def test_groups_that_come_later_are_refused() -> None:
    opt = optimizer()
    for scheduler in (lrs.StepLR(opt, 5), lrs.ReduceLROnPlateau(opt)):
        opt.add_param_group({"params": np.ones(2)})
        with pytest.raises(ValueError, match="build schedulers after add_param_group"):
            scheduler.step(1.0)
        opt = optimizer()


BAD: list[tuple[Callable[[gs.Optimizer], object], type[Exception], str]] = [
    (
        lambda _: lrs.StepLR(3, 5),
        TypeError,
        "optimizer must have param_groups, got int",
    ),
    (lambda o: lrs.StepLR(o, 0), ValueError, "step_size must be at least 1"),
    (
        lambda o: lrs.StepLR(o, 5, last_epoch=-2),
        ValueError,
        "last_epoch must be an int",
    ),
    (lambda o: lrs.StepLR(o, 5, last_epoch=3), KeyError, "lacks 'initial_lr'"),
    (
        lambda o: lrs.StepLR(o, 5, hyperparameter="momemtum"),
        ValueError,
        "SGD has no hyperparameter 'momemtum'; it has lr, momentum",
    ),
    (
        lambda o: lrs.StepLR(o, 5, hyperparameter="nesterov"),
        TypeError,
        "got bool; set it",
    ),
    (lambda o: lrs.StepLR(o, 5, hyperparameter="beta1"), ValueError, "no hyperp"),
    (lambda o: lrs.LRScheduler(o, abs), TypeError, "lr must be a schedule"),
    (
        lambda o: lrs.LRScheduler(o, [schedules.Step(3)]),
        ValueError,
        "1 schedules of lr",
    ),
    (lambda o: lrs.LambdaLR(o, 0.9), TypeError, "LambdaLR: lr_lambda must be callable"),
    (lambda o: lrs.OneCycleLR(o, 0.1), ValueError, "total_steps is missing"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 0), ValueError, "total_steps must be at least"),
    (lambda o: lrs.OneCycleLR(o, 0.1, epochs=3), ValueError, "total_steps is missing"),
    (lambda o: lrs.OneCycleLR(o, [0.1], 9), ValueError, "max_lr has 1 values"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, epochs=2, steps_per_epoch=5),
        ValueError,
        r"epochs \* steps_per_epoch if both are given",
    ),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, epochs=-2), ValueError, "epochs must be in"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, cycle_momentum="no"), ValueError, "cycle_mom"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, three_phase=1),
        ValueError,
        "three_phase must",
    ),
    (lambda o: lrs.CyclicLR(o, 0.1, 0.2, base_momentum=2.0), ValueError, "base_mom"),
    (lambda o: lrs.MultiStepLR(o, 30), TypeError, "milestones must be a sequence"),
    (lambda o: lrs.WarmupLR(o, 3, 4), TypeError, "scheduler must be an LRScheduler"),
    (lambda _: lrs.ChainedScheduler(3), TypeError, "schedulers must be a list of"),
    (lambda _: lrs.ChainedScheduler([3]), TypeError, r"schedulers\[0\] must be an LR"),
    (lambda o: lrs.LRScheduler(o, {}), ValueError, "must name hyperparameters"),
    (
        lambda o: lrs.LRScheduler(o, {"lr": schedules.Step(3)}, hyperparameter="eps"),
        ValueError,
        "must name hyperparameters, and then be alone",
    ),
    (lambda o: lrs.StepLR(o, 5, last_epoch=0), KeyError, "lacks 'initial_lr'"),
    (lambda o: lrs.StepLR(o, 5, last_epoch=True), ValueError, "last_epoch must be an"),
    (lambda o: lrs.OneCycleLR(o, -0.1, 9), ValueError, "max_lr must be in"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, pct_start=1.5), ValueError, "pct_start must"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, pct_start=0.7, three_phase=True),
        ValueError,
        r"pct_start must be in \[0, 0.5\]",
    ),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 4, pct_start=0.25, three_phase=True),
        ValueError,
        r"pct_start \* total_steps above 1, got 1",
    ),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, div_factor=0), ValueError, "div_factor must"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 9, max_momentum=1.0), ValueError, "max_momentum"),
    (
        lambda o: lrs.OneCycleLR(o, 0.1, 9, anneal_strategy="cosine"),
        ValueError,
        "anneal_strategy must be one of 'cos', 'linear'",
    ),
    (
        lambda _: lrs.OneCycleLR(gs.Adagrad(np.ones(2)), 0.1, 9),
        ValueError,
        "cycle_momentum=False",
    ),
    (lambda o: lrs.CyclicLR(o, 0.1, [0.2] * 3), ValueError, "max_lr has 3 values"),
    (lambda o: lrs.SequentialLR(o, [], []), TypeError, "must be a list of schedulers"),
    (
        lambda o: lrs.SequentialLR(o, [lrs.ReduceLROnPlateau(o)], []),
        TypeError,
        r"schedulers\[0\] must be an LRScheduler, got ReduceLROnPlateau",
    ),
    (
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(optimizer(), 5)], []),
        ValueError,
        "is of another optimizer",
    ),
    (
        lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 5), lrs.StepLR(o, 3)], []),
        ValueError,
        "milestones must be one fewer",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, "less"), ValueError, "mode must be one of"),
    (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be in"),
    (
        lambda o: lrs.ReduceLROnPlateau(o, patience=-1),
        ValueError,
        "patience must be in",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, threshold=-1.0), ValueError, "threshold must"),
    (
        lambda o: lrs.ReduceLROnPlateau(o, min_lr=[0.1]),
        ValueError,
        "min_lr has 1 values",
    ),
    (
        lambda o: lrs.ReduceLROnPlateau(o, threshold_mode="x"),
        ValueError,
        "threshold_mod",
    ),
    (
        lambda o: lrs.ReduceLROnPlateau(o, cooldown=1.5),
        TypeError,
        "cooldown must be int",
    ),
    (lambda o: lrs.ReduceLROnPlateau(o, eps=math.inf), ValueError, "eps must be in"),
]


@pytest.mark.parametrize(("make", "error", "words"), BAD)
def test_bad_arguments_are_named(
    make: Callable[[gs.Optimizer], object], error: type[Exception], words: str
) -> None:
    opt = optimizer()
    with pytest.raises(error, match=words):
        make(opt)


@pytest.mark.parametrize("epoch", [-1, math.nan, "3"])
def test_a_step_to_nowhere_changes_nothing(epoch: Any) -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    before = present(opt)
    with pytest.raises((TypeError, ValueError), match="t must be"):
        scheduler.step(epoch)
    assert (present(opt), scheduler.last_epoch) == (before, 0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"last_epoch": -1}, ValueError, "last_epoch: t must be >= 0"),
        ({"last_epoch": "3"}, TypeError, "last_epoch: t must be numbers"),
        ({"last_epoch": math.nan}, ValueError, "last_epoch: t must be >= 0"),
        ({"base_lrs": [0.1]}, ValueError, "base_lrs has 1 values, expected 2"),
        ({"base_lrs": [0.1, math.inf]}, ValueError, "base_lrs must be finite"),
        ({"base_lrs": 0.1}, TypeError, "base_lrs must be a sequence"),
        ({"more_bases": [1.0]}, ValueError, "more_bases has 1 values, expected 0"),
        (
            {"base_lrs": [0.1, 10**400]},
            ValueError,
            r"base_lrs must be finite, got 2\*\*",
        ),
        ({"last_epoch": 10**400}, ValueError, r"below 2\*\*53, got 2\*\*1328 or more"),
        (
            {"last_epoch": 10**5000},
            ValueError,
            r"below 2\*\*53, got 2\*\*16609 or more",
        ),
        ({"bases": [0.1, 10**400]}, ValueError, "bases must be finite"),
        ({"bases": None}, TypeError, "bases must be a sequence, got NoneType"),
        ({"factors": [1.0]}, ValueError, "factors has 1 values, expected 2"),
        ({"factors": [1.0, math.nan]}, ValueError, "factors must be finite, got nan"),
        ({"factors": [1.0, "1"]}, TypeError, "factors must be a real number, got str"),
        ({"written": [0.1, math.inf]}, ValueError, "written must be finite"),
        ({"values": [0.1]}, ValueError, "values has 1 values, expected 2"),
        ({"values": [0.1, "0.2"]}, TypeError, "values must be a number, got str"),
        ({"values": [0.1, None]}, TypeError, "values must be a number, got NoneType"),
        ({"last_epoch": None}, TypeError, "last_epoch: t must be numbers"),
    ],
)
def test_a_bad_state_changes_nothing(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    before = present(opt)
    with pytest.raises(error, match=words):
        scheduler.load_state_dict(scheduler.state_dict() | change)
    with pytest.raises(KeyError, match="lacks 'last_epoch'"):
        scheduler.load_state_dict({"base_lrs": [0.1, 0.2]})
    assert (present(opt), scheduler.last_epoch) == (before, 0)
    assert scheduler.base_lrs == [0.2, 0.05]


def test_a_state_that_no_longer_fits_changes_nothing() -> None:
    opt = optimizer()
    scheduler = lrs.LinearLR(opt)
    opt.add_param_group({"params": np.ones(2)})
    with pytest.raises(ValueError, match="3 groups, and had 2"):
        scheduler.load_state_dict({"last_epoch": 3, "base_lrs": [1.0, 2.0]})
    assert (scheduler.base_lrs, scheduler.last_epoch) == ([0.2, 0.05], 0)
